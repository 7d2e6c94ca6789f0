//! A stage reruns when one of its inputs has changed, and only then.

use crate::{finished_run, run_in, stages_that_run, tiny};
use mlestar_train::StopSignal;
use mlestar_workflow::RunFolder;
use mlestar_workflow::explain::{Freshness, survey};
use std::fs;

#[test]
fn a_run_leaves_every_artifact_that_the_guide_names() {
    let folder = finished_run();
    let run = RunFolder::new(folder.path());
    for stage in mlestar_workflow::Stage::ALL {
        for (names, _) in mlestar_workflow::guide::guide(stage).artifacts {
            for name in names.split(", ").flat_map(|names| names.split(" and ")) {
                let name = name.split('{').next().unwrap_or(name);
                let path = run.artifact(stage, name);
                assert!(path.exists(), "{}", path.display());
            }
        }
    }
    for path in [
        run.summary_path(),
        run.validation_report_path(),
        run.audit_path(),
        run.config_path(),
    ] {
        assert!(path.is_file(), "{}", path.display());
    }
}

#[test]
fn nothing_runs_when_nothing_has_changed() {
    let folder = finished_run();
    assert!(stages_that_run(folder.path(), &tiny(&[])).is_empty());
    let states = survey(&tiny(&[]), &RunFolder::new(folder.path()), "cpu").unwrap();
    assert!(
        states
            .iter()
            .all(|state| state.freshness == Freshness::Fresh)
    );
}

#[test]
fn a_new_target_defines_and_plans_anew_but_does_not_train() {
    let folder = finished_run();
    let config = tiny(&["task.primary.target=0.6"]);
    assert_eq!(stages_that_run(folder.path(), &config), [2, 3]);
}

#[test]
fn another_gate_limit_runs_nothing() {
    let folder = finished_run();
    let config = tiny(&["gates.evaluation.criteria.accuracy={ at_least = 0.01 }"]);
    assert!(stages_that_run(folder.path(), &config).is_empty());
}

#[test]
fn another_benchmark_runs_the_deployment_alone() {
    let folder = finished_run();
    let config = tiny(&["deployment.benchmark.latency_runs=11"]);
    assert_eq!(stages_that_run(folder.path(), &config), [7]);
}

#[test]
fn another_learning_rate_trains_and_all_that_follows() {
    let folder = finished_run();
    let config = tiny(&["training.optimizer.learning_rate=0.011"]);
    let run = RunFolder::new(folder.path());
    let states = survey(&config, &run, "cpu").unwrap();
    let Freshness::Stale(reasons) = &states[3].freshness else {
        panic!("{states:?}");
    };
    assert_eq!(
        reasons,
        &["training.optimizer.learning_rate 0.00001 -> 0.011"]
    );
    assert_eq!(stages_that_run(folder.path(), &config), [2, 3, 4, 5, 6, 7]);
    // What the rerun replaced is kept, one version back.
    assert!(
        run.root()
            .join(".previous/4-implementation/metrics.jsonl")
            .is_file()
    );
}

#[test]
fn a_lost_artifact_is_made_again_and_equal_outputs_stop_the_rerun() {
    let folder = finished_run();
    fs::remove_file(folder.path().join("4-implementation/metrics.jsonl")).unwrap();
    // Training again gives the same bits on the CPU, so nothing that follows is stale.
    assert_eq!(stages_that_run(folder.path(), &tiny(&[])), [4]);
}

#[test]
fn equal_seeds_give_equal_bits_and_other_seeds_do_not() {
    let first = finished_run();
    let hash = |folder: &std::path::Path| {
        let file = folder.join("4-implementation/checkpoints/best/model.safetensors");
        mlestar_artifact::ContentHash::of_file(&file).unwrap()
    };
    let second = tempfile::tempdir().unwrap();
    run_in(second.path(), &tiny(&[]), &StopSignal::new(), &mut ()).unwrap();
    assert_eq!(hash(first.path()), hash(second.path()));
    let other = tiny(&["seed=4"]);
    run_in(second.path(), &other, &StopSignal::new(), &mut ()).unwrap();
    assert_ne!(hash(first.path()), hash(second.path()));
}
