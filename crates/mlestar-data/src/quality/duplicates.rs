//! Exact and near duplicates, within a split and across splits.

use super::features::{Plane, centred_unit, dot};
use super::{Finding, FindingKind, Pictures, QualityConfig};
use mlestar_random::Stream;
use rayon::prelude::*;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Side of the small version that confirms a near duplicate.
const SMALL_SIDE: usize = 8;
/// Rows and columns of the grid whose neighbours the perceptual hash compares.
const HASH_GRID: usize = 9;

/// Finds all duplicates; each later picture is reported once, with the earlier one.
pub(super) fn find(
    pictures: &Pictures<'_>,
    thresholds: &QualityConfig,
    notes: &mut Vec<String>,
) -> Vec<Finding> {
    let first_copies = first_copies(pictures);
    let mut findings = Vec::new();
    let mut distinct = Vec::new();
    for (position, first) in first_copies.into_iter().enumerate() {
        if first == position {
            distinct.push(position);
        } else {
            findings.push(exact_finding(pictures, position, first));
        }
    }
    let sample = sample(distinct, thresholds.max_compared_pictures, notes);
    findings.extend(near_duplicates(pictures, &sample, thresholds));
    findings
}

/// For every picture, the first one with the same size and bytes (itself when there is no other).
fn first_copies(pictures: &Pictures<'_>) -> Vec<usize> {
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
    let mut distinct_by_hash: HashMap<u64, Vec<usize>> = HashMap::new();
    let mut first = Vec::with_capacity(pictures.len());
    for (position, hash) in hashes.into_iter().enumerate() {
        let same_hash = distinct_by_hash.entry(hash).or_default();
        let earlier = same_hash.iter().copied().find(|earlier| {
            size(*earlier) == size(position)
                && pictures.pixels(*earlier) == pictures.pixels(position)
        });
        if earlier.is_none() {
            same_hash.push(position);
        }
        first.push(earlier.unwrap_or(position));
    }
    first
}

fn exact_finding(pictures: &Pictures<'_>, position: usize, first: usize) -> Finding {
    let kind = if pictures.places[position].split == pictures.places[first].split {
        FindingKind::ExactDuplicate
    } else {
        FindingKind::Leakage
    };
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
        format!(
            "{name}, which is labelled {} instead",
            pictures.class(other)
        )
    }
}

fn sample(mut distinct: Vec<usize>, limit: usize, notes: &mut Vec<String>) -> Vec<usize> {
    if distinct.len() > limit {
        notes.push(format!(
            "near duplicates were looked for in a random sample of {limit} of {} distinct pictures",
            distinct.len()
        ));
        Stream::new(0, "quality-duplicates", 0, 0).shuffle(&mut distinct);
        distinct.truncate(limit);
        distinct.sort_unstable();
    }
    distinct
}

/// What near duplicates are recognised by.
struct Signature {
    position: usize,
    /// Difference hash: 64 bits for steps to the right and 64 for steps down.
    hash: [u64; 2],
    /// 8x8 RGB version, centred and of length 1.
    small: Vec<f32>,
}

/// `None` for flat pictures, whose hash would be that of their noise.
fn signature(pictures: &Pictures<'_>, position: usize) -> Option<Signature> {
    let (set, index) = pictures.locate(position);
    let (pixels, height, width) = (set.pixels(index), set.height(), set.width());
    let grid = Plane::brightness(pixels, height, width).shrink(HASH_GRID, HASH_GRID);
    centred_unit(&grid.values)?;
    let small: Vec<f32> = (0..3)
        .flat_map(|channel| {
            Plane::channel(pixels, channel, height, width)
                .shrink(SMALL_SIDE, SMALL_SIDE)
                .values
        })
        .collect();
    let hash = difference_hash(&grid.values);
    Some(Signature {
        position,
        hash,
        small: centred_unit(&small)?,
    })
}

fn difference_hash(grid: &[f32]) -> [u64; 2] {
    let mut hash = [0_u64; 2];
    for y in 0..HASH_GRID - 1 {
        for x in 0..HASH_GRID - 1 {
            let here = grid[y * HASH_GRID + x];
            let right = grid[y * HASH_GRID + x + 1];
            let below = grid[(y + 1) * HASH_GRID + x];
            hash[0] = hash[0] << 1 | u64::from(right > here);
            hash[1] = hash[1] << 1 | u64::from(below > here);
        }
    }
    hash
}

/// The best earlier match of a picture.
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
    // Apart from the other fields, the hashes of 60,000 pictures fit into a megabyte of cache.
    let hashes: Vec<[u64; 2]> = signatures.iter().map(|signature| signature.hash).collect();
    (0..signatures.len())
        .into_par_iter()
        .filter_map(|later| {
            let best = best_match(&signatures, &hashes, later, thresholds)?;
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
    signatures: &[Signature],
    hashes: &[[u64; 2]],
    later: usize,
    thresholds: &QualityConfig,
) -> Option<Match> {
    let own = hashes[later];
    let mut best: Option<Match> = None;
    for (earlier, hash) in hashes[..later].iter().enumerate() {
        let bits_right = (own[0] ^ hash[0]).count_ones();
        if bits_right > thresholds.near_duplicate_bits {
            continue;
        }
        let bits = bits_right + (own[1] ^ hash[1]).count_ones();
        if bits > thresholds.near_duplicate_bits {
            continue;
        }
        let correlation = dot(&signatures[later].small, &signatures[earlier].small);
        let is_best = best
            .as_ref()
            .is_none_or(|best| correlation > best.correlation);
        if is_best && f64::from(correlation) >= thresholds.near_duplicate_correlation {
            best = Some(Match {
                earlier: signatures[earlier].position,
                bits,
                correlation,
            });
        }
    }
    best
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
        "{} of 128 perceptual hash bits differ from {}; small versions correlate {:.4}",
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
    fn the_hash_has_one_bit_for_each_step() {
        let rising: Vec<f32> = (0..81).map(|i| (i % 9) as f32).collect();
        assert_eq!(difference_hash(&rising), [u64::MAX, 0]);
        let falling: Vec<f32> = (0..81).map(|i| -((i / 9) as f32)).collect();
        assert_eq!(difference_hash(&falling), [0, 0]);
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
