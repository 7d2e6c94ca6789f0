//! `bench peers`.

use super::error::BenchError;
use super::hardware::Hardware;
use super::peer_jobs::{Job, PeerScript, TRAIN_MEMORY_PEER};
use super::peer_output::{Peer, PeerOutput};
use super::report::{Figures, Outcome, PeerRow, PeerSource, Report};
use super::{DEBUG_WARNING, date, ours, peers_table, warn_of_debug_assertions};
use crate::arguments::{OnlyPart, PeersOptions, ProjectOptions};
use crate::project;
use mlestar_artifact::{ArtifactError, write_atomically};
use mlestar_workflow::WorkflowError;
use std::path::Path;
use std::process::Command;

pub fn run(options: &PeersOptions) -> Result<(), BenchError> {
    let threads = project::set_threads(&ProjectOptions {
        threads: options.threads,
        ..ProjectOptions::default()
    })?;
    let batch = usize::from(options.batch);
    if options.only == Some(OnlyPart::Train) {
        // A line of the form that peers print, read by `our_training_memory`.
        if let Some(bytes) = ours::training_memory(batch)? {
            println!("peak_memory_bytes {bytes}");
        }
        return Ok(());
    }
    warn_of_debug_assertions();
    let peers = Peers::gather(options, threads, batch)?;
    // Only now, so that nothing of ours competes with a peer.
    eprintln!("our own figures");
    let mut figures = ours::measure(batch)?;
    figures.training_peak_memory_bytes = our_training_memory(threads, batch);
    let report = report(options, threads, figures, peers);
    print!("{}", peers_table::render(&report));
    if let Some(path) = &options.json {
        let mut json = serde_json::to_vec_pretty(&report)?;
        json.push(b'\n');
        write_atomically(path, &json).map_err(WorkflowError::from)?;
    }
    Ok(())
}

/// What is known of the peers.
struct Peers {
    source: PeerSource,
    output: PeerOutput,
    /// Jobs that failed, and why.
    failures: Vec<(Job, String)>,
}

impl Peers {
    fn gather(options: &PeersOptions, threads: usize, batch: usize) -> Result<Self, BenchError> {
        let mut peers = Self {
            source: PeerSource::None,
            output: PeerOutput::default(),
            failures: Vec::new(),
        };
        if !options.saved.is_empty() {
            peers.source = PeerSource::Saved;
            for path in &options.saved {
                peers.output.read(&read_saved(path)?, batch);
            }
        } else if !options.no_run {
            peers.source = PeerSource::SameRun;
            peers.run_jobs(&PeerScript {
                python: &options.python,
                script: &options.script,
                threads,
                batch,
            });
        }
        Ok(peers)
    }

    fn run_jobs(&mut self, script: &PeerScript<'_>) {
        for job in Job::ALL {
            let result = script.run(job);
            let mut text = format!("job {}\n", job.name()).into_bytes();
            text.extend(result.stdout);
            self.output.read(&text, script.batch);
            if let Some(reason) = result.failure {
                self.failures.push((job, reason));
            }
        }
        // Every job of a script tells the same versions.
        let versions = &mut self.output.versions;
        versions.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        versions.dedup();
    }

    fn row(&self, peer: Peer) -> PeerRow {
        let outcome = match self.output.figures.get(&peer) {
            Some(figures) => {
                let mut figures = *figures;
                if peer == TRAIN_MEMORY_PEER {
                    figures.training_peak_memory_bytes = self.output.peak_memory_bytes;
                }
                Outcome::Measured(figures)
            }
            None => Outcome::NotAvailable(self.reason(Job::of(peer))),
        };
        PeerRow {
            name: peer.name(),
            outcome,
        }
    }

    /// Why a job has no figures.
    fn reason(&self, job: Job) -> String {
        let failure = self.failures.iter().find(|(failed, _)| *failed == job);
        match (failure, self.source) {
            (Some((_, reason)), _) => reason.clone(),
            (None, PeerSource::SameRun) => format!("`{}` printed no such line", job.name()),
            (None, PeerSource::Saved) => "not among the saved outputs".to_owned(),
            (None, PeerSource::None) => "not asked for".to_owned(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.source == PeerSource::Saved {
            notes.push(
                "The peers' figures were saved earlier: they are not of the same run as ours, and \
                 may be of another machine."
                    .to_owned(),
            );
        }
        if self.source == PeerSource::SameRun && self.output.peak_memory_bytes.is_none() {
            notes.push(format!(
                "Memory of PyTorch's training is not available: {}",
                self.reason(Job::TrainMemory)
            ));
        }
        for line in &self.output.malformed {
            notes.push(format!("A peer's line was not understood: `{line}`"));
        }
        notes
    }
}

fn read_saved(path: &Path) -> Result<Vec<u8>, WorkflowError> {
    std::fs::read(path).map_err(|source| {
        let path = path.to_owned();
        ArtifactError::Read { path, source }.into()
    })
}

/// The peak memory of a process of our own that only trains. `None` where it cannot be had: the other
/// figures are worth printing without it.
fn our_training_memory(threads: usize, batch: usize) -> Option<u64> {
    let output = Command::new(std::env::current_exe().ok()?)
        .args(["bench", "peers", "--only", "train"])
        .args(["--threads", &threads.to_string()])
        .args(["--batch", &batch.to_string()])
        .output()
        .ok()?;
    let mut read = PeerOutput::default();
    read.read(&output.stdout, batch);
    read.peak_memory_bytes
}

fn report(options: &PeersOptions, threads: usize, ours: Figures, peers: Peers) -> Report {
    let rows = match peers.source {
        PeerSource::None => Vec::new(),
        PeerSource::SameRun | PeerSource::Saved => {
            Peer::ALL.into_iter().map(|peer| peers.row(peer)).collect()
        }
    };
    let mut notes = peers.notes();
    if cfg!(debug_assertions) {
        notes.insert(0, format!("WARNING: {DEBUG_WARNING}."));
    }
    Report {
        date: date::today(),
        command: command_line(std::env::args().skip(1)),
        hardware: Hardware::detect(),
        threads,
        batch: usize::from(options.batch),
        debug_assertions: cfg!(debug_assertions),
        ours,
        peer_source: peers.source,
        peers: rows,
        versions: peers.output.versions,
        notes,
    }
}

/// The command that measures without debug assertions, whatever this build has.
fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let mut line = "cargo run --release -p xtask --".to_owned();
    for argument in arguments {
        let is_plain = !argument.is_empty()
            && argument
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_./=:,+".contains(c));
        line.push(' ');
        match is_plain {
            true => line.push_str(&argument),
            false => line.push_str(&format!("'{}'", argument.replace('\'', "'\\''"))),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(source: PeerSource, text: &str, failures: Vec<(Job, String)>) -> Peers {
        let mut output = PeerOutput::default();
        output.read(text.as_bytes(), 128);
        Peers {
            source,
            output,
            failures,
        }
    }

    #[test]
    fn a_job_that_failed_is_a_row_with_its_reason() {
        let failures = vec![
            (Job::ThroughputCompiled, "no C++ compiler".to_owned()),
            (Job::TrainMemory, "invalid choice".to_owned()),
        ];
        let line = "contiguous f32 train 1.0 img/s infer 2.0 img/s single 3.0 ms";
        let peers = peers(PeerSource::SameRun, line, failures);
        let outcomes: Vec<Outcome> = Peer::ALL.map(|peer| peers.row(peer).outcome).into();
        assert!(matches!(outcomes[0], Outcome::Measured(_)));
        assert_eq!(
            outcomes[2],
            Outcome::NotAvailable("no C++ compiler".to_owned())
        );
        assert_eq!(
            outcomes[4],
            Outcome::NotAvailable("`onnx` printed no such line".to_owned())
        );
        assert_eq!(
            peers.notes(),
            ["Memory of PyTorch's training is not available: invalid choice"]
        );
    }

    #[test]
    fn saved_outputs_are_said_to_be_of_another_run() {
        let peers = peers(PeerSource::Saved, "contiguous f32 train", Vec::new());
        let notes = peers.notes();
        assert!(notes[0].contains("not of the same run"), "{notes:?}");
        assert!(notes[1].contains("`contiguous f32 train`"), "{notes:?}");
    }

    #[test]
    fn the_command_line_can_be_pasted() {
        let words = ["bench", "peers", "--json", "my file's.json", ""];
        assert_eq!(
            command_line(words.map(str::to_owned).into_iter()),
            "cargo run --release -p xtask -- bench peers --json 'my file'\\''s.json' ''"
        );
    }
}
