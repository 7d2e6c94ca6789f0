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
    /// Steps after which the rate is multiplied by `gamma`.
    milestones: Vec<f64>,
    /// Or the steps between two multiplications.
    every: Option<f64>,
    gamma: f64,
}

impl Schedule {
    /// The schedule of a training with `epochs` epochs of `steps_per_epoch` steps and the highest rate
    /// `learning_rate`. The configuration must have been checked.
    #[must_use]
    pub fn new(
        config: &ScheduleConfig,
        learning_rate: f64,
        epochs: usize,
        steps_per_epoch: usize,
    ) -> Self {
        let steps = steps_per_epoch as f64;
        let milestones = config.milestones.iter();
        Self {
            kind: config.kind,
            highest: learning_rate,
            start: learning_rate * config.start_fraction,
            last: learning_rate * config.final_fraction,
            warmup_steps: (config.warmup_epochs * steps).round(),
            horizon_steps: (config.horizon_epochs(epochs) * steps).round().max(1.0),
            peak_fraction: config.peak_fraction,
            milestones: milestones.map(|epochs| (epochs * steps).round()).collect(),
            every: config
                .step_epochs
                .map(|epochs| (epochs * steps).round().max(1.0)),
            gamma: config.gamma,
        }
    }

    /// The rate of step `step`, counted from 0 over the whole training.
    ///
    /// For [`ScheduleKind::Plateau`] this is the rate before any lowering: multiply it by
    /// [`PlateauState::factor`](crate::PlateauState::factor).
    #[must_use]
    pub fn learning_rate(&self, step: u64) -> f64 {
        let step = step as f64;
        match self.kind {
            ScheduleKind::OneCycle => return self.one_cycle(step),
            ScheduleKind::Triangular => return self.triangular(step),
            _ => {}
        }
        if step < self.warmup_steps {
            // The first step already learns; the last step of the warm-up has the highest rate.
            return self.highest * (step + 1.0) / self.warmup_steps;
        }
        let position = {
            let length = (self.horizon_steps - self.warmup_steps).max(1.0);
            (step - self.warmup_steps) / length
        };
        match self.kind {
            ScheduleKind::Linear => line(self.highest, self.last, position),
            ScheduleKind::Step => self.highest * self.gamma.powf(self.multiplications(step)),
            ScheduleKind::Constant | ScheduleKind::Plateau => self.highest,
            ScheduleKind::Cosine | ScheduleKind::OneCycle | ScheduleKind::Triangular => {
                anneal(self.highest, self.last, position)
            }
        }
    }

    /// How often the step shape has multiplied the rate before `step`.
    fn multiplications(&self, step: f64) -> f64 {
        match self.every {
            Some(every) => (step / every).floor(),
            None => self
                .milestones
                .partition_point(|&milestone| milestone <= step) as f64,
        }
    }

    /// Rises until `peak_fraction` of the steps, then falls to the final rate just after the last step.
    fn triangular(&self, step: f64) -> f64 {
        let peak = self.peak_fraction * self.horizon_steps;
        match step < peak {
            true => line(self.start, self.highest, step / peak),
            false => {
                let position = (step - peak) / (self.horizon_steps - peak);
                line(self.highest, self.last, position)
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

/// A line from `from` (at 0) to `to` (at 1 and beyond).
fn line(from: f64, to: f64, position: f64) -> f64 {
    from + (to - from) * position.min(1.0)
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

    /// The closed-form values in the documentation of
    /// `torch.optim.lr_scheduler.CosineAnnealingLR(T_max=4, eta_min=0.01)`, stepped every step.
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

    /// `OneCycleLR(max_lr=1, total_steps=10, pct_start=0.3, div_factor=25, final_div_factor=1e4)` has its peak
    /// at step 2 and its end at step 9.
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

    /// The numbers below come from PyTorch 2.15, which changes the rate once per epoch: with one step per epoch
    /// both are the same.
    #[test]
    fn steps_are_pytorch_s() {
        let config = ScheduleConfig {
            kind: ScheduleKind::Step,
            milestones: vec![2.0, 3.0, 6.0],
            gamma: 0.5,
            ..ScheduleConfig::default()
        };
        // MultiStepLR(milestones=[2, 3, 6], gamma=0.5)
        let expected = [0.4, 0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05];
        check(&rates(&config, 0.4, 8, 1), &expected);
        // All steps of an epoch have the same rate; half epochs are allowed.
        let halves = ScheduleConfig {
            milestones: vec![1.0, 1.5],
            ..config
        };
        let expected = [0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1];
        check(&rates(&halves, 0.4, 2, 4), &expected);
        // StepLR(step_size=3, gamma=0.1)
        let config = ScheduleConfig {
            kind: ScheduleKind::Step,
            step_epochs: Some(3.0),
            ..ScheduleConfig::default()
        };
        let expected = [0.4, 0.4, 0.4, 0.04, 0.04, 0.04, 0.004, 0.004];
        check(&rates(&config, 0.4, 8, 1), &expected);
    }

    #[test]
    fn linear_is_pytorch_s() {
        // LinearLR(start_factor=1, end_factor=0.25, total_iters=6)
        let config = ScheduleConfig {
            kind: ScheduleKind::Linear,
            final_fraction: 0.25,
            t_max_epochs: Some(6.0),
            ..ScheduleConfig::default()
        };
        let expected = [0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.1];
        check(&rates(&config, 0.4, 8, 1), &expected);
        let warmed = ScheduleConfig {
            warmup_epochs: 2.0,
            final_fraction: 0.0,
            ..config
        };
        let expected = [0.2, 0.4, 0.4, 0.3, 0.2, 0.1, 0.0];
        check(&rates(&warmed, 0.4, 7, 1), &expected);
    }

    #[test]
    fn triangular_is_pytorch_s() {
        // CyclicLR(base_lr=0.04, max_lr=0.4, step_size_up=3, step_size_down=5)
        let config = ScheduleConfig {
            kind: ScheduleKind::Triangular,
            start_fraction: 0.1,
            final_fraction: 0.1,
            peak_fraction: 3.0 / 8.0,
            ..ScheduleConfig::default()
        };
        let expected = [0.04, 0.16, 0.28, 0.4, 0.328, 0.256, 0.184, 0.112];
        check(&rates(&config, 0.4, 1, 8), &expected);
    }

    #[test]
    fn plateau_alone_is_constant_after_a_warm_up() {
        let config = ScheduleConfig {
            kind: ScheduleKind::Plateau,
            warmup_epochs: 1.0,
            ..ScheduleConfig::default()
        };
        check(&rates(&config, 0.4, 2, 2), &[0.2, 0.4, 0.4, 0.4]);
    }

    proptest! {
        #[test]
        fn rates_stay_positive_and_at_most_the_highest(
            kind in prop_oneof![
                Just(ScheduleKind::Constant), Just(ScheduleKind::Cosine), Just(ScheduleKind::OneCycle),
                Just(ScheduleKind::Linear), Just(ScheduleKind::Triangular), Just(ScheduleKind::Step),
                Just(ScheduleKind::Plateau),
            ],
            rate in 1e-6_f64..1.0, epochs in 1_usize..20, steps in 1_usize..20,
            last in 0.0_f64..1.0, warm in 0.0_f64..1.0,
        ) {
            let rises = matches!(kind, ScheduleKind::OneCycle | ScheduleKind::Triangular);
            let warmup = if rises { 0.0 } else { warm * epochs as f64 };
            let config = ScheduleConfig {
                kind, final_fraction: last, warmup_epochs: warmup, step_epochs: Some(1.5),
                ..ScheduleConfig::default()
            };
            for found in rates(&config, rate, epochs, steps) {
                prop_assert!(found >= 0.0 && found <= rate * (1.0 + 1e-12), "{}", found);
            }
        }
    }
}
