//! What each proposal brought.

use super::super::{Ablation, AblationLine, AblationOutcome, EstimateQuality, MeasuredChange};
use crate::words::counted;
use mlestar_report::{Column, Row, Section, Table, format};

pub(super) fn section(ablation: &Ablation) -> Section {
    let section = Section::new("Ablation");
    let Some(accuracy) = ablation.accuracy else {
        return section.intro(
            "The config's own settings could not be trained as long as a trial, so there was nothing to compare with.",
        );
    };
    if ablation.lines.is_empty() {
        return section.intro("No proposal was tried (refinement.proposals).");
    }
    let mut table = Table::new("One change at a time")
        .column(Column::text("change"))
        .column(Column::text("proposed by"))
        .column(Column::text("expected gain"))
        .column(Column::number("accuracy", ""))
        .column(Column::text("gain"))
        .column(Column::number("time", "factor"))
        .column(Column::number("size", "factor"))
        .column(Column::text("verdict"));
    table = table.row(Row::new([
        "own settings".to_owned(),
        String::new(),
        String::new(),
        format::fraction(accuracy),
        String::new(),
        "1.00".to_owned(),
        "1.00".to_owned(),
        String::new(),
    ]));
    for (index, line) in ablation.lines.iter().enumerate() {
        table = table.row(Row::new(cells(line, ablation.start == Some(index))));
    }
    if let Some(quality) = &ablation.estimates {
        table = table.note(in_words(quality));
    }
    section
        .intro(
            "Each change alone, in a training as long as a trial and with the same seed, in the order of expected gain for \
             its time. Accuracy is that of the validation images, and gains are paired by them.",
        )
        .block(table)
}

fn cells(line: &AblationLine, is_start: bool) -> [String; 8] {
    let expected = match &line.gain {
        Some(gain) => format!(
            "{:+.3} [{:+.3}, {:+.3}]",
            gain.expected, gain.low, gain.high
        ),
        None => String::new(),
    };
    let name = line.name.clone();
    let finding = line.finding.replace('_', " ");
    match &line.outcome {
        AblationOutcome::Measured(found) => {
            let paired = &found.paired;
            let gain = format!(
                "{:+.4} [{:+.4}, {:+.4}]",
                paired.difference, paired.interval.low, paired.interval.high
            );
            [
                name,
                finding,
                expected,
                format::fraction(paired.accuracy_b),
                gain,
                format!("{:.2}", found.time),
                format!("{:.2}", found.size),
                verdict(found, is_start),
            ]
        }
        AblationOutcome::Failed { message } => {
            let missing = || format::MISSING.to_owned();
            let cost = &line.cost;
            [
                name,
                finding,
                expected,
                missing(),
                missing(),
                format!("{:.2} expected", cost.time),
                format!("{:.2} expected", cost.size),
                format!("failed: {message}"),
            ]
        }
    }
}

fn verdict(found: &MeasuredChange, is_start: bool) -> String {
    let interval = &found.paired.interval;
    let verdict = match (interval.low > 0.0, interval.high < 0.0) {
        (true, _) => "helps",
        (_, true) => "harms",
        _ => "no difference beyond chance",
    };
    match is_start {
        true => format!("{verdict}; the search starts here"),
        false => verdict.to_owned(),
    }
}

fn in_words(quality: &EstimateQuality) -> String {
    let order = match quality.rank_correlation {
        Some(correlation) => format!("; rank correlation {correlation:+.2}"),
        None => String::new(),
    };
    format!(
        "The estimates: {} of {} inside their range; {:.3} off on average, {:.3} too {}{order}.",
        quality.within,
        counted(quality.measured, "measured gain"),
        quality.mean_error,
        quality.bias.abs(),
        if quality.bias > 0.0 { "high" } else { "low" },
    )
}
