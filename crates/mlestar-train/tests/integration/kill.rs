//! A training that is killed repeatedly, at random moments, must end with the same bits as an undisturbed one.

use mlestar_model::Network as _;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use mlestar_random::Stream;
use mlestar_train::{EmaConfig, checkpoint};

use crate::{Setup, bits};

/// Passes the folder of the training to the process that is to be killed.
const FOLDER: &str = "MLESTAR_KILL_TEST_FOLDER";
/// Passes the step before which the process kills itself, if it should.
const STEP: &str = "MLESTAR_KILL_TEST_STEP";

fn setup() -> Setup {
    let mut setup = Setup::new(6);
    setup.training.checkpoint_every_minutes = 1e-9;
    setup.training.ema = Some(EmaConfig::default());
    setup.resume = true;
    setup
}

/// Not a test of its own, but the code of the killed process.
#[test]
fn trains_where_the_other_test_says() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let mut setup = setup();
        setup.faults.kill_at_step = std::env::var(STEP).ok().and_then(|step| step.parse().ok());
        setup.fit(&PathBuf::from(folder)).unwrap();
    }
}

fn child(folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "kill::trains_where_the_other_test_says"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Starts the training in `folder` and kills it after `patience`; true if it finished before.
fn runs_to_its_end(folder: &Path, patience: Duration) -> bool {
    let mut child = child(folder).spawn().unwrap();
    std::thread::sleep(patience);
    if let Some(status) = child.try_wait().unwrap() {
        assert!(status.success(), "the training failed by itself: {status}");
        return true;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}

#[test]
fn a_training_killed_at_random_moments_ends_with_the_same_bits() {
    let straight_folder = tempfile::tempdir().unwrap();
    let straight = setup().fit(straight_folder.path()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    // The moments differ in every run of the test; a failure prints them.
    let seed = u64::from(std::process::id());
    let mut draws = Stream::new(seed, "moments to kill", 0, 0);
    let mut kills = 0;
    let mut moments = Vec::new();
    while kills < 12 {
        let patience = Duration::from_millis(5 + draws.below(120));
        moments.push(patience);
        if runs_to_its_end(folder.path(), patience) {
            break;
        }
        kills += 1;
    }
    let resumed = setup().fit(folder.path()).unwrap();
    assert_eq!(
        bits(&resumed.history),
        bits(&straight.history),
        "killed after {moments:?}"
    );
    let last = |folder: &Path| checkpoint::load(&folder.join("checkpoints/last")).unwrap();
    let (found, expected) = (last(folder.path()), last(straight_folder.path()));
    assert_eq!(found.model, expected.model);
    assert_eq!(found.training_model, expected.training_model);
    assert_eq!(found.optimizer, expected.optimizer);
    assert_eq!(found.best_model, expected.best_model);
    assert_eq!(resumed.best_model.state(), straight.best_model.state());
}

#[test]
fn a_training_kills_itself_before_the_step_that_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let status = child(folder.path()).env(STEP, "7").status().unwrap();
    assert!(!status.success());
    let last = checkpoint::load(&folder.path().join("checkpoints/last")).unwrap();
    assert_eq!(last.record.optimizer_steps, 6);
    let resumed = setup().fit(folder.path()).unwrap();
    let straight = setup().fit(tempfile::tempdir().unwrap().path()).unwrap();
    assert_eq!(bits(&resumed.history), bits(&straight.history));
}
