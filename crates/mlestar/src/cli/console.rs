//! Shows a run as it goes: bars where standard error is a terminal, plain lines where it is not.

use crate::cli::colour::{self, Stream};
use crate::cli::gauges::Gauges;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use mlestar_gates::{StageVerdict, Status};
use mlestar_train::{EpochRecord, TrainEvent};
use mlestar_workflow::inputs::InputChange;
use mlestar_workflow::words::counted;
use mlestar_workflow::{Reporter, Stage};
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often a plain line is written during long work.
const PLAIN_LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How many changed settings are written out.
const MOST_CHANGES: usize = 30;

const COUNT_TEMPLATE: &str = "    {prefix:<24} {bar:12} {pos}/{len}  {eta} left  {rate}/s  {msg}";
/// Its message begins with time left and rate; what does not fit the terminal is cut off at the end.
const TRAINING_TEMPLATE: &str = "    {prefix} {bar:10} {pos}/{len}  {wide_msg}";
const BYTES_TEMPLATE: &str =
    "    {prefix:<24} {bar:12} {bytes}/{total_bytes}  {eta} left  {bytes_per_sec}";

/// Draws what a run reports on standard error.
pub struct Console {
    is_terminal: bool,
    bar: Option<(String, ProgressBar)>,
    last_plain_line: Instant,
    gauges: Option<Gauges>,
}

impl Console {
    pub fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            bar: None,
            last_plain_line: Instant::now(),
            gauges: None,
        }
    }

    /// Shows the readings of `gauges` with every training.
    pub fn with_gauges(self, gauges: Gauges) -> Self {
        Self {
            gauges: Some(gauges),
            ..self
        }
    }

    pub fn headline(&mut self, text: &str) {
        self.line(text);
    }

    fn line(&mut self, text: &str) {
        self.end_bar();
        if !text.is_empty() {
            eprintln!("{text}");
        }
    }

    /// Shows how many bytes of a transfer are done, with the rate and the time left.
    pub fn bytes(&mut self, task: &str, done: u64, total: u64) {
        self.advance_with(task, done, total, "", BYTES_TEMPLATE);
    }

    fn end_bar(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Moves the bar of `task`, which is made on its first call and ends with the next line.
    fn advance(&mut self, task: &str, done: u64, total: u64, detail: &str) {
        self.advance_with(task, done, total, detail, COUNT_TEMPLATE);
    }

    fn advance_with(&mut self, task: &str, done: u64, total: u64, detail: &str, template: &str) {
        if !self.is_terminal {
            if self.last_plain_line.elapsed() >= PLAIN_LINE_INTERVAL {
                self.last_plain_line = Instant::now();
                eprintln!("    {task}: {done}/{total} {detail}");
            }
            return;
        }
        if self.bar.as_ref().is_none_or(|(name, _)| name != task) {
            self.end_bar();
            let bar = ProgressBar::new(total).with_style(bar_style(template));
            bar.set_prefix(task.to_owned());
            self.bar = Some((task.to_owned(), bar));
        }
        if let Some((_, bar)) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(detail.to_owned());
        }
    }
}

fn bar_style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    // indicatif's own `per_sec` has four decimals.
    style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
        let _ = write!(out, "{:.0}", state.per_sec());
    })
}

impl Reporter for Console {
    fn config_changed(&mut self, changes: &[InputChange]) {
        self.line("the config differs from the one that this run was made with:");
        for change in changes.iter().take(MOST_CHANGES) {
            self.line(&format!("    {change}"));
        }
        if changes.len() > MOST_CHANGES {
            self.line(&format!("    and {} more", changes.len() - MOST_CHANGES));
        }
    }

    fn stage_started(&mut self, stage: Stage, reasons: &[String]) {
        let why = match reasons {
            [first, rest @ ..] if !rest.is_empty() => format!("{first}, and {} more", rest.len()),
            [only] => only.clone(),
            _ => String::new(),
        };
        self.line(&format!("{stage}  ({why})"));
    }

    fn stage_fresh(&mut self, stage: Stage) {
        self.line(&format!("{stage}  unchanged"));
    }

    fn stage_finished(&mut self, _stage: Stage, seconds: f64) {
        self.line(&format!("    done in {seconds:.1} s"));
    }

    fn gate_judged(&mut self, _stage: Stage, verdict: &StageVerdict) {
        let verdict = colour::verdict(&in_short(verdict), Stream::Err);
        self.line(&format!("    gate {verdict}"));
    }

    fn progress(&mut self, task: &str, done: u64, total: u64) {
        self.advance(task, done, total, "");
        if done >= total {
            self.end_bar();
        }
    }

    fn training(&mut self, label: &str, event: &TrainEvent) {
        match event {
            TrainEvent::Started {
                pictures_on_device: true,
                ..
            } => self.line(&format!(
                "    {label}: the device keeps and augments the training images"
            )),
            TrainEvent::InitialWeights { path, begun_anew } => {
                let head = match begun_anew.is_empty() {
                    true => "",
                    false => "; its head has another shape and is left out",
                };
                let path = path.display();
                self.line(&format!("    {label} starts from the weights of {path}{head}"));
            }
            TrainEvent::Teacher { path, correct, of } => self.line(&format!(
                "    {label} learns from {}, which classifies {correct} of {of} training images correctly",
                path.display()
            )),
            TrainEvent::Features {
                done,
                of,
                images_per_second,
            } => {
                let left = (of - done) as f64 / images_per_second.max(f64::MIN_POSITIVE);
                let detail = format!("{} left  {images_per_second:.0} images/s", clock(left));
                let task = format!("{label} features");
                self.advance_with(&task, *done as u64, *of as u64, &detail, TRAINING_TEMPLATE);
            }
            TrainEvent::Step(step) => {
                let task = format!("{label} epoch {}/{}", step.epoch, step.epochs);
                let detail = format!(
                    "{} left  {:.0} images/s  loss {:.3}  acc {:.3}  lr {:.2e}{}",
                    clock(step.eta_seconds),
                    step.images_per_second,
                    step.loss,
                    step.accuracy,
                    step.learning_rate,
                    self.gauges.as_ref().map(Gauges::text).unwrap_or_default(),
                );
                let (done, total) = (step.step as u64, step.steps as u64);
                self.advance_with(&task, done, total, &detail, TRAINING_TEMPLATE);
            }
            TrainEvent::Epoch(epoch) => self.line(&epoch_line(label, epoch)),
            TrainEvent::Resumed { epoch, steps, .. } => {
                let steps = match steps {
                    0 => String::new(),
                    steps => format!(", step {steps} of the next"),
                };
                self.line(&format!("    {label} resumes after epoch {epoch}{steps}"));
            }
            TrainEvent::CheckpointRefused { reason, .. } => {
                self.line(&format!("    {label}: {reason}; trying the checkpoint before it"));
            }
            TrainEvent::Remedy(remedy) => self.line(&format!("    {label}: {remedy}")),
            TrainEvent::TimeUp { minutes } => self.line(&format!(
                "    {label} ends after {minutes:.1} minutes, as training.max_minutes asks"
            )),
            TrainEvent::EarlyStop {
                best_epoch,
                epochs_without_progress,
            } => self.line(&format!(
                "    {label} stops early: no progress for {}; the best was epoch {best_epoch}",
                counted(*epochs_without_progress, "epoch")
            )),
            TrainEvent::Interrupted {
                finished_epochs,
                steps,
            } => self.line(&format!(
                "    {label} saved after epoch {finished_epochs}, step {steps} of the next"
            )),
            _ => {}
        }
    }

    fn note(&mut self, text: &str) {
        self.line(&format!("    {text}"));
    }
}

/// Seconds as `7 s`, `3:07` or `2:05:09`.
pub fn clock(seconds: f64) -> String {
    // A cast of what is out of range, or NaN, saturates.
    let seconds = seconds.round() as u64;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, minutes) => format!("{minutes}:{rest:02}"),
        (hours, minutes) => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}

fn in_short(verdict: &StageVerdict) -> String {
    let counts = verdict.counts();
    match verdict.status() {
        Status::Pass => format!("PASS ({})", counted(counts.total(), "criterion")),
        status => {
            let first = verdict.unmet().next();
            let message = first.map_or("", |verdict| verdict.message.as_str());
            format!("{status}: {message}")
        }
    }
}

/// Prints every criterion of a stage on standard output.
pub fn print_verdict(stage: Stage, verdict: &StageVerdict) {
    let of_stage = colour::verdict(&verdict.status().to_string(), Stream::Out);
    println!("{stage}: {of_stage}");
    for verdict in &verdict.verdicts {
        let status = colour::verdict(&format!("{:<13}", verdict.status.to_string()), Stream::Out);
        println!("    {status} {}", verdict.message);
        if verdict.status != Status::Pass {
            println!("    {:<13} {}", "", verdict.criterion.remedy);
        }
    }
}

/// The line about a finished epoch.
fn epoch_line(label: &str, epoch: &EpochRecord) -> String {
    let validation = match (epoch.validation_loss, epoch.validation_accuracy) {
        (Some(loss), Some(accuracy)) => {
            format!("val loss {loss:.3}  val acc {accuracy:.4}")
        }
        _ => "not validated".to_owned(),
    };
    let of_head = match &epoch.head {
        Some(head) => format!("  head on frozen features, C = {}", head.c),
        None => String::new(),
    };
    format!(
        "    {label} epoch {:>3}  loss {:.3}  acc {:.3}  {validation}{of_head}",
        epoch.epoch, epoch.train_loss, epoch.train_accuracy
    )
}

#[cfg(test)]
mod tests {
    use mlestar_train::EpochRecord;

    use super::{clock, epoch_line};

    #[test]
    fn an_epoch_without_a_validation_says_so() {
        let record = |validation: &str| -> EpochRecord {
            let text = format!(
                r#"{{"epoch": 7, "learning_rate": 0.1, "train_loss": 1.25, "train_accuracy": 0.5,
                "gradient_norm_mean": 1.0, "seconds": 10.0,
                "validation_seconds": 1.0, "images_per_second": 450.4{validation}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let validated = record(r#", "validation_loss": 0.75, "validation_accuracy": 0.8125"#);
        assert_eq!(
            epoch_line("baseline", &validated),
            "    baseline epoch   7  loss 1.250  acc 0.500  val loss 0.750  val acc 0.8125"
        );
        assert_eq!(
            epoch_line("baseline", &record("")),
            "    baseline epoch   7  loss 1.250  acc 0.500  not validated"
        );
    }

    #[test]
    fn times_are_short() {
        assert_eq!(clock(7.4), "7 s");
        assert_eq!(clock(187.0), "3:07");
        assert_eq!(clock(7509.0), "2:05:09");
        assert_eq!(clock(f64::NAN), "0 s");
    }
}
