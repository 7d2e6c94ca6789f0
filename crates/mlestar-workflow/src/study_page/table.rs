//! Every trial.

use super::Study;
use mlestar_report::{Section, TrialTable};

pub(super) fn section(study: &Study<'_>) -> Section {
    Section::new("Trials").block(TrialTable {
        trials: study.trials.clone(),
        best: study.best(),
    })
}
