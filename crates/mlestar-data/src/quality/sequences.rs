//! Numbered files, such as the frames of a video or of a burst, that a split has separated.
//!
//! Most datasets number their files, so a number alone means nothing. Therefore the similarity of neighbouring
//! numbers is measured: each image is compared with its neighbour and with another image of its class. If the
//! neighbour is more similar far more often than by chance, the names are those of sequences.

use super::features::{Plane, centred_unit, dot};
use super::{Finding, FindingKind, Pictures};
use crate::{Origin, SplitName};
use mlestar_random::Stream;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Numbers at most this far apart are neighbours: single frames may be missing.
const FARTHEST: u64 = 2;
/// The image compared instead of the neighbour must be at least this far away if it has the same name prefix.
const UNRELATED: u64 = 50;
/// With fewer comparisons, no statement is made ...
const FEWEST_COMPARISONS: usize = 20;
/// ... and more are not needed.
const MOST_COMPARISONS: usize = 2_000;
/// The neighbour must be more similar in at least this share of the comparisons. By chance it is a half.
const ALIKE_SHARE: f64 = 0.7;
/// Side of the small versions that are compared.
const SIDE: usize = 8;

/// How alike files with consecutive numbers are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceLikeness {
    /// Number of comparisons of a neighbour with another image of the class.
    pub n_compared: usize,
    /// Share of them in which the neighbour was more similar, 0-1; about a half if names mean nothing.
    pub neighbour_more_alike: f64,
}

impl SequenceLikeness {
    /// Whether neighbours are similar so often that the names are those of sequences.
    pub fn shows_sequences(&self) -> bool {
        self.neighbour_more_alike >= ALIKE_SHARE
    }
}

pub(super) struct Sequences {
    pub(super) findings: Vec<Finding>,
    pub(super) likeness: Option<SequenceLikeness>,
    pub(super) notes: Vec<String>,
}

/// A file whose name ends with a number.
struct Numbered {
    number: u64,
    position: usize,
}

/// The files of each class and name prefix, by number.
type Names = BTreeMap<(u32, String), Vec<Numbered>>;

pub(super) fn find(pictures: &Pictures<'_>) -> Sequences {
    let names = names(pictures);
    let likeness = likeness(pictures, &names);
    let mut found = Sequences {
        findings: Vec::new(),
        likeness,
        notes: Vec::new(),
    };
    if let Some(likeness) = &found.likeness
        && likeness.shows_sequences()
    {
        found.findings = cut(pictures, &names);
        found.notes.push(format!(
            "files whose names count on look alike: a neighbour in number was more alike than another image of the \
             class in {:.2} of {} comparisons, so that they are taken for sequences",
            likeness.neighbour_more_alike, likeness.n_compared
        ));
    }
    found
}

fn names(pictures: &Pictures<'_>) -> Names {
    let mut names = Names::new();
    for position in 0..pictures.len() {
        let (set, index) = pictures.locate(position);
        let Origin::File(path) = set.origin(index) else {
            continue;
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let beginning = stem.trim_end_matches(|letter: char| letter.is_ascii_digit());
        if let Ok(number) = stem[beginning.len()..].parse() {
            names
                .entry((set.label(index), beginning.to_owned()))
                .or_default()
                .push(Numbered { number, position });
        }
    }
    for files in names.values_mut() {
        files.sort_by_key(|file| (file.number, file.position));
    }
    names
}

/// Compares neighbours with other images of their class; `None` if there are too few.
fn likeness(pictures: &Pictures<'_>, names: &Names) -> Option<SequenceLikeness> {
    let mut of_class: BTreeMap<u32, Vec<(&str, &Numbered)>> = BTreeMap::new();
    for ((label, beginning), files) in names {
        let class = of_class.entry(*label).or_default();
        class.extend(files.iter().map(|file| (beginning.as_str(), file)));
    }
    let mut neighbours: Vec<(u32, &str, &Numbered, &Numbered)> = names
        .iter()
        .flat_map(|((label, beginning), files)| {
            let pairs = files
                .windows(2)
                .filter(|pair| (1..=FARTHEST).contains(&(pair[1].number - pair[0].number)));
            pairs.map(|pair| (*label, beginning.as_str(), &pair[0], &pair[1]))
        })
        .collect();
    Stream::new(0, "quality-sequences", 0, 0).shuffle(&mut neighbours);
    neighbours.truncate(MOST_COMPARISONS);
    let compared: Vec<bool> = neighbours
        .into_par_iter()
        .enumerate()
        .filter_map(|(turn, (label, beginning, one, next))| {
            let class = of_class.get(&label)?;
            let mut stream = Stream::new(0, "quality-sequences", 1, turn as u64);
            let is_unrelated = |(other_beginning, other): &(&str, &Numbered)| {
                *other_beginning != beginning || other.number.abs_diff(one.number) >= UNRELATED
            };
            let (_, other) = (0..20)
                .map(|_| class[stream.below(class.len() as u64) as usize])
                .find(is_unrelated)?;
            let [one, next, other] =
                [one, next, other].map(|file| small_version(pictures, file.position));
            let (one, next, other) = (one?, next?, other?);
            Some(dot(&one, &next) > dot(&one, &other))
        })
        .collect();
    let n_compared = compared.len();
    (n_compared >= FEWEST_COMPARISONS).then(|| SequenceLikeness {
        n_compared,
        neighbour_more_alike: compared.iter().filter(|more| **more).count() as f64
            / n_compared as f64,
    })
}

fn small_version(pictures: &Pictures<'_>, position: usize) -> Option<Vec<f32>> {
    let (set, index) = pictures.locate(position);
    let plane = Plane::brightness(set.pixels(index), set.height(), set.width());
    centred_unit(&plane.shrink(SIDE, SIDE).values)
}

/// The images of validation and test whose neighbour in number is in an earlier split.
fn cut(pictures: &Pictures<'_>, names: &Names) -> Vec<Finding> {
    let split = |file: &Numbered| pictures.places[file.position].split;
    let mut findings = Vec::new();
    for files in names.values() {
        for (place, file) in files.iter().enumerate() {
            if split(file) == SplitName::Train {
                continue;
            }
            // The list is sorted by number, so neighbours are adjacent.
            let near = |other: &&Numbered| other.number.abs_diff(file.number) <= FARTHEST;
            let before = files[..place].iter().rev().take_while(near);
            let after = files[place + 1..].iter().take_while(near);
            let earlier = before
                .chain(after)
                .filter(|other| split(other) < split(file));
            let nearest = earlier.min_by_key(|other| {
                (
                    other.number.abs_diff(file.number),
                    split(other),
                    other.position,
                )
            });
            if let Some(other) = nearest {
                findings.push(finding(pictures, file, other));
            }
        }
    }
    findings
}

fn finding(pictures: &Pictures<'_>, file: &Numbered, other: &Numbered) -> Finding {
    let related = pictures.related(other.position);
    let detail = format!("counts on from {} of {}", related.origin, related.split);
    let apart = other.number.abs_diff(file.number) as f64;
    Finding {
        related: Some(related),
        ..pictures.finding(
            FindingKind::CutSequence,
            file.position,
            apart,
            FARTHEST as f64,
            detail,
        )
    }
}
