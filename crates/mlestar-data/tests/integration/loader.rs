//! The loader: order, resumption, and independence of threads.

use mlestar_data::augment::AugmentationConfig;
use mlestar_data::loader::{Batch, Loader, LoaderConfig};
use mlestar_data::normalization::Normalization;
use mlestar_data::{ImageSet, Origin};
use mlestar_random::Stream;
use proptest::prelude::*;
use std::sync::Arc;

fn set(n: usize) -> Arc<ImageSet> {
    let mut stream = Stream::new(3, "test-set", 0, 0);
    let pixels = (0..n * 3 * 6 * 5)
        .map(|_| stream.next_u32() as u8)
        .collect();
    let labels = (0..n as u32).map(|index| index % 2).collect();
    let origins = (0..n as u64)
        .map(|index| Origin::Synthetic { index })
        .collect();
    let classes = ["a", "b"].map(String::from).into();
    Arc::new(ImageSet::new(classes, 6, 5, pixels, labels, origins).unwrap())
}

fn augmentation() -> AugmentationConfig {
    AugmentationConfig {
        random_crop_padding: 2,
        horizontal_flip_probability: 0.5,
        contrast: 0.3,
        cutout_size: 2,
        ..AugmentationConfig::default()
    }
}

fn loader(n: usize, config: &LoaderConfig) -> Loader {
    let normalization = Normalization::new([0.5; 3], [0.25; 3]).unwrap();
    Loader::new(set(n), Some(augmentation()), normalization, config.clone()).unwrap()
}

fn bits(batches: &[Batch]) -> Vec<u32> {
    batches
        .iter()
        .flat_map(|batch| batch.images.iter().map(|value| value.to_bits()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn threads_and_prefetch_change_no_bit(
        n in 1_usize..60,
        batch_size in 1_usize..20,
        prefetch in 0_usize..9,
        threads in 1_usize..6,
        shuffle: bool,
        (seed, epoch) in any::<(u64, u64)>(),
    ) {
        let alone = LoaderConfig { batch_size, shuffle, drop_last: false, prefetch: 0, threads: 1, seed };
        let together = LoaderConfig { prefetch, threads, ..alone.clone() };
        let expected: Vec<Batch> = loader(n, &alone).epoch(epoch).collect();
        let batches: Vec<Batch> = loader(n, &together).epoch(epoch).collect();
        prop_assert_eq!(bits(&batches), bits(&expected));
        prop_assert_eq!(batches, expected);
    }

    #[test]
    fn an_epoch_is_every_picture_once_and_its_tail_can_be_had_alone(
        n in 1_usize..60,
        batch_size in 1_usize..20,
        first in 0_usize..70,
        shuffle: bool,
        (seed, epoch) in any::<(u64, u64)>(),
    ) {
        let config = LoaderConfig { batch_size, shuffle, prefetch: 2, seed, ..LoaderConfig::default() };
        let loader = loader(n, &config);
        let batches: Vec<Batch> = loader.epoch(epoch).collect();
        prop_assert_eq!(batches.len(), loader.batches_per_epoch());
        let mut indices: Vec<usize> = batches.iter().flat_map(|batch| batch.indices.clone()).collect();
        prop_assert_eq!(&indices, &loader.order(epoch));
        indices.sort_unstable();
        prop_assert_eq!(indices, (0..n).collect::<Vec<_>>());
        let tail: Vec<Batch> = loader.epoch_from(epoch, first).collect();
        prop_assert_eq!(&tail[..], batches.get(first..).unwrap_or_default());
    }
}

#[test]
fn shrunk_batches_are_the_same_pictures_made_smaller() {
    let config = LoaderConfig {
        batch_size: 4,
        prefetch: 0,
        ..LoaderConfig::default()
    };
    let whole = loader(10, &config);
    let [height, width] = [whole.epoch(3).next().unwrap()].map(|b| [b.height, b.width])[0];
    assert_eq!(
        whole.shrunk_to([height, width]).unwrap().epoch(3).next(),
        whole.epoch(3).next()
    );
    // Pixels of 2 rows and all 5 columns.
    let target = [height / 2, 1];
    let shrunk = whole.shrunk_to(target).unwrap();
    for (small, large) in shrunk.epoch(3).zip(whole.epoch(3)) {
        assert_eq!([small.height, small.width], target);
        assert_eq!(
            (&small.indices, &small.labels),
            (&large.indices, &large.labels)
        );
        let areas = large.images.chunks_exact(2 * width);
        assert_eq!(areas.len(), small.images.len());
        for (value, area) in small.images.iter().zip(areas) {
            let mean = area.iter().sum::<f32>() / area.len() as f32;
            assert!((value - mean).abs() < 1e-5, "{value} is not {mean}");
        }
    }
    let together = LoaderConfig {
        prefetch: 3,
        threads: 2,
        ..config
    };
    let threaded = loader(10, &together).shrunk_to(target).unwrap();
    assert_eq!(
        threaded.epoch_from(3, 1).collect::<Vec<_>>(),
        shrunk.epoch(3).skip(1).collect::<Vec<_>>()
    );

    let error = whole.shrunk_to([height, 0]).unwrap_err().to_string();
    assert!(error.contains("width is 0, but must be 1 to 5"), "{error}");
    let error = whole
        .shrunk_to([height + 1, width])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&format!("1 to {height}, that of the images")),
        "{error}"
    );
}

#[test]
fn batches_have_the_labels_and_pixels_of_their_indices() {
    let set = set(7);
    let normalization = Normalization::new([0.5; 3], [0.25; 3]).unwrap();
    let config = LoaderConfig {
        batch_size: 3,
        shuffle: true,
        ..LoaderConfig::default()
    };
    let loader = Loader::new(Arc::clone(&set), None, normalization, config).unwrap();
    for batch in loader.epoch(4) {
        assert_eq!(batch.images.len(), batch.n * 3 * batch.height * batch.width);
        for (number, index) in batch.indices.iter().enumerate() {
            assert_eq!(batch.labels[number], set.label(*index));
            let mut expected = vec![0.0; 90];
            mlestar_data::normalization::normalize_into(
                set.pixels(*index),
                &normalization,
                &mut expected,
            );
            assert_eq!(batch.images[number * 90..][..90], expected);
        }
    }
}

#[test]
fn epochs_and_seeds_have_orders_and_augmentations_of_their_own() {
    let config = LoaderConfig {
        batch_size: 40,
        seed: 1,
        ..LoaderConfig::default()
    };
    let (one, other) = (
        loader(40, &config),
        loader(
            40,
            &LoaderConfig {
                seed: 2,
                ..config.clone()
            },
        ),
    );
    assert_ne!(one.order(0), one.order(1));
    assert_ne!(one.order(0), other.order(0));
    let in_order = loader(
        40,
        &LoaderConfig {
            shuffle: false,
            ..config
        },
    );
    assert_eq!(in_order.order(5), (0..40).collect::<Vec<_>>());
    assert_ne!(in_order.epoch(0).next(), in_order.epoch(1).next());
}

#[test]
fn incomplete_batches_are_kept_or_dropped() {
    let sizes = |n: usize, batch_size: usize, drop_last: bool| -> Vec<usize> {
        let config = LoaderConfig {
            batch_size,
            drop_last,
            ..LoaderConfig::default()
        };
        loader(n, &config).epoch(0).map(|batch| batch.n).collect()
    };
    assert_eq!(sizes(10, 4, false), [4, 4, 2]);
    assert_eq!(sizes(10, 4, true), [4, 4]);
    assert_eq!(sizes(8, 4, true), [4, 4]);
    assert_eq!(sizes(1, 1, true), [1]);
    assert_eq!(sizes(3, 100, false), [3]);
}

#[test]
fn settings_that_give_no_batch_are_refused() {
    let normalization = Normalization::new([0.5; 3], [0.25; 3]).unwrap();
    let base = LoaderConfig {
        batch_size: 4,
        ..LoaderConfig::default()
    };
    for (n, config, expected) in [
        (0, base.clone(), "at least one image"),
        (
            5,
            LoaderConfig {
                batch_size: 0,
                ..base.clone()
            },
            "batch_size is 0",
        ),
        (
            5,
            LoaderConfig {
                threads: 0,
                ..base.clone()
            },
            "threads is 0",
        ),
        (
            3,
            LoaderConfig {
                drop_last: true,
                ..base.clone()
            },
            "at most 3",
        ),
    ] {
        let message = Loader::new(set(n), None, normalization, config)
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    }
    let too_wide = AugmentationConfig {
        random_crop_padding: 5,
        ..AugmentationConfig::default()
    };
    assert!(Loader::new(set(5), Some(too_wide), normalization, base).is_err());
}

#[test]
fn dropping_an_epoch_early_ends_it() {
    let config = LoaderConfig {
        batch_size: 1,
        prefetch: 3,
        threads: 3,
        ..LoaderConfig::default()
    };
    let loader = loader(50, &config);
    for n_taken in 0..10 {
        assert_eq!(loader.epoch(0).take(n_taken).count(), n_taken);
    }
}
