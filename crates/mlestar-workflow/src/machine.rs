//! The machine that a run ran on.

pub use mlestar_export::benchmark::{peak_memory_bytes, restart_peak_memory};

use mlestar_export::benchmark::own_memory_bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;
use sysinfo::{
    CpuRefreshKind, MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System,
};

/// What a record of a run says about its machine. Times and speeds mean nothing without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineInfo {
    /// The operating system with its version, such as `Debian GNU/Linux 13`.
    pub os: String,
    /// The processor's architecture, such as `x86_64`.
    pub arch: String,
    /// The processor's name; `unknown` where the system does not report it.
    pub cpu_model: String,
    /// Logical cores that this process may use.
    pub logical_cores: usize,
    /// Main memory, in bytes; 0 where the system does not report it.
    pub total_memory_bytes: u64,
    /// Vector instructions that the processor offers, such as `avx2`; empty where that is unknown.
    pub simd: Vec<String>,
    /// The compiler that built the program, where the build recorded it.
    pub rustc_version: Option<String>,
}

impl MachineInfo {
    /// Looks at this machine.
    ///
    /// ```
    /// use mlestar_workflow::machine::MachineInfo;
    ///
    /// let machine = MachineInfo::detect();
    /// assert!(machine.logical_cores >= 1);
    /// assert!(machine.total_memory_bytes > 0);
    /// ```
    pub fn detect() -> Self {
        let system = System::new_with_specifics(
            RefreshKind::nothing()
                .with_cpu(CpuRefreshKind::nothing())
                .with_memory(MemoryRefreshKind::nothing().with_ram()),
        );
        let cpu_model = system
            .as_ref()
            .ok()
            .and_then(|system| system.cpus().first())
            .map(|cpu| cpu.brand().trim().to_owned())
            .filter(|brand| !brand.is_empty());
        Self {
            os: System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.to_owned()),
            arch: std::env::consts::ARCH.to_owned(),
            cpu_model: cpu_model.unwrap_or_else(|| "unknown".to_owned()),
            logical_cores: logical_cores(),
            total_memory_bytes: system.map_or(0, |system| system.total_memory()),
            simd: simd(),
            rustc_version: option_env!("MLESTAR_RUSTC_VERSION").map(str::to_owned),
        }
    }
}

/// Logical cores that this process may use, at least 1.
pub(crate) fn logical_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Memory that is free for programs now, in bytes; `None` where the system does not report it.
pub(crate) fn available_memory_bytes() -> Option<u64> {
    memory_bytes().map(|(available, _)| available)
}

/// Memory that is free for programs now, and all of it, in bytes; `None` where the system does not report it.
pub(crate) fn memory_bytes() -> Option<(u64, u64)> {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    System::new_with_specifics(memory)
        .ok()
        .map(|system| (system.available_memory(), system.total_memory()))
}

/// Memory that this process holds now, in bytes; `None` where the system does not report it. On Linux without mapped files,
/// whose pages the system takes back when it needs them.
///
/// ```
/// assert!(mlestar_workflow::machine::process_memory_bytes().is_none_or(|bytes| bytes > 100_000));
/// ```
#[must_use]
pub fn process_memory_bytes() -> Option<u64> {
    if let Some(own) = own_memory_bytes() {
        return Some(own);
    }
    let id = sysinfo::get_current_pid().ok()?;
    let mut system = System::new_with_specifics(RefreshKind::nothing()).ok()?;
    system.refresh_processes_specifics(
        ProcessesToUpdate::Some(&[id]),
        false,
        ProcessRefreshKind::nothing().with_memory(),
    );
    system.process(id).map(|process| process.memory())
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn simd() -> Vec<String> {
    let offered = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
    ];
    names(&offered)
}

#[cfg(target_arch = "aarch64")]
fn simd() -> Vec<String> {
    let offered = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        (
            "dotprod",
            std::arch::is_aarch64_feature_detected!("dotprod"),
        ),
        ("fp16", std::arch::is_aarch64_feature_detected!("fp16")),
        ("sve", std::arch::is_aarch64_feature_detected!("sve")),
    ];
    names(&offered)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
fn simd() -> Vec<String> {
    names(&[])
}

fn names(offered: &[(&str, bool)]) -> Vec<String> {
    offered
        .iter()
        .filter(|(_, there)| *there)
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

/// Looks at the memory of this process without mapped files every 50 ms, on a thread of its own, until it is dropped.
pub(crate) struct MemorySamples {
    largest: Arc<AtomicU64>,
    /// Dropping it ends the thread.
    _end: Sender<()>,
}

impl MemorySamples {
    const PAUSE: Duration = Duration::from_millis(50);

    /// Begins with a first sample; `None` where the system does not report memory.
    pub(crate) fn begin() -> Option<Self> {
        let largest = Arc::new(AtomicU64::new(own_memory_bytes()?));
        let (end, ended) = mpsc::channel();
        let shared = Arc::clone(&largest);
        std::thread::spawn(move || {
            while ended.recv_timeout(Self::PAUSE) == Err(RecvTimeoutError::Timeout) {
                if let Some(now) = own_memory_bytes() {
                    shared.fetch_max(now, Ordering::Relaxed);
                }
            }
        });
        Some(Self { largest, _end: end })
    }

    /// The largest sample so far, in bytes.
    pub(crate) fn largest(&self) -> u64 {
        self.largest.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_of_memory_sees_what_was_given_back() {
        let before = process_memory_bytes().unwrap();
        let ballast = std::hint::black_box(vec![1_u8; 64 << 20]);
        drop(ballast);
        assert!(peak_memory_bytes().unwrap() > before + (60 << 20));

        // In the same test, because the memory of another one at the same time would count.
        let samples = MemorySamples::begin().unwrap();
        let before = samples.largest();
        let ballast = std::hint::black_box(vec![1_u8; 64 << 20]);
        while samples.largest() < before + (60 << 20) {
            std::thread::sleep(MemorySamples::PAUSE);
        }
        drop(ballast);
        assert!(samples.largest() >= before + (60 << 20));
    }

    #[test]
    fn this_machine_is_described_and_reads_back() {
        let machine = MachineInfo::detect();
        assert!(!machine.os.is_empty() && !machine.cpu_model.is_empty());
        assert!(available_memory_bytes().unwrap() <= machine.total_memory_bytes);
        let json = serde_json::to_string(&machine).unwrap();
        assert_eq!(serde_json::from_str::<MachineInfo>(&json).unwrap(), machine);
    }
}
