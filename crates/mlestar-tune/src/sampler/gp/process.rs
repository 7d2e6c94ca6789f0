//! The Gaussian process: its settings from the trials, and its predictions.

use super::kernel::{Axis, Point, matern, square};
use crate::linear::{Cholesky, dot};
use crate::minimise::minimise;

/// Bounds of the logarithms of an inverse squared length scale, of the signal's variance, and of the noise's.
const LENGTH: (f64, f64) = (-7.0, 9.0);
const SIGNAL: (f64, f64) = (-3.0, 6.0);
const NOISE: (f64, f64) = (-16.0, 0.0);

/// A process of mean 0 that has seen some trials.
pub(super) struct Process {
    axes: Vec<Axis>,
    points: Vec<Point>,
    losses: Vec<f64>,
    /// Inverse squared length scales.
    inverse_squares: Vec<f64>,
    signal: f64,
    noise: f64,
    factor: Cholesky,
    /// The inverse covariance times the losses.
    alpha: Vec<f64>,
}

impl Process {
    /// The process whose settings have the highest posterior density; `None` if the covariances are singular.
    pub(super) fn fit(axes: Vec<Axis>, points: Vec<Point>, losses: Vec<f64>) -> Option<Self> {
        let fit = Fit::new(&axes, &points, &losses);
        let n_axes = axes.len();
        let mut bounds = vec![LENGTH; n_axes];
        bounds.extend([SIGNAL, NOISE]);
        let function = |x: &[f64]| fit.negative_log_posterior(x);
        let typical = 1.0 - (n_axes as f64).ln();
        let starts = [(typical, 0.0, -9.0), (typical + 2.0, 0.0, -5.0)];
        let found = starts.map(|(length, signal, noise)| {
            let mut start = vec![length; n_axes];
            start.extend([signal, noise]);
            minimise(&function, &start, &bounds, 60)
        });
        let [first, second] = found;
        let (x, _) = if second.1 < first.1 { second } else { first };
        let process = |noise: f64| {
            Self::with(
                axes.clone(),
                points.clone(),
                losses.clone(),
                x[..n_axes].iter().map(|log| log.exp()).collect(),
                x[n_axes].exp(),
                noise,
            )
        };
        process(x[n_axes + 1].exp()).or_else(|| process(1e-2))
    }

    fn with(
        axes: Vec<Axis>,
        points: Vec<Point>,
        losses: Vec<f64>,
        inverse_squares: Vec<f64>,
        signal: f64,
        noise: f64,
    ) -> Option<Self> {
        let n = points.len();
        let mut covariance = vec![0.0; n * n];
        for row in 0..n {
            for column in 0..=row {
                let distance = distance(&axes, &inverse_squares, &points[row], &points[column]);
                covariance[row * n + column] = signal * matern(distance).0;
            }
            covariance[row * n + row] += noise;
        }
        let factor = Cholesky::new(covariance, n)?;
        let mut alpha = losses.clone();
        factor.solve_lower(&mut alpha);
        factor.solve_upper(&mut alpha);
        Some(Self {
            axes,
            points,
            losses,
            inverse_squares,
            signal,
            noise,
            factor,
            alpha,
        })
    }

    /// Takes the prediction at a point for its loss.
    pub(super) fn believe(&mut self, point: Point) {
        let (mean, _) = self.predict(&point);
        let mut points = self.points.clone();
        let mut losses = self.losses.clone();
        points.push(point);
        losses.push(mean);
        let settings = self.inverse_squares.clone();
        if let Some(next) = Self::with(
            self.axes.clone(),
            points,
            losses,
            settings,
            self.signal,
            self.noise,
        ) {
            *self = next;
        }
    }

    /// The lowest loss among the trials, as the process sees it without its noise.
    pub(super) fn lowest(&self) -> f64 {
        self.losses.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The `n` points of the lowest losses.
    pub(super) fn best_points(&self, n: usize) -> Vec<Point> {
        let mut order: Vec<usize> = (0..self.points.len()).collect();
        order.sort_by(|a, b| self.losses[*a].total_cmp(&self.losses[*b]));
        order
            .iter()
            .take(n)
            .map(|at| self.points[*at].clone())
            .collect()
    }

    fn covariances(&self, point: &Point) -> Vec<f64> {
        let with = |other: &Point| {
            self.signal * matern(distance(&self.axes, &self.inverse_squares, point, other)).0
        };
        self.points.iter().map(with).collect()
    }

    /// Mean and variance of the loss without noise.
    pub(super) fn predict(&self, point: &Point) -> (f64, f64) {
        let mut covariances = self.covariances(point);
        let mean = dot(&covariances, &self.alpha);
        self.factor.solve_lower(&mut covariances);
        let variance = self.signal - dot(&covariances, &covariances);
        (mean, variance.max(1e-12 * self.signal))
    }

    /// Mean, variance, and how they change along each continuous axis.
    pub(super) fn predict_with_slopes(&self, point: &Point) -> (f64, f64, Vec<f64>, Vec<f64>) {
        let n_axes = self.axes.len();
        let mut covariances = Vec::with_capacity(self.points.len());
        let mut slopes = Vec::with_capacity(self.points.len());
        for other in &self.points {
            let (value, slope) = matern(distance(&self.axes, &self.inverse_squares, point, other));
            covariances.push(self.signal * value);
            slopes.push(self.signal * slope);
        }
        let mean = dot(&covariances, &self.alpha);
        let mut solved = covariances.clone();
        self.factor.solve_lower(&mut solved);
        let variance = (self.signal - dot(&solved, &solved)).max(1e-12 * self.signal);
        self.factor.solve_upper(&mut solved);
        let (mut of_mean, mut of_variance) = (vec![0.0; n_axes], vec![0.0; n_axes]);
        for (at, other) in self.points.iter().enumerate() {
            for axis in 0..n_axes {
                if matches!(self.axes[axis], Axis::Number) && !(point[axis] - other[axis]).is_nan()
                {
                    let apart = 2.0 * self.inverse_squares[axis] * (point[axis] - other[axis]);
                    of_mean[axis] += slopes[at] * apart * self.alpha[at];
                    of_variance[axis] -= 2.0 * slopes[at] * apart * solved[at];
                }
            }
        }
        (mean, variance, of_mean, of_variance)
    }
}

fn distance(axes: &[Axis], inverse_squares: &[f64], a: &Point, b: &Point) -> f64 {
    let along = |at: usize| inverse_squares[at] * square(axes[at], a[at], b[at]);
    (0..axes.len()).map(along).sum()
}

/// The posterior of the settings. Its variables are the logarithms of the inverse squared length scales, of the signal's variance and of the
/// noise's.
struct Fit<'a> {
    n: usize,
    losses: &'a [f64],
    /// For each axis the squared distances of all pairs, row by row up to the diagonal.
    squares: Vec<Vec<f64>>,
}

impl<'a> Fit<'a> {
    fn new(axes: &[Axis], points: &[Point], losses: &'a [f64]) -> Self {
        let n = points.len();
        let of_axis = |(at, axis): (usize, &Axis)| {
            let row = |row: usize| {
                (0..row).map(move |column| square(*axis, points[row][at], points[column][at]))
            };
            (0..n).flat_map(row).collect()
        };
        Self {
            n,
            losses,
            squares: axes.iter().enumerate().map(of_axis).collect(),
        }
    }

    fn negative_log_posterior(&self, x: &[f64]) -> (f64, Vec<f64>) {
        let (n, n_axes) = (self.n, self.squares.len());
        let inverse_squares: Vec<f64> = x[..n_axes].iter().map(|log| log.exp()).collect();
        let (signal, noise) = (x[n_axes].exp(), x[n_axes + 1].exp());
        let mut covariance = vec![0.0; n * n];
        let mut slopes = Vec::with_capacity(n * (n - 1) / 2);
        for row in 0..n {
            for column in 0..row {
                let pair = row * (row - 1) / 2 + column;
                let axes = self.squares.iter().zip(&inverse_squares);
                let distance = axes.map(|(squares, inverse)| squares[pair] * inverse).sum();
                let (value, slope) = matern(distance);
                covariance[row * n + column] = signal * value;
                slopes.push(signal * slope);
            }
            covariance[row * n + row] = signal + noise;
        }
        let Some(factor) = Cholesky::new(covariance.clone(), n) else {
            return (1e10, vec![0.0; x.len()]);
        };
        let inverse = factor.inverse();
        let alpha: Vec<f64> = inverse.chunks(n).map(|row| dot(row, self.losses)).collect();
        let mut value = 0.5 * dot(self.losses, &alpha) + 0.5 * factor.log_determinant();
        let mut gradient = vec![0.0; x.len()];
        // Half the trace of (inverse - alpha alpha^T) times the derivative of the covariance.
        let weight =
            |row: usize, column: usize| inverse[row * n + column] - alpha[row] * alpha[column];
        let mut of_signal = 0.0;
        let mut of_noise = 0.0;
        for row in 0..n {
            for column in 0..row {
                let pair = row * (row - 1) / 2 + column;
                let weight = weight(row, column);
                of_signal += weight * covariance[row * n + column];
                let common = weight * slopes[pair];
                for (slope, squares) in gradient.iter_mut().zip(&self.squares) {
                    *slope += common * squares[pair];
                }
            }
            of_signal += 0.5 * weight(row, row) * signal;
            of_noise += 0.5 * weight(row, row) * noise;
        }
        for (slope, inverse) in gradient.iter_mut().zip(&inverse_squares) {
            *slope *= inverse;
        }
        gradient[n_axes] = of_signal;
        gradient[n_axes + 1] = of_noise;
        self.add_priors(x, &mut value, &mut gradient);
        (value, gradient)
    }

    /// Normal densities of the logarithms: length scales that grow with the root of the number of axes (Hvarfner et al. 2024, "Vanilla
    /// Bayesian Optimization Performs Great in High Dimensions"), a signal of the losses' variance, and little noise.
    fn add_priors(&self, x: &[f64], value: &mut f64, gradient: &mut [f64]) {
        let n_axes = self.squares.len();
        let length = -2.0 * (length_prior() + 0.5 * (n_axes as f64).ln());
        for (at, log) in x.iter().enumerate() {
            let (mean, deviation) = match at.checked_sub(n_axes) {
                None => (length, 2.0 * 1.2),
                Some(0) => (0.0, 1.5),
                Some(_) => (-10.0, 3.0),
            };
            let z = (log - mean) / deviation;
            *value += 0.5 * z * z;
            gradient[at] += z / deviation;
        }
    }
}

/// The logarithm of the most likely length scale on one axis.
fn length_prior() -> f64 {
    -1.0
}
