//! The load of a training on the machine: memory of this process, and the load of a graphics card.

use mlestar_workflow::machine::process_memory_bytes;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Time between two readings.
const INTERVAL: Duration = Duration::from_secs(2);

/// The newest reading.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Reading {
    memory_bytes: Option<u64>,
    gpu: Option<GpuReading>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct GpuReading {
    /// Share of the time in which the card computed, 0 to 100.
    load_percent: u32,
    memory_mebibytes: u64,
}

/// Reads in a thread of its own, so that nothing waits; ends when dropped.
pub struct Gauges {
    newest: Arc<Mutex<Reading>>,
    /// Closing it ends the thread.
    _alive: SyncSender<()>,
}

impl Gauges {
    /// Starts reading. `nvidia_gpu` is the index of the card that computes, if one does. Its figures are those of
    /// `nvidia-smi`, and absent where there is none.
    pub fn start(nvidia_gpu: Option<usize>) -> Self {
        let newest = Arc::new(Mutex::new(Reading::default()));
        let (alive, ended) = mpsc::sync_channel::<()>(0);
        let of_thread = Arc::clone(&newest);
        let read = move || {
            loop {
                let reading = Reading {
                    memory_bytes: process_memory_bytes(),
                    gpu: nvidia_gpu.and_then(|index| read_gpu("nvidia-smi", index)),
                };
                *of_thread.lock().unwrap_or_else(PoisonError::into_inner) = reading;
                if ended.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        // Without the thread there is nothing to show. That is no reason to stop a training.
        let _ = std::thread::Builder::new()
            .name("gauges".to_owned())
            .spawn(read);
        Self {
            newest,
            _alive: alive,
        }
    }

    /// The newest figures as text, with two spaces in front; empty where nothing is known.
    pub fn text(&self) -> String {
        let reading = *self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        text_of(reading)
    }
}

fn text_of(reading: Reading) -> String {
    let mut text = String::new();
    if let Some(bytes) = reading.memory_bytes {
        text.push_str(&format!("  {:.2} GB", bytes as f64 / 1e9));
    }
    if let Some(gpu) = reading.gpu {
        let gigabytes = gpu.memory_mebibytes as f64 * 1_048_576.0 / 1e9;
        text.push_str(&format!("  GPU {} %, {gigabytes:.1} GB", gpu.load_percent));
    }
    text
}

/// Asks `program`, which answers as `nvidia-smi` does.
fn read_gpu(program: &str, index: usize) -> Option<GpuReading> {
    let output = Command::new(program)
        .arg(format!("--id={index}"))
        .arg("--query-gpu=utilization.gpu,memory.used")
        .arg("--format=csv,noheader,nounits")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    parse_gpu(&String::from_utf8_lossy(&output.stdout))
}

/// `37, 1024`, in percent and MiB.
fn parse_gpu(answer: &str) -> Option<GpuReading> {
    let (load, memory) = answer.lines().next()?.split_once(',')?;
    Some(GpuReading {
        load_percent: load.trim().parse().ok()?,
        memory_mebibytes: memory.trim().parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn answers_of_nvidia_smi_are_read() {
        let gpu = GpuReading {
            load_percent: 37,
            memory_mebibytes: 1024,
        };
        assert_eq!(parse_gpu("37, 1024\n"), Some(gpu));
        for answer in ["", "\n", "[N/A], 1024", "37", "No devices were found"] {
            assert_eq!(parse_gpu(answer), None, "{answer}");
        }
        assert_eq!(read_gpu("no-such-program", 0), None);
    }

    /// A program that answers only where it is asked for that card and these figures.
    #[cfg(unix)]
    #[test]
    fn the_card_that_computes_is_asked_for() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("answers");
        let script = "#!/bin/sh\n\
                      [ \"$*\" = '--id=3 --query-gpu=utilization.gpu,memory.used \
                      --format=csv,noheader,nounits' ] && echo '55, 2048'\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let program = program.to_str().unwrap();
        assert_eq!(read_gpu(program, 3), parse_gpu("55, 2048"));
        assert_eq!(read_gpu(program, 0), None);
    }

    #[test]
    fn figures_are_short_and_left_out_where_unknown() {
        let reading = Reading {
            memory_bytes: Some(412_300_000),
            gpu: parse_gpu("98, 20480"),
        };
        assert_eq!(text_of(reading), "  0.41 GB  GPU 98 %, 21.5 GB");
        assert_eq!(text_of(Reading::default()), "");
    }

    #[test]
    fn this_process_has_memory() {
        let gauges = Gauges::start(None);
        let begin = Instant::now();
        while gauges.text().is_empty() && begin.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(gauges.text().ends_with(" GB"), "{}", gauges.text());
    }
}
