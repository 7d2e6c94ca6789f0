//! A study of a simulated training in a journal that Optuna's tools read, and the cost of keeping it.
//!
//!     cargo run --release -p mlestar-tune --example journal -- work journal.log 40
//!     optuna-dashboard journal.log
//!     cargo run --release -p mlestar-tune --example journal -- load journal.log
//!
//! `work` may run in several processes at once. `benches/peers/tune_journal.py` compares both with Optuna.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use mlestar_tune::shared::{SharedStudy, Work};
use mlestar_tune::{
    Decision, ParameterSpace, ParameterValue, Pruner, Sampler, SearchSpace, StudyConfig, Trial,
    TrialError,
};

const NAME: &str = "simulated training";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["work", journal, trials] => work(journal, trials, Sampler::Tpe, Pruner::Median),
        // The cost of the journal alone.
        ["write", journal, trials] => work(journal, trials, Sampler::Random, Pruner::Median),
        // For the importances of the parameters.
        ["complete", journal, trials] => work(journal, trials, Sampler::Random, Pruner::None),
        ["load", journal] => load(Path::new(journal)),
        _ => {
            Err("give `work`, `write` or `complete` with JOURNAL TRIALS, or `load JOURNAL`".into())
        }
    }
}

fn config(trials: usize, sampler: Sampler) -> StudyConfig {
    let optimizers = ["sgd", "adam", "adamw"].map(ParameterValue::from);
    let space = [
        ("learning_rate", ParameterSpace::log_float(1e-5, 1.0)),
        ("dropout", ParameterSpace::float(0.0, 0.9)),
        ("layers", ParameterSpace::int(1, 8)),
        ("optimizer", ParameterSpace::categorical(optimizers)),
        (
            "momentum",
            ParameterSpace::float(0.0, 0.99).only_when("optimizer", ["sgd".into()]),
        ),
    ];
    StudyConfig {
        trials,
        sampler,
        window: 4,
        space: SearchSpace::new(space.map(|(key, space)| (key.to_owned(), space))),
        ..StudyConfig::default()
    }
}

fn work(
    journal: &str,
    trials: &str,
    sampler: Sampler,
    pruner: Pruner,
) -> Result<(), Box<dyn Error>> {
    let config = StudyConfig {
        pruner,
        ..config(trials.parse()?, sampler)
    };
    let mut study = SharedStudy::open(Path::new(journal), NAME, &config, 1, &[])?;
    let begin = Instant::now();
    let mut n = 0;
    let mut objective = |trial: &mut Trial<'_>| {
        n += 1;
        pretend_to_train(trial)
    };
    study.work(&Work::default(), &mut objective, &mut |_event| {})?;
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{n} trials in {seconds:.3} s, {:.3} ms each",
        1e3 * seconds / f64::from(n.max(1))
    );
    let report = study.report()?;
    if let Some(best) = report.best_trial() {
        println!(
            "best: trial {} with {:?}, {:?}",
            best.number, best.value, best.parameters
        );
    }
    Ok(())
}

fn load(journal: &Path) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    let names = SharedStudy::names(journal)?;
    let seconds = begin.elapsed().as_secs_f64();
    println!("{} studies in {seconds:.4} s", names.len());
    for name in names {
        match SharedStudy::read(journal, &name) {
            Ok(report) => {
                let importance = serde_json::to_string(&report.importance)?;
                println!(
                    "{name}: {} trials, importance {importance}",
                    report.trials.len()
                );
            }
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}

/// Three epochs whose accuracy is best at a learning rate of 0.003 and 5 layers.
fn pretend_to_train(trial: &mut Trial<'_>) -> Result<Vec<f64>, TrialError> {
    let rate = trial.float("learning_rate")?.log10() - 0.003_f64.log10();
    let layers = trial.int("layers")? as f64 - 5.0;
    let dropout = trial.float("dropout")? - 0.3;
    let reachable = 0.95 - 0.05 * rate * rate - 0.005 * layers * layers - 0.1 * dropout * dropout;
    let mut accuracy = 0.0;
    for epoch in 1..=3_u32 {
        accuracy = reachable * (1.0 - (-f64::from(epoch)).exp());
        if trial.report(u64::from(epoch), accuracy) == Decision::Prune {
            return Err(TrialError::Pruned);
        }
    }
    Ok(vec![accuracy])
}
