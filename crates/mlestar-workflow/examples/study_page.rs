//! The page of a simulated study with conditional and categorical parameters, pruned and failed trials.
//!
//!     cargo run -p mlestar-workflow --example study_page -- 60 study.html
//!     cargo run -p mlestar-workflow --example study_page -- 60 study.html two
//!
//! With `two`, the study has two objectives (and prunes nothing).

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use mlestar_tune::shared::{SharedStudy, Work};
use mlestar_tune::{
    Decision, Direction, ParameterSpace, ParameterValue, Pruner, Sampler, SearchSpace, StudyConfig,
    Trial, TrialError, run_study,
};
use mlestar_workflow::study_page::{StudyAbout, StudyObjective, render};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [trials, output, rest @ ..] = &arguments[..] else {
        return Err("give the number of trials, the file to write, and perhaps `two`".into());
    };
    let two = rest.first().is_some_and(|word| word == "two");
    let config = config(trials.parse()?, two);
    let folder = tempfile::tempdir()?;
    let report = match two {
        true => {
            let journal = folder.path().join("journal.log");
            let mut study = SharedStudy::open(&journal, "simulated training", &config, 3, &[])?;
            let mut objective = |trial: &mut Trial<'_>| pretend_to_train(trial, two);
            study.work(&Work::default(), &mut objective, &mut |_event| {})?;
            study.report()?
        }
        false => {
            let mut objective = |trial: &mut Trial<'_>| Ok(pretend_to_train(trial, two)?[0]);
            let log = folder.path().join("trials.jsonl");
            run_study(&config, 3, &log, &[], &mut objective, &mut |_event| {})?
        }
    };
    let mut objectives = vec![StudyObjective::new(
        "accuracy (fraction)",
        Direction::Maximize,
    )];
    if two {
        objectives.push(StudyObjective::new("latency (ms)", Direction::Minimize));
    }
    let about = StudyAbout {
        title: "Simulated training".into(),
        subtitle: "a study to look at".into(),
        objectives,
        space: config.space.clone(),
        step: "epoch".into(),
        command: format!("cargo run -p mlestar-workflow --example study_page -- {trials} {output}"),
        ..StudyAbout::default()
    };
    let begin = Instant::now();
    let page = render(&report, &about)?;
    let seconds = begin.elapsed().as_secs_f64();
    std::fs::write(Path::new(output), &page)?;
    println!(
        "{} trials: {} bytes in {seconds:.2} s",
        report.trials.len(),
        page.len()
    );
    Ok(())
}

fn config(trials: usize, two: bool) -> StudyConfig {
    let words = |words: [&str; 3]| words.map(ParameterValue::from);
    let sizes = [32, 64, 128, 256].map(ParameterValue::Int);
    let space = [
        ("learning_rate", ParameterSpace::log_float(1e-5, 1.0)),
        ("dropout", ParameterSpace::float(0.0, 0.9)),
        ("width", ParameterSpace::int(1, 8)),
        ("batch_size", ParameterSpace::categorical(sizes)),
        (
            "optimizer",
            ParameterSpace::categorical(words(["sgd", "adam", "rmsprop"])),
        ),
        (
            "momentum",
            ParameterSpace::float(0.0, 0.99).only_when("optimizer", ["sgd".into()]),
        ),
        ("workers", ParameterSpace::int(1, 4)),
    ];
    StudyConfig {
        trials,
        // The estimator compares every trial with all earlier ones.
        sampler: if trials > 1000 {
            Sampler::Random
        } else {
            Sampler::Tpe
        },
        pruner: if two || trials > 1000 {
            Pruner::None
        } else {
            Pruner::Median
        },
        directions: match two {
            true => vec![Direction::Maximize, Direction::Minimize],
            false => vec![Direction::Maximize],
        },
        window: 4,
        space: SearchSpace::new(space.map(|(key, space)| (key.to_owned(), space))),
        ..StudyConfig::default()
    }
}

/// Eight epochs; a wide network with a large batch has no memory, and a high rate diverges.
fn pretend_to_train(trial: &mut Trial<'_>, two: bool) -> Result<Vec<f64>, TrialError> {
    let rate = trial.float("learning_rate")?;
    let width = trial.int("width")?;
    let batch = trial.int("batch_size")?;
    let optimizer = trial.get("optimizer").and_then(ParameterValue::as_str);
    let optimizer = optimizer.unwrap_or_default().to_owned();
    let dropout = trial.float("dropout")? - 0.3;
    if width * batch > 1600 {
        let message = format!("out of memory: {} MB needed", width * batch * 3);
        return Err(TrialError::Failed(message));
    }
    let best: f64 = match optimizer.as_str() {
        "sgd" => 0.05,
        _ => 0.003,
    };
    let momentum = match optimizer.as_str() {
        "sgd" => 0.05 * (trial.float("momentum")? - 0.9).abs(),
        "rmsprop" => 0.04,
        _ => 0.0,
    };
    let distance = (rate / best).log10();
    let reachable = 0.95
        - 0.03 * distance * distance
        - 0.15 / (width as f64 + 1.0)
        - 0.1 * dropout * dropout
        - momentum;
    let mut accuracy = 0.0;
    for epoch in 1..=8_u32 {
        if distance > 2.2 && epoch == 3 {
            return Err(TrialError::Failed(
                "the loss is not finite in epoch 3".into(),
            ));
        }
        let noise = 0.004 * (1e3 * rate * f64::from(epoch) + dropout * 777.0).sin();
        accuracy = reachable * (1.0 - (-f64::from(epoch) / 2.0).exp()) + noise;
        if !two && trial.report(u64::from(epoch), accuracy) == Decision::Prune {
            return Err(TrialError::Pruned);
        }
    }
    let latency = 2.0 + 1.5 * width as f64 + 0.002 * batch as f64;
    Ok(match two {
        true => vec![accuracy, latency],
        false => vec![accuracy],
    })
}
