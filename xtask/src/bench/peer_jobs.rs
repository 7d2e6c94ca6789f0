//! Runs the jobs of a peer script, one after the other.

use super::arguments::Network;
use super::peer_output::{Layout, Peer};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

/// A job of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    Throughput,
    ThroughputCompiled,
    ThroughputBf16,
    Onnx,
    OpenVino,
    TrainMemory,
}

impl Job {
    pub const ALL: [Self; 6] = [
        Self::Throughput,
        Self::ThroughputCompiled,
        Self::ThroughputBf16,
        Self::Onnx,
        Self::OpenVino,
        Self::TrainMemory,
    ];

    /// The first arguments of the script.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::ThroughputCompiled => "throughput --compile",
            Self::ThroughputBf16 => "throughput --compile --bf16",
            Self::Onnx => "onnx",
            Self::OpenVino => "openvino",
            Self::TrainMemory => "train-memory",
        }
    }

    /// The job whose output has the figures of `peer`.
    pub fn of(peer: Peer) -> Self {
        match peer {
            Peer::Torch {
                is_compiled: false, ..
            } => Self::Throughput,
            Peer::Torch {
                is_compiled: true, ..
            } => Self::ThroughputCompiled,
            Peer::TorchBf16 => Self::ThroughputBf16,
            Peer::OnnxRuntime(_) => Self::Onnx,
            Peer::OpenVino(_) => Self::OpenVino,
        }
    }
}

/// The peer whose training memory the job `train-memory` measures.
pub const TRAIN_MEMORY_PEER: Peer = Peer::Torch {
    is_compiled: false,
    layout: Layout::ChannelsLast,
};

/// How to run the script.
#[derive(Debug)]
pub struct PeerScript<'a> {
    pub python: &'a Path,
    pub script: &'a Path,
    pub threads: usize,
    pub batch: usize,
    pub network: Network,
}

/// The output of a job, and why it failed if it did.
#[derive(Debug)]
pub struct JobResult {
    pub stdout: Vec<u8>,
    pub failure: Option<String>,
}

impl PeerScript<'_> {
    /// Runs one job to its end. Its output appears on standard error immediately, after a line with the name of
    /// the job, so that a saved copy of the terminal can be read back.
    pub fn run(&self, job: Job) -> JobResult {
        eprintln!("job {}", job.name());
        self.try_run(job).unwrap_or_else(|error| JobResult {
            stdout: Vec::new(),
            failure: Some(format!("{}: {error}", self.python.display())),
        })
    }

    fn try_run(&self, job: Job) -> io::Result<JobResult> {
        // We report a missing script, because every interpreter has its own message for it.
        if let Err(error) = std::fs::metadata(self.script) {
            return Ok(JobResult {
                stdout: Vec::new(),
                failure: Some(format!(
                    "{}: {error}; run from the root of the repository or name one with --script",
                    self.script.display()
                )),
            });
        }
        let scratch = tempfile::tempdir()?;
        let mut child = Command::new(self.python)
            .arg(self.script)
            .args(self.arguments(job, scratch.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = thread::scope(|scope| {
            let errors = scope.spawn(|| stderr.map_or_else(Vec::new, copy_to_terminal));
            let output = stdout.map_or_else(Vec::new, copy_to_terminal);
            (output, errors.join().unwrap_or_default())
        });
        let status = child.wait()?;
        Ok(JobResult {
            stdout,
            failure: (!status.success()).then(|| failure(status, &stderr)),
        })
    }

    fn arguments(&self, job: Job, scratch: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            job.name().split_whitespace().map(OsString::from).collect();
        if matches!(job, Job::Onnx | Job::OpenVino) {
            arguments.push(scratch.join("peer.onnx").into());
        }
        for (name, value) in [("--threads", self.threads), ("--batch", self.batch)] {
            arguments.push(name.into());
            arguments.push(value.to_string().into());
        }
        // Other scripts need not know it.
        if self.network != Network::Reference {
            arguments.extend(["--network".into(), self.network.name().into()]);
        }
        arguments
    }
}

/// Copies a stream to standard error line by line, and returns all of it.
fn copy_to_terminal(stream: impl Read) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let mut all = Vec::new();
    loop {
        let begin = all.len();
        match reader.read_until(b'\n', &mut all) {
            // A stream that breaks has ended: the output until then counts.
            Ok(0) | Err(_) => return all,
            Ok(_) => {
                // Figures do not depend on a closed terminal.
                let _ = io::stderr().write_all(&all[begin..]);
            }
        }
    }
}

/// The last message of a failed program, or how it ended.
fn failure(status: ExitStatus, stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.map_or_else(|| status.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script<'a>(python: &'a Path, script: &'a Path) -> PeerScript<'a> {
        PeerScript {
            python,
            script,
            threads: 2,
            batch: 64,
            network: Network::Reference,
        }
    }

    #[test]
    fn a_job_is_told_threads_batch_and_where_to_write() {
        let script = script(Path::new("python3"), Path::new("peer.py"));
        let arguments = |job| {
            let arguments = script.arguments(job, Path::new("scratch"));
            let words = arguments.iter().map(|word| word.to_string_lossy());
            words.collect::<Vec<_>>().join(" ").replace('\\', "/")
        };
        assert_eq!(
            arguments(Job::ThroughputCompiled),
            "throughput --compile --threads 2 --batch 64"
        );
        let small = PeerScript {
            network: Network::Small,
            ..script
        };
        let arguments_of_small = small.arguments(Job::TrainMemory, Path::new("scratch"));
        assert!(arguments_of_small.ends_with(&["--network".into(), "small".into()]));
        assert_eq!(
            arguments(Job::Onnx),
            "onnx scratch/peer.onnx --threads 2 --batch 64"
        );
    }

    #[test]
    fn what_cannot_run_is_a_reason_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("peer.py");
        let missing = script(Path::new("python3"), &file).run(Job::Onnx);
        let reason = missing.failure.unwrap();
        assert!(
            reason.contains("peer.py") && reason.contains("--script"),
            "{reason}"
        );

        std::fs::write(&file, "").unwrap();
        let python = folder.path().join("no-such-python");
        let reason = script(&python, &file).run(Job::Onnx).failure.unwrap();
        assert!(reason.contains("no-such-python"), "{reason}");
    }

    #[test]
    fn the_last_line_of_a_failure_is_its_reason() {
        let status = ExitStatus::default();
        let stderr = b"Traceback\n  File \"x\"\nModuleNotFoundError: No module named 'torch'\n\n";
        assert_eq!(
            failure(status, stderr),
            "ModuleNotFoundError: No module named 'torch'"
        );
        assert!(!failure(status, b" \n").is_empty());
    }
}
