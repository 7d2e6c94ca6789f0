//! Injected faults and their remedies.

use std::path::Path;

use mlestar_train::{
    Faults, Remedy, RemedyChange, StepRecord, TrainError, TrainEvent, checkpoint::load,
};

use crate::{Setup, bits};

fn steps(folder: &Path) -> Vec<StepRecord> {
    mlestar_artifact::read_json_lines(&folder.join("steps.jsonl")).unwrap()
}

#[test]
fn a_loss_that_is_not_finite_goes_back_and_lowers_the_rate() {
    let mut setup = Setup::new(4);
    setup.faults.non_finite_at_step = Some(7);
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    let outcome = setup
        .fit_observed(folder.path(), &mut |event| {
            if let TrainEvent::Remedy(remedy) = event {
                seen.push(remedy.clone());
            }
        })
        .unwrap();
    assert_eq!(outcome.history.len(), 4);
    assert_eq!(seen, outcome.remedies);
    let [
        Remedy {
            epoch: 2,
            step: 3,
            returned_to_step: 4,
            change:
                RemedyChange::LowerRate {
                    factor,
                    cause,
                    pictures,
                    largest_gradients,
                },
        },
    ] = outcome.remedies.as_slice()
    else {
        panic!("{:?}", outcome.remedies);
    };
    assert_eq!(*factor, 0.5);
    assert!(cause.contains("loss NaN"), "{cause}");
    assert_eq!(pictures.len(), 16);
    assert!(largest_gradients.iter().any(|(_, norm)| norm.is_none()));
    // The rate of every later step is halved, and no step occurs twice.
    let mut undisturbed = setup.clone();
    undisturbed.faults = Faults::default();
    let other = tempfile::tempdir().unwrap();
    undisturbed.fit(other.path()).unwrap();
    let (found, expected) = (steps(folder.path()), steps(other.path()));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        let factor = if found.step <= 4 { 1.0 } else { 0.5 };
        assert_eq!(found.learning_rate, expected.learning_rate * factor);
        assert_eq!(found.step, expected.step);
    }
    // A resumed training knows the remedy.
    let last = load(&folder.path().join("checkpoints/last")).unwrap();
    assert_eq!(last.record.remedies, outcome.remedies);
}

#[test]
fn attempts_are_bounded() {
    let mut setup = Setup::new(2);
    setup.faults.non_finite_at_step = Some(3);
    setup.faults.repeats = 100;
    setup.training.recovery.attempts = 3;
    let folder = tempfile::tempdir().unwrap();
    let mut remedies = 0;
    let error = setup
        .fit_observed(folder.path(), &mut |event| {
            remedies += usize::from(matches!(event, TrainEvent::Remedy(_)));
        })
        .unwrap_err();
    assert!(
        matches!(error, TrainError::NonFinite { step: 3, .. }),
        "{error}"
    );
    assert_eq!(remedies, 3);
    // The good checkpoints are still there.
    assert_eq!(
        load(&folder.path().join("checkpoints/last"))
            .unwrap()
            .record
            .epoch,
        0
    );
}

#[test]
fn exhausted_memory_makes_the_parts_smaller_and_keeps_the_batch() {
    let mut setup = Setup::new(2);
    setup.faults.out_of_memory_at_step = Some(2);
    setup.faults.repeats = 2;
    let folder = tempfile::tempdir().unwrap();
    let outcome = setup.fit(folder.path()).unwrap();
    let parts: Vec<usize> = outcome
        .remedies
        .iter()
        .map(|remedy| match remedy.change {
            RemedyChange::SmallerParts {
                accumulation_steps, ..
            } => accumulation_steps,
            RemedyChange::LowerRate { .. } => panic!("{remedy}"),
        })
        .collect();
    assert_eq!(parts, [2, 4]);
    // The same as if it had been configured this way from the first step.
    let mut configured = Setup::new(2);
    configured.training.accumulation_steps = 4;
    let expected = configured.fit(tempfile::tempdir().unwrap().path()).unwrap();
    assert_eq!(bits(&outcome.history), bits(&expected.history));

    setup.training.recovery.attempts = 1;
    let error = setup.fit(tempfile::tempdir().unwrap().path()).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("raise `accumulation_steps`"), "{message}");
}

#[test]
fn a_remedied_training_resumes_to_the_same_bits() {
    let mut setup = Setup::new(3);
    setup.faults.non_finite_at_step = Some(6);
    let straight = setup.fit(tempfile::tempdir().unwrap().path()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    setup.resume = true;
    let stop = setup.stop.clone();
    setup
        .fit_observed(folder.path(), &mut |event| {
            if matches!(event, TrainEvent::Remedy(_)) {
                stop.request();
            }
        })
        .unwrap();
    setup.stop = mlestar_train::StopSignal::new();
    let resumed = setup.fit(folder.path()).unwrap();
    assert_eq!(bits(&resumed.history), bits(&straight.history));
    assert_eq!(resumed.remedies, straight.remedies);
}
