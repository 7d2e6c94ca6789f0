//! Small sets for tests.

use crate::{ImageSet, Origin};
use mlestar_random::Stream;

/// Images of 8 x 8 pixels with values from `level(index, channel)` plus a little noise.
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

fn names(n_classes: usize) -> Vec<String> {
    (0..n_classes)
        .map(|class| format!("class {class}"))
        .collect()
}

/// One colour per class, with noise of a few levels.
pub(crate) fn flat_set(colors: &[[u8; 3]], per_class: usize, seed: u64) -> ImageSet {
    set(
        names(colors.len()),
        per_class,
        seed,
        |class, channel, draws| colors[class][channel].saturating_add(draws.below(4) as u8),
    )
}

/// Images without any meaning.
pub(crate) fn noise_set(n_classes: usize, per_class: usize, seed: u64) -> ImageSet {
    set(names(n_classes), per_class, seed, |_, _, draws| {
        draws.below(256) as u8
    })
}
