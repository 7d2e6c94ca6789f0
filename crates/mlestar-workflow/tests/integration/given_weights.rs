//! Runs whose training begins with the weights of another.

use crate::{finished_run, run_in, stages_that_run, tiny};
use mlestar_gates::ExitCode;
use mlestar_train::StopSignal;
use mlestar_workflow::explain::{Freshness, survey};
use mlestar_workflow::{RunFolder, Stage};
use std::fs;

#[test]
fn other_weights_make_the_stages_stale_that_begin_with_them() {
    let finished = finished_run();
    let weights = |checkpoint: &str| {
        let name = format!("checkpoints/{checkpoint}/model.safetensors");
        fs::read(RunFolder::new(finished.path()).artifact(Stage::Implementation, &name)).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    fs::write(&file, weights("best")).unwrap();
    let config = tiny(&[&format!("training.initial_weights={file:?}")]);
    let run = folder.path().join("run");
    assert_eq!(stages_that_run(&run, &config), [1, 2, 3, 4, 5, 6, 7]);
    let check = RunFolder::new(&run).artifact(Stage::ActionPlanning, "architecture_check.json");
    let check: serde_json::Value = serde_json::from_slice(&fs::read(check).unwrap()).unwrap();
    assert_eq!(check["passed"], true);
    assert!(stages_that_run(&run, &config).is_empty());

    let other = ["last", "previous"].map(weights);
    let other = other.iter().find(|bytes| **bytes != weights("best"));
    fs::write(&file, other.unwrap()).unwrap();
    assert_eq!(stages_that_run(&run, &config), [3, 4, 5, 6, 7]);

    fs::remove_file(&file).unwrap();
    let states = survey(&config, &RunFolder::new(&run), "cpu").unwrap();
    let [first, second, third, ..] = states.as_slice() else {
        panic!("{states:?}");
    };
    assert_eq!(first.freshness, Freshness::Fresh);
    assert_eq!(second.freshness, Freshness::Fresh);
    match &third.freshness {
        Freshness::Stale(reasons) => assert!(
            reasons.len() == 1 && reasons[0].contains("weights.safetensors cannot be used"),
            "{reasons:?}"
        ),
        other => panic!("{other:?}"),
    }
    let error = run_in(&run, &config, &StopSignal::new(), &mut ()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("weights.safetensors cannot be used"),
        "{error}"
    );
    assert_eq!(error.exit_code(), ExitCode::Usage);
}
