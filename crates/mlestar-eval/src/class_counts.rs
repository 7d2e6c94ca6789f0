use std::collections::BTreeMap;

use crate::Predictions;

/// What a confusion matrix counts, without its zeros: with many classes most cells are empty.
pub(crate) struct ClassCounts {
    pub(crate) total: u64,
    /// Samples of each class.
    pub(crate) supports: Vec<u64>,
    /// Those of them that are predicted right.
    pub(crate) right: Vec<u64>,
    /// Samples predicted as each class.
    pub(crate) predicted: Vec<u64>,
    /// Of each class, which others it is taken for, and how often.
    pub(crate) errors: Vec<Vec<(u32, u64)>>,
    /// Classes with a sample.
    pub(crate) n_present: usize,
}

impl ClassCounts {
    pub(crate) fn of(predictions: &Predictions) -> Self {
        let n_classes = predictions.n_classes();
        let mut supports = vec![0; n_classes];
        let mut right = vec![0; n_classes];
        let mut predicted = vec![0; n_classes];
        let mut wrong: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        let answers = predictions
            .labels()
            .iter()
            .zip(predictions.predicted_labels());
        for (&label, &answer) in answers {
            supports[label as usize] += 1;
            predicted[answer as usize] += 1;
            if label == answer {
                right[label as usize] += 1;
            } else {
                *wrong.entry((label, answer)).or_default() += 1;
            }
        }
        let mut errors = vec![Vec::new(); n_classes];
        for ((label, answer), count) in wrong {
            errors[label as usize].push((answer, count));
        }
        ClassCounts {
            total: predictions.len() as u64,
            n_present: supports.iter().filter(|&&support| support > 0).count(),
            supports,
            right,
            predicted,
            errors,
        }
    }

    pub(crate) fn n_classes(&self) -> usize {
        self.supports.len()
    }
}
