//! `monitor`.

use crate::cli::arguments::MonitorOptions;
use crate::cli::{project, signals};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mlestar_gates::ExitCode;
use mlestar_train::StopSignal;
use mlestar_train::analysis::Finding;
use mlestar_workflow::WorkflowError;
use mlestar_workflow::monitor::{RunMonitor, RunState, TrainingState};
use std::io::{IsTerminal, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often the run is read while a terminal shows it.
const REFRESH: Duration = Duration::from_secs(1);
/// How often a plain line is written.
const PLAIN_LINE_INTERVAL: Duration = Duration::from_secs(5);
/// A training that has recorded nothing for this long may have stopped.
const SILENCE_SECONDS: f64 = 120.0;

pub fn run(options: &MonitorOptions) -> Result<ExitCode, WorkflowError> {
    let project = project::open_at(&options.project, options.folder.as_deref())?.with_run()?;
    let mut monitor = RunMonitor::new(&project.run, &project.config);
    if options.once {
        print_block(&monitor.look()?)?;
        return Ok(ExitCode::Pass);
    }
    let stop = signals::silent_stop_signal();
    if std::io::stdout().is_terminal() {
        in_place(&mut monitor, &stop)?;
    } else {
        plain_lines(&mut monitor, &stop)?;
    }
    Ok(match stop.is_requested() {
        true => ExitCode::Stopped,
        false => ExitCode::Pass,
    })
}

/// Waits until the time is over or a stop is requested; true if it was.
fn wait(time: Duration, stop: &StopSignal) -> bool {
    let started = Instant::now();
    while started.elapsed() < time {
        if stop.is_requested() {
            return true;
        }
        sleep(Duration::from_millis(50));
    }
    stop.is_requested()
}

/// Redraws the state in place until the stage has ended.
fn in_place(monitor: &mut RunMonitor, stop: &StopSignal) -> Result<(), WorkflowError> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
    let style = ProgressStyle::with_template("{msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    loop {
        let state = match monitor.look() {
            Ok(state) => state,
            Err(error) => {
                bar.finish_and_clear();
                return Err(error);
            }
        };
        bar.set_message(block(&state).join("\n"));
        bar.tick();
        if state.is_over || wait(REFRESH, stop) {
            bar.finish_and_clear();
            return print_block(&state);
        }
    }
}

fn plain_lines(monitor: &mut RunMonitor, stop: &StopSignal) -> Result<(), WorkflowError> {
    loop {
        let state = monitor.look()?;
        if !print(&line(&state)) || state.is_over || wait(PLAIN_LINE_INTERVAL, stop) {
            return Ok(());
        }
    }
}

/// False when the output is closed, as after `| head`.
fn print(text: &str) -> bool {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .is_ok()
}

fn print_block(state: &RunState) -> Result<(), WorkflowError> {
    print(&block(state).join("\n"));
    Ok(())
}

/// The whole state, one item per line.
fn block(state: &RunState) -> Vec<String> {
    let mut lines = vec![headline(state)];
    if let Some(training) = &state.training {
        lines.extend(training_lines(training));
    }
    lines.push(row("memory", memory(state)));
    if let Some(training) = &state.training {
        lines.extend(training.findings.iter().map(finding_line));
    }
    lines
}

fn row(name: &str, text: impl std::fmt::Display) -> String {
    format!("  {name:<10} {text}")
}

fn headline(state: &RunState) -> String {
    let training = match &state.training {
        Some(training) => training.name.as_str(),
        None => "no training yet",
    };
    let stage = match state.unfinished_stage {
        Some(stage) => format!("stage {stage} has started"),
        None => "no stage is running".to_owned(),
    };
    let silence = state
        .training
        .as_ref()
        .and_then(|training| training.seconds_since_record);
    match silence.filter(|seconds| *seconds > SILENCE_SECONDS && !state.is_over) {
        Some(seconds) => format!(
            "{training}  ({stage}; nothing recorded for {})",
            duration(seconds)
        ),
        None if state.is_over => format!("{training}  (finished)"),
        None => format!("{training}  ({stage})"),
    }
}

fn training_lines(training: &TrainingState) -> Vec<String> {
    let mut lines = vec![row("epoch", progress(training))];
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    let last = training.last_epoch.as_ref();
    // Of the last epoch; one that was not validated has no such figures.
    let of_epoch =
        |value: fn(&mlestar_train::EpochRecord) -> Option<f64>| number(last.and_then(value));
    lines.push(row(
        "loss",
        format!(
            "{} training, {} validation",
            number(training.loss),
            of_epoch(|epoch| epoch.validation_loss)
        ),
    ));
    let best = training.best_epoch.as_ref();
    let best = best.and_then(|best| {
        let accuracy = best.validation_accuracy?;
        Some(format!(", best {accuracy:.4} in epoch {}", best.epoch))
    });
    let best = best.unwrap_or_default();
    lines.push(row(
        "accuracy",
        format!(
            "{} training, {} validation{best}",
            of_epoch(|epoch| Some(epoch.train_accuracy)),
            of_epoch(|epoch| epoch.validation_accuracy)
        ),
    ));
    let rate = training
        .learning_rate
        .map_or("-".to_owned(), |rate| format!("{rate:.3e}"));
    lines.push(row("rate", rate));
    lines.push(row("speed", speed(training)));
    lines.push(row(
        "time left",
        training.seconds_left.map_or("-".to_owned(), duration),
    ));
    lines
}

fn progress(training: &TrainingState) -> String {
    let epoch = format!("{} of {}", training.epoch, training.epochs);
    match (training.step, training.steps_per_epoch) {
        _ if training.epochs_done >= training.epochs => format!("{epoch}, all finished"),
        (Some(step), Some(steps)) => format!("{epoch}, step {step} of {steps}"),
        (Some(step), None) => format!("{epoch}, step {step}"),
        (None, _) => epoch,
    }
}

fn speed(training: &TrainingState) -> String {
    let speed = training.images_per_second;
    speed.map_or("-".to_owned(), |speed| format!("{speed:.0} images/s"))
}

fn memory(state: &RunState) -> String {
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    match state.memory_bytes {
        Some((available, total)) => format!(
            "{:.1} of {:.1} GB in use",
            gigabytes(total.saturating_sub(available)),
            gigabytes(total)
        ),
        None => "-".to_owned(),
    }
}

fn finding_line(finding: &Finding) -> String {
    let text = format!("{}: {}", finding.kind.title(), finding.statement);
    row(finding.severity.word(), text)
}

/// The same in one line.
fn line(state: &RunState) -> String {
    let Some(training) = &state.training else {
        return format!("{}  memory {}", headline(state), memory(state));
    };
    let mut parts = vec![
        headline(state),
        format!("epoch {}", progress(training)),
        format!(
            "loss {}",
            training
                .loss
                .map_or("-".into(), |loss| format!("{loss:.4}"))
        ),
    ];
    let last = training.last_epoch.as_ref();
    if let Some(accuracy) = last.and_then(|last| last.validation_accuracy) {
        parts.push(format!("validation accuracy {accuracy:.4}"));
    }
    if let Some(rate) = training.learning_rate {
        parts.push(format!("rate {rate:.2e}"));
    }
    parts.push(speed(training));
    if let Some(left) = training.seconds_left {
        parts.push(format!("{} left", duration(left)));
    }
    parts.push(format!("memory {}", memory(state)));
    if !training.findings.is_empty() {
        let kinds: Vec<&str> = training.findings.iter().map(|f| f.kind.title()).collect();
        parts.push(format!("findings: {}", kinds.join(", ")));
    }
    parts.join("  ")
}

/// `45 s`, `12 min 05 s`, `3 h 02 min`.
fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_the_unit_that_fits() {
        assert_eq!(
            [0.4, 59.0, 61.0, 3599.6, 1e4].map(duration),
            ["0 s", "59 s", "1 min 01 s", "1 h 00 min", "2 h 46 min"]
        );
        assert_eq!(duration(f64::NAN), "0 s");
    }

    #[test]
    fn a_run_without_a_training_and_without_known_memory_is_shown() {
        let state = RunState {
            unfinished_stage: None,
            training: None,
            memory_bytes: None,
            is_over: false,
        };
        assert!(line(&state).starts_with("no training yet"));
        assert_eq!(block(&state)[1], "  memory     -");
    }
}
