//! The process that measures: it reads a job from standard input and writes messages to standard output.

use crate::cli::output;
use mlestar_export::benchmark::{Job, Measured, MeasuringProcess};
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;
use mlestar_workflow::threads::set_threads;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Read};

/// One line of the measuring process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// The first image was predicted just now.
    FirstAnswer,
    /// Everything was measured; the last line.
    Measured(Box<Measured>),
    /// It cannot be measured, and why; the last line.
    Failed(String),
}

pub(super) fn run() -> Result<ExitCode, WorkflowError> {
    let failed = |reason: String| {
        say(&Message::Failed(reason));
        Ok(ExitCode::ProgramFailure)
    };
    let mut line = String::new();
    let job = match std::io::stdin().lock().read_line(&mut line) {
        Ok(_) => serde_json::from_str::<Job>(&line),
        Err(error) => return failed(format!("no job could be read: {error}")),
    };
    let job = match job {
        Ok(job) => job,
        Err(error) => return failed(format!("the job makes no sense: {error}")),
    };
    end_with_the_parent();
    set_threads(job.threads);
    match job.run(MeasuringProcess::Own, &mut || say(&Message::FirstAnswer)) {
        Ok(measured) => {
            say(&Message::Measured(Box::new(measured)));
            Ok(ExitCode::Pass)
        }
        Err(error) => failed(error.to_string()),
    }
}

fn say(message: &Message) {
    // Numbers, names and texts always can be written.
    if let Ok(line) = serde_json::to_string(message) {
        output::write_raw(format!("{line}\n").as_bytes());
    }
}

/// Ends this process when the one that started it ends, even if it is killed: its end of standard input closes then.
fn end_with_the_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        std::process::exit(ExitCode::Stopped.code().into());
    });
}
