use serde::{Deserialize, Serialize};

use super::{fraction, is_within};
use crate::TrainError;

/// Layers that stop learning, an entry of `training.freezing` (Brock et al. 2017, <https://arxiv.org/abs/1706.04983>,
/// but at the rate that all layers have).
///
/// | key | meaning | range |
/// |---|---|---|
/// | `from_fraction` | fraction of the epochs after which they do | 0 to below 1, and more than that of the entry before |
/// | `stages` | the stem and so many stages after it | 0 to those of the network, and more than in the entry before |
///
/// They are left out of backward passes. Their batch norms go on as in training: they normalise by the batch, and their
/// running statistics move.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freezing {
    /// Fraction of the epochs that train these layers.
    pub from_fraction: f64,
    /// Stages that stop learning, besides the stem.
    pub stages: usize,
}

/// Entries of `training.freezing`, at most.
const MAX_ENTRIES: usize = 16;

impl Freezing {
    pub(crate) const STAGES_KEY: &str = "freezing.stages";

    /// How many stages are frozen, besides the stem, in `epoch` (from 1) of `epochs`; `None` where nothing is.
    pub(super) fn stages_at(entries: &[Self], epoch: usize, epochs: usize) -> Option<usize> {
        let has_begun = |entry: &&Self| !is_within(entry.from_fraction, epoch, epochs);
        entries.iter().rfind(has_begun).map(|entry| entry.stages)
    }

    pub(super) fn check(entries: &[Self]) -> Result<(), TrainError> {
        if entries.len() > MAX_ENTRIES {
            let limit = format!("at most {MAX_ENTRIES} entries");
            return Err(TrainError::out_of_range("freezing", entries.len(), limit));
        }
        for entry in entries {
            fraction("freezing.from_fraction", entry.from_fraction)?;
        }
        for pair in entries.windows(2) {
            let [before, entry] = [pair[0], pair[1]];
            if entry.from_fraction <= before.from_fraction {
                return Err(TrainError::out_of_range(
                    "freezing.from_fraction",
                    entry.from_fraction,
                    format!("above {}, in rising order", before.from_fraction),
                ));
            }
            if entry.stages <= before.stages {
                return Err(TrainError::out_of_range(
                    Self::STAGES_KEY,
                    entry.stages,
                    format!("above {}: what is frozen stays frozen", before.stages),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(list: &[(f64, usize)]) -> Vec<Freezing> {
        let entry = |&(from_fraction, stages)| Freezing {
            from_fraction,
            stages,
        };
        list.iter().map(entry).collect()
    }

    #[test]
    fn more_and_more_layers_stop() {
        let frozen = |list: &[(f64, usize)], epochs| -> Vec<Option<usize>> {
            let entries = entries(list);
            (1..=epochs)
                .map(|epoch| Freezing::stages_at(&entries, epoch, epochs))
                .collect()
        };
        assert_eq!(
            frozen(&[(0.5, 0), (0.75, 2)], 4),
            [None, None, Some(0), Some(2)]
        );
        // The last epoch always has all of it, the first what begins at 0.
        assert_eq!(frozen(&[(0.0, 1), (0.9, 3)], 2), [Some(1), Some(3)]);
        assert_eq!(frozen(&[], 2), [None, None]);
    }

    #[test]
    fn entries_out_of_order_or_range_are_refused() {
        let refused =
            |list: &[(f64, usize)]| Freezing::check(&entries(list)).unwrap_err().to_string();
        assert_eq!(
            refused(&[(0.5, 1), (0.5, 2)]),
            "freezing.from_fraction = 0.5 is out of range: it must be above 0.5, in rising order"
        );
        assert_eq!(
            refused(&[(0.5, 1), (0.6, 1)]),
            "freezing.stages = 1 is out of range: it must be above 1: what is frozen stays frozen"
        );
        for from in [1.0, -0.1, f64::NAN] {
            assert!(refused(&[(from, 0)]).contains("freezing.from_fraction"));
        }
        let many: Vec<(f64, usize)> = (0..17).map(|n| (n as f64 / 20.0, n)).collect();
        assert!(refused(&many).contains("at most 16 entries"));
        assert!(Freezing::check(&entries(&many[..16])).is_ok());
    }
}
