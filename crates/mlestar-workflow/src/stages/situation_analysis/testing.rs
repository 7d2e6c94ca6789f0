//! Small sets for the tests of stages 1 to 3.

use mlestar_data::{ImageSet, Origin};
use mlestar_random::Stream;

/// Pictures of 8 x 8 pixels whose value at each place comes from `level(index, channel)` and a
/// little noise.
fn set(
    names: Vec<String>,
    per_class: usize,
    seed: u64,
    level: impl Fn(usize, usize, &mut Stream) -> u8,
) -> ImageSet {
    let n = names.len() * per_class;
    let mut pixels = Vec::new();
    for index in 0..n {
        let mut draws = Stream::new(seed, "test pictures", 0, index as u64);
        for channel in 0..3 {
            for _ in 0..64 {
                pixels.push(level(index % names.len(), channel, &mut draws));
            }
        }
    }
    let labels = (0..n).map(|index| (index % names.len()) as u32).collect();
    let origins = (0..n as u64)
        .map(|index| Origin::Synthetic { index })
        .collect();
    ImageSet::new(names.into(), 8, 8, pixels, labels, origins).unwrap()
}

/// Pictures whose brightness alone tells their class.
pub(crate) fn named_set(names: &[&str], per_class: usize, seed: u64) -> ImageSet {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    set(names, per_class, seed, |class, _, draws| {
        (class * 60) as u8 + draws.below(60) as u8
    })
}
