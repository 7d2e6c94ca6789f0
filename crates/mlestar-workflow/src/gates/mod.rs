//! The quality gates of the seven stages, judged from the artifacts on disk.
//!
//! A gate is a list of [`Check`]s. Each reads what its stage left through an [`ArtifactReader`],
//! which refuses files that are not what the stage wrote, and recomputes its figure from the raw
//! rows. The limits come from the config: `[gates.<stage>]` first, then what `[task]` asks for.
//!
//! Whether a stage is about what stands there now (`up_to_date`), whether its files are as it wrote them
//! (`files_intact`) and whether its readings of the test split are on record (`test_readings`) is asked of every stage
//! and does not depend on the config.

mod reader;
mod standing;

pub mod action_planning;
pub mod deployment;
pub mod evaluation;
pub mod implementation;
pub mod refinement;
pub mod situation_analysis;
pub mod task_definition;

pub use reader::{Answers, ArtifactReader, Found, agree};

use crate::config::{Config, CriterionSetting};
use crate::freshness::Surroundings;
use crate::manifest::Manifest;
use crate::{RunFolder, Stage};
use mlestar_gates::{
    Criterion, Evidence, Limit, Measurement, RunVerdict, StageVerdict, Unit, Verdict, judge,
};

/// One criterion of a gate and how it is measured.
pub struct Check {
    /// Its key in the config, such as `accuracy`.
    pub id: &'static str,
    /// What is measured, in prose.
    pub title: &'static str,
    /// The unit of the measurement and of the limit.
    pub unit: Unit,
    /// The limit where the config's gate section names none.
    pub limit: Limit,
    /// What to do when it is not met.
    pub remedy: &'static str,
    /// Reads the artifacts and computes the figure.
    pub measure: Measure,
}

impl Check {
    /// The criterion that this check is judged by, under `limit`.
    pub fn criterion(&self, limit: Limit) -> Criterion {
        Criterion {
            id: self.id.into(),
            title: self.title.into(),
            limit,
            unit: self.unit.clone(),
            remedy: self.remedy.into(),
        }
    }
}

/// How a check is measured.
pub type Measure = fn(&ArtifactReader<'_>, &Config) -> Found<Measurement>;

/// The checks of a stage, in the order in which they are shown.
pub fn checks(stage: Stage, config: &Config) -> Vec<Check> {
    match stage {
        Stage::SituationAnalysis => situation_analysis::checks(config),
        Stage::TaskDefinition => task_definition::checks(config),
        Stage::ActionPlanning => action_planning::checks(config),
        Stage::Implementation => implementation::checks(config),
        Stage::Evaluation => evaluation::checks(config),
        Stage::Refinement => refinement::checks(config),
        Stage::Deployment => deployment::checks(config),
    }
}

/// The limit of a check: the config's gate section first; none where that switches it off.
pub fn limit_of(check: &Check, stage: Stage, config: &Config) -> Option<Limit> {
    match config.gates.section(stage).criteria.get(check.id) {
        Some(CriterionSetting::Off) => None,
        Some(CriterionSetting::Limit(limit)) => Some(*limit),
        None => Some(check.limit),
    }
}

/// Judges the gate of one stage from what stands in the run folder now.
pub fn judge_stage(
    stage: Stage,
    surroundings: &Surroundings,
    run: &RunFolder,
    manifest: &Manifest,
) -> StageVerdict {
    let mut verdicts = figures(stage, &surroundings.config, run, manifest);
    verdicts.extend(standing::judge_standing(stage, surroundings, run, manifest));
    StageVerdict {
        stage: stage.stem().into(),
        verdicts,
    }
}

/// The verdicts on what a stage found.
pub(crate) fn figures(
    stage: Stage,
    config: &Config,
    run: &RunFolder,
    manifest: &Manifest,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let seen = reader::Seen::default();
    for check in checks(stage, config) {
        let Some(limit) = limit_of(&check, stage, config) else {
            continue;
        };
        let criterion = check.criterion(limit);
        let reader = ArtifactReader::new(run, manifest, &seen);
        let evidence = match (check.measure)(&reader, config) {
            Ok(measurement) => Evidence::measured(measurement, reader.files_read()),
            Err(evidence) => *evidence,
        };
        verdicts.push(judge(&criterion, evidence));
    }
    verdicts
}

/// Judges the gates of `stages`.
pub fn judge_stages(
    stages: &[Stage],
    surroundings: &Surroundings,
    run: &RunFolder,
    manifest: &Manifest,
) -> RunVerdict {
    RunVerdict {
        stages: stages
            .iter()
            .map(|stage| judge_stage(*stage, surroundings, run, manifest))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_check_is_well_formed_and_missing_without_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let config = Config::default();
        for stage in Stage::ALL {
            let ids: BTreeSet<_> = checks(stage, &config)
                .iter()
                .map(|check| check.id)
                .collect();
            assert_eq!(ids.len(), checks(stage, &config).len(), "{stage}");
            let surroundings = Surroundings::look(&config, &run, "cpu");
            let verdict = judge_stage(stage, &surroundings, &run, &Manifest::default());
            assert!(!verdict.verdicts.is_empty());
            for verdict in verdict.verdicts {
                verdict.criterion.check().unwrap();
                assert!(!verdict.criterion.remedy.is_empty());
                assert_eq!(verdict.status, mlestar_gates::Status::Missing);
            }
        }
    }
}
