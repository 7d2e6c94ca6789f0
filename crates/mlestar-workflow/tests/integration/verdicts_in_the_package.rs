//! The package and its documents hold the verdicts of the gates.

use crate::{finished_run, tiny};
use mlestar_artifact::read_artifact;
use mlestar_export::package::{Manifest as Package, archive, verify};
use mlestar_gates::Status;
use mlestar_workflow::freshness::Surroundings;
use mlestar_workflow::manifest::RunManifest;
use mlestar_workflow::stages::deployment::record_verdicts;
use mlestar_workflow::validation::ValidationReport;
use mlestar_workflow::{RunFolder, Stage};
use std::fs;

fn judge(run: &RunFolder, settings: &[&str]) -> ValidationReport {
    let manifest = RunManifest::read(run).unwrap();
    let surroundings = Surroundings::look(&tiny(settings), run, "cpu");
    ValidationReport::judge(&Stage::ALL, &surroundings, run, &manifest)
}

fn package(run: &RunFolder) -> Package {
    read_artifact(&run.artifact(Stage::Deployment, "package/manifest.json")).unwrap()
}

fn document(run: &RunFolder, name: &str) -> String {
    fs::read_to_string(run.artifact(Stage::Deployment, &format!("package/{name}"))).unwrap()
}

#[test]
fn a_run_says_in_its_package_which_gates_are_not_met() {
    let folder = finished_run();
    let run = RunFolder::new(folder.path());
    let report = judge(&run, &[]);
    assert_ne!(report.status, Status::Pass, "the tiny run meets everything");
    let package = package(&run);
    assert_eq!(package.gates.len(), Stage::ALL.len());
    for (gate, stage) in package.gates.iter().zip(&report.verdict.stages) {
        assert_eq!(gate.gate, stage.stage);
        assert_eq!(gate.status, stage.status().to_string());
        assert_eq!(gate.unmet.len(), stage.unmet().count());
    }
    let card = document(&run, "README.md");
    let warning = "not every quality gate of the run that made this model passes";
    assert!(card.contains(warning), "{card}");
    assert!(document(&run, "docs/interface.md").contains(warning));
}

#[test]
fn other_verdicts_are_written_in_place_and_the_same_change_nothing() {
    let folder = finished_run();
    let run = RunFolder::new(folder.path());
    let mut manifest = RunManifest::read(&run).unwrap();
    let mut verdict = judge(&run, &[]).verdict;
    let before = (package(&run), document(&run, "README.md"), manifest.clone());
    assert!(!record_verdicts(&run, &mut manifest, &verdict).unwrap());

    for stage in &mut verdict.stages {
        stage.verdicts.clear();
    }
    assert!(record_verdicts(&run, &mut manifest, &verdict).unwrap());
    assert!(package(&run).gates.iter().all(|gate| gate.status == "PASS"));
    let card = document(&run, "README.md");
    assert!(card.contains("All quality gates of the run that made this model pass."));
    assert!(!document(&run, "docs/interface.md").contains("not every quality gate"));
    // What was measured, and what the gates make of it, is as it was.
    let folder = run.artifact(Stage::Deployment, "package");
    assert!(verify(&folder).unwrap().reproduces());
    let packed = run.artifact(Stage::Deployment, "package.tar.zst");
    assert!(archive::holds(&packed, &folder).unwrap());
    assert_eq!(RunManifest::read(&run).unwrap(), manifest);
    let again = judge(&run, &[]).verdict;
    assert!(record_verdicts(&run, &mut manifest, &again).unwrap());
    let after = (package(&run), document(&run, "README.md"), manifest);
    assert!(after == before);
}

#[test]
fn a_file_that_was_altered_stays_altered() {
    let folder = finished_run();
    let run = RunFolder::new(folder.path());
    for name in ["package/README.md", "package/manifest.json"] {
        let path = run.artifact(Stage::Deployment, name);
        let altered = fs::read_to_string(&path).unwrap().replace("tiny", "huge");
        fs::write(&path, &altered).unwrap();
        let mut manifest = RunManifest::read(&run).unwrap();
        let mut verdict = judge(&run, &[]).verdict;
        verdict.stages.truncate(2);
        record_verdicts(&run, &mut manifest, &verdict).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), altered);
    }
    let report = judge(&run, &[]);
    let stage = &report.verdict.stages[Stage::Deployment.number() - 1];
    assert_eq!(stage.status(), Status::Fail);
}
