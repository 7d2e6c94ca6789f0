//! Images augmented per second on one core, 32x32.

use criterion::{Criterion, Throughput};
use mlestar_data::augment::{AugmentationConfig, Augmenter, PaddingMode};
use mlestar_data::normalization::Normalization;
use std::hint::black_box;

const SIDE: usize = 32;
const N_PICTURES: usize = 256;

fn main() {
    let mut criterion = mlestar_benches::criterion().configure_from_args();
    augmentation(&mut criterion);
    criterion.final_summary();
}

fn augmentation(criterion: &mut Criterion) {
    let crop_and_flip = AugmentationConfig {
        random_crop_padding: 4,
        horizontal_flip_probability: 0.5,
        ..AugmentationConfig::default()
    };
    let reflected = AugmentationConfig {
        padding_mode: PaddingMode::Reflect,
        ..crop_and_flip.clone()
    };
    let all = AugmentationConfig {
        brightness: 0.2,
        contrast: 0.2,
        saturation: 0.2,
        cutout_size: 8,
        ..crop_and_flip.clone()
    };
    let warped = AugmentationConfig {
        rotation_degrees: 15.0,
        zoom: 0.15,
        ..reflected.clone()
    };
    let normalization = Normalization {
        mean: [0.4914, 0.4822, 0.4465],
        std: [0.247, 0.2435, 0.2616],
    };
    let n_values = 3 * SIDE * SIDE;
    let pictures: Vec<u8> = (0..N_PICTURES * n_values)
        .map(|i| (i * 31 % 251) as u8)
        .collect();
    let mut out = vec![0.0_f32; n_values];
    let mut group = criterion.benchmark_group("augmentation");
    group.throughput(Throughput::Elements(N_PICTURES as u64));
    for (name, config) in [
        ("normalise only", AugmentationConfig::default()),
        ("crop and flip, zero padding", crop_and_flip),
        ("crop and flip, reflected", reflected),
        ("crop, flip, rotation and zoom", warped),
        ("crop, flip, colour and cutout", all),
    ] {
        #[allow(clippy::expect_used)] // A bench that left one out would not be missed.
        let augmenter = Augmenter::new(&config, normalization, SIDE, SIDE)
            .expect("the settings above are in range");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for (index, picture) in pictures.chunks_exact(n_values).enumerate() {
                    augmenter.apply(black_box(picture), 1, 0, index as u64, &mut out);
                    black_box(&mut out);
                }
            });
        });
    }
    group.finish();
}
