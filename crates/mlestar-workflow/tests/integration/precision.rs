//! A run records how exactly its convolutions were computed.

use crate::finished_run;
use mlestar_model::Precision;
use mlestar_workflow::{RunFolder, Stage};

#[test]
fn the_summary_and_the_page_of_a_training_name_its_precision() {
    let folder = finished_run();
    let run = RunFolder::new(folder.path());
    let read =
        |name: &str| std::fs::read_to_string(run.artifact(Stage::Implementation, name)).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&read("training_summary.json")).unwrap();
    assert_eq!(summary["precision"], Precision::Bf16.name());
    assert!(read("training_report.html").contains("bf16"));
}
