//! The relative cost of training steps.

use crate::{EpochRecord, TrainingConfig, analysis::robust::median};

/// The time of a step, relative to a step with images of full size.
///
/// Part of a step's time does not depend on its images, mostly the update of the weights. The rest grows with
/// their area, [`TrainingConfig::picture_area`]: the cost is `fixed + (1 - fixed) area`.
///
/// ```
/// use mlestar_train::StepCosts;
///
/// // Steps with images of a quarter of the area, and with whole ones, in seconds.
/// let costs = StepCosts::of_steps(&[(0.25, 0.4), (1.0, 1.0)]).unwrap();
/// assert!((costs.of(0.5) - 0.6).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepCosts {
    /// At least 0 and at most [`MOST_FIXED`].
    fixed: f64,
}

/// The fixed share is at most this, even if the measured times say otherwise.
const MOST_FIXED: f64 = 0.95;

impl Default for StepCosts {
    /// 0.15 of a step is fixed, as measured for `configs/cifar10-60min.toml` on a CPU.
    fn default() -> Self {
        Self { fixed: 0.15 }
    }
}

impl StepCosts {
    /// Fits measured steps, `(area, seconds)`: the line closest to the medians of steps with equal areas.
    /// `None` unless there are at least two different areas.
    #[must_use]
    pub fn of_steps(measured: &[(f64, f64)]) -> Option<Self> {
        let is_usable =
            |&(area, seconds): &(f64, f64)| area > 0.0 && seconds > 0.0 && seconds.is_finite();
        let mut steps: Vec<(f64, f64)> = measured.iter().copied().filter(is_usable).collect();
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        let kinds: Vec<(f64, f64)> = steps
            .chunk_by(|a, b| a.0 == b.0)
            .filter_map(|kind| {
                let seconds: Vec<f64> = kind.iter().map(|step| step.1).collect();
                Some((kind[0].0, median(&seconds)?))
            })
            .collect();
        if kinds.len() < 2 {
            return None;
        }
        let mean =
            |of: fn(&(f64, f64)) -> f64| kinds.iter().map(of).sum::<f64>() / kinds.len() as f64;
        let (area, seconds) = (mean(|kind| kind.0), mean(|kind| kind.1));
        let along: f64 = kinds
            .iter()
            .map(|kind| (kind.0 - area) * (kind.1 - seconds))
            .sum();
        let spread: f64 = kinds.iter().map(|kind| (kind.0 - area).powi(2)).sum();
        let slope = along / spread;
        let intercept = seconds - slope * area;
        let fixed = match slope > 0.0 {
            true => (intercept / (intercept + slope)).clamp(0.0, MOST_FIXED),
            false => MOST_FIXED,
        };
        Some(Self { fixed })
    }

    /// Fits finished epochs; `None` unless their steps have at least two different areas.
    #[must_use]
    pub fn of_epochs(epochs: &[EpochRecord]) -> Option<Self> {
        let step = |epoch: &EpochRecord| (epoch.picture_area, 1.0 / epoch.images_per_second);
        let of_steps = epochs.iter().filter(|epoch| epoch.head.is_none());
        Self::of_steps(&of_steps.map(step).collect::<Vec<_>>())
    }

    /// The cost of a step with images of this area; 1 for area 1.
    #[must_use]
    pub fn of(&self, area: f64) -> f64 {
        self.fixed + (1.0 - self.fixed) * area
    }

    /// The cost of a step of `epoch` (from 1).
    #[must_use]
    pub fn in_epoch(&self, training: &TrainingConfig, epoch: usize) -> f64 {
        self.of(training.picture_area(epoch))
    }

    /// The time of all epochs after `epoch` (from 1), in multiples of that epoch's time.
    #[must_use]
    pub fn epochs_after(&self, training: &TrainingConfig, epoch: usize) -> f64 {
        let later = epoch + 1..=training.epochs;
        let costs = later.map(|later| self.in_epoch(training, later));
        costs.sum::<f64>() / self.in_epoch(training, epoch)
    }
}

#[cfg(test)]
mod tests {
    use crate::ProgressiveResizing;

    use super::*;

    #[test]
    fn the_fixed_part_is_what_the_line_has_without_pictures() {
        let costs = StepCosts::of_steps(&[(0.25, 4.0), (1.0, 10.0), (1.0, 10.0)]).unwrap();
        assert!((costs.fixed - 0.2).abs() < 1e-12, "{costs:?}");
        assert!((costs.of(1.0) - 1.0).abs() < 1e-12);
        assert!((costs.of(2.0) - 1.8).abs() < 1e-12);
        // One slow epoch among others of its area changes nothing, and invalid times are left out.
        let some = [
            (0.25, 4.0),
            (0.25, 40.0),
            (0.25, 4.0),
            (1.0, 10.0),
            (1.0, f64::INFINITY),
            (f64::NAN, 1.0),
            (0.5, 0.0),
        ];
        assert_eq!(StepCosts::of_steps(&some), Some(costs));
        // Three areas, with times 1 + 2 area.
        let three = [(0.0625, 1.125), (0.25, 1.5), (1.0, 3.0)];
        let costs = StepCosts::of_steps(&three).unwrap();
        assert!((costs.fixed - 1.0 / 3.0).abs() < 1e-12, "{costs:?}");
    }

    #[test]
    fn one_kind_of_step_tells_nothing_and_odd_times_stay_in_range() {
        assert_eq!(StepCosts::of_steps(&[]), None);
        assert_eq!(StepCosts::of_steps(&[(1.0, 2.0), (1.0, 3.0)]), None);
        // Grows faster than in proportion to the area.
        let costs = StepCosts::of_steps(&[(0.5, 1.0), (1.0, 3.0)]).unwrap();
        assert_eq!(costs.fixed, 0.0);
        // Smaller images took longer, or equally long.
        for small in [1.0, 3.0] {
            let costs = StepCosts::of_steps(&[(0.5, small), (1.0, 1.0)]).unwrap();
            assert_eq!(costs.fixed, MOST_FIXED);
        }
    }

    #[test]
    fn later_epochs_count_by_what_their_steps_take() {
        let costs = StepCosts { fixed: 0.2 };
        let mut training = TrainingConfig {
            epochs: 4,
            ..TrainingConfig::default()
        };
        assert_eq!(costs.epochs_after(&training, 1), 3.0);
        assert_eq!(costs.epochs_after(&training, 4), 0.0);
        training.progressive_resizing = vec![ProgressiveResizing {
            until_fraction: 0.5,
            scale: 0.5,
        }];
        // 0.4, 0.4, 1, 1.
        assert!((costs.epochs_after(&training, 1) - 6.0).abs() < 1e-12);
    }
}
