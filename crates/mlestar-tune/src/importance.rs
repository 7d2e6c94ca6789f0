//! How important each parameter is.

use std::collections::BTreeMap;

use crate::forest::Forest;
use crate::record::{TrialRecord, TrialState};
use crate::space::SearchSpace;

/// With fewer complete trials, the importance is `None`.
pub const MIN_TRIALS_FOR_IMPORTANCE: usize = 10;

/// Share of the objective's variance over the complete trials that each parameter explains alone: the main
/// effects of a functional ANOVA over a random forest of 64 trees (Hutter, Hoos and Leyton-Brown, 2014). A
/// parameter is averaged out over the trials and not over its range, as in the crate `optimizer` 1.0. The rest
/// up to 1 belongs to interactions of two parameters.
///
/// `None` with too few trials, or if all of them have the same value.
pub(crate) fn importance(
    space: &SearchSpace,
    trials: &[TrialRecord],
) -> Option<BTreeMap<String, f64>> {
    let complete: Vec<(&TrialRecord, f64)> = trials
        .iter()
        .filter(|trial| trial.state == TrialState::Complete)
        .filter_map(|trial| trial.value.map(|value| (trial, value)))
        .collect();
    if complete.len() < MIN_TRIALS_FOR_IMPORTANCE
        || complete.iter().all(|(_, value)| *value == complete[0].1)
    {
        return None;
    }
    let effects = main_effects(space, &complete)?;
    let informative = effects.values().all(|share| share.is_finite())
        && effects.values().any(|share| *share > 0.0);
    informative.then_some(effects)
}

/// The share of each parameter that has a value in any trial. Trials without a value that others have are not
/// used.
fn main_effects(
    space: &SearchSpace,
    trials: &[(&TrialRecord, f64)],
) -> Option<BTreeMap<String, f64>> {
    let unit = |trial: &TrialRecord, key: &str| match trial.parameters.get(key) {
        Some(value) => space.get(key)?.unit(value),
        // Below every value: a tree can tell the trials apart that have the parameter.
        None => (!space.exists(key, &trial.parameters)).then_some(-1.0),
    };
    let keys: Vec<&str> = space
        .iter()
        .map(|(key, _)| key)
        .filter(|key| {
            let has_value = |trial: &TrialRecord| unit(trial, key).is_some_and(|unit| unit >= 0.0);
            trials.iter().any(|(trial, _)| has_value(trial))
        })
        .collect();
    let row = |trial| -> Option<Vec<f64>> { keys.iter().map(|key| unit(trial, key)).collect() };
    let whole = trials
        .iter()
        .filter_map(|(trial, value)| Some((row(trial)?, *value)));
    let (rows, values): (Vec<Vec<f64>>, Vec<f64>) = whole.unzip();
    if keys.is_empty() || rows.len() < 2 {
        return None;
    }
    let shares = main_shares(&Forest::grow(&rows, &values), &rows, keys.len());
    Some(keys.into_iter().map(str::to_owned).zip(shares).collect())
}

/// Interactions that explain less than this are rounding errors.
const SMALLEST_INTERACTION: f64 = 1e-10;

/// What each column explains alone, as a share of what all columns and all pairs of them explain.
fn main_shares(forest: &Forest, rows: &[Vec<f64>], n_columns: usize) -> Vec<f64> {
    let explained = |columns: &[usize]| {
        let predicted = rows.iter().map(|row| forest.marginal(columns, row));
        variance(&predicted.collect::<Vec<f64>>())
    };
    let main: Vec<f64> = (0..n_columns).map(|column| explained(&[column])).collect();
    let pairs = (0..n_columns).flat_map(|a| (a + 1..n_columns).map(move |b| [a, b]));
    let interactions = pairs
        .map(|pair| (explained(&pair) - main[pair[0]] - main[pair[1]]).max(0.0))
        .filter(|explained| *explained > SMALLEST_INTERACTION);
    let total = main.iter().sum::<f64>() + interactions.sum::<f64>();
    let share = |explained: f64| match total > 0.0 {
        true => explained / total,
        false => 0.0,
    };
    main.into_iter().map(share).collect()
}

fn variance(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    squares.sum::<f64>() / n
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sampler;
    use crate::sampler::{Settings, suggest};
    use crate::space::{ParameterSpace, ParameterValue};

    fn settings(space: &SearchSpace) -> Settings<'_> {
        Settings {
            sampler: Sampler::Random,
            space,
            startup_trials: 1,
            seed: 9,
            signs: &[1.0],
        }
    }

    fn trials(n: u64, objective: impl Fn(f64, f64) -> f64) -> (SearchSpace, Vec<TrialRecord>) {
        let space = SearchSpace::new(
            ["strong", "weak"].map(|key| (key.to_owned(), ParameterSpace::float(0.0, 1.0))),
        );
        let trials = (0..n)
            .map(|number| {
                let parameters = suggest(settings(&space), number, &[], &[]);
                let value = objective(
                    parameters["strong"].as_f64().unwrap(),
                    parameters["weak"].as_f64().unwrap(),
                );
                TrialRecord {
                    number,
                    state: TrialState::Complete,
                    parameters,
                    value: Some(value),
                    values: Vec::new(),
                    intermediate: Vec::new(),
                    message: None,
                }
            })
            .collect();
        (space, trials)
    }

    #[test]
    fn the_parameter_that_matters_stands_out_even_without_a_trend() {
        let (space, trials) = trials(60, |strong, weak| (strong - 0.5).abs() + 0.02 * weak);
        let shares = importance(&space, &trials).unwrap();
        assert!(shares["strong"] > 0.7, "{shares:?}");
        assert!(shares["weak"] < 0.2, "{shares:?}");
        assert!(shares.values().sum::<f64>() <= 1.0 + 1e-9);
    }

    /// One parameter of each kind. Every seventh trial has a kind that the space does not know.
    fn mixed_trials(n: u64) -> (SearchSpace, Vec<TrialRecord>) {
        let kinds = ["a", "b", "c"].map(|name| ParameterValue::Text(name.to_owned()));
        let rate = ParameterSpace::log_float(1e-4, 1e-1);
        let layers = ParameterSpace::int(1, 6);
        let kind = ParameterSpace::categorical(kinds.to_vec());
        let space = [("rate", rate), ("layers", layers), ("kind", kind)];
        let space = SearchSpace::new(space.map(|(key, space)| (key.to_owned(), space)));
        let trial = |number| {
            let mut parameters = suggest(settings(&space), number, &[], &[]);
            let rate = parameters["rate"].as_f64().unwrap().log10();
            let layers = parameters["layers"].as_f64().unwrap();
            let bonus = f64::from(u8::from(parameters["kind"] == kinds[1])) * 0.4;
            if number % 7 == 3 {
                parameters.insert("kind".into(), ParameterValue::Text("d".into()));
            }
            TrialRecord {
                number,
                state: TrialState::Complete,
                parameters,
                value: Some(1.0 - (rate + 2.0).powi(2) * 0.3 + bonus - 0.02 * layers * bonus),
                values: Vec::new(),
                intermediate: Vec::new(),
                message: None,
            }
        };
        let trials = (0..n).map(trial).collect();
        (space, trials)
    }

    /// Result of the crate `optimizer` 1.0.1 for the same trials, with 64 trees and seed 0.
    #[test]
    fn importances_are_those_of_another_implementation() {
        for (n, strong, weak) in [
            (10, 0.5408113994122811, 0.1882550849584327),
            (60, 0.9510884300414244, 0.02706466471002429),
            (200, 0.9330688917343839, 0.04376520188723563),
        ] {
            let (space, trials) = trials(n, |a, b| (a - 0.5).abs() + 0.3 * b * a);
            let shares = importance(&space, &trials).unwrap();
            assert_eq!((shares["strong"], shares["weak"]), (strong, weak), "{n}");
        }
        for (n, kind, layers, rate) in [
            (
                10,
                0.0003004565811704661,
                0.027736624486013065,
                0.8753661606696143,
            ),
            (
                30,
                0.03958101423381788,
                0.010291555651402537,
                0.8501816096601369,
            ),
            (
                200,
                0.14598066877913804,
                0.0005069314786033444,
                0.8386185349981539,
            ),
        ] {
            let (space, trials) = mixed_trials(n);
            let shares = importance(&space, &trials).unwrap();
            let found = [shares["kind"], shares["layers"], shares["rate"]];
            assert_eq!(found, [kind, layers, rate], "{n}");
        }
    }

    #[test]
    fn few_or_equal_values_say_nothing() {
        let (space, few) = trials(9, |strong, _| strong);
        assert_eq!(importance(&space, &few), None);
        let (space, equal) = trials(30, |_, _| 0.5);
        assert_eq!(importance(&space, &equal), None);
    }
}
