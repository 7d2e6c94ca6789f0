//! What running the model takes.

use super::{Facts, costs};
use crate::stages::deployment::verdicts;
use mlestar_export::package::FileRole;
use mlestar_report::format;
use std::fmt::Write;

pub(super) fn text(facts: &Facts<'_>) -> String {
    let mut text = format!(
        "# Requirements\n\n{}\n## Files\n\n| file | size | BLAKE3 |\n|---|---|---|\n",
        verdicts::place()
    );
    let models = facts.manifest.files.iter();
    for file in models.filter(|file| file.role == FileRole::Model) {
        let _ = writeln!(
            text,
            "| {} | {} | `{}` |",
            file.name,
            format::bytes(file.bytes),
            file.blake3
        );
    }
    text.push('\n');
    text.push_str(&costs::sections(facts.measured));
    text
}
