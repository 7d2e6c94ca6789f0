//! A model of known speed for tests.

use std::cell::Cell;

use super::clock::testing::TestClock;
use super::images::Images;
use super::model::MeasuredModel;
use crate::error::ExportError;

/// Answers an image in exactly the given time of its clock.
#[derive(Debug)]
pub(super) struct FakeModel {
    clock: TestClock,
    seconds_per_image: f64,
    seconds_per_query: f64,
    slower_from: usize,
    factor: f64,
    fails_at: usize,
    n_answered: Cell<usize>,
}

impl FakeModel {
    pub(super) fn new(seconds_per_image: f64) -> Self {
        Self {
            clock: TestClock::default(),
            seconds_per_image,
            seconds_per_query: 0.0,
            slower_from: usize::MAX,
            factor: 1.0,
            fails_at: usize::MAX,
            n_answered: Cell::new(0),
        }
    }

    /// Each query takes this much more, however many images it has.
    pub(super) fn with_seconds_per_query(self, seconds: f64) -> Self {
        Self {
            seconds_per_query: seconds,
            ..self
        }
    }

    /// From the `n`th image on it takes `factor` times as long.
    pub(super) fn slower_from(self, n: usize, factor: f64) -> Self {
        Self {
            slower_from: n,
            factor,
            ..self
        }
    }

    pub(super) fn failing_at(self, n: usize) -> Self {
        Self {
            fails_at: n,
            ..self
        }
    }

    pub(super) fn clock(&self) -> &TestClock {
        &self.clock
    }

    pub(super) fn images(&self) -> Images {
        Images::noise(self, 0)
    }

    pub(super) fn n_answered(&self) -> usize {
        self.n_answered.get()
    }
}

impl MeasuredModel for FakeModel {
    fn image_bytes(&self) -> usize {
        3
    }

    fn answer(&self, images: &[u8], n: usize) -> Result<(), ExportError> {
        assert_eq!(images.len(), n * 3);
        let answered = self.n_answered.get() + n;
        self.n_answered.set(answered);
        if answered >= self.fails_at {
            return Err(ExportError::argument("model", "it fails on purpose"));
        }
        let factor = match answered > self.slower_from {
            true => self.factor,
            false => 1.0,
        };
        self.clock
            .pass(factor * (self.seconds_per_query + self.seconds_per_image * n as f64));
        Ok(())
    }

    fn memory_bytes(&self, _: usize) -> Option<u64> {
        None
    }
}
