//! What stage 6 does and writes: the final model, the search that resumes, the baseline that is kept.

use crate::{finished_run, run_in, tiny};
use mlestar_artifact::{ContentHash, read_artifact, read_json_lines};
use mlestar_gates::Status;
use mlestar_train::{StopSignal, TrainEvent};
use mlestar_tune::{TrialRecord, TrialState};
use mlestar_workflow::freshness::Surroundings;
use mlestar_workflow::gates::judge_stage;
use mlestar_workflow::manifest::RunManifest;
use mlestar_workflow::stages::evaluation::EvaluationResults;
use mlestar_workflow::stages::implementation::TrainingTiming;
use mlestar_workflow::stages::refinement::{
    Ablation, Choice, FinalModel, Finalists, ImprovementAnalysis, Reason, ShortTraining,
    StudyArtifact,
};
use mlestar_workflow::training::TrainingMemory;
use mlestar_workflow::{Reporter, RunFolder, Stage};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The trainings that started.
#[derive(Default)]
struct Trainings(BTreeSet<String>);

impl Reporter for Trainings {
    fn training(&mut self, label: &str, _event: &TrainEvent) {
        self.0.insert(label.into());
    }
}

/// Runs again in a copy of the finished run and says what was trained.
fn trained_by(folder: &Path, settings: &[&str]) -> BTreeSet<String> {
    let mut trainings = Trainings::default();
    run_in(folder, &tiny(settings), &StopSignal::new(), &mut trainings).unwrap();
    trainings.0
}

fn chosen(folder: &Path) -> FinalModel {
    let run = RunFolder::new(folder);
    read_artifact(&run.artifact(Stage::Refinement, "final/final_model.json")).unwrap()
}

fn text(folder: &Path, stage: Stage, name: &str) -> String {
    fs::read_to_string(RunFolder::new(folder).artifact(stage, name)).unwrap()
}

fn status(folder: &Path, settings: &[&str], id: &str) -> Status {
    let run = RunFolder::new(folder);
    let manifest = RunManifest::read(&run).unwrap();
    let verdicts = judge_stage(
        Stage::Refinement,
        &Surroundings::look(&tiny(settings), &run, "cpu"),
        &run,
        &manifest,
    )
    .verdicts;
    verdicts
        .iter()
        .find(|verdict| verdict.criterion.id == id)
        .unwrap()
        .status
}

#[test]
fn the_model_that_ships_is_evaluated_like_the_baseline() {
    let folder = finished_run();
    let run = RunFolder::new(folder.path());
    let chosen = chosen(folder.path());
    assert_eq!(chosen.choice, Choice::Refined, "{:?}", chosen.reason);
    let path = run.artifact(Stage::Refinement, "evaluation_results.json");
    let results: EvaluationResults = read_artifact(&path).unwrap();
    assert_eq!(results.model, chosen.weights);
    let baseline: EvaluationResults =
        read_artifact(&run.artifact(Stage::Evaluation, "evaluation_results.json")).unwrap();
    assert_ne!(results.model, baseline.model);
    assert_eq!(results.summary.classes, baseline.summary.classes);
    for chart in ["confusion_matrix.svg", "roc_curves.svg"] {
        let name = format!("visualizations/{chart}");
        assert!(text(folder.path(), Stage::Refinement, &name).contains("<svg"));
    }
    let page = text(folder.path(), Stage::Refinement, "final_report.html");
    for part in [
        "Evaluation of the final model",
        "Every target",
        "weighted F1 on the test images",
        "size of the ONNX file",
        "latency of one image",
        "training time",
        "peak memory of the training",
        "Classes, side by side",
        "Most confused pairs",
        "Loss and accuracy",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let page = text(folder.path(), Stage::Evaluation, "evaluation_report.html");
    assert!(page.contains("<title>Evaluation of the baseline"));
    assert!(page.contains("are those of the baseline"));
    let summary = fs::read_to_string(run.summary_path()).unwrap();
    assert!(summary.contains("Evaluation of the final model"));
    assert!(summary.contains("Final training"));
    assert!(!summary.contains("Evaluation of the baseline"));
}

#[test]
fn both_trainings_are_equally_long_and_leave_their_costs() {
    let folder = finished_run();
    let chosen = chosen(folder.path());
    assert_eq!((chosen.baseline_epochs_run, chosen.epochs_run), (2, 2));
    assert_eq!(chosen.unequal_lengths(), None);
    let run = RunFolder::new(folder.path());
    for (stage, prefix) in [
        (Stage::Implementation, ""),
        (Stage::Refinement, "training/"),
    ] {
        let file = |name: &str| run.artifact(stage, &format!("{prefix}{name}"));
        let timing: TrainingTiming = read_artifact(&file("training_timing.json")).unwrap();
        assert!(timing.total_seconds() > 0.0);
        let memory: TrainingMemory = read_artifact(&file("training_memory.json")).unwrap();
        assert!(memory.peak_bytes.is_none_or(|bytes| bytes > 1 << 20));
    }
}

#[test]
fn every_proposal_is_measured_beside_the_own_settings() {
    let folder = finished_run();
    let run = RunFolder::new(folder.path());
    let file = |name: &str| run.artifact(Stage::Refinement, name);
    let analysis: ImprovementAnalysis = read_artifact(&file("improvement_analysis.json")).unwrap();
    let proposals = analysis.proposals();
    assert!(proposals.len() > 2, "{analysis:?}");
    let ablation: Ablation = read_artifact(&file("ablation.json")).unwrap();
    for (line, (finding, proposal)) in ablation.lines.iter().zip(&proposals[..2]) {
        assert_eq!(
            (&line.name, line.finding.as_str()),
            (&proposal.name, *finding)
        );
        let found = line.measured().unwrap();
        assert_eq!(Some(found.paired.accuracy_a), ablation.accuracy);
        assert!(found.time > 0.0 && found.size > 0.0);
    }
    assert_eq!(ablation.estimates.unwrap().measured, 2);
    let page = text(folder.path(), Stage::Refinement, "refinement_report.html");
    for part in [
        "One change at a time",
        "The estimates:",
        &proposals[0].1.name,
    ] {
        assert!(page.contains(part), "{part}");
    }
    let finalists: Finalists = read_artifact(&file("finalists.json")).unwrap();
    let [own, best] = finalists.candidates.as_slice() else {
        panic!("{finalists:?}");
    };
    assert_eq!((own.trainings.len(), best.trainings.len()), (2, 2));
    assert_eq!(own.figures.difference, 0.0);
    assert!(!finalists.seeds.contains(&tiny(&[]).seed));
    let selection = finalists.selection.unwrap();
    assert_eq!(selection.candidates, finalists.tried.len());
    let chosen = chosen(folder.path());
    assert_eq!(chosen.selection_optimism, Some(selection.optimism()));
    assert!(chosen.corrected_validation_accuracy() <= chosen.validation_accuracy);
    // A training is never repeated.
    let trainings: Vec<ShortTraining> = read_json_lines(&file("trainings.jsonl")).unwrap();
    let keys: BTreeSet<_> = trainings.iter().map(|training| &training.key).collect();
    assert_eq!(keys.len(), trainings.len());
}

#[test]
fn a_model_trained_again_with_validation_images_ships() {
    let folder = finished_run();
    let settings = ["refinement.retrain_with_validation=true"];
    let trained = trained_by(folder.path(), &settings);
    assert!(
        trained.contains("final, with validation images"),
        "{trained:?}"
    );
    // What was tried is known.
    assert!(
        trained.iter().all(|label| label.starts_with("final")),
        "{trained:?}"
    );
    let chosen = chosen(folder.path());
    let retraining = chosen.retraining.unwrap();
    assert_eq!((retraining.images, retraining.held_out), (240 + 64, 16));
    assert_eq!(retraining.epochs_run, chosen.best_epoch);
    let run = RunFolder::new(folder.path());
    let weights = run.artifact(
        Stage::Refinement,
        "retraining/checkpoints/best/model.safetensors",
    );
    assert_eq!(chosen.weights, ContentHash::of_file(&weights).unwrap());
    for id in ["search_completed", "final_model", "final_training_time"] {
        assert_eq!(status(folder.path(), &settings, id), Status::Pass, "{id}");
    }
    // Stage 7 has the images that were held out.
    let logits = text(folder.path(), Stage::Deployment, "validation_logits.jsonl");
    assert_eq!(logits.lines().count(), 16);
    let page = text(folder.path(), Stage::Refinement, "final_report.html");
    assert!(page.contains("Trained again with validation images"));
    // Without it, the model of the final training ships again, and no folder is left.
    assert_eq!(
        trained_by(folder.path(), &[]),
        BTreeSet::from(["final".to_owned()])
    );
    assert!(!run.artifact(Stage::Refinement, "retraining").exists());
}

#[test]
fn nothing_is_trained_again_when_the_search_finds_nothing_better() {
    let folder = finished_run();
    let settings = ["refinement.trials=1", "refinement.proposals=0"];
    // The only trial, of the baseline's settings, is known.
    assert!(trained_by(folder.path(), &settings).is_empty());
    let chosen = chosen(folder.path());
    assert_eq!(chosen.choice, Choice::Baseline);
    assert_eq!(chosen.reason, Reason::NothingBetterFound);
    assert_eq!((chosen.epochs_run, chosen.final_training), (2, None));
    let run = RunFolder::new(folder.path());
    assert!(!run.artifact(Stage::Refinement, "training").exists());
    let best = "checkpoints/best/model.safetensors";
    let best = ContentHash::of_file(&run.artifact(Stage::Implementation, best)).unwrap();
    assert_eq!(chosen.weights, best);
    let page = text(folder.path(), Stage::Refinement, "refinement_report.html");
    assert!(page.contains("nothing was trained again"));
    for id in ["search_completed", "final_model", "final_training_time"] {
        assert_eq!(status(folder.path(), &settings, id), Status::Pass, "{id}");
    }
    assert_eq!(
        status(folder.path(), &settings, "improvement"),
        Status::Fail
    );
}

#[test]
fn without_a_search_the_baseline_ships() {
    let folder = finished_run();
    let settings = ["refinement.enabled=false"];
    assert!(trained_by(folder.path(), &settings).is_empty());
    let chosen = chosen(folder.path());
    assert_eq!(chosen.reason, Reason::NotSearched);
    for id in [
        "search_completed",
        "final_model",
        "improvement",
        "final_training_time",
        "final_training_memory",
        "final_analysis_complete",
    ] {
        assert_eq!(status(folder.path(), &settings, id), Status::Pass, "{id}");
    }
    let card = text(folder.path(), Stage::Deployment, "package/README.md");
    assert!(card.contains("nothing was searched"), "{card}");
}

#[test]
fn a_longer_search_runs_only_the_trials_that_are_new() {
    let folder = finished_run();
    let trained = trained_by(folder.path(), &["refinement.trials=3"]);
    assert!(trained.contains("trial 2"), "{trained:?}");
    assert!(
        !trained.contains("trial 0") && !trained.contains("trial 1"),
        "{trained:?}"
    );
    let study = |folder: &Path| -> StudyArtifact {
        let run = RunFolder::new(folder);
        read_artifact(&run.artifact(Stage::Refinement, "study.json")).unwrap()
    };
    let longer = study(folder.path()).report;
    assert_eq!(longer.trials.len(), 3);
    // Trials of another length, or of other images, are others.
    let settings = ["refinement.trials=3", "refinement.epochs_per_trial=1"];
    assert!(trained_by(folder.path(), &settings).contains("own settings"));
}

/// The search resumes in place, and what it finds is not what the earlier final training was made with.
#[test]
fn a_longer_search_that_finds_other_settings_trains_with_those() {
    let folder = finished_run();
    // So that the first training of a trial decides.
    let without_seeds = ["refinement.seeds=0", "refinement.proposals=0"];
    trained_by(folder.path(), &without_seeds);
    let run = RunFolder::new(folder.path());
    let trials: Vec<TrialRecord> =
        read_json_lines(&run.artifact(Stage::Refinement, "trials.jsonl")).unwrap();
    let path = run.artifact(Stage::Refinement, "trainings.jsonl");
    let mut trainings: Vec<ShortTraining> = read_json_lines(&path).unwrap();
    let before = chosen_rate(folder.path());
    let rate = |trial: &TrialRecord| {
        serde_json::to_value(&trial.parameters["training.optimizer.learning_rate"]).unwrap()
    };
    // The config's own settings are no other ones.
    let other = trials
        .iter()
        .skip(1)
        .find(|trial| Some(rate(trial)) != before);
    let other = other.unwrap_or(&trials[1]);
    let label = format!("trial {}", other.number);
    let training = trainings
        .iter_mut()
        .find(|training| training.label == label);
    training.unwrap().accuracy = 0.999;
    let log: String = trainings
        .iter()
        .map(|training| format!("{}\n", serde_json::to_string(training).unwrap()))
        .collect();
    fs::write(&path, &log).unwrap();
    let mut manifest = RunManifest::read(&run).unwrap();
    let mut record = manifest.stage(Stage::Refinement).unwrap().clone();
    let hash = ContentHash::of_bytes(log.as_bytes());
    record.outputs.insert("trainings.jsonl".into(), hash);
    manifest.set(Stage::Refinement, record);
    manifest.write(&run).unwrap();

    let longer = [&without_seeds[..], &["refinement.trials=3"]].concat();
    trained_by(folder.path(), &longer);
    assert_eq!(chosen_rate(folder.path()), Some(rate(other)));
}

/// The learning rate of the final training's checkpoint, if there was a final training.
fn chosen_rate(folder: &Path) -> Option<serde_json::Value> {
    let name = "training/checkpoints/last/checkpoint.json";
    let path = RunFolder::new(folder).artifact(Stage::Refinement, name);
    let record: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    Some(record["identity"]["training"]["optimizer"]["learning_rate"].clone())
}

#[test]
fn a_trial_that_cannot_be_trained_does_not_end_the_search() {
    let folder = finished_run();
    // Each value is possible alone, but a batch of 8 has no 10 parts.
    let settings = [
        "refinement.trials=6",
        "refinement.sampler=\"random\"",
        "refinement.space={ \"training.batch_size\" = { type = \"categorical\", choices = [8, 10] }, \
         \"training.accumulation_steps\" = { type = \"categorical\", choices = [1, 10] } }",
    ];
    trained_by(folder.path(), &settings);
    let run = RunFolder::new(folder.path());
    let study: StudyArtifact =
        read_artifact(&run.artifact(Stage::Refinement, "study.json")).unwrap();
    let report = study.report;
    assert_eq!(report.trials.len(), 6);
    let failed = report.count(TrialState::Failed);
    assert!((1..6).contains(&failed), "{:?}", report.trials);
    for trial in &report.trials {
        let is_possible = trial.parameters["training.batch_size"].as_i64() == Some(10)
            || trial.parameters["training.accumulation_steps"].as_i64() == Some(1);
        assert_eq!(trial.state == TrialState::Failed, !is_possible, "{trial:?}");
        assert_eq!(trial.message.is_some(), !is_possible, "{trial:?}");
    }
}
