//! Random inputs for the property tests.

use mlestar_eval::Predictions;
use proptest::collection::vec;
use proptest::prelude::*;

/// Up to 60 samples of 2 to 6 classes; the probabilities are sixteenths, so that ties, zeros and ones are common.
pub fn predictions() -> impl Strategy<Value = Predictions> {
    (2usize..=6, 1usize..=60).prop_flat_map(|(n_classes, n)| {
        let labels = vec(0..n_classes as u32, n);
        let cuts = vec(vec(0u32..=16, n_classes - 1), n);
        (labels, cuts).prop_map(move |(labels, cuts)| {
            let probabilities = cuts.into_iter().flat_map(sixteenths).collect();
            Predictions::new(labels, probabilities, n_classes).unwrap()
        })
    })
}

/// The gaps between sorted cut points of 0..=16, which sum to 1 exactly.
fn sixteenths(mut cuts: Vec<u32>) -> Vec<f64> {
    cuts.push(16);
    cuts.sort_unstable();
    let mut before = 0;
    cuts.into_iter()
        .map(|cut| f64::from(cut - std::mem::replace(&mut before, cut)) / 16.0)
        .collect()
}

/// Truth and scores of up to 60 samples with many equal scores; possibly one-sided.
pub fn binary() -> impl Strategy<Value = (Vec<bool>, Vec<f64>)> {
    vec((any::<bool>(), -8i32..=8), 1..60).prop_map(|samples| {
        samples
            .into_iter()
            .map(|(truth, score)| (truth, f64::from(score) / 4.0))
            .unzip()
    })
}

/// Labels and logits of up to 60 samples of 2 to 6 classes, from undecided to far beyond where probabilities round to
/// 0 and 1; some logits are equal.
pub fn logits() -> impl Strategy<Value = Predictions> {
    (2usize..=6, 1usize..=60).prop_flat_map(|(n_classes, n)| {
        let values = prop_oneof![-3.0f32..3.0, -200.0f32..200.0, Just(0.0), Just(50.0)];
        (vec(0..n_classes as u32, n), vec(values, n * n_classes)).prop_map(
            move |(labels, values)| Predictions::from_logits(labels, values, n_classes).unwrap(),
        )
    })
}
