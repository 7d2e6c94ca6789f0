//! The procedural set: deterministic, with planted flaws, and hard for linear models.

use mlestar_data::synthetic::{FlawKind, SyntheticConfig, SyntheticData, generate};
use mlestar_data::{DataConfig, ImageSet, SplitName};
use std::collections::HashSet;

fn small() -> SyntheticConfig {
    SyntheticConfig {
        n_train: 500,
        n_validation: 150,
        n_test: 100,
        ..SyntheticConfig::default()
    }
}

fn set_of(data: &SyntheticData, split: SplitName) -> &ImageSet {
    match split {
        SplitName::Train => &data.splits.train,
        SplitName::Validation => &data.splits.validation,
        SplitName::Test => &data.splits.test,
    }
}

/// FNV-1a over the pixels and labels of all splits.
fn hash(data: &SyntheticData) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for (_, set) in data.splits.named() {
        for index in 0..set.len() {
            hash = set
                .pixels(index)
                .iter()
                .fold(hash, |hash, byte| step(hash, *byte));
            hash = step(hash, set.label(index) as u8);
        }
    }
    hash
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_platform() {
    let data = generate(&small(), 42).unwrap();
    assert_eq!(hash(&data), HASH_OF_SEED_42, "{:#x}", hash(&data));
    assert_ne!(hash(&generate(&small(), 43).unwrap()), HASH_OF_SEED_42);
}
const HASH_OF_SEED_42: u64 = 0x3b36_0c42_2d8d_45cc;

#[test]
fn pictures_do_not_depend_on_threads_or_on_how_many_there_are() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(3)
        .build()
        .unwrap();
    let other_threads = pool.install(|| generate(&small(), 7).unwrap());
    assert_eq!(hash(&generate(&small(), 7).unwrap()), hash(&other_threads));
}

#[test]
fn every_flaw_is_as_documented_and_nothing_else_is_touched() {
    let config = small();
    let data = generate(&config, 5).unwrap();
    let plain = SyntheticConfig {
        imbalance_ratio: config.imbalance_ratio,
        ..config.clone().without_flaws()
    };
    let clean = generate(&plain, 5).unwrap();
    let flawed: HashSet<_> = data
        .flaws
        .iter()
        .map(|flaw| (flaw.split, flaw.index))
        .collect();
    assert_eq!(flawed.len(), data.flaws.len(), "an image is flawed twice");
    for (split, set) in data.splits.named() {
        for index in 0..set.len() {
            let original = set_of(&clean, split);
            let same = set.pixels(index) == original.pixels(index)
                && set.label(index) == original.label(index);
            assert_eq!(same, !flawed.contains(&(split, index)), "{split} {index}");
        }
    }
    for flaw in &data.flaws {
        let set = set_of(&data, flaw.split);
        let (pixels, label) = (set.pixels(flaw.index), set.label(flaw.index));
        let original = set_of(&clean, flaw.split);
        match flaw.kind {
            FlawKind::ExactDuplicate { source } => {
                assert!(
                    source < flaw.index
                        && pixels == set.pixels(source)
                        && label == set.label(source)
                );
            }
            FlawKind::NearDuplicate { source } => {
                let apart = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b));
                let total: u64 = pixels.iter().zip(set.pixels(source)).map(apart).sum();
                assert!(total > 0 && total < 12 * pixels.len() as u64);
                assert_eq!(label, set.label(source));
            }
            FlawKind::Leaked { source } => {
                assert_eq!(flaw.split, SplitName::Validation);
                assert_eq!(pixels, data.splits.train.pixels(source));
                assert_eq!(label, data.splits.train.label(source));
            }
            FlawKind::Mislabelled { true_label } => {
                assert_eq!(true_label, original.label(flaw.index));
                assert_ne!(label, true_label);
                assert_eq!(pixels, original.pixels(flaw.index));
            }
            FlawKind::Blank => {
                for plane in pixels.chunks_exact(32 * 32) {
                    assert!(plane.iter().max().unwrap() - plane.iter().min().unwrap() <= 1);
                }
            }
            FlawKind::OverDark => assert!(pixels.iter().all(|level| *level <= 31)),
        }
    }
    let planted =
        |is: fn(&FlawKind) -> bool| data.flaws.iter().filter(|flaw| is(&flaw.kind)).count();
    assert_eq!(
        planted(|kind| matches!(kind, FlawKind::ExactDuplicate { .. })),
        config.exact_duplicates
    );
    assert_eq!(
        planted(|kind| matches!(kind, FlawKind::NearDuplicate { .. })),
        config.near_duplicates
    );
    assert_eq!(
        planted(|kind| matches!(kind, FlawKind::Leaked { .. })),
        config.leaked
    );
    assert_eq!(
        planted(|kind| matches!(kind, FlawKind::Mislabelled { .. })),
        config.mislabelled
    );
    assert_eq!(
        planted(|kind| matches!(kind, FlawKind::Blank)),
        config.blank
    );
    assert_eq!(
        planted(|kind| matches!(kind, FlawKind::OverDark)),
        config.over_dark
    );
}

#[test]
fn flaws_survive_json() {
    let flaws = generate(&small(), 1).unwrap().flaws;
    let text = serde_json::to_string(&flaws).unwrap();
    assert!(
        text.contains(r#""kind":"mislabelled","true_label":"#),
        "{text}"
    );
    assert_eq!(
        serde_json::from_str::<Vec<mlestar_data::synthetic::PlantedFlaw>>(&text).unwrap(),
        flaws
    );
}

#[test]
fn values_out_of_range_are_refused_with_their_key() {
    let base = small();
    for (config, expected) in [
        (
            SyntheticConfig {
                n_train: 9,
                ..base.clone()
            },
            "data.synthetic.n_train is 9",
        ),
        (
            SyntheticConfig {
                n_test: 2_000_000,
                ..base.clone()
            },
            "data.synthetic.n_test is 2000000",
        ),
        (
            SyntheticConfig {
                noise: f64::NAN,
                ..base.clone()
            },
            "data.synthetic.noise is NaN",
        ),
        (
            SyntheticConfig {
                noise: -0.1,
                ..base.clone()
            },
            "data.synthetic.noise is -0.1",
        ),
        (
            SyntheticConfig {
                clutter: 33,
                ..base.clone()
            },
            "data.synthetic.clutter is 33",
        ),
        (
            SyntheticConfig {
                imbalance_ratio: 0.5,
                ..base.clone()
            },
            "data.synthetic.imbalance_ratio is 0.5",
        ),
        (
            SyntheticConfig {
                blank: usize::MAX,
                ..base.clone()
            },
            "data.synthetic.blank is 18446744073709551615",
        ),
        (
            SyntheticConfig {
                mislabelled: 400,
                ..base.clone()
            },
            "plant fewer flaws or generate more images",
        ),
        (
            SyntheticConfig {
                leaked: 76,
                ..base.clone()
            },
            "of 150 images of a split",
        ),
    ] {
        let message = generate(&config, 1).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let error = serde_json::from_str::<DataConfig>(r#"{"synthetic": {"n_trian": 3}}"#).unwrap_err();
    assert!(
        error.to_string().contains("unknown field `n_trian`"),
        "{error}"
    );
}

#[test]
fn the_smallest_set_has_one_picture_a_class() {
    let config = SyntheticConfig {
        n_train: 10,
        n_validation: 10,
        n_test: 10,
        ..SyntheticConfig::default()
    };
    let data = generate(&config.without_flaws(), 3).unwrap();
    for (_, set) in data.splits.named() {
        assert_eq!(set.class_counts(), [1; 10]);
    }
}

/// Pixels as numbers around 0.
fn rows(set: &ImageSet) -> Vec<Vec<f32>> {
    let row = |index| {
        set.pixels(index)
            .iter()
            .map(|level| f32::from(*level) / 128.0 - 1.0)
            .collect()
    };
    (0..set.len()).map(row).collect()
}

fn accuracy(set: &ImageSet, predict: impl Fn(&[f32]) -> usize) -> f64 {
    let rows = rows(set);
    let n_right = rows
        .iter()
        .zip(set.labels())
        .filter(|(row, label)| predict(row) == **label as usize)
        .count();
    n_right as f64 / set.len() as f64
}

fn largest(scores: impl Iterator<Item = f32>) -> usize {
    scores
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap()
        .0
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.chunks(8)
        .zip(b.chunks(8))
        .map(|(x, y)| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>())
        .sum()
}

/// Softmax regression by stochastic gradient descent.
fn fit_softmax(set: &ImageSet, n_passes: usize, rate: f32) -> Vec<Vec<f32>> {
    let rows = rows(set);
    let mut weights = vec![vec![0.0_f32; rows[0].len()]; 10];
    for _ in 0..n_passes {
        for (row, label) in rows.iter().zip(set.labels()) {
            let scores: Vec<f32> = weights.iter().map(|weight| dot(weight, row)).collect();
            let top = scores.iter().copied().fold(f32::MIN, f32::max);
            let total: f32 = scores.iter().map(|score| (score - top).exp()).sum();
            for (class, weight) in weights.iter_mut().enumerate() {
                let target = f32::from(u8::from(class == *label as usize));
                let step = rate * ((scores[class] - top).exp() / total - target);
                weight.iter_mut().zip(row).for_each(|(w, x)| *w -= step * x);
            }
        }
    }
    weights
}

#[test]
fn linear_models_on_pixels_fail() {
    let config = SyntheticConfig {
        n_train: 2000,
        n_validation: 10,
        n_test: 600,
        ..SyntheticConfig::default()
    };
    let data = generate(&config.without_flaws(), 11).unwrap();
    let (train, test) = (&data.splits.train, &data.splits.test);

    let weights = fit_softmax(train, 12, 2e-4);
    let softmax = accuracy(test, |row| {
        largest(weights.iter().map(|weight| dot(weight, row)))
    });
    assert!(softmax < 0.35, "softmax regression: {softmax}");

    let mut centroids = vec![vec![0.0_f32; 3 * 32 * 32]; 10];
    for (row, label) in rows(train).iter().zip(train.labels()) {
        centroids[*label as usize]
            .iter_mut()
            .zip(row)
            .for_each(|(sum, x)| *sum += x / 200.0);
    }
    let nearest = accuracy(test, |row| {
        let score = |centroid: &Vec<f32>| 2.0 * dot(centroid, row) - dot(centroid, centroid);
        largest(centroids.iter().map(score))
    });
    assert!(nearest < 0.35, "nearest centroid: {nearest}");
}
