//! Starts the process that measures, and reads what it says.

use super::child::Message;
use crate::cli::own_program::own_program;
use mlestar_export::benchmark::{Job, Measured};
use mlestar_gates::ExitCode;
use mlestar_train::StopSignal;
use mlestar_workflow::WorkflowError;
use mlestar_workflow::model_benchmark::ModelMeasurer;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a request to stop is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// The longest message, and the most that is kept of the error output.
const MOST_BYTES: u64 = 16 << 20;
const MOST_ERROR_BYTES: u64 = 1 << 16;

/// Measures models in processes of this program.
pub struct ModelProcess {
    program: PathBuf,
    arguments: Vec<String>,
    stop: StopSignal,
}

impl ModelProcess {
    /// `None` where `bench-model` is no command at the top level of this program, or its file is unknown.
    pub fn of_this_program(stop: &StopSignal) -> Option<Self> {
        let program = own_program("bench-model")?;
        Some(Self {
            program,
            arguments: ["bench-model", "--child"].map(str::to_owned).to_vec(),
            stop: stop.clone(),
        })
    }

    fn start(&self, job: &Job) -> Result<Running, WorkflowError> {
        let started = Instant::now();
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failure(format!("cannot be started: {error}")))?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut running = Running {
            child,
            started,
            lines: lines_of(stdout),
            errors: Some(errors_of(stderr)),
            stdin,
        };
        let mut text = serde_json::to_string(job)
            .map_err(|error| failure(format!("cannot be given its job: {error}")))?;
        text.push('\n');
        if let Some(stdin) = &mut running.stdin {
            // If it has ended already, its exit code says more than the closed pipe.
            let _ = stdin.write_all(text.as_bytes());
        }
        Ok(running)
    }
}

impl ModelMeasurer for ModelProcess {
    fn measure(&self, job: &Job) -> Result<Measured, WorkflowError> {
        let mut running = self.start(job)?;
        let mut first_answer = None;
        let mut measured = None;
        loop {
            let (when, line) = match running.lines.recv_timeout(LOOK) {
                _ if self.stop.is_requested() => return Err(stopped()),
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            match serde_json::from_str(&line) {
                Ok(Message::FirstAnswer) => first_answer = Some(when - running.started),
                Ok(Message::Measured(figures)) => measured = Some(figures),
                Ok(Message::Failed(reason)) => return Err(failure(format!("failed: {reason}"))),
                Err(_) => {
                    let start: String = line.chars().take(80).collect();
                    return Err(failure(format!(
                        "said something that is no figure: {start:?}; does another program have its name?"
                    )));
                }
            }
        }
        let (status, errors) = running.end()?;
        match measured {
            Some(mut measured) if status.success() => {
                let milliseconds = first_answer.map(|time| time.as_secs_f64() * 1e3);
                let start = &mut measured.cold_start;
                start.process_to_answer_ms = milliseconds.map(|time| time - start.images_ms);
                Ok(*measured)
            }
            _ if status.code() == Some(ExitCode::Stopped.code().into()) => Err(stopped()),
            _ => Err(failure(ended(status, &errors))),
        }
    }
}

/// A process that measures. It does not outlive this value.
struct Running {
    child: Child,
    started: Instant,
    lines: Receiver<(Instant, String)>,
    errors: Option<JoinHandle<String>>,
    /// Open until the end: the process ends when it closes.
    stdin: Option<std::process::ChildStdin>,
}

impl Running {
    /// Waits for its end, which is near because it has closed its output; its status and error output.
    fn end(&mut self) -> Result<(ExitStatus, String), WorkflowError> {
        self.stdin = None;
        let status = self
            .child
            .wait()
            .map_err(|error| failure(format!("cannot be waited for: {error}")))?;
        let errors = self.errors.take().and_then(|thread| thread.join().ok());
        Ok((status, errors.unwrap_or_default()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of its output with the time at which they came.
fn lines_of(stdout: Option<ChildStdout>) -> Receiver<(Instant, String)> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let Some(stdout) = stdout else { return };
        let mut reader = BufReader::new(stdout.take(MOST_BYTES));
        loop {
            let mut line = Vec::new();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send((Instant::now(), line)).is_err() {
                return;
            }
        }
    });
    lines
}

fn errors_of(stderr: Option<ChildStderr>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr
                .by_ref()
                .take(MOST_ERROR_BYTES)
                .read_to_end(&mut bytes);
            // A full pipe would block the process.
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        }
        String::from_utf8_lossy(&bytes).trim().to_owned()
    })
}

fn failure(reason: String) -> WorkflowError {
    WorkflowError::ModelProcess { reason }
}

fn stopped() -> WorkflowError {
    WorkflowError::Stopped {
        doing: "measuring a model",
    }
}

/// How it ended, in words.
fn ended(status: ExitStatus, errors: &str) -> String {
    let memory = "; is there enough memory?";
    let how = match (status.code(), signal(status)) {
        (Some(code), _) => format!("ended with exit code {code} before it had measured"),
        (None, Some(signal)) => {
            format!("was ended by signal {signal} before it had measured{memory}")
        }
        (None, None) => "ended before it had measured".to_owned(),
    };
    match errors.lines().last() {
        Some(last) => format!("{how}: {last}"),
        None => how,
    }
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use mlestar_export::benchmark::Candidate;

    /// The error of measuring with a shell script in place of the program.
    #[allow(clippy::unwrap_used)] // Clippy exempts only functions marked `#[test]`.
    fn error_of(script: &str, stop: &StopSignal) -> WorkflowError {
        let process = ModelProcess {
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            stop: stop.clone(),
        };
        let job = Job {
            package: "package".into(),
            candidate: Candidate::SafetensorsF32,
            threads: 1,
            seed: 0,
            scenarios: Vec::new(),
        };
        process.measure(&job).unwrap_err()
    }

    fn message(script: &str) -> String {
        error_of(script, &StopSignal::default()).to_string()
    }

    #[test]
    fn a_process_that_fails_says_how() {
        insta::assert_snapshot!(message("echo first >&2; echo 'thread panicked' >&2; exit 101"), @"the process that measures the model ended with exit code 101 before it had measured: thread panicked");
        insta::assert_snapshot!(message("kill -9 $$"), @"the process that measures the model was ended by signal 9 before it had measured; is there enough memory?");
        insta::assert_snapshot!(message("echo hello; sleep 30"), @r#"the process that measures the model said something that is no figure: "hello"; does another program have its name?"#);
        insta::assert_snapshot!(message(r"printf '\377\376\n'"), @r#"the process that measures the model said something that is no figure: "��"; does another program have its name?"#);
        insta::assert_snapshot!(message(r#"echo '{"failed":"model.onnx: altered"}'; exit 1"#), @"the process that measures the model failed: model.onnx: altered");
        insta::assert_snapshot!(message(r#"echo '"first_answer"'"#), @"the process that measures the model ended with exit code 0 before it had measured");
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error() {
        let process = ModelProcess {
            program: "/nowhere/at/all".into(),
            arguments: Vec::new(),
            stop: StopSignal::default(),
        };
        let job = serde_json::from_str::<Job>(
            r#"{"package": "p", "candidate": "onnx-f32", "threads": 1, "seed": 0, "scenarios": []}"#,
        );
        let error = process.measure(&job.unwrap()).unwrap_err().to_string();
        assert!(error.contains("cannot be started"), "{error}");
    }

    #[test]
    fn a_stop_ends_the_process() {
        let stop = StopSignal::default();
        stop.request();
        let begin = Instant::now();
        let error = error_of("sleep 60", &stop);
        assert_eq!(error.exit_code(), ExitCode::Stopped);
        assert!(begin.elapsed() < Duration::from_secs(30));
        // A terminal's Ctrl-C reaches the process first.
        let error = error_of("exit 6", &StopSignal::default());
        assert_eq!(error.exit_code(), ExitCode::Stopped);
    }
}
