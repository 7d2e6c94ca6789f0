//! Measures how well colour and layout alone separate the classes: simple classifiers are fitted to training
//! images and evaluated on validation images.

mod features;
mod linear_probe;

use self::features::Features;
use self::linear_probe::LinearProbe;
use crate::ImageSet;
use crate::split::stratified_subset;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Maximum number of training images used.
const MOST_REFERENCES: usize = 10_000;
/// Maximum number of validation images classified.
const MOST_QUERIES: usize = 2_000;
/// Number of neighbours that vote.
const NEIGHBOURS: usize = 5;
/// Number of class pairs that are listed.
const LISTED_PAIRS: usize = 5;

/// Results of simple classifiers on mean colours over a coarse grid. All accuracies are fractions of the
/// classified validation images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Separability {
    /// Rows and columns of the grid of mean colours.
    pub grid: [usize; 2],
    /// Values per image: 3 x rows x columns.
    pub n_features: usize,
    /// Number of training images used.
    pub n_references: usize,
    /// Number of validation images classified.
    pub n_queries: usize,
    /// Accuracy of always predicting the most frequent training class.
    pub majority_accuracy: f64,
    /// Accuracy of the class with the nearest mean.
    pub centroid_accuracy: f64,
    /// Accuracy of a vote of the nearest neighbours.
    pub neighbour_accuracy: f64,
    /// Number of neighbours that vote.
    pub n_neighbours: usize,
    /// Accuracy of a linear classifier (ridge regression).
    pub linear_accuracy: f64,
    /// Accuracy of the same linear classifier on mirrored images.
    pub linear_accuracy_mirrored: f64,
    /// Share of the variance of the features that lies between the classes' means, 0-1.
    pub between_class_share: f64,
    /// Mean over all pairs of classes of the fraction of their images that the neighbours confuse.
    pub mean_pair_confusion: f64,
    /// The pairs that the neighbours confuse most, worst first.
    pub confused_pairs: Vec<PairConfusion>,
}

/// Two classes and how often the nearest neighbours confuse them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairConfusion {
    /// The two classes.
    pub classes: [String; 2],
    /// Images of one class that were classified as the other.
    pub n_confused: u64,
    /// Images of both.
    pub n_pictures: u64,
    /// `n_confused / n_pictures`.
    pub fraction: f64,
}

impl Separability {
    /// The best accuracy of the simple classifiers.
    #[must_use]
    pub fn best_simple_accuracy(&self) -> f64 {
        self.centroid_accuracy
            .max(self.neighbour_accuracy)
            .max(self.linear_accuracy)
    }
}

/// Measures separability; `None` if a split is empty or the classes cannot be fitted.
#[must_use]
pub fn measure(train: &ImageSet, validation: &ImageSet, seed: u64) -> Option<Separability> {
    let references = stratified_subset(train.labels(), MOST_REFERENCES.min(train.len()), seed);
    let queries = stratified_subset(
        validation.labels(),
        MOST_QUERIES.min(validation.len()),
        seed,
    );
    if references.is_empty() || queries.is_empty() {
        return None;
    }
    let n_classes = train.n_classes();
    let known = Features::of(train, &references, false);
    let asked = Features::of(validation, &queries, false);
    let mirrored = Features::of(validation, &queries, true);
    let probe = LinearProbe::fit(&known, n_classes)?;
    let centroids = Centroids::of(&known, n_classes);
    let neighbours = vote_of_neighbours(&known, &asked);
    let pairs = pair_confusions(&neighbours, asked.labels(), train.classes());
    let n_pairs = (n_classes * (n_classes.max(1) - 1) / 2).max(1) as f64;
    Some(Separability {
        grid: known.grid(),
        n_features: known.dimension(),
        n_references: known.len(),
        n_queries: asked.len(),
        majority_accuracy: fraction_equal(&vec![majority(train); asked.len()], asked.labels()),
        centroid_accuracy: fraction_equal(&centroids.classify_all(&asked), asked.labels()),
        neighbour_accuracy: fraction_equal(&neighbours, asked.labels()),
        n_neighbours: NEIGHBOURS.min(known.len()),
        linear_accuracy: probe.accuracy(&asked),
        linear_accuracy_mirrored: probe.accuracy(&mirrored),
        between_class_share: centroids.between_share(&known),
        mean_pair_confusion: pairs.iter().map(|pair| pair.fraction).sum::<f64>() / n_pairs,
        confused_pairs: pairs.into_iter().take(LISTED_PAIRS).collect(),
    })
}

fn fraction_equal(predicted: &[u32], labels: &[u32]) -> f64 {
    let n_equal = predicted.iter().zip(labels).filter(|(a, b)| a == b).count();
    n_equal as f64 / labels.len().max(1) as f64
}

/// The most frequent class (ties: the lowest index).
fn majority(set: &ImageSet) -> u32 {
    let counts = set.class_counts();
    let largest = counts.iter().max().copied().unwrap_or(0);
    counts
        .iter()
        .position(|count| *count == largest)
        .unwrap_or(0) as u32
}

struct Centroids {
    /// `None` for a class without images.
    means: Vec<Option<Vec<f64>>>,
    counts: Vec<usize>,
}

impl Centroids {
    fn of(features: &Features, n_classes: usize) -> Self {
        let mut sums = vec![vec![0.0; features.dimension()]; n_classes];
        let mut counts = vec![0; n_classes];
        for index in 0..features.len() {
            let class = features.labels()[index] as usize;
            counts[class] += 1;
            for (sum, value) in sums[class].iter_mut().zip(features.row(index)) {
                *sum += f64::from(*value);
            }
        }
        let means = sums
            .into_iter()
            .zip(&counts)
            .map(|(sum, count)| {
                (*count > 0).then(|| sum.iter().map(|value| value / *count as f64).collect())
            })
            .collect();
        Self { means, counts }
    }

    fn classify_all(&self, features: &Features) -> Vec<u32> {
        let classify = |index: usize| {
            let row = features.row(index);
            let mut best = (0, f64::INFINITY);
            for (class, mean) in self.means.iter().enumerate() {
                let Some(mean) = mean else { continue };
                let distance = squared_distance_to(mean, row);
                if distance < best.1 {
                    best = (class as u32, distance);
                }
            }
            best.0
        };
        (0..features.len()).into_par_iter().map(classify).collect()
    }

    /// Variance of the classes' means over the whole variance.
    fn between_share(&self, features: &Features) -> f64 {
        let n = features.len() as f64;
        let mut total_mean = vec![0.0; features.dimension()];
        for (mean, count) in self.means.iter().zip(&self.counts) {
            for (total, value) in total_mean.iter_mut().zip(mean.iter().flatten()) {
                *total += value * *count as f64 / n;
            }
        }
        let distances: Vec<f64> = (0..features.len())
            .map(|index| squared_distance_to(&total_mean, features.row(index)))
            .collect();
        let total: f64 = distances.iter().sum();
        let between: f64 = self
            .means
            .iter()
            .zip(&self.counts)
            .filter_map(|(mean, count)| {
                let mean = mean.as_ref()?;
                let squares = mean.iter().zip(&total_mean).map(|(a, b)| (a - b) * (a - b));
                Some(squares.sum::<f64>() * *count as f64)
            })
            .sum();
        if total > 0.0 { between / total } else { 0.0 }
    }
}

fn squared_distance_to(mean: &[f64], row: &[f32]) -> f64 {
    let differences = mean
        .iter()
        .zip(row)
        .map(|(mean, value)| mean - f64::from(*value));
    differences.map(|difference| difference * difference).sum()
}

/// The majority of the nearest neighbours; if tied, the class of the nearest of them.
fn vote_of_neighbours(known: &Features, asked: &Features) -> Vec<u32> {
    let classify = |query: usize| {
        // (distance, index), nearest first.
        let mut nearest: Vec<(f32, usize)> = Vec::with_capacity(NEIGHBOURS + 1);
        for reference in 0..known.len() {
            let distance = squared_distance(asked.row(query), known.row(reference));
            let worst = nearest.last().map_or(f32::INFINITY, |last| last.0);
            if nearest.len() < NEIGHBOURS || distance < worst {
                let place = nearest.partition_point(|other| other.0 <= distance);
                nearest.insert(place, (distance, reference));
                nearest.truncate(NEIGHBOURS);
            }
        }
        let voters = || nearest.iter().map(|(_, index)| known.labels()[*index]);
        let votes = |class: u32| voters().filter(|voter| *voter == class).count();
        let most = voters().map(votes).max().unwrap_or(0);
        voters().find(|class| votes(*class) == most).unwrap_or(0)
    };
    (0..asked.len()).into_par_iter().map(classify).collect()
}

/// Eight running sums keep the order of additions fixed and let the compiler use vectors.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = left.remainder().iter().zip(right.remainder());
    let mut total: f32 = rest.map(|(a, b)| (a - b) * (a - b)).sum();
    for (left, right) in left.zip(right) {
        for lane in 0..8 {
            let difference = left[lane] - right[lane];
            sums[lane] += difference * difference;
        }
    }
    for sum in sums {
        total += sum;
    }
    total
}

/// Every confused pair of classes, worst first (ties: in class order).
fn pair_confusions(predicted: &[u32], labels: &[u32], classes: &[String]) -> Vec<PairConfusion> {
    let mut counts = vec![0_u64; classes.len()];
    // Only pairs that occur: 10,000 classes have 50 million pairs.
    let mut confused: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    for (predicted, label) in predicted.iter().zip(labels) {
        counts[*label as usize] += 1;
        if predicted != label {
            let pair = (*predicted.min(label), *predicted.max(label));
            *confused.entry(pair).or_default() += 1;
        }
    }
    let mut pairs: Vec<PairConfusion> = confused
        .into_iter()
        .map(|((low, high), n_confused)| {
            let pair = [low as usize, high as usize];
            let n_pictures = pair.iter().map(|class| counts[*class]).sum();
            PairConfusion {
                classes: pair.map(|class| classes[class].clone()),
                n_confused,
                n_pictures,
                fraction: n_confused as f64 / n_pictures as f64,
            }
        })
        .collect();
    pairs.sort_by(|a, b| b.fraction.total_cmp(&a.fraction));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{flat_set, noise_set};

    #[test]
    fn classes_of_different_colour_are_told_apart_by_everything() {
        // Class 0 is black and class 1 white, apart from small noise.
        let train = flat_set(&[[10, 10, 10], [240, 240, 240]], 30, 1);
        let validation = flat_set(&[[10, 10, 10], [240, 240, 240]], 10, 2);
        let found = measure(&train, &validation, 1).unwrap();
        assert_eq!(found.centroid_accuracy, 1.0);
        assert_eq!(found.neighbour_accuracy, 1.0);
        assert_eq!(found.linear_accuracy, 1.0);
        assert_eq!(found.majority_accuracy, 0.5);
        assert!(found.between_class_share > 0.99);
        assert!(found.confused_pairs.is_empty());
        assert_eq!(found.mean_pair_confusion, 0.0);
    }

    #[test]
    fn noise_is_not_told_apart_and_names_its_pairs() {
        let found = measure(&noise_set(3, 40, 1), &noise_set(3, 40, 2), 1).unwrap();
        assert!(found.best_simple_accuracy() < 0.55, "{found:?}");
        assert!(found.between_class_share < 0.1);
        assert_eq!(found.confused_pairs.len(), 3);
        let worst = &found.confused_pairs[0];
        assert_eq!(worst.n_pictures, 80);
        assert!(worst.fraction >= found.mean_pair_confusion);
    }

    #[test]
    fn the_same_pictures_give_the_same_figures() {
        let (train, validation) = (noise_set(4, 50, 1), noise_set(4, 20, 2));
        assert_eq!(
            measure(&train, &validation, 9),
            measure(&train, &validation, 9)
        );
        let empty = train.select(&[]).unwrap();
        assert_eq!(measure(&empty, &validation, 9), None);
        assert_eq!(measure(&train, &empty, 9), None);
    }

    #[test]
    fn pairs_are_counted_both_ways() {
        let classes = ["a", "b", "c"].map(String::from);
        let pairs = pair_confusions(&[1, 0, 0, 2], &[0, 1, 0, 2], &classes);
        assert_eq!(pairs.len(), 1);
        assert_eq!((pairs[0].n_confused, pairs[0].n_pictures), (2, 3));
    }
}
