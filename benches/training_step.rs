//! One epoch of eight training steps, and inference, on the CPU. The timed work includes reading the results,
//! so no work is left running on the device.

#![allow(clippy::unwrap_used)] // A bench that cannot set itself up has nothing to measure.

use std::{hint::black_box, sync::Arc};

use burn::tensor::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mlestar_data::synthetic::{SyntheticConfig, generate};
use mlestar_model::{ModelConfig, ModelSpec};
use mlestar_train::{FitRequest, TrainEvent, TrainingConfig, TrainingSetup, fit};

const BATCH: usize = 32;
const STEPS: usize = 8;

fn small() -> ModelSpec {
    ModelConfig::small().check(10, 32, 32).unwrap()
}

fn training(criterion: &mut Criterion) {
    let sizes = SyntheticConfig {
        n_train: BATCH * STEPS,
        n_validation: 10,
        n_test: 10,
        ..SyntheticConfig::default()
    };
    let splits = generate(&sizes.without_flaws(), 0).unwrap().splits;
    let train = Arc::new(splits.train);
    let validation = Arc::new(splits.validation);
    let spec = small();
    let training = TrainingConfig {
        epochs: 1,
        batch_size: BATCH,
        ..TrainingConfig::default()
    };
    let training = training.check().unwrap();
    let device = Device::flex();
    let mut group = criterion.benchmark_group("training");
    group.sample_size(10);
    group.throughput(Throughput::Elements(train.len() as u64));
    group.bench_function("small model, one epoch", |bencher| {
        bencher.iter(|| {
            let output = tempfile::tempdir().unwrap();
            let setup = TrainingSetup {
                training: training.clone(),
                threads: 1,
                ..TrainingSetup::new(spec.init(0, &device), Arc::clone(&train), &device).unwrap()
            };
            let request = FitRequest {
                resume: false,
                ..FitRequest::from_setup(setup, Arc::clone(&validation), output.path())
            };
            fit(&request, &mut |event: &TrainEvent| {
                black_box(event);
            })
            .unwrap()
            .history
        });
    });
    group.finish();
}

fn inference(criterion: &mut Criterion) {
    let device = Device::flex();
    let mut group = criterion.benchmark_group("inference");
    for (name, spec) in [
        ("small", small()),
        (
            "reference",
            ModelConfig::reference().check(10, 32, 32).unwrap(),
        ),
    ] {
        let model = spec.init(0, &device);
        for n in [1_usize, 32] {
            let images = Tensor::<4>::ones([n, 3, 32, 32], &device);
            group.sample_size(10);
            group.throughput(Throughput::Elements(n as u64));
            group.bench_with_input(BenchmarkId::new(name, n), &images, |bencher, images| {
                bencher.iter(|| model.forward(images.clone()).into_data());
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = mlestar_benches::criterion();
    targets = training, inference
}
criterion_main!(benches);
