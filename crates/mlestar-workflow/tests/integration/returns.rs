//! A failed gate can send the chain back with other settings, a bounded number of times.

use crate::{run_in, stages_that_run, tiny};
use mlestar_artifact::read_json_lines;
use mlestar_train::StopSignal;
use mlestar_workflow::RunFolder;
use mlestar_workflow::audit::{AuditEvent, AuditRecord};
use mlestar_workflow::config::Config;

fn returning() -> Config {
    tiny(&[
        "refinement.enabled=false",
        "gates.implementation.criteria.validation_accuracy={ at_least = 1.0 }",
        "gates.implementation.on_failure={ return_to = \"implementation\", max_returns = 1, set = { \"training.epochs\" = 3 } }",
    ])
}

#[test]
fn a_return_is_applied_recorded_bounded_and_remembered() {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), &returning(), &StopSignal::new(), &mut ()).unwrap();
    let run = RunFolder::new(folder.path());
    let events: Vec<AuditRecord> = read_json_lines(&run.audit_path()).unwrap();
    let returns: Vec<_> = events
        .iter()
        .filter_map(|record| match &record.event {
            AuditEvent::ReturnedToStage { settings, .. } => Some(settings.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(returns, [["training.epochs = 3"]]);
    let metrics = std::fs::read_to_string(folder.path().join("4-implementation/metrics.jsonl"));
    assert_eq!(metrics.unwrap().lines().count(), 3);
    // The second run starts from the remedy instead of failing again.
    assert!(stages_that_run(folder.path(), &returning()).is_empty());
}
