//! Trials as lines of text.

use mlestar_tune::{IntermediateValue, Parameters, TrialState};
use mlestar_workflow::config::Objective;
use mlestar_workflow::tuning::{StudyStatus, TrialRow, UnfinishedRow};

/// A finished trial.
pub fn finished(status: &StudyStatus, row: &TrialRow) -> String {
    let state = match row.state {
        TrialState::Complete => "complete",
        TrialState::Pruned => "pruned",
        TrialState::Failed => "failed",
    };
    let result = match (row.state, &row.message) {
        (TrialState::Failed, Some(message)) => message.clone(),
        (TrialState::Complete, _) => values(&status.objectives, &row.values),
        _ => last(status, row.last),
    };
    let is_best = status.best == Some(row.number) || status.front.contains(&row.number);
    let mark = if is_best { "*" } else { " " };
    format!(
        "{:>5}{mark} {state:<8}  {result}  {}",
        row.number,
        parameters(&row.parameters)
    )
}

/// A trial that is not finished.
pub fn unfinished(status: &StudyStatus, row: &UnfinishedRow) -> String {
    let state = match (&row.worker, row.is_at_work) {
        (Some(_), true) => "running",
        (Some(_), false) => "left",
        (None, _) => "waiting",
    };
    let worker = match &row.worker {
        Some(worker) => format!("  by {worker}"),
        None => String::new(),
    };
    format!(
        "{:>5}  {state:<8}  {}  {}{worker}",
        row.number,
        last(status, row.last),
        parameters(&row.parameters)
    )
}

/// Values with their names.
pub fn values(objectives: &[Objective], values: &[f64]) -> String {
    let named = objectives.iter().zip(values);
    let named = named
        .map(|(objective, value)| format!("{} {}", objective.name(), objective.format(*value)));
    named.collect::<Vec<_>>().join(", ")
}

fn last(status: &StudyStatus, last: Option<IntermediateValue>) -> String {
    let shown = Objective::watched(&status.objectives);
    match last {
        Some(last) => format!(
            "{} {} after epoch {}",
            shown.name(),
            shown.format(last.value),
            last.step
        ),
        None => "no epoch yet".into(),
    }
}

/// Parameters by the ends of their keys, as far as those differ.
pub fn parameters(parameters: &Parameters) -> String {
    let end = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let ends: Vec<String> = parameters.keys().map(|key| end(key)).collect();
    let shown = parameters.iter().map(|(key, value)| {
        let short = end(key);
        let is_unique = ends.iter().filter(|other| **other == short).count() == 1;
        let name = if is_unique { short } else { key.clone() };
        match value.as_f64().filter(|_| value.as_i64().is_none()) {
            Some(number) => format!("{name}={}", three_digits(number)),
            None => format!("{name}={value}"),
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// Three significant digits.
fn three_digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if (0.01..1000.0).contains(&size) => {
            let digits = (2.0 - size.log10().floor()).clamp(0.0, 4.0);
            format!("{value:.*}", digits as usize)
        }
        _ => format!("{value:.2e}"),
    }
}

/// How many trials there are of each kind, in one line.
pub fn counts(status: &StudyStatus) -> String {
    let parts = [
        (status.count(TrialState::Complete), "complete"),
        (status.count(TrialState::Pruned), "pruned"),
        (status.count(TrialState::Failed), "failed"),
        (status.running.len(), "running"),
        (status.waiting.len(), "waiting"),
        (status.copied, "taken over"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let done = status.trials.len();
    match parts.is_empty() {
        true => format!("{done} of {} trials", status.planned),
        false => format!("{done} of {} trials: {}", status.planned, parts.join(", ")),
    }
}

/// The best value, or the size of the front.
pub fn best(status: &StudyStatus) -> String {
    match (status.best_trial(), status.front.len()) {
        (Some(row), _) => format!(
            "best {} (trial {})",
            values(&status.objectives, &row.values),
            row.number
        ),
        (None, 0) => "no trial is complete yet".into(),
        (None, n) => format!("{n} trials on the front"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_tune::ParameterValue;

    #[test]
    fn parameters_are_short_and_unambiguous() {
        let set = Parameters::from([
            ("a.rate".to_owned(), ParameterValue::Float(0.001_234_5)),
            ("a.size".to_owned(), ParameterValue::Int(64)),
            ("b.rate".to_owned(), ParameterValue::Float(0.25)),
            ("b.kind".to_owned(), ParameterValue::Text("sgd".into())),
        ]);
        insta::assert_snapshot!(parameters(&set), @r#"a.rate=1.23e-3 size=64 kind="sgd" b.rate=0.250"#);
        for (value, expected) in [
            (0.0, "0"),
            (12.345, "12.3"),
            (999.9, "1000"),
            (0.01, "0.0100"),
            (1e6, "1.00e6"),
        ] {
            assert_eq!(three_digits(value), expected);
        }
    }
}
