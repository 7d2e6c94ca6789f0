//! Predictions of the reference network and of the quick-start network, by the executor for exported models.
//! The weights are random, which does not change the cost of a prediction.

use std::hint::black_box;

use burn::tensor::Device;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mlestar_export::{Executor, FrozenModel};
use mlestar_model::ModelConfig;
use mlestar_random::Stream;

const SIDE: usize = 32;
const N_CLASSES: usize = 10;

#[allow(clippy::unwrap_used)] // The configurations are the crate's own, which always build.
fn executor(config: ModelConfig) -> Executor {
    let spec = config.check(N_CLASSES, SIDE, SIDE).unwrap();
    let model = spec.init(0, &Device::flex());
    let classes: Vec<String> = (0..N_CLASSES)
        .map(|index| format!("class {index}"))
        .collect();
    let frozen = FrozenModel::freeze(&model, &spec, ([0.5; 3], [0.25; 3]), &classes);
    Executor::new(&frozen.unwrap())
}

fn inference(criterion: &mut Criterion) {
    let configs = [
        ("reference", ModelConfig::reference()),
        ("small", ModelConfig::small()),
    ];
    for (name, config) in configs {
        let executor = executor(config);
        let mut group = criterion.benchmark_group(format!("inference/{name}"));
        for batch in [1_usize, 8, 128] {
            let mut stream = Stream::new(0, "bench pictures", 0, 0);
            let n_bytes = batch * SIDE * SIDE * 3;
            let pictures: Vec<u8> = (0..n_bytes).map(|_| stream.below(256) as u8).collect();
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_with_input(
                BenchmarkId::new("batch", batch),
                &pictures,
                |bencher, pictures| {
                    bencher.iter(|| black_box(executor.logits(black_box(pictures), batch)));
                },
            );
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = mlestar_benches::criterion();
    targets = inference
}
criterion_main!(benches);
