use super::*;
use crate::config::Override;
use crate::estimates::SmallStepTiming;
use crate::manifest::StageRecord;
use crate::stages::action_planning::testing::architecture_figures;
use crate::stages::action_planning::{self, ArchitectureCheck};
use mlestar_artifact::write_artifact;
use std::io::Write;

const STEPS: u64 = 10;

fn config() -> Config {
    let set = |text| Override::parse(text).unwrap();
    let settings = [set("training.epochs=4"), set("training.batch_size=50")];
    Config::default().with_overrides(&settings).unwrap()
}

fn epoch(epoch: usize) -> EpochRecord {
    EpochRecord {
        epoch,
        learning_rate: 0.001,
        train_loss: 1.0 / epoch as f64,
        train_accuracy: 0.5,
        validation_loss: Some(1.0),
        validation_accuracy: Some(0.6 + 0.01 * epoch as f64),
        images_per_second: 100.0,
        picture_area: 1.0,
        seconds: 5.0,
        loader_wait_seconds: 0.0,
        validation_seconds: 1.0,
        gradient_norm_mean: 1.0,
        head: None,
    }
}

fn step(step: u64) -> StepRecord {
    StepRecord {
        step,
        epoch: ((step - 1) / STEPS + 1) as usize,
        loss: step as f64,
        learning_rate: 0.001,
        gradient_norm: 1.0,
    }
}

struct Folder {
    _folder: tempfile::TempDir,
    run: RunFolder,
    manifest: RunManifest,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path().join("a"));
        fs::create_dir_all(run.root()).unwrap();
        Self {
            _folder: folder,
            run,
            manifest: RunManifest::default(),
        }
    }

    fn set(&mut self, stage: Stage, complete: bool) {
        let record = StageRecord {
            complete,
            ..StageRecord::default()
        };
        self.manifest.set(stage, record);
        self.manifest.write(&self.run).unwrap();
    }

    /// Appends to a file of a training, which is then `seconds` old.
    fn append<T: serde::Serialize>(&self, training: &str, file: &str, records: &[T], seconds: u64) {
        let folder = self.run.root().join(training);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(file);
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        for record in records {
            writeln!(file, "{}", serde_json::to_string(record).unwrap()).unwrap();
        }
        let time = SystemTime::now() - Duration::from_secs(seconds);
        file.set_modified(time).unwrap();
    }

    fn steps(&self, training: &str, from: u64, to: u64, seconds: u64) {
        let steps: Vec<StepRecord> = (from..=to).map(step).collect();
        self.append(training, STEPS_FILE, &steps, seconds);
    }
}

const BASELINE: &str = "4-implementation";

#[test]
fn a_training_is_followed_from_its_first_step_to_the_end_of_its_stage() {
    let mut folder = Folder::new();
    folder.set(Stage::Implementation, false);
    let mut monitor = RunMonitor::new(&folder.run, &config());
    let state = monitor.look().unwrap();
    assert!(state.training.is_none() && !state.is_over);
    assert_eq!(state.unfinished_stage, Some(Stage::Implementation));

    // Within the first epoch nothing shows how long an epoch is.
    folder.steps(BASELINE, 1, 3, 60);
    let training = monitor.look().unwrap().training.unwrap();
    assert_eq!(
        (training.epoch, training.step, training.epochs),
        (1, Some(3), 4)
    );
    assert_eq!(
        (training.loss, training.images_per_second),
        (Some(2.0), None)
    );
    assert_eq!(
        (training.steps_per_epoch, training.seconds_left),
        (None, None)
    );

    // Four steps of 50 images in 20 seconds.
    folder.steps(BASELINE, 4, 7, 40);
    let training = monitor.look().unwrap().training.unwrap();
    assert!((training.images_per_second.unwrap() - 10.0).abs() < 0.1);
    assert!((training.seconds_since_record.unwrap() - 40.0).abs() < 5.0);

    folder.steps(BASELINE, 8, 12, 20);
    folder.append(BASELINE, METRICS_FILE, &[epoch(1)], 25);
    let training = monitor.look().unwrap().training.unwrap();
    assert_eq!(
        (training.epoch, training.step, training.steps_per_epoch),
        (2, Some(2), Some(10))
    );
    assert_eq!(training.loss, Some(11.5));
    // A new epoch has a speed of its own after its second look; until then the last epoch's counts:
    // 28 steps of 50 images at 100 per second, and 3 validations.
    assert_eq!(training.images_per_second, Some(100.0));
    assert!((training.seconds_left.unwrap() - (14.0 + 3.0)).abs() < 1e-9);
    assert_eq!(training.best_epoch.unwrap().epoch, 1);

    folder.append(BASELINE, METRICS_FILE, &[epoch(2), epoch(3), epoch(4)], 10);
    folder.steps(BASELINE, 13, 40, 12);
    let state = monitor.look().unwrap();
    assert!(!state.is_over);
    assert_eq!(state.training.unwrap().seconds_left, Some(0.0));
    folder.set(Stage::Implementation, true);
    folder.set(Stage::Evaluation, false);
    assert!(monitor.look().unwrap().is_over);
}

/// Three of four epochs have images of a quarter of the area.
#[test]
fn the_time_left_counts_that_later_pictures_are_larger() {
    let mut folder = Folder::new();
    folder.set(Stage::Implementation, false);
    let small = |number| EpochRecord {
        picture_area: 0.25,
        ..epoch(number)
    };
    folder.append(BASELINE, METRICS_FILE, &[small(1), small(2)], 2);
    let resizing = "training.progressive_resizing=[{ until_fraction = 0.75, scale = 0.5 }]";
    let config = config()
        .with_overrides(&[Override::parse(resizing).unwrap()])
        .unwrap();
    let look = || {
        RunMonitor::new(&folder.run, &config)
            .look()
            .unwrap()
            .training
            .unwrap()
    };
    let expect = |small: f64, whole: f64| {
        // Two validations of 1 second; 2 seconds have passed.
        let left = look().seconds_left.unwrap();
        assert!((left - (small + whole)).abs() < 1.0, "{left}");
    };
    // What is usual.
    let usual = StepCosts::default();
    expect(5.0, 5.0 / usual.of(0.25));
    // What stage 3 measured.
    let mut figures = architecture_figures();
    figures.timing.smallest_pictures = Some(SmallStepTiming {
        picture_area: 0.25,
        step_seconds: vec![0.5 * figures.timing.median_step_seconds()],
    });
    let check = ArchitectureCheck {
        passed: true,
        checks: Vec::new(),
        figures,
        layers: Vec::new(),
        larger_size: None,
    };
    let path = folder
        .run
        .artifact(Stage::ActionPlanning, action_planning::CHECK);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_artifact(&path, &check).unwrap();
    expect(5.0, 10.0);
    // What the training itself has seen.
    let whole = EpochRecord {
        images_per_second: 25.0,
        seconds: 20.0,
        ..epoch(3)
    };
    folder.append(BASELINE, METRICS_FILE, &[whole], 2);
    expect(0.0, 20.0 - 1.0);
}

#[test]
fn only_epochs_that_will_be_validated_take_time_for_it() {
    let mut folder = Folder::new();
    folder.set(Stage::Implementation, false);
    let without = |number| EpochRecord {
        validation_loss: None,
        validation_accuracy: None,
        validation_seconds: 0.0,
        ..epoch(number)
    };
    let validated = EpochRecord {
        validation_seconds: 10.0,
        ..epoch(2)
    };
    let epochs = [without(1), validated, without(3)];
    folder.append(BASELINE, METRICS_FILE, &epochs, 2);
    let seconds_left = |every: usize| {
        let every = format!("training.validate_every_epochs={every}");
        let config = config()
            .with_overrides(&[
                Override::parse(&every).unwrap(),
                Override::parse("training.epochs=6").unwrap(),
            ])
            .unwrap();
        let mut monitor = RunMonitor::new(&folder.run, &config);
        monitor
            .look()
            .unwrap()
            .training
            .unwrap()
            .seconds_left
            .unwrap()
    };
    // Three epochs of 5 seconds, of which 2 have passed, and validations of 10 seconds.
    for (every, validations) in [(1, 30.0), (2, 20.0), (5, 20.0), (9, 10.0)] {
        let left = seconds_left(every);
        assert!((left - (13.0 + validations)).abs() < 1.0, "{every}: {left}");
    }
}

#[test]
fn without_steps_the_epochs_tell_how_long_it_takes() {
    let mut folder = Folder::new();
    folder.set(Stage::Implementation, false);
    folder.append(BASELINE, METRICS_FILE, &[epoch(1), epoch(2)], 2);
    let training = RunMonitor::new(&folder.run, &config())
        .look()
        .unwrap()
        .training
        .unwrap();
    assert_eq!((training.epoch, training.step), (3, None));
    // An epoch of 6 seconds, of which 2 have passed, and another one.
    let left = training.seconds_left.unwrap();
    assert!((left - 10.0).abs() < 1.0, "{left}");
    assert_eq!(training.loss, Some(0.5));
}

#[test]
fn the_training_that_was_written_to_last_is_followed_trials_too() {
    let mut folder = Folder::new();
    folder.set(Stage::Implementation, true);
    folder.append(BASELINE, METRICS_FILE, &[epoch(1)], 100);
    let mut monitor = RunMonitor::new(&folder.run, &config());
    let state = monitor.look().unwrap();
    assert!(state.is_over, "no stage is at work");
    folder.set(Stage::Refinement, false);
    assert!(!monitor.look().unwrap().is_over, "a training is to come");
    folder.steps("6-refinement/.partial-x", 1, 2, 50);
    let name = |monitor: &mut RunMonitor| monitor.look().unwrap().training.unwrap().name;
    assert_eq!(name(&mut monitor), "6-refinement/.partial-x");
    folder.steps("6-refinement/training", 1, 2, 10);
    assert_eq!(name(&mut monitor), "6-refinement/training");
    folder.set(Stage::Refinement, true);
    assert!(monitor.look().unwrap().is_over);
}

#[test]
fn findings_show_while_the_training_runs_and_bad_lines_are_named() {
    let mut folder = Folder::new();
    folder.set(Stage::Implementation, false);
    let mut steps: Vec<StepRecord> = (1..=5).map(step).collect();
    steps[4].loss = f64::NAN;
    folder.append(BASELINE, STEPS_FILE, &steps, 0);
    let mut monitor = RunMonitor::new(&folder.run, &config());
    let training = monitor.look().unwrap().training.unwrap();
    assert_eq!(training.findings[0].steps, [5]);
    folder.append(BASELINE, STEPS_FILE, &["?"], 0);
    let message = monitor.look().unwrap_err().to_string();
    assert!(
        message.contains("steps.jsonl is not valid: line 6"),
        "{message}"
    );
}
