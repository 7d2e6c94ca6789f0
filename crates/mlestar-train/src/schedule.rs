use std::f64::consts::PI;

use crate::config::{ScheduleConfig, ScheduleKind};

/// The learning rate of every step.
///
/// ```
/// use mlestar_train::{Schedule, ScheduleConfig};
///
/// // 10 epochs of 100 steps, highest rate 0.1.
/// let schedule = Schedule::new(&ScheduleConfig::default(), 0.1, 10, 100);
/// assert_eq!(schedule.learning_rate(0), 0.1);
/// assert!((schedule.learning_rate(500) - 0.05).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    kind: ScheduleKind,
    highest: f64,
    start: f64,
    last: f64,
    warmup_steps: f64,
    /// Steps until the final rate, at least 1.
    horizon_steps: f64,
    peak_fraction: f64,
}

impl Schedule {
    /// The schedule of a training of `epochs` epochs of `steps_per_epoch` steps with the highest
    /// rate `learning_rate`. The configuration is expected to be checked.
    #[must_use]
    pub fn new(
        config: &ScheduleConfig,
        learning_rate: f64,
        epochs: usize,
        steps_per_epoch: usize,
    ) -> Self {
        let steps = steps_per_epoch as f64;
        Self {
            kind: config.kind,
            highest: learning_rate,
            start: learning_rate * config.start_fraction,
            last: learning_rate * config.final_fraction,
            warmup_steps: (config.warmup_epochs * steps).round(),
            horizon_steps: (config.horizon_epochs(epochs) * steps).round().max(1.0),
            peak_fraction: config.peak_fraction,
        }
    }

    /// The rate of step `step`, counted from 0 over the whole training.
    #[must_use]
    pub fn learning_rate(&self, step: u64) -> f64 {
        let step = step as f64;
        if self.kind == ScheduleKind::OneCycle {
            return self.one_cycle(step);
        }
        if step < self.warmup_steps {
            // The first step already learns; the last step of the warm-up has the highest rate.
            return self.highest * (step + 1.0) / self.warmup_steps;
        }
        match self.kind {
            ScheduleKind::Constant => self.highest,
            _ => {
                let length = (self.horizon_steps - self.warmup_steps).max(1.0);
                anneal(self.highest, self.last, (step - self.warmup_steps) / length)
            }
        }
    }

    /// PyTorch's `OneCycleLR`: the peak lies at `peak_fraction * steps - 1`, the final rate at the
    /// last step.
    fn one_cycle(&self, step: f64) -> f64 {
        let last = self.horizon_steps - 1.0;
        let peak = (self.peak_fraction * self.horizon_steps - 1.0).max(0.0);
        if step < peak {
            anneal(self.start, self.highest, step / peak)
        } else if last <= peak {
            self.highest
        } else {
            anneal(self.highest, self.last, (step - peak) / (last - peak))
        }
    }
}

/// Half a cosine from `from` (at 0) to `to` (at 1 and beyond).
fn anneal(from: f64, to: f64, position: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (PI * position.min(1.0)).cos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rates(config: &ScheduleConfig, rate: f64, epochs: usize, steps: usize) -> Vec<f64> {
        let schedule = Schedule::new(config, rate, epochs, steps);
        (0..(epochs * steps) as u64)
            .map(|step| schedule.learning_rate(step))
            .collect()
    }

    fn check(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} and {expected}");
        }
    }

    /// The values that `torch.optim.lr_scheduler.CosineAnnealingLR(T_max=4, eta_min=0.01)` documents
    /// by its closed form, stepped every step.
    #[test]
    fn cosine_follows_the_closed_form() {
        let config = ScheduleConfig {
            final_fraction: 0.1,
            t_max_epochs: Some(2.0),
            ..ScheduleConfig::default()
        };
        let root = 0.5_f64.sqrt();
        let expected = [
            0.1,
            0.01 + 0.045 * (1.0 + root),
            0.055,
            0.01 + 0.045 * (1.0 - root),
            0.01,
            0.01,
        ];
        check(&rates(&config, 0.1, 3, 2), &expected);
    }

    #[test]
    fn warm_up_rises_linearly_to_the_highest_rate() {
        let config = ScheduleConfig {
            warmup_epochs: 1.0,
            kind: ScheduleKind::Constant,
            ..ScheduleConfig::default()
        };
        check(
            &rates(&config, 0.4, 2, 4),
            &[0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4],
        );
    }

    /// `OneCycleLR(max_lr=1, total_steps=10, pct_start=0.3, div_factor=25, final_div_factor=1e4)` has
    /// its peak at step 2 and its end at step 9.
    #[test]
    fn one_cycle_is_pytorch_s() {
        let config = ScheduleConfig {
            kind: ScheduleKind::OneCycle,
            final_fraction: 0.04 / 1e4,
            ..ScheduleConfig::default()
        };
        let found = rates(&config, 1.0, 1, 10);
        let down = |step: f64| {
            let low = 0.04 / 1e4;
            low + (1.0 - low) / 2.0 * (1.0 + (PI * (step - 2.0) / 7.0).cos())
        };
        let mut expected = vec![0.04, 0.52, 1.0];
        expected.extend((3..10).map(|step| down(f64::from(step))));
        check(&found, &expected);
    }

    proptest! {
        #[test]
        fn rates_stay_positive_and_at_most_the_highest(
            kind in prop_oneof![
                Just(ScheduleKind::Constant), Just(ScheduleKind::Cosine), Just(ScheduleKind::OneCycle),
            ],
            rate in 1e-6_f64..1.0, epochs in 1_usize..20, steps in 1_usize..20,
            last in 0.0_f64..1.0, warm in 0.0_f64..1.0,
        ) {
            let warmup = if kind == ScheduleKind::OneCycle { 0.0 } else { warm * epochs as f64 };
            let config = ScheduleConfig {
                kind, final_fraction: last, warmup_epochs: warmup, ..ScheduleConfig::default()
            };
            for found in rates(&config, rate, epochs, steps) {
                prop_assert!(found >= 0.0 && found <= rate * (1.0 + 1e-12), "{}", found);
            }
        }
    }
}
