//! A search whose processes are paused, killed and replaced while they work.

use crate::tune::Project;
use mlestar_tune::shared::{Overview, RunningTrial, SharedStudy};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::process::{Child, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Seconds without a sign of life after which a trial is taken over.
const PATIENCE: &str = "1";
/// A pause is longer than that.
const PAUSE: Duration = Duration::from_millis(1600);
/// Between two signals.
const BETWEEN: Duration = Duration::from_millis(250);
/// The time after which the test gives up on a very slow machine.
const LIMIT: Duration = Duration::from_secs(300);
const JOBS: usize = 3;
/// So many pauses and as many kills; then the processes may finish.
const HITS: usize = 8;

const STUDY: [&str; 6] = [
    "--set",
    "refinement.epochs_per_trial=11",
    "--set",
    "refinement.trials=8",
    "--set",
    "refinement.pruner='none'",
];

struct Worker {
    child: Child,
    paused_at: Option<Instant>,
}

impl Worker {
    fn start(project: &Project) -> Self {
        let mut command = project.tune(&["work", "tiny", "--threads", "1", "--patience", PATIENCE]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log(project));
        Self {
            child: command.spawn().unwrap(),
            paused_at: None,
        }
    }

    fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Whether it runs that trial: names of workers begin with the number of their process.
    fn runs(&self, trial: &RunningTrial) -> bool {
        let of_this = format!("{}-", self.child.id());
        let worker = trial.worker.as_ref();
        self.paused_at.is_none() && worker.is_some_and(|worker| worker.starts_with(&of_this))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What all workers say.
fn log(project: &Project) -> File {
    let path = project.study().join("workers.log");
    let mut options = OpenOptions::new();
    options.create(true).append(true).open(path).unwrap()
}

/// It ended as one whose study is complete.
fn assert_ended_well(project: &Project, status: ExitStatus) {
    if !status.success() {
        let text = fs::read_to_string(project.study().join("workers.log")).unwrap();
        let errors: Vec<&str> = text.lines().filter(|line| line.contains("error")).collect();
        panic!("a worker ended with {status}: {errors:?}");
    }
}

fn overview(project: &Project) -> Overview {
    SharedStudy::overview(&project.study().join("journal.log"), "tiny").unwrap()
}

/// The processes, and what was done to them.
struct Storm<'a> {
    project: &'a Project,
    workers: Vec<Worker>,
    /// The epoch of each trial at which its process was last hit: one that is hit three times in the same epoch fails.
    hit_at: BTreeMap<u64, u64>,
    chance: u64,
    pauses: usize,
    kills: usize,
}

impl Storm<'_> {
    /// Goes on for as long as trials are left.
    fn rage(&mut self) {
        let started = Instant::now();
        while !overview(self.project).is_complete() {
            assert!(started.elapsed() < LIMIT, "not complete after {LIMIT:?}");
            sleep(BETWEEN);
            self.wake(PAUSE);
            self.workers
                .retain_mut(|worker| match worker.child.try_wait().unwrap() {
                    // It found the study complete.
                    Some(status) => {
                        assert_ended_well(self.project, status);
                        false
                    }
                    None => true,
                });
            while self.workers.len() < JOBS {
                self.workers.push(Worker::start(self.project));
            }
            self.hit();
        }
    }

    /// Lets those go on that were paused for at least `pause`.
    fn wake(&mut self, pause: Duration) {
        for worker in &mut self.workers {
            if worker.paused_at.is_some_and(|at| at.elapsed() >= pause) {
                worker.send(Signal::SIGCONT);
                worker.paused_at = None;
            }
        }
    }

    /// Pauses or kills one that is in the middle of a trial, if at least one other is awake.
    fn hit(&mut self) {
        let trials = overview(self.project).running;
        let awake = self
            .workers
            .iter()
            .filter(|worker| worker.paused_at.is_none());
        if awake.count() < 2 || self.kills == HITS {
            return;
        }
        let in_the_middle = |trial: &&RunningTrial| {
            let epoch = trial.last.map_or(0, |last| last.step);
            epoch > self.hit_at.get(&trial.number).copied().unwrap_or(0)
        };
        let due: Vec<&RunningTrial> = trials.iter().filter(in_the_middle).collect();
        if due.is_empty() {
            return;
        }
        // Knuth's linear congruential generator; its high bits are the random ones.
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let trial = due[(self.chance >> 33) as usize % due.len()];
        let Some(at) = self.workers.iter().position(|worker| worker.runs(trial)) else {
            return;
        };
        self.hit_at
            .insert(trial.number, trial.last.map_or(0, |last| last.step));
        if self.pauses <= self.kills {
            self.workers[at].send(Signal::SIGSTOP);
            self.workers[at].paused_at = Some(Instant::now());
            self.pauses += 1;
        } else {
            // Dropping it kills it.
            self.workers.swap_remove(at);
            self.kills += 1;
        }
    }
}

/// How often each trial was ended, by its number.
fn ends(project: &Project) -> BTreeMap<u64, usize> {
    let mut ends = BTreeMap::new();
    for line in fs::read_to_string(project.study().join("journal.log"))
        .unwrap()
        .lines()
    {
        let line: Value = serde_json::from_str(line).unwrap();
        // Optuna's code for a new state, and those of complete, pruned and failed.
        if line["op_code"] == 6 && [1, 2, 3].map(Value::from).contains(&line["state"]) {
            *ends.entry(line["trial_id"].as_u64().unwrap()).or_default() += 1;
        }
    }
    ends
}

#[test]
fn paused_killed_and_replaced_processes_lose_nothing_and_finish_nothing_twice() {
    let calm = Project::new();
    calm.ends(&[&STUDY[..], &["--threads", "1"]].concat(), 0);
    let project = Project::new();
    project.ends(&[&STUDY[..], &["--minutes", "0.00001"]].concat(), 6);
    let mut storm = Storm {
        project: &project,
        workers: Vec::new(),
        hit_at: BTreeMap::new(),
        chance: 17,
        pauses: 0,
        kills: 0,
    };
    storm.rage();
    // Those that sleep have lost their trials; they notice, and end like the others.
    storm.wake(Duration::ZERO);
    for worker in &mut storm.workers {
        assert_ended_well(&project, worker.child.wait().unwrap());
    }
    let moved: u64 = overview(&project).moved.values().sum();
    eprintln!(
        "{} pauses, {} kills, {moved} trials taken over from paused processes",
        storm.pauses, storm.kills
    );
    assert!(moved >= 1 && storm.kills >= 2, "{moved}, {}", storm.kills);
    assert_eq!(project.table(), calm.table());
    let once: BTreeMap<u64, usize> = (0..8).map(|number| (number, 1)).collect();
    assert_eq!(ends(&project), once);
    // What the paused processes wrote is gone, too.
    let kept = fs::read_dir(project.study().join("trials")).unwrap();
    assert_eq!(kept.count(), 1);
}
