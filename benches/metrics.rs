//! Evaluation metrics on predictions of the size of CIFAR-10's test split: 10,000 samples, 10 classes.

use std::hint::black_box;

use criterion::Criterion;
use mlestar_eval::{
    ConfusionMatrix, Predictions, average_precision_one_vs_rest, log_loss, mcnemar, reliability,
    roc_auc_one_vs_rest, summarize,
};
use mlestar_random::Stream;

const N_SAMPLES: usize = 10_000;
const N_CLASSES: usize = 10;

fn main() {
    let mut criterion = mlestar_benches::criterion().configure_from_args();
    metrics(&mut criterion);
    criterion.final_summary();
}

fn metrics(criterion: &mut Criterion) {
    let (labels, probabilities) = labels_and_probabilities();
    let predictions = checked(labels.clone(), probabilities.clone());
    let classes: Vec<String> = (0..N_CLASSES).map(|class| class.to_string()).collect();
    let correct = predictions.correct();
    let reversed: Vec<bool> = correct.iter().rev().copied().collect();

    let mut group = criterion.benchmark_group("metrics");
    group.throughput(criterion::Throughput::Elements(N_SAMPLES as u64));
    group.bench_function("check_predictions", |bencher| {
        bencher.iter_batched(
            || (labels.clone(), probabilities.clone()),
            |(labels, probabilities)| Predictions::new(labels, probabilities, N_CLASSES),
            criterion::BatchSize::LargeInput,
        );
    });
    group.bench_function("confusion_matrix", |bencher| {
        bencher.iter(|| ConfusionMatrix::from(black_box(&predictions)));
    });
    group.bench_function("log_loss", |bencher| {
        bencher.iter(|| log_loss(black_box(&predictions)));
    });
    group.bench_function("reliability", |bencher| {
        bencher.iter(|| reliability(black_box(&predictions), 15));
    });
    group.bench_function("roc_auc_one_vs_rest", |bencher| {
        bencher.iter(|| roc_auc_one_vs_rest(black_box(&predictions)));
    });
    group.bench_function("average_precision_one_vs_rest", |bencher| {
        bencher.iter(|| average_precision_one_vs_rest(black_box(&predictions)));
    });
    group.bench_function("mcnemar", |bencher| {
        bencher.iter(|| mcnemar(black_box(&correct), black_box(&reversed), 0.95));
    });
    group.bench_function("summarize", |bencher| {
        bencher.iter(|| summarize(black_box(&predictions), &classes, 0.95));
    });
    group.finish();
}

/// Softmax of noise, with a bonus on the true class that makes about two of three predictions correct.
fn labels_and_probabilities() -> (Vec<u32>, Vec<f64>) {
    let mut labels = Vec::with_capacity(N_SAMPLES);
    let mut probabilities = Vec::with_capacity(N_SAMPLES * N_CLASSES);
    for index in 0..N_SAMPLES {
        let mut noise = Stream::new(1, "metrics bench", 0, index as u64);
        let label = index % N_CLASSES;
        let weights: Vec<f64> = (0..N_CLASSES)
            .map(|class| (noise.normal() + if class == label { 2.0 } else { 0.0 }).exp())
            .collect();
        let sum: f64 = weights.iter().sum();
        probabilities.extend(weights.iter().map(|weight| weight / sum));
        labels.push(label as u32);
    }
    (labels, probabilities)
}

#[allow(clippy::expect_used)] // a softmax row per label is always valid
fn checked(labels: Vec<u32>, probabilities: Vec<f64>) -> Predictions {
    Predictions::new(labels, probabilities, N_CLASSES).expect("rows of a softmax")
}
