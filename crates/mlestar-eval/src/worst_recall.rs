use crate::error::check_confidence;
use crate::{ConfusionMatrix, EvalError, Interval, Predictions, wilson};

/// The class with the smallest recall.
#[derive(Debug, Clone, PartialEq)]
pub struct WorstRecall {
    /// Index of the class; of equal ones, the first.
    pub class: usize,
    /// Its samples.
    pub support: u64,
    /// Its recall, 0-1.
    pub recall: f64,
    /// Interval of the smallest recall of any class that occurs, whichever class that is.
    pub interval: Interval,
    /// Number of classes without a sample, about which nothing is known.
    pub absent: Vec<usize>,
}

/// The smallest recall of the classes that occur, with an interval that accounts for the selection.
///
/// The smallest observed recall is too low on average, increasingly so with more classes. The upper end is the
/// smallest of the classes' upper ends, which must hold for all k classes at once: each is exact (Clopper and
/// Pearson 1934) and gets a k-th of the error (Bonferroni), `(1 - confidence) / 2k`. The lower end is the
/// smallest of the classes' Wilson intervals; it must hold only for the truly worst class and needs no
/// correction.
///
/// # Errors
/// [`EvalError::ParameterOutOfRange`] for an invalid confidence.
///
/// ```
/// use mlestar_eval::{Predictions, worst_recall};
/// let predictions = Predictions::new(vec![0, 1, 1], vec![0.9, 0.1, 0.2, 0.8, 0.6, 0.4], 2)?;
/// let worst = worst_recall(&predictions, 0.95)?;
/// assert_eq!((worst.class, worst.support, worst.recall), (1, 2, 0.5));
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn worst_recall(predictions: &Predictions, confidence: f64) -> Result<WorstRecall, EvalError> {
    check_confidence(confidence)?;
    let counts = ConfusionMatrix::from(predictions);
    let tail = 0.5 * (1.0 - confidence) / counts.n_present() as f64;
    let mut worst = WorstRecall {
        class: 0,
        support: 0,
        recall: f64::INFINITY,
        interval: Interval {
            low: 1.0,
            high: 1.0,
            confidence,
        },
        absent: Vec::new(),
    };
    for class in 0..counts.n_classes() {
        let (support, right) = (counts.support(class), counts.right(class));
        if support == 0 {
            worst.absent.push(class);
            continue;
        }
        let recall = right as f64 / support as f64;
        if recall < worst.recall {
            (worst.class, worst.support, worst.recall) = (class, support, recall);
        }
        let interval = &mut worst.interval;
        interval.low = interval.low.min(wilson(right, support, confidence)?.low);
        interval.high = interval.high.min(upper_end(right, support, tail));
    }
    Ok(worst)
}

/// The largest fraction of hits for which at most `right` of `n` hits have a probability of at least `tail`.
fn upper_end(right: u64, n: u64, tail: f64) -> f64 {
    if right == n {
        return 1.0;
    }
    let (mut low, mut high) = (right as f64 / n as f64, 1.0);
    for _ in 0..52 {
        let middle = 0.5 * (low + high);
        if lower_tail(right, n, middle) > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Probability of at most `hits` of `n`, each with probability `p` strictly between 0 and 1.
fn lower_tail(hits: u64, n: u64, p: f64) -> f64 {
    let (odds, n) = ((p / (1.0 - p)).ln(), n as f64);
    let mut term = n * (1.0 - p).ln();
    let mut sum = term.exp();
    for hit in 1..=hits {
        let hit = hit as f64;
        term += ((n - hit + 1.0) / hit).ln() + odds;
        sum += term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_ends_are_those_of_clopper_and_pearson() {
        // statsmodels.stats.proportion.proportion_confint(right, n, alpha, method="beta"), upper ends.
        for (right, n, tail, expected) in [
            (0, 1, 0.025, 0.975),
            (8, 10, 0.0025, 0.9923936656251925),
            (499, 500, 0.025, 0.9999493656659926),
            (3, 1000, 0.0001, 0.015811428288311495),
            (180, 400, 0.005, 0.5156120537647156),
        ] {
            let found = upper_end(right, n, tail);
            assert!((found - expected).abs() < 1e-11, "{right} of {n}: {found}");
        }
        assert_eq!(upper_end(5, 5, 0.025), 1.0);
    }

    #[test]
    fn the_interval_holds_the_value_and_absent_classes_are_named() {
        let one_hot = |class: usize| (0..4).map(move |c| f64::from(u8::from(c == class)));
        let rows = [0, 0, 1, 0].into_iter().flat_map(one_hot).collect();
        let predictions = Predictions::new(vec![0, 0, 1, 1], rows, 4).unwrap();
        let worst = worst_recall(&predictions, 0.95).unwrap();
        assert_eq!((worst.class, worst.support, worst.recall), (1, 2, 0.5));
        assert_eq!(worst.absent, [2, 3]);
        assert!(worst.interval.contains(0.5));
        // The lower end is that of the class, the upper end is wider than Wilson's.
        let wilson = wilson(1, 2, 0.95).unwrap();
        assert_eq!(worst.interval.low, wilson.low);
        assert!(worst.interval.high > wilson.high);
        assert!(worst_recall(&predictions, 95.0).is_err());
    }
}
