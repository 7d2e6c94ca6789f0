//! Covariance matrix adaptation.

use mlestar_random::Stream;

use super::tpe;
use super::{Propose, Request};
use crate::linear::eigen;
use crate::space::ParameterSpace;

/// The deviation of the first generation, where a range has the width 1.
const FIRST_DEVIATION: f64 = 0.25;

/// The next draw of an evolution over the numbers of the space. Its state follows from the trials: it is built again from all of
/// them for every suggestion.
pub(super) struct CmaEs;

impl Propose for CmaEs {
    fn propose(&self, request: &Request<'_>) -> Vec<f64> {
        let axes: Vec<usize> = request
            .space
            .iter()
            .enumerate()
            .filter(|(_, (_, space))| !matches!(space, ParameterSpace::Categorical { .. }))
            .map(|(at, _)| at)
            .collect();
        let has_choices = axes.len() < request.space.len();
        let mut units = match has_choices && !request.is_start() {
            true => tpe::estimate(request),
            false => super::sobol::Sobol.propose(request),
        };
        if axes.is_empty() {
            return units;
        }
        let evolution = Evolution::after(request, &axes);
        let draw = evolution.draw(&mut request.stream("cma-es"));
        for (axis, unit) in axes.iter().zip(draw) {
            units[*axis] = unit;
        }
        units
    }
}

/// The constants of the adaptation for a number of dimensions (Hansen 2016, table 1).
struct Constants {
    /// Weights of the better half, best first.
    weights: Vec<f64>,
    mu_eff: f64,
    c_sigma: f64,
    d_sigma: f64,
    c_c: f64,
    c_1: f64,
    c_mu: f64,
    /// Expected length of a standard normal vector.
    chi: f64,
}

impl Constants {
    fn new(n: usize, lambda: usize) -> Self {
        let d = n as f64;
        let mu = lambda / 2;
        let raw: Vec<f64> = (1..=mu)
            .map(|rank| ((lambda as f64 + 1.0) / 2.0).ln() - (rank as f64).ln())
            .collect();
        let total: f64 = raw.iter().sum();
        let weights: Vec<f64> = raw.iter().map(|weight| weight / total).collect();
        let mu_eff = 1.0 / weights.iter().map(|weight| weight * weight).sum::<f64>();
        let c_sigma = (mu_eff + 2.0) / (d + mu_eff + 5.0);
        let c_1 = 2.0 / ((d + 1.3).powi(2) + mu_eff);
        let c_mu = 2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((d + 2.0).powi(2) + mu_eff);
        Self {
            mu_eff,
            c_sigma,
            d_sigma: 1.0 + 2.0 * (((mu_eff - 1.0) / (d + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma,
            c_c: (4.0 + mu_eff / d) / (d + 4.0 + 2.0 * mu_eff / d),
            c_1,
            c_mu: c_mu.min(1.0 - c_1),
            chi: d.sqrt() * (1.0 - 1.0 / (4.0 * d) + 1.0 / (21.0 * d * d)),
            weights,
        }
    }
}

/// The distribution that the next trials are drawn from.
struct Evolution {
    constants: Constants,
    mean: Vec<f64>,
    sigma: f64,
    /// By rows.
    covariance: Vec<f64>,
    /// Square roots of the eigenvalues, and the eigenvectors.
    axes: (Vec<f64>, Vec<Vec<f64>>),
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
    generation: i32,
}

impl Evolution {
    fn new(mean: Vec<f64>, lambda: usize) -> Self {
        let n = mean.len();
        let identity: Vec<Vec<f64>> = (0..n)
            .map(|row| {
                (0..n)
                    .map(|column| f64::from(u8::from(row == column)))
                    .collect()
            })
            .collect();
        Self {
            constants: Constants::new(n, lambda),
            mean,
            sigma: FIRST_DEVIATION,
            covariance: identity.concat(),
            axes: (vec![1.0; n], identity),
            path_sigma: vec![0.0; n],
            path_c: vec![0.0; n],
            generation: 0,
        }
    }

    /// The state after the trials of the request, which count in generations of equal size.
    fn after(request: &Request<'_>, axes: &[usize]) -> Self {
        let n = axes.len();
        let lambda = 4 + (3.0 * (n as f64).ln()) as usize;
        let mut evolution = Self::new(vec![0.5; n], lambda);
        let points: Vec<(Vec<f64>, f64)> = request
            .history
            .iter()
            .filter_map(|trial| {
                // A parameter that the trial does not have is in the middle of its range.
                let point = axes.iter().map(|axis| trial.units[*axis].unwrap_or(0.5));
                Some((point.collect(), *trial.losses.first()?))
            })
            .collect();
        for generation in points.chunks_exact(lambda) {
            evolution.update(generation);
        }
        evolution
    }

    /// A draw within the unit cube.
    fn draw(&self, stream: &mut Stream) -> Vec<f64> {
        let mut point = self.mean.clone();
        for _ in 0..100 {
            point = self.mean.clone();
            for (length, vector) in self.axes.0.iter().zip(&self.axes.1) {
                let z = stream.normal() * length * self.sigma;
                for (value, part) in point.iter_mut().zip(vector) {
                    *value += z * part;
                }
            }
            if point.iter().all(|unit| (0.0..=1.0).contains(unit)) {
                return point;
            }
        }
        point.iter().map(|unit| unit.clamp(0.0, 1.0)).collect()
    }

    /// Moves the distribution towards the better half of a generation.
    fn update(&mut self, generation: &[(Vec<f64>, f64)]) {
        let mut order: Vec<&(Vec<f64>, f64)> = generation.iter().collect();
        order.sort_by(|a, b| a.1.total_cmp(&b.1));
        let n = self.mean.len();
        let steps: Vec<Vec<f64>> = order
            .iter()
            .take(self.constants.weights.len())
            .map(|(x, _)| {
                x.iter()
                    .zip(&self.mean)
                    .map(|(x, m)| (x - m) / self.sigma)
                    .collect()
            })
            .collect();
        let mut step = vec![0.0; n];
        for (weight, of_one) in self.constants.weights.iter().zip(&steps) {
            for (sum, part) in step.iter_mut().zip(of_one) {
                *sum += weight * part;
            }
        }
        for (mean, part) in self.mean.iter_mut().zip(&step) {
            *mean = (*mean + self.sigma * part).clamp(0.0, 1.0);
        }
        self.adapt(&step, &steps);
    }

    fn adapt(&mut self, step: &[f64], steps: &[Vec<f64>]) {
        let c = &self.constants;
        let n = self.mean.len();
        self.generation += 1;
        let whitened = self.whitened(step);
        let keep = (c.c_sigma * (2.0 - c.c_sigma) * c.mu_eff).sqrt();
        for (path, part) in self.path_sigma.iter_mut().zip(&whitened) {
            *path = (1.0 - c.c_sigma) * *path + keep * part;
        }
        let length = self.path_sigma.iter().map(|p| p * p).sum::<f64>().sqrt();
        let expected = (1.0 - (1.0 - c.c_sigma).powi(2 * self.generation)).sqrt() * c.chi;
        let is_steady = length / expected < 1.4 + 2.0 / (n as f64 + 1.0);
        let keep = if is_steady {
            (c.c_c * (2.0 - c.c_c) * c.mu_eff).sqrt()
        } else {
            0.0
        };
        for (path, part) in self.path_c.iter_mut().zip(step) {
            *path = (1.0 - c.c_c) * *path + keep * part;
        }
        let lost = if is_steady {
            0.0
        } else {
            c.c_1 * c.c_c * (2.0 - c.c_c)
        };
        for row in 0..n {
            for column in 0..n {
                let rank_mu: f64 = c
                    .weights
                    .iter()
                    .zip(steps)
                    .map(|(weight, y)| weight * y[row] * y[column])
                    .sum();
                let entry = &mut self.covariance[row * n + column];
                *entry = (1.0 - c.c_1 - c.c_mu + lost) * *entry
                    + c.c_1 * self.path_c[row] * self.path_c[column]
                    + c.c_mu * rank_mu;
            }
        }
        let change = (c.c_sigma / c.d_sigma) * (length / c.chi - 1.0);
        self.sigma = (self.sigma * change.min(1.0).exp()).clamp(1e-12, 1.0);
        let (values, vectors) = eigen(self.covariance.clone(), n);
        let lengths = values.into_iter().map(|value| value.max(1e-20).sqrt());
        self.axes = (lengths.collect(), vectors);
    }

    /// The vector divided by the square root of the covariance.
    fn whitened(&self, vector: &[f64]) -> Vec<f64> {
        let mut whitened = vec![0.0; vector.len()];
        for (length, axis) in self.axes.0.iter().zip(&self.axes.1) {
            let along: f64 = axis.iter().zip(vector).map(|(a, v)| a * v).sum();
            for (value, part) in whitened.iter_mut().zip(axis) {
                *value += along / length * part;
            }
        }
        whitened
    }
}
