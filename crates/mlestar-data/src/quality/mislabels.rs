//! Finds labels that the nearest neighbours of an image contradict.
//!
//! Features: orientations of the brightness gradient (0-180 degrees, so light on dark equals dark on light) in
//! six bins over 4x4 cells, and the centred 4x4 brightness with half the weight. The neighbours are the
//! training images with the largest cosine.

use super::features::{Plane, centred_unit, dot};
use super::{Finding, FindingKind, Pictures, Place, QualityConfig};
use crate::SplitName;
use mlestar_random::Stream;
use rayon::prelude::*;
use std::collections::HashSet;

const CELLS: usize = 4;
const ORIENTATIONS: usize = 6;
const N_FEATURES: usize = CELLS * CELLS * (ORIENTATIONS + 1);
/// Side to which images are resized before gradients are computed.
const SIDE: usize = 32;
/// Queries that share one pass over the references.
const QUERIES_PER_PASS: usize = 16;

pub(super) struct Mislabels {
    /// Strongest first.
    pub(super) findings: Vec<Finding>,
    pub(super) neighbour_accuracy: Option<f64>,
}

/// The votes of the neighbours of one image.
struct Vote {
    position: usize,
    winner: u32,
    /// Share of the neighbours that vote for the winner.
    share: f64,
    own_share: f64,
    /// Mean similarity of the neighbours that vote for the winner.
    similarity: f32,
    /// Most similar neighbour of the winning class.
    example: usize,
}

/// Lets the neighbours of every image that is not `blank` vote; blank ones do not vote either.
pub(super) fn find(
    pictures: &Pictures<'_>,
    blank: &HashSet<Place>,
    thresholds: &QualityConfig,
    notes: &mut Vec<String>,
) -> Mislabels {
    let positions: Vec<usize> = (0..pictures.len())
        .filter(|position| !blank.contains(&pictures.places[*position]))
        .collect();
    let references = references(pictures, &positions, thresholds.max_references, notes);
    if references.len() <= thresholds.neighbours {
        return Mislabels {
            findings: Vec::new(),
            neighbour_accuracy: None,
        };
    }
    let reference_features = features_of(pictures, &references);
    let votes: Vec<Vote> = positions
        .par_chunks(QUERIES_PER_PASS)
        .flat_map_iter(|queries| {
            vote(
                pictures,
                queries,
                &references,
                &reference_features,
                thresholds.neighbours,
            )
        })
        .collect();
    let n_agreeing = votes
        .iter()
        .filter(|vote| vote.winner == pictures.label(vote.position))
        .count();
    // There are votes, because the references themselves have neighbours.
    let accuracy = n_agreeing as f64 / votes.len() as f64;
    let findings = if accuracy >= thresholds.min_neighbour_accuracy {
        suspects(pictures, votes, thresholds, notes)
    } else {
        notes.push(format!(
            "no label is suspected: nearest neighbours vote for only {accuracy:.3} of the labels, \
             fewer than {}",
            thresholds.min_neighbour_accuracy
        ));
        Vec::new()
    };
    Mislabels {
        findings,
        neighbour_accuracy: Some(accuracy),
    }
}

/// Training images that can be neighbours: all, or the same number per class if there are enough.
fn references(
    pictures: &Pictures<'_>,
    positions: &[usize],
    limit: usize,
    notes: &mut Vec<String>,
) -> Vec<usize> {
    let in_train = |position: &usize| pictures.places[*position].split == SplitName::Train;
    let mut train: Vec<usize> = positions.iter().copied().filter(in_train).collect();
    if train.len() <= limit {
        return train;
    }
    let n_train = train.len();
    Stream::new(0, "quality-references", 0, 0).shuffle(&mut train);
    let n_classes = pictures.splits.train.n_classes().max(1);
    let per_class = (limit / n_classes).max(1);
    let mut n_taken = vec![0_usize; n_classes];
    train.retain(|position| {
        let taken = &mut n_taken[pictures.label(*position) as usize];
        *taken += 1;
        *taken <= per_class
    });
    // With more classes than that, some have none.
    train.truncate(limit);
    train.sort_unstable();
    notes.push(format!(
        "labels were compared with {} of {n_train} training images, at most {per_class} per class",
        train.len()
    ));
    train
}

fn features_of(pictures: &Pictures<'_>, positions: &[usize]) -> Vec<f32> {
    let mut features = vec![0.0_f32; positions.len() * N_FEATURES];
    features
        .par_chunks_exact_mut(N_FEATURES)
        .zip(positions)
        .with_min_len(64)
        .for_each(|(out, position)| write_features(pictures, *position, out));
    features
}

fn write_features(pictures: &Pictures<'_>, position: usize, out: &mut [f32]) {
    let (set, index) = pictures.locate(position);
    let plane = Plane::brightness(set.pixels(index), set.height(), set.width());
    let plane = if (plane.height, plane.width) == (SIDE, SIDE) {
        plane
    } else {
        plane.shrink(SIDE, SIDE)
    };
    let (orientations, brightness) = out.split_at_mut(CELLS * CELLS * ORIENTATIONS);
    gradient_orientations(&plane, orientations);
    if let Some(coarse) = centred_unit(&plane.shrink(CELLS, CELLS).values) {
        brightness
            .iter_mut()
            .zip(coarse)
            .for_each(|(out, value)| *out = 0.5 * value);
    }
    let length = dot(out, out).sqrt();
    if length > 0.0 {
        out.iter_mut().for_each(|value| *value /= length);
    }
}

/// Square roots of the summed gradient lengths by cell and orientation, scaled to length 1.
fn gradient_orientations(plane: &Plane, out: &mut [f32]) {
    // Normals of the borders between the bins: angles of 30, 60, ... 150 degrees.
    const BORDERS: [(f32, f32); ORIENTATIONS - 1] = [
        (0.866_025_4, 0.5),
        (0.5, 0.866_025_4),
        (0.0, 1.0),
        (-0.5, 0.866_025_4),
        (-0.866_025_4, 0.5),
    ];
    let at = |y: usize, x: usize| plane.values[y * SIDE + x];
    out.fill(0.0);
    for y in 1..SIDE - 1 {
        for x in 1..SIDE - 1 {
            let (dx, dy) = (at(y, x + 1) - at(y, x - 1), at(y + 1, x) - at(y - 1, x));
            // The same line with dy >= 0: an angle in 0-180 degrees.
            let (dx, dy) = if dy < 0.0 { (-dx, -dy) } else { (dx, dy) };
            let bin = BORDERS
                .iter()
                .take_while(|(cos, sin)| cos * dy - sin * dx >= 0.0)
                .count();
            let cell = y * CELLS / SIDE * CELLS + x * CELLS / SIDE;
            out[cell * ORIENTATIONS + bin] += (dx * dx + dy * dy).sqrt();
        }
    }
    let total: f32 = out.iter().sum();
    if total > 0.0 {
        out.iter_mut()
            .for_each(|value| *value = (*value / total).sqrt());
    }
}

fn vote(
    pictures: &Pictures<'_>,
    queries: &[usize],
    references: &[usize],
    reference_features: &[f32],
    n_neighbours: usize,
) -> Vec<Vote> {
    let mut features = vec![0.0_f32; queries.len() * N_FEATURES];
    for (out, query) in features.chunks_exact_mut(N_FEATURES).zip(queries) {
        write_features(pictures, *query, out);
    }
    let mut nearest: Vec<Vec<(f32, usize)>> =
        vec![Vec::with_capacity(n_neighbours + 1); queries.len()];
    for (reference, reference_feature) in references
        .iter()
        .zip(reference_features.chunks_exact(N_FEATURES))
    {
        for (number, feature) in features.chunks_exact(N_FEATURES).enumerate() {
            let similarity = dot(feature, reference_feature);
            let list = &mut nearest[number];
            let is_near =
                list.len() < n_neighbours || list.last().is_some_and(|last| similarity > last.0);
            if is_near && *reference != queries[number] {
                let place = list.partition_point(|(other, _)| *other >= similarity);
                list.insert(place, (similarity, *reference));
                list.truncate(n_neighbours);
            }
        }
    }
    let counted = queries.iter().zip(nearest);
    counted
        .map(|(query, nearest)| count(pictures, *query, &nearest))
        .collect()
}

/// Counts the votes of `nearest` (most similar first, not empty).
fn count(pictures: &Pictures<'_>, position: usize, nearest: &[(f32, usize)]) -> Vote {
    let votes_for = |label: u32| {
        nearest
            .iter()
            .filter(move |(_, other)| pictures.label(*other) == label)
    };
    // Of equally frequent classes, that of the most similar neighbour wins.
    let mut winner = (0, pictures.label(position));
    for (_, other) in nearest {
        let label = pictures.label(*other);
        let n_votes = votes_for(label).count();
        if n_votes > winner.0 {
            winner = (n_votes, label);
        }
    }
    let (n_votes, winner) = winner;
    let n = nearest.len().max(1) as f64;
    Vote {
        position,
        winner,
        share: n_votes as f64 / n,
        own_share: votes_for(pictures.label(position)).count() as f64 / n,
        similarity: votes_for(winner)
            .map(|(similarity, _)| similarity)
            .sum::<f32>()
            / n_votes.max(1) as f32,
        example: votes_for(winner)
            .next()
            .map_or(position, |(_, other)| *other),
    }
}

fn suspects(
    pictures: &Pictures<'_>,
    votes: Vec<Vote>,
    thresholds: &QualityConfig,
    notes: &mut Vec<String>,
) -> Vec<Finding> {
    let mut suspects: Vec<Vote> = votes
        .into_iter()
        .filter(|vote| {
            vote.winner != pictures.label(vote.position)
                && vote.share >= thresholds.neighbour_agreement
        })
        .collect();
    suspects.sort_by(|a, b| {
        b.share
            .total_cmp(&a.share)
            .then(b.similarity.total_cmp(&a.similarity))
            .then(a.position.cmp(&b.position))
    });
    if suspects.len() > thresholds.max_suspected_mislabels {
        notes.push(format!(
            "the {} strongest of {} suspected mislabels are listed",
            thresholds.max_suspected_mislabels,
            suspects.len()
        ));
        suspects.truncate(thresholds.max_suspected_mislabels);
    }
    suspects
        .iter()
        .map(|vote| finding(pictures, vote, thresholds))
        .collect()
}

fn finding(pictures: &Pictures<'_>, vote: &Vote, thresholds: &QualityConfig) -> Finding {
    let suggested = pictures.class(vote.example);
    let detail = format!(
        "{:.0} of the {} most similar training images are {suggested} (mean cosine {:.3}), {:.0} have its own label",
        vote.share * thresholds.neighbours as f64,
        thresholds.neighbours,
        vote.similarity,
        vote.own_share * thresholds.neighbours as f64,
    );
    let kind = FindingKind::SuspectedMislabel;
    let finding = pictures.finding(
        kind,
        vote.position,
        vote.share,
        thresholds.neighbour_agreement,
        detail,
    );
    Finding {
        related: Some(pictures.related(vote.example)),
        suggested_class: Some(suggested),
        ..finding
    }
}
