//! The quality gates of the seven stages, judged from the artifacts on disk.
//!
//! A gate is a list of criteria. The config sets their limits
//! ([`RawConfig::criteria`](crate::config::RawConfig::criteria)): `[gates.<stage>]` first, then `[task]`. Each
//! criterion is measured from the artifacts of its stage, read through an [`ArtifactReader`], which refuses altered
//! files. Figures are recomputed from the raw rows.
//!
//! Three criteria apply to every stage and do not depend on the config: whether the stage is up to date
//! (`up_to_date`), whether its files are as it wrote them (`files_intact`), and whether its readings of the test
//! split are on record (`test_readings`).

mod reader;
mod standing;

pub mod action_planning;
pub mod deployment;
pub mod evaluation;
pub mod implementation;
pub mod refinement;
pub mod situation_analysis;
pub mod task_definition;

pub use reader::{ArtifactReader, Found, RecordedPredictions, agree};

use crate::config::Config;
use crate::freshness::Surroundings;
use crate::manifest::RunManifest;
use crate::{RunFolder, Stage};
use mlestar_gates::{Criterion, Evidence, Measurement, RunVerdict, StageVerdict, Verdict, judge};

/// Measures the criterion `id` of `stage`; `None` where the stage has no such criterion.
fn measure(
    stage: Stage,
    id: &str,
    reader: &ArtifactReader<'_>,
    config: &Config,
) -> Option<Found<Measurement>> {
    match stage {
        Stage::SituationAnalysis => situation_analysis::measure(id, reader),
        Stage::TaskDefinition => task_definition::measure(id, reader),
        Stage::ActionPlanning => action_planning::measure(id, reader, config),
        Stage::Implementation => implementation::measure(id, reader, config),
        Stage::Evaluation => evaluation::measure(id, reader, config),
        Stage::Refinement => refinement::measure(id, reader, config),
        Stage::Deployment => deployment::measure(id, reader, config),
    }
}

/// Judges the gate of one stage from the files in the run folder.
pub fn judge_stage(
    stage: Stage,
    surroundings: &Surroundings,
    run: &RunFolder,
    manifest: &RunManifest,
) -> StageVerdict {
    let mut verdicts = figures(stage, &surroundings.config, run, manifest);
    verdicts.extend(standing::judge_standing(stage, surroundings, run, manifest));
    StageVerdict {
        stage: stage.stem().into(),
        verdicts,
    }
}

/// The verdicts on the results of a stage.
pub(crate) fn figures(
    stage: Stage,
    config: &Config,
    run: &RunFolder,
    manifest: &RunManifest,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let seen = reader::Seen::default();
    for criterion in config.criteria(stage) {
        let Some(limit) = config.limit_of(&criterion, stage) else {
            continue;
        };
        let criterion = Criterion { limit, ..criterion };
        let reader = ArtifactReader::new(run, manifest, &seen);
        let evidence = match measure(stage, &criterion.id, &reader, config) {
            Some(Ok(measurement)) => Evidence::measured(measurement, reader.files_read()),
            Some(Err(evidence)) => *evidence,
            None => Evidence::missing(stage.folder(), "nothing measures this criterion"),
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
    manifest: &RunManifest,
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
    fn every_criterion_is_measured_and_missing_without_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let config = Config::default();
        for stage in Stage::ALL {
            let criteria = config.criteria(stage);
            let ids: BTreeSet<_> = criteria.iter().map(|criterion| &criterion.id).collect();
            assert_eq!(ids.len(), criteria.len(), "{stage}");
            let (manifest, seen) = (RunManifest::default(), reader::Seen::default());
            let reader = ArtifactReader::new(&run, &manifest, &seen);
            for id in ids {
                assert!(measure(stage, id, &reader, &config).is_some(), "{id}");
            }
            assert!(measure(stage, "no_criterion", &reader, &config).is_none());
            let surroundings = Surroundings::look(&config, &run, "cpu");
            let verdict = judge_stage(stage, &surroundings, &run, &RunManifest::default());
            assert!(!verdict.verdicts.is_empty());
            for verdict in verdict.verdicts {
                verdict.criterion.check().unwrap();
                assert!(!verdict.criterion.remedy.is_empty());
                assert_eq!(verdict.status, mlestar_gates::Status::Missing);
            }
        }
    }
}
