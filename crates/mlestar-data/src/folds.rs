//! Cross-validation: the parts of a set that take turns at being held out.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use mlestar_random::Stream;

/// How a set is cut into parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoldsRequest<'a> {
    /// Parts to make.
    pub n_folds: usize,
    /// The seed of every random choice.
    pub seed: u64,
    /// What the parts are for; it keys the random choices, as `seed` does.
    pub purpose: &'a str,
    /// Which of several repetitions, from 0; each cuts the set another way.
    pub repetition: u64,
}

/// Cuts the indices of `labels` into `n_folds` disjoint parts that hold all of them and are stratified by class. `groups`
/// has a number for each index, or is `None`; indices with the same number are in one part.
///
/// Without groups, the numbers of a class's images in two parts differ by at most 1, and so do the sizes of the parts. With
/// groups, the largest groups come first, in an order drawn at random among groups of one size, and each goes to the part
/// where the classes' shares then differ least between parts, and of equal ones to the smallest. Each part is ascending.
/// Empty parts are left out, so there are fewer parts than asked for where there are fewer images or groups.
///
/// ```
/// use mlestar_data::folds::{FoldsRequest, folds};
/// let request = FoldsRequest { n_folds: 2, seed: 7, purpose: "example", repetition: 0 };
/// let labels = [0, 0, 0, 0, 1, 1, 1, 1];
/// for fold in folds(&labels, None, request) {
///     assert_eq!(fold.iter().filter(|index| labels[**index] == 1).count(), 2);
/// }
/// let groups = [3, 3, 4, 4, 3, 3, 4, 4];
/// let grouped = folds(&labels, Some(&groups), request);
/// assert!(grouped.contains(&vec![0, 1, 4, 5]) && grouped.contains(&vec![2, 3, 6, 7]));
/// ```
///
/// # Panics
/// If `groups` has fewer numbers than there are labels.
pub fn folds(labels: &[u32], groups: Option<&[u32]>, request: FoldsRequest<'_>) -> Vec<Vec<usize>> {
    let mut folds = match groups {
        None => stratified(labels, request),
        Some(groups) => grouped(labels, groups, request),
    };
    folds.retain(|fold| !fold.is_empty());
    folds.iter_mut().for_each(|fold| fold.sort_unstable());
    folds
}

/// Deals the images of one class after the other, so that the next class begins where the last one ended.
fn stratified(labels: &[u32], request: FoldsRequest<'_>) -> Vec<Vec<usize>> {
    let mut of_class: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, label) in labels.iter().enumerate() {
        of_class.entry(*label).or_default().push(index);
    }
    let mut folds = vec![Vec::new(); request.n_folds.max(1)];
    let n_folds = folds.len();
    let mut dealt = 0;
    for (class, mut members) in of_class {
        let (purpose, repetition) = (request.purpose, request.repetition);
        Stream::new(request.seed, purpose, repetition, u64::from(class)).shuffle(&mut members);
        for index in members {
            folds[dealt % n_folds].push(index);
            dealt += 1;
        }
    }
    folds
}

/// A group: its indices, and its number of images of each class.
#[derive(Default)]
struct Group {
    members: Vec<usize>,
    classes: BTreeMap<u32, usize>,
}

fn grouped(labels: &[u32], numbers: &[u32], request: FoldsRequest<'_>) -> Vec<Vec<usize>> {
    let mut by_number: BTreeMap<u32, Group> = BTreeMap::new();
    let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
    for (index, label) in labels.iter().enumerate() {
        let group = by_number.entry(numbers[index]).or_default();
        group.members.push(index);
        *group.classes.entry(*label).or_default() += 1;
        *sizes.entry(*label).or_default() += 1;
    }
    let mut groups: Vec<Group> = by_number.into_values().collect();
    let (purpose, repetition) = (request.purpose, request.repetition);
    // No class has this number.
    Stream::new(request.seed, purpose, repetition, u64::MAX).shuffle(&mut groups);
    groups.sort_by_key(|group| Reverse(group.members.len()));
    let mut folds = vec![Vec::new(); request.n_folds.max(1)];
    let mut counts: Vec<BTreeMap<u32, usize>> = vec![BTreeMap::new(); folds.len()];
    for group in groups {
        // Adding n images of a class to a part that has c of them raises the sum of squares by n (2c + n), so the
        // smallest rise keeps the parts alike.
        let rise = |fold: usize| -> f64 {
            let of_class = group.classes.iter().map(|(class, n)| {
                let held = counts[fold].get(class).copied().unwrap_or(0) as f64;
                let size = sizes[class] as f64;
                *n as f64 * (2.0 * held + *n as f64) / (size * size)
            });
            of_class.sum()
        };
        let better = |a: &usize, b: &usize| {
            let by_size = folds[*a].len().cmp(&folds[*b].len());
            rise(*a).total_cmp(&rise(*b)).then(by_size)
        };
        // There is at least one part.
        let fold = (0..folds.len()).min_by(better).unwrap_or(0);
        folds[fold].extend(&group.members);
        for (class, n) in &group.classes {
            *counts[fold].entry(*class).or_default() += n;
        }
    }
    folds
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(n_folds: usize, seed: u64) -> FoldsRequest<'static> {
        FoldsRequest {
            n_folds,
            seed,
            purpose: "test",
            repetition: 0,
        }
    }

    fn is_partition(folds: &[Vec<usize>], n: usize) -> bool {
        let mut all = folds.concat();
        all.sort_unstable();
        all == (0..n).collect::<Vec<_>>()
    }

    #[test]
    fn seed_purpose_and_repetition_decide() {
        let labels: Vec<u32> = (0..40).map(|index| index % 2).collect();
        let groups: Vec<u32> = (0..40).map(|index| index / 3).collect();
        for groups in [None, Some(&groups[..])] {
            let first = folds(&labels, groups, request(4, 1));
            assert_eq!(first, folds(&labels, groups, request(4, 1)));
            for other in [
                request(4, 2),
                FoldsRequest {
                    purpose: "other",
                    ..request(4, 1)
                },
                FoldsRequest {
                    repetition: 1,
                    ..request(4, 1)
                },
            ] {
                assert_ne!(first, folds(&labels, groups, other));
            }
        }
    }

    #[test]
    fn fewer_images_than_parts_make_fewer_parts() {
        assert_eq!(folds(&[0, 1], None, request(5, 1)), [[0], [1]]);
        assert_eq!(
            folds(&[0, 1, 1], Some(&[4, 4, 4]), request(5, 1)),
            [[0, 1, 2]]
        );
        assert!(folds(&[], None, request(5, 1)).is_empty());
        assert_eq!(folds(&[0], None, request(0, 1)), [[0]]);
    }

    /// Groups of one class and one size, as frames of short videos: as even as single images.
    #[test]
    fn equal_groups_are_spread_evenly() {
        let groups: Vec<u32> = (0..120).map(|index| index / 6).collect();
        let labels: Vec<u32> = groups.iter().map(|group| group % 2).collect();
        for fold in folds(&labels, Some(&groups), request(5, 3)) {
            let ones = fold.iter().filter(|index| labels[**index] == 1).count();
            assert_eq!((fold.len(), ones), (24, 12));
        }
    }

    proptest! {
        #[test]
        fn parts_are_disjoint_complete_and_stratified(
            labels in prop::collection::vec(0_u32..5, 0..200), n_folds in 1_usize..9, seed in any::<u64>(),
        ) {
            let folds = folds(&labels, None, request(n_folds, seed));
            prop_assert!(is_partition(&folds, labels.len()));
            prop_assert_eq!(folds.len(), n_folds.min(labels.len()));
            for class in 0..5 {
                let of_class = |fold: &Vec<usize>| fold.iter().filter(|i| labels[**i] == class).count();
                let counts: Vec<usize> = folds.iter().map(of_class).collect();
                let (low, high) = (counts.iter().min(), counts.iter().max());
                prop_assert!(high.unwrap_or(&0) - low.unwrap_or(&0) <= 1, "{:?}", counts);
            }
        }

        #[test]
        fn a_group_is_in_one_part(
            members in prop::collection::vec((0_u32..4, 0_u32..30), 0..200),
            n_folds in 1_usize..9, seed in any::<u64>(),
        ) {
            let (labels, groups): (Vec<u32>, Vec<u32>) = members.into_iter().unzip();
            let folds = folds(&labels, Some(&groups), request(n_folds, seed));
            prop_assert!(is_partition(&folds, labels.len()));
            let mut part_of = BTreeMap::new();
            for (part, fold) in folds.iter().enumerate() {
                prop_assert!(fold.is_sorted());
                for index in fold {
                    prop_assert_eq!(*part_of.entry(groups[*index]).or_insert(part), part);
                }
            }
        }
    }
}
