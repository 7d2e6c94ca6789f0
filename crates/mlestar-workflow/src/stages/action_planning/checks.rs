//! The architecture check: a function of the figures, so that the gate can derive it again.

use super::artifact::{ArchitectureFigures, CheckRow};
use crate::words::counted;
use mlestar_gates::{Limit, Unit};

/// The loss of the initial weights may differ from that of equal probabilities by this share of it.
const INITIAL_LOSS_TOLERANCE: f64 = 0.5;

/// All checks.
pub(crate) fn check(figures: &ArchitectureFigures) -> Vec<CheckRow> {
    let mut rows = works(figures);
    rows.extend(fits(figures));
    rows
}

/// Whether a model with these figures builds, computes and learns in principle.
fn works(figures: &ArchitectureFigures) -> Vec<CheckRow> {
    let gradients = &figures.gradients;
    let n_values: usize = gradients.iter().map(|gradient| gradient.n_values).sum();
    let n_sound = gradients
        .iter()
        .filter(|gradient| gradient.is_sound())
        .count();
    let n_bad_losses = figures.losses.iter().filter(|loss| loss.is_none()).count();
    let shape_fits = figures.output_shape == [figures.batch_size, figures.n_classes];
    let first_loss = figures.losses.first().copied().flatten();
    let blind_loss = (figures.n_classes as f64).ln();
    let distance = first_loss.map(|loss| (loss - blind_loss).abs() / blind_loss);
    let flag = |holds: bool| Some(if holds { 1.0 } else { 0.0 });
    let mut rows = vec![
        row(
            "builds",
            "the built model has as many trainable parameters as the architecture",
            Some(n_values as f64),
            Limit::Equals(figures.resources.trainable as f64),
            Unit::Count,
            "trainable values of the built model",
        ),
        row(
            "output_shape",
            "the logits have one row per image and one column per class",
            flag(shape_fits),
            Limit::Equals(1.0),
            Unit::Flag,
            format!(
                "{:?} for {}",
                figures.output_shape,
                counted(figures.batch_size, "image")
            ),
        ),
        row(
            "finite_logits",
            "logits of the untrained model that are not finite",
            Some(figures.n_not_finite_logits as f64),
            Limit::Equals(0.0),
            Unit::Count,
            "forward pass on one batch of training images",
        ),
        row(
            "finite_losses",
            "training steps without a finite loss",
            Some(n_bad_losses as f64),
            Limit::Equals(0.0),
            Unit::Count,
            format!(
                "{} with augmentation, dropout and optimizer",
                counted(figures.losses.len(), "step")
            ),
        ),
        row(
            "sound_gradients",
            "parameters with a finite gradient that is not all zero",
            Some(n_sound as f64 / gradients.len().max(1) as f64),
            Limit::Equals(1.0),
            Unit::Fraction,
            format!(
                "{} parameters after the first backward pass",
                gradients.len()
            ),
        ),
    ];
    // Given weights may know other classes, and teachers differ from equal probabilities.
    if !figures.has_given_weights && !figures.has_teachers {
        rows.push(row(
            "initial_loss",
            "relative distance of the first loss from that of equal probabilities",
            distance,
            Limit::AtMost(INITIAL_LOSS_TOLERANCE),
            Unit::Fraction,
            format!(
                "the first loss is {}, ln({}) is {blind_loss:.4}",
                first_loss.map_or("not finite".to_owned(), |loss| format!("{loss:.4}")),
                figures.n_classes
            ),
        ));
    }
    rows
}

/// Whether it is within the limits of the task.
fn fits(figures: &ArchitectureFigures) -> Vec<CheckRow> {
    let (resources, limits, timing) = (&figures.resources, &figures.limits, &figures.timing);
    vec![
        row(
            "model_bytes",
            "size of the weights",
            Some(resources.model_bytes as f64),
            Limit::AtMost(limits.model_bytes as f64),
            Unit::Bytes,
            "parameters and running statistics in f32",
        ),
        row(
            "training_memory",
            "training memory, computed",
            Some(resources.training_memory_bytes() as f64),
            Limit::AtMost(limits.memory_bytes as f64),
            Unit::Bytes,
            format!(
                "activations of {} images, weights, gradients, optimizer, batches, data",
                resources.batch_size
            ),
        ),
        row(
            "training_time",
            "training time, extrapolated",
            Some(figures.estimated_training_seconds),
            Limit::AtMost(limits.training_seconds),
            Unit::Seconds,
            format!(
                "median of {}, {} of {}",
                counted(timing.step_seconds.len(), "measured step"),
                counted(figures.training_work.epochs, "epoch"),
                counted(figures.training_work.steps_per_epoch, "step")
            ),
        ),
        row(
            "latency",
            "time for one image in the deployed program",
            Some(timing.median_latency_ms()),
            Limit::AtMost(limits.latency_ms),
            Unit::Milliseconds,
            format!(
                "median of {} predictions by the frozen network that stage 7 deploys, with initial weights",
                timing.latency_ms.len()
            ),
        ),
    ]
}

fn row(
    id: &str,
    title: &str,
    value: Option<f64>,
    limit: Limit,
    unit: Unit,
    method: impl Into<String>,
) -> CheckRow {
    let value = value.filter(|value| value.is_finite());
    CheckRow {
        id: id.to_owned(),
        title: title.to_owned(),
        passed: value.is_some_and(|value| limit.allows(value)),
        value,
        limit,
        unit,
        method: method.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::architecture_figures;
    use super::*;

    /// The ids of the checks that fail after `change`.
    fn failing(change: impl FnOnce(&mut ArchitectureFigures)) -> Vec<String> {
        let mut figures = architecture_figures();
        change(&mut figures);
        let rows = check(&figures).into_iter().filter(|row| !row.passed);
        rows.map(|row| row.id).collect()
    }

    #[test]
    fn each_fault_fails_its_own_check() {
        assert_eq!(failing(|_| {}), Vec::<String>::new());
        assert_eq!(failing(|f| f.output_shape = [8, 3]), ["output_shape"]);
        assert_eq!(failing(|f| f.n_not_finite_logits = 1), ["finite_logits"]);
        assert_eq!(failing(|f| f.losses[1] = None), ["finite_losses"]);
        assert_eq!(
            failing(|f| f.losses[0] = None),
            ["finite_losses", "initial_loss"]
        );
        assert_eq!(failing(|f| f.losses[0] = Some(30.0)), ["initial_loss"]);
        let given = |f: &mut ArchitectureFigures| {
            f.losses[0] = Some(30.0);
            f.has_given_weights = true;
        };
        assert_eq!(failing(given), Vec::<String>::new());
        let taught = |f: &mut ArchitectureFigures| {
            f.losses[0] = Some(30.0);
            f.has_teachers = true;
        };
        assert_eq!(failing(taught), Vec::<String>::new());
        assert_eq!(
            failing(|f| f.gradients[0].n_not_finite = 1),
            ["sound_gradients"]
        );
        assert_eq!(
            failing(|f| f.gradients[0].is_present = false),
            ["sound_gradients"]
        );
        assert_eq!(
            failing(|f| f.gradients[0].n_zero = f.gradients[0].n_values),
            ["sound_gradients"]
        );
        assert_eq!(failing(|f| f.gradients[0].n_values += 1), ["builds"]);
        assert_eq!(failing(|f| f.limits.model_bytes = 1), ["model_bytes"]);
        assert_eq!(failing(|f| f.limits.memory_bytes = 1), ["training_memory"]);
        assert_eq!(
            failing(|f| f.estimated_training_seconds = 1e9),
            ["training_time"]
        );
        assert_eq!(
            failing(|f| f.timing.latency_ms = vec![f64::NAN]),
            ["latency"]
        );
    }
}
