//! Challenges and advice in words.

use super::super::advice::Advice;
use super::super::artifact::SituationAnalysis;
use super::super::challenges::{Challenge, ChallengeEvidence};
use super::severity_badge;
use mlestar_gates::Limit;
use mlestar_report::{Badge, Block, Callout, Cell, Column, Row, Section, Table, format};

/// The section on challenges.
pub(super) fn challenges(challenges: &[Challenge]) -> Section {
    let section = Section::new("Challenges")
        .intro("Each challenge follows from a measurement that is beyond its threshold.");
    if challenges.is_empty() {
        return section.block(Callout::info(
            "None found",
            "No measurement is beyond its threshold.",
        ));
    }
    let mut table = Table::new("What is hard about these data")
        .column(Column::text("severity"))
        .column(Column::text("challenge"))
        .column(Column::text("what was found"))
        .column(Column::text("what it means"));
    for challenge in challenges {
        table = table.row(Row::new([
            Cell::from(severity_badge(challenge.severity)),
            Cell::from(&challenge.title),
            Cell::from(&challenge.statement),
            Cell::from(&challenge.consequence),
        ]));
    }
    section.block(table).block(evidence(challenges))
}

fn evidence(challenges: &[Challenge]) -> Table {
    let mut table = Table::new("The evidence")
        .column(Column::text("challenge"))
        .column(Column::text("measured"))
        .column(Column::number("value", ""))
        .column(Column::text("a challenge when"))
        .column(Column::number("n", ""))
        .column(Column::text("how"));
    for challenge in challenges {
        for evidence in &challenge.evidence {
            table = table.row(Row::new([
                challenge.title.clone(),
                evidence.measure.clone(),
                evidence.unit.format(evidence.value),
                threshold_text(evidence),
                format::count(evidence.n as u64),
                evidence.method.clone(),
            ]));
        }
    }
    table
}

fn threshold_text(evidence: &ChallengeEvidence) -> String {
    let words = match evidence.threshold {
        Limit::AtLeast(_) => "at least",
        Limit::Above(_) => "above",
        Limit::AtMost(_) => "at most",
        Limit::Equals(_) => "exactly",
    };
    format!(
        "{words} {}",
        evidence.unit.format(evidence.threshold.value())
    )
}

/// The section on preprocessing and augmentation advice.
pub(super) fn advice(analysis: &SituationAnalysis) -> Section {
    let section = Section::new("Advice")
        .intro("Each piece follows from a finding above; keys are those of the config.")
        .block(advice_table("Preprocessing", &analysis.preprocessing));
    if analysis.augmentation.is_empty() {
        return section.block(Block::paragraph("No augmentation is advised."));
    }
    section.block(advice_table("Augmentation", &analysis.augmentation))
}

fn advice_table(caption: &str, advice: &[Advice]) -> Table {
    let mut table = Table::new(caption)
        .column(Column::text("advice"))
        .column(Column::text("because"))
        .column(Column::text("follows from"))
        .column(Column::text("setting"))
        .column(Column::text("now"));
    for piece in advice {
        table = table.row(Row::new([
            Cell::from(format!("{}. {}", piece.title, piece.action)),
            Cell::from(&piece.reason),
            Cell::from(piece.follows_from.join(", ").replace('_', " ")),
            setting_cell(piece),
            now_cell(piece),
        ]));
    }
    table
}

fn setting_cell(piece: &Advice) -> Cell {
    let setting = piece.setting.as_ref();
    setting.map_or(Cell::Empty, |setting| {
        Cell::Code(format!("{} = {}", setting.key, setting.value))
    })
}

fn now_cell(piece: &Advice) -> Cell {
    let Some(setting) = &piece.setting else {
        return Cell::Empty;
    };
    let Some(configured) = &setting.configured else {
        return Cell::Empty;
    };
    match same_number(configured, &setting.value) {
        true => Cell::from(Badge::good("set")),
        false => Cell::Code(configured.clone()),
    }
}

/// Whether two TOML values are the same, `0` and `0.0` included.
fn same_number(a: &str, b: &str) -> bool {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() < 1e-9,
        _ => a == b,
    }
}
