//! A verdict on inputs that have changed since is not PASS.

use crate::{all_stages, finished_run, run_in, tiny};
use burn::tensor::Device;
use mlestar_artifact::read_artifact;
use mlestar_gates::{Evidence, Status, Verdict};
use mlestar_train::{StopSignal, TrainEvent};
use mlestar_workflow::chain::{RunRequest, StageRange, run};
use mlestar_workflow::config::Config;
use mlestar_workflow::explain::{Freshness, survey};
use mlestar_workflow::freshness::Surroundings;
use mlestar_workflow::manifest::RunManifest;
use mlestar_workflow::stages::implementation::HeadAccuracy;
use mlestar_workflow::validation::ValidationReport;
use mlestar_workflow::{Reporter, RunFolder, Stage, WorkflowError};
use std::fs;
use std::path::Path;

fn judge(folder: &Path, config: &Config) -> ValidationReport {
    let run = RunFolder::new(folder);
    let manifest = RunManifest::read(&run).unwrap();
    ValidationReport::judge(
        &Stage::ALL,
        &Surroundings::look(config, &run, "cpu"),
        &run,
        &manifest,
    )
}

fn verdict<'a>(report: &'a ValidationReport, stage: Stage, id: &str) -> &'a Verdict {
    let verdicts = &report.verdict.stages[stage.number() - 1].verdicts;
    verdicts
        .iter()
        .find(|verdict| verdict.criterion.id == id)
        .unwrap()
}

/// The numbers of the stages that are stale, and why the first of them is.
fn stale(folder: &Path, config: &Config) -> (Vec<usize>, String) {
    let report = judge(folder, config);
    let mut numbers = Vec::new();
    let mut why = String::new();
    for stage in Stage::ALL {
        let verdict = verdict(&report, stage, "up_to_date");
        if let Evidence::Stale { reasons } = &verdict.evidence {
            assert_eq!(verdict.status, Status::Stale);
            if numbers.is_empty() {
                why = reasons.join("; ");
            }
            numbers.push(stage.number());
        } else {
            assert_eq!(verdict.status, Status::Pass, "{}", verdict.message);
        }
    }
    // What is stale would run, and what is not would not.
    let run = RunFolder::new(folder);
    for state in survey(config, &run, "cpu").unwrap() {
        let is_stale = numbers.contains(&state.stage.number());
        assert_eq!(
            state.freshness != Freshness::Fresh,
            is_stale,
            "{}",
            state.stage
        );
        assert!(!is_stale || state.verdict.unwrap().status() != Status::Pass);
    }
    (numbers, why)
}

/// Runs `stages` of the chain.
fn run_stages(
    folder: &Path,
    config: &Config,
    stages: [Stage; 2],
    reporter: &mut dyn Reporter,
) -> Result<Vec<usize>, WorkflowError> {
    let (run_folder, device, stop) = (RunFolder::new(folder), Device::flex(), StopSignal::new());
    let request = RunRequest {
        stages: StageRange::new(stages[0], stages[1]).unwrap(),
        ..all_stages(&run_folder, config, &device, &stop)
    };
    let report = run(&request, reporter)?;
    let ran = report.stages.iter().filter(|outcome| outcome.ran);
    Ok(ran.map(|outcome| outcome.stage.number()).collect())
}

#[test]
fn a_finished_run_is_about_what_stands_there() {
    let folder = finished_run();
    assert_eq!(stale(folder.path(), &tiny(&[])), (vec![], String::new()));
}

#[test]
fn an_edited_config_makes_what_rests_on_it_stale() {
    let folder = finished_run();
    for (setting, numbers, why) in [
        (
            "training.epochs=7",
            vec![2, 3, 4, 5, 6, 7],
            "training.epochs 2 -> 7",
        ),
        ("seed=4", vec![1, 2, 3, 4, 5, 6, 7], "seed 3 -> 4"),
        (
            "task.primary.target=0.6",
            vec![2, 3],
            "task.primary.target 0.85 -> 0.6",
        ),
        (
            "refinement.trials=3",
            vec![2, 3, 6, 7],
            "refinement.trials 2 -> 3",
        ),
        (
            "evaluation.confidence=0.9",
            vec![2, 3, 5, 6, 7],
            "evaluation.confidence 0.95 -> 0.9",
        ),
        (
            "data.synthetic.n_test=90",
            vec![1, 2, 3, 4, 5, 6, 7],
            "data.synthetic.n_test 80 -> 90",
        ),
        ("training.keep_checkpoints=1", vec![], ""),
        ("training.max_minutes=90.0", vec![], ""),
        (
            "gates.evaluation.criteria.accuracy={ at_least = 0.01 }",
            vec![],
            "",
        ),
    ] {
        let (found, reasons) = stale(folder.path(), &tiny(&[setting]));
        assert_eq!(found, numbers, "{setting}");
        assert!(reasons.contains(why), "{setting}: {reasons}");
    }
    let report = judge(folder.path(), &tiny(&["seed=4"]));
    assert_ne!(report.status, Status::Pass);
    assert_eq!(report.verdict.counts().stale, 7);
}

#[test]
fn a_stage_that_ran_alone_leaves_the_later_ones_stale() {
    let folder = finished_run();
    let config = tiny(&["training.optimizer.learning_rate=0.02"]);
    let training = [Stage::Implementation; 2];
    assert_eq!(
        run_stages(folder.path(), &config, training, &mut ()).unwrap(),
        [4]
    );
    let (numbers, _) = stale(folder.path(), &config);
    assert_eq!(numbers, [2, 3, 5, 6, 7]);
    let report = judge(folder.path(), &config);
    let message = &verdict(&report, Stage::Evaluation, "up_to_date").message;
    assert!(
        message.contains("4-implementation/checkpoints/best/model.safetensors changed"),
        "{message}"
    );
}

/// Eight small images of each of three classes.
fn write_images(folder: &Path) {
    for (class, name) in ["red", "green", "blue"].iter().enumerate() {
        for index in 0..8_u8 {
            let path = folder.join(name).join(format!("{index}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let image = image::RgbImage::from_fn(16, 16, |x, y| {
                let mut pixel = [(x * 9) as u8, (y * 7) as u8, index * 20];
                pixel[class] = 255 - index;
                image::Rgb(pixel)
            });
            image.save(path).unwrap();
        }
    }
}

#[test]
fn replaced_images_and_data_that_are_gone_make_a_run_stale() {
    let data = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_images(data.path());
    let path = format!("data.path='{}'", data.path().display());
    let config = tiny(&["data.source='folder'", &path]);
    let analysis = [Stage::SituationAnalysis; 2];
    run_stages(folder.path(), &config, analysis, &mut ()).unwrap();
    let state = |expected: Status| {
        let report = judge(folder.path(), &config);
        let verdict = verdict(&report, Stage::SituationAnalysis, "up_to_date");
        assert_eq!(verdict.status, expected, "{}", verdict.message);
        verdict.message.clone()
    };
    state(Status::Pass);
    let image = data.path().join("red/3.png");
    fs::copy(data.path().join("red/4.png"), image).unwrap();
    assert!(state(Status::Stale).contains("the data changed"));
    write_images(data.path());
    state(Status::Pass);
    fs::remove_dir_all(data.path()).unwrap();
    let message = state(Status::Stale);
    assert!(
        message.contains(&data.path().display().to_string()),
        "{message}"
    );
}

/// Counts the epochs that are trained, by label.
#[derive(Default)]
struct Epochs(Vec<(String, usize)>);

impl Reporter for Epochs {
    fn training(&mut self, label: &str, event: &TrainEvent) {
        if let TrainEvent::Epoch(epoch) = event {
            self.0.push((label.into(), epoch.epoch));
        }
    }
}

#[test]
fn more_epochs_go_on_from_the_checkpoint_to_the_same_bits() {
    let settings = |epochs: usize| {
        tiny(&[
            "training.schedule.kind='constant'",
            &format!("training.epochs={epochs}"),
        ])
    };
    let upto = [Stage::SituationAnalysis, Stage::Implementation];
    let weights = |folder: &Path| {
        let run = RunFolder::new(folder);
        let name = "checkpoints/last/model.safetensors";
        fs::read(run.artifact(Stage::Implementation, name)).unwrap()
    };
    let [longer, whole] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    run_stages(longer.path(), &settings(2), upto, &mut ()).unwrap();
    let mut epochs = Epochs::default();
    run_stages(longer.path(), &settings(3), upto, &mut epochs).unwrap();
    assert_eq!(epochs.0, [("baseline".into(), 3)]);
    run_stages(whole.path(), &settings(3), upto, &mut ()).unwrap();
    assert!(weights(longer.path()) == weights(whole.path()));
    // Fewer epochs cannot be taken back: the training restarts.
    let mut epochs = Epochs::default();
    run_stages(longer.path(), &settings(1), upto, &mut epochs).unwrap();
    assert_eq!(epochs.0, [("baseline".into(), 1)]);
}

#[test]
fn another_confidence_computes_anew_and_trains_nothing() {
    let folder = finished_run();
    let config = tiny(&["evaluation.confidence=0.9"]);
    let mut epochs = Epochs::default();
    let all = [Stage::SituationAnalysis, Stage::Deployment];
    let ran = run_stages(folder.path(), &config, all, &mut epochs).unwrap();
    assert_eq!(ran, [2, 3, 5, 6, 7]);
    assert_eq!(epochs.0, []);
}

/// The settings of the repeated splits compute these anew; the training they belong to stays.
#[test]
fn other_repeated_splits_train_nothing() {
    let finished = finished_run();
    let weights = finished
        .path()
        .join("4-implementation/checkpoints/best/model.safetensors");
    let config = |settings: &[&str]| {
        let weights = format!("training.initial_weights={weights:?}");
        let mut all = vec![
            weights.as_str(),
            "training.finetune={}",
            "training.schedule.warmup_epochs=0",
        ];
        all.extend(settings);
        tiny(&all)
    };
    let folder = tempfile::tempdir().unwrap();
    let upto = [Stage::SituationAnalysis, Stage::Implementation];
    let run = |settings: &[&str]| {
        let mut epochs = Epochs::default();
        let ran = run_stages(folder.path(), &config(settings), upto, &mut epochs).unwrap();
        let file = folder.path().join("4-implementation/head_accuracy.json");
        let found = read_artifact::<HeadAccuracy>(&file).ok();
        (ran, epochs.0.len(), found)
    };
    let (ran, n_epochs, found) = run(&[]);
    let found = found.unwrap();
    assert_eq!((ran, n_epochs), (vec![1, 2, 3, 4], 2));
    assert_eq!((found.images, found.groups, found.repeats), (320, None, 4));
    assert_eq!(found.held_out, [64; 20]);
    assert_eq!(found.single_split.images, 80);

    let twice = "evaluation.cross_validation_repeats=2";
    let (ran, n_epochs, fewer) = run(&[twice]);
    assert_eq!((ran, n_epochs), (vec![4], 0));
    // Of the same parts.
    assert_eq!(fewer.unwrap().correct, found.correct[..10]);

    let (ran, n_epochs, narrower) = run(&[twice, "evaluation.confidence=0.5"]);
    assert_eq!((ran, n_epochs), (vec![2, 3, 4], 0));
    let interval = narrower.unwrap().over_splits.interval;
    assert!(interval.width() < found.over_splits.interval.width());

    let (ran, n_epochs, none) = run(&["evaluation.cross_validation_repeats=0"]);
    assert_eq!((ran, n_epochs), (vec![2, 3, 4], 0));
    assert_eq!(none, None);
}

#[test]
fn a_refused_rerun_leaves_the_good_result() {
    let folder = finished_run();
    let before = fs::read(folder.path().join("manifest.json")).unwrap();
    let summary = folder.path().join("4-implementation/training_summary.json");
    let good = fs::read(&summary).unwrap();
    // Too many weights for the classes: found out by the stage.
    let config = tiny(&["training.class_weights=[1.0, 2.0]"]);
    let training = [Stage::Implementation; 2];
    run_stages(folder.path(), &config, training, &mut ()).unwrap_err();
    assert_eq!(fs::read(&summary).unwrap(), good);
    assert_eq!(
        fs::read(folder.path().join("manifest.json")).unwrap(),
        before
    );
    assert_eq!(stale(folder.path(), &tiny(&[])).0, Vec::<usize>::new());
}

#[test]
fn a_cut_or_edited_audit_log_is_found_out() {
    let folder = finished_run();
    let path = folder.path().join("audit.jsonl");
    let log = fs::read_to_string(&path).unwrap();
    let readings = |text: &str| {
        fs::write(&path, text).unwrap();
        let report = judge(folder.path(), &tiny(&[]));
        let of = |stage| verdict(&report, stage, "test_readings").status;
        [
            Stage::SituationAnalysis,
            Stage::Evaluation,
            Stage::Refinement,
            Stage::Deployment,
        ]
        .map(of)
    };
    use Status::{Fail, Missing, Pass};
    assert_eq!(readings(&log), [Pass; 4]);
    let without_last: String = log
        .lines()
        .rev()
        .skip_while(|line| !line.contains("test_split_read"))
        .skip(1)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(readings(&without_last), [Pass, Pass, Pass, Missing]);
    assert_eq!(
        readings(&log.replacen("\"pictures\":80", "\"pictures\":81", 1)),
        [Fail; 4]
    );
    assert_eq!(readings(""), [Missing; 4]);
    fs::remove_file(&path).unwrap();
    let report = judge(folder.path(), &tiny(&[]));
    assert_eq!(
        verdict(&report, Stage::Evaluation, "test_readings").status,
        Missing
    );
    assert_eq!(readings(&log), [Pass; 4]);
    // A run that was only inspected is unchanged.
    run_in(folder.path(), &tiny(&[]), &StopSignal::new(), &mut ()).unwrap();
}
