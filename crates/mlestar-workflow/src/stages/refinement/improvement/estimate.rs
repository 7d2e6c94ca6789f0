//! What a change may bring, before anything is trained.

use super::{CostEstimate, GainEstimate};
use crate::WorkflowError;
use crate::config::Config;
use crate::stages::implementation::TrainingSummary;
use mlestar_model::ModelSpec;

/// What the training of stage 4 left to gain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Facts {
    /// Training accuracy minus validation accuracy, at least 0: what more varied images and less capacity can gain.
    pub gap: f64,
    /// 1 minus training accuracy: what more capacity can gain, and what makes a training harder costs more of it.
    pub unlearned: f64,
    /// 1 minus validation accuracy: no change gains more.
    pub error: f64,
}

impl Facts {
    pub(super) fn of(training: &TrainingSummary) -> Self {
        Self {
            gap: training.overfitting_gap.max(0.0),
            unlearned: 1.0 - training.train_accuracy,
            error: 1.0 - training.validation_accuracy,
        }
    }
}

/// A rule of thumb: which shares of what is left a kind of change gains. They are judgement, not measurement; the
/// ablation says how good they were for the data at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// Share of the gap between training and validation accuracy.
    pub of_gap: f64,
    /// Share of the unlearned training images; negative where the change makes learning harder.
    pub of_unlearned: f64,
}

/// No estimate is surer than this.
const LEAST_HALF_WIDTH: f64 = 0.01;

impl Rule {
    pub(super) fn estimate(self, facts: &Facts) -> GainEstimate {
        let parts = [self.of_gap * facts.gap, self.of_unlearned * facts.unlearned];
        let expected = (parts[0] + parts[1]).min(facts.error);
        // Each part may be missing, or twice as large.
        let half_width = LEAST_HALF_WIDTH + parts[0].abs() + parts[1].abs();
        GainEstimate {
            expected,
            low: (expected - half_width).max(facts.error - 1.0),
            high: (expected + half_width).min(facts.error),
        }
    }
}

/// What `changed` costs beside `config`: operations stand for time, because steps of the same batch size and image size
/// differ by little else.
pub(super) fn cost(
    before: &ModelSpec,
    config: &Config,
    changed: &Config,
) -> Result<CostEstimate, WorkflowError> {
    if changed.model == config.model {
        return Ok(CostEstimate {
            time: 1.0,
            size: 1.0,
        });
    }
    let after = changed
        .model
        .check(before.n_classes(), before.height(), before.width())?;
    let [before, after] = [before.summary(), after.summary()];
    Ok(CostEstimate {
        time: after.flops_per_image as f64 / before.flops_per_image.max(1) as f64,
        size: after.parameters as f64 / before.parameters.max(1) as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_rests_on_what_is_left_and_never_exceeds_it() {
        let overfitted = Facts {
            gap: 0.2,
            unlearned: 0.0,
            error: 0.2,
        };
        let unlearned = Facts {
            gap: 0.0,
            unlearned: 0.4,
            error: 0.4,
        };
        let stronger = Rule {
            of_gap: 0.4,
            of_unlearned: -0.2,
        };
        let larger = Rule {
            of_gap: 0.0,
            of_unlearned: 0.3,
        };
        assert!(stronger.estimate(&overfitted).expected > larger.estimate(&overfitted).expected);
        assert!(stronger.estimate(&unlearned).expected < 0.0);
        assert!(larger.estimate(&unlearned).expected > 0.1);
        let perfect = Facts {
            gap: 0.0,
            unlearned: 0.0,
            error: 0.0,
        };
        let none = Rule {
            of_gap: 1.0,
            of_unlearned: 1.0,
        }
        .estimate(&perfect);
        assert_eq!((none.expected, none.high), (0.0, 0.0));
        for facts in [overfitted, unlearned, perfect] {
            let estimate = stronger.estimate(&facts);
            assert!(estimate.low <= estimate.expected && estimate.expected <= estimate.high);
        }
    }
}
