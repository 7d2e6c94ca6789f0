//! Properties of every space, seed and length.

use mlestar_tune::{ParameterSpace, ParameterValue, Sampler, SearchSpace, StudyConfig, TrialError};
use proptest::prelude::*;

use crate::run;

fn parameter() -> impl Strategy<Value = ParameterSpace> {
    let float = (-100.0..100.0_f64, 1e-6..100.0_f64)
        .prop_map(|(low, width)| ParameterSpace::float(low, low + width));
    let log_float = (1e-9..1.0_f64, 1.1..1e6_f64)
        .prop_map(|(low, factor)| ParameterSpace::log_float(low, low * factor));
    let int = (1..50_i64, 1..50_i64, any::<bool>()).prop_map(|(low, width, log)| match log {
        true => ParameterSpace::Int {
            low,
            high: low + width,
            log,
            step: None,
            when: Default::default(),
        },
        false => ParameterSpace::int(low, low + width),
    });
    let categorical =
        (1..6_i64).prop_map(|n| ParameterSpace::categorical((0..n).map(ParameterValue::Int)));
    prop_oneof![float, log_float, int, categorical]
}

fn config(trials: usize) -> impl Strategy<Value = StudyConfig> {
    (
        prop::collection::vec(parameter(), 1..4),
        prop_oneof![
            Just(Sampler::Tpe),
            Just(Sampler::Random),
            Just(Sampler::Gp),
            Just(Sampler::CmaEs),
            Just(Sampler::Sobol)
        ],
    )
        .prop_map(move |(parameters, sampler)| StudyConfig {
            trials,
            sampler,
            startup_trials: 3,
            space: SearchSpace::new(
                parameters
                    .into_iter()
                    .enumerate()
                    .map(|(index, parameter)| (format!("p{index}"), parameter)),
            ),
            ..StudyConfig::default()
        })
}

/// A deterministic objective of any set of numeric parameters, with occasional failures.
fn objective(trial: &mut mlestar_tune::Trial<'_>) -> Result<f64, TrialError> {
    let keys: Vec<String> = trial.parameters().keys().cloned().collect();
    let mut sum = 0.0;
    for key in keys {
        sum += (trial.float(&key)? * 1.7).sin();
    }
    if sum > 0.9 {
        Err(TrialError::Failed("too high".to_owned()))
    } else {
        Ok(sum)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn suggestions_lie_in_the_space(config in config(15), seed: u64) {
        let folder = tempfile::tempdir().unwrap();
        let report = run(&config, seed, &folder.path().join("log"), &mut objective);
        for trial in &report.trials {
            prop_assert_eq!(trial.parameters.len(), config.space.len());
            for (key, value) in &trial.parameters {
                prop_assert!(config.space.get(key).unwrap().contains(value), "{} = {}", key, value);
            }
        }
    }

    #[test]
    fn seeds_decide_and_resuming_changes_nothing(config in config(12), seed: u64, stop_at in 0..12_u64) {
        let folder = tempfile::tempdir().unwrap();
        let whole = run(&config, seed, &folder.path().join("whole"), &mut objective);
        let again = run(&config, seed, &folder.path().join("again"), &mut objective);
        prop_assert_eq!(&again, &whole);
        let log = folder.path().join("stopped");
        run(&config, seed, &log, &mut |trial| {
            if trial.number() == stop_at { Err(TrialError::Stopped) } else { objective(trial) }
        });
        let resumed = run(&config, seed, &log, &mut objective);
        prop_assert_eq!(&resumed, &whole);
    }
}
