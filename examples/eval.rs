//! Evaluates two classifiers on the same samples and tests whether the second is significantly better than the
//! first.
//!
//! `cargo run --release -p mlestar-examples --example eval`

use mlestar_eval::{EvalError, Predictions, mcnemar, summarize};
use mlestar_random::Stream;

const N_SAMPLES: usize = 2_000;

fn main() -> Result<(), EvalError> {
    let classes = ["cat", "dog", "ship"].map(String::from);
    let baseline = simulated_predictions("baseline", 1.2)?;
    let refined = simulated_predictions("refined", 1.6)?;

    let summary = summarize(&refined, &classes, 0.95)?;
    let [low, high] = summary.accuracy.interval.ends();
    println!(
        "{} samples, accuracy {:.4} [{low:.4}, {high:.4}], log loss {:.4}, calibration error {:.4}",
        summary.n_samples,
        summary.accuracy.value,
        summary.log_loss.value,
        summary.reliability.expected_calibration_error
    );
    println!("class  support  precision  recall      F1     AUC");
    for class in &summary.per_class {
        println!(
            "{:<5}  {:>7}  {:>9}  {:>6}  {:>6}  {:>6}",
            class.class,
            class.support,
            shown(class.precision),
            shown(class.recall),
            shown(class.f1),
            shown(class.roc_auc)
        );
    }
    for pair in summary.most_confused.iter().take(2) {
        println!(
            "{} of the samples of class {} were predicted as {}",
            pair.count, classes[pair.truth as usize], classes[pair.predicted as usize]
        );
    }

    let comparison = mcnemar(&baseline.correct(), &refined.correct(), 0.95)?;
    let [low, high] = comparison.interval.ends();
    println!(
        "the refined classifier is better by {:.4} [{low:.4}, {high:.4}], p = {:.2e}",
        comparison.difference, comparison.p_value
    );
    Ok(())
}

/// Softmax of noise plus `skill` on the true class; both classifiers see the same labels.
fn simulated_predictions(name: &str, skill: f64) -> Result<Predictions, EvalError> {
    let mut labels = Vec::with_capacity(N_SAMPLES);
    let mut probabilities = Vec::with_capacity(3 * N_SAMPLES);
    for index in 0..N_SAMPLES as u64 {
        let label = Stream::new(7, "labels", 0, index).below(3) as usize;
        let mut noise = Stream::new(7, name, 0, index);
        let mut row = [0.0; 3];
        for (class, weight) in row.iter_mut().enumerate() {
            let bonus = if class == label { skill } else { 0.0 };
            *weight = (noise.normal() + bonus).exp();
        }
        let sum: f64 = row.iter().sum();
        probabilities.extend(row.map(|weight| weight / sum));
        labels.push(label as u32);
    }
    Predictions::new(labels, probabilities, 3)
}

fn shown(fraction: Option<f64>) -> String {
    fraction.map_or("-".to_string(), |fraction| format!("{fraction:.4}"))
}
