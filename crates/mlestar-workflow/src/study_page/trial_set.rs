//! The trials of a study as charts and tables take them.

use super::StudyObjective;
use mlestar_report::charts::{SettingScale, TrialObjective, TrialSet, TrialSetting, TrialState};
use mlestar_report::format;
use mlestar_tune::{
    Direction, Importances, ParameterSpace, ParameterValue, SearchSpace, StudyReport, TrialRecord,
};
use std::collections::BTreeSet;

/// All trials. The settings are in the order of their importance, by name where that is unknown.
pub(super) fn of(
    report: &StudyReport,
    space: &SearchSpace,
    objectives: &[StudyObjective],
    importances: &[Option<Importances>],
) -> TrialSet {
    let trials = &report.trials;
    let objective = |(index, objective): (usize, &StudyObjective)| TrialObjective {
        label: objective.name.clone(),
        maximize: objective.direction == Direction::Maximize,
        values: trials
            .iter()
            .map(|trial| value(trial, index, objectives.len()))
            .collect(),
    };
    let used = trials.iter().flat_map(|trial| trial.parameters.keys());
    let keys: BTreeSet<&str> = used
        .map(String::as_str)
        .chain(space.iter().map(|(key, _)| key))
        .collect();
    let largest = |key: &str| {
        let known = importances.iter().flatten();
        let shares = known.filter_map(|known| known.shares.get(key).copied());
        shares.fold(-1.0, f64::max)
    };
    let mut keys: Vec<&str> = keys.into_iter().collect();
    keys.sort_by(|a, b| largest(b).total_cmp(&largest(a)));
    TrialSet {
        numbers: trials.iter().map(|trial| trial.number).collect(),
        states: trials.iter().map(|trial| state(trial.state)).collect(),
        objectives: objectives.iter().enumerate().map(objective).collect(),
        settings: keys
            .into_iter()
            .map(|key| setting(key, space.get(key), trials))
            .collect(),
        remarks: trials
            .iter()
            .map(|trial| trial.message.clone().unwrap_or_default())
            .collect(),
    }
}

pub(super) fn state(state: mlestar_tune::TrialState) -> TrialState {
    match state {
        mlestar_tune::TrialState::Complete => TrialState::Complete,
        mlestar_tune::TrialState::Pruned => TrialState::Pruned,
        mlestar_tune::TrialState::Failed => TrialState::Failed,
    }
}

/// The value of an objective; of a trial that ended early, the last one that it reported.
fn value(trial: &TrialRecord, objective: usize, n_objectives: usize) -> f64 {
    let found = match n_objectives {
        1 => trial
            .value
            .or_else(|| trial.values.first().copied())
            .or_else(|| {
                let last = trial.intermediate.last()?;
                (trial.state == mlestar_tune::TrialState::Pruned).then_some(last.value)
            }),
        _ => trial.values.get(objective).copied(),
    };
    found.unwrap_or(f64::NAN)
}

fn setting(key: &str, space: Option<&ParameterSpace>, trials: &[TrialRecord]) -> TrialSetting {
    let values: Vec<Option<&ParameterValue>> = trials
        .iter()
        .map(|trial| trial.parameters.get(key))
        .collect();
    let numbers: Vec<f64> = values
        .iter()
        .map(|value| value.and_then(ParameterValue::as_f64).unwrap_or(f64::NAN))
        .collect();
    let has_words = values
        .iter()
        .flatten()
        .any(|value| value.as_f64().is_none());
    let scale = match space {
        Some(ParameterSpace::Float { low, high, log, .. }) => range(*low, *high, *log),
        Some(ParameterSpace::Int { low, high, log, .. }) => range(*low as f64, *high as f64, *log),
        Some(ParameterSpace::Categorical { choices, .. }) => {
            SettingScale::Words(choices.iter().map(shown).collect())
        }
        None => {
            // Without a range, that of the values.
            let finite = || numbers.iter().copied().filter(|number| number.is_finite());
            let (low, high) = (
                finite().fold(f64::INFINITY, f64::min),
                finite().fold(f64::NEG_INFINITY, f64::max),
            );
            range(low, high, false)
        }
    };
    let words = match scale {
        SettingScale::Words(words) => words,
        _ if has_words => Vec::new(),
        scale => {
            return TrialSetting {
                label: key.to_owned(),
                scale,
                values: numbers,
            };
        }
    };
    in_words(key, words, &values)
}

/// A setting whose values are words; those that the space does not know follow those that it does.
fn in_words(key: &str, mut words: Vec<String>, values: &[Option<&ParameterValue>]) -> TrialSetting {
    let mut place = |value: &ParameterValue| {
        let word = shown(value);
        let known = words.iter().position(|other| *other == word);
        known.unwrap_or_else(|| {
            words.push(word);
            words.len() - 1
        }) as f64
    };
    let values = values
        .iter()
        .map(|value| value.map_or(f64::NAN, &mut place))
        .collect();
    TrialSetting {
        label: key.to_owned(),
        scale: SettingScale::Words(words),
        values,
    }
}

fn range(low: f64, high: f64, log: bool) -> SettingScale {
    match log {
        true => SettingScale::Log { low, high },
        false => SettingScale::Linear { low, high },
    }
}

/// The value of a setting with as many digits as a person reads.
pub(crate) fn shown(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Float(value) => format::significant(*value, 4),
        ParameterValue::Text(text) => text.clone(),
        value => value.to_string(),
    }
}
