//! A run that is asked to stop saves its work, and resumes to the same result.

use crate::{all_stages, finished_run, run_in, tiny};
use burn::tensor::Device;
use mlestar_gates::ExitCode;
use mlestar_train::{StopSignal, TrainEvent};
use mlestar_workflow::chain::{RunReport, RunRequest, StageRange, run};
use mlestar_workflow::config::Config;
use mlestar_workflow::manifest::hash_folder;
use mlestar_workflow::{Reporter, RunFolder, Stage, WorkflowError};
use std::fs;
use std::path::Path;

/// Asks the run to stop after the first epoch of the training called `label`.
struct StopAfterFirstEpoch<'a> {
    label: &'a str,
    stop: StopSignal,
}

impl Reporter for StopAfterFirstEpoch<'_> {
    fn training(&mut self, label: &str, event: &TrainEvent) {
        if label == self.label && matches!(event, TrainEvent::Epoch(epoch) if epoch.epoch == 1) {
            self.stop.request();
        }
    }
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bits() {
    let whole = finished_run();
    for label in ["baseline", "trial 1", "final"] {
        let folder = tempfile::tempdir().unwrap();
        let stop = StopSignal::new();
        let mut reporter = StopAfterFirstEpoch {
            label,
            stop: stop.clone(),
        };
        let error = run_in(folder.path(), &tiny(&[]), &stop, &mut reporter).unwrap_err();
        assert!(
            matches!(error, WorkflowError::Interrupted { .. }),
            "{error}"
        );
        run_in(folder.path(), &tiny(&[]), &StopSignal::new(), &mut ()).unwrap();
        let file = |folder: &std::path::Path| {
            let path =
                RunFolder::new(folder).artifact(Stage::Refinement, "final/model.safetensors");
            fs::read(path).unwrap()
        };
        assert!(file(whole.path()) == file(folder.path()), "{label}");
    }
}

/// Up to the training, as `--resume` asks for it.
fn resume(
    folder: &Path,
    config: &Config,
    reporter: &mut dyn Reporter,
) -> Result<RunReport, WorkflowError> {
    let (run_folder, device, stop) = (RunFolder::new(folder), Device::flex(), StopSignal::new());
    let request = RunRequest {
        stages: StageRange::new(Stage::SituationAnalysis, Stage::Implementation).unwrap(),
        must_resume: true,
        ..all_stages(&run_folder, config, &device, &stop)
    };
    run(&request, reporter)
}

/// The first epoch that the baseline trains.
#[derive(Default)]
struct FirstEpoch(Option<usize>);

impl Reporter for FirstEpoch {
    fn training(&mut self, _label: &str, event: &TrainEvent) {
        if let TrainEvent::Epoch(epoch) = event {
            self.0.get_or_insert(epoch.epoch);
        }
    }
}

#[test]
fn a_run_that_must_resume_does_not_begin_anew() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    let error = resume(&folder, &tiny(&[]), &mut ()).unwrap_err();
    assert!(
        error.to_string().contains("holds no run to resume"),
        "{error}"
    );
    assert_eq!(error.exit_code(), ExitCode::MissingArtifact);
    assert!(!folder.exists());

    let stop = StopSignal::new();
    let mut reporter = StopAfterFirstEpoch {
        label: "baseline",
        stop: stop.clone(),
    };
    run_in(&folder, &tiny(&[]), &stop, &mut reporter).unwrap_err();
    let before = hash_folder(&folder).unwrap();
    let other = tiny(&["training.optimizer.learning_rate=0.0123"]);
    let error = resume(&folder, &other, &mut ()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains(
            "4 Implementation was interrupted and cannot resume: training.optimizer.learning_rate \
                0.00001 -> 0.0123"
        ),
        "{message}"
    );
    assert_eq!(error.exit_code(), ExitCode::Usage);
    assert_eq!(hash_folder(&folder).unwrap(), before, "nothing changes");

    let mut first = FirstEpoch::default();
    resume(&folder, &tiny(&[]), &mut first).unwrap();
    assert_eq!(first.0, Some(2));
    // Complete, it has nothing left to do.
    let again = resume(&folder, &tiny(&[]), &mut ()).unwrap();
    assert!(again.stages.iter().all(|outcome| !outcome.ran));
}
