//! Stratified, seeded splits and subsets. They need only labels, so images are read only if they are needed.

use std::collections::BTreeMap;

use mlestar_random::Stream;

/// Splits the indices of `labels` into those that remain and those that are held out.
///
/// Each class is shuffled separately, by a stream for (`seed`, `purpose`, class), and gives `fraction` of its
/// images, rounded up or down so that the total is as close to `fraction` as possible. A class of two or more
/// images has at least one on either side (for a fraction above 0 and below 1). Every index is in exactly one
/// of the two lists, and both are ascending. A fraction outside 0-1 is clamped, and NaN becomes 0.
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

/// Like [`stratified_split`], but all indices of a group are on the same side. `groups` has a number for each
/// index, equal for those that belong together; a group may hold several classes.
///
/// First, every class gives the one group that brings the held-out shares of all classes closest to `fraction`.
/// Then groups are tried in an order drawn by (`seed`, `purpose`), as long as they bring the shares closer. At
/// least `keep` groups of every class remain.
///
/// # Errors
/// The first class of which no group can be held out while `keep` remain.
///
/// ```
/// use mlestar_data::split::grouped_split;
/// let labels = [0, 0, 0, 0, 1, 1, 1, 1];
/// let groups = [0, 0, 1, 1, 2, 2, 3, 3];
/// let (stay, held_out) = grouped_split(&labels, &groups, 0.5, 1, 7, "test split").unwrap();
/// assert_eq!((stay.len(), held_out.len()), (4, 4));
/// assert!(held_out.iter().all(|i| stay.iter().all(|j| groups[*i] != groups[*j])));
/// assert_eq!(grouped_split(&labels, &groups, 0.5, 2, 7, "test split"), Err(0));
/// ```
pub fn grouped_split(
    labels: &[u32],
    groups: &[u32],
    fraction: f64,
    keep: usize,
    seed: u64,
    purpose: &str,
) -> Result<(Vec<usize>, Vec<usize>), u32> {
    let mut split = GroupedSplit::new(labels, groups, fraction, keep);
    let mut order: Vec<usize> = (0..split.groups.len()).collect();
    Stream::new(seed, purpose, 0, 0).shuffle(&mut order);
    let mut with_class: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for group in &order {
        for class in split.groups[*group].keys() {
            with_class.entry(*class).or_default().push(*group);
        }
    }
    // Classes with the fewest groups have the least choice, so they come first.
    let mut classes: Vec<(u32, Vec<usize>)> = with_class.into_iter().collect();
    classes.sort_by_key(|(_, groups)| groups.len());
    for (class, groups) in classes {
        if split.classes[&class].held_out == 0.0 {
            let best = groups
                .iter()
                .filter(|group| split.can_leave(**group))
                .min_by(|a, b| split.change(**a).total_cmp(&split.change(**b)));
            split.hold_out(*best.ok_or(class)?);
        }
    }
    for group in order {
        if !split.is_held_out[group] && split.can_leave(group) && split.change(group) < 0.0 {
            split.hold_out(group);
        }
    }
    Ok((0..labels.len()).partition(|index| !split.is_held_out[split.group_of[*index]]))
}

/// The state of a class while groups are chosen.
struct ClassShare {
    n: f64,
    wanted: f64,
    held_out: f64,
    n_groups_left: usize,
}

struct GroupedSplit {
    /// The position of each index's group in `groups`.
    group_of: Vec<usize>,
    /// The number of images of each class in a group.
    groups: Vec<BTreeMap<u32, usize>>,
    is_held_out: Vec<bool>,
    classes: BTreeMap<u32, ClassShare>,
    keep: usize,
}

impl GroupedSplit {
    fn new(labels: &[u32], numbers: &[u32], fraction: f64, keep: usize) -> Self {
        let mut places = BTreeMap::new();
        let mut groups: Vec<BTreeMap<u32, usize>> = Vec::new();
        let mut group_of = Vec::with_capacity(labels.len());
        for (label, number) in labels.iter().zip(numbers) {
            let place = *places.entry(*number).or_insert_with(|| {
                groups.push(BTreeMap::new());
                groups.len() - 1
            });
            *groups[place].entry(*label).or_insert(0) += 1;
            group_of.push(place);
        }
        let mut classes = BTreeMap::new();
        for (class, n) in groups.iter().flatten() {
            let share = classes.entry(*class).or_insert(ClassShare {
                n: 0.0,
                wanted: 0.0,
                held_out: 0.0,
                n_groups_left: 0,
            });
            share.n += *n as f64;
            share.wanted += fraction * *n as f64;
            share.n_groups_left += 1;
        }
        Self {
            is_held_out: vec![false; groups.len()],
            group_of,
            groups,
            classes,
            keep,
        }
    }

    /// Whether enough groups of each of its classes would remain.
    fn can_leave(&self, group: usize) -> bool {
        self.groups[group]
            .keys()
            .all(|class| self.classes[class].n_groups_left > self.keep)
    }

    /// The increase of the sum of the squared distances of the held-out shares from the wanted ones.
    fn change(&self, group: usize) -> f64 {
        let of_class = |(class, n): (&u32, &usize)| {
            let share = &self.classes[class];
            let distance = |held_out: f64| ((held_out - share.wanted) / share.n).powi(2);
            distance(share.held_out + *n as f64) - distance(share.held_out)
        };
        self.groups[group].iter().map(of_class).sum()
    }

    fn hold_out(&mut self, group: usize) {
        self.is_held_out[group] = true;
        for (class, n) in &self.groups[group] {
            if let Some(share) = self.classes.get_mut(class) {
                share.held_out += *n as f64;
                share.n_groups_left -= 1;
            }
        }
    }
}

/// `n` of the indices of `labels`, ascending, with the classes in the same proportions; all indices if there
/// are at most `n`.
///
/// Each class gives its share rounded up or down, but at least one image if `n` is at least the number of
/// classes.
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

/// Like [`stratified_subset`], with at least `minimum` images of every class that has as many, if `n` allows
/// it. If the minimum exceeds the share of a class, the largest classes give up images.
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

/// Moves single images from the classes with the most to spare to those below their minimum.
fn raise_to_minimum(quotas: &mut [usize], needed: &[usize]) {
    while let Some(poor) = (0..quotas.len()).find(|i| quotas[*i] < needed[*i]) {
        let spare = |i: &usize| quotas[*i].saturating_sub(needed[*i]);
        // `max_by_key` returns the last of equal items; reversed, it returns the first.
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
    let mut by_class: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, label) in labels.iter().enumerate() {
        by_class.entry(*label).or_default().push(index);
    }
    for (label, members) in &mut by_class {
        Stream::new(seed, purpose, 0, u64::from(*label)).shuffle(members);
    }
    by_class.into_iter().collect()
}

/// Integers within `bounds` that are as close as possible to `ideals`, with a sum as close to `total` as the
/// bounds allow (largest-remainder method; the first of equals wins).
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

/// Products of a fraction and a count miss integers by a rounding error, never by this much.
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

        #[test]
        fn groups_stay_on_one_side(
            members in prop::collection::vec((0_u32..4, 0_u32..30), 0..200),
            fraction in 0.05_f64..0.6, keep in 1_usize..3, seed in any::<u64>(),
        ) {
            let (labels, groups): (Vec<u32>, Vec<u32>) = members.into_iter().unzip();
            let of = |class: u32, indices: &[usize]| {
                let groups = indices.iter().filter(|i| labels[**i] == class).map(|i| groups[*i]);
                groups.collect::<std::collections::BTreeSet<u32>>().len()
            };
            let every: Vec<usize> = (0..labels.len()).collect();
            match grouped_split(&labels, &groups, fraction, keep, seed, "p") {
                Err(class) => prop_assert!(of(class, &every) > 0),
                Ok((stay, held_out)) => {
                    prop_assert!(stay.is_sorted() && held_out.is_sorted());
                    let mut all = [stay.clone(), held_out.clone()].concat();
                    all.sort_unstable();
                    prop_assert_eq!(&all, &every);
                    let out: std::collections::BTreeSet<u32> =
                        held_out.iter().map(|i| groups[*i]).collect();
                    prop_assert!(stay.iter().all(|i| !out.contains(&groups[*i])));
                    for class in labels.iter().copied() {
                        prop_assert!(of(class, &stay) >= keep && of(class, &held_out) >= 1);
                    }
                }
            }
        }
    }

    /// Groups of one class each and of one size: equivalent to single images of that size.
    #[test]
    fn equal_groups_split_as_exactly_as_they_can() {
        let groups: Vec<u32> = (0..600).map(|i| i / 6).collect();
        let labels: Vec<u32> = groups.iter().map(|group| group % 4).collect();
        let (stay, held_out) = grouped_split(&labels, &groups, 0.2, 2, 3, "test split").unwrap();
        assert_eq!(counts(&labels, &held_out), vec![30; 4]);
        assert_eq!(counts(&labels, &stay), vec![120; 4]);
        let other = grouped_split(&labels, &groups, 0.2, 2, 4, "test split").unwrap();
        assert_ne!(other.1, held_out, "the seed decides");
    }
}
