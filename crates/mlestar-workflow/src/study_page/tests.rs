use super::*;
use mlestar_tune::{
    IntermediateValue, ParameterSpace, ParameterValue, Parameters, TrialRecord, TrialState,
};

fn space() -> SearchSpace {
    let kinds = ["sgd", "adam", "rmsprop"].map(ParameterValue::from);
    let parameters = [
        ("rate", ParameterSpace::log_float(1e-4, 1.0)),
        ("unused", ParameterSpace::float(0.0, 1.0)),
        ("kind", ParameterSpace::categorical(kinds)),
        (
            "momentum",
            ParameterSpace::float(0.0, 1.0).only_when("kind", ["sgd".into()]),
        ),
    ];
    SearchSpace::new(parameters.map(|(key, space)| (key.to_owned(), space)))
}

/// Trials whose value rises with the rate, at most 0.5 with `rmsprop`. Every fifth one is pruned after 2 of 4 epochs, every
/// eleventh fails.
fn trials(n: u64, n_objectives: usize) -> Vec<TrialRecord> {
    (0..n).map(|number| trial(number, n_objectives)).collect()
}

fn trial(number: u64, n_objectives: usize) -> TrialRecord {
    let share = |step: u64| (number * step % 101) as f64 / 100.0;
    let kind = ["sgd", "adam", "rmsprop"][(number % 3) as usize];
    let mut parameters = Parameters::from([
        (
            "rate".to_owned(),
            ParameterValue::Float(10_f64.powf(4.0 * share(37) - 4.0)),
        ),
        ("unused".to_owned(), ParameterValue::Float(share(53))),
        ("kind".to_owned(), kind.into()),
    ]);
    if kind == "sgd" {
        parameters.insert("momentum".to_owned(), ParameterValue::Float(share(71)));
    }
    let value = match kind {
        "rmsprop" => 0.5 * share(37),
        _ => 0.5 + 0.4 * share(37),
    };
    let state = match number {
        _ if number % 11 == 7 => TrialState::Failed,
        _ if number % 5 == 4 && n_objectives == 1 => TrialState::Pruned,
        _ => TrialState::Complete,
    };
    let n_epochs = match state {
        TrialState::Complete => 4,
        TrialState::Pruned => 2,
        TrialState::Failed => 0,
    };
    let is_complete = state == TrialState::Complete;
    TrialRecord {
        number,
        state,
        value: (is_complete && n_objectives == 1).then_some(value),
        values: match is_complete && n_objectives > 1 {
            true => vec![value, 10.0 * share(37) + share(53), share(71)][..n_objectives].to_vec(),
            false => Vec::new(),
        },
        intermediate: (1..=n_epochs)
            .map(|step| IntermediateValue {
                step,
                value: value * step as f64 / 4.0,
            })
            .collect(),
        message: (state == TrialState::Failed).then(|| format!("no memory for {number} MB")),
        parameters,
    }
}

fn report(n: u64, n_objectives: usize) -> StudyReport {
    let trials = trials(n, n_objectives);
    let complete = || {
        trials
            .iter()
            .filter(|trial| trial.state == TrialState::Complete)
    };
    let best = complete().max_by(|a, b| a.value.unwrap_or(0.0).total_cmp(&b.value.unwrap_or(0.0)));
    let is_beaten = |trial: &TrialRecord| {
        let better = |other: &&TrialRecord| {
            other.values[0] >= trial.values[0] && other.values[1] < trial.values[1]
                || other.values[0] > trial.values[0] && other.values[1] <= trial.values[1]
        };
        complete().any(|other| better(&other))
    };
    StudyReport {
        best: best.map(|trial| trial.number).filter(|_| n_objectives == 1),
        front: match n_objectives {
            2 => complete()
                .filter(|trial| !is_beaten(trial))
                .map(|trial| trial.number)
                .collect(),
            _ => Vec::new(),
        },
        importance: None,
        stopped: false,
        trials,
    }
}

fn about(names: &[(&str, Direction)]) -> StudyAbout {
    StudyAbout {
        title: "A <study>".into(),
        objectives: names
            .iter()
            .map(|(name, direction)| StudyObjective::new(*name, *direction))
            .collect(),
        space: space(),
        step: "epoch".into(),
        folder: "studies/a".into(),
        command: "mlestar tune --study a".into(),
        ..StudyAbout::default()
    }
}

const ACCURACY: (&str, Direction) = ("accuracy", Direction::Maximize);
const LATENCY: (&str, Direction) = ("latency", Direction::Minimize);

#[test]
fn the_page_has_every_section_and_asks_for_nothing() {
    let page = render(&report(60, 1), &about(&[ACCURACY])).unwrap();
    for part in [
        "A &lt;study&gt;",
        "studies/a",
        "mlestar tune --study a",
        "best accuracy",
        "Settings of the best trial",
        "Values during the trials",
        "Settings and accuracy",
        "Importance for accuracy",
        "What did not help",
        "id=\"trial-table\"",
        "60 trials",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // Four slices, the history, the curves and the parallel coordinates.
    assert!(page.matches("<svg ").count() >= 8);
    for fetching in [" src=", "url(", "@import", "fetch("] {
        assert!(!page.contains(fetching), "{fetching}");
    }
    for link in page.split("<link").skip(1) {
        let link = link.split('>').next().unwrap();
        assert!(link.contains("href=\"data:"), "{link}");
    }
    assert!(!page.contains("Pareto front") && !page.contains("NaN"));
    assert_eq!(page, render(&report(60, 1), &about(&[ACCURACY])).unwrap());
}

#[test]
fn what_did_not_help_is_said_with_its_figures() {
    let report = report(66, 1);
    let about = about(&[ACCURACY]);
    let study = prepare(&report, &about);
    let pruned = report.count(TrialState::Pruned);
    let ran = pruned * 2;
    let page = render(&report, &about).unwrap();
    let sentence = format!("{pruned} trials of 66 ");
    assert!(page.contains(&sentence), "{sentence}");
    assert!(page.contains(&format!(
        "were pruned after {ran} epochs of the {}",
        pruned * 4
    )));
    assert!(page.contains("made no difference to accuracy that can be seen"));
    assert!(page.contains("unused ("));
    // Six failures that differ in a number only are one reason.
    assert!(page.contains("Failures by reason: 6 trials of 66"));
    assert_eq!(
        page.matches("no memory for 7 MB</td><td class=\"number\">6<")
            .count(),
        1
    );
    // `rmsprop` never reached the others.
    assert!(page.contains("Values that no trial of the best quarter has"));
    let importances = study.importances[0].as_ref().unwrap();
    assert!(importances.shares["unused"] < 0.05, "{importances:?}");
}

#[test]
fn several_objectives_have_a_front_with_its_volume() {
    let page = render(&report(60, 2), &about(&[ACCURACY, LATENCY])).unwrap();
    for part in [
        "Pareto front",
        "hypervolume",
        "trials on the front",
        "Importance for latency",
        "lower is better",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

/// Two trials at the ends of the front: (0, 0) is worst in value, (1, 1) worst in latency. A third at (0.75, 0.5) dominates 3/4 * 1/2.
#[test]
fn the_volume_is_measured_from_the_worst_values() {
    let mut report = report(3, 2);
    for (trial, values) in report
        .trials
        .iter_mut()
        .zip([[0.0, 0.0], [1.0, 1.0], [0.75, 0.5]])
    {
        trial.state = TrialState::Complete;
        trial.values = values.to_vec();
    }
    report.front = vec![0, 1, 2];
    let page = render(&report, &about(&[ACCURACY, LATENCY])).unwrap();
    assert!(page.contains(">0.375<") && page.contains("37.5 % of the box"));
    assert!(page.contains("from accuracy 0, latency 1, the worst values"));
}

#[test]
fn odd_studies_have_pages() {
    let nothing = StudyReport {
        trials: Vec::new(),
        best: None,
        front: Vec::new(),
        importance: None,
        stopped: true,
    };
    let page = render(&nothing, &StudyAbout::default()).unwrap();
    assert!(page.contains("The study was stopped") && page.contains("no data"));
    let mut failed = report(5, 1);
    for trial in &mut failed.trials {
        trial.state = TrialState::Failed;
        trial.value = None;
        trial.message = None;
    }
    failed.best = None;
    let page = render(&failed, &about(&[ACCURACY])).unwrap();
    assert!(page.contains("no reason recorded") && page.contains("No trial completed."));
    // A single trial, values that are not finite, and parameters that the space does not have.
    let mut one = report(1, 1);
    one.trials[0].value = Some(f64::INFINITY);
    one.trials[0]
        .parameters
        .insert("a < b".into(), ParameterValue::Bool(true));
    assert!(
        render(&one, &StudyAbout::default())
            .unwrap()
            .contains("a &lt; b")
    );
}

#[test]
fn ten_thousand_trials_stay_below_five_megabytes() {
    let page = render(&report(10_000, 1), &about(&[ACCURACY])).unwrap();
    assert!(page.len() < 5_000_000, "{}", page.len());
    assert!(page.contains("Trials: ") && page.contains("rate: "));
    assert!(page.contains("The first 300 of 10,000 trials"));
}
