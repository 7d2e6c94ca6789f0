//! A Gaussian process over the search space, and the point of the highest expected improvement.

mod kernel;
mod process;

use mlestar_random::Stream;

use super::{Propose, Request};
use crate::minimise::minimise;
use crate::space::{ParameterSpace, SearchSpace};
use crate::special::{log_improvement, log_normal_cdf, log_normal_density};
use kernel::{Axis, Point};
use process::Process;

/// Points that the search for the highest expected improvement compares first.
const SPREAD: u64 = 1024;
/// Points near each of the best trials that it compares, too.
const NEARBY: usize = 64;
/// How many of them it improves by gradients.
const STARTS: usize = 6;
/// Trials that the process uses at most.
const MOST_TRIALS: usize = 300;

/// The point with the highest expected improvement under a Gaussian process. Losses are scaled to deviation 1; those worse than the median
/// are drawn towards it, because how bad a bad trial is says little about the best one.
pub(super) struct GaussianProcess;

impl Propose for GaussianProcess {
    fn propose(&self, request: &Request<'_>) -> Vec<f64> {
        let start = super::sobol::Sobol.propose(request);
        if request.is_start() {
            return start;
        }
        let axes = axes(request.space);
        let (points, losses) = observations(request, &axes);
        let Some(mut process) = Process::fit(axes.clone(), points, losses) else {
            return start;
        };
        for pending in request.pending {
            process.believe(encode(&axes, pending));
        }
        let search = Search {
            request,
            axes: &axes,
            process: &process,
            best: process.lowest(),
        };
        search.run().unwrap_or(start)
    }
}

fn axes(space: &SearchSpace) -> Vec<Axis> {
    space
        .iter()
        .map(|(_, space)| match space {
            ParameterSpace::Categorical { choices, .. } => Axis::Choices(choices.len()),
            _ => match space.n_values() {
                Some(n) if n <= 64 => Axis::Steps(n as usize),
                _ => Axis::Number,
            },
        })
        .collect()
}

/// A point of the unit cube as the kernel sees it: choices by their index, parameters that do not exist as NaN.
fn encode(axes: &[Axis], units: &[Option<f64>]) -> Point {
    let coordinate = |(axis, unit): (&Axis, &Option<f64>)| match (axis, unit) {
        (_, None) => f64::NAN,
        (Axis::Choices(n), Some(unit)) => ((unit * *n as f64).floor()).min(*n as f64 - 1.0),
        (_, Some(unit)) => *unit,
    };
    axes.iter().zip(units).map(coordinate).collect()
}

/// The trials that the process learns from, and their losses on its scale.
fn observations(request: &Request<'_>, axes: &[Axis]) -> (Vec<Point>, Vec<f64>) {
    let mut history: Vec<(usize, f64)> = request
        .history
        .iter()
        .enumerate()
        .filter_map(|(at, trial)| Some((at, *trial.losses.first()?)))
        .collect();
    if history.len() > MOST_TRIALS {
        let newest = history.len() - MOST_TRIALS / 2;
        let mut older: Vec<(usize, f64)> = history[..newest].to_vec();
        older.sort_by(|a, b| a.1.total_cmp(&b.1));
        older.truncate(MOST_TRIALS / 2);
        older.extend_from_slice(&history[newest..]);
        history = older;
    }
    let losses: Vec<f64> = history.iter().map(|(_, loss)| *loss).collect();
    let encoded = |(at, _): &(usize, f64)| encode(axes, &request.history[*at].units);
    (history.iter().map(encoded).collect(), scaled(&losses))
}

/// The losses with mean 0 and deviation 1, after those above the median were replaced by the quantiles of a normal
/// distribution whose lower half fits the losses below it (Song et al. 2024, "The Vizier Gaussian Process Bandit
/// Algorithm", section 3.3).
fn scaled(losses: &[f64]) -> Vec<f64> {
    let mut sorted = losses.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let median = mlestar_eval::median(&sorted).unwrap_or(0.0);
    let lower: Vec<f64> = sorted
        .iter()
        .copied()
        .filter(|loss| *loss <= median)
        .collect();
    let spread = lower
        .iter()
        .map(|loss| (loss - median).powi(2))
        .sum::<f64>();
    let deviation = (spread / lower.len() as f64).sqrt();
    let warped: Vec<f64> = losses
        .iter()
        .map(|loss| {
            if *loss <= median {
                return *loss;
            }
            let below = sorted.partition_point(|other| other < loss);
            let rank = (below as f64 + 0.5) / n as f64;
            median + deviation * mlestar_eval::normal_quantile(rank).max(0.0)
        })
        .collect();
    let mean = warped.iter().sum::<f64>() / n as f64;
    let variance = warped.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / n as f64;
    let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    warped
        .iter()
        .map(|loss| (loss - mean) / deviation)
        .collect()
}

/// The search for the point of the highest expected improvement.
struct Search<'a> {
    request: &'a Request<'a>,
    axes: &'a [Axis],
    process: &'a Process,
    /// The lowest loss so far.
    best: f64,
}

impl Search<'_> {
    fn run(&self) -> Option<Vec<f64>> {
        let mut candidates = self.candidates();
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
        candidates.truncate(STARTS);
        let improved = candidates.into_iter().map(|(_, point)| self.climb(point));
        let (_, point) = improved.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        Some(self.decode(&point))
    }

    /// Points all over the space and near the best trials, with their values.
    fn candidates(&self) -> Vec<(f64, Point)> {
        let mut stream = self.request.stream("gp");
        let mut candidates = Vec::new();
        for _ in 0..SPREAD {
            let units: Vec<f64> = self.axes.iter().map(|_| stream.uniform()).collect();
            candidates.push(self.settle(&units));
        }
        for point in self.process.best_points(4) {
            for nearby in 0..NEARBY {
                let deviation = 0.3 * 0.5_f64.powi(nearby as i32 % 8);
                let units = self.moved(&point, deviation, &mut stream);
                candidates.push(self.settle(&units));
            }
        }
        candidates
            .into_iter()
            .map(|point| (self.value(&point), point))
            .collect()
    }

    /// A point of the unit cube at about this distance from `point`.
    fn moved(&self, point: &Point, deviation: f64, stream: &mut Stream) -> Vec<f64> {
        let move_one = |(axis, value): (&Axis, &f64)| match axis {
            Axis::Choices(n) if value.is_finite() && stream.uniform() > 0.2 => {
                (value + 0.5) / *n as f64
            }
            Axis::Choices(_) => stream.uniform(),
            _ if value.is_finite() => (value + deviation * stream.normal()).clamp(0.0, 1.0),
            _ => stream.uniform(),
        };
        self.axes.iter().zip(point).map(move_one).collect()
    }

    /// The nearest point that the space has, as the kernel sees it.
    fn settle(&self, units: &[f64]) -> Point {
        let space = self.request.space;
        encode(self.axes, &space.units(&space.at(units)))
    }

    fn decode(&self, point: &Point) -> Vec<f64> {
        let unit = |(axis, value): (&Axis, &f64)| match axis {
            _ if !value.is_finite() => 0.5,
            Axis::Choices(n) => (value + 0.5) / *n as f64,
            _ => *value,
        };
        self.axes.iter().zip(point).map(unit).collect()
    }

    /// The logarithm of the expected improvement.
    fn value(&self, point: &Point) -> f64 {
        let (mean, variance) = self.process.predict(point);
        let deviation = variance.sqrt();
        deviation.ln() + log_improvement((self.best - mean) / deviation)
    }

    /// Follows the gradient in the numbers, tries every other value of the rest, and again, while that helps.
    fn climb(&self, start: Point) -> (f64, Point) {
        let (mut value, mut point) = (self.value(&start), start);
        for _ in 0..4 {
            let before = value;
            let (next_value, next) = self.slide(&point);
            if next_value > value {
                (value, point) = (next_value, next);
            }
            (value, point) = self.switch(value, point);
            let is_smooth = self.axes.iter().all(|axis| matches!(axis, Axis::Number));
            if is_smooth || value - before < 1e-6 {
                break;
            }
        }
        (value, point)
    }

    /// Moves along the continuous axes only.
    fn slide(&self, point: &Point) -> (f64, Point) {
        let free: Vec<usize> = (0..point.len())
            .filter(|at| matches!(self.axes[*at], Axis::Number) && point[*at].is_finite())
            .collect();
        if free.is_empty() {
            return (f64::NEG_INFINITY, point.clone());
        }
        let place = |x: &[f64]| {
            let mut moved = point.clone();
            free.iter().zip(x).for_each(|(at, x)| moved[*at] = *x);
            moved
        };
        let function = |x: &[f64]| {
            let (value, gradient) = self.value_and_gradient(&place(x));
            (-value, free.iter().map(|at| -gradient[*at]).collect())
        };
        let start: Vec<f64> = free.iter().map(|at| point[*at]).collect();
        let (x, value) = minimise(&function, &start, &vec![(0.0, 1.0); free.len()], 40);
        (-value, place(&x))
    }

    /// The best of all points that differ in one step or choice.
    fn switch(&self, mut value: f64, mut point: Point) -> (f64, Point) {
        for at in 0..self.axes.len() {
            let n = match self.axes[at] {
                Axis::Number => continue,
                Axis::Choices(n) | Axis::Steps(n) => n,
            };
            for index in 0..n {
                let mut units = self.decode(&point);
                units[at] = (index as f64 + 0.5) / n as f64;
                let other = self.settle(&units);
                let other_value = self.value(&other);
                if other_value > value {
                    (value, point) = (other_value, other);
                }
            }
        }
        (value, point)
    }

    fn value_and_gradient(&self, point: &Point) -> (f64, Vec<f64>) {
        let (mean, variance, mean_slope, variance_slope) = self.process.predict_with_slopes(point);
        let deviation = variance.sqrt();
        let z = (self.best - mean) / deviation;
        let log_h = log_improvement(z);
        let of_mean = -(log_normal_cdf(z) - log_h).exp() / deviation;
        let of_deviation = (log_normal_density(z) - log_h).exp() / deviation;
        let slopes = mean_slope.iter().zip(&variance_slope);
        let gradient = slopes.map(|(m, v)| of_mean * m + of_deviation * v / (2.0 * deviation));
        (deviation.ln() + log_h, gradient.collect())
    }
}
