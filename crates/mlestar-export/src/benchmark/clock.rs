//! The time of a measurement.

use std::time::{Duration, Instant};

/// Where a scenario reads the time. Tests put a clock here that only the model moves.
pub trait Clock {
    /// Seconds since the clock was made.
    fn seconds(&self) -> f64;

    /// Returns when [`Clock::seconds`] has reached `seconds`; at once if it has already.
    fn wait_until(&self, seconds: f64);
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

/// An operating system wakes a sleeping thread up to this much late.
const WAKES_LATE_SECONDS: f64 = 150e-6;

impl Clock for SystemClock {
    fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    fn wait_until(&self, seconds: f64) {
        let sleep = seconds - self.seconds() - WAKES_LATE_SECONDS;
        if sleep > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(sleep));
        }
        while self.seconds() < seconds {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use std::cell::Cell;

    /// A clock that waiting and [`TestClock::pass`] move, and nothing else.
    #[derive(Debug, Default)]
    pub struct TestClock(Cell<f64>);

    impl TestClock {
        pub fn pass(&self, seconds: f64) {
            self.0.set(self.0.get() + seconds);
        }
    }

    impl Clock for TestClock {
        fn seconds(&self) -> f64 {
            self.0.get()
        }

        fn wait_until(&self, seconds: f64) {
            self.0.set(self.0.get().max(seconds));
        }
    }

    #[test]
    fn waiting_ends_at_its_time_and_not_before() {
        let clock = SystemClock::start();
        for due in [0.0, 0.0001, 0.005] {
            clock.wait_until(due);
            assert!(clock.seconds() >= due);
        }
        clock.wait_until(-1.0);
    }
}
