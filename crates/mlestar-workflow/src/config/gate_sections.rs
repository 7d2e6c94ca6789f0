use std::collections::BTreeMap;
use std::fmt;

use mlestar_gates::Limit;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Stage;

/// Section `[gates]`: one section per stage, named by the stage's stem.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatesConfig {
    /// Gate of stage 1.
    pub situation_analysis: GateSection,
    /// Gate of stage 2.
    pub task_definition: GateSection,
    /// Gate of stage 3.
    pub action_planning: GateSection,
    /// Gate of stage 4.
    pub implementation: GateSection,
    /// Gate of stage 5.
    pub evaluation: GateSection,
    /// Gate of stage 6.
    pub refinement: GateSection,
    /// Gate of stage 7.
    pub deployment: GateSection,
}

impl GatesConfig {
    /// The gate of a stage.
    pub fn section(&self, stage: Stage) -> &GateSection {
        match stage {
            Stage::SituationAnalysis => &self.situation_analysis,
            Stage::TaskDefinition => &self.task_definition,
            Stage::ActionPlanning => &self.action_planning,
            Stage::Implementation => &self.implementation,
            Stage::Evaluation => &self.evaluation,
            Stage::Refinement => &self.refinement,
            Stage::Deployment => &self.deployment,
        }
    }

    /// What an unmet gate of a stage leads to.
    pub fn on_failure(&self, stage: Stage) -> OnFailure {
        let set = self.section(stage).on_failure.clone();
        set.unwrap_or_else(|| OnFailure::where_absent(stage))
    }

    /// The same gates with every `on_failure` filled in.
    pub(super) fn resolved(mut self) -> Self {
        for (stage, section) in [
            (Stage::SituationAnalysis, &mut self.situation_analysis),
            (Stage::TaskDefinition, &mut self.task_definition),
            (Stage::ActionPlanning, &mut self.action_planning),
            (Stage::Implementation, &mut self.implementation),
            (Stage::Evaluation, &mut self.evaluation),
            (Stage::Refinement, &mut self.refinement),
            (Stage::Deployment, &mut self.deployment),
        ] {
            section
                .on_failure
                .get_or_insert_with(|| OnFailure::where_absent(stage));
        }
        self
    }
}

/// Section `[gates.<stage>]`.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `on_failure` | `"stop"` for stages 1 to 3, `"continue"` after them | what an unmet gate leads to | see [`OnFailure`] |
/// | `criteria` | empty | other limits for the stage's criteria, or `false` to switch one off | see [`CriterionSetting`] |
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateSection {
    /// What an unmet gate leads to; [`GatesConfig::on_failure`] gives the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Settings of single criteria, by id; the others keep their defaults.
    pub criteria: BTreeMap<String, CriterionSetting>,
}

/// A criterion's setting: `{ at_least = 0.8 }`, `{ above = 0 }`, `{ at_most = 100 }`, `{ equals = 0 }`, or `false`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CriterionSetting {
    /// Judged by this limit.
    Limit(Limit),
    /// Not judged.
    Off,
}

impl Serialize for CriterionSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Limit(limit) => limit.serialize(serializer),
            Self::Off => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for CriterionSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CriterionVisitor)
    }
}

struct CriterionVisitor;

impl<'de> Visitor<'de> for CriterionVisitor {
    type Value = CriterionSetting;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .write_str("a limit such as { at_least = 0.8 }, or false to switch the criterion off")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        if value {
            Err(E::custom(
                "true has no meaning here: leave the criterion out to keep its default, or give a limit \
                such as { at_least = 0.8 }",
            ))
        } else {
            Ok(CriterionSetting::Off)
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Limit::deserialize(MapAccessDeserializer::new(map)).map(CriterionSetting::Limit)
    }
}

/// What an unmet gate leads to. Whichever it is, the run ends with the exit code of the worst verdict.
///
/// In a config `"stop"`, `"continue"`, or
/// `{ return_to = "implementation", max_returns = 1, set = { "training.epochs" = 20 } }`.
#[derive(Debug, Clone, PartialEq)]
pub enum OnFailure {
    /// The stages after this one are not run.
    Stop,
    /// The stages after this one are run nevertheless.
    Continue,
    /// An earlier stage is run again with some keys changed.
    Return(ReturnTo),
}

impl OnFailure {
    /// Data, task and plan that do not pass are not worth training on; a model that does not pass is
    /// still worth measuring.
    fn where_absent(stage: Stage) -> Self {
        match stage {
            Stage::SituationAnalysis | Stage::TaskDefinition | Stage::ActionPlanning => Self::Stop,
            _ => Self::Continue,
        }
    }
}

/// A bounded return to an earlier stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReturnTo {
    /// The stage to run again, this one or an earlier one.
    pub return_to: Stage,
    /// The most returns, 1 to 10.
    #[serde(default = "one")]
    pub max_returns: u32,
    /// Keys of the config that are set before the stage is run again.
    #[serde(default)]
    pub set: BTreeMap<String, toml::Value>,
}

fn one() -> u32 {
    1
}

impl Serialize for OnFailure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Stop => serializer.serialize_str("stop"),
            Self::Continue => serializer.serialize_str("continue"),
            Self::Return(to) => to.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for OnFailure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnFailureVisitor)
    }
}

struct OnFailureVisitor;

impl<'de> Visitor<'de> for OnFailureVisitor {
    type Value = OnFailure;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "\"stop\", \"continue\" or a table such as { return_to = \"implementation\" }",
        )
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        match word {
            "stop" => Ok(OnFailure::Stop),
            "continue" => Ok(OnFailure::Continue),
            _ => Err(E::unknown_variant(word, &["stop", "continue"])),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        ReturnTo::deserialize(MapAccessDeserializer::new(map)).map(OnFailure::Return)
    }
}
