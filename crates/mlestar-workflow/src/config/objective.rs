//! What a study of several processes optimises.

use mlestar_tune::Direction;
use serde::{Deserialize, Serialize};

/// What a trial is measured by. The name says which direction is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Highest validation accuracy of the trial's epochs, 0 to 1; higher is better.
    Accuracy,
    /// Lowest validation loss of the trial's epochs; lower is better.
    Loss,
    /// Seconds of training and validation; lower is better. Differs from run to run.
    TrainingTime,
    /// Values of the network, trained ones and running statistics; lower is better.
    Parameters,
    /// Multiply-add operations times two for one image; lower is better.
    Flops,
}

impl Objective {
    /// Every objective.
    pub const ALL: [Self; 5] = [
        Self::Accuracy,
        Self::Loss,
        Self::TrainingTime,
        Self::Parameters,
        Self::Flops,
    ];

    /// What a trial reports after each epoch, and what pruning judges: the loss if it is the first objective, else the accuracy.
    pub fn watched(objectives: &[Self]) -> Self {
        match objectives.first() {
            Some(Self::Loss) => Self::Loss,
            _ => Self::Accuracy,
        }
    }

    /// The name in a config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Loss => "loss",
            Self::TrainingTime => "training_time",
            Self::Parameters => "parameters",
            Self::Flops => "flops",
        }
    }

    /// What a page calls it, with its unit.
    pub fn label(self) -> &'static str {
        match self {
            Self::Accuracy => "validation accuracy (fraction)",
            Self::Loss => "validation loss",
            Self::TrainingTime => "training time (s)",
            Self::Parameters => "parameters",
            Self::Flops => "operations per image",
        }
    }

    /// Whether higher or lower is better.
    pub fn direction(self) -> Direction {
        match self {
            Self::Accuracy => Direction::Maximize,
            _ => Direction::Minimize,
        }
    }

    /// A value with its unit, as people read it.
    pub fn format(self, value: f64) -> String {
        match self {
            Self::Accuracy | Self::Loss => format!("{value:.4}"),
            Self::TrainingTime => format!("{value:.1} s"),
            Self::Parameters | Self::Flops => format!("{value:.0}"),
        }
    }

    /// Whether a training has a value of it after each epoch, by which it can be pruned.
    pub fn is_known_during_training(self) -> bool {
        matches!(self, Self::Accuracy | Self::Loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_one_of_the_config() {
        for objective in Objective::ALL {
            let name = serde_json::to_value(objective).unwrap();
            assert_eq!(name, objective.name());
        }
        assert_eq!(Objective::Flops.format(1.5e6), "1500000");
    }
}
