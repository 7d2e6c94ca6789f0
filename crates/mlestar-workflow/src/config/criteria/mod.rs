//! The criteria of every gate: what is measured, in what unit, the limit where the gate's section of the config names
//! none, and what to do when it is not met. How each is measured stands in `crate::gates`.

mod action_planning;
mod deployment;
mod evaluation;
mod implementation;
mod refinement;
mod situation_analysis;
mod task_definition;

pub(crate) use refinement::final_metric_id;

use super::{CriterionSetting, RawConfig};
use crate::Stage;
use mlestar_gates::{Criterion, Limit, Unit};

/// One criterion, as its stage's list has it.
struct Entry {
    /// Its key in the config, such as `accuracy`.
    id: &'static str,
    /// What is measured, in prose.
    title: &'static str,
    /// The unit of the measurement and of the limit.
    unit: Unit,
    /// The limit where the config's gate section names none.
    limit: Limit,
    /// What to do when it is not met.
    remedy: &'static str,
}

impl RawConfig {
    /// All criteria of the gate of `stage`, in the order in which they are shown, each with the limit that it has where
    /// the gate's section names none.
    pub fn criteria(&self, stage: Stage) -> Vec<Criterion> {
        let entries = match stage {
            Stage::SituationAnalysis => situation_analysis::entries(),
            Stage::TaskDefinition => task_definition::entries(),
            Stage::ActionPlanning => action_planning::entries(self),
            Stage::Implementation => implementation::entries(self),
            Stage::Evaluation => evaluation::entries(self),
            Stage::Refinement => refinement::entries(self),
            Stage::Deployment => deployment::entries(self),
        };
        let criterion = |entry: Entry| Criterion {
            id: entry.id.into(),
            title: entry.title.into(),
            limit: entry.limit,
            unit: entry.unit,
            remedy: entry.remedy.into(),
        };
        entries.into_iter().map(criterion).collect()
    }

    /// The limit of a criterion of `stage`: the gate's section first; none where that switches it off.
    pub fn limit_of(&self, criterion: &Criterion, stage: Stage) -> Option<Limit> {
        match self.gates.section(stage).criteria.get(&criterion.id) {
            Some(CriterionSetting::Off) => None,
            Some(CriterionSetting::Limit(limit)) => Some(*limit),
            None => Some(criterion.limit),
        }
    }
}
