//! How much each parameter mattered.

use std::collections::{BTreeMap, HashMap};

use optimizer::distribution::{Distribution, FloatDistribution};
use optimizer::parameter::{ParamId, ParamValue};
use optimizer::prelude::FanovaConfig;
use optimizer::sampler::{CompletedTrial, RandomSampler};
use optimizer::storage::MemoryStorage;
use optimizer::{Direction, Study};

use crate::space::SearchSpace;
use crate::trial::{TrialRecord, TrialState};

/// Fewer complete trials than this say too little: the importance is then `None`.
pub const MIN_TRIALS_FOR_IMPORTANCE: usize = 10;

/// Share of the objective's variance over the complete trials that each parameter explains by itself:
/// the main effects of a functional ANOVA over a random forest of 64 trees (Hutter, Hoos and
/// Leyton-Brown, 2014). The rest up to 1 belongs to interactions of two parameters.
///
/// `None` with too few trials, or when all of them have the same value.
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
    let keys: Vec<(ParamId, &str)> = space.iter().map(|(key, _)| (ParamId::new(), key)).collect();
    let unit_trials = complete
        .iter()
        .map(|(trial, value)| unit_trial(space, &keys, trial, *value))
        .collect();
    let study: Study<f64> = Study::with_sampler_and_storage(
        Direction::Maximize,
        RandomSampler::with_seed(0),
        MemoryStorage::with_trials(unit_trials),
    );
    let config = FanovaConfig {
        seed: Some(0),
        ..FanovaConfig::default()
    };
    let effects: BTreeMap<String, f64> = study
        .fanova_with_config(&config)
        .ok()?
        .main_effects
        .into_iter()
        .collect();
    let informative = effects.values().all(|share| share.is_finite())
        && effects.values().any(|share| *share > 0.0);
    informative.then_some(effects)
}

/// The trial with its parameters on the unit interval, where a logarithmic range is even.
fn unit_trial(
    space: &SearchSpace,
    keys: &[(ParamId, &str)],
    trial: &TrialRecord,
    value: f64,
) -> CompletedTrial {
    let unit_range = Distribution::Float(FloatDistribution {
        low: 0.0,
        high: 1.0,
        log_scale: false,
        step: None,
    });
    let mut parameters = HashMap::new();
    let mut distributions = HashMap::new();
    let mut labels = HashMap::new();
    for &(id, key) in keys {
        let unit = space
            .get(key)
            .zip(trial.parameters.get(key))
            .and_then(|(parameter, value)| parameter.unit(value));
        if let Some(unit) = unit {
            parameters.insert(id, ParamValue::Float(unit));
            distributions.insert(id, unit_range.clone());
            labels.insert(id, key.to_owned());
        }
    }
    CompletedTrial::new(trial.number, parameters, distributions, labels, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::ParameterSpace;
    use crate::{Sampler, sampler::suggest};

    fn trials(n: u64, objective: impl Fn(f64, f64) -> f64) -> (SearchSpace, Vec<TrialRecord>) {
        let space = SearchSpace::new(["strong", "weak"].map(|key| {
            (
                key.to_owned(),
                ParameterSpace::Float {
                    low: 0.0,
                    high: 1.0,
                    log: false,
                },
            )
        }));
        let trials = (0..n)
            .map(|number| {
                let parameters = suggest(Sampler::Random, &space, 0, 9, number, &[]);
                let value = objective(
                    parameters["strong"].as_f64().unwrap(),
                    parameters["weak"].as_f64().unwrap(),
                );
                TrialRecord {
                    number,
                    state: TrialState::Complete,
                    parameters,
                    value: Some(value),
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

    #[test]
    fn few_or_equal_values_say_nothing() {
        let (space, few) = trials(9, |strong, _| strong);
        assert_eq!(importance(&space, &few), None);
        let (space, equal) = trials(30, |_, _| 0.5);
        assert_eq!(importance(&space, &equal), None);
    }
}
