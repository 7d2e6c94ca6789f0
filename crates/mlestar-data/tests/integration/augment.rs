//! Augmentation compared with a slow reference that follows the documentation pixel by pixel.

use mlestar_data::augment::{AugmentationConfig, Augmenter, Draws, FlipMode, PaddingMode, Policy};
use mlestar_data::normalization::{Normalization, normalize_into};
use mlestar_random::Stream;
use proptest::prelude::*;
use std::collections::HashSet;

const NORMALIZATION: Normalization = Normalization {
    mean: [0.49, 0.48, 0.44],
    std: [0.25, 0.24, 0.26],
};

fn picture(height: usize, width: usize, seed: u64) -> Vec<u8> {
    let mut stream = Stream::new(seed, "test-picture", 0, 0);
    (0..3 * height * width)
        .map(|_| stream.next_u32() as u8)
        .collect()
}

/// The documented result, in f64, one operation after the other.
struct Reference<'a> {
    config: &'a AugmentationConfig,
    draws: Draws,
    height: usize,
    width: usize,
}

impl Reference<'_> {
    fn padded(&self, pixels: &[u8], channel: usize, y: i64, x: i64) -> f64 {
        let inside = |position: i64, side: usize| -> Option<usize> {
            let last = side as i64 - 1;
            match self.config.padding_mode {
                PaddingMode::Zero => (0..=last).contains(&position).then_some(position as usize),
                // Back and forth between the borders.
                PaddingMode::Reflect => {
                    let mut position = position;
                    while !(0..=last).contains(&position) {
                        position = if position < 0 {
                            -position
                        } else {
                            2 * last - position
                        };
                        if last == 0 {
                            position = 0;
                        }
                    }
                    Some(position as usize)
                }
            }
        };
        match (inside(y, self.height), inside(x, self.width)) {
            (Some(y), Some(x)) => {
                f64::from(pixels[(channel * self.height + y) * self.width + x]) / 255.0
            }
            _ => 0.0,
        }
    }

    /// A pixel of the window or of its surroundings.
    fn cropped(&self, pixels: &[u8], [y, x]: [i64; 2]) -> [f64; 3] {
        let padding = self.config.random_crop_padding as i64;
        let x = if self.draws.flip {
            self.width as i64 - 1 - x
        } else {
            x
        };
        let source_y = y + self.draws.offset[0] as i64 - padding;
        let source_x = x + self.draws.offset[1] as i64 - padding;
        [0, 1, 2].map(|c| self.padded(pixels, c, source_y, source_x))
    }

    /// The window, rotated and zoomed: the source of a pixel has its distance from the centre divided by the
    /// zoom, and its angle reduced by the rotation.
    fn warped(&self, pixels: &[u8]) -> Vec<[f64; 3]> {
        let places = (0..self.height).flat_map(|y| (0..self.width).map(move |x| [y, x]));
        let center = [self.height, self.width].map(|side| (side as f64 - 1.0) / 2.0);
        let warped = places.map(|place| {
            if !self.draws.warp {
                return self.cropped(pixels, place.map(|at| at as i64));
            }
            let [y, x] = [0, 1].map(|axis| place[axis] as f64 - center[axis]);
            let distance = y.hypot(x) / f64::from(self.draws.zoom);
            // Rows grow downwards, so this angle grows clockwise.
            let angle = y.atan2(x) - f64::from(self.draws.degrees).to_radians();
            let from = [
                angle.sin() * distance + center[0],
                angle.cos() * distance + center[1],
            ];
            let [top, left] = from.map(|at| at.floor() as i64);
            let mut sum = [0.0; 3];
            for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let pixel = [top + dy, left + dx];
                let weight: f64 = (0..2)
                    .map(|axis| 1.0 - (from[axis] - pixel[axis] as f64).abs())
                    .product();
                let values = self.cropped(pixels, pixel);
                sum = [0, 1, 2].map(|c| sum[c] + weight * values[c]);
            }
            sum
        });
        warped.collect()
    }

    fn jittered(&self, mut picture: Vec<[f64; 3]>) -> Vec<[f64; 3]> {
        let grey = |pixel: &[f64; 3]| 0.2989 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
        let [brightness, contrast, saturation] = self.draws.factors.map(f64::from);
        let blend = |value: f64, other: f64, factor: f64| {
            (factor * value + (1.0 - factor) * other).clamp(0.0, 1.0)
        };
        for pixel in &mut picture {
            *pixel = pixel.map(|value| blend(value, 0.0, brightness));
        }
        let mean = picture.iter().map(grey).sum::<f64>() / picture.len() as f64;
        for pixel in &mut picture {
            *pixel = pixel.map(|value| blend(value, mean, contrast));
            let own = grey(pixel);
            *pixel = pixel.map(|value| blend(value, own, saturation));
        }
        picture
    }

    fn apply(&self, pixels: &[u8]) -> Vec<f64> {
        let picture = self.jittered(self.warped(pixels));
        let size = self.config.cutout_size as i64;
        let [hole_y, hole_x] = self
            .draws
            .hole_center
            .map(|center| center as i64 - size / 2);
        let mut out = Vec::new();
        for channel in 0..3 {
            for (position, pixel) in picture.iter().enumerate() {
                let (y, x) = (
                    (position / self.width) as i64,
                    (position % self.width) as i64,
                );
                let in_hole =
                    (hole_y..hole_y + size).contains(&y) && (hole_x..hole_x + size).contains(&x);
                let (mean, std) = (NORMALIZATION.mean[channel], NORMALIZATION.std[channel]);
                let normalized = (pixel[channel] - f64::from(mean)) / f64::from(std);
                out.push(if in_hole { 0.0 } else { normalized });
            }
        }
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn equals_the_reference(
        (height, width, padding, cutout_size) in (1_usize..14, 1_usize..14).prop_flat_map(|(height, width)| {
            let side = height.min(width);
            (Just(height), Just(width), 0..side, 0..=side)
        }),
        reflect: bool,
        horizontal_flip_probability in 0.0..=1.0,
        (brightness, contrast, saturation) in prop_oneof![
            Just((0.0, 0.0, 0.0)),
            (0.0..=1.0, 0.0..=1.0, 0.0..=1.0),
        ],
        (rotation_degrees, zoom) in prop_oneof![
            Just((0.0, 0.0)),
            (0.0..=180.0, 0.0..=1.0),
        ],
        (seed, epoch, index) in any::<(u64, u64, u64)>(),
    ) {
        let config = AugmentationConfig {
            rotation_degrees,
            zoom,
            warp_probability: 0.8,
            random_crop_padding: padding,
            padding_mode: if reflect { PaddingMode::Reflect } else { PaddingMode::Zero },
            horizontal_flip_probability,
            brightness,
            contrast,
            saturation,
            cutout_size,
            ..AugmentationConfig::default()
        };
        let pixels = picture(height, width, seed ^ index);
        let augmenter = Augmenter::new(&config, NORMALIZATION, height, width).unwrap();
        let mut out = vec![f32::NAN; pixels.len()];
        augmenter.apply(&pixels, seed, epoch, index, &mut out);
        let draws = augmenter.draws(seed, epoch, index);
        // Source positions are computed in f32: this many rounding errors, times the steepest slope of an
        // image.
        let limit = if draws.warp { 1e-4 } else { 5e-6 };
        let expected = Reference { config: &config, draws, height, width }.apply(&pixels);
        for (value, expected) in out.iter().zip(&expected) {
            prop_assert!((f64::from(*value) - expected).abs() < limit, "{} {}", value, expected);
        }
    }
}

#[test]
fn everything_off_is_plain_normalisation() {
    let pixels = picture(5, 7, 1);
    let augmenter = Augmenter::new(&AugmentationConfig::default(), NORMALIZATION, 5, 7).unwrap();
    let (mut augmented, mut plain) = (vec![0.0; pixels.len()], vec![0.0; pixels.len()]);
    augmenter.apply(&pixels, 1, 2, 3, &mut augmented);
    normalize_into(&pixels, &NORMALIZATION, &mut plain);
    assert_eq!(augmented, plain);
}

#[test]
fn a_flip_probability_of_0_never_and_of_1_always_flips() {
    for (probability, expected) in [(0.0, false), (1.0, true)] {
        let config = AugmentationConfig {
            horizontal_flip_probability: probability,
            ..AugmentationConfig::default()
        };
        let augmenter = Augmenter::new(&config, NORMALIZATION, 3, 3).unwrap();
        assert!((0..200).all(|index| augmenter.draws(9, 0, index).flip == expected));
    }
}

#[test]
fn alternating_flips_come_in_every_second_epoch_of_each_picture() {
    let config = |mode, probability| AugmentationConfig {
        random_crop_padding: 1,
        horizontal_flip_probability: probability,
        horizontal_flip_mode: mode,
        ..AugmentationConfig::default()
    };
    let of = |mode, probability| {
        Augmenter::new(&config(mode, probability), NORMALIZATION, 3, 3).unwrap()
    };
    let alternating = of(FlipMode::Alternating, 0.5);
    let mut n_first = 0;
    for index in 0..1000 {
        let flips: Vec<bool> = (1..=6)
            .map(|epoch| alternating.draws(9, epoch, index).flip)
            .collect();
        assert!(flips.windows(2).all(|pair| pair[0] != pair[1]), "{flips:?}");
        n_first += usize::from(flips[0]);
    }
    // Five standard errors of a fair coin.
    assert!(n_first.abs_diff(500) < 80, "{n_first}");
    // All other draws are the same as without flips, and a probability of 0 means off.
    let random = of(FlipMode::Random, 0.5);
    let off = of(FlipMode::Alternating, 0.0);
    for index in 0..100 {
        let mut draws = alternating.draws(9, 2, index);
        let expected = random.draws(9, 2, index);
        draws.flip = expected.flip;
        assert_eq!(draws, expected);
        assert!(!off.draws(9, 2, index).flip);
    }
    assert!(config(FlipMode::Alternating, 0.5).check(3, 3).is_ok());
    let error = config(FlipMode::Alternating, 0.3).check(3, 3).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("horizontal_flip_probability is 0.3") && message.contains("alternating"),
        "{message}"
    );
}

#[test]
fn draws_cover_their_ranges_and_change_with_every_part_of_the_key() {
    let config = AugmentationConfig {
        random_crop_padding: 2,
        horizontal_flip_probability: 0.5,
        rotation_degrees: 20.0,
        zoom: 0.25,
        warp_probability: 0.5,
        brightness: 0.4,
        contrast: 0.1,
        ..AugmentationConfig::default()
    };
    let augmenter = Augmenter::new(&config, NORMALIZATION, 9, 9).unwrap();
    let draws: Vec<Draws> = (0..2000)
        .map(|index| augmenter.draws(1, 0, index))
        .collect();
    let offsets: HashSet<[usize; 2]> = draws.iter().map(|draws| draws.offset).collect();
    assert_eq!(offsets.len(), 25);
    assert!(
        draws
            .iter()
            .all(|draws| draws.offset.iter().all(|offset| *offset <= 4))
    );
    let n_flips = draws.iter().filter(|draws| draws.flip).count();
    // Five standard errors of a fair coin.
    assert!(n_flips.abs_diff(1000) < 112, "{n_flips}");
    let n_warped = draws.iter().filter(|draws| draws.warp).count();
    assert!(n_warped.abs_diff(1000) < 112, "{n_warped}");
    let range = |of: fn(&Draws) -> f32| {
        let values = draws.iter().map(of);
        values.fold([f32::MAX, f32::MIN], |[low, high], v| {
            [low.min(v), high.max(v)]
        })
    };
    let near = |found: [f32; 2], expected: [f32; 2]| {
        (0..2).all(|end| (found[end] - expected[end]).abs() < 0.01 * expected[1])
    };
    assert!(near(range(|draws| draws.degrees), [-20.0, 20.0]));
    assert!(near(range(|draws| draws.zoom), [0.8, 1.25]));
    // Enlarged as often as reduced.
    let n_larger = draws.iter().filter(|draws| draws.zoom > 1.0).count();
    assert!(n_larger.abs_diff(1000) < 112, "{n_larger}");
    for (factor, half_width) in [(0, 0.4_f32), (1, 0.1), (2, 0.0)] {
        let values = draws.iter().map(|draws| draws.factors[factor]);
        let (low, high) = values.fold((f32::MAX, f32::MIN), |(low, high), v| {
            (low.min(v), high.max(v))
        });
        assert!(
            (low - (1.0 - half_width)).abs() < 0.01 && (high - (1.0 + half_width)).abs() < 0.01
        );
    }
    let base = augmenter.draws(1, 2, 3);
    for other in [
        augmenter.draws(2, 2, 3),
        augmenter.draws(1, 3, 3),
        augmenter.draws(1, 2, 4),
    ] {
        assert_ne!(base, other);
    }
}

#[test]
fn settings_out_of_range_are_refused_with_their_key() {
    let off = AugmentationConfig::default();
    for (config, expected) in [
        (
            AugmentationConfig {
                random_crop_padding: 5,
                ..off.clone()
            },
            "augmentation.random_crop_padding is 5",
        ),
        (
            AugmentationConfig {
                cutout_size: 6,
                ..off.clone()
            },
            "augmentation.cutout_size is 6",
        ),
        (
            AugmentationConfig {
                horizontal_flip_probability: 1.5,
                ..off.clone()
            },
            "augmentation.horizontal_flip_probability is 1.5",
        ),
        (
            AugmentationConfig {
                rotation_degrees: 181.0,
                ..off.clone()
            },
            "augmentation.rotation_degrees is 181",
        ),
        (
            AugmentationConfig {
                zoom: 1.2,
                ..off.clone()
            },
            "augmentation.zoom is 1.2",
        ),
        (
            AugmentationConfig {
                warp_probability: f64::NAN,
                ..off.clone()
            },
            "augmentation.warp_probability is NaN",
        ),
        (
            AugmentationConfig {
                brightness: -0.1,
                ..off.clone()
            },
            "augmentation.brightness is -0.1",
        ),
        (
            AugmentationConfig {
                contrast: f64::NAN,
                ..off.clone()
            },
            "augmentation.contrast is NaN",
        ),
        (
            AugmentationConfig {
                saturation: f64::INFINITY,
                ..off.clone()
            },
            "augmentation.saturation is inf",
        ),
    ] {
        let message = Augmenter::new(&config, NORMALIZATION, 5, 9)
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert!(Augmenter::new(&off, NORMALIZATION, 0, 9).is_err());
    assert!(
        Augmenter::new(
            &off,
            Normalization {
                mean: [0.5; 3],
                std: [0.0; 3]
            },
            5,
            5
        )
        .is_err()
    );
    let error = serde_json::from_str::<AugmentationConfig>(r#"{"flip": true}"#).unwrap_err();
    assert!(
        error.to_string().contains("unknown field `flip`"),
        "{error}"
    );
    assert!(serde_json::from_str::<AugmentationConfig>(r#"{"padding_mode": "wrap"}"#).is_err());
}

#[test]
fn a_quarter_turn_moves_every_pixel_and_blurs_none() {
    let (side, pixels) = (5, picture(5, 5, 3));
    let config = AugmentationConfig {
        rotation_degrees: 180.0,
        ..AugmentationConfig::default()
    };
    assert!(!config.is_off(), "a loader would leave it out");
    let augmenter = Augmenter::new(&config, NORMALIZATION, side, side).unwrap();
    // No draw is exactly a quarter: the nearest of many.
    let off_by = |index: u64| (augmenter.draws(1, 0, index).degrees - 90.0).abs();
    let index = (0..20_000)
        .min_by(|a, b| off_by(*a).total_cmp(&off_by(*b)))
        .unwrap();
    assert!(off_by(index) < 0.05);
    let (mut turned, mut plain) = (vec![0.0; pixels.len()], vec![0.0; pixels.len()]);
    augmenter.apply(&pixels, 1, 0, index, &mut turned);
    normalize_into(&pixels, &NORMALIZATION, &mut plain);
    let at = |values: &[f32], channel: usize, [y, x]: [usize; 2]| {
        values[(channel * side + y) * side + x]
    };
    for channel in 0..3 {
        for y in 0..side {
            for x in 0..side {
                // Clockwise: the left side moves to the top.
                let was = [side - 1 - x, y];
                let difference = at(&turned, channel, [y, x]) - at(&plain, channel, was);
                assert!(difference.abs() < 0.03, "{difference} at {y}, {x}");
            }
        }
    }
}

/// Normalised values are the level minus a half.
fn levels() -> Normalization {
    Normalization::new([0.5 / 255.0; 3], [1.0 / 255.0; 3]).unwrap()
}

#[test]
fn a_policy_applies_the_operations_that_it_draws() {
    let pixels = picture(20, 24, 1);
    for (policy, n) in [(Policy::TrivialAugmentWide, 1), (Policy::RandAugment, 3)] {
        let config = AugmentationConfig {
            policy,
            policy_operations: 3,
            ..AugmentationConfig::default()
        };
        assert!(config.needs_host() && !config.is_off());
        let augmenter = Augmenter::new(&config, levels(), 20, 24).unwrap();
        let mut all = Vec::new();
        for index in 0..60 {
            let operations = augmenter.operations(7, 2, index);
            assert_eq!(operations.len(), n);
            let mut expected = pixels.clone();
            for operation in &operations {
                expected = operation.apply(&expected, [20, 24]);
            }
            let mut out = vec![0.0; pixels.len()];
            augmenter.apply(&pixels, 7, 2, index, &mut out);
            for (value, level) in out.iter().zip(expected) {
                assert!((value - (f32::from(level) - 0.5)).abs() < 1e-3);
            }
            all.push(operations);
        }
        assert!(all.iter().any(|operations| *operations != all[0]));
    }
}

#[test]
fn a_resized_crop_shows_a_part_and_keeps_one_colour() {
    let config = AugmentationConfig {
        random_resized_crop_scale: [0.2, 0.4],
        ..AugmentationConfig::default()
    };
    let augmenter = Augmenter::new(&config, levels(), 32, 32).unwrap();
    // Brightness rises from left to right, by 7 levels a column.
    let row: Vec<u8> = (0..32).map(|x| 7 * x).collect();
    let pixels = row.repeat(3 * 32);
    let mut spans = Vec::new();
    for index in 0..50 {
        let mut out = vec![0.0; pixels.len()];
        augmenter.apply(&pixels, 1, 0, index, &mut out);
        let (first, last) = (out[0], out[31]);
        assert!(
            out.chunks(32).all(|row| row == &out[..32]),
            "rows stay equal"
        );
        spans.push((last - first) / 7.0 + 1.0);
    }
    // A share of 0.2 to 0.4 and ratios of 3/4 to 4/3 have 12 to 23 columns.
    assert!(
        spans.iter().all(|span| (11.0..=24.5).contains(span)),
        "{spans:?}"
    );
    assert!(spans.iter().any(|span| *span < 16.0) && spans.iter().any(|span| *span > 18.0));
    let grey = vec![90; pixels.len()];
    let mut out = vec![0.0; pixels.len()];
    augmenter.apply(&grey, 1, 0, 3, &mut out);
    assert!(out.iter().all(|value| (value - 89.5).abs() < 1e-3));
}

#[test]
fn erasing_clears_a_rectangle_of_the_given_share() {
    let config = AugmentationConfig {
        random_erasing_probability: 0.5,
        random_erasing_scale: [0.1, 0.3],
        ..AugmentationConfig::default()
    };
    let augmenter = Augmenter::new(&config, levels(), 40, 40).unwrap();
    let pixels = vec![200; 3 * 1600];
    let mut n_erased = 0;
    for index in 0..400 {
        let mut out = vec![0.0; pixels.len()];
        augmenter.apply(&pixels, 1, 0, index, &mut out);
        let cleared = |plane: &[f32]| plane.iter().filter(|value| **value == 0.0).count();
        let n = cleared(&out[..1600]);
        assert_eq!([cleared(&out[1600..3200]), cleared(&out[3200..])], [n, n]);
        if n > 0 {
            n_erased += 1;
            assert!((120..=540).contains(&n), "{n} of 1600 pixels");
        }
    }
    assert!((150..250).contains(&n_erased), "{n_erased} of 400");
}

#[test]
fn settings_of_photograph_augmentation_have_ranges() {
    let refused = |config: AugmentationConfig, key: &str| {
        let error = config.check(32, 32).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("augmentation.{key} is ")),
            "{error}"
        );
    };
    let base = AugmentationConfig::default;
    for scale in [[0.0, 1.0], [0.5, 0.4], [0.5, 1.1], [f64::NAN, 1.0]] {
        refused(
            AugmentationConfig {
                random_resized_crop_scale: scale,
                ..base()
            },
            "random_resized_crop_scale",
        );
        refused(
            AugmentationConfig {
                random_erasing_scale: scale,
                ..base()
            },
            "random_erasing_scale",
        );
    }
    refused(
        AugmentationConfig {
            random_resized_crop_ratio: [0.0, 1.0],
            ..base()
        },
        "random_resized_crop_ratio",
    );
    refused(
        AugmentationConfig {
            random_erasing_ratio: [2.0, 1.0],
            ..base()
        },
        "random_erasing_ratio",
    );
    refused(
        AugmentationConfig {
            random_erasing_probability: 1.5,
            ..base()
        },
        "random_erasing_probability",
    );
    refused(
        AugmentationConfig {
            policy_operations: 0,
            ..base()
        },
        "policy_operations",
    );
    refused(
        AugmentationConfig {
            policy_magnitude: 31,
            ..base()
        },
        "policy_magnitude",
    );
}
