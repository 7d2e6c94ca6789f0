//! The seven stages. Each takes typed inputs from its [`StageContext`] and writes typed artifacts to its folder; none
//! parses arguments or knows other paths.

pub mod action_planning;
pub mod deployment;
pub mod evaluation;
pub mod implementation;
pub mod refinement;
pub mod situation_analysis;
pub mod task_definition;

use crate::{Stage, StageContext, WorkflowError};

/// Runs the stage that the context is for.
///
/// # Errors
/// Any failure that keeps the stage from writing its artifacts. An unmet gate is not one.
pub fn run(context: &mut StageContext<'_>) -> Result<(), WorkflowError> {
    match context.stage {
        Stage::SituationAnalysis => situation_analysis::run(context),
        Stage::TaskDefinition => task_definition::run(context),
        Stage::ActionPlanning => action_planning::run(context),
        Stage::Implementation => implementation::run(context),
        Stage::Evaluation => evaluation::run(context),
        Stage::Refinement => refinement::run(context),
        Stage::Deployment => deployment::run(context),
    }
}
