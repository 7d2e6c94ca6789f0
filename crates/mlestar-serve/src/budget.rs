//! What may be in use at a time: images on their way, bytes of bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of things that may be in use together.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    /// A budget of `limit` things, none in use.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            limit,
        })
    }

    /// How many are in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The most that may be in use.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// A share of nothing, which can grow.
    pub fn share(self: &Arc<Self>) -> Share {
        Share {
            budget: Arc::clone(self),
            n: 0,
        }
    }

    fn take(&self, n: usize) -> bool {
        let taken = self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| {
                used.checked_add(n).filter(|sum| *sum <= self.limit)
            });
        taken.is_ok()
    }
}

/// A part of a [`Budget`], given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    n: usize,
}

impl Share {
    /// Takes `n` more. Takes nothing and returns false if the budget lacks them.
    #[must_use]
    pub fn grow(&mut self, n: usize) -> bool {
        let taken = self.budget.take(n);
        if taken {
            self.n += n;
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.n, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_budget_and_are_given_back() {
        let budget = Budget::new(5);
        let (mut a, mut b) = (budget.share(), budget.share());
        assert!(a.grow(3) && b.grow(2));
        assert!(!a.grow(1) && !b.grow(usize::MAX));
        assert_eq!(budget.used(), 5);
        drop(a);
        assert_eq!(budget.used(), 2);
        assert!(b.grow(3));
        drop(b);
        assert_eq!(budget.used(), 0);
    }
}
