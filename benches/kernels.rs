//! Every convolution of the reference network: output and both gradients, with each algorithm that
//! applies. An element is one operation of the direct algorithm, two a multiply-add, so that
//! criterion's Gelem/s are GFLOP/s as if direct.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kernel_work::{ALGORITHMS, Pass, Work};
use layers::LAYERS;

// One list of layers serves this bench and the roofline table of the command line.
#[path = "../xtask/src/commands/bench/kernel_work.rs"]
mod kernel_work;
// How often a layer occurs counts in the roofline alone.
#[allow(dead_code)]
#[path = "../xtask/src/commands/bench/layers.rs"]
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

criterion_group! {
    name = benches;
    config = mlestar_benches::criterion();
    targets = kernels
}
criterion_main!(benches);
