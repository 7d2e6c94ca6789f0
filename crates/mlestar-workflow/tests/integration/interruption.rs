//! A run that is asked to stop saves what it has, and goes on to the same result.

use crate::{finished_run, run_in, tiny};
use mlestar_train::{StopSignal, TrainEvent};
use mlestar_workflow::{Reporter, RunFolder, Stage, WorkflowError};
use std::fs;

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
