//! Work done in advance by threads, returned in order.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Yields `make(i)` for every `i` of a range, in order. Threads make up to `ahead` items in advance; with
/// `ahead` 0 each item is made on request.
///
/// A panic in `make` is passed on to the caller that requests that item. Dropping the iterator stops and joins
/// the threads.
pub(super) struct Prefetch<T> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
    next: usize,
    end: usize,
}

struct Shared<T> {
    make: Box<dyn Fn(usize) -> T + Send + Sync>,
    ahead: usize,
    state: Mutex<State<T>>,
    /// Signalled when an item is ready.
    ready: Condvar,
    /// Signalled when an item was taken or the iterator is dropped.
    room: Condvar,
}

struct State<T> {
    /// The first item that no thread has started.
    unclaimed: usize,
    end: usize,
    /// The next item to be taken.
    next: usize,
    finished: BTreeMap<usize, Result<T, Box<dyn Any + Send>>>,
    stopped: bool,
}

impl<T: Send + 'static> Prefetch<T> {
    pub(super) fn new(
        range: Range<usize>,
        ahead: usize,
        n_threads: usize,
        make: impl Fn(usize) -> T + Send + Sync + 'static,
    ) -> Self {
        let (first, end) = (range.start, range.end.max(range.start));
        let shared = Arc::new(Shared {
            make: Box::new(make),
            ahead,
            state: Mutex::new(State {
                unclaimed: first,
                end,
                next: first,
                finished: BTreeMap::new(),
                stopped: false,
            }),
            ready: Condvar::new(),
            room: Condvar::new(),
        });
        let n_threads = n_threads.min(ahead).min(end - first);
        let threads = (0..n_threads)
            .map_while(|number| {
                let shared = Arc::clone(&shared);
                // If no more threads can be started, the existing ones do the work; without any, the items are
                // made on request.
                std::thread::Builder::new()
                    .name(format!("loader-{number}"))
                    .spawn(move || shared.work())
                    .ok()
            })
            .collect();
        Self {
            shared,
            threads,
            next: first,
            end,
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(item) = self.claim() {
            let result = catch_unwind(AssertUnwindSafe(|| (self.make)(item)));
            self.lock().finished.insert(item, result);
            self.ready.notify_one();
        }
    }

    /// The next item to make, as soon as there is room for it.
    fn claim(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.unclaimed >= state.end {
                return None;
            }
            if state.unclaimed - state.next < self.ahead {
                state.unclaimed += 1;
                return Some(state.unclaimed - 1);
            }
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for `item`, which some thread makes, and takes it.
    fn take(&self, item: usize) -> Result<T, Box<dyn Any + Send>> {
        let mut state = self.lock();
        loop {
            if let Some(result) = state.finished.remove(&item) {
                state.next = item + 1;
                drop(state);
                self.room.notify_all();
                return result;
            }
            state = self
                .ready
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.next >= self.end {
            return None;
        }
        let item = self.next;
        self.next += 1;
        if self.threads.is_empty() {
            return Some((self.shared.make)(item));
        }
        match self.shared.take(item) {
            Ok(value) => Some(value),
            Err(panic) => resume_unwind(panic),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let n_left = self.end - self.next;
        (n_left, Some(n_left))
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // A thread catches the panics of `make`, so joining it cannot fail.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn order_is_kept_when_later_items_are_ready_first() {
        for (ahead, n_threads) in [(0, 1), (1, 1), (1, 4), (3, 2), (8, 8), (100, 3)] {
            let items: Vec<usize> = Prefetch::new(5..40, ahead, n_threads, |item| {
                std::thread::sleep(Duration::from_micros(if item % 4 == 0 { 800 } else { 0 }));
                item
            })
            .collect();
            assert_eq!(items, (5..40).collect::<Vec<_>>(), "{ahead} {n_threads}");
        }
    }

    #[test]
    fn no_more_than_the_bound_is_made_ahead() {
        let made = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        let mut items = Prefetch::new(0..50, 3, 2, move |item| {
            counter.fetch_add(1, Ordering::SeqCst);
            item
        });
        for taken in 1..=10 {
            items.next().unwrap();
            std::thread::sleep(Duration::from_millis(2));
            assert!(made.load(Ordering::SeqCst) <= taken + 3);
        }
        assert!(made.load(Ordering::SeqCst) > 10, "nothing was made ahead");
    }

    #[test]
    fn dropping_early_stops_and_joins_the_threads() {
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let mut items = Prefetch::new(0..1_000_000, 4, 4, move |item| {
            let _held = &held;
            item
        });
        assert_eq!(items.next(), Some(0));
        drop(items);
        // Every thread held the closure; it is dropped once all of them have ended.
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    fn a_panic_reaches_the_consumer_and_hangs_nobody() {
        let mut items = Prefetch::new(0..10, 2, 2, |item| {
            assert!(item != 3, "item three is broken");
            item
        });
        assert_eq!(items.by_ref().take(3).collect::<Vec<_>>(), [0, 1, 2]);
        let panic = catch_unwind(AssertUnwindSafe(|| items.next())).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"item three is broken"));
        assert_eq!(items.collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn empty_ranges_give_nothing() {
        assert_eq!(Prefetch::new(3..3, 2, 2, |item| item).count(), 0);
        #[allow(clippy::reversed_empty_ranges)] // The range of a resume beyond the end.
        let range = 7..3;
        assert_eq!(
            Prefetch::new(range, 2, 2, |item| item).size_hint(),
            (0, Some(0))
        );
    }
}
