//! How a run reports its progress.

use crate::Stage;
use crate::inputs::InputChange;
use mlestar_gates::StageVerdict;
use mlestar_train::TrainEvent;

/// Receives the progress of a run. The command line draws it; tests collect it; `()` ignores it.
pub trait Reporter {
    /// The config differs from the one that the run folder was last used with; `changes` lists the differences.
    /// Called before any stage.
    fn config_changed(&mut self, changes: &[InputChange]) {
        let _ = changes;
    }

    /// A stage is about to run, because of `reasons`.
    fn stage_started(&mut self, stage: Stage, reasons: &[String]) {
        let _ = (stage, reasons);
    }

    /// A stage was skipped: nothing that it depends on has changed.
    fn stage_fresh(&mut self, stage: Stage) {
        let _ = stage;
    }

    /// A stage has run.
    fn stage_finished(&mut self, stage: Stage, seconds: f64) {
        let _ = (stage, seconds);
    }

    /// A stage's gate has been judged.
    fn gate_judged(&mut self, stage: Stage, verdict: &StageVerdict) {
        let _ = (stage, verdict);
    }

    /// A piece of work with a known length advances: `done` of `total` units.
    fn progress(&mut self, task: &str, done: u64, total: u64) {
        let _ = (task, done, total);
    }

    /// An event of the training loop; `label` names the training.
    fn training(&mut self, label: &str, event: &TrainEvent) {
        let _ = (label, event);
    }

    /// One line of information.
    fn note(&mut self, text: &str) {
        let _ = text;
    }
}

impl Reporter for () {}
