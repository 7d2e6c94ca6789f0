//! The most memory that this process has used.

/// Largest resident memory of this process so far, in bytes; `None` where there is no
/// `/proc/self/status` (other systems than Linux).
pub fn peak_bytes() -> Option<u64> {
    peak_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The value of a line such as `VmHWM:     1234 kB`.
fn peak_in(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_found() {
        let status = "Name:\txtask\nVmPeak:\t  900 kB\nVmHWM:\t  123 kB\nVmRSS:\t 100 kB\n";
        assert_eq!(peak_in(status), Some(123 * 1024));
        for status in ["", "VmHWM:", "VmHWM: many kB", "VmHWM: 12", "VmRSS: 1 kB"] {
            assert_eq!(peak_in(status), None, "{status}");
        }
    }
}
