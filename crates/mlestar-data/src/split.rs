//! Stratified, seeded splits and subsets. They work on labels alone, so that nothing has to be
//! read before it is known to be needed.

use mlestar_random::Stream;

/// Splits the indices of `labels` into those that stay and those that are held out.
///
/// Each class is shuffled by itself, by a stream that belongs to (`seed`, `purpose`, class), and
/// gives `fraction` of its pictures, rounded up or down so that the whole comes as near to
/// `fraction` as it can. A class of two or more pictures has at least one on either side (for a
/// fraction above 0 and below 1). Every index is in exactly one of the two lists, and both are
/// ascending. A fraction outside 0-1 is brought to the nearer end, and NaN to 0.
///
/// ```
/// use mlestar_data::split::stratified_split;
/// let labels = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1];
/// let (stay, held_out) = stratified_split(&labels, 0.5, 7, "validation split");
/// assert_eq!((stay.len(), held_out.len()), (5, 5));
/// assert_eq!(held_out.iter().filter(|i| labels[**i] == 0).count(), 3);
/// ```
pub fn stratified_split(
    labels: &[u32],
    fraction: f64,
    seed: u64,
    purpose: &str,
) -> (Vec<usize>, Vec<usize>) {
    let fraction = if fraction.is_nan() {
        0.0
    } else {
        fraction.clamp(0.0, 1.0)
    };
    let groups = shuffled_groups(labels, seed, purpose);
    let sizes: Vec<usize> = groups.iter().map(|(_, members)| members.len()).collect();
    let ideals: Vec<f64> = sizes.iter().map(|n| fraction * *n as f64).collect();
    let inside = fraction > 0.0 && fraction < 1.0;
    let bounds: Vec<(usize, usize)> = ideals
        .iter()
        .zip(&sizes)
        .map(|(ideal, n)| {
            let (low, high) = (floor(*ideal), ceil(*ideal).min(*n));
            if inside && *n >= 2 {
                (low.max(1), high.clamp(1, n - 1))
            } else {
                (low, high)
            }
        })
        .collect();
    let quotas = apportion(
        &ideals,
        &bounds,
        (fraction * labels.len() as f64).round() as usize,
    );
    let (mut stay, mut held_out) = (Vec::new(), Vec::new());
    for ((_, members), quota) in groups.iter().zip(quotas) {
        held_out.extend_from_slice(&members[..quota]);
        stay.extend_from_slice(&members[quota..]);
    }
    stay.sort_unstable();
    held_out.sort_unstable();
    (stay, held_out)
}

/// `n` of the indices of `labels`, ascending, with the classes in the same proportions; all indices
/// when there are no more than `n`.
///
/// Each class gives its share rounded up or down, but at least one picture when `n` is at least the
/// number of classes.
///
/// ```
/// use mlestar_data::split::stratified_subset;
/// let labels = [0, 1, 0, 1, 0, 1, 0, 1];
/// let subset = stratified_subset(&labels, 4, 7);
/// assert_eq!(subset.iter().filter(|i| labels[**i] == 0).count(), 2);
/// ```
pub fn stratified_subset(labels: &[u32], n: usize, seed: u64) -> Vec<usize> {
    subset_with_minimum(labels, n, 1, seed)
}

/// As [`stratified_subset`], with at least `minimum` pictures of every class that has as many, when
/// `n` allows it. Where the minimum takes more than a class's share, the largest classes give.
pub(crate) fn subset_with_minimum(
    labels: &[u32],
    n: usize,
    minimum: usize,
    seed: u64,
) -> Vec<usize> {
    if n >= labels.len() {
        return (0..labels.len()).collect();
    }
    let groups = shuffled_groups(labels, seed, "subset");
    let sizes: Vec<usize> = groups.iter().map(|(_, members)| members.len()).collect();
    let share = n as f64 / labels.len() as f64;
    let ideals: Vec<f64> = sizes.iter().map(|size| share * *size as f64).collect();
    let bounds: Vec<(usize, usize)> = ideals
        .iter()
        .zip(&sizes)
        .map(|(ideal, size)| (floor(*ideal), ceil(*ideal).min(*size)))
        .collect();
    let mut quotas = apportion(&ideals, &bounds, n);
    let needed: Vec<usize> = sizes.iter().map(|size| minimum.min(*size)).collect();
    if needed.iter().sum::<usize>() <= n {
        raise_to_minimum(&mut quotas, &needed);
    }
    let mut chosen = Vec::with_capacity(n);
    for ((_, members), quota) in groups.iter().zip(quotas) {
        chosen.extend_from_slice(&members[..quota]);
    }
    chosen.sort_unstable();
    chosen
}

/// Moves single pictures from the classes with the most to spare to those below their minimum.
fn raise_to_minimum(quotas: &mut [usize], needed: &[usize]) {
    while let Some(poor) = (0..quotas.len()).find(|i| quotas[*i] < needed[*i]) {
        let spare = |i: &usize| quotas[*i].saturating_sub(needed[*i]);
        // `max_by_key` takes the last of equals; reversed, it is the first.
        let Some(rich) = (0..quotas.len())
            .rev()
            .max_by_key(spare)
            .filter(|i| spare(i) > 0)
        else {
            return;
        };
        quotas[rich] -= 1;
        quotas[poor] += 1;
    }
}

/// The classes that occur, ascending, each with its indices in an order drawn for it alone.
fn shuffled_groups(labels: &[u32], seed: u64, purpose: &str) -> Vec<(u32, Vec<usize>)> {
    let mut by_class: std::collections::BTreeMap<u32, Vec<usize>> =
        std::collections::BTreeMap::new();
    for (index, label) in labels.iter().enumerate() {
        by_class.entry(*label).or_default().push(index);
    }
    for (label, members) in &mut by_class {
        Stream::new(seed, purpose, 0, u64::from(*label)).shuffle(members);
    }
    by_class.into_iter().collect()
}

/// Whole numbers within `bounds` that are as near to `ideals` as they can be with a sum as near to
/// `total` as the bounds allow (the largest-remainder method; the first of equals goes first).
fn apportion(ideals: &[f64], bounds: &[(usize, usize)], total: usize) -> Vec<usize> {
    let mut quotas: Vec<usize> = bounds.iter().map(|(low, _)| *low).collect();
    let mut order: Vec<usize> = (0..ideals.len())
        .filter(|i| bounds[*i].1 > bounds[*i].0)
        .collect();
    order.sort_by(|a, b| {
        let remainder = |i: usize| ideals[i] - bounds[i].0 as f64;
        remainder(*b).total_cmp(&remainder(*a))
    });
    let missing = total.saturating_sub(quotas.iter().sum());
    for i in order.into_iter().take(missing) {
        quotas[i] += 1;
    }
    quotas
}

/// Products of a fraction and a count miss whole numbers by a rounding error, never by this much.
const ROUNDING: f64 = 1e-9;

fn floor(value: f64) -> usize {
    (value + ROUNDING).floor() as usize
}

fn ceil(value: f64) -> usize {
    (value - ROUNDING).ceil().max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(labels: &[u32], indices: &[usize]) -> Vec<usize> {
        let mut counts = vec![0; labels.iter().max().map_or(0, |m| *m as usize + 1)];
        for index in indices {
            counts[labels[*index] as usize] += 1;
        }
        counts
    }

    #[test]
    fn balanced_classes_split_exactly() {
        let labels: Vec<u32> = (0..50_000).map(|i| i % 10).collect();
        let (stay, held_out) = stratified_split(&labels, 0.1, 3, "validation split");
        assert_eq!(counts(&labels, &stay), vec![4500; 10]);
        assert_eq!(counts(&labels, &held_out), vec![500; 10]);
    }

    #[test]
    fn seed_and_purpose_decide() {
        let labels: Vec<u32> = (0..100).map(|i| i % 2).collect();
        let of = |seed, purpose| stratified_split(&labels, 0.3, seed, purpose);
        assert_eq!(of(1, "a"), of(1, "a"));
        assert_ne!(of(1, "a"), of(2, "a"));
        assert_ne!(of(1, "a"), of(1, "b"));
    }

    #[test]
    fn fractions_outside_the_range_take_nothing_or_all() {
        let labels = [0, 0, 1];
        for (fraction, held_out) in [(-1.0, 0), (0.0, 0), (f64::NAN, 0), (1.0, 3), (7.0, 3)] {
            assert_eq!(
                stratified_split(&labels, fraction, 1, "p").1.len(),
                held_out,
                "{fraction}"
            );
        }
        assert_eq!(stratified_split(&[], 0.5, 1, "p"), (vec![], vec![]));
    }

    #[test]
    fn a_rare_class_keeps_a_picture_in_a_small_subset() {
        let labels: Vec<u32> = std::iter::repeat_n(0, 991).chain(1..10).collect();
        let subset = stratified_subset(&labels, 10, 1);
        assert_eq!(counts(&labels, &subset), vec![1; 10]);
        let subset = stratified_subset(&labels, 5, 1);
        assert_eq!(subset.len(), 5);
    }

    fn labels() -> impl Strategy<Value = Vec<u32>> {
        (1_u32..8).prop_flat_map(|k| prop::collection::vec(0..k, 0..300))
    }

    proptest! {
        #[test]
        fn splits_are_disjoint_complete_and_stratified(
            labels in labels(), fraction in 0.0_f64..=1.0, seed in any::<u64>(),
        ) {
            let (stay, held_out) = stratified_split(&labels, fraction, seed, "p");
            prop_assert!(stay.is_sorted() && held_out.is_sorted());
            let mut all = [stay.clone(), held_out.clone()].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
            let every: Vec<usize> = (0..labels.len()).collect();
            let (n, n_out) = (counts(&labels, &every), counts(&labels, &held_out));
            for (n, n_out) in n.iter().zip(n_out) {
                let ideal = fraction * *n as f64;
                prop_assert!((n_out as f64 - ideal).abs() < 1.0 + 1e-6, "{} of {} at {}", n_out, n, fraction);
                if *n >= 2 && fraction > 0.0 && fraction < 1.0 {
                    prop_assert!(n_out >= 1 && n_out < *n);
                }
            }
        }

        #[test]
        fn subsets_have_the_size_asked_for_and_every_class(
            labels in labels(), share in 0.0_f64..1.5, seed in any::<u64>(),
        ) {
            let n = (share * labels.len() as f64) as usize;
            let subset = stratified_subset(&labels, n, seed);
            prop_assert_eq!(subset.len(), n.min(labels.len()));
            prop_assert!(subset.windows(2).all(|w| w[0] < w[1]));
            let every: Vec<usize> = (0..labels.len()).collect();
            let all = counts(&labels, &every);
            if n >= all.iter().filter(|c| **c > 0).count() {
                let chosen = counts(&labels, &subset);
                prop_assert!(all.iter().zip(chosen).all(|(all, chosen)| *all == 0 || chosen > 0));
            }
        }
    }
}
