//! Exact and near duplicates, within a split and across splits.

use super::features::{Plane, centred_unit, dot};
use super::{Finding, FindingKind, Pictures, QualityConfig};
use mlestar_random::Stream;
use rayon::prelude::*;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Side of the small version that confirms a near duplicate.
const SMALL_SIDE: usize = 8;
/// Rows and columns of the grid whose neighbouring cells the perceptual hash compares.
const HASH_GRID: usize = 9;
/// The smallest step between two cells of the grid that counts, in 0-1: two grey levels, which exceeds the
/// noise of a cell's mean.
const SMALLEST_STEP: f32 = 2.0 / 255.0;
/// An image with fewer of its 128 steps is mostly flat. Nine of ten photographs have 100 or more, white digits
/// on black about 50.
const FEWEST_STEPS: u32 = 77;
/// Side of the version that confirms near duplicates that are mostly flat.
const DETAIL_SIDE: usize = 32;
/// ... and its required correlation. Noise of 3 of 255 grey levels leaves 0.999.
const DETAIL_CORRELATION: f32 = 0.998;

/// Finds all duplicates. Each later image is reported once for the earlier copy of its own class, and once for
/// that of another class.
pub(super) fn find(
    pictures: &Pictures<'_>,
    thresholds: &QualityConfig,
    notes: &mut Vec<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut distinct = Vec::new();
    for (position, copies) in earlier_copies(pictures).into_iter().enumerate() {
        if copies.is_empty() {
            distinct.push(position);
        }
        findings.extend(
            copies
                .same_class
                .map(|first| exact_finding(pictures, position, first)),
        );
        findings.extend(
            copies
                .other_class
                .map(|first| conflict_finding(pictures, position, first)),
        );
    }
    let sample = sample(distinct, thresholds.max_compared_pictures, notes);
    findings.extend(near_duplicates(pictures, &sample, thresholds));
    findings
}

/// The first earlier images with the same size and bytes as this one.
#[derive(Clone, Copy, Default)]
struct Copies {
    same_class: Option<usize>,
    other_class: Option<usize>,
}

impl Copies {
    fn is_empty(self) -> bool {
        self.same_class.is_none() && self.other_class.is_none()
    }
}

/// The earlier copies of every image.
fn earlier_copies(pictures: &Pictures<'_>) -> Vec<Copies> {
    let hashes: Vec<u64> = (0..pictures.len())
        .into_par_iter()
        .with_min_len(256)
        .map(|position| {
            let mut hasher = DefaultHasher::new();
            pictures.pixels(position).hash(&mut hasher);
            hasher.finish()
        })
        .collect();
    let size = |position: usize| {
        let (set, _) = pictures.locate(position);
        (set.height(), set.width())
    };
    // Of equal images, the first of each class.
    let mut firsts_by_hash: HashMap<u64, Vec<usize>> = HashMap::new();
    let mut copies = Vec::with_capacity(pictures.len());
    for (position, hash) in hashes.into_iter().enumerate() {
        let firsts = firsts_by_hash.entry(hash).or_default();
        let mut found = Copies::default();
        for earlier in firsts.iter().copied().filter(|earlier| {
            size(*earlier) == size(position)
                && pictures.pixels(*earlier) == pictures.pixels(position)
        }) {
            let place = match pictures.label(earlier) == pictures.label(position) {
                true => &mut found.same_class,
                false => &mut found.other_class,
            };
            place.get_or_insert(earlier);
        }
        if found.same_class.is_none() {
            firsts.push(position);
        }
        copies.push(found);
    }
    copies
}

fn exact_finding(pictures: &Pictures<'_>, position: usize, first: usize) -> Finding {
    let kind = if pictures.places[position].split == pictures.places[first].split {
        FindingKind::ExactDuplicate
    } else {
        FindingKind::Leakage
    };
    pair_finding(pictures, kind, position, first)
}

fn conflict_finding(pictures: &Pictures<'_>, position: usize, first: usize) -> Finding {
    pair_finding(pictures, FindingKind::LabelConflict, position, first)
}

fn pair_finding(
    pictures: &Pictures<'_>,
    kind: FindingKind,
    position: usize,
    first: usize,
) -> Finding {
    let detail = format!(
        "the same bytes as {}",
        describe_other(pictures, position, first)
    );
    let related = Some(pictures.related(first));
    Finding {
        related,
        ..pictures.finding(kind, position, 0.0, 0.0, detail)
    }
}

fn describe_other(pictures: &Pictures<'_>, position: usize, other: usize) -> String {
    let (set, index) = pictures.locate(other);
    let name = format!("{} of {}", set.origin(index), pictures.places[other].split);
    if pictures.label(other) == pictures.label(position) {
        name
    } else {
        format!("{name}, which has the label {}", pictures.class(other))
    }
}

fn sample(mut distinct: Vec<usize>, limit: usize, notes: &mut Vec<String>) -> Vec<usize> {
    if distinct.len() > limit {
        notes.push(format!(
            "near duplicates were searched in a random sample of {limit} of {} distinct images",
            distinct.len()
        ));
        Stream::new(0, "quality-duplicates", 0, 0).shuffle(&mut distinct);
        distinct.truncate(limit);
        distinct.sort_unstable();
    }
    distinct
}

/// The features that identify near duplicates.
struct Signature {
    position: usize,
    steps: Steps,
    /// 8x8 RGB version, centred and of length 1.
    small: Vec<f32>,
}

/// The perceptual hash: 64 steps to the right and 64 down between the cells of a grid. A step smaller than
/// [`SMALLEST_STEP`] counts as neither up nor down, because in flat areas its sign depends on noise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Steps {
    up: u128,
    down: u128,
}

impl Steps {
    fn of(grid: &[f32]) -> Self {
        let mut steps = Self { up: 0, down: 0 };
        let mut place = 0;
        let mut add = |step: f32| {
            steps.up |= u128::from(step > SMALLEST_STEP) << place;
            steps.down |= u128::from(step < -SMALLEST_STEP) << place;
            place += 1;
        };
        for y in 0..HASH_GRID - 1 {
            for x in 0..HASH_GRID - 1 {
                let here = grid[y * HASH_GRID + x];
                add(grid[y * HASH_GRID + x + 1] - here);
                add(grid[(y + 1) * HASH_GRID + x] - here);
            }
        }
        steps
    }

    /// Number of steps that go up in one image and down in the other.
    fn opposite(self, other: Self) -> u32 {
        (self.up & other.down).count_ones() + (self.down & other.up).count_ones()
    }

    /// Whether the image is mostly flat, so that few of its steps mean anything.
    fn is_flat(self) -> bool {
        (self.up | self.down).count_ones() < FEWEST_STEPS
    }
}

/// `None` for flat images, which contain only noise.
fn signature(pictures: &Pictures<'_>, position: usize) -> Option<Signature> {
    let (set, index) = pictures.locate(position);
    let (pixels, height, width) = (set.pixels(index), set.height(), set.width());
    let grid = Plane::brightness(pixels, height, width).shrink(HASH_GRID, HASH_GRID);
    centred_unit(&grid.values)?;
    Some(Signature {
        position,
        steps: Steps::of(&grid.values),
        small: version(pictures, position, SMALL_SIDE)?,
    })
}

/// An image at `side` x `side` pixels in RGB, centred and of length 1; `None` if it is flat.
fn version(pictures: &Pictures<'_>, position: usize, side: usize) -> Option<Vec<f32>> {
    let (set, index) = pictures.locate(position);
    let (pixels, height, width) = (set.pixels(index), set.height(), set.width());
    let values: Vec<f32> = (0..3)
        .flat_map(|channel| {
            Plane::channel(pixels, channel, height, width)
                .shrink(side, side)
                .values
        })
        .collect();
    centred_unit(&values)
}

/// The best earlier match of an image.
struct Match {
    earlier: usize,
    bits: u32,
    correlation: f32,
}

fn near_duplicates(
    pictures: &Pictures<'_>,
    sample: &[usize],
    thresholds: &QualityConfig,
) -> Vec<Finding> {
    let signatures: Vec<Signature> = sample
        .par_iter()
        .with_min_len(64)
        .filter_map(|position| signature(pictures, *position))
        .collect();
    // Apart from the other fields, the hashes of 60,000 images fit into two megabytes of cache.
    let hashes: Vec<Steps> = signatures.iter().map(|signature| signature.steps).collect();
    (0..signatures.len())
        .into_par_iter()
        .filter_map(|later| {
            let best = best_match(pictures, &signatures, &hashes, later, thresholds)?;
            Some(near_finding(
                pictures,
                signatures[later].position,
                &best,
                thresholds,
            ))
        })
        .collect()
}

fn best_match(
    pictures: &Pictures<'_>,
    signatures: &[Signature],
    hashes: &[Steps],
    later: usize,
    thresholds: &QualityConfig,
) -> Option<Match> {
    let own = hashes[later];
    let mut best: Option<Match> = None;
    for (earlier, hash) in hashes[..later].iter().enumerate() {
        let bits = own.opposite(*hash);
        if bits > thresholds.near_duplicate_bits {
            continue;
        }
        let correlation = dot(&signatures[later].small, &signatures[earlier].small);
        let is_best = best
            .as_ref()
            .is_none_or(|best| correlation > best.correlation);
        if !is_best || f64::from(correlation) < thresholds.near_duplicate_correlation {
            continue;
        }
        let earlier_position = signatures[earlier].position;
        let says_little = own.is_flat() || hash.is_flat();
        if says_little && !agree_in_detail(pictures, signatures[later].position, earlier_position) {
            continue;
        }
        best = Some(Match {
            earlier: earlier_position,
            bits,
            correlation,
        });
    }
    best
}

/// Whether two images are equal except for noise at [`DETAIL_SIDE`]. Small versions of mostly flat images look
/// alike even if the images do not.
fn agree_in_detail(pictures: &Pictures<'_>, one: usize, other: usize) -> bool {
    let versions = [one, other].map(|position| version(pictures, position, DETAIL_SIDE));
    matches!(versions, [Some(one), Some(other)] if dot(&one, &other) >= DETAIL_CORRELATION)
}

fn near_finding(
    pictures: &Pictures<'_>,
    position: usize,
    best: &Match,
    thresholds: &QualityConfig,
) -> Finding {
    let kind = if pictures.places[position].split == pictures.places[best.earlier].split {
        FindingKind::NearDuplicate
    } else {
        FindingKind::NearLeakage
    };
    let detail = format!(
        "{} of 128 steps of the perceptual hash differ from {}; the correlation of the small versions is {:.4}",
        best.bits,
        describe_other(pictures, position, best.earlier),
        best.correlation
    );
    let threshold = f64::from(thresholds.near_duplicate_bits);
    let finding = pictures.finding(kind, position, f64::from(best.bits), threshold, detail);
    Finding {
        related: Some(pictures.related(best.earlier)),
        ..finding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_has_one_bit_for_each_step_and_none_for_noise() {
        let ramp = |across: f32, down: f32| -> Vec<f32> {
            (0..81)
                .map(|i| (i % 9) as f32 * across + (i / 9) as f32 * down)
                .collect()
        };
        let right = Steps::of(&ramp(0.05, 0.0));
        assert_eq!((right.up.count_ones(), right.down), (64, 0));
        let up = Steps::of(&ramp(0.0, -0.05));
        assert_eq!((up.up, up.down.count_ones()), (0, 64));
        assert!(right.is_flat());
        assert!(!Steps::of(&ramp(0.05, 0.05)).is_flat());
        assert_eq!(right.opposite(Steps::of(&ramp(-0.05, 0.05))), 64);
        let noise = Steps::of(&ramp(0.004, -0.004));
        assert_eq!(noise, Steps { up: 0, down: 0 });
        assert_eq!(right.opposite(noise), 0);
    }

    #[test]
    fn samples_are_noted_and_ordered() {
        let mut notes = Vec::new();
        assert_eq!(sample((0..5).collect(), 5, &mut notes), [0, 1, 2, 3, 4]);
        assert!(notes.is_empty());
        let sampled = sample((0..100).collect(), 7, &mut notes);
        assert!(sampled.is_sorted() && sampled.len() == 7);
        assert_eq!(notes.len(), 1);
    }
}
