//! The criteria of every gate: what is measured, its unit, the default limit, and what to do when it is not met.
//! `crate::gates` says how each one is measured.

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

/// One criterion in the list of its stage.
struct Entry {
    /// Its key in the config, such as `accuracy`.
    id: &'static str,
    /// What is measured, in prose.
    title: &'static str,
    /// The unit of the measurement and of the limit.
    unit: Unit,
    /// The default limit, used where the config's gate section sets none.
    limit: Limit,
    /// What to do when it is not met.
    remedy: &'static str,
}

impl RawConfig {
    /// All criteria of the gate of `stage` in display order, each with its default limit.
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

    /// The limit of a criterion of `stage`: that of the gate's section, else the default; none where it is switched
    /// off.
    pub fn limit_of(&self, criterion: &Criterion, stage: Stage) -> Option<Limit> {
        match self.gates.section(stage).criteria.get(&criterion.id) {
            Some(CriterionSetting::Off) => None,
            Some(CriterionSetting::Limit(limit)) => Some(*limit),
            None => Some(criterion.limit),
        }
    }
}
