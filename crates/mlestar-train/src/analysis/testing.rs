//! Simulated histories for tests.

use super::{Finding, Kind, Settings, analyse};
use crate::config::TrainingConfig;
use crate::schedule::Schedule;
use crate::{EpochRecord, StepRecord};
use mlestar_random::Stream;

/// An ordinary training: losses fall and accuracies rise, with noise from step to step.
pub(super) struct Simulation {
    pub seed: u64,
    pub epochs: usize,
    /// 0 for a training without step records.
    pub steps_per_epoch: usize,
    /// Standard deviation of the logarithm of a step's loss.
    pub noise: f64,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            seed: 0,
            epochs: 20,
            steps_per_epoch: 50,
            noise: 0.1,
        }
    }
}

pub(super) struct Record {
    pub epochs: Vec<EpochRecord>,
    pub steps: Vec<StepRecord>,
    pub config: TrainingConfig,
}

impl Simulation {
    pub(super) fn run(&self) -> Record {
        let config = TrainingConfig {
            epochs: self.epochs.max(1),
            ..TrainingConfig::default()
        };
        let steps_per_epoch = self.steps_per_epoch.max(1);
        let rate = config.optimizer.learning_rate;
        let schedule = Schedule::new(&config.schedule, rate, config.epochs, steps_per_epoch);
        let mut noise = Noise(Stream::new(self.seed, "history", 0, 0));
        let (mut epochs, mut steps) = (Vec::new(), Vec::new());
        let n_steps = (self.epochs * steps_per_epoch) as f64;
        for epoch in 1..=self.epochs {
            for _ in 0..steps_per_epoch {
                let step = steps.len() as u64;
                let level = loss_at(step as f64 / n_steps);
                steps.push(StepRecord {
                    step: step + 1,
                    epoch,
                    loss: level * noise.factor(self.noise),
                    learning_rate: schedule.learning_rate(step),
                    gradient_norm: (0.3 + level) * noise.factor(0.3),
                });
            }
            let loss = loss_at((epoch as f64 - 0.5) / self.epochs as f64);
            let accuracy = |loss: f64| (1.0 - 0.39 * loss).clamp(0.1, 1.0);
            let validation_loss = (0.12 + loss) * noise.factor(0.02);
            epochs.push(EpochRecord {
                epoch,
                learning_rate: schedule.learning_rate((epoch * steps_per_epoch) as u64 - 1),
                train_loss: loss * noise.factor(0.01),
                train_accuracy: accuracy(loss),
                validation_loss: Some(validation_loss),
                validation_accuracy: Some(accuracy(validation_loss)),
                images_per_second: 250.0 * noise.factor(0.05),
                picture_area: 1.0,
                seconds: 25.6,
                loader_wait_seconds: 0.0,
                validation_seconds: 3.0,
                gradient_norm_mean: (0.3 + loss) * noise.factor(0.05),
                head: None,
            });
        }
        if self.steps_per_epoch == 0 {
            steps.clear();
        }
        Record {
            epochs,
            steps,
            config,
        }
    }
}

/// From 2.3 down to 0.06 over the whole training (0 to 1).
fn loss_at(progress: f64) -> f64 {
    0.05 + 2.25 * (-5.5 * progress).exp()
}

struct Noise(Stream);

impl Noise {
    /// A factor with a normally distributed logarithm.
    fn factor(&mut self, deviation: f64) -> f64 {
        (deviation * self.0.normal()).exp()
    }
}

fn findings(record: &Record) -> Vec<Finding> {
    analyse(&record.epochs, &record.steps, &Settings::of(&record.config))
}

pub(super) fn kinds(record: &Record) -> Vec<Kind> {
    findings(record)
        .iter()
        .map(|finding| finding.kind)
        .collect()
}

/// The only finding of this kind.
pub(super) fn found(record: &Record, kind: Kind) -> Finding {
    let mut findings = findings(record);
    findings.retain(|finding| finding.kind == kind);
    assert_eq!(findings.len(), 1, "{kind:?}: {findings:?}");
    findings.remove(0)
}

pub(super) fn nothing_found(simulation: &Simulation) {
    let found = findings(&simulation.run());
    assert!(
        found.is_empty(),
        "seed {}, {} epochs, noise {}: {found:?}",
        simulation.seed,
        simulation.epochs,
        simulation.noise
    );
}
