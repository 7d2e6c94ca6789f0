//! What the operating system says about this process: processor time and memory.

use std::time::Instant;

/// The clock of the system for processor time has steps of 10 ms, so a shorter measurement would say little.
const LEAST_SECONDS: f64 = 0.5;

/// Processor time in use from a point in time on.
#[derive(Debug)]
pub(super) struct CpuTime {
    start: Instant,
    used: Option<f64>,
}

impl CpuTime {
    pub(super) fn start() -> Self {
        Self {
            start: Instant::now(),
            used: cpu_seconds(),
        }
    }

    /// Processor time of this process divided by elapsed time: 1 means one core. `None` if it cannot be read without
    /// a system library (other than Linux) or if the measurement took less than half a second.
    pub(super) fn cores(&self) -> Option<f64> {
        let elapsed = self.start.elapsed().as_secs_f64();
        match (self.used, cpu_seconds()) {
            (Some(before), Some(after)) if elapsed >= LEAST_SECONDS => {
                Some((after - before) / elapsed)
            }
            _ => None,
        }
    }
}

/// Processor time that all threads of this process have used, in user and kernel mode.
#[cfg(target_os = "linux")]
fn cpu_seconds() -> Option<f64> {
    // The kernel reports in units of USER_HZ, which is 100 on every architecture that Rust supports.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the program's name, may contain spaces; it ends with the last parenthesis. After it,
    // `utime` and `stime` (fields 14 and 15 of proc(5)) are at positions 11 and 12.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let user: f64 = times.next()?.parse().ok()?;
    let system: f64 = times.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(not(target_os = "linux"))]
fn cpu_seconds() -> Option<f64> {
    None
}

/// The largest resident memory of this process since its start, in bytes; `None` if there is no
/// `/proc/self/status` (systems other than Linux).
///
/// ```
/// assert!(mlestar_export::benchmark::peak_memory_bytes().is_none_or(|bytes| bytes > 100_000));
/// ```
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    field("VmHWM:", &status()?)
}

/// The resident memory of this process now, in bytes; `None` as for [`peak_memory_bytes`].
#[must_use]
pub fn resident_memory_bytes() -> Option<u64> {
    field("VmRSS:", &status()?)
}

/// The resident memory of this process now without the pages of mapped files, which the system takes back when it needs
/// them, in bytes; `None` as for [`peak_memory_bytes`].
#[must_use]
pub fn own_memory_bytes() -> Option<u64> {
    let status = status()?;
    Some(field("RssAnon:", &status)? + field("RssShmem:", &status)?)
}

/// Restarts the measurement of [`peak_memory_bytes`] at the memory that is resident now. Returns false where the
/// system does not allow it; the peak is then that of the whole process so far.
#[must_use]
pub fn restart_peak_memory() -> bool {
    // The kernel documents 5 as what resets `VmHWM`; other systems have no such file.
    cfg!(target_os = "linux") && std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn status() -> Option<String> {
    std::fs::read_to_string("/proc/self/status").ok()
}

/// The value of a line such as `VmHWM:     1234 kB`.
fn field(name: &str, status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_found() {
        let status = "Name:\tname\nVmPeak:\t  900 kB\nVmHWM:\t  123 kB\nVmRSS:\t 100 kB\n";
        assert_eq!(field("VmHWM:", status), Some(123 * 1024));
        assert_eq!(field("VmRSS:", status), Some(100 * 1024));
        for status in ["", "VmHWM:", "VmHWM: many kB", "VmHWM: 12", "VmRSS: 1 kB"] {
            assert_eq!(field("VmHWM:", status), None, "{status}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_gives_processor_time_and_memory() {
        assert!(cpu_seconds().unwrap() >= 0.0);
        assert!(peak_memory_bytes().unwrap() >= resident_memory_bytes().unwrap() / 2);
        assert!(resident_memory_bytes().unwrap() > 1 << 20);
        let own = own_memory_bytes().unwrap();
        assert!(own > 1 << 17 && own < resident_memory_bytes().unwrap() + (64 << 20));
        assert_eq!(CpuTime::start().cores(), None, "too short for the clock");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_busy_thread_is_a_core() {
        let cpu = CpuTime::start();
        let (start, used) = (Instant::now(), cpu_seconds().unwrap());
        // Another program may have the core for most of the time.
        while start.elapsed().as_secs_f64() < 0.6 || cpu_seconds().unwrap() < used + 0.1 {
            std::hint::black_box((0..1000).sum::<u64>());
        }
        let cores = cpu.cores().unwrap();
        assert!(cores * start.elapsed().as_secs_f64() > 0.09, "{cores}");
    }
}
