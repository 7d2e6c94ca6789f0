//! Every convolution of the reference network: output and both gradients, with each applicable algorithm. An
//! element is one operation of the direct algorithm, two per multiply-add, so criterion's Gelem/s are GFLOP/s
//! relative to the direct algorithm. Also the max pools of the plain CNN (per value read or written), batch
//! norms with each activation (per value), and the orthogonalised directions of Muon for its filters.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kernel_work::{ALGORITHMS, Pass, Work};
use layers::LAYERS;
use mlestar_kernels::{
    Activated, Activation, MaxPoolShape, batch_norm_backward, batch_norm_forward,
    channel_statistics, max_pool, max_pool_backward, orthogonalize,
};
use mlestar_random::Stream;

// This bench and the roofline table of the command line share one list of layers.
#[path = "../xtask/src/bench/kernel_work.rs"]
mod kernel_work;
// The frequency of a layer matters only for the roofline.
#[allow(dead_code)]
#[path = "../xtask/src/bench/layers.rs"]
mod layers;

#[allow(clippy::expect_used)] // The shapes are fixed, and every algorithm is asked whether it applies.
fn kernels(criterion: &mut Criterion) {
    for batch in [128, 1] {
        for pass in Pass::ALL {
            let name = format!("kernels/batch {batch}/{}", pass.name());
            let mut group = criterion.benchmark_group(name);
            for layer in &LAYERS {
                let shape = layer.shape(batch);
                group.throughput(Throughput::Elements(2 * shape.multiply_adds()));
                for (algorithm, name) in ALGORITHMS {
                    if !algorithm.applies(&shape) {
                        continue;
                    }
                    let mut work = Work::new(shape, algorithm).expect("a shape with meaning");
                    group.bench_function(BenchmarkId::new(layer.name, name), |bencher| {
                        bencher.iter(|| work.run(pass).expect("buffers of the shape's lengths"));
                    });
                }
            }
            group.finish();
        }
    }
}

#[allow(clippy::expect_used)] // The buffers are of the shape's lengths.
fn pools(criterion: &mut Criterion) {
    const BATCH: usize = 128;
    let mut group = criterion.benchmark_group(format!("kernels/batch {BATCH}/max pool"));
    for (side, channels) in [(32, 32), (16, 128), (8, 256)] {
        let shape = MaxPoolShape::side_by_side([side, side], channels, 2);
        let n_inputs = BATCH * side * side * channels;
        let mut draws = Stream::new(0, "inputs", 0, 0);
        let input: Vec<f32> = (0..n_inputs).map(|_| draws.range_f32(-1.0, 1.0)).collect();
        let mut output = vec![0.0; n_inputs / 4];
        let mut places = vec![0; n_inputs / 4];
        let mut gradient = vec![0.0; n_inputs];
        let name = format!("{channels} x {side} x {side}");
        group.throughput(Throughput::Elements(n_inputs as u64));
        group.bench_function(BenchmarkId::new(&name, "output"), |bencher| {
            bencher.iter(|| {
                max_pool(&shape, &input, &mut output, Some(&mut places)).expect("lengths fit");
            });
        });
        group.bench_function(BenchmarkId::new(&name, "input gradient"), |bencher| {
            bencher.iter(|| {
                max_pool_backward(&shape, &places, &output, &mut gradient).expect("lengths fit");
            });
        });
    }
    group.finish();
}

#[allow(clippy::expect_used)] // The buffers are of the shape's lengths.
fn batch_norms(criterion: &mut Criterion) {
    const PIXELS: usize = 128 * 16 * 16;
    const CHANNELS: usize = 128;
    const EPSILON: f64 = 1e-5;
    let mut group = criterion.benchmark_group("kernels/batch 128/batch norm of 128 x 16 x 16");
    group.throughput(Throughput::Elements((PIXELS * CHANNELS) as u64));
    let mut draws = Stream::new(0, "inputs", 0, 0);
    let input: Vec<f32> = (0..PIXELS * CHANNELS)
        .map(|_| draws.range_f32(-1.0, 1.0))
        .collect();
    let (weight, bias) = ([1.0; CHANNELS], [0.1; CHANNELS]);
    let statistics = channel_statistics(&input, CHANNELS).expect("whole pixels");
    let mut output = vec![0.0; input.len()];
    let mut gradient = vec![0.0; input.len()];
    for (name, activation) in [
        ("none", None),
        ("relu", Some(Activation::Relu)),
        ("silu", Some(Activation::Silu)),
    ] {
        group.bench_function(BenchmarkId::new(name, "output"), |bencher| {
            bencher.iter(|| {
                batch_norm_forward(
                    &input,
                    &statistics,
                    &weight,
                    &bias,
                    EPSILON,
                    None,
                    activation,
                    &mut output,
                )
                .expect("lengths fit");
            });
        });
        let activated = activation.map(|activation| Activated {
            activation,
            bias: &bias,
            residual: None,
        });
        group.bench_function(BenchmarkId::new(name, "gradients"), |bencher| {
            bencher.iter(|| {
                batch_norm_backward(
                    &input,
                    &statistics,
                    &weight,
                    EPSILON,
                    activated,
                    &input,
                    &mut gradient,
                    None,
                )
                .expect("lengths fit")
            });
        });
    }
    group.finish();
}

#[allow(clippy::expect_used)] // The matrices are whole.
fn muon(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kernels/muon");
    for (rows, columns) in [(64, 576), (128, 1152), (256, 2304), (512, 4608)] {
        let mut draws = Stream::new(0, "matrix", 0, 0);
        let matrix: Vec<f32> = (0..rows * columns)
            .map(|_| draws.range_f32(-1.0, 1.0))
            .collect();
        group.bench_function(
            BenchmarkId::from_parameter(format!("{rows} x {columns}")),
            |bencher| {
                bencher.iter(|| orthogonalize(&matrix, rows).expect("a matrix"));
            },
        );
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = mlestar_benches::criterion();
    targets = kernels, pools, batch_norms, muon
}
criterion_main!(benches);
