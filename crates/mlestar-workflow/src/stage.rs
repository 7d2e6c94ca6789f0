//! The seven stages.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One of the seven stages of the method, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// 1: what the data are, and what is hard about them.
    SituationAnalysis,
    /// 2: the targets, and whether they can be reached.
    TaskDefinition,
    /// 3: the architecture and the training strategy, checked before time is spent.
    ActionPlanning,
    /// 4: training.
    Implementation,
    /// 5: how the trained model performs on images that it has never seen.
    Evaluation,
    /// 6: a search for a better model, and proof that it is better.
    Refinement,
    /// 7: a package that others can run, proven to match the trained model.
    Deployment,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Self; 7] = [
        Self::SituationAnalysis,
        Self::TaskDefinition,
        Self::ActionPlanning,
        Self::Implementation,
        Self::Evaluation,
        Self::Refinement,
        Self::Deployment,
    ];

    /// 1 to 7.
    pub fn number(self) -> usize {
        self as usize + 1
    }

    /// The name of its module, config section and gate section, such as `situation_analysis`.
    pub fn stem(self) -> &'static str {
        match self {
            Self::SituationAnalysis => "situation_analysis",
            Self::TaskDefinition => "task_definition",
            Self::ActionPlanning => "action_planning",
            Self::Implementation => "implementation",
            Self::Evaluation => "evaluation",
            Self::Refinement => "refinement",
            Self::Deployment => "deployment",
        }
    }

    /// Its name in prose, such as `Situation analysis`.
    pub fn title(self) -> &'static str {
        match self {
            Self::SituationAnalysis => "Situation analysis",
            Self::TaskDefinition => "Task definition",
            Self::ActionPlanning => "Action planning",
            Self::Implementation => "Implementation",
            Self::Evaluation => "Results evaluation",
            Self::Refinement => "Refinement",
            Self::Deployment => "Deployment preparation",
        }
    }

    /// Its folder in a run, such as `1-situation-analysis`.
    pub fn folder(self) -> String {
        format!("{}-{}", self.number(), self.stem().replace('_', "-"))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.number(), self.title())
    }
}

/// A word that names no stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a stage; use 1 to 7 or one of {names}", names = stems())]
pub struct UnknownStage(pub String);

fn stems() -> String {
    Stage::ALL.map(Stage::stem).join(", ")
}

impl FromStr for Stage {
    type Err = UnknownStage;

    /// Reads `4`, `implementation`, `action-planning` or `3-action-planning`.
    fn from_str(text: &str) -> Result<Self, UnknownStage> {
        let word = text.trim().to_ascii_lowercase().replace('-', "_");
        Self::ALL
            .into_iter()
            .find(|stage| {
                word == stage.stem()
                    || word == stage.number().to_string()
                    || word == stage.folder().replace('-', "_")
            })
            .ok_or_else(|| UnknownStage(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_stage_is_read() {
        for stage in Stage::ALL {
            assert_eq!(stage.number().to_string().parse(), Ok(stage));
            assert_eq!(stage.stem().parse(), Ok(stage));
            assert_eq!(stage.folder().parse(), Ok(stage));
            let json = serde_json::to_string(&stage).unwrap();
            assert_eq!(json, format!("\"{}\"", stage.stem()));
        }
        let message = "8".parse::<Stage>().unwrap_err().to_string();
        assert!(
            message.starts_with("\"8\" is not a stage; use 1 to 7 or one of situation_analysis")
        );
    }
}
