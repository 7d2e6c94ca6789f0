//! What is known of a request while it is answered: its name, its times, its images.

use crate::metrics::Phase;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest name of a request that is taken over from a client.
const MAX_ID: usize = 64;

/// One request.
#[derive(Debug)]
pub struct Trace {
    /// Its name in logs and in the header `X-Request-Id`.
    pub id: String,
    /// When its header had arrived.
    pub started: Instant,
    notes: Mutex<Notes>,
}

/// What was noted.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// The time of each phase that took place.
    pub phases: Vec<(Phase, Duration)>,
    /// Bytes of the body.
    pub bytes: usize,
    /// Images of the request.
    pub images: usize,
}

impl Trace {
    /// A request that begins now. `given` is the client's name for it, which is kept if it is 1 to 64 letters, digits,
    /// `-`, `_` or `.`.
    pub fn begin(given: Option<&str>) -> Self {
        let is_sane = |id: &&str| {
            (1..=MAX_ID).contains(&id.len())
                && id
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        Self {
            id: given.filter(is_sane).map_or_else(new_id, str::to_owned),
            started: Instant::now(),
            notes: Mutex::default(),
        }
    }

    /// Notes the time of a phase.
    pub fn phase(&self, phase: Phase, time: Duration) {
        self.with(|notes| notes.phases.push((phase, time)));
    }

    /// Notes the size of the body.
    pub fn bytes(&self, bytes: usize) {
        self.with(|notes| notes.bytes = bytes);
    }

    /// Notes the number of images.
    pub fn images(&self, images: usize) {
        self.with(|notes| notes.images = images);
    }

    /// All notes.
    pub fn notes(&self) -> Notes {
        self.with(|notes| notes.clone())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Notes) -> T) -> T {
        change(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Unique within the process, and most likely among processes: the time of the start and a count.
fn new_id() -> String {
    static START: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        now.as_micros() as u64
    });
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("{:x}-{:x}", *START, COUNT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_names_are_taken_over() {
        assert_eq!(Trace::begin(Some("abc-1.2_3")).id, "abc-1.2_3");
        for given in [
            None,
            Some(""),
            Some("a b"),
            Some("a\"}"),
            Some("ä"),
            Some(&*"a".repeat(65)),
        ] {
            let id = Trace::begin(given).id;
            assert!(!id.is_empty() && Some(&*id) != given, "{given:?}");
        }
        assert_ne!(Trace::begin(None).id, Trace::begin(None).id);
    }
}
