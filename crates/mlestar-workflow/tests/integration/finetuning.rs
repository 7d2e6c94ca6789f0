//! Runs that fine-tune the weights of another run.

use crate::{finished_run, run_in, stages_that_run, tiny};
use mlestar_gates::{Evidence, Status};
use mlestar_train::{EpochRecord, StopSignal};
use mlestar_workflow::freshness::Surroundings;
use mlestar_workflow::gates::judge_stages;
use mlestar_workflow::manifest::RunManifest;
use mlestar_workflow::{RunFolder, Stage};
use std::fs;

/// With one epoch, the head is all that is fitted, and no step is taken.
#[test]
fn a_fine_tuned_run_is_judged_by_the_same_gates() {
    let pretrained = finished_run();
    let weights = pretrained
        .path()
        .join("4-implementation/checkpoints/best/model.safetensors");
    let weights = format!("training.initial_weights='{}'", weights.display());
    for (epochs, trial_epochs) in [(1, 1), (3, 2)] {
        let config = tiny(&[
            &weights,
            "training.finetune={ rate_decay = 0.7 }",
            &format!("training.epochs={epochs}"),
            "training.schedule.warmup_epochs=0",
            "training.evaluation_batch_size=5",
            "evaluation.batch_size=64",
            &format!("refinement.epochs_per_trial={trial_epochs}"),
            "refinement.warmup_epochs=0",
        ]);
        let folder = tempfile::tempdir().unwrap();
        run_in(folder.path(), &config, &StopSignal::new(), &mut ()).unwrap();
        let run = RunFolder::new(folder.path());
        let text =
            fs::read_to_string(run.artifact(Stage::Implementation, "metrics.jsonl")).unwrap();
        let records: Vec<EpochRecord> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let of_head: Vec<bool> = records.iter().map(|record| record.head.is_some()).collect();
        assert_eq!(
            of_head,
            (0..epochs).map(|epoch| epoch == 0).collect::<Vec<_>>()
        );
        let manifest = RunManifest::read(&run).unwrap();
        let surroundings = Surroundings::look(&config, &run, "cpu");
        let judged = judge_stages(&Stage::ALL, &surroundings, &run, &manifest);
        for stage in judged.stages {
            for verdict in stage.verdicts {
                let is_sound = !matches!(verdict.status, Status::Missing | Status::Stale)
                    && !matches!(verdict.evidence, Evidence::Contradiction { .. });
                assert!(
                    is_sound,
                    "{epochs} epochs, {}: {}",
                    stage.stage, verdict.message
                );
            }
        }
        assert!(stages_that_run(folder.path(), &config).is_empty());
    }
}
