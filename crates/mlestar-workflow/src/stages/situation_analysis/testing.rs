//! Small sets for the tests of stages 1 to 3.

use mlestar_data::{ImageSet, Origin};
use mlestar_random::Stream;

/// Images of 8 x 8 pixels whose brightness alone, with noise, tells their class.
pub(crate) fn named_set(names: &[&str], per_class: usize, seed: u64) -> ImageSet {
    let (n_classes, n) = (names.len(), names.len() * per_class);
    let picture = |index: usize| {
        let mut draws = Stream::new(seed, "test images", 0, index as u64);
        let base = (index % n_classes * 60) as u8;
        (0..3 * 64).map(move |_| base + draws.below(60) as u8)
    };
    ImageSet::new(
        names.iter().map(|name| (*name).to_owned()).collect(),
        8,
        8,
        (0..n).flat_map(picture).collect(),
        (0..n).map(|index| (index % n_classes) as u32).collect(),
        (0..n as u64)
            .map(|index| Origin::Synthetic { index })
            .collect(),
    )
    .unwrap()
}
