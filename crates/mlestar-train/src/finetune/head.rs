//! The head of a pretrained network: its last linear layer, fitted to the images at hand.

use mlestar_data::{folds::FoldsRequest, split::stratified_subset};
use mlestar_eval::softmax_rows;

use super::logistic::{LinearHead, Problem, Samples};
use crate::{HeadFit, TriedStrength};

/// The inverse strengths of the penalty that are tried, from the strongest penalty.
const STRENGTHS: [f64; 7] = [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0];
/// Parts of the training images for cross-validation.
const FOLDS: usize = 5;
/// Training images that choose the strength, at most. 2,000 give the mean loss of a fold a standard error of a few
/// hundredths.
const MAX_CHOOSING: usize = 2000;

/// A head and how it was fitted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FittedHead {
    pub head: LinearHead,
    pub record: HeadFit,
}

/// Fits the head on all samples, with the strength whose cross-validated loss is lowest; of equal ones, the stronger
/// penalty. `None` if it was asked to stop.
pub(crate) fn fit_head(
    samples: Samples<'_>,
    seed: u64,
    is_stopped: &dyn Fn() -> bool,
) -> Option<FittedHead> {
    let folds = folds(&samples, seed);
    let mut losses = [0.0; STRENGTHS.len()];
    let n: usize = folds.iter().map(Vec::len).sum();
    for held_out in 0..folds.len() {
        if folds.len() == 1 {
            break;
        }
        let others = (0..folds.len()).filter(|&fold| fold != held_out);
        let mut rows: Vec<usize> = others
            .flat_map(|fold| folds[fold].iter().copied())
            .collect();
        rows.sort_unstable();
        let problem = Problem::new(samples, rows);
        let mut parameters = problem.start();
        for (c, loss) in STRENGTHS.into_iter().zip(&mut losses) {
            if is_stopped() {
                return None;
            }
            // The last strength's fit is a good start.
            parameters = problem.fit(c, parameters);
            let head = problem.head(&parameters);
            *loss += folds[held_out]
                .iter()
                .map(|&row| loss_of(&head, &samples, row))
                .sum::<f64>();
        }
    }
    let mean = |loss: f64| loss / n.max(1) as f64;
    let losses = losses.map(mean);
    let tried = |(c, loss)| TriedStrength { c, loss };
    let tried: Vec<TriedStrength> = STRENGTHS.into_iter().zip(losses).map(tried).collect();
    let mut best = tried[0];
    for &strength in &tried {
        if strength.loss < best.loss {
            best = strength;
        }
    }
    let problem = Problem::new(samples, (0..samples.labels.len()).collect());
    let head = problem.head(&problem.fit(best.c, problem.start()));
    (!is_stopped()).then_some(FittedHead {
        head,
        record: HeadFit { c: best.c, tried },
    })
}

/// Cross-entropy of a row.
fn loss_of(head: &LinearHead, samples: &Samples<'_>, row: usize) -> f64 {
    let features = &samples.features[row * samples.width..][..samples.width];
    let probabilities = softmax_rows(&head.logits(features), samples.n_classes);
    -probabilities[samples.labels[row] as usize].max(1e-300).ln()
}

/// Disjoint rows, stratified by class: at most [`MAX_CHOOSING`] in [`FOLDS`] parts, with the images of a group in one of
/// them. A class of fewer rows is absent from some parts.
fn folds(samples: &Samples<'_>, seed: u64) -> Vec<Vec<usize>> {
    let n = samples.labels.len();
    let rows: Vec<usize> = match n > MAX_CHOOSING {
        true => stratified_subset(samples.labels, MAX_CHOOSING, seed),
        false => (0..n).collect(),
    };
    let (labels, groups) = samples.kinds_of(&rows);
    let request = FoldsRequest {
        n_folds: FOLDS,
        seed,
        purpose: "folds of the head",
        repetition: 0,
    };
    let mut parts = mlestar_data::folds::folds(&labels, groups.as_deref(), request);
    if parts.len() < 2 && groups.is_some() {
        // A single group cannot be held out, and any choice is better than none.
        parts = mlestar_data::folds::folds(&labels, None, request);
    }
    let back = |part: Vec<usize>| part.into_iter().map(|place| rows[place]).collect();
    parts.into_iter().map(back).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_random::Stream;

    fn samples<'a>(features: &'a [f32], labels: &'a [u32]) -> Samples<'a> {
        Samples {
            features,
            width: 1,
            labels,
            n_classes: 3,
            class_weights: &[],
            groups: None,
        }
    }

    #[test]
    fn folds_are_disjoint_stratified_and_cover_a_small_set() {
        let labels: Vec<u32> = (0..100).map(|row| u32::from(row % 10 == 0)).collect();
        let features = vec![0.0; 100];
        let folds = folds(&samples(&features, &labels), 7);
        let mut rows = folds.concat();
        rows.sort_unstable();
        assert_eq!(rows, (0..100).collect::<Vec<_>>());
        for fold in &folds {
            let rare = fold.iter().filter(|&&row| labels[row] == 1).count();
            assert_eq!((fold.len(), rare), (20, 2));
        }
    }

    #[test]
    fn a_large_set_lends_a_part_of_its_rows() {
        let labels: Vec<u32> = (0..6000).map(|row| row % 3).collect();
        let features = vec![0.0; 6000];
        assert_eq!(folds(&samples(&features, &labels), 7).concat().len(), 2000);
    }

    #[test]
    fn a_group_is_in_one_part_unless_there_is_only_one() {
        let labels: Vec<u32> = (0..60).map(|row| row % 3).collect();
        let features = vec![0.0; 60];
        let parts_of = |group_size: u32| {
            let groups: Vec<u32> = (0..60).map(|row| row / group_size).collect();
            let samples = Samples {
                groups: Some(&groups),
                ..samples(&features, &labels)
            };
            let parts = folds(&samples, 7);
            let is_cut = parts.iter().any(|part| {
                let others = parts.iter().filter(|other| *other != part).flatten();
                let mut others = others.map(|row| groups[*row]);
                others.any(|group| part.iter().any(|row| groups[*row] == group))
            });
            (parts.len(), is_cut)
        };
        assert_eq!(parts_of(6), (5, false));
        assert_eq!(parts_of(30), (2, false));
        assert_eq!(parts_of(60), (5, true));
    }

    #[test]
    fn features_that_say_nothing_get_the_strongest_penalty_and_good_ones_a_weak_one() {
        let labels: Vec<u32> = (0..300).map(|row| row % 3).collect();
        let mut stream = Stream::new(1, "noise", 0, 0);
        let noise: Vec<f32> = labels.iter().map(|_| stream.uniform() as f32).collect();
        let by_noise = fit_head(samples(&noise, &labels), 1, &|| false).unwrap();
        assert!(by_noise.record.c <= 1e-3, "{:?}", by_noise.record);
        let good: Vec<f32> = labels
            .iter()
            .zip(&noise)
            .map(|(&l, x)| l as f32 + 0.4 * x)
            .collect();
        let by_good = fit_head(samples(&good, &labels), 1, &|| false).unwrap();
        assert!(by_good.record.c >= 1.0, "{:?}", by_good.record);
        let right = good.iter().zip(&labels).filter(|(x, label)| {
            let logits = by_good.head.logits(&[**x]);
            (0..3).all(|class| logits[class] <= logits[**label as usize])
        });
        assert!(right.count() >= 295);
        assert_eq!(fit_head(samples(&good, &labels), 1, &|| true), None);
    }

    #[test]
    fn a_single_row_is_enough() {
        let fitted = fit_head(samples(&[2.0], &[1]), 1, &|| false).unwrap();
        assert!(fitted.head.bias.iter().all(|bias| bias.is_finite()));
    }
}
