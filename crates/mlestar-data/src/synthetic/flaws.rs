//! The flaws planted in train and validation.

use super::config::SyntheticConfig;
use super::render::{bell, to_byte};
use super::{Draft, shapes, stream_epoch};
use crate::SplitName;
use mlestar_random::Stream;
use serde::{Deserialize, Serialize};

/// The flaw of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FlawKind {
    /// Pixels and label are copied from the earlier image `source` of the same split.
    ExactDuplicate {
        /// Index of the original in the same split.
        source: usize,
    },
    /// Like `ExactDuplicate`, but up to 6 % brighter or darker and with its own faint noise.
    NearDuplicate {
        /// Index of the original in the same split.
        source: usize,
    },
    /// A validation image that is an exact copy of training image `source`.
    Leaked {
        /// Index of the original in the training split.
        source: usize,
    },
    /// The label is not the class of the drawn figure.
    Mislabelled {
        /// The class of the drawn figure.
        true_label: u32,
    },
    /// One colour, within one grey level.
    Blank,
    /// Brightness between 6 % and 12 % of the original.
    OverDark,
}

/// One planted flaw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlantedFlaw {
    /// Train or validation.
    pub split: SplitName,
    /// Index of the flawed image in its split.
    pub index: usize,
    /// The kind of flaw.
    #[serde(flatten)]
    pub kind: FlawKind,
}

/// Numbers of flaws in one split.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    exact_duplicates: usize,
    near_duplicates: usize,
    leaked: usize,
    mislabelled: usize,
    blank: usize,
    over_dark: usize,
}

impl Counts {
    /// Number of images that are changed or copied from.
    pub(super) fn n_touched(&self) -> usize {
        2 * (self.exact_duplicates + self.near_duplicates)
            + self.leaked
            + self.mislabelled
            + self.blank
            + self.over_dark
    }
}

/// Numbers of flaws in train and in validation.
#[derive(Debug, Clone, Copy)]
pub(super) struct SplitCounts {
    pub(super) train: Counts,
    pub(super) validation: Counts,
}

impl SplitCounts {
    /// Spreads the numbers of `config` in proportion to the sizes of the two splits.
    pub(super) fn of(config: &SyntheticConfig) -> Self {
        let both = config.n_train + config.n_validation;
        let in_train = |count: usize| (count * config.n_train + both / 2) / both.max(1);
        let train = Counts {
            exact_duplicates: in_train(config.exact_duplicates),
            near_duplicates: in_train(config.near_duplicates),
            leaked: config.leaked,
            mislabelled: in_train(config.mislabelled),
            blank: in_train(config.blank),
            over_dark: in_train(config.over_dark),
        };
        let validation = Counts {
            exact_duplicates: config.exact_duplicates - train.exact_duplicates,
            near_duplicates: config.near_duplicates - train.near_duplicates,
            leaked: config.leaked,
            mislabelled: config.mislabelled - train.mislabelled,
            blank: config.blank - train.blank,
            over_dark: config.over_dark - train.over_dark,
        };
        Self { train, validation }
    }
}

/// Plants the flaws of `config`. No image is changed twice, and originals of copies stay clean.
pub(super) fn plant(
    config: &SyntheticConfig,
    seed: u64,
    train: &mut Draft,
    validation: &mut Draft,
) -> Vec<PlantedFlaw> {
    let counts = SplitCounts::of(config);
    let mut flaws = Vec::new();
    let mut free_in_train = shuffled_indices(seed, train);
    let mut free_in_validation = shuffled_indices(seed, validation);
    plant_within(seed, train, counts.train, &mut free_in_train, &mut flaws);
    plant_within(
        seed,
        validation,
        counts.validation,
        &mut free_in_validation,
        &mut flaws,
    );
    let pairs = free_in_train
        .iter()
        .zip(&free_in_validation)
        .take(config.leaked);
    for (source, index) in pairs.map(|(source, index)| (*source, *index)) {
        validation
            .picture_mut(index)
            .copy_from_slice(train.picture(source));
        validation.labels[index] = train.labels[source];
        let kind = FlawKind::Leaked { source };
        flaws.push(PlantedFlaw {
            split: SplitName::Validation,
            index,
            kind,
        });
    }
    flaws.sort_by_key(|flaw| (flaw.split, flaw.index));
    flaws
}

fn shuffled_indices(seed: u64, draft: &Draft) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..draft.labels.len()).collect();
    Stream::new(seed, "synthetic-flaws", stream_epoch(draft.split), 0).shuffle(&mut indices);
    indices
}

/// Plants all flaws except the leaks; the images to change are taken from the end of `free`.
fn plant_within(
    seed: u64,
    draft: &mut Draft,
    counts: Counts,
    free: &mut Vec<usize>,
    flaws: &mut Vec<PlantedFlaw>,
) {
    let mut stream = Stream::new(seed, "synthetic-flaws", stream_epoch(draft.split), 1);
    let mut take = |count: usize| free.split_off(free.len() - count.min(free.len()));
    let split = draft.split;
    let mut record = |index, kind| flaws.push(PlantedFlaw { split, index, kind });
    for pair in take(2 * counts.exact_duplicates).chunks_exact(2) {
        let (source, target) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
        copy(draft, source, target);
        record(target, FlawKind::ExactDuplicate { source });
    }
    for pair in take(2 * counts.near_duplicates).chunks_exact(2) {
        let (source, target) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
        copy(draft, source, target);
        disturb(draft.picture_mut(target), &mut stream);
        record(target, FlawKind::NearDuplicate { source });
    }
    let n_classes = shapes::CLASS_NAMES.len() as u32;
    for index in take(counts.mislabelled) {
        let true_label = draft.labels[index];
        let shift = 1 + stream.below(u64::from(n_classes) - 1) as u32;
        draft.labels[index] = (true_label + shift) % n_classes;
        record(index, FlawKind::Mislabelled { true_label });
    }
    for index in take(counts.blank) {
        make_blank(draft.picture_mut(index), &mut stream);
        record(index, FlawKind::Blank);
    }
    for index in take(counts.over_dark) {
        let brightness = stream.range_f32(0.06, 0.12);
        for byte in draft.picture_mut(index) {
            *byte = to_byte(f32::from(*byte) / 255.0 * brightness);
        }
        record(index, FlawKind::OverDark);
    }
}

fn copy(draft: &mut Draft, source: usize, target: usize) {
    let start = source * Draft::BYTES_PER_PICTURE;
    let range = start..start + Draft::BYTES_PER_PICTURE;
    draft
        .pixels
        .copy_within(range, target * Draft::BYTES_PER_PICTURE);
    draft.labels[target] = draft.labels[source];
}

fn disturb(picture: &mut [u8], stream: &mut Stream) {
    let brightness = stream.range_f32(0.94, 1.06);
    for byte in picture {
        *byte = to_byte(f32::from(*byte) / 255.0 * brightness + 0.008 * bell(stream));
    }
}

fn make_blank(picture: &mut [u8], stream: &mut Stream) {
    let plane_len = picture.len() / 3;
    for plane in picture.chunks_exact_mut(plane_len) {
        let level = 60 + stream.below(136) as u8;
        plane.fill_with(|| level + stream.below(2) as u8);
    }
}
