//! Tests of whole studies through the public interface.

mod behaviour;
mod properties;
mod samplers;
mod shared;

use std::path::Path;

use mlestar_tune::{
    ParameterSpace, ParameterValue, SearchSpace, StudyConfig, StudyReport, Trial, TrialError,
    run_study,
};

/// A space with one parameter of each kind.
pub fn mixed_space() -> SearchSpace {
    SearchSpace::new([
        ("rate".to_owned(), ParameterSpace::log_float(1e-5, 1e-1)),
        ("layers".to_owned(), ParameterSpace::int(1, 8)),
        (
            "optimizer".to_owned(),
            ParameterSpace::categorical(
                ["sgd", "adam"]
                    .map(|name| ParameterValue::Text(name.to_owned()))
                    .to_vec(),
            ),
        ),
    ])
}

/// Highest at a rate of 1e-3 and 5 layers.
pub fn smooth(trial: &mut Trial<'_>) -> Result<f64, TrialError> {
    let rate = trial.float("rate")?.log10() + 3.0;
    let layers = trial.int("layers")? as f64 - 5.0;
    Ok(1.0 - rate * rate - 0.1 * layers * layers)
}

/// Runs a study without sets to try first and without observing events.
pub fn run(
    config: &StudyConfig,
    seed: u64,
    log: &Path,
    objective: &mut dyn FnMut(&mut Trial<'_>) -> Result<f64, TrialError>,
) -> StudyReport {
    #[allow(clippy::unwrap_used)] // a helper of tests only
    run_study(config, seed, log, &[], objective, &mut |_| {}).unwrap()
}
