//! Searches two hyper-parameters of a simulated training, stops half-way, and resumes from the log.
//!
//!     cargo run --release --package mlestar-examples --example tune

use std::error::Error;

use mlestar_tune::{
    Decision, ParameterSpace, ParameterValue, SearchSpace, StudyConfig, StudyEvent, Trial,
    TrialError, TrialState, run_study,
};

fn main() -> Result<(), Box<dyn Error>> {
    let config = StudyConfig {
        trials: 24,
        space: SearchSpace::new([
            (
                "learning_rate".to_owned(),
                ParameterSpace::log_float(1e-5, 1.0),
            ),
            (
                "batch_size".to_owned(),
                ParameterSpace::categorical([32, 64, 128].map(ParameterValue::Int).to_vec()),
            ),
        ]),
        ..StudyConfig::default()
    };
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("trials.jsonl");
    let mut show = |event: &StudyEvent<'_>| match event {
        StudyEvent::Resumed { trials } => println!("resuming after {trials} trials"),
        StudyEvent::Ended { trial } => {
            let value = trial
                .value
                .map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
            println!(
                "trial {:>2} {:?} {value} {:?}",
                trial.number, trial.state, trial.parameters
            );
        }
        _ => {}
    };

    let mut interrupted = |trial: &mut Trial<'_>| {
        if trial.number() == 12 {
            Err(TrialError::Stopped)
        } else {
            pretend_to_train(trial)
        }
    };
    run_study(&config, 1, &log, &[], &mut interrupted, &mut show)?;
    let report = run_study(&config, 1, &log, &[], &mut pretend_to_train, &mut show)?;

    let best = report.best_trial().ok_or("no trial was completed")?;
    println!("best: trial {} with {:?}", best.number, best.parameters);
    println!(
        "pruned: {} of {}",
        report.count(TrialState::Pruned),
        report.trials.len()
    );
    if let Some(importance) = &report.importance {
        println!("share of the variance explained: {importance:?}");
    }
    Ok(())
}

/// Five "epochs" whose accuracy is best at a learning rate of 0.003 and a batch of 64.
fn pretend_to_train(trial: &mut Trial<'_>) -> Result<f64, TrialError> {
    let distance = trial.float("learning_rate")?.log10() - 0.003_f64.log10();
    let penalty = if trial.int("batch_size")? == 64 {
        0.0
    } else {
        0.02
    };
    let reachable = 0.95 - 0.05 * distance * distance - penalty;
    let mut accuracy = 0.0;
    for epoch in 1..=5_u32 {
        accuracy = reachable * (1.0 - (-f64::from(epoch)).exp());
        if trial.report(u64::from(epoch), accuracy) == Decision::Prune {
            return Err(TrialError::Pruned);
        }
    }
    Ok(accuracy)
}
