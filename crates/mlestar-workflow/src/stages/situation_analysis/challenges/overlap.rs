//! Validation and test images that are not new to the model. Two challenges count them in the same way.

use super::ChallengeEvidence;
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_data::SplitName;
use mlestar_data::quality::FindingKind;
use mlestar_gates::{Limit, Unit};

/// The splits that judge a model: validation and test.
const SPLITS: [SplitName; 2] = [SplitName::Validation, SplitName::Test];
/// A single image is one too many.
const THRESHOLD_PICTURES: f64 = 1.0;

/// Findings of some kinds in the splits that judge a model.
pub(super) struct Overlap<'a> {
    pub(super) measurements: &'a Measurements,
    pub(super) kinds: &'a [FindingKind],
}

impl Overlap<'_> {
    fn n_in(&self, split: SplitName) -> usize {
        self.measurements.n_findings_in(self.kinds, split)
    }

    fn share_of(&self, split: SplitName) -> f64 {
        self.measurements.share(self.n_in(split), split)
    }

    /// The larger of both splits' shares.
    pub(super) fn largest_share(&self) -> f64 {
        SPLITS
            .map(|split| self.share_of(split))
            .into_iter()
            .fold(0.0, f64::max)
    }

    /// The number of such images in each split; `what` describes them.
    pub(super) fn evidence(&self, what: &str, method: &str) -> Vec<ChallengeEvidence> {
        ChallengeEvidence::those_that_hold(SPLITS.into_iter().map(|split| {
            ChallengeEvidence::new(
                &format!("{split} images {what}"),
                self.n_in(split) as f64,
                Unit::Count,
                Limit::AtLeast(THRESHOLD_PICTURES),
                self.measurements.n_pictures(split),
                method.to_owned(),
            )
        }))
    }

    /// A clause for each split that has any, from its name, the number of its images, as `3 of 40`, and the share.
    pub(super) fn clauses(&self, clause: impl Fn(SplitName, String, f64) -> String) -> Vec<String> {
        let splits = SPLITS.into_iter().filter(|split| self.n_in(*split) > 0);
        splits
            .map(|split| {
                let n_pictures = self.measurements.n_pictures(split);
                let counted = format!("{} of {n_pictures}", self.n_in(split));
                clause(split, counted, self.share_of(split))
            })
            .collect()
    }
}
