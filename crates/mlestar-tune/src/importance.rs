//! How important each parameter is.

use std::collections::BTreeMap;

use mlestar_random::Stream;
use serde::{Deserialize, Serialize};

use crate::forest::{self, Samples};
use crate::record::{TrialRecord, TrialState};
use crate::space::{ParameterSpace, SearchSpace};

/// With fewer complete trials, the importance is `None`.
pub const MIN_TRIALS_FOR_IMPORTANCE: usize = 10;

/// Which parameters an objective depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Importances {
    /// Share of the objective's variance over the search space that each parameter explains alone (0 to 1; the rest up to 1
    /// belongs to interactions).
    pub shares: BTreeMap<String, f64>,
    /// The share of the strongest of as many parameters that cannot matter: copies of the real ones whose values are shuffled
    /// among the trials. A share below it says nothing.
    pub chance: f64,
}

/// The importances of the parameters for objective `objective`, counted from 0: the main effects of a functional ANOVA over
/// 64 bagged regression trees (Hutter, Hoos and Leyton-Brown, 2014). A parameter is averaged out over its range, not over the trials, because
/// samplers gather trials where values are good. In trials in which a conditional parameter does not exist, it counts as if any of
/// its values had been tried.
///
/// `None` with fewer than [`MIN_TRIALS_FOR_IMPORTANCE`] complete trials, or if all of them have the same value.
///
/// ```
/// use mlestar_tune::{ParameterSpace, SearchSpace, StudyConfig, TrialRecord, TrialState, importances};
///
/// let space = ["width", "unused"].map(|key| (key.to_owned(), ParameterSpace::float(0.0, 1.0)));
/// let config = StudyConfig { space: SearchSpace::new(space), startup_trials: 100, ..StudyConfig::default() };
/// let mut trials = Vec::new();
/// for number in 0..50 {
///     let parameters = config.suggest(7, &trials);
///     let value = parameters["width"].as_f64();
///     let (state, values, intermediate) = (TrialState::Complete, Vec::new(), Vec::new());
///     trials.push(TrialRecord { number, state, parameters, value, values, intermediate, message: None });
/// }
/// let found = importances(&config.space, &trials, 0).unwrap();
/// assert!(found.shares["width"] > 0.9 && found.shares["unused"] < 0.05);
/// ```
pub fn importances(
    space: &SearchSpace,
    trials: &[TrialRecord],
    objective: usize,
) -> Option<Importances> {
    let table = Table::of(space, trials, objective)?;
    Some(Importances {
        shares: table.shares()?,
        chance: table.chance()?,
    })
}

/// The shares of [`importances`] of a single objective, without what chance would give, which takes as long again.
pub(crate) fn importance(
    space: &SearchSpace,
    trials: &[TrialRecord],
) -> Option<BTreeMap<String, f64>> {
    let has_one_objective = trials.iter().all(|trial| trial.values.is_empty());
    let table = Table::of(space, trials, 0).filter(|_| has_one_objective)?;
    table.shares()
}

/// The complete trials as points of the unit cube.
struct Table<'a> {
    keys: Vec<&'a str>,
    n_cells: Vec<u64>,
    rows: Vec<Vec<f64>>,
    values: Vec<f64>,
}

impl<'a> Table<'a> {
    /// `None` with too few trials, or if all of them have the same value. Parameters without a value in any trial, and
    /// trials without a value that others have, are left out.
    fn of(space: &'a SearchSpace, trials: &[TrialRecord], objective: usize) -> Option<Self> {
        let complete: Vec<(&TrialRecord, f64)> = trials
            .iter()
            .filter(|trial| trial.state == TrialState::Complete)
            .filter_map(|trial| Some((trial, value(trial, objective)?)))
            .collect();
        if complete.len() < MIN_TRIALS_FOR_IMPORTANCE {
            return None;
        }
        let is_used = |key: &str| {
            let mut trials = complete.iter();
            trials.any(|(trial, _)| trial.parameters.contains_key(key))
        };
        let used = space.iter().filter(|(key, _)| is_used(key));
        let (keys, spaces): (Vec<&str>, Vec<&ParameterSpace>) = used.unzip();
        let place = |trial: &TrialRecord, column: usize| {
            let (key, parameter) = (keys[column], spaces[column]);
            match trial.parameters.get(key) {
                Some(value) => parameter.unit(value),
                None => (!space.exists(key, &trial.parameters))
                    .then(|| any_place(trial.number, column as u64, n_cells(parameter))),
            }
        };
        let row = |trial: &TrialRecord| -> Option<Vec<f64>> {
            (0..keys.len()).map(|column| place(trial, column)).collect()
        };
        let whole = complete
            .iter()
            .filter_map(|(trial, value)| Some((row(trial)?, *value)));
        let (rows, values): (Vec<Vec<f64>>, Vec<f64>) = whole.unzip();
        let varies = values.iter().any(|value| *value != values[0]);
        (varies && !keys.is_empty()).then_some(Self {
            n_cells: spaces.iter().map(|parameter| n_cells(parameter)).collect(),
            keys,
            rows,
            values,
        })
    }

    fn samples<'b>(&'b self, rows: &'b [Vec<f64>]) -> Samples<'b> {
        Samples {
            rows,
            values: &self.values,
            n_cells: &self.n_cells[..],
        }
    }

    /// The share of each parameter; `None` if none varies, or where the variance is too large a number.
    fn shares(&self) -> Option<BTreeMap<String, f64>> {
        let shares = forest::main_effects(&self.samples(&self.rows))?;
        let keys = self.keys.iter().map(|key| (*key).to_owned());
        let is_finite = shares.iter().all(|share| share.is_finite());
        is_finite.then(|| keys.zip(shares).collect())
    }

    /// The largest share of the shuffled copies, beside the real parameters.
    fn chance(&self) -> Option<f64> {
        let n_columns = self.keys.len();
        let mut rows = self.rows.clone();
        for column in 0..n_columns {
            let mut copy: Vec<f64> = self.rows.iter().map(|row| row[column]).collect();
            Stream::new(0, "importance of chance", 0, column as u64).shuffle(&mut copy);
            rows.iter_mut()
                .zip(copy)
                .for_each(|(row, place)| row.push(place));
        }
        let n_cells = self.n_cells.repeat(2);
        let shares = forest::main_effects(&Samples {
            n_cells: &n_cells,
            ..self.samples(&rows)
        })?;
        Some(shares[n_columns..].iter().copied().fold(0.0, f64::max))
    }
}

/// A random place on the axis of a parameter that does not exist in a trial: it would have made no difference there. One fixed
/// place would tell a tree which trials have the parameter.
fn any_place(trial: u64, column: u64, n_cells: u64) -> f64 {
    let mut random = Stream::new(0, "importance of an absent parameter", trial, column);
    match n_cells {
        0 => random.uniform(),
        n => (random.below(n) as f64 + 0.5) / n as f64,
    }
}

/// The value of an objective, if it is finite.
fn value(trial: &TrialRecord, objective: usize) -> Option<f64> {
    let value = match trial.values.is_empty() {
        true => trial.value.filter(|_| objective == 0),
        false => trial.values.get(objective).copied(),
    };
    value.filter(|value| value.is_finite())
}

/// The number of equal cells of the unit interval, one for each value; 0 where values are no cells, or so many that it does not matter.
fn n_cells(parameter: &ParameterSpace) -> u64 {
    match parameter {
        ParameterSpace::Int { log: true, .. } => 0,
        parameter => parameter.n_values().filter(|n| *n <= 1000).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sampler;
    use crate::sampler::{Settings, suggest};
    use crate::space::{ParameterSpace, ParameterValue, Parameters};

    /// Complete trials with random parameters.
    fn trials(
        space: &SearchSpace,
        n: u64,
        objective: impl Fn(&Parameters) -> Vec<f64>,
    ) -> Vec<TrialRecord> {
        let settings = Settings {
            sampler: Sampler::Random,
            space,
            startup_trials: 1,
            seed: 9,
            signs: &[1.0],
        };
        let trial = |number| {
            let parameters = suggest(settings, number, &[], &[]);
            let values = objective(&parameters);
            let one = values.len() == 1;
            TrialRecord {
                number,
                state: TrialState::Complete,
                value: one.then(|| values[0]),
                values: if one { Vec::new() } else { values },
                parameters,
                intermediate: Vec::new(),
                message: None,
            }
        };
        (0..n).map(trial).collect()
    }

    fn space(parameters: impl IntoIterator<Item = (&'static str, ParameterSpace)>) -> SearchSpace {
        let owned = parameters
            .into_iter()
            .map(|(key, space)| (key.to_owned(), space));
        SearchSpace::new(owned)
    }

    fn number(parameters: &Parameters, key: &str) -> f64 {
        parameters[key].as_f64().unwrap()
    }

    fn near(found: &Importances, expected: &[(&str, f64)], tolerance: f64) {
        for (key, share) in expected {
            assert!(
                (found.shares[*key] - share).abs() < tolerance,
                "{key}: {found:?}"
            );
        }
        assert_eq!(found.shares.len(), expected.len());
    }

    /// `a + b / 2 + c / 4` of uniform numbers has variances in the ratio 16 : 4 : 1.
    #[test]
    fn shares_of_an_additive_function_are_those_of_its_variances() {
        let space =
            space(["a", "b", "c", "unused"].map(|key| (key, ParameterSpace::float(0.0, 1.0))));
        let trials = trials(&space, 400, |p| {
            vec![number(p, "a") + 0.5 * number(p, "b") + 0.25 * number(p, "c")]
        });
        let found = importances(&space, &trials, 0).unwrap();
        let expected = [
            ("a", 16.0 / 21.0),
            ("b", 4.0 / 21.0),
            ("c", 1.0 / 21.0),
            ("unused", 0.0),
        ];
        near(&found, &expected, 0.05);
        assert!(
            found.shares["unused"] < 0.01 && found.chance < 0.01,
            "{found:?}"
        );
    }

    /// The product of two uniform numbers: each alone explains 3/7, both together 1/7 (by integration).
    #[test]
    fn what_two_parameters_do_together_belongs_to_neither() {
        let space = space(["x", "y"].map(|key| (key, ParameterSpace::float(0.0, 1.0))));
        let trials = trials(&space, 400, |p| vec![number(p, "x") * number(p, "y")]);
        near(
            &importances(&space, &trials, 0).unwrap(),
            &[("x", 3.0 / 7.0), ("y", 3.0 / 7.0)],
            0.03,
        );
    }

    /// Three equally likely kinds worth 0, 1 and 0 have variance 2/9; a number that rises by 2 has 1/3; whole numbers 1 to 4 have 5/4.
    #[test]
    fn categorical_logarithmic_and_whole_parameters_count_by_their_own_scale() {
        let kinds = ["a", "b", "c"].map(ParameterValue::from);
        let space = space([
            ("kind", ParameterSpace::categorical(kinds.to_vec())),
            ("rate", ParameterSpace::log_float(1e-4, 1.0)),
            ("layers", ParameterSpace::int(1, 4)),
        ]);
        let trials = trials(&space, 400, |p| {
            let kind = f64::from(u8::from(p["kind"] == kinds[1]));
            let rate = 0.5 * number(p, "rate").log10();
            vec![kind + rate + number(p, "layers"), kind]
        });
        let total = 2.0 / 9.0 + 1.0 / 3.0 + 5.0 / 4.0;
        let expected = [
            ("kind", 2.0 / 9.0 / total),
            ("rate", 1.0 / 3.0 / total),
            ("layers", 5.0 / 4.0 / total),
        ];
        near(&importances(&space, &trials, 0).unwrap(), &expected, 0.03);
        let second = importances(&space, &trials, 1).unwrap();
        near(
            &second,
            &[("kind", 1.0), ("rate", 0.0), ("layers", 0.0)],
            1e-3,
        );
        assert_eq!(importances(&space, &trials, 2), None);
    }

    /// Half of the trials have the momentum, which then adds up to 1: alone it explains (1/2)^2 / 12, the kind (1/2)^2 * (1/2)^2, both
    /// together as much as the momentum alone.
    #[test]
    fn a_conditional_parameter_counts_where_it_exists() {
        let kinds = ["sgd", "adam"].map(ParameterValue::from);
        let momentum = ParameterSpace::float(0.0, 1.0).only_when("kind", [kinds[0].clone()]);
        let space = space([
            ("kind", ParameterSpace::categorical(kinds)),
            ("momentum", momentum),
        ]);
        let trials = trials(&space, 400, |p| {
            vec![
                p.get("momentum")
                    .and_then(ParameterValue::as_f64)
                    .unwrap_or(0.0),
            ]
        });
        let parts = [1.0 / 16.0, 1.0 / 48.0, 1.0 / 48.0];
        let total: f64 = parts.iter().sum();
        let expected = [("kind", parts[0] / total), ("momentum", parts[1] / total)];
        near(&importances(&space, &trials, 0).unwrap(), &expected, 0.04);
    }

    #[test]
    fn values_outside_the_space_and_unknown_words_do_no_harm() {
        let kinds = ["a", "b"].map(ParameterValue::from);
        let space = space([
            ("kind", ParameterSpace::categorical(kinds)),
            ("layers", ParameterSpace::int(1, 4)),
            ("x", ParameterSpace::float(0.0, 1.0)),
        ]);
        let mut trials = trials(&space, 60, |p| vec![number(p, "x")]);
        for trial in trials.iter_mut().step_by(5) {
            trial
                .parameters
                .insert("x".into(), ParameterValue::Float(7.0));
            trial
                .parameters
                .insert("layers".into(), ParameterValue::Int(9));
        }
        trials[1]
            .parameters
            .insert("kind".into(), ParameterValue::from("c"));
        trials[2].value = Some(f64::NAN);
        let found = importances(&space, &trials, 0).unwrap();
        assert!(
            found.shares["x"] > 0.5 && found.shares.values().all(|s| (0.0..=1.0).contains(s)),
            "{found:?}"
        );
    }

    #[test]
    fn values_whose_variance_is_no_number_say_nothing() {
        let space = space([("x", ParameterSpace::float(0.0, 1.0))]);
        let huge = trials(&space, 30, |p| vec![(number(p, "x") - 0.5) * f64::MAX]);
        assert_eq!(importances(&space, &huge, 0), None);
        assert_eq!(importance(&space, &huge), None);
    }

    #[test]
    fn few_or_equal_values_say_nothing() {
        let space = space([("x", ParameterSpace::float(0.0, 1.0))]);
        let few = trials(&space, 9, |p| vec![number(p, "x")]);
        assert_eq!(importances(&space, &few, 0), None);
        let equal = trials(&space, 30, |_| vec![0.5]);
        assert_eq!(importances(&space, &equal, 0), None);
    }
}
