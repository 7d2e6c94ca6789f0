//! The chain where only some of the epochs are validated.

use crate::{run_in, tiny};
use mlestar_artifact::read_json_lines;
use mlestar_train::{EpochRecord, StopSignal};
use mlestar_tune::TrialRecord;

#[test]
fn trials_report_the_epochs_that_were_validated() {
    let folder = tempfile::tempdir().unwrap();
    let config = tiny(&[
        "training.epochs=3",
        "training.validate_every_epochs=2",
        "refinement.epochs_per_trial=5",
    ]);
    run_in(folder.path(), &config, &StopSignal::new(), &mut ()).unwrap();

    let path = folder.path().join("4-implementation/metrics.jsonl");
    let history: Vec<EpochRecord> = read_json_lines(&path).unwrap();
    let validated = history
        .iter()
        .map(|epoch| epoch.validation_accuracy.is_some());
    assert_eq!(validated.collect::<Vec<_>>(), [false, true, true]);

    let path = folder.path().join("6-refinement/trials.jsonl");
    let trials: Vec<TrialRecord> = read_json_lines(&path).unwrap();
    assert_eq!(trials.len(), 2);
    for trial in trials {
        let reported: Vec<u64> = trial.intermediate.iter().map(|value| value.step).collect();
        // The last epoch is always validated; a trial may be pruned before.
        assert!(
            [2, 4, 5].starts_with(&reported) && !reported.is_empty(),
            "{reported:?}"
        );
        let best = trial.intermediate.iter().map(|value| value.value);
        if let Some(value) = trial.value {
            assert_eq!(reported, [2, 4, 5]);
            assert_eq!(value, best.fold(0.0, f64::max));
        }
    }
}
