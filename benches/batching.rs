//! Images per second through the loader: one epoch of augmented batches of 128.

use criterion::{Criterion, Throughput};
use mlestar_data::DataError;
use mlestar_data::augment::AugmentationConfig;
use mlestar_data::loader::{Loader, LoaderConfig};
use mlestar_data::normalization::Normalization;
use mlestar_data::synthetic::{SyntheticConfig, generate};
use std::hint::black_box;
use std::sync::Arc;

const N_PICTURES: usize = 8192;

fn loader(prefetch: usize, threads: usize) -> Result<Loader, DataError> {
    let sizes = SyntheticConfig {
        n_train: N_PICTURES,
        n_validation: 10,
        n_test: 10,
        ..SyntheticConfig::default()
    };
    let train = Arc::new(generate(&sizes.without_flaws(), 1)?.splits.train);
    let augmentation = AugmentationConfig {
        random_crop_padding: 4,
        horizontal_flip_probability: 0.5,
        ..AugmentationConfig::default()
    };
    let config = LoaderConfig {
        batch_size: 128,
        prefetch,
        threads,
        ..LoaderConfig::default()
    };
    Loader::new(
        train,
        Some(augmentation),
        Normalization::new([0.5; 3], [0.25; 3])?,
        config,
    )
}

fn main() {
    let mut criterion = mlestar_benches::criterion().configure_from_args();
    batching(&mut criterion);
    criterion.final_summary();
}

fn batching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batching");
    group.throughput(Throughput::Elements(N_PICTURES as u64));
    for (name, prefetch, threads) in [
        ("on request", 0, 1),
        ("4 ahead, 1 thread", 4, 1),
        ("4 ahead, 2 threads", 4, 2),
    ] {
        #[allow(clippy::expect_used)] // A bench needs its data.
        let loader = loader(prefetch, threads).expect("the settings above are in range");
        let mut epoch = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                epoch += 1;
                for batch in loader.epoch(epoch) {
                    black_box(batch);
                }
            });
        });
    }
    group.finish();
}
