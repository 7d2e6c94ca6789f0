//! Processes of this program that share the work of a folder.

use crate::cli::own_program::own_program;
use mlestar_gates::ExitCode;
use mlestar_train::StopSignal;
use mlestar_workflow::WorkflowError;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

/// Of each process, the last lines of its error output are kept.
const LINES_KEPT: usize = 20;

/// A variable of the environment: the number of the process that this one replaces, because that one was killed. `continuing.sh`
/// sets it, too.
const REPLACES: &str = "MLESTAR_REPLACES";

/// The number of the process that this one replaces.
pub fn replaced() -> Option<u32> {
    std::env::var(REPLACES).ok()?.parse().ok()
}

/// Processes of this program that do a part of the work each. They are asked to stop when this value goes, or when the process that
/// holds it ends: their standard input closes then.
pub struct Workers {
    program: PathBuf,
    arguments: Vec<String>,
    running: Vec<Worker>,
    /// Ends by a signal or a crash since the work last got further.
    n_lost: usize,
    most_lost: usize,
}

struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    errors: Option<JoinHandle<Vec<String>>>,
}

/// How a process ended that will not be replaced.
pub enum Ended {
    /// Nothing was left for the process to do, or it was asked to stop.
    AsPlanned,
    /// The program failed; its exit code and what it said last.
    Failed(ExitCode, String),
}

impl Workers {
    /// Starts `jobs` processes with `threads` threads each. They run `COMMAND work FOLDER`, with an option `--child` by which
    /// they know that they are [to stop with this process](stop_with_parent).
    pub fn start(
        command: &str,
        folder: &Path,
        device: &str,
        jobs: usize,
        threads: usize,
    ) -> Result<Self, WorkflowError> {
        let program = own_program(command).ok_or_else(|| {
            WorkflowError::Usage(format!(
                "this program cannot start itself; use `mlestar {command} work`"
            ))
        })?;
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let threads = threads.to_string();
        let folder = folder.to_string_lossy().into_owned();
        let words = [
            command,
            "work",
            &folder,
            "--child",
            "--device",
            device,
            "--threads",
            &threads,
        ];
        let mut workers = Self {
            program,
            arguments: words.map(str::to_owned).to_vec(),
            running: Vec::new(),
            n_lost: 0,
            // A trial that kills its process is given up after the third time, and then it is finished.
            most_lost: 3 * jobs + 2,
        };
        for _ in 0..jobs {
            workers.add(None)?;
        }
        Ok(workers)
    }

    fn add(&mut self, replaces: Option<u32>) -> Result<(), WorkflowError> {
        let cannot = |error| WorkflowError::Usage(format!("a worker cannot be started: {error}"));
        let mut command = Command::new(&self.program);
        match replaces {
            Some(process) => command.env(REPLACES, process.to_string()),
            None => command.env_remove(REPLACES),
        };
        let mut child = command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(cannot)?;
        self.running.push(Worker {
            stdin: child.stdin.take(),
            errors: child.stderr.take().map(last_lines),
            child,
        });
        Ok(())
    }

    /// Whether no process is left.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Asks all to save what they do and to end.
    pub fn ask_to_stop(&mut self) {
        for worker in &mut self.running {
            worker.stdin = None;
        }
    }

    /// The work got further: processes that end now are not the same trouble as before.
    pub fn got_further(&mut self) {
        self.n_lost = 0;
    }

    /// Looks which processes have ended. One that a signal ended, as when memory runs out, is replaced unless
    /// all are to stop, or that happens again and again.
    pub fn look(&mut self, is_stopping: bool) -> Result<Vec<Ended>, WorkflowError> {
        let mut ended = Vec::new();
        let mut at = 0;
        while at < self.running.len() {
            let status = self.running[at].child.try_wait();
            let Some(status) = status.unwrap_or_default() else {
                at += 1;
                continue;
            };
            let mut worker = self.running.swap_remove(at);
            let lines = worker.errors.take().and_then(|thread| thread.join().ok());
            let said = lines.unwrap_or_default();
            match known_code(status) {
                Some(ExitCode::Pass | ExitCode::Stopped) => ended.push(Ended::AsPlanned),
                Some(code) => ended.push(Ended::Failed(code, last_error(&said))),
                None if is_stopping => ended.push(Ended::AsPlanned),
                None => {
                    self.n_lost += 1;
                    if self.n_lost > self.most_lost {
                        let how = format!("{status}, again and again: {}", last_error(&said));
                        ended.push(Ended::Failed(ExitCode::ProgramFailure, how));
                    } else {
                        self.add(Some(worker.child.id()))?;
                    }
                }
            }
        }
        Ok(ended)
    }
}

/// Asks for a stop when standard input closes, as it does when the process that started this one ends.
pub fn stop_with_parent(stop: &StopSignal) {
    let stop = stop.clone();
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        let mut input = std::io::stdin().lock();
        while !matches!(input.read(&mut bytes), Ok(0) | Err(_)) {}
        stop.request();
    });
}

/// The exit code, if the process ended by itself; a second signal ends it with another one.
fn known_code(status: ExitStatus) -> Option<ExitCode> {
    let code = status.code()?;
    [
        ExitCode::Pass,
        ExitCode::ProgramFailure,
        ExitCode::Usage,
        ExitCode::MissingArtifact,
        ExitCode::Stopped,
    ]
    .into_iter()
    .find(|known| i32::from(known.code()) == code)
}

fn last_error(lines: &[String]) -> String {
    let error = lines.iter().rfind(|line| line.starts_with("error: "));
    let error = error.or(lines.last()).cloned().unwrap_or_default();
    error.trim_start_matches("error: ").to_owned()
}

fn last_lines(stderr: ChildStderr) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut kept = std::collections::VecDeque::new();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if kept.len() == LINES_KEPT {
                kept.pop_front();
            }
            kept.push_back(line);
        }
        kept.into()
    })
}
