//! Intervals of metrics that combine the recalls of the classes.

use crate::error::check_confidence;
use crate::normal::two_sided_quantile;
use crate::{ConfusionMatrix, EvalError, Interval, Predictions, wilson};

/// Weight, in samples, of the assumption that all classes have the same recall; found by simulation
/// (`docs/intervals.md`).
const SHARED: f64 = 2.0;
/// With more samples of a class than this, the sample is close enough to the behaviour of the classifier.
const FEW: u64 = 30;
/// Bisection steps of a search for an end of an interval and for the multiplier of the constraint: at least 12
/// digits.
const HALVINGS: usize = 44;

/// A metric that combines classes, so that rare classes weigh more than their number of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassMetric {
    /// Mean recall of the classes present.
    BalancedAccuracy,
    /// Mean F1 of the classes present.
    MacroF1,
    /// Mean precision of the classes, weighted by support.
    WeightedPrecision,
    /// Mean F1 of the classes, weighted by support.
    WeightedF1,
    /// Matthews' correlation coefficient.
    Matthews,
}

/// The value of a metric and a score interval. The interval keeps a width at 0 and 1 and never ignores a rare
/// class.
///
/// The samples of each class are treated as a separate draw of fixed size. The metric is treated as linear in
/// the classes' recalls, which is exact for balanced accuracy. The interval then holds the values that a score
/// test does not reject: `(value - t)^2 <= z^2 V(t)`, where `V(t)` is the variance under the most likely
/// recalls that give `t`. Two samples with the mean recall are added to each class. For one class this is
/// nearly Wilson's interval. Simulated coverage: `docs/intervals.md`.
///
/// # Errors
/// [`EvalError::ParameterOutOfRange`] for an invalid confidence.
///
/// ```
/// use mlestar_eval::{ClassMetric, Predictions, class_metric_interval};
/// // Three samples of two classes, all correct: one more could be wrong.
/// let predictions = Predictions::new(vec![0, 0, 1], vec![0.9, 0.1, 0.8, 0.2, 0.3, 0.7], 2)?;
/// let (value, interval) = class_metric_interval(&predictions, ClassMetric::BalancedAccuracy, 0.95)?;
/// assert_eq!((value, interval.high), (1.0, 1.0));
/// assert!(interval.low < 0.7);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn class_metric_interval(
    predictions: &Predictions,
    metric: ClassMetric,
    confidence: f64,
) -> Result<(f64, Interval), EvalError> {
    check_confidence(confidence)?;
    let counts = ConfusionMatrix::from(predictions);
    let value = metric.value(&counts);
    let below = half_width(&counts, metric, confidence, End::Low)?;
    let above = half_width(&counts, metric, confidence, End::High)?;
    // The classifier can differ from what such a sample shows, so the end on that side is extended.
    let bias = bias(&counts, metric);
    let (below, above) = (below + bias.max(0.0), above + (-bias).max(0.0));
    let lowest = match metric {
        ClassMetric::Matthews => -1.0,
        _ => 0.0,
    };
    let interval = Interval {
        low: (value - below).clamp(lowest, value),
        high: (value + above).clamp(value, value.max(1.0)),
        confidence,
    };
    Ok((value, interval))
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Low,
    High,
}

impl ClassMetric {
    fn value(self, counts: &ConfusionMatrix) -> f64 {
        let all_right = counts.correct() == counts.total();
        match self {
            // Sums of fractions may be a rounding error below 1.
            ClassMetric::Matthews if all_right && counts.n_present() > 1 => 1.0,
            ClassMetric::Matthews => Sums::of(counts).matthews(),
            _ if all_right => 1.0,
            _ => (0..counts.n_classes())
                .map(|class| self.part(counts, class, 0.0))
                .sum(),
        }
    }

    /// The change of the metric if `lost` more samples of a class were predicted as others.
    fn part(self, counts: &ConfusionMatrix, class: usize, lost: f64) -> f64 {
        let support = counts.support(class) as f64;
        if support == 0.0 {
            return 0.0;
        }
        let right = counts.right(class) as f64 - lost;
        let predicted = counts.predicted_total(class) as f64 - lost;
        let f1 = 2.0 * right / (support + predicted);
        let even = 1.0 / counts.n_present() as f64;
        let by_support = support / counts.total() as f64;
        match self {
            ClassMetric::BalancedAccuracy => even * (right / support),
            ClassMetric::MacroF1 => even * f1,
            ClassMetric::WeightedF1 => by_support * f1,
            ClassMetric::WeightedPrecision if predicted > 0.0 => by_support * (right / predicted),
            ClassMetric::WeightedPrecision | ClassMetric::Matthews => 0.0,
        }
    }

    /// The change of the metric if one more sample were wrongly predicted as `class`.
    fn cost_of_intruder(self, counts: &ConfusionMatrix, sums: &Sums, class: usize) -> f64 {
        let (support, right) = (counts.support(class) as f64, counts.right(class) as f64);
        let predicted = counts.predicted_total(class) as f64;
        let even = 1.0 / counts.n_present() as f64;
        let by_support = support / counts.total() as f64;
        let f1 = |weight: f64| -weight * 2.0 * right / (support + predicted).powi(2);
        match self {
            ClassMetric::Matthews => {
                sums.moved(0.0, support, 2.0 * predicted + 1.0).matthews() - sums.matthews()
            }
            _ if right == 0.0 => 0.0,
            ClassMetric::BalancedAccuracy => 0.0,
            ClassMetric::MacroF1 => f1(even),
            ClassMetric::WeightedF1 => f1(by_support),
            ClassMetric::WeightedPrecision => -by_support * right / (predicted * predicted),
        }
    }
}

/// The sums in Matthews' correlation.
#[derive(Clone, Copy)]
struct Sums {
    total: f64,
    right: f64,
    truth_by_truth: f64,
    truth_by_predicted: f64,
    predicted_by_predicted: f64,
}

impl Sums {
    fn of(counts: &ConfusionMatrix) -> Self {
        let dot = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(&a, &b)| a as f64 * b as f64).sum();
        Sums {
            total: counts.total() as f64,
            right: counts.correct() as f64,
            truth_by_truth: dot(counts.supports(), counts.supports()),
            truth_by_predicted: dot(counts.supports(), counts.predicted_totals()),
            predicted_by_predicted: dot(counts.predicted_totals(), counts.predicted_totals()),
        }
    }

    fn moved(mut self, right: f64, truth_by_predicted: f64, predicted_by_predicted: f64) -> Self {
        self.right += right;
        self.truth_by_predicted += truth_by_predicted;
        self.predicted_by_predicted += predicted_by_predicted;
        self
    }

    /// As in [`matthews_correlation`](crate::matthews_correlation).
    fn matthews(&self) -> f64 {
        let square = self.total * self.total;
        let (truth, predicted) = (
            square - self.truth_by_truth,
            square - self.predicted_by_predicted,
        );
        if truth <= 0.0 || predicted <= 0.0 {
            return 0.0;
        }
        let covariance = self.right * self.total - self.truth_by_predicted;
        (covariance / truth.sqrt() / predicted.sqrt()).clamp(-1.0, 1.0)
    }
}

/// The mean difference between the metric of a sample and that of the classifier. Precision and F1 are not
/// linear functions of the counts, which matters for classes with few samples.
///
/// For each class, the correct predictions are treated as binomial, and the mistakes of other classes predicted
/// as it as Poisson. Both have the rates of the sample, with two samples of the mean rate added as for the
/// interval.
fn bias(counts: &ConfusionMatrix, metric: ClassMetric) -> f64 {
    let weight = |class: usize| match metric {
        ClassMetric::MacroF1 => 1.0 / counts.n_present() as f64,
        _ => counts.support(class) as f64 / counts.total() as f64,
    };
    let of_counts: fn(f64, f64, f64) -> f64 = match metric {
        ClassMetric::WeightedPrecision => |_, right, intruders| right / (right + intruders),
        ClassMetric::MacroF1 | ClassMetric::WeightedF1 => {
            |n, right, intruders| 2.0 * right / (n + right + intruders)
        }
        ClassMetric::BalancedAccuracy | ClassMetric::Matthews => return 0.0,
    };
    let shared_recall = counts.correct() as f64 / counts.total() as f64;
    let shared_intruders = (counts.total() - counts.correct()) as f64 / counts.n_classes() as f64;
    let of_class = |class: usize| {
        let n = counts.support(class) as f64;
        let shrunk = |own: f64, shared: f64| (n * own + SHARED * shared) / (n + SHARED);
        let right = counts.right(class) as f64;
        let recall = shrunk(right / n, shared_recall);
        let intruders = shrunk(
            counts.predicted_total(class) as f64 - right,
            shared_intruders,
        );
        let of_sample = expected(
            counts.support(class),
            recall,
            intruders,
            |right, intruders| of_counts(n, right, intruders),
        );
        weight(class) * (of_sample - of_counts(n, n * recall, intruders))
    };
    (0..counts.n_classes())
        .filter(|class| (1..=FEW).contains(&counts.support(*class)))
        .map(of_class)
        .sum()
}

/// The mean of `of` over a binomial number of hits, at least one (without any it is 0), and a Poisson number of
/// intruders.
fn expected(n: u64, recall: f64, intruders: f64, of: impl Fn(f64, f64) -> f64) -> f64 {
    let intruders = poisson(intruders);
    let with_right = |(right, of_right): (usize, f64)| {
        let of_number = |(number, weight): &(f64, f64)| weight * of(right as f64, *number);
        of_right * intruders.iter().map(of_number).sum::<f64>()
    };
    binomial(n, recall)
        .into_iter()
        .enumerate()
        .skip(1)
        .map(with_right)
        .sum()
}

/// The probability of each number of hits in `n` draws. Computed draw by draw, so that nothing is divided and
/// no underflow changes the total.
fn binomial(n: u64, hit: f64) -> Vec<f64> {
    let mut weights = vec![0.0; n as usize + 1];
    weights[0] = 1.0;
    for drawn in 1..=n as usize {
        for hits in (0..=drawn).rev() {
            let one_less = hits.checked_sub(1).map_or(0.0, |less| weights[less]);
            weights[hits] = weights[hits] * (1.0 - hit) + one_less * hit;
        }
    }
    weights
}

/// Values of a Poisson distribution with their probabilities, from its middle outwards as far as they matter:
/// starting at the lower end, `exp(-mean)` would be 0 for large means.
fn poisson(mean: f64) -> Vec<(f64, f64)> {
    let (middle, reach) = (mean.floor(), 8.0 * mean.sqrt() + 8.0);
    let mut weights = vec![(middle, 1.0)];
    let (mut number, mut weight) = (middle, 1.0);
    while number < middle + reach {
        number += 1.0;
        weight *= mean / number;
        weights.push((number, weight));
    }
    (number, weight) = (middle, 1.0);
    while number > 0.0 && number > middle - reach {
        weight *= number / mean;
        number -= 1.0;
        weights.push((number, weight));
    }
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    weights.iter_mut().for_each(|(_, weight)| *weight /= sum);
    weights
}

/// A class in the linear form of a metric.
struct Stratum {
    /// Samples that count for the metric, out of `n`.
    hits: f64,
    n: f64,
    /// The slope of the metric in the fraction of hits, not negative.
    weight: f64,
    /// Variance that a miss adds by the class it is predicted as.
    scatter: f64,
}

fn half_width(
    counts: &ConfusionMatrix,
    metric: ClassMetric,
    confidence: f64,
    end: End,
) -> Result<f64, EvalError> {
    let strata = strata(counts, metric, confidence, end)?;
    let total_weight: f64 = strata.iter().map(|stratum| stratum.weight).sum();
    if total_weight == 0.0 {
        return Ok(0.0);
    }
    let estimate: f64 = strata
        .iter()
        .map(|stratum| stratum.weight * stratum.hits / stratum.n)
        .sum();
    let z = two_sided_quantile(confidence);
    let rejected = |t: f64| {
        let variance = variance_at(&strata, t, total_weight);
        (estimate - t) * (estimate - t) > z * z * variance
    };
    let (mut kept, mut beyond) = match end {
        End::Low => (estimate, 0.0),
        End::High => (estimate, total_weight),
    };
    if !rejected(beyond) {
        return Ok((estimate - beyond).abs());
    }
    for _ in 0..HALVINGS {
        let middle = 0.5 * (kept + beyond);
        if rejected(middle) {
            beyond = middle;
        } else {
            kept = middle;
        }
    }
    Ok((estimate - beyond).abs())
}

/// The classes with the slope of the metric in their recall, averaged over the recall's own interval towards
/// the end in question, because the metric need not be smooth.
fn strata(
    counts: &ConfusionMatrix,
    metric: ClassMetric,
    confidence: f64,
    end: End,
) -> Result<Vec<Stratum>, EvalError> {
    let sums = Sums::of(counts);
    let costs: Vec<f64> = (0..counts.n_classes())
        .map(|class| metric.cost_of_intruder(counts, &sums, class))
        .collect();
    let everywhere = Destinations::all_classes(&costs);
    let mut strata = Vec::with_capacity(counts.n_present());
    for class in 0..counts.n_classes() {
        let (support, right) = (counts.support(class), counts.right(class));
        if support == 0 {
            continue;
        }
        let n = support as f64;
        let own = wilson(right, support, confidence)?;
        let reached = match end {
            End::Low if right > 0 => own.low,
            End::High if right == support => own.low,
            _ => own.high,
        };
        let lost = right as f64 - n * reached;
        let destinations = match counts.mistaken(class) {
            [] => everywhere.without(costs[class]),
            errors => Destinations::of(errors, &costs),
        };
        // Matthews' correlation is no sum over classes: the effect of a class on itself is in the sums.
        let own_change = match metric {
            ClassMetric::Matthews => {
                let predicted = counts.predicted_total(class) as f64;
                let squares = lost * lost - 2.0 * predicted * lost;
                sums.moved(-lost, -n * lost, squares).matthews() - sums.matthews()
            }
            _ => metric.part(counts, class, lost) - metric.part(counts, class, 0.0),
        };
        let slope = n * (own_change / -lost - destinations.mean);
        let hits = match slope < 0.0 {
            true => support - right,
            false => right,
        };
        if slope != 0.0 {
            strata.push(Stratum {
                hits: hits as f64,
                n,
                weight: slope.abs(),
                scatter: if slope > 0.0 {
                    n * destinations.variance
                } else {
                    0.0
                },
            });
        }
    }
    Ok(strata)
}

/// The cost of a wrong prediction by its predicted class: mean and variance over the possible classes.
#[derive(Clone, Copy)]
struct Destinations {
    mean: f64,
    variance: f64,
    sum: f64,
    squares: f64,
    count: f64,
}

impl Destinations {
    fn of(errors: &[(u32, u64)], costs: &[f64]) -> Self {
        let costs = errors
            .iter()
            .map(|&(to, count)| (costs[to as usize], count as f64));
        Self::new(costs)
    }

    fn all_classes(costs: &[f64]) -> Self {
        Self::new(costs.iter().map(|&cost| (cost, 1.0)))
    }

    fn new(costs: impl Iterator<Item = (f64, f64)>) -> Self {
        let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
        for (cost, times) in costs {
            sum += times * cost;
            squares += times * cost * cost;
            count += times;
        }
        Self::from_sums(sum, squares, count)
    }

    fn from_sums(sum: f64, squares: f64, count: f64) -> Self {
        let mean = sum / count;
        Destinations {
            mean,
            variance: (squares / count - mean * mean).max(0.0),
            sum,
            squares,
            count,
        }
    }

    /// The same without one class.
    fn without(&self, cost: f64) -> Self {
        Self::from_sums(
            self.sum - cost,
            self.squares - cost * cost,
            self.count - 1.0,
        )
    }
}

/// The variance of the linear form under the most likely fractions of hits for which it equals `t`.
///
/// The likelihood of each class includes [`SHARED`] additional samples with the mean fraction. Lagrange's
/// condition `hits / p - misses / (1 - p) = multiplier * weight` is a quadratic equation in p, and the form
/// falls with the multiplier.
fn variance_at(strata: &[Stratum], t: f64, total_weight: f64) -> f64 {
    let mean = t / total_weight;
    let form = |multiplier: f64| -> f64 {
        let of = |stratum: &Stratum| stratum.weight * stratum.fraction(mean, multiplier);
        strata.iter().map(of).sum()
    };
    let largest = strata
        .iter()
        .fold(0.0, |max: f64, stratum| max.max(stratum.weight));
    let (mut low, mut high) = (-1.0 / largest, 1.0 / largest);
    for _ in 0..HALVINGS {
        if form(low) >= t {
            break;
        }
        low *= 4.0;
    }
    for _ in 0..HALVINGS {
        if form(high) <= t {
            break;
        }
        high *= 4.0;
    }
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if form(middle) > t {
            low = middle;
        } else {
            high = middle;
        }
    }
    let multiplier = 0.5 * (low + high);
    strata
        .iter()
        .map(|stratum| {
            let p = stratum.fraction(mean, multiplier);
            stratum.weight * stratum.weight * p * (1.0 - p) / stratum.n
                + stratum.scatter * (1.0 - p)
        })
        .sum()
}

impl Stratum {
    fn fraction(&self, mean: f64, multiplier: f64) -> f64 {
        let (hits, n) = (self.hits + SHARED * mean, self.n + SHARED);
        let pull = multiplier * self.weight;
        let sum = n + pull;
        let root = ((n - pull) * (n - pull) + 4.0 * pull * (n - hits))
            .max(0.0)
            .sqrt();
        // Of the two forms of the root, the one without cancellation.
        let p = match sum >= 0.0 {
            true => 2.0 * hits / (sum + root),
            false => (sum - root) / (2.0 * pull),
        };
        match p.is_nan() {
            true => mean,
            false => p.clamp(0.0, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{averages, balanced_accuracy, matthews_correlation};

    const ALL: [ClassMetric; 5] = [
        ClassMetric::BalancedAccuracy,
        ClassMetric::MacroF1,
        ClassMetric::WeightedPrecision,
        ClassMetric::WeightedF1,
        ClassMetric::Matthews,
    ];

    fn answers(cells: &[(u32, u32, usize)], n_classes: usize) -> Predictions {
        let (mut labels, mut logits) = (Vec::new(), Vec::new());
        for &(label, answer, count) in cells {
            for _ in 0..count {
                labels.push(label);
                logits.extend(
                    (0..n_classes).map(|class| f32::from(u8::from(class as u32 == answer))),
                );
            }
        }
        Predictions::from_logits(labels, logits, n_classes).unwrap()
    }

    #[test]
    fn values_are_those_of_the_confusion_matrix() {
        let cells = [
            (0, 0, 30),
            (0, 1, 4),
            (1, 1, 7),
            (1, 3, 2),
            (2, 0, 5),
            (2, 2, 1),
        ];
        let predictions = answers(&cells, 5);
        let matrix = ConfusionMatrix::from(&predictions);
        let averages = averages(&matrix);
        let expected = [
            balanced_accuracy(&matrix),
            averages.macro_average.f1,
            averages.weighted_average.precision,
            averages.weighted_average.f1,
            matthews_correlation(&matrix),
        ];
        for (metric, expected) in ALL.into_iter().zip(expected) {
            let (value, interval) = class_metric_interval(&predictions, metric, 0.95).unwrap();
            assert!(
                (value - expected).abs() < 1e-12,
                "{metric:?}: {value} {expected}"
            );
            assert!(
                interval.contains(value) && interval.width() > 0.05,
                "{metric:?}"
            );
        }
    }

    #[test]
    fn a_perfect_answer_keeps_its_width() {
        for (n, least) in [(1, 0.3), (20, 0.04), (500, 0.001)] {
            let predictions = answers(&[(0, 0, n), (1, 1, n)], 2);
            for metric in ALL {
                let (value, interval) = class_metric_interval(&predictions, metric, 0.95).unwrap();
                assert_eq!((value, interval.high), (1.0, 1.0), "{metric:?}");
                assert!(1.0 - interval.low > least, "{metric:?} {n}: {interval:?}");
            }
        }
    }

    #[test]
    fn a_majority_answer_is_told_from_a_good_one() {
        // 80 of the large class and four of the rare one, all predicted as the large one.
        let predictions = answers(&[(0, 0, 80), (1, 0, 4)], 2);
        let metric = ClassMetric::BalancedAccuracy;
        let (value, interval) = class_metric_interval(&predictions, metric, 0.95).unwrap();
        assert_eq!(value, 0.5);
        assert!(interval.high < 0.8 && interval.high > 0.6, "{interval:?}");
    }

    #[test]
    fn a_class_that_is_absent_changes_nothing() {
        let cells = [(0, 0, 9), (0, 1, 1), (1, 1, 5)];
        for metric in ALL {
            let of = |n_classes| {
                class_metric_interval(&answers(&cells, n_classes), metric, 0.95).unwrap()
            };
            let ((value, two), (same, three)) = (of(2), of(3));
            assert_eq!(value, same);
            assert!((two.low - three.low).abs() < 0.1 && (two.high - three.high).abs() < 0.1);
        }
    }

    #[test]
    fn the_distributions_are_whole_and_have_their_moments() {
        for (n, hit) in [(1, 0.0), (1, 1.0), (7, 0.3), (30, 1.0 - 1e-12), (30, 1e-12)] {
            let weights = binomial(n, hit);
            let mean: f64 = (0..)
                .zip(&weights)
                .map(|(hits, weight)| f64::from(hits) * weight)
                .sum();
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!((mean - n as f64 * hit).abs() < 1e-9, "{n} {hit}: {mean}");
        }
        for mean in [0.0, 1e-9, 0.3, 7.0, 900.0, 123_456.7] {
            let weights = poisson(mean);
            let moment = |power: i32| -> f64 {
                weights
                    .iter()
                    .map(|(number, weight)| weight * (number - mean).powi(power))
                    .sum()
            };
            assert!((moment(0) - 1.0).abs() < 1e-12 && moment(1).abs() < 1e-6 * mean.max(1.0));
            assert!(
                (moment(2) - mean).abs() <= 1e-6 * mean.max(1e-3),
                "{mean}: {}",
                moment(2)
            );
        }
    }

    /// A rare class with a thousand false positives, and a perfect result: neither has a bias. The first has an
    /// F1 of 0.02, which the variation of the thousand changes by a thousandth.
    #[test]
    fn the_bias_is_small_where_nothing_is_uncertain() {
        let flooded = [(0, 0, 99_000), (0, 1, 1_000), (1, 1, 10)];
        let perfect = [(0, 0, 3), (1, 1, 3)];
        for metric in ALL {
            let of = |cells| bias(&ConfusionMatrix::from_cells(2, cells).unwrap(), metric);
            let flooded = of(flooded.to_vec());
            assert!(flooded.abs() < 0.02 / 1_000.0, "{metric:?}: {flooded}");
            assert_eq!(of(perfect.to_vec()), 0.0, "{metric:?}");
        }
    }

    #[test]
    fn ten_thousand_classes_take_a_moment() {
        let n_classes = 10_000;
        let cells = (0..n_classes as u32).flat_map(|class| match class % 2 {
            0 => vec![
                (class, class, 1),
                (class, (class + 2) % n_classes as u32, 1),
            ],
            _ => vec![(class, class, 2)],
        });
        let counts = ConfusionMatrix::from_cells(n_classes, cells).unwrap();
        let start = std::time::Instant::now();
        for metric in ALL {
            for end in [End::Low, End::High] {
                assert!(half_width(&counts, metric, 0.95, end).unwrap() > 0.0);
            }
        }
        // A guard against a loop over all pairs of classes, not a measurement.
        assert!(start.elapsed().as_secs() < 60);
    }
}
