use super::TrainingConfig;
use crate::ScheduleKind;

impl TrainingConfig {
    /// Whether a training with `self` can resume the checkpoints of a training with `before`. Every step must
    /// be the same, and `self` must have at least as many epochs and at least as much patience.
    ///
    /// Some keys do not matter: how often checkpoints are written, how many are kept, the time limit, and the
    /// recovery. The paths of the initial weights and of teachers do not matter either, because their contents
    /// are compared elsewhere.
    ///
    /// ```
    /// use mlestar_train::{ScheduleKind, TrainingConfig};
    ///
    /// let mut before = TrainingConfig { epochs: 5, ..TrainingConfig::default() };
    /// before.schedule.kind = ScheduleKind::Constant;
    /// let longer = TrainingConfig { epochs: 8, ..before.clone() };
    /// assert!(longer.extends(&before));
    /// assert!(!before.extends(&longer));
    /// ```
    #[must_use]
    pub fn extends(&self, before: &Self) -> bool {
        let patience = |config: &Self| {
            let early = config.early_stopping.as_ref();
            early.map_or(usize::MAX, |early| early.patience)
        };
        let min_delta = |config: &Self| config.early_stopping.as_ref().map(|early| early.min_delta);
        // Without early stopping, `min_delta` was not used.
        let same_progress = self.early_stopping.is_none() || min_delta(self) == min_delta(before);
        // The last epoch is always validated, so the longer training must validate it too.
        let same_validations = self.epochs == before.epochs
            || before
                .epochs
                .is_multiple_of(before.validate_every_epochs.max(1));
        self.deciding_steps() == before.deciding_steps()
            && self.epochs >= before.epochs
            && patience(self) >= patience(before)
            && same_progress
            && same_validations
    }

    /// This config with fixed values for all keys that change no step. Two trainings whose configs are equal in
    /// this form take the same steps, as far as both run.
    pub(crate) fn deciding_steps(&self) -> Self {
        let mut own = self.clone();
        own.checkpoint_every_epochs = 0;
        own.checkpoint_every_minutes = 0.0;
        own.keep_checkpoints = 0;
        own.histograms_every_epochs = 0;
        own.evaluation_batch_size = 1;
        own.initial_weights = None;
        if let Some(distillation) = &mut own.distillation {
            distillation.teachers.clear();
        }
        own.max_minutes = None;
        own.recovery = super::RecoveryConfig::default();
        own.early_stopping = None;
        let schedule = &mut own.schedule;
        schedule.t_max_epochs = match schedule.kind {
            ScheduleKind::Constant | ScheduleKind::Step | ScheduleKind::Plateau => None,
            _ => Some(schedule.horizon_epochs(own.epochs)),
        };
        // The sizes of smaller images depend on fractions of the epochs.
        if own.progressive_resizing.is_empty() {
            own.epochs = 1;
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EarlyStoppingConfig;

    fn constant(epochs: usize) -> TrainingConfig {
        let mut config = TrainingConfig {
            epochs,
            ..TrainingConfig::default()
        };
        config.schedule.kind = ScheduleKind::Constant;
        config
    }

    #[test]
    fn more_epochs_extend_where_no_rate_depends_on_them() {
        assert!(constant(9).extends(&constant(4)));
        assert!(!constant(3).extends(&constant(4)));
        let cosine = |epochs| TrainingConfig {
            epochs,
            ..TrainingConfig::default()
        };
        assert!(!cosine(9).extends(&cosine(4)), "its rates fall more slowly");
        let mut fixed = cosine(4);
        fixed.schedule.t_max_epochs = Some(4.0);
        let longer = TrainingConfig {
            epochs: 9,
            ..fixed.clone()
        };
        assert!(longer.extends(&fixed));
    }

    #[test]
    fn a_validation_that_the_longer_training_would_not_have_forbids_it() {
        let rare = |epochs| TrainingConfig {
            validate_every_epochs: 3,
            ..constant(epochs)
        };
        assert!(rare(9).extends(&rare(6)));
        assert!(!rare(9).extends(&rare(4)));
    }

    #[test]
    fn more_patience_extends_and_less_does_not() {
        let patient = |patience| TrainingConfig {
            early_stopping: Some(EarlyStoppingConfig {
                patience,
                ..EarlyStoppingConfig::default()
            }),
            ..constant(9)
        };
        assert!(patient(5).extends(&patient(2)));
        assert!(constant(9).extends(&patient(2)));
        assert!(!patient(2).extends(&patient(5)));
        assert!(!patient(2).extends(&constant(9)));
        let mut strict = patient(5);
        if let Some(early) = &mut strict.early_stopping {
            early.min_delta = 0.1;
        }
        assert!(!strict.extends(&patient(2)));
    }

    #[test]
    fn what_changes_a_step_forbids_it_and_housekeeping_does_not() {
        let mut other = constant(4);
        other.batch_size += 1;
        assert!(!other.extends(&constant(4)));
        let tidy = TrainingConfig {
            keep_checkpoints: 99,
            checkpoint_every_minutes: 1.0,
            max_minutes: Some(3.0),
            ..constant(4)
        };
        assert!(tidy.extends(&constant(4)));
    }
}
