//! What did not help: parameters without effect, values that were never good, pruned and failed trials.

use super::Study;
use crate::words::counted;
use mlestar_report::charts::{SettingScale, TrialSetting, TrialState};
use mlestar_report::{Block, Column, Row, Section, Table, format};
use std::collections::{BTreeMap, BTreeSet};

/// A parameter with a smaller share of the variance had no effect worth a search.
const SMALL_SHARE: f64 = 0.01;
/// The share of the complete trials that counts as good.
const GOOD: f64 = 0.25;

pub(super) fn section(study: &Study<'_>) -> Section {
    let sentences: Vec<String> =
        [parameters(study), pruning(study), since_the_best(study)].concat();
    let mut section = Section::new("What did not help");
    if !sentences.is_empty() {
        section = section.block(Block::list(sentences));
    }
    let values = never_good(study);
    let reasons = failures(study);
    let is_quiet = values.is_empty() && reasons.is_empty();
    if !values.is_empty() {
        section = section.block(values_table(study, &values));
    }
    if !reasons.is_empty() {
        section = section.block(failures_table(study, &reasons));
    }
    match is_quiet && section.blocks.is_empty() {
        true => section.block(Block::paragraph(
            "Nothing stands out: every trial completed, and the last one was the best.",
        )),
        false => section,
    }
}

/// A share in percent: `48 %`, `0.3 %`.
fn percent(share: f64) -> String {
    match share >= 0.0995 || share == 0.0 {
        true => format!("{:.0} %", 100.0 * share),
        false if share < 0.0005 => "less than 0.1 %".to_owned(),
        false => format!("{:.1} %", 100.0 * share),
    }
}

/// The parameters that explain no more than chance or next to nothing, for each objective.
fn parameters(study: &Study<'_>) -> Vec<String> {
    let mut sentences = Vec::new();
    for (objective, found) in study.objectives.iter().zip(&study.importances) {
        let Some(found) = found else { continue };
        let limit = found.chance.max(SMALL_SHARE);
        let weak = found.shares.iter().filter(|(_, share)| **share <= limit);
        let weak: Vec<String> = weak
            .map(|(key, share)| format!("{key} ({})", percent(*share)))
            .collect();
        if !weak.is_empty() {
            sentences.push(format!(
                "Alone, {} made no difference to {} that can be seen: share of the variance at most {}; shuffled values explain {}.",
                weak.join(", "),
                objective.name,
                percent(limit),
                percent(found.chance),
            ));
        }
    }
    sentences
}

/// How many trials were pruned, and the steps that this saved.
fn pruning(study: &Study<'_>) -> Vec<String> {
    let trials = &study.report.trials;
    let steps = |state| -> Vec<usize> {
        let ended = trials.iter().filter(|trial| trial.state == state);
        ended.map(|trial| trial.intermediate.len()).collect()
    };
    let pruned = steps(mlestar_tune::TrialState::Pruned);
    if pruned.is_empty() {
        return Vec::new();
    }
    let n = counted(pruned.len(), "trial");
    let share = percent(pruned.len() as f64 / trials.len() as f64);
    let mut complete = steps(mlestar_tune::TrialState::Complete);
    complete.sort_unstable();
    let Some(whole) = complete
        .get(complete.len() / 2)
        .copied()
        .filter(|steps| *steps > 0)
    else {
        return vec![format!("{n} of {} ({share}) were pruned.", trials.len())];
    };
    let ran: usize = pruned.iter().sum();
    let saved: usize = pruned
        .iter()
        .map(|steps| whole.saturating_sub(*steps))
        .sum();
    let all: usize = trials.iter().map(|trial| trial.intermediate.len()).sum();
    vec![format!(
        "{n} of {} ({share}) were pruned after {} of the {} that they would have taken (a complete trial takes {whole}). \
         That saved {} of the work of the whole study.",
        trials.len(),
        counted(ran, study.step()),
        format::count((pruned.len() * whole) as u64),
        percent(saved as f64 / (all + saved) as f64),
    )]
}

/// The trials after the last improvement.
fn since_the_best(study: &Study<'_>) -> Vec<String> {
    let best = study.best();
    let Some(last) = best.iter().max() else {
        return vec!["No trial completed.".to_owned()];
    };
    let later = study
        .report
        .trials
        .iter()
        .filter(|trial| trial.number > *last)
        .count();
    let what = match study.objectives.len() {
        1 => format!("trial {last} is the best"),
        _ => format!("trial {last} is the last one on the front"),
    };
    match later {
        0 => Vec::new(),
        n => vec![format!(
            "{} after the last improvement ({what}): {} of all.",
            counted(n, "trial"),
            percent(n as f64 / study.report.trials.len() as f64)
        )],
    }
}

/// A value of a categorical parameter that no good trial has.
struct NeverGood<'a> {
    setting: &'a TrialSetting,
    word: usize,
    n_trials: usize,
    /// The best complete value with it and without it, of a single objective.
    best: [f64; 2],
    /// The probability that so many trials, drawn blindly, have no good one among them.
    chance: f64,
}

/// The values that were tried at least twice and that no good trial has, the surest first. Good are the best quarter of the complete trials, or those
/// on the front.
fn never_good<'a>(study: &'a Study<'_>) -> Vec<NeverGood<'a>> {
    let trials = &study.trials;
    let good = good_trials(study);
    let ended: Vec<usize> = (0..trials.numbers.len())
        .filter(|trial| trials.states[*trial] != TrialState::Failed)
        .collect();
    let ranked = trials.ranked(&trials.objectives[0]);
    let mut found = Vec::new();
    for setting in &trials.settings {
        let SettingScale::Words(words) = &setting.scale else {
            continue;
        };
        for word in 0..words.len() {
            let has = |trial: &&usize| setting.values[**trial] == word as f64;
            let with = ended.iter().filter(has).count();
            if with < 2 || good.iter().any(|trial| has(&trial)) || good.is_empty() {
                continue;
            }
            found.push(NeverGood {
                setting,
                word,
                n_trials: with,
                best: [true, false].map(|is_with| {
                    let first = ranked.iter().find(|trial| has(trial) == is_with);
                    first.map_or(f64::NAN, |trial| trials.objectives[0].values[*trial])
                }),
                chance: chance_of_none(ended.len(), good.len(), with),
            });
        }
    }
    found.sort_by(|a, b| a.chance.total_cmp(&b.chance));
    found
}

/// The positions of the best quarter of the complete trials, or of those on the front.
fn good_trials(study: &Study<'_>) -> BTreeSet<usize> {
    let numbers = &study.trials.numbers;
    if study.objectives.len() > 1 {
        let front: BTreeSet<&u64> = study.report.front.iter().collect();
        return (0..numbers.len())
            .filter(|trial| front.contains(&numbers[*trial]))
            .collect();
    }
    let ranked = study.trials.ranked(&study.trials.objectives[0]);
    let n = (GOOD * ranked.len() as f64).ceil() as usize;
    ranked.into_iter().take(n).collect()
}

/// The probability that `drawn` of `n` trials have none of `good` among them (hypergeometric distribution).
fn chance_of_none(n: usize, good: usize, drawn: usize) -> f64 {
    let factor = |i: usize| (n.saturating_sub(good + i)) as f64 / (n - i) as f64;
    (0..drawn.min(n)).map(factor).product()
}

fn values_table(study: &Study<'_>, values: &[NeverGood<'_>]) -> Table {
    let one = study.objectives.len() == 1;
    let caption = match one {
        true => "Values that no trial of the best quarter has",
        false => "Values that no trial of the front has",
    };
    let mut table = Table::new(caption)
        .column(Column::text("parameter"))
        .column(Column::text("value"))
        .column(Column::number("trials", ""));
    if one {
        table = table
            .column(Column::number("best with it", ""))
            .column(Column::number("best without it", ""));
    }
    table = table.column(Column::number("by chance", ""));
    for value in values {
        let word = match &value.setting.scale {
            SettingScale::Words(words) => words[value.word].clone(),
            _ => String::new(),
        };
        let mut cells = vec![
            value.setting.label.clone(),
            word,
            value.n_trials.to_string(),
        ];
        if one {
            cells.extend(value.best.map(|best| format::significant(best, 4)));
        }
        cells.push(percent(value.chance));
        table = table.row(Row::new(cells));
    }
    table.note(
        "By chance: how often as many trials, drawn blindly from all that did not fail, would have no good one among them. A sampler that \
         leaves a value early tries it too rarely to be sure.",
    )
}

/// For each reason of failures, in which numbers do not count: the first message, the first trial, how many.
fn failures(study: &Study<'_>) -> Vec<(String, u64, usize)> {
    let mut reasons: BTreeMap<String, (String, u64, usize)> = BTreeMap::new();
    for trial in &study.report.trials {
        if trial.state != mlestar_tune::TrialState::Failed {
            continue;
        }
        let message = trial.message.as_deref().unwrap_or("no reason recorded");
        let entry = reasons.entry(without_numbers(message));
        entry
            .or_insert_with(|| (message.to_owned(), trial.number, 0))
            .2 += 1;
    }
    let mut reasons: Vec<_> = reasons.into_values().collect();
    reasons.sort_by_key(|(_, first, n)| (std::cmp::Reverse(*n), *first));
    reasons
}

/// The message with every number replaced, so that messages that differ only in numbers are one reason.
fn without_numbers(message: &str) -> String {
    let mut text = String::new();
    for letter in message.chars() {
        match letter.is_ascii_digit() {
            true if text.ends_with('#') => {}
            true => text.push('#'),
            false => text.push(letter),
        }
    }
    text
}

fn failures_table(study: &Study<'_>, reasons: &[(String, u64, usize)]) -> Table {
    let n: usize = reasons.iter().map(|(_, _, n)| n).sum();
    let all = study.report.trials.len();
    let caption = format!(
        "Failures by reason: {} of {all} ({})",
        counted(n, "trial"),
        percent(n as f64 / all as f64)
    );
    let table = Table::new(caption)
        .column(Column::text("reason"))
        .column(Column::number("trials", ""))
        .column(Column::number("first", "trial"));
    reasons.iter().fold(table, |table, (message, first, n)| {
        table.row(Row::new([
            message.clone(),
            n.to_string(),
            first.to_string(),
        ]))
    })
}
