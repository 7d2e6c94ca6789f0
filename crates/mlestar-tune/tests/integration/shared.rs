//! Studies that several threads or processes work on.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mlestar_tune::shared::{SharedStudy, Work};
use mlestar_tune::{
    Decision, Direction, ParameterSpace, Parameters, Pruner, Sampler, SearchSpace, StudyConfig,
    StudyReport, Trial, TrialError, TrialRecord, TrialState, TuneError, run_study,
};

use crate::mixed_space;

/// Names the journal for a process that works on a study.
const JOURNAL: &str = "MLESTAR_TUNE_TEST_JOURNAL";
/// The process that it replaces.
const REPLACES: &str = "MLESTAR_TUNE_TEST_REPLACES";
const NAME: &str = "test";

fn config(trials: usize, pruner: Pruner) -> StudyConfig {
    StudyConfig {
        trials,
        pruner,
        window: 4,
        startup_trials: 4,
        space: mixed_space(),
        ..StudyConfig::default()
    }
}

fn quality(trial: &Trial<'_>) -> Result<f64, TrialError> {
    let rate = trial.float("rate")?.log10() + 3.0;
    let layers = trial.int("layers")? as f64 - 5.0;
    Ok(1.0 - 0.1 * rate * rate - 0.02 * layers * layers)
}

/// Nine steps towards the quality of the parameters, from where the trial paused.
fn training(trial: &mut Trial<'_>) -> Result<Vec<f64>, TrialError> {
    let quality = quality(trial)?;
    let reached = |step: u64| quality * (1.0 - 0.5_f64.powi(step as i32));
    let before = trial.resumed_after().unwrap_or(0);
    let mut value = reached(before);
    for step in before + 1..=9 {
        // A process that is to be killed must still be at work by then.
        let of_a_process = u64::from(std::env::var_os(JOURNAL).is_some());
        std::thread::sleep(Duration::from_millis(10 * of_a_process + step % 3));
        value = reached(step);
        match trial.report(step, value) {
            Decision::Continue => {}
            Decision::Prune => return Err(TrialError::Pruned),
            Decision::Pause => return Err(TrialError::Paused),
        }
    }
    Ok(vec![value])
}

fn work(journal: &Path, config: &StudyConfig) -> Result<(), TuneError> {
    let mut study = SharedStudy::open(journal, NAME, config, 5, &[])?;
    let work = Work {
        pause: Duration::from_millis(2),
        ..Work::default()
    };
    study.work(&work, &mut training, &mut |_| {})
}

#[allow(clippy::unwrap_used)] // a helper of tests only
fn report_by(jobs: usize, journal: &Path, config: &StudyConfig) -> StudyReport {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|_| scope.spawn(|| work(journal, config)))
            .collect();
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap().unwrap());
    });
    SharedStudy::read(journal, NAME).unwrap()
}

const HALVING: Pruner = Pruner::Halving {
    first: 1,
    last: 9,
    factor: 3,
};

#[test]
fn the_table_does_not_depend_on_the_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    for (name, pruner) in [("median", Pruner::Median), ("halving", HALVING)] {
        let config = config(24, pruner);
        let by =
            |jobs: usize| report_by(jobs, &folder.path().join(format!("{name}-{jobs}")), &config);
        let one = by(1);
        assert_eq!(one.trials.len(), 24);
        assert!(one.count(TrialState::Pruned) > 2, "{name}");
        assert!(!one.stopped);
        assert_eq!(one, by(2), "{name}");
        assert_eq!(one, by(4), "{name}");
    }
}

#[test]
fn a_shared_study_is_the_study_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(20, Pruner::Median);
    let shared = report_by(3, &folder.path().join("journal"), &config);
    let mut objective = |trial: &mut Trial<'_>| training(trial).map(|values| values[0]);
    let log = folder.path().join("log");
    let alone = run_study(&config, 5, &log, &[], &mut objective, &mut |_| {}).unwrap();
    assert_eq!(shared, alone);
}

#[test]
fn halving_resumes_the_best_trials_where_they_paused() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let config = config(27, HALVING);
    let mut study = SharedStudy::open(&journal, NAME, &config, 5, &[]).unwrap();
    let mut steps_run = 0;
    let mut objective = |trial: &mut Trial<'_>| {
        let before = trial.resumed_after().unwrap_or(0);
        let result = training(trial);
        steps_run += trial.resumed_after().unwrap_or(0) - before;
        result
    };
    study
        .work(&Work::default(), &mut objective, &mut |_| {})
        .unwrap();
    let report = study.report().unwrap();
    let reached = |step: u64| {
        let reached = |t: &&TrialRecord| t.intermediate.iter().any(|v| v.step == step);
        report.trials.iter().filter(reached).count()
    };
    let steps: usize = report
        .trials
        .iter()
        .map(|trial| trial.intermediate.len())
        .sum();
    assert_eq!(steps_run, steps as u64, "no step is run twice");
    // A third goes on at each rung; more may have, because a trial goes on before all have arrived.
    assert_eq!(reached(1), 27);
    assert!(
        (9..=16).contains(&reached(2)) && reached(2) == reached(3),
        "{}",
        reached(2)
    );
    assert!((3..=8).contains(&reached(9)), "{}", reached(9));
    assert_eq!(report.count(TrialState::Complete), reached(9));
    // The best of all is never left behind.
    let last = |trial: &TrialRecord| trial.intermediate[0].value;
    let best = report
        .trials
        .iter()
        .max_by(|a, b| last(a).total_cmp(&last(b)))
        .unwrap();
    assert_eq!(report.best, Some(best.number));
}

/// A process that works on the study; started by other tests only.
#[test]
fn worker_process() {
    let Some(journal) = std::env::var_os(JOURNAL) else {
        return;
    };
    let mut study = SharedStudy::join(Path::new(&journal), NAME).unwrap();
    let work = Work {
        pause: Duration::from_millis(5),
        replaces: std::env::var(REPLACES)
            .ok()
            .map(|process| process.parse().unwrap()),
        ..Work::default()
    };
    let mut objective = |trial: &mut Trial<'_>| {
        if trial.number() == 3 && study_has_a_fatal_trial() {
            std::process::abort();
        }
        training(trial)
    };
    study.work(&work, &mut objective, &mut |_| {}).unwrap();
}

fn study_has_a_fatal_trial() -> bool {
    std::env::var_os("MLESTAR_TUNE_TEST_FATAL").is_some()
}

#[allow(clippy::unwrap_used)] // a helper of tests only
fn spawn(journal: &Path, is_fatal: bool) -> Child {
    spawn_instead_of(None, journal, is_fatal)
}

#[allow(clippy::unwrap_used)] // a helper of tests only
fn spawn_instead_of(ended: Option<u32>, journal: &Path, is_fatal: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "shared::worker_process", "--nocapture"])
        .env(JOURNAL, journal);
    if let Some(process) = ended {
        command.env(REPLACES, process.to_string());
    }
    if is_fatal {
        command.env("MLESTAR_TUNE_TEST_FATAL", "1");
    }
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_processes_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (name, pruner) in [("median", Pruner::Median), ("halving", HALVING)] {
        let config = config(16, pruner);
        let whole = report_by(1, &folder.path().join(format!("{name}-whole")), &config);
        let journal = folder.path().join(name);
        SharedStudy::open(&journal, NAME, &config, 5, &[]).unwrap();
        let begin = Instant::now();
        let mut kills = 0;
        let mut workers: Vec<Child> = (0..3).map(|_| spawn(&journal, false)).collect();
        // No trial may be hit three times: then it would count as failed.
        for (worker, pause) in workers.iter_mut().zip([60, 95, 130]) {
            std::thread::sleep(Duration::from_millis(pause));
            if worker.try_wait().unwrap().is_none() {
                worker.kill().unwrap();
                kills += 1;
            }
            worker.wait().unwrap();
            *worker = spawn(&journal, false);
        }
        for mut worker in workers {
            assert!(worker.wait().unwrap().success());
        }
        assert!(begin.elapsed() < Duration::from_secs(60));
        let report = SharedStudy::read(&journal, NAME).unwrap();
        assert!(kills > 0 && report.count(TrialState::Failed) == 0);
        assert_eq!(report, whole, "{name}");
    }
}

#[test]
fn a_trial_that_ends_its_process_is_recorded_as_failed_and_the_study_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    SharedStudy::open(&journal, NAME, &config(8, Pruner::None), 5, &[]).unwrap();
    let mut ended = None;
    for _ in 0..6 {
        let mut worker = spawn_instead_of(ended, &journal, true);
        ended = Some(worker.id());
        if worker.wait().unwrap().success() {
            break;
        }
    }
    let report = SharedStudy::read(&journal, NAME).unwrap();
    assert_eq!(report.trials.len(), 8);
    assert_eq!(report.trials[3].state, TrialState::Failed);
    let message = report.trials[3].message.as_deref().unwrap();
    assert!(
        message.starts_with("3 processes ended while they ran this trial"),
        "{message}"
    );
    assert_eq!(report.count(TrialState::Complete), 7);
}

/// A machine that stops is no fault of the trial that runs there.
#[test]
fn trials_are_not_to_blame_when_all_processes_end() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(8, Pruner::None);
    for (ends, n_failed) in [(9, 0), (10, 1)] {
        let journal = folder.path().join(format!("{ends}"));
        SharedStudy::open(&journal, NAME, &config, 5, &[]).unwrap();
        for _ in 0..ends {
            assert!(!spawn(&journal, true).wait().unwrap().success());
        }
        assert!(spawn(&journal, false).wait().unwrap().success());
        let report = SharedStudy::read(&journal, NAME).unwrap();
        assert_eq!(report.count(TrialState::Failed), n_failed);
        if n_failed == 0 {
            assert_eq!(report, report_by(1, &folder.path().join("whole"), &config));
        }
    }
}

#[test]
fn failures_of_every_kind_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let mut study = SharedStudy::open(&journal, NAME, &config(6, Pruner::None), 5, &[]).unwrap();
    let mut objective = |trial: &mut Trial<'_>| match trial.number() {
        0 => panic!("index out of bounds"),
        1 => Ok(vec![f64::NAN]),
        2 => Err(TrialError::Failed("out of memory".into())),
        3 => Ok(vec![1.0, 2.0]),
        _ => Ok(vec![1.0]),
    };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    study
        .work(&Work::default(), &mut objective, &mut |_| {})
        .unwrap();
    std::panic::set_hook(hook);
    let report = study.report().unwrap();
    let messages: Vec<_> = report
        .trials
        .iter()
        .filter_map(|t| t.message.as_deref())
        .collect();
    assert_eq!(
        messages,
        [
            "the objective panicked: index out of bounds",
            "the objective was NaN",
            "out of memory",
            "the objective returned 2 values; the study has 1 directions",
        ]
    );
    assert_eq!(report.best, Some(4));
}

/// Whatever part of the journal is left, the study ends with the same trials.
#[test]
fn a_journal_cut_anywhere_leads_to_the_same_table() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(8, HALVING);
    let journal = folder.path().join("journal");
    let whole = report_by(1, &journal, &config);
    let bytes = std::fs::read(&journal).unwrap();
    for part in 0..12 {
        let cut = folder.path().join(format!("cut-{part}"));
        std::fs::write(&cut, &bytes[..bytes.len() * part / 12]).unwrap();
        assert_eq!(report_by(2, &cut, &config), whole, "part {part}");
    }
}

#[test]
fn a_stopped_worker_hands_its_trial_on() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let config = config(6, Pruner::None);
    let mut stopping = SharedStudy::open(&journal, NAME, &config, 5, &[]).unwrap();
    let mut objective = |trial: &mut Trial<'_>| {
        trial.report(1, 0.1);
        if trial.number() == 2 {
            Err(TrialError::Stopped)
        } else {
            training(trial)
        }
    };
    stopping
        .work(&Work::default(), &mut objective, &mut |_| {})
        .unwrap();
    assert!(SharedStudy::read(&journal, NAME).unwrap().stopped);
    let overview = SharedStudy::overview(&journal, NAME).unwrap();
    let handed_on = &overview.running[0];
    assert_eq!((handed_on.number, &handed_on.worker), (2, &None));
    assert_eq!(handed_on.last.unwrap().step, 1);
    assert!(!handed_on.is_at_work);
    assert_eq!(overview.report.count(TrialState::Complete), 2);
    assert_eq!((overview.running.len(), overview.planned), (1, 6));
    assert!(!overview.is_complete());
    assert!(!stopping.is_complete().unwrap());
    let mut resumed = Vec::new();
    let mut going_on = SharedStudy::join(&journal, NAME).unwrap();
    let mut objective = |trial: &mut Trial<'_>| {
        resumed.push((trial.number(), trial.resumed_after()));
        training(trial)
    };
    going_on
        .work(&Work::default(), &mut objective, &mut |_| {})
        .unwrap();
    assert_eq!(resumed[..2], [(2, Some(1)), (3, None)]);
    assert_eq!(going_on.report().unwrap().count(TrialState::Complete), 6);
    assert!(going_on.is_complete().unwrap() && stopping.is_complete().unwrap());
}

/// A worker that was silent for so long that another one took its trial over must not write about it any more.
#[test]
fn a_worker_that_lost_its_trial_writes_nothing_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let config = config(3, Pruner::None);
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (other_done, is_other_done) = std::sync::mpsc::channel();
    let (path, settings) = (&journal, &config);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut study = SharedStudy::open(path, NAME, settings, 5, &[]).unwrap();
            // It shows itself every six minutes.
            let silent = Work {
                patience: Duration::from_secs(3600),
                ..Work::default()
            };
            let mut ended = 0;
            let mut objective = |trial: &mut Trial<'_>| {
                assert_eq!(trial.number(), 0, "the other one did the rest");
                let first = quality(trial)? * 0.5;
                assert_eq!(trial.report(1, first), Decision::Continue);
                begun.send(()).unwrap();
                is_other_done.recv().unwrap();
                assert_eq!(trial.report(2, 9.0), Decision::Pause);
                assert_eq!(trial.report(3, 9.0), Decision::Pause);
                Ok(vec![99.0])
            };
            let mut count = |event: &mlestar_tune::StudyEvent<'_>| {
                ended += usize::from(matches!(event, mlestar_tune::StudyEvent::Ended { .. }));
            };
            study.work(&silent, &mut objective, &mut count).unwrap();
            assert_eq!(ended, 0);
        });
        has_begun.recv().unwrap();
        let mut study = SharedStudy::open(&journal, NAME, &config, 5, &[]).unwrap();
        let impatient = Work {
            patience: Duration::from_millis(400),
            ..Work::default()
        };
        let mut moved = Vec::new();
        let mut objective = |trial: &mut Trial<'_>| {
            moved.push((trial.number(), trial.moved()));
            training(trial)
        };
        study.work(&impatient, &mut objective, &mut |_| {}).unwrap();
        moved.sort_unstable();
        assert_eq!(moved, [(0, 1), (1, 0), (2, 0)]);
        other_done.send(()).unwrap();
    });
    let alone = report_by(1, &folder.path().join("alone"), &config);
    assert_eq!(SharedStudy::read(&journal, NAME).unwrap(), alone);
}

#[test]
fn a_process_at_work_is_seen_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let config = config(2, Pruner::None);
    let mut study = SharedStudy::open(&journal, NAME, &config, 5, &[]).unwrap();
    let mut seen = Vec::new();
    let mut objective = |trial: &mut Trial<'_>| {
        let before = std::fs::read(&journal).unwrap();
        let overview = SharedStudy::overview(&journal, NAME).unwrap();
        assert_eq!(std::fs::read(&journal).unwrap(), before);
        seen.push((overview.running[0].number, overview.running[0].is_at_work));
        training(trial)
    };
    study
        .work(&Work::default(), &mut objective, &mut |_| {})
        .unwrap();
    assert_eq!(seen, [(0, true), (1, true)]);
}

/// Parameters that were given later do not take the place of those given first.
#[test]
fn parameters_given_twice_are_all_tried() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let layers = |n: i64| Parameters::from([("layers".to_owned(), n.into())]);
    let first = [layers(1), layers(2)];
    let mut study = SharedStudy::open(&journal, NAME, &config(5, Pruner::None), 5, &first).unwrap();
    study.enqueue(&layers(3)).unwrap();
    study
        .work(&Work::default(), &mut training, &mut |_| {})
        .unwrap();
    let report = study.report().unwrap();
    let tried: Vec<_> = report
        .trials
        .iter()
        .map(|trial| trial.parameters["layers"].as_i64().unwrap())
        .collect();
    assert_eq!(tried.len(), 5);
    assert_eq!(tried[..3], [3, 1, 2]);
}

#[test]
fn given_trials_come_first_and_others_are_learned_from() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let config = config(6, Pruner::None);
    report_by(1, &first, &config);
    let mut study = SharedStudy::open(&second, "next", &config, 5, &[]).unwrap();
    assert_eq!(study.warm_start(&first, NAME).unwrap(), 6);
    assert!(study.warm_start(&first, NAME).is_err());
    let given: Parameters = [("layers".to_owned(), 5_i64.into())].into_iter().collect();
    study.enqueue(&given).unwrap();
    study
        .work(&Work::default(), &mut training, &mut |_| {})
        .unwrap();
    let report = study.report().unwrap();
    assert_eq!(report.trials.len(), 6);
    assert_eq!(report.trials[0].number, 6, "the copied ones come before");
    assert_eq!(report.trials[0].parameters["layers"].as_i64(), Some(5));
    assert_eq!(SharedStudy::overview(&second, "next").unwrap().copied, 6);
    let wrong: Parameters = [("depth".to_owned(), 5_i64.into())].into_iter().collect();
    let error = study.enqueue(&wrong).unwrap_err().to_string();
    assert!(
        error.contains("`depth`: is not in the search space"),
        "{error}"
    );
}

#[test]
fn other_settings_are_refused_but_more_trials_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    report_by(1, &journal, &config(3, Pruner::None));
    let error = SharedStudy::open(&journal, NAME, &config(3, Pruner::None), 6, &[]).unwrap_err();
    assert!(error.to_string().contains("has other settings"), "{error}");
    let error = SharedStudy::join(&journal, "other").unwrap_err();
    assert!(
        error.to_string().contains("study `other` does not exist"),
        "{error}"
    );
    assert_eq!(
        report_by(2, &journal, &config(5, Pruner::None))
            .trials
            .len(),
        5
    );
    let overview = SharedStudy::overview(&journal, NAME).unwrap();
    assert!(overview.planned == 5 && overview.is_complete());
    assert_eq!(SharedStudy::names(&journal).unwrap(), [NAME]);
}

#[test]
fn a_grid_ends_with_its_last_point() {
    let folder = tempfile::tempdir().unwrap();
    let config = StudyConfig {
        sampler: Sampler::Grid,
        space: SearchSpace::new(
            ["rate", "layers"].map(|key| (key.to_owned(), ParameterSpace::int(1, 3))),
        ),
        ..config(50, Pruner::None)
    };
    let journal = folder.path().join("journal");
    let report = report_by(2, &journal, &config);
    assert_eq!(report.trials.len(), 9);
    assert!(!report.stopped);
    assert_eq!(SharedStudy::overview(&journal, NAME).unwrap().planned, 9);
}

#[test]
fn several_objectives_have_a_front() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let config = StudyConfig {
        directions: vec![Direction::Maximize, Direction::Minimize],
        ..config(12, Pruner::None)
    };
    let mut study = SharedStudy::open(&journal, NAME, &config, 5, &[]).unwrap();
    let mut objective =
        |trial: &mut Trial<'_>| Ok(vec![quality(trial)?, trial.int("layers")? as f64]);
    study
        .work(&Work::default(), &mut objective, &mut |_| {})
        .unwrap();
    let report = study.report().unwrap();
    assert_eq!(report.best, None);
    assert!(!report.front.is_empty());
    let values = |number: u64| &report.trials[number as usize].values;
    for a in &report.front {
        for trial in &report.trials {
            let (a, b) = (values(*a), &trial.values);
            assert!(!(b[0] >= a[0] && b[1] <= a[1] && b != a), "{a:?} {b:?}");
        }
    }
    let error = StudyConfig {
        pruner: Pruner::Median,
        ..config
    }
    .check()
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("\"none\" with several directions"),
        "{error}"
    );
}
