//! Multinomial logistic regression with an L2 penalty, on features that were computed before.
//!
//! It minimises the weighted mean of the cross-entropies plus `|W|^2 / (2 c n)`, where the bias is free: the loss of
//! scikit-learn's `LogisticRegression`, divided by `c n`. Features are standardised first. L-BFGS (Nocedal and Wright,
//! "Numerical Optimization", 2006, algorithm 7.5) in 64 bits; sums run in a fixed order, so the result does not depend on
//! the number of threads.

use rayon::prelude::*;

/// Pairs of steps that L-BFGS remembers.
const MEMORY: usize = 10;
/// Iterations after which it stops in any case.
const MAX_ITERATIONS: usize = 300;
/// It stops when no entry of the gradient is larger.
const TOLERANCE: f64 = 1e-6;
/// Rows in one partial sum. Fixed, so that the result does not depend on threads.
const ROWS_A_PART: usize = 256;

/// Rows of features with their labels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Samples<'a> {
    /// Row-major `[n, width]`.
    pub features: &'a [f32],
    pub width: usize,
    /// A class index for each row.
    pub labels: &'a [u32],
    pub n_classes: usize,
    /// How much a row of each class counts; empty for equal weights.
    pub class_weights: &'a [f64],
    /// A number for each row, equal for rows that belong together.
    pub groups: Option<&'a [u32]>,
}

impl Samples<'_> {
    pub(crate) fn row(&self, index: usize) -> &[f32] {
        &self.features[index * self.width..][..self.width]
    }

    /// Labels and groups of some rows.
    pub(crate) fn kinds_of(&self, rows: &[usize]) -> (Vec<u32>, Option<Vec<u32>>) {
        let of_rows = |values: &[u32]| rows.iter().map(|row| values[*row]).collect();
        (of_rows(self.labels), self.groups.map(of_rows))
    }

    fn weight(&self, index: usize) -> f64 {
        let class = self.labels[index] as usize;
        self.class_weights.get(class).copied().unwrap_or(1.0)
    }
}

/// A linear layer: logits are `weight x + bias`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LinearHead {
    /// Row-major `[classes, width]`.
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// Standardised rows of a choice of samples, ready for fits with several penalties.
pub(crate) struct Problem<'a> {
    samples: Samples<'a>,
    rows: Vec<usize>,
    /// Mean and 1 / standard deviation of each feature; 0 for a constant one.
    mean: Vec<f64>,
    inverse: Vec<f64>,
    weight_sum: f64,
}

/// The parameters of a fit, row-major `[classes, width + 1]` with the bias last, for standardised features.
type Parameters = Vec<f64>;

impl<'a> Problem<'a> {
    /// `rows` must be indices of samples, at least one.
    pub(crate) fn new(samples: Samples<'a>, rows: Vec<usize>) -> Self {
        let n = rows.len().max(1) as f64;
        let mut mean = vec![0.0; samples.width];
        for &row in &rows {
            for (sum, &value) in mean.iter_mut().zip(samples.row(row)) {
                *sum += f64::from(value);
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= n);
        let mut variance = vec![0.0; samples.width];
        for &row in &rows {
            for ((sum, &value), mean) in variance.iter_mut().zip(samples.row(row)).zip(&mean) {
                *sum += (f64::from(value) - mean).powi(2);
            }
        }
        let inverse = variance.iter().zip(&mean).map(|(sum, mean)| {
            let deviation = (sum / n).sqrt();
            match deviation > 1e-9 * mean.abs().max(1e-3) {
                true => 1.0 / deviation,
                false => 0.0,
            }
        });
        Self {
            inverse: inverse.collect(),
            weight_sum: rows.iter().map(|&row| samples.weight(row)).sum(),
            mean,
            samples,
            rows,
        }
    }

    /// All zeros: equal probabilities.
    pub(crate) fn start(&self) -> Parameters {
        vec![0.0; self.samples.n_classes * (self.samples.width + 1)]
    }

    /// Standardised features of a row, with a 1 for the bias.
    fn standardised(&self, row: usize, into: &mut Vec<f64>) {
        let scales = self.mean.iter().zip(&self.inverse);
        let values = self.samples.row(row).iter().zip(scales);
        into.clear();
        into.extend(values.map(|(&value, (mean, inverse))| (f64::from(value) - mean) * inverse));
        into.push(1.0);
    }

    /// Loss and gradient.
    fn evaluate(&self, parameters: &[f64], penalty: f64) -> (f64, Vec<f64>) {
        let parts: Vec<(f64, Vec<f64>)> = self
            .rows
            .par_chunks(ROWS_A_PART)
            .map(|rows| self.evaluate_rows(rows, parameters))
            .collect();
        let mut gradient = vec![0.0; parameters.len()];
        let mut loss = 0.0;
        for (part, of_part) in parts {
            loss += part;
            add(&mut gradient, &of_part, 1.0);
        }
        loss /= self.weight_sum;
        gradient
            .iter_mut()
            .for_each(|value| *value /= self.weight_sum);
        let width = self.samples.width;
        for (of_class, weights) in gradient
            .chunks_mut(width + 1)
            .zip(parameters.chunks(width + 1))
        {
            add(&mut of_class[..width], &weights[..width], penalty);
            loss += 0.5 * penalty * dot(&weights[..width], &weights[..width]);
        }
        (loss, gradient)
    }

    fn evaluate_rows(&self, rows: &[usize], parameters: &[f64]) -> (f64, Vec<f64>) {
        let size = self.samples.width + 1;
        let mut gradient = vec![0.0; parameters.len()];
        let (mut x, mut scores) = (Vec::with_capacity(size), Vec::new());
        let mut loss = 0.0;
        for &row in rows {
            self.standardised(row, &mut x);
            scores.clear();
            scores.extend(parameters.chunks(size).map(|weights| dot(weights, &x)));
            let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
            let label = self.samples.labels[row] as usize;
            let weight = self.samples.weight(row);
            loss += weight * (highest + sum.ln() - scores[label]);
            for (class, of_class) in gradient.chunks_mut(size).enumerate() {
                let probability = (scores[class] - highest).exp() / sum;
                let excess = probability - f64::from(u8::from(class == label));
                add(of_class, &x, weight * excess);
            }
        }
        (loss, gradient)
    }

    /// The minimum for the inverse strength `c`, searched from `start`. Larger `c` penalise less.
    pub(crate) fn fit(&self, c: f64, start: Parameters) -> Parameters {
        let penalty = 1.0 / (c * self.rows.len().max(1) as f64);
        minimise(start, |parameters| self.evaluate(parameters, penalty))
    }

    /// The same function of features that are not standardised.
    pub(crate) fn head(&self, parameters: &[f64]) -> LinearHead {
        let size = self.samples.width + 1;
        let mut weight = Vec::with_capacity(self.samples.n_classes * self.samples.width);
        let mut bias = Vec::with_capacity(self.samples.n_classes);
        for of_class in parameters.chunks(size) {
            let mut shift = of_class[size - 1];
            for (index, value) in of_class[..size - 1].iter().enumerate() {
                let value = value * self.inverse[index];
                shift -= value * self.mean[index];
                weight.push(value as f32);
            }
            bias.push(shift as f32);
        }
        LinearHead { weight, bias }
    }
}

impl LinearHead {
    /// Logits of a row of features.
    pub(crate) fn logits(&self, row: &[f32]) -> Vec<f32> {
        let classes = self.weight.chunks(row.len()).zip(&self.bias);
        let logit = |(weights, bias): (&[f32], &f32)| {
            let sum: f64 = weights
                .iter()
                .zip(row)
                .map(|(&w, &x)| f64::from(w) * f64::from(x))
                .sum();
            (sum + f64::from(*bias)) as f32
        };
        classes.map(logit).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Several sums side by side use the vector unit.
    let mut sums = [0.0; 8];
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_blocks
        .remainder()
        .iter()
        .zip(b_blocks.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

fn add(sum: &mut [f64], values: &[f64], factor: f64) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

/// L-BFGS for a convex function that returns value and gradient.
fn minimise(mut x: Vec<f64>, evaluate: impl Fn(&[f64]) -> (f64, Vec<f64>)) -> Vec<f64> {
    let (mut value, mut gradient) = evaluate(&x);
    let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for _ in 0..MAX_ITERATIONS {
        if gradient.iter().all(|entry| entry.abs() <= TOLERANCE) {
            break;
        }
        let direction = direction(&pairs, &gradient);
        let slope = dot(&direction, &gradient);
        // The first direction has no scale.
        let mut step = match pairs.is_empty() {
            true => 1.0 / dot(&gradient, &gradient).sqrt().max(1.0),
            false => 1.0,
        };
        let mut moved = None;
        for _ in 0..40 {
            let mut next = x.clone();
            add(&mut next, &direction, step);
            let (next_value, next_gradient) = evaluate(&next);
            // Armijo's condition.
            if next_value <= value + 1e-4 * step * slope {
                moved = Some((next, next_value, next_gradient));
                break;
            }
            step *= 0.5;
        }
        // The value cannot fall further in 64 bits.
        let Some((next, next_value, next_gradient)) = moved else {
            break;
        };
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        let (s, y): (Vec<f64>, Vec<f64>) =
            (difference(&next, &x), difference(&next_gradient, &gradient));
        if dot(&s, &y) > 1e-14 * dot(&y, &y) {
            if pairs.len() == MEMORY {
                pairs.remove(0);
            }
            pairs.push((s, y));
        }
        (x, value, gradient) = (next, next_value, next_gradient);
    }
    x
}

/// The direction of descent by the remembered pairs (the two-loop recursion).
fn direction(pairs: &[(Vec<f64>, Vec<f64>)], gradient: &[f64]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.to_vec();
    let mut alphas = Vec::with_capacity(pairs.len());
    for (s, y) in pairs.iter().rev() {
        let alpha = dot(s, &q) / dot(y, s);
        add(&mut q, y, -alpha);
        alphas.push(alpha);
    }
    if let Some((s, y)) = pairs.last() {
        let scale = dot(s, y) / dot(y, y);
        q.iter_mut().for_each(|entry| *entry *= scale);
    }
    for ((s, y), alpha) in pairs.iter().zip(alphas.iter().rev()) {
        let beta = dot(y, &q) / dot(y, s);
        add(&mut q, s, alpha - beta);
    }
    q.iter_mut().for_each(|entry| *entry = -*entry);
    q
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_random::Stream;
    use proptest::prelude::*;

    fn random(n: usize, width: usize, n_classes: usize, seed: u64) -> (Vec<f32>, Vec<u32>) {
        let mut stream = Stream::new(seed, "logistic test", 0, 0);
        let labels: Vec<u32> = (0..n).map(|index| (index % n_classes) as u32).collect();
        let features = labels.iter().flat_map(|&label| {
            (0..width)
                .map(|column| {
                    let shift = f64::from(u8::from(column % n_classes == label as usize));
                    (3.0 * (stream.uniform() - 0.5) + shift) as f32 * (1 + column) as f32 + 5.0
                })
                .collect::<Vec<_>>()
        });
        (features.collect(), labels)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// The problem is convex: where the gradient vanishes is the minimum.
        #[test]
        fn at_the_fit_the_gradient_vanishes(
            (n, width, n_classes) in (4..60_usize, 1..12_usize, 2..5_usize),
            c in prop::sample::select(vec![1e-3, 0.1, 10.0]),
            seed in 0..1000_u64,
        ) {
            let (features, labels) = random(n, width, n_classes, seed);
            let class_weights: Vec<f64> = (0..n_classes).map(|class| 1.0 + class as f64).collect();
            let samples = Samples { features: &features, width, labels: &labels, n_classes, class_weights: &class_weights, groups: None };
            let problem = Problem::new(samples, (0..n).collect());
            let fitted = problem.fit(c, problem.start());
            let (value, gradient) = problem.evaluate(&fitted, 1.0 / (c * n as f64));
            prop_assert!(gradient.iter().all(|entry| entry.abs() < 1e-5), "{gradient:?}");
            // By finite differences, the gradient belongs to the value.
            let mut near = fitted.clone();
            near[0] += 0.5;
            let (higher, slope) = problem.evaluate(&near, 1.0 / (c * n as f64));
            prop_assert!(higher > value);
            near[0] += 1e-6;
            let (next, _) = problem.evaluate(&near, 1.0 / (c * n as f64));
            prop_assert!(((next - higher) / 1e-6 - slope[0]).abs() < 1e-4 * slope[0].abs().max(1e-2));
        }
    }

    /// The coefficients and intercepts of scikit-learn 1.9, `LogisticRegression(C=c, tol=1e-12)` after
    /// `StandardScaler`.
    #[test]
    fn the_fit_is_that_of_scikit_learn() {
        let labels: Vec<u32> = (0..24).map(|row| row % 3).collect();
        let feature = |row: usize, column: usize| {
            let bonus = f64::from(u8::from(row % 3 == column % 3));
            (((row * 7 + column * 13) % 11) as f64 / 11.0 + 0.5 * bonus) as f32
        };
        let features: Vec<f32> = (0..24)
            .flat_map(|row| (0..4).map(move |column| feature(row, column)))
            .collect();
        let samples = Samples {
            features: &features,
            width: 4,
            labels: &labels,
            n_classes: 3,
            class_weights: &[],
            groups: None,
        };
        let problem = Problem::new(samples, (0..24).collect());
        for (c, expected) in [
            (
                0.1,
                [
                    [0.428733, -0.09373, -0.171691, 0.290591, -0.021657],
                    [-0.313286, 0.403459, -0.08618, -0.094448, -0.018993],
                    [-0.115446, -0.309729, 0.257871, -0.196142, 0.04065],
                ],
            ),
            (
                10.0,
                [
                    [2.993111, -0.573947, -0.245324, 1.718404, 0.736216],
                    [-2.822588, 2.799063, -0.228448, -0.093584, -1.556652],
                    [-0.170522, -2.225116, 0.473772, -1.624821, 0.820436],
                ],
            ),
        ] {
            let fitted = problem.fit(c, problem.start());
            for (found, expected) in fitted.iter().zip(expected.as_flattened()) {
                assert!((found - expected).abs() < 2e-4, "{c}: {found} {expected}");
            }
        }
    }

    #[test]
    fn the_head_takes_features_as_they_are() {
        let (features, labels) = random(90, 6, 3, 1);
        let samples = Samples {
            features: &features,
            width: 6,
            labels: &labels,
            n_classes: 3,
            class_weights: &[],
            groups: None,
        };
        let problem = Problem::new(samples, (0..90).collect());
        let fitted = problem.fit(1.0, problem.start());
        let head = problem.head(&fitted);
        let mut x = Vec::new();
        for row in 0..90 {
            problem.standardised(row, &mut x);
            let exact: Vec<f64> = fitted.chunks(7).map(|weights| dot(weights, &x)).collect();
            for (logit, exact) in head.logits(samples.row(row)).iter().zip(exact) {
                assert!((f64::from(*logit) - exact).abs() < 1e-4, "{logit} {exact}");
            }
        }
    }

    #[test]
    fn threads_change_no_bit_and_a_constant_feature_gets_no_weight() {
        let (mut features, labels) = random(700, 5, 2, 3);
        features
            .iter_mut()
            .skip(2)
            .step_by(5)
            .for_each(|value| *value = 7.5);
        let samples = Samples {
            features: &features,
            width: 5,
            labels: &labels,
            n_classes: 2,
            class_weights: &[],
            groups: None,
        };
        let fits: Vec<LinearHead> = [1, 3]
            .into_iter()
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                pool.install(|| {
                    let problem = Problem::new(samples, (0..700).collect());
                    problem.head(&problem.fit(0.1, problem.start()))
                })
            })
            .collect();
        assert_eq!(fits[0], fits[1]);
        assert_eq!((fits[0].weight[2], fits[0].weight[7]), (0.0, 0.0));
    }
}
