//! Pruning, failures, stopping, logs and sets to try first.

use std::fs;

use mlestar_tune::{
    Decision, ParameterValue, Parameters, Pruner, StudyConfig, StudyEvent, TrialError, TrialState,
    TuneError, carry_over, report_of_log, run_study,
};

use crate::{mixed_space, run, smooth};

fn config(trials: usize) -> StudyConfig {
    StudyConfig {
        trials,
        space: mixed_space(),
        ..StudyConfig::default()
    }
}

#[test]
fn the_best_trial_is_the_highest_complete_one() {
    let folder = tempfile::tempdir().unwrap();
    let report = run(
        &config(30),
        1,
        &folder.path().join("log.jsonl"),
        &mut smooth,
    );
    let best = report.best_trial().unwrap();
    assert!(report.trials.iter().all(|trial| trial.value <= best.value));
    assert!(best.value.unwrap() > 0.8, "{best:?}");
    let importance = report.importance.unwrap();
    assert!(
        importance["rate"] > importance["optimizer"],
        "{importance:?}"
    );
    assert!(!report.stopped);
}

#[test]
fn what_is_enqueued_is_tried_first_even_outside_the_space() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = Parameters::from([
        ("rate".to_owned(), ParameterValue::Float(0.5)),
        ("layers".to_owned(), ParameterValue::Int(20)),
    ]);
    let report = run_study(
        &config(8),
        1,
        &folder.path().join("log.jsonl"),
        &[baseline],
        &mut smooth,
        &mut |_| {},
    )
    .unwrap();
    let first = &report.trials[0];
    assert_eq!(first.parameters["rate"], ParameterValue::Float(0.5));
    assert_eq!(first.parameters["layers"], ParameterValue::Int(20));
    assert!(
        first.parameters["optimizer"].as_str().is_some(),
        "what is left out is suggested"
    );
    for trial in &report.trials[1..] {
        for (key, value) in &trial.parameters {
            assert!(
                mixed_space().get(key).unwrap().contains(value),
                "{key} = {value}"
            );
        }
    }
}

#[test]
fn wrong_things_to_try_first_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |key: &str, value| {
        let set = Parameters::from([(key.to_owned(), value)]);
        run_study(
            &config(2),
            1,
            &folder.path().join("log"),
            &[set],
            &mut smooth,
            &mut |_| {},
        )
        .unwrap_err()
        .to_string()
    };
    assert_eq!(
        refuse("layer", ParameterValue::Int(1)),
        "parameters to try first, set 0, `layer`: is not in the search space"
    );
    assert_eq!(
        refuse("layers", ParameterValue::Float(1.5)),
        "parameters to try first, set 0, `layers`: must be a whole number, found 1.5"
    );
    assert_eq!(
        refuse("rate", ParameterValue::Text("fast".to_owned())),
        "parameters to try first, set 0, `rate`: must be a finite number, found \"fast\""
    );
}

#[test]
fn failures_are_recorded_and_the_study_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    let report = run(&config(6), 1, &log, &mut |trial| match trial.number() {
        0 => Err(TrialError::Failed("out of memory".to_owned())),
        1 => Ok(f64::NAN),
        2 => {
            assert_eq!(trial.report(1, f64::INFINITY), Decision::Prune);
            Ok(1.0)
        }
        3 => {
            trial.report(2, 0.5);
            assert_eq!(trial.report(2, 0.6), Decision::Prune);
            Ok(1.0)
        }
        4 => trial.float("momentum"),
        _ => Ok(0.1),
    });
    let messages: Vec<_> = report
        .trials
        .iter()
        .filter_map(|trial| trial.message.as_deref())
        .collect();
    assert_eq!(
        messages,
        [
            "out of memory",
            "the objective was NaN",
            "the objective was inf at step 1",
            "step 2 was reported after step 2",
            "the search space has no parameter `momentum`",
        ]
    );
    assert_eq!(report.count(TrialState::Failed), 5);
    assert_eq!(report.best, Some(5));
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 6);
}

#[test]
fn all_trials_may_fail() {
    let folder = tempfile::tempdir().unwrap();
    let report = run(&config(3), 1, &folder.path().join("log"), &mut |_| {
        Err(TrialError::Failed("no device".to_owned()))
    });
    assert_eq!((report.best, report.importance), (None, None));
}

#[test]
fn trials_below_the_median_are_pruned_after_startup_and_warmup() {
    let folder = tempfile::tempdir().unwrap();
    let config = StudyConfig {
        startup_trials: 3,
        warmup_steps: 2,
        ..config(8)
    };
    let mut reports = Vec::new();
    let mut objective = |trial: &mut mlestar_tune::Trial<'_>| {
        // Trials 0 to 3 improve; from 4 on they are bad at every step.
        let level = if trial.number() < 4 {
            trial.number() as f64
        } else {
            -1.0
        };
        for step in 1..=3 {
            if trial.report(step, level + step as f64 / 10.0) == Decision::Prune {
                return Err(TrialError::Pruned);
            }
        }
        Ok(level)
    };
    let report = run_study(
        &config,
        1,
        &folder.path().join("log"),
        &[],
        &mut objective,
        &mut |event| {
            if let StudyEvent::Reported {
                number,
                step,
                decision,
                ..
            } = event
            {
                reports.push((*number, *step, *decision));
            }
        },
    )
    .unwrap();
    assert_eq!(report.count(TrialState::Complete), 4);
    assert_eq!(report.count(TrialState::Pruned), 4);
    for trial in &report.trials[4..] {
        assert_eq!(trial.value, None);
        assert_eq!(
            trial.intermediate.len(),
            2,
            "step 1 is warm-up, step 2 prunes"
        );
    }
    assert!(reports.contains(&(4, 1, Decision::Continue)));
    assert!(reports.contains(&(4, 2, Decision::Prune)));

    let never = StudyConfig {
        pruner: Pruner::None,
        ..config
    };
    let report = run_study(
        &never,
        1,
        &folder.path().join("log2"),
        &[],
        &mut objective,
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(report.count(TrialState::Pruned), 0);
}

#[test]
fn a_stopped_study_continues_as_if_it_had_not_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let whole = run(&config(20), 5, &folder.path().join("whole"), &mut smooth);
    let log = folder.path().join("halved");
    let half = run(&config(20), 5, &log, &mut |trial| {
        if trial.number() == 11 {
            Err(TrialError::Stopped)
        } else {
            smooth(trial)
        }
    });
    assert!(half.stopped);
    assert_eq!(half.trials.len(), 11);
    let mut resumed = 0;
    let rest = run_study(&config(20), 5, &log, &[], &mut smooth, &mut |event| {
        if let StudyEvent::Resumed { trials } = event {
            resumed = *trials;
        }
    })
    .unwrap();
    assert_eq!(resumed, 11);
    assert_eq!(rest, whole);
    let nothing_left = run(&config(20), 5, &log, &mut |_| {
        panic!("all trials are in the log")
    });
    assert_eq!(nothing_left, whole);
}

#[test]
fn a_line_cut_short_by_a_crash_is_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let whole = run(&config(6), 5, &log, &mut smooth);
    let text = fs::read_to_string(&log).unwrap();
    for cut in [1, 20, 100] {
        fs::write(&log, &text[..text.len() - cut]).unwrap();
        assert_eq!(run(&config(6), 5, &log, &mut smooth), whole);
        assert_eq!(fs::read_to_string(&log).unwrap(), text);
    }
}

#[test]
fn a_damaged_line_costs_its_trial_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let whole = run(&config(6), 5, &log, &mut smooth);
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for damage in ["{}", "", "\u{fffd}\0{\"study\":"] {
        let mut damaged = lines.clone();
        damaged[2] = damage;
        fs::write(&log, damaged.join("\n") + "\n").unwrap();
        report_of_log(&config(6).space, 6, &log).unwrap_err();
        let (mut ran, mut events) = (Vec::new(), Vec::new());
        let mut objective = |trial: &mut mlestar_tune::Trial<'_>| {
            ran.push(trial.number());
            smooth(trial)
        };
        let again = run_study(&config(6), 5, &log, &[], &mut objective, &mut |event| {
            if let StudyEvent::Damaged { lines } = event {
                events.push(*lines);
            }
        })
        .unwrap();
        assert_eq!((ran, events), (vec![2], vec![1]), "{damage}");
        assert_eq!(again, whole);
        assert_eq!(fs::read_to_string(&log).unwrap(), text);
    }
    // A line that is missing completely.
    fs::write(&log, [&lines[..1], &lines[2..]].concat().join("\n") + "\n").unwrap();
    let error = report_of_log(&config(6).space, 6, &log).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("trial 2 is at the position of trial 1"),
        "{error}"
    );
    assert_eq!(run(&config(6), 5, &log, &mut smooth), whole);
    assert_eq!(fs::read_to_string(&log).unwrap(), text);
}

#[test]
fn a_report_can_be_made_again_from_the_log_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let whole = run(&config(12), 5, &log, &mut smooth);
    assert_eq!(report_of_log(&config(12).space, 12, &log).unwrap(), whole);
    // Fewer trials than the log holds are a shorter study, not the longer one.
    let shorter = run(&config(7), 5, &log, &mut |_| panic!("all are in the log"));
    assert_eq!(shorter.trials, whole.trials[..7]);
    assert_eq!(report_of_log(&config(7).space, 7, &log).unwrap(), shorter);
    let text = fs::read_to_string(&log).unwrap();
    let foreign = text.replacen("\"study\":\"", "\"study\":\"0", 1);
    fs::write(&log, foreign).unwrap();
    let error = report_of_log(&config(12).space, 12, &log).unwrap_err();
    assert!(
        matches!(error, TuneError::ForeignLog { line: 2, .. }),
        "{error}"
    );
}

#[test]
fn trials_are_carried_over_only_to_the_same_study() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    run(&config(3), 5, &from, &mut smooth);
    let objective = |hash: &str| StudyConfig {
        objective: hash.into(),
        ..config(5)
    };
    assert_eq!(carry_over(&config(5), 6, &from, &to, &[]).unwrap(), 0);
    let other = objective("other images");
    assert_eq!(carry_over(&other, 5, &from, &to, &[]).unwrap(), 0);
    assert!(!to.exists());
    assert_eq!(carry_over(&config(5), 5, &from, &to, &[]).unwrap(), 3);
    let mut ran = Vec::new();
    let longer = run(&config(5), 5, &to, &mut |trial| {
        ran.push(trial.number());
        smooth(trial)
    });
    assert_eq!(ran, [3, 4]);
    assert_eq!(
        longer,
        run(&config(5), 5, &folder.path().join("anew"), &mut smooth)
    );
    let error = run_study(&other, 5, &to, &[], &mut smooth, &mut |_| {}).unwrap_err();
    assert!(matches!(error, TuneError::ForeignLog { .. }), "{error}");
}

#[test]
fn foreign_logs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    run(&config(3), 5, &log, &mut smooth);
    let text = fs::read_to_string(&log).unwrap();
    let refuse = |config: &StudyConfig, seed: u64, content: &str| {
        fs::write(&log, content).unwrap();
        run_study(config, seed, &log, &[], &mut smooth, &mut |_| {}).unwrap_err()
    };
    let error = refuse(&config(3), 6, &text);
    assert!(
        matches!(error, TuneError::ForeignLog { line: 1, .. }),
        "{error}"
    );
    let error = refuse(
        &StudyConfig {
            startup_trials: 4,
            ..config(3)
        },
        5,
        &text,
    );
    assert!(matches!(error, TuneError::ForeignLog { .. }), "{error}");

    fs::write(&log, &text).unwrap();
    let longer = run(&config(5), 5, &log, &mut smooth);
    assert_eq!(longer.trials.len(), 5, "a study may be prolonged");
}

#[test]
fn an_unwritable_log_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = run_study(&config(3), 5, folder.path(), &[], &mut smooth, &mut |_| {}).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&folder.path().display().to_string()),
        "{error}"
    );
}

#[test]
fn bad_settings_are_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    for bad in [
        config(0),
        StudyConfig {
            startup_trials: 0,
            ..config(3)
        },
        StudyConfig {
            trials: 3,
            ..StudyConfig::default()
        },
    ] {
        run_study(
            &bad,
            1,
            &log,
            &[],
            &mut |_| panic!("must not run"),
            &mut |_| {},
        )
        .unwrap_err();
    }
    assert!(!log.exists());
    assert!(toml::from_str::<StudyConfig>("trails = 3").is_err());
    assert!(toml::from_str::<StudyConfig>("sampler = 'anneal'").is_err());
}
