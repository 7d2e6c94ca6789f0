//! Runs whose training starts from the weights of another, or learns from it.

use crate::{finished_run, run_in, stages_that_run, tiny};
use mlestar_gates::ExitCode;
use mlestar_train::StopSignal;
use mlestar_workflow::explain::{Freshness, survey};
use mlestar_workflow::{RunFolder, Stage, config::Config};
use std::{fs, path::Path};

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
    let (stage, reasons) = first_stale(&run, &config);
    assert_eq!(stage, Stage::ActionPlanning);
    assert!(
        reasons.len() == 1 && reasons[0].contains("weights.safetensors cannot be used"),
        "{reasons:?}"
    );
    let error = run_in(&run, &config, &StopSignal::new(), &mut ()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("weights.safetensors cannot be used"),
        "{error}"
    );
    assert_eq!(error.exit_code(), ExitCode::Usage);
}

/// As late as in stage 4, the same file would have cost the first three stages.
#[test]
fn weights_of_another_network_are_refused_before_any_stage_runs() {
    let finished = finished_run();
    let weights = RunFolder::new(finished.path())
        .artifact(Stage::Implementation, "checkpoints/best/model.safetensors");
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let refused = |settings: &[&str]| {
        let error = run_in(&run, &tiny(settings), &StopSignal::new(), &mut ()).unwrap_err();
        assert!(!run.exists(), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Usage);
        error.to_string()
    };
    let given = format!("training.initial_weights={weights:?}");
    let error = refused(&[&given, "model.stem_channels=6"]);
    assert!(
        error.contains("model.safetensors cannot be used") && error.contains("in this network"),
        "{error}"
    );
    let text = folder.path().join("cat.jpg");
    fs::write(&text, "no weights").unwrap();
    let error = refused(&[&format!("training.initial_weights={text:?}")]);
    assert!(error.contains("neither a file of PyTorch nor"), "{error}");
    let error = refused(&[&format!("training.initial_weights={:?}", folder.path())]);
    assert!(error.contains("it is a folder"), "{error}");
}

/// The first stage that would run, and why.
fn first_stale(run: &Path, config: &Config) -> (Stage, Vec<String>) {
    let states = survey(config, &RunFolder::new(run), "cpu").unwrap();
    let stale = states.iter().find_map(|state| match &state.freshness {
        Freshness::Stale(reasons) => Some((state.stage, reasons.clone())),
        _ => None,
    });
    stale.unwrap()
}

#[test]
fn another_teacher_makes_the_stages_stale_that_learn_from_it() {
    let finished = finished_run();
    let checkpoint = |name: &str| {
        let name = format!("checkpoints/{name}");
        RunFolder::new(finished.path()).artifact(Stage::Implementation, &name)
    };
    let folder = tempfile::tempdir().unwrap();
    let teacher = folder.path().join("teacher");
    let take = |name: &str| {
        fs::create_dir_all(&teacher).unwrap();
        for file in ["checkpoint.json", "model.safetensors"] {
            fs::copy(checkpoint(name).join(file), teacher.join(file)).unwrap();
        }
        fs::read(teacher.join("model.safetensors")).unwrap()
    };
    let best = take("best");
    let config = tiny(&[&format!("training.distillation.teachers=[{teacher:?}]")]);
    let run = folder.path().join("run");
    assert_eq!(stages_that_run(&run, &config), [1, 2, 3, 4, 5, 6, 7]);
    let stage = |stage, name: &str| -> serde_json::Value {
        let path = RunFolder::new(&run).artifact(stage, name);
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let check = stage(Stage::ActionPlanning, "architecture_check.json");
    assert_eq!(check["passed"], true);
    let plan = stage(Stage::ActionPlanning, "action_plan.json");
    assert_eq!(plan["teachers"][0], plan["architecture"]["model"]);
    assert!(plan["resources"]["teacher_bytes"].as_u64().unwrap() > 0);
    assert!(stages_that_run(&run, &config).is_empty());

    // The one that is found stays in the teacher's place.
    let mut others = ["last", "previous"].into_iter();
    assert!(others.any(|name| take(name) != best));
    let (stage, reasons) = first_stale(&run, &config);
    assert_eq!(stage, Stage::TaskDefinition);
    assert_eq!(reasons, ["the teachers changed"]);

    fs::remove_file(teacher.join("model.safetensors")).unwrap();
    let (stage, reasons) = first_stale(&run, &config);
    assert_eq!(stage, Stage::TaskDefinition);
    assert!(reasons[0].contains("teacher cannot be used"), "{reasons:?}");
    let error = run_in(&run, &config, &StopSignal::new(), &mut ()).unwrap_err();
    assert!(
        error.to_string().contains("teacher cannot be used"),
        "{error}"
    );
    assert_eq!(error.exit_code(), ExitCode::Usage);
}
