//! The curve of a sweep: smoothing, when to stop, and how to read it.

use serde::{Deserialize, Serialize};

/// Weight of the earlier losses in the smoothed loss.
const BETA: f64 = 0.98;
/// A smoothed loss this many times above the lowest one has diverged.
const DIVERGED: f64 = 4.0;
/// The first tenth of a curve is ignored, because its smoothed losses are means of few batches.
const LEFT_OUT_AT_START: usize = 10;
/// The last points of a sweep that diverged are ignored.
const LEFT_OUT_AT_END: usize = 5;
/// In the first third of a sweep, the network has not learned anything yet.
const EARLY: usize = 3;
/// Mean losses are computed over windows of a tenth of the sweep, but at least five steps.
const STRETCH: usize = 10;
const SHORTEST_STRETCH: usize = 5;
/// A window this many standard errors below guessing means that the network learns. At their lowest, nine
/// sweeps over noise stayed 0.7 to 3.9 standard errors above guessing; twelve sweeps over learnable data came
/// to at least 2.6 below.
const SURE: f64 = 2.0;
/// Factor between a suggestion and the rate with the lowest loss, at which learning stops.
const BELOW_MINIMUM: f64 = 10.0;

/// One step of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// Step, from 1.
    pub step: usize,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Loss of the batch before the update.
    pub loss: f64,
    /// Exponentially smoothed loss, corrected for its start at 0.
    pub smoothed_loss: f64,
}

/// Learning rates read from the smoothed curve over the logarithm of the rate. All are `None` if nothing was
/// learned ([`LrFindOutcome::guessing`](super::LrFindOutcome::guessing)), if the smoothed loss did not fall, or
/// if there are too few points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Suggestions {
    /// The middle of the longest stretch of falling loss: between the first and the last point of the longest
    /// descending subsequence of the curve. Of several equally long ones, the last counts. This is fastai's
    /// default rule.
    pub valley: Option<f64>,
    /// The rate at which the loss falls fastest.
    pub steepest: Option<f64>,
    /// A tenth of the rate with the lowest loss, but not below the first rate of the curve.
    pub minimum_tenth: Option<f64>,
}

impl Suggestions {
    /// The recommended rate: the valley's.
    #[must_use]
    pub fn suggested(&self) -> Option<f64> {
        self.valley
    }
}

/// A curve to which points are added.
#[derive(Debug, Default)]
pub(super) struct Curve {
    points: Vec<SweepPoint>,
    /// The smoothed loss before the correction.
    average: f64,
    lowest: f64,
}

impl Curve {
    /// Adds the finite loss of the next step.
    pub(super) fn push(&mut self, learning_rate: f64, loss: f64) -> SweepPoint {
        let step = self.points.len() + 1;
        self.average = BETA * self.average + (1.0 - BETA) * loss;
        let smoothed_loss = self.average / (1.0 - BETA.powf(step as f64));
        self.lowest = match step {
            1 => smoothed_loss,
            _ => self.lowest.min(smoothed_loss),
        };
        let point = SweepPoint {
            step,
            learning_rate,
            loss,
            smoothed_loss,
        };
        self.points.push(point);
        point
    }

    pub(super) fn has_diverged(&self) -> bool {
        self.points
            .last()
            .is_some_and(|point| point.smoothed_loss > DIVERGED * self.lowest)
    }

    pub(super) fn into_points(self) -> Vec<SweepPoint> {
        self.points
    }
}

/// Whether the loss of some window of a sweep was clearly below the loss of guessing. If that is not known, the
/// steps with rates too low to learn are used instead.
///
/// From its initial weights, a network falls to the loss of guessing even if there is nothing to learn. The raw
/// losses are used, because smoothed ones lag behind by half of such a window.
fn has_learnt(points: &[SweepPoint], guessing: Option<f64>) -> bool {
    let losses: Vec<f64> = points.iter().map(|point| point.loss).collect();
    let early = &losses[..losses.len() / EARLY];
    let stretch = (losses.len() / STRETCH).max(SHORTEST_STRETCH);
    if early.len() < 2 || losses.len() < stretch {
        return false;
    }
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let usual = mean(early);
    let squares = early.iter().map(|loss| (loss - usual).powi(2)).sum::<f64>();
    let deviation = (squares / (early.len() - 1) as f64).sqrt();
    let lowest = losses
        .windows(stretch)
        .map(mean)
        .fold(f64::INFINITY, f64::min);
    lowest < guessing.unwrap_or(usual) - SURE * deviation / (stretch as f64).sqrt()
}

/// Reads the suggestions from the points of a sweep, given the loss of guessing if it is known.
pub(super) fn suggest(
    points: &[SweepPoint],
    has_diverged: bool,
    guessing: Option<f64>,
) -> Suggestions {
    if !has_learnt(points, guessing) {
        return Suggestions::default();
    }
    let start = points.len() / LEFT_OUT_AT_START;
    let end = match has_diverged {
        true => points.len().saturating_sub(LEFT_OUT_AT_END),
        false => points.len(),
    };
    let Some([first, rest @ ..]) = points.get(start..end) else {
        return Suggestions::default();
    };
    let by_loss = |a: &&SweepPoint, b: &&SweepPoint| a.smoothed_loss.total_cmp(&b.smoothed_loss);
    let lowest = rest.iter().min_by(by_loss);
    let Some(lowest) = lowest.filter(|lowest| lowest.smoothed_loss < first.smoothed_loss) else {
        return Suggestions::default();
    };
    let tenth = lowest.learning_rate / BELOW_MINIMUM;
    Suggestions {
        valley: valley(&points[start..end]),
        steepest: steepest(&points[start..end]),
        minimum_tenth: Some(tenth.max(first.learning_rate)),
    }
}

/// The rate at the start of the steepest fall between two neighbours.
fn steepest(points: &[SweepPoint]) -> Option<f64> {
    let slope = |pair: &[SweepPoint]| {
        (pair[1].smoothed_loss - pair[0].smoothed_loss)
            / (pair[1].learning_rate / pair[0].learning_rate).ln()
    };
    let falls = points
        .windows(2)
        .map(|pair| (pair[0].learning_rate, slope(pair)))
        .filter(|(_, slope)| *slope < 0.0);
    falls.min_by(|a, b| a.1.total_cmp(&b.1)).map(|fall| fall.0)
}

/// The rate in the middle between the ends of the longest descending subsequence.
fn valley(points: &[SweepPoint]) -> Option<f64> {
    // Of the descending subsequences that end at a point, the largest (length, start).
    let mut best: Vec<(usize, usize)> = Vec::with_capacity(points.len());
    for (end, point) in points.iter().enumerate() {
        let longest = best
            .iter()
            .zip(points)
            .filter(|(_, earlier)| earlier.smoothed_loss > point.smoothed_loss)
            .map(|(&(length, start), _)| (length + 1, start))
            .max();
        best.push(longest.unwrap_or((1, end)));
    }
    let (end, &(length, start)) = best
        .iter()
        .enumerate()
        .reduce(|a, b| if b.1 > a.1 { b } else { a })?;
    (length > 1).then(|| points[(start + end) / 2].learning_rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(index: usize) -> f64 {
        1e-5 * 1.2_f64.powi(index as i32)
    }

    /// Points with these smoothed losses.
    fn points(losses: &[f64]) -> Vec<SweepPoint> {
        let point = |(index, &loss): (usize, &f64)| SweepPoint {
            step: index + 1,
            learning_rate: rate(index),
            loss,
            smoothed_loss: loss,
        };
        losses.iter().enumerate().map(point).collect()
    }

    #[test]
    fn smoothing_is_the_weighted_mean_of_what_was_seen() {
        let losses = [3.0, 2.0, 4.0, 1.0];
        let mut curve = Curve::default();
        for (index, &loss) in losses.iter().enumerate() {
            let found = curve.push(rate(index), loss);
            let weight = |i: usize| BETA.powi((index - i) as i32);
            let sum: f64 = (0..=index).map(weight).sum();
            let expected: f64 = (0..=index).map(|i| weight(i) * losses[i]).sum::<f64>() / sum;
            assert!((found.smoothed_loss - expected).abs() < 1e-12);
        }
        assert_eq!(curve.into_points().len(), 4);
    }

    #[test]
    fn four_times_the_lowest_loss_is_diverged() {
        let mut curve = Curve::default();
        curve.push(rate(0), 2.0);
        curve.push(rate(1), 1.0);
        assert!(!curve.has_diverged());
        // The mean of three must be above 4 x 1.5.
        curve.push(rate(2), 14.0);
        assert!(!curve.has_diverged());
        curve.push(rate(3), 14.0);
        assert!(curve.has_diverged());
    }

    /// Flat, a fall with its steepest part in the middle, then a rise.
    #[test]
    fn suggestions_are_where_their_rules_say() {
        let mut losses = vec![2.0; 20];
        losses.extend([1.9, 1.7, 1.4, 0.9, 0.7, 0.6, 0.55, 0.52, 0.51, 0.505]);
        losses.extend([0.6, 0.9, 1.5, 2.4, 5.0, 9.0, 20.0, 50.0]);
        let found = suggest(&points(&losses), true, Some(2.0));
        let is = |found: Option<f64>, expected: f64| {
            assert!(
                (found.unwrap() / expected - 1.0).abs() < 1e-12,
                "{found:?}, {expected}"
            );
        };
        // From 1.4 to 0.9.
        is(found.steepest, rate(22));
        is(found.minimum_tenth, rate(29) / 10.0);
        // From the last flat point, 2.0 at 19, to 0.505 at 29.
        is(found.valley, rate(24));
        assert_eq!(found.suggested(), found.valley);
    }

    /// A network that starts above the loss of guessing falls to it without learning anything.
    #[test]
    fn a_fall_to_the_loss_of_guessing_suggests_nothing() {
        let noise = |index: usize| 0.02 * ((index * 7919 % 13) as f64 / 6.0 - 1.0);
        let curve = |lowest: f64| -> Vec<f64> {
            let fall = |index: usize| match index {
                0..40 => 0.8,
                40..60 => 0.8 - (0.8 - lowest) * (index - 39) as f64 / 20.0,
                _ => lowest,
            };
            (0..80).map(|index| fall(index) + noise(index)).collect()
        };
        let guessing = Some(2.0_f64.ln());
        let none = suggest(&points(&curve(0.693)), false, guessing);
        assert_eq!(none, Suggestions::default());
        assert!(
            suggest(&points(&curve(0.66)), false, guessing)
                .valley
                .is_some()
        );
        assert!(
            suggest(&points(&curve(0.693)), false, None)
                .valley
                .is_some()
        );
    }

    #[test]
    fn a_curve_that_does_not_fall_suggests_nothing() {
        for losses in [
            vec![],
            vec![1.0],
            vec![2.0; 40],
            (0..40).map(f64::from).collect(),
        ] {
            assert_eq!(
                suggest(&points(&losses), false, None),
                Suggestions::default()
            );
            assert_eq!(
                suggest(&points(&losses), true, None),
                Suggestions::default()
            );
        }
    }

    proptest! {
        #[test]
        fn suggestions_lie_within_the_sweep(
            losses in proptest::collection::vec(0.01_f64..5.0, 0..80), has_diverged: bool,
            guessing in proptest::option::of(0.1_f64..5.0),
        ) {
            let points = points(&losses);
            let found = suggest(&points, has_diverged, guessing);
            for suggestion in [found.valley, found.steepest, found.minimum_tenth].into_iter().flatten() {
                prop_assert!(suggestion >= points[losses.len() / 10].learning_rate);
                prop_assert!(suggestion <= points[losses.len() - 1].learning_rate);
            }
            let fell = [found.valley, found.steepest, found.minimum_tenth].map(|s| s.is_some());
            prop_assert!(fell == [true; 3] || fell == [false; 3], "{:?}", found);
        }
    }
}
