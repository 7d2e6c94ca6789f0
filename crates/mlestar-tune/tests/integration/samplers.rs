//! Every sampler: its suggestions lie in the space, follow from seed and trials alone, and find better values than random
//! search.

use mlestar_tune::{
    Direction, ParameterSpace, ParameterValue, Parameters, Sampler, SearchSpace, StudyConfig,
    TrialRecord, TrialState, hypervolume,
};
use proptest::prelude::*;

const ALL: [Sampler; 6] = [
    Sampler::Tpe,
    Sampler::Random,
    Sampler::Grid,
    Sampler::Sobol,
    Sampler::CmaEs,
    Sampler::Gp,
];

fn text(words: &[&str]) -> Vec<ParameterValue> {
    words
        .iter()
        .map(|word| ParameterValue::Text((*word).into()))
        .collect()
}

fn complete(number: usize, parameters: Parameters, values: &[f64]) -> TrialRecord {
    TrialRecord {
        number: number as u64,
        state: TrialState::Complete,
        parameters,
        value: (values.len() == 1).then(|| values[0]),
        values: if values.len() == 1 {
            Vec::new()
        } else {
            values.to_vec()
        },
        intermediate: Vec::new(),
        message: None,
    }
}

/// Runs `n` trials of an objective with any number of values.
fn trials(
    config: &StudyConfig,
    seed: u64,
    n: usize,
    objective: &dyn Fn(&Parameters) -> Vec<f64>,
) -> Vec<TrialRecord> {
    let mut trials = Vec::new();
    for number in 0..n {
        let parameters = config.suggest(seed, &trials);
        let values = objective(&parameters);
        trials.push(complete(number, parameters, &values));
    }
    trials
}

/// Numbers with and without steps, and parameters that exist only for some kinds of the optimizer.
#[allow(clippy::unwrap_used)] // a helper of tests only
fn conditional_space() -> SearchSpace {
    toml::from_str(
        r#"
        kind = { type = "categorical", choices = ["sgd", "adam", ["muon", 2]] }
        rate = { type = "float", low = 1e-5, high = 1.0, log = true }
        momentum = { type = "float", low = 0.0, high = 0.99, when = { kind = ["sgd"] } }
        nesterov = { type = "categorical", choices = [true, false], when = { kind = ["sgd"], layers = [2, 4] } }
        beta = { type = "float", low = 0.8, high = 1.0, step = 0.05, when = { kind = ["adam", ["muon", 2]] } }
        layers = { type = "int", low = 2, high = 9, step = 2 }
        width = { type = "int", low = 1, high = 512, log = true }
        "#,
    )
    .unwrap()
}

/// The conditional space, with numbers that a grid can list.
#[allow(clippy::unwrap_used)] // a helper of tests only
fn finite_space() -> SearchSpace {
    toml::from_str(
        r#"
        kind = { type = "categorical", choices = ["sgd", "adam"] }
        momentum = { type = "float", low = 0.0, high = 0.9, step = 0.3, when = { kind = ["sgd"] } }
        layers = { type = "int", low = 1, high = 3 }
        "#,
    )
    .unwrap()
}

fn score(parameters: &Parameters) -> Vec<f64> {
    let numbers = parameters.values().filter_map(ParameterValue::as_f64);
    vec![numbers.map(|value| (value * 1.7).sin()).sum()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn suggestions_lie_in_conditional_spaces(seed: u64, window in 1..5_usize) {
        for sampler in ALL {
            let space = if sampler == Sampler::Grid { finite_space() } else { conditional_space() };
            let config = StudyConfig { sampler, space, window, ..StudyConfig::default() };
            config.check().unwrap();
            for trial in trials(&config, seed, 24, &score) {
                prop_assert!(config.space.contains(&trial.parameters), "{:?} {:?}", sampler, trial.parameters);
            }
        }
    }

    /// What a suggestion may not know cannot change it.
    #[test]
    fn suggestions_ignore_the_results_inside_the_window(seed: u64, n in 8..25_usize, window in 2..6_usize) {
        for sampler in ALL {
            let space = if sampler == Sampler::Grid { finite_space() } else { conditional_space() };
            let config = StudyConfig { sampler, space, window, ..StudyConfig::default() };
            let before = trials(&config, seed, n, &score);
            let mut changed = before.clone();
            for trial in &mut changed[n + 1 - window..] {
                trial.state = TrialState::Failed;
                trial.value = None;
            }
            prop_assert_eq!(config.suggest(seed, &before), config.suggest(seed, &changed), "{:?}", sampler);
        }
    }
}

#[test]
fn a_grid_visits_every_point_once() {
    let config = StudyConfig {
        sampler: Sampler::Grid,
        space: finite_space(),
        ..StudyConfig::default()
    };
    // 3 layers, times 4 momenta of SGD or Adam alone.
    let tried = trials(&config, 1, 15, &score);
    for (at, trial) in tried.iter().enumerate() {
        assert!(
            tried[..at]
                .iter()
                .all(|other| other.parameters != trial.parameters)
        );
    }
    let refused = StudyConfig {
        space: conditional_space(),
        ..config
    };
    assert_eq!(
        refused.check().unwrap_err().to_string(),
        "search space, `momentum`: a grid needs a finite number of values: give `step`, or list `choices`"
    );
}

#[test]
fn small_spaces_are_covered_before_they_repeat() {
    for sampler in ALL {
        let space = SearchSpace::new([("batch".to_owned(), ParameterSpace::int(1, 4))]);
        let config = StudyConfig {
            sampler,
            space,
            ..StudyConfig::default()
        };
        let tried = trials(&config, 5, 4, &score);
        let mut seen: Vec<i64> = tried
            .iter()
            .filter_map(|trial| trial.parameters["batch"].as_i64())
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3, 4], "{sampler:?}");
    }
}

#[test]
fn random_draws_are_uniform_in_the_logarithm() {
    let space = SearchSpace::new([("rate".to_owned(), ParameterSpace::log_float(1e-5, 1e-1))]);
    let config = StudyConfig {
        sampler: Sampler::Random,
        space,
        ..StudyConfig::default()
    };
    let n = 1000;
    let mut logs: Vec<f64> = trials(&config, 3, n, &score)
        .iter()
        .filter_map(|trial| trial.parameters["rate"].as_f64())
        .map(|rate| (rate.log10() + 5.0) / 4.0)
        .collect();
    logs.sort_by(f64::total_cmp);
    // Kolmogorov-Smirnov: one of a thousand samples exceeds 1.95 / sqrt(n).
    let distances = logs.iter().enumerate();
    let distance = distances
        .map(|(rank, value)| (value - rank as f64 / n as f64).abs())
        .fold(0.0, f64::max);
    assert!(distance < 1.95 / (n as f64).sqrt(), "{distance}");
}

/// Mean distance from the optimum after 40 trials over 10 seeds.
fn regret(sampler: Sampler, space: &SearchSpace, objective: &dyn Fn(&Parameters) -> f64) -> f64 {
    let config = StudyConfig {
        sampler,
        space: space.clone(),
        directions: vec![Direction::Minimize],
        ..StudyConfig::default()
    };
    let best = |seed| {
        let tried = trials(&config, seed, 40, &|parameters| vec![objective(parameters)]);
        tried
            .iter()
            .filter_map(|trial| trial.value)
            .fold(f64::MAX, f64::min)
    };
    (0..10).map(best).sum::<f64>() / 10.0
}

#[test]
fn samplers_that_learn_beat_random_search() {
    let space = SearchSpace::new([
        ("dropout".to_owned(), ParameterSpace::float(0.0, 1.0)),
        ("rate".to_owned(), ParameterSpace::log_float(1e-5, 1.0)),
        ("decay".to_owned(), ParameterSpace::float(0.0, 1.0)),
        (
            "optimizer".to_owned(),
            ParameterSpace::categorical(text(&["sgd", "adam", "adamw"])),
        ),
    ]);
    let objective = |parameters: &Parameters| {
        let number = |key: &str| parameters[key].as_f64().unwrap();
        let right = parameters["optimizer"].as_str() == Some("adam");
        (number("dropout") - 0.3).powi(2)
            + (number("rate").log10() + 3.0).powi(2) / 4.0
            + (number("decay") - 0.8).powi(2)
            + if right { 0.0 } else { 0.5 }
    };
    let random = regret(Sampler::Random, &space, &objective);
    for (sampler, share) in [
        (Sampler::Tpe, 0.6),
        (Sampler::CmaEs, 0.8),
        (Sampler::Gp, 0.05),
    ] {
        let learned = regret(sampler, &space, &objective);
        assert!(
            learned < share * random,
            "{sampler:?} {learned}, random {random}"
        );
    }
}

#[test]
fn the_estimator_spreads_over_the_front_of_two_objectives() {
    // ZDT1 in three dimensions: the front is x0 in [0, 1], the others 0.
    let space =
        SearchSpace::new((0..3).map(|at| (format!("x{at}"), ParameterSpace::float(0.0, 1.0))));
    let objectives = |parameters: &Parameters| {
        let x: Vec<f64> = parameters
            .values()
            .filter_map(ParameterValue::as_f64)
            .collect();
        let g = 1.0 + 9.0 * (x[1] + x[2]) / 2.0;
        vec![x[0], g * (1.0 - (x[0] / g).sqrt())]
    };
    let volume = |sampler| {
        let config = StudyConfig {
            sampler,
            space: space.clone(),
            directions: vec![Direction::Minimize; 2],
            ..StudyConfig::default()
        };
        let values = |seed| {
            let tried = trials(&config, seed, 80, &objectives);
            let points: Vec<Vec<f64>> = tried.into_iter().map(|trial| trial.values).collect();
            hypervolume(&points, &[1.1, 1.1])
        };
        (0..5).map(values).sum::<f64>() / 5.0
    };
    let (estimated, random) = (volume(Sampler::Tpe), volume(Sampler::Random));
    assert!(estimated > random + 0.2, "{estimated} {random}");
}
