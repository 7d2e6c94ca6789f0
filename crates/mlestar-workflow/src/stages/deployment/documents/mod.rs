//! The documents of a deployable model and the files for its deployment, written from what was measured.

mod alerts;
mod costs;
mod dockerfile;
mod interface;
mod kubernetes;
pub(super) mod markdown;
mod model_card;
mod monitoring;
mod openapi;
mod requirements;
mod troubleshooting;

use super::{BenchmarkArtifact, ParityArtifact};
use crate::config::Config;
use crate::stages::refinement::{Comparison, FinalModel};
use mlestar_export::package::{FileRole, Manifest, MetricRecord};

/// The model card: what the model is, and the verdicts of the gates.
pub(super) const MODEL_CARD: &str = "README.md";

/// A document of the package.
pub(crate) struct Document {
    /// Its name inside the package.
    pub(crate) name: &'static str,
    /// Its purpose.
    pub(crate) role: FileRole,
    text: fn(&Facts<'_>) -> String,
}

impl Document {
    /// Its text, with an empty place for the verdicts.
    pub(crate) fn text(&self, facts: &Facts<'_>) -> String {
        (self.text)(facts)
    }
}

/// All documents, in the order in which one reads them.
pub(crate) const DOCUMENTS: [Document; 9] = [
    document(MODEL_CARD, model_card::text),
    document("docs/interface.md", interface::text),
    document("docs/openapi.json", openapi::text),
    document("docs/requirements.md", requirements::text),
    document("docs/monitoring.md", monitoring::text),
    document("docs/troubleshooting.md", troubleshooting::text),
    deployment("deploy/Dockerfile", dockerfile::text),
    deployment("deploy/kubernetes.yaml", kubernetes::text),
    deployment("deploy/alerts.yaml", alerts::text),
];

const fn document(name: &'static str, text: fn(&Facts<'_>) -> String) -> Document {
    let role = FileRole::Document;
    Document { name, role, text }
}

const fn deployment(name: &'static str, text: fn(&Facts<'_>) -> String) -> Document {
    let role = FileRole::Deployment;
    Document { name, role, text }
}

/// The facts that the documents are written from.
pub(crate) struct Facts<'a> {
    pub(crate) config: &'a Config,
    pub(crate) chosen: &'a FinalModel,
    pub(crate) comparison: &'a Comparison,
    pub(crate) manifest: &'a Manifest,
    pub(crate) parity: &'a ParityArtifact,
    pub(crate) measured: &'a BenchmarkArtifact,
}

impl Facts<'_> {
    /// A figure on the test split; every package has those of [`super::figures`].
    fn metric(&self, name: &str) -> Option<&MetricRecord> {
        self.manifest
            .metrics
            .iter()
            .find(|metric| metric.name == name)
    }

    /// The model's name where it is served.
    fn served_name(&self) -> &str {
        let run = self.manifest.provenance.get("run");
        run.map_or("model", String::as_str)
    }

    /// The project's name for systems that allow only lower-case letters, digits and dashes, 1 to 50 of them, with a
    /// letter first (RFC 1123, with room for a suffix).
    fn service_name(&self) -> String {
        let plain = self.config.project.name.chars().map(|character| {
            match character.to_ascii_lowercase() {
                letter @ ('a'..='z' | '0'..='9') => letter,
                _ => '-',
            }
        });
        let name: String = plain.collect();
        let name = name.trim_matches('-');
        let name = match name.starts_with(|first: char| first.is_ascii_lowercase()) {
            true => name.to_owned(),
            false => format!("model-{name}"),
        };
        let cut: String = name.chars().take(50).collect();
        cut.trim_end_matches('-').to_owned()
    }
}
