//! Repeated timing of one piece of work.

use std::time::Instant;

/// How often to run a piece of work.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Unmeasured runs at the beginning: the first ones allocate memory and fill caches.
    pub warm_up_runs: usize,
    /// At least this many runs are measured ...
    pub fewest_runs: usize,
    /// ... and more until this much time has passed.
    pub fewest_seconds: f64,
}

impl Effort {
    /// For work of at least a tenth of a second.
    pub const LONG: Self = Self {
        warm_up_runs: 3,
        fewest_runs: 9,
        fewest_seconds: 0.0,
    };
    /// For work of a few milliseconds.
    pub const SHORT: Self = Self {
        warm_up_runs: 5,
        fewest_runs: 51,
        fewest_seconds: 0.5,
    };
    /// For each of many kernels.
    pub const KERNEL: Self = Self {
        warm_up_runs: 2,
        fewest_runs: 9,
        fewest_seconds: 0.2,
    };
}

/// Seconds of each measured run, the shortest first; at least one.
pub fn sorted_seconds<E>(
    effort: Effort,
    mut work: impl FnMut() -> Result<(), E>,
) -> Result<Vec<f64>, E> {
    for _ in 0..effort.warm_up_runs {
        work()?;
    }
    let start = Instant::now();
    let mut seconds = Vec::new();
    while seconds.len() < effort.fewest_runs.max(1)
        || start.elapsed().as_secs_f64() < effort.fewest_seconds
    {
        let clock = Instant::now();
        work()?;
        seconds.push(clock.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds)
}

/// The median time of the measured runs, in seconds; for an even number, the upper of the two middle ones.
pub fn median_seconds<E>(effort: Effort, work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let seconds = sorted_seconds(effort, work)?;
    Ok(seconds[seconds.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn warm_up_is_not_measured_and_the_fewest_runs_are() {
        let mut runs = 0;
        let effort = Effort {
            warm_up_runs: 2,
            fewest_runs: 5,
            fewest_seconds: 0.0,
        };
        let seconds = sorted_seconds(effort, || {
            runs += 1;
            Ok::<(), Infallible>(())
        });
        assert_eq!(seconds.unwrap().len(), 5);
        assert_eq!(runs, 7);
    }

    #[test]
    fn the_first_failure_ends_the_measurement() {
        assert_eq!(
            median_seconds(Effort::LONG, || Err("broken")),
            Err("broken")
        );
    }
}
