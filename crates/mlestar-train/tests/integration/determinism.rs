use mlestar_train::{OptimizerKind, TrainEvent};

use crate::{Setup, bits};

#[test]
fn the_same_request_gives_the_same_bits_on_any_number_of_threads() {
    let mut setup = Setup::new(3);
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut outcomes = Vec::new();
    for (folder, threads) in folders.iter().zip([1, 1, 3]) {
        setup.threads = threads;
        outcomes.push(setup.fit(folder.path()).unwrap());
    }
    for other in &outcomes[1..] {
        assert_eq!(bits(&other.history), bits(&outcomes[0].history));
        assert_eq!(other.best_epoch, outcomes[0].best_epoch);
        assert_eq!(other.best_model.state(), outcomes[0].best_model.state());
    }
}

#[test]
fn the_seed_matters() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(1);
    let first = setup.fit(folder.path()).unwrap();
    setup.seed += 1;
    let second = setup.fit(folder.path()).unwrap();
    assert_ne!(bits(&first.history), bits(&second.history));
}

#[test]
fn when_results_are_read_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(2);
    setup.training.optimizer.kind = OptimizerKind::Sgd;
    let quick = setup.fit(folder.path()).unwrap();
    // An observer that takes its time makes every step's result be read on its own.
    let mut steps = 0;
    let slow = setup
        .fit_observed(folder.path(), &mut |event| {
            if let TrainEvent::Step(_) | TrainEvent::Started { .. } = event {
                steps += 1;
                std::thread::sleep(std::time::Duration::from_millis(60));
            }
        })
        .unwrap();
    assert!(steps >= 3);
    assert_eq!(bits(&quick.history), bits(&slow.history));
}
