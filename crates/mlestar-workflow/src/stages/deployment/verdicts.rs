//! The verdicts of the gates, in the package and its documents.

use super::documents::markdown::escaped;
use super::documents::{DOCUMENTS, MODEL_CARD};
use super::{ARCHIVE, PACKAGE};
use crate::manifest::RunManifest;
use crate::{RunFolder, Stage, WorkflowError};
use mlestar_artifact::{ArtifactError, ContentHash};
use mlestar_export::package::{
    AddedFile, GateRecord, MANIFEST_FILE, add_files, archive, record_gates,
};
use mlestar_gates::{RunVerdict, StageVerdict, Status};
use std::fmt::Write;

/// The marks around the part of a document that holds the verdicts.
const BEGIN: &str = "<!-- gates -->\n";
const END: &str = "<!-- /gates -->\n";

/// The verdicts as the package records them.
pub(super) fn records(verdict: &RunVerdict) -> Vec<GateRecord> {
    let unmet = |stage: &StageVerdict| {
        stage
            .unmet()
            .map(|verdict| format!("{}: {}", verdict.status, verdict.message))
            .collect()
    };
    verdict
        .stages
        .iter()
        .map(|stage| GateRecord {
            gate: stage.stage.clone(),
            status: stage.status().to_string(),
            unmet: unmet(stage),
        })
        .collect()
}

/// A document with the verdicts filled in.
pub(super) fn with_gates(document: &str, name: &str, gates: &[GateRecord]) -> String {
    let Some((before, after)) = around(document) else {
        return document.to_owned();
    };
    let text = match name {
        MODEL_CARD => model_card(gates),
        _ => pointer(gates),
    };
    format!("{before}{BEGIN}{text}{END}{after}")
}

/// A document without the verdicts.
pub(crate) fn without_gates(document: &str) -> String {
    match around(document) {
        Some((before, after)) => format!("{before}{BEGIN}{END}{after}"),
        None => document.to_owned(),
    }
}

/// The place that [`with_gates`] fills.
pub(super) fn place() -> String {
    format!("{BEGIN}{END}")
}

fn around(document: &str) -> Option<(&str, &str)> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some((before, after))
}

/// The worst verdict of the gates.
fn worst(gates: &[GateRecord]) -> Option<&str> {
    let severity = |status: &str| {
        Status::ALL
            .into_iter()
            .find(|known| known.as_str() == status)
            .map_or(u8::MAX, Status::severity)
    };
    gates
        .iter()
        .map(|gate| gate.status.as_str())
        .max_by_key(|status| severity(status))
}

fn model_card(gates: &[GateRecord]) -> String {
    let Some(worst) = worst(gates) else {
        return "No quality gate was judged.\n".into();
    };
    let mut text = match worst {
        "PASS" => "All quality gates of the run that made this model pass.\n\n".to_owned(),
        _ => format!(
            "**{worst}: not every quality gate of the run that made this model passes.**\n\n"
        ),
    };
    text.push_str("| gate | verdict | not met |\n|---|---|---|\n");
    for gate in gates {
        let unmet: Vec<String> = gate.unmet.iter().map(|text| escaped(text)).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            escaped(&gate.gate),
            gate.status,
            unmet.join("<br>")
        );
    }
    text
}

/// The note in the other documents: where to look.
fn pointer(gates: &[GateRecord]) -> String {
    match worst(gates) {
        None | Some("PASS") => String::new(),
        Some(worst) => format!(
            "**{worst}: not every quality gate of the run that made this model passes; see \
             [{MODEL_CARD}](../{MODEL_CARD}).**\n\n"
        ),
    }
}

/// Writes the verdicts into the manifest of the package and into its documents, in place of earlier ones, and the new
/// hashes into the manifest of the run. Nothing else changes: no measurement is repeated, no image is read.
///
/// A file that is not what stage 7 wrote is left alone, so its gate still sees that. Returns whether anything was
/// written: the same verdicts change nothing.
///
/// # Errors
/// When a file of the run cannot be read or written.
pub fn record_verdicts(
    run: &RunFolder,
    manifest: &mut RunManifest,
    verdict: &RunVerdict,
) -> Result<bool, WorkflowError> {
    let stage = Stage::Deployment;
    let Some(mut record) = manifest.complete_stage(stage).cloned() else {
        return Ok(false);
    };
    let gates = records(verdict);
    let is_whole = |name: &str| {
        let found = ContentHash::of_file(&run.artifact(stage, name)).ok();
        found.is_some() && found.as_ref() == record.outputs.get(name)
    };
    let card = format!("{PACKAGE}/{MANIFEST_FILE}");
    if !is_whole(&card) {
        return Ok(false);
    }
    let folder = run.artifact(stage, PACKAGE);
    let mut documents = Vec::new();
    let mut changed = vec![card];
    for document in &DOCUMENTS {
        let name = format!("{PACKAGE}/{}", document.name);
        if !is_whole(&name) {
            continue;
        }
        let path = run.artifact(stage, &name);
        let text = std::fs::read_to_string(&path).map_err(|source| ArtifactError::Read {
            path: path.clone(),
            source,
        })?;
        documents.push(AddedFile {
            name: document.name.to_owned(),
            role: document.role,
            content: with_gates(&text, document.name, &gates).into_bytes(),
        });
        changed.push(name);
    }
    let packed_is_whole = is_whole(ARCHIVE);
    add_files(&folder, &documents)?;
    record_gates(&folder, gates)?;
    if packed_is_whole {
        archive::pack(&folder, &run.artifact(stage, ARCHIVE))?;
        changed.push(ARCHIVE.to_owned());
    }
    let before = record.outputs.clone();
    for file in changed {
        let hash = ContentHash::of_file(&run.artifact(stage, &file))?;
        record.outputs.insert(file, hash);
    }
    if record.outputs == before {
        return Ok(false);
    }
    manifest.set(stage, record);
    manifest.write(run)?;
    Ok(true)
}
