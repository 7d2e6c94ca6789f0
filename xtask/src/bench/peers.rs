//! `bench peers`.

use super::arguments::{Network, OnlyPart, PeersOptions};
use super::error::BenchError;
use super::hardware::Hardware;
use super::ours::Own;
use super::peer_jobs::{Job, PeerScript, TRAIN_MEMORY_PEER};
use super::peer_output::{Peer, PeerOutput, Version};
use super::report::{Figures, Outcome, PeerRow, PeerSource, Report, Round};
use super::{DEBUG_WARNING, date, ours, peers_table, warn_of_debug_assertions};
use mlestar::cli::{command_line, set_threads};
use mlestar_artifact::{ArtifactError, write_atomically};
use mlestar_workflow::WorkflowError;
use std::path::Path;
use std::process::Command;

pub fn run(options: &PeersOptions) -> Result<(), BenchError> {
    let threads = set_threads(options.threads)?;
    let batch = usize::from(options.batch);
    if options.only == Some(OnlyPart::Train) {
        // A line in the format of the peers, read by `our_training_memory`.
        if let Some(bytes) = ours::training_memory(options.network, batch)? {
            println!("peak_memory_bytes {bytes}");
        }
        return Ok(());
    }
    warn_of_debug_assertions();
    let mut peers = Peers::new(options, batch)?;
    let mut own = Vec::new();
    for round in 1..=options.rounds {
        if options.rounds > 1 {
            eprintln!("round {round} of {}", options.rounds);
        }
        if peers.source == PeerSource::SameRun {
            peers.run_jobs(&PeerScript {
                python: &options.python,
                script: &options.script,
                threads,
                batch,
                network: options.network,
            });
        }
        // Only now, so that our own code does not compete with a peer.
        eprintln!("our own figures");
        own.push(ours::measure(options.network, batch)?);
    }
    let memory = our_training_memory(options.network, threads, batch);
    for own in &mut own {
        own.figures.training_peak_memory_bytes = memory;
    }
    let report = report(options, threads, &own, &peers);
    print!("{}", peers_table::render(&report));
    if let Some(path) = &options.json {
        let mut json = serde_json::to_vec_pretty(&report)?;
        json.push(b'\n');
        write_atomically(path, &json).map_err(WorkflowError::from)?;
    }
    Ok(())
}

/// The results of the peers.
struct Peers {
    source: PeerSource,
    /// The results of each round; saved outputs count as one round.
    rounds: Vec<PeerOutput>,
    /// Jobs that failed, and why.
    failures: Vec<(Job, String)>,
}

impl Peers {
    /// With the saved outputs, if requested.
    fn new(options: &PeersOptions, batch: usize) -> Result<Self, BenchError> {
        let mut peers = Self {
            source: match (options.saved.is_empty(), options.no_run) {
                (false, _) => PeerSource::Saved,
                (true, false) => PeerSource::SameRun,
                (true, true) => PeerSource::None,
            },
            rounds: Vec::new(),
            failures: Vec::new(),
        };
        if peers.source == PeerSource::Saved {
            let mut output = PeerOutput::default();
            for path in &options.saved {
                output.read(&read_saved(path)?, batch);
            }
            peers.rounds.push(output);
        }
        Ok(peers)
    }

    /// One round.
    fn run_jobs(&mut self, script: &PeerScript<'_>) {
        let mut output = PeerOutput::default();
        for job in Job::ALL {
            // The memory of a training is the same in every round.
            if job == Job::TrainMemory && !self.rounds.is_empty() {
                continue;
            }
            let result = script.run(job);
            let mut text = format!("job {}\n", job.name()).into_bytes();
            text.extend(result.stdout);
            output.read(&text, script.batch);
            if let Some(reason) = result.failure {
                self.failures.push((job, reason));
            }
        }
        self.rounds.push(output);
    }

    fn peak_memory_bytes(&self) -> Option<u64> {
        self.rounds
            .iter()
            .find_map(|output| output.peak_memory_bytes)
    }

    /// The results of `peer` in the round with this index; saved outputs count for every round.
    fn figures(&self, round: usize, peer: Peer) -> Option<Figures> {
        let output = self.rounds.get(round).or(self.rounds.last())?;
        let mut figures = *output.figures.get(&peer)?;
        if peer == TRAIN_MEMORY_PEER {
            figures.training_peak_memory_bytes = self.peak_memory_bytes();
        }
        Some(figures)
    }

    fn row(&self, peer: Peer) -> PeerRow {
        let rounds = (0..self.rounds.len()).filter_map(|round| self.figures(round, peer));
        let measured: Vec<Figures> = rounds.collect();
        PeerRow {
            name: peer.name(),
            outcome: match measured.is_empty() {
                true => Outcome::NotAvailable(self.reason(Job::of(peer))),
                false => Outcome::Measured(Figures::medians(&measured)),
            },
        }
    }

    fn versions(&self) -> Vec<Version> {
        let mut versions: Vec<Version> = self
            .rounds
            .iter()
            .flat_map(|output| output.versions.iter().cloned())
            .collect();
        if self.source == PeerSource::SameRun {
            // Every job of a script reports the same versions.
            versions.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
            versions.dedup();
        }
        versions
    }

    /// Why a job has no figures.
    fn reason(&self, job: Job) -> String {
        let failure = self.failures.iter().find(|(failed, _)| *failed == job);
        match (failure, self.source) {
            (Some((_, reason)), _) => reason.clone(),
            (None, PeerSource::SameRun) => format!("`{}` printed no such line", job.name()),
            (None, PeerSource::Saved) => "not among the saved outputs".to_owned(),
            (None, PeerSource::None) => "not requested".to_owned(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.source == PeerSource::Saved {
            notes.push(
                "The peers' figures were saved earlier: they are not of the same run as ours, and may be from another machine."
                    .to_owned(),
            );
        }
        if self.source == PeerSource::SameRun && self.peak_memory_bytes().is_none() {
            notes.push(format!(
                "Memory of PyTorch's training is not available: {}",
                self.reason(Job::TrainMemory)
            ));
        }
        for line in self.rounds.iter().flat_map(|output| &output.malformed) {
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

/// The peak memory of a process of our own that only trains. `None` if it cannot be measured: the other figures
/// are still worth printing.
fn our_training_memory(network: Network, threads: usize, batch: usize) -> Option<u64> {
    let output = Command::new(std::env::current_exe().ok()?)
        .args(["bench", "peers", "--only", "train"])
        .args(["--threads", &threads.to_string()])
        .args(["--batch", &batch.to_string()])
        .args(["--network", network.name()])
        .output()
        .ok()?;
    let mut read = PeerOutput::default();
    read.read(&output.stdout, batch);
    read.peak_memory_bytes
}

/// `own` has our figures of every round.
fn report(options: &PeersOptions, threads: usize, own: &[Own], peers: &Peers) -> Report {
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
    let rounds = own.iter().enumerate().map(|(round, ours)| {
        let peers = Peer::ALL
            .into_iter()
            .filter_map(|peer| Some((peer.name(), peers.figures(round, peer)?)));
        Round {
            ours: ours.figures,
            ours_in: ours.others.clone(),
            peers: peers.collect(),
        }
    });
    let names = own.iter().flat_map(|own| own.others.keys());
    let in_precision = |name: &&'static str| {
        let all: Vec<Figures> = (own.iter())
            .filter_map(|own| own.others.get(name).copied())
            .collect();
        (*name, Figures::medians(&all))
    };
    Report {
        date: date::today(),
        // Without debug assertions, whatever this build has.
        command: command_line("cargo run --release -p xtask --", std::env::args().skip(1)),
        hardware: Hardware::detect(),
        threads,
        network: options.network.name().to_owned(),
        side: options.network.side(),
        batch: usize::from(options.batch),
        debug_assertions: cfg!(debug_assertions),
        ours: Figures::medians(own.iter().map(|own| &own.figures)),
        ours_in: names.map(in_precision).collect(),
        peer_source: peers.source,
        peers: rows,
        rounds: rounds.collect(),
        versions: peers.versions(),
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(source: PeerSource, text: &str, failures: Vec<(Job, String)>) -> Peers {
        let mut output = PeerOutput::default();
        output.read(text.as_bytes(), 128);
        Peers {
            source,
            rounds: vec![output],
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
            outcomes[5],
            Outcome::NotAvailable("`onnx` printed no such line".to_owned())
        );
        assert_eq!(
            peers.notes(),
            ["Memory of PyTorch's training is not available: invalid choice"]
        );
    }

    #[test]
    fn a_peer_s_row_has_the_medians_of_its_rounds() {
        let line = |train: f64| {
            format!("channels_last f32 train {train} img/s infer 2.0 img/s single 3.0 ms")
        };
        let mut peers = peers(PeerSource::SameRun, &line(5.0), Vec::new());
        peers.rounds[0].read(b"peak_memory_bytes 7", 128);
        for train in [9.0, 4.0] {
            let mut output = PeerOutput::default();
            output.read(line(train).as_bytes(), 128);
            peers.rounds.push(output);
        }
        let peer = TRAIN_MEMORY_PEER;
        let figures = |train| Figures {
            training_images_per_second: Some(train),
            inference_images_per_second: Some(2.0),
            single_picture_ms: Some(3.0),
            training_peak_memory_bytes: Some(7),
        };
        assert_eq!(peers.row(peer).outcome, Outcome::Measured(figures(5.0)));
        assert_eq!(peers.figures(1, peer), Some(figures(9.0)));
    }

    #[test]
    fn saved_outputs_are_said_to_be_of_another_run() {
        let peers = peers(PeerSource::Saved, "contiguous f32 train", Vec::new());
        let notes = peers.notes();
        assert!(notes[0].contains("not of the same run"), "{notes:?}");
        assert!(notes[1].contains("`contiguous f32 train`"), "{notes:?}");
    }
}
