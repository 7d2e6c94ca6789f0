//! Advice on random changes of the training images.

use super::super::challenges::Challenge;
use super::super::measurements::Measurements;
use super::{Advice, Setting, present, twentieth};
use mlestar_data::augment::{AugmentationConfig, PaddingMode};
use mlestar_data::variability::Spread;

/// A linear classifier that is not this much better than the majority says nothing about mirroring.
const SPEAKING_MARGIN: f64 = 0.05;
/// Mirroring that costs the linear classifier more accuracy than this changes what images mean.
const MOST_LOST_BY_MIRRORING: f64 = 0.1;
/// Black padding would cut an edge into a border this bright.
const BRIGHT_BORDER: f64 = 0.15;

/// Which random changes help, and how strong they should be.
pub(in super::super) fn augmentation(
    measurements: &Measurements,
    challenges: &[Challenge],
    configured: &AugmentationConfig,
) -> Vec<Advice> {
    let crop = crop(measurements, challenges, configured);
    let padding = crop
        .as_ref()
        .and_then(|_| padding_mode(measurements, configured));
    [
        crop,
        padding,
        flip(measurements, configured),
        light(measurements, challenges, configured, true),
        light(measurements, challenges, configured, false),
        saturation(measurements, challenges, configured),
        cutout(measurements, challenges, configured),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn crop(
    measurements: &Measurements,
    challenges: &[Challenge],
    configured: &AugmentationConfig,
) -> Option<Advice> {
    let follows_from = present(
        challenges,
        &["object_position", "few_samples", "intra_class_variance"],
    );
    if follows_from.is_empty() {
        return None;
    }
    let side = measurements.shorter_side();
    let scatter = measurements.variability.as_ref().map_or(0.0, |found| {
        found.center_x.std.max(found.center_y.std) * side as f64
    });
    // Two standard deviations of the objects' own scatter, but no more than an eighth of the side,
    // which keeps the object in the image.
    let padding = ((2.0 * scatter).round() as usize).clamp(1, (side / 8).max(1));
    Some(Advice {
        title: "Crop at random places".into(),
        reason: format!(
            "object positions vary by {scatter:.1} pixels (standard deviation), so shifts of up to \
            {padding} pixels give realistic images; without them a network learns only the few places that \
            it saw"
        ),
        follows_from,
        action: "Pad the training images and cut a random window of the original size.".into(),
        setting: Some(Setting::new(
            "augmentation.random_crop_padding",
            padding.to_string(),
            Some(configured.random_crop_padding.to_string()),
        )),
    })
}

fn padding_mode(measurements: &Measurements, configured: &AugmentationConfig) -> Option<Advice> {
    let border = measurements.variability.as_ref()?.border_brightness;
    let name = |mode: PaddingMode| match mode {
        PaddingMode::Zero => "\"zero\"",
        PaddingMode::Reflect => "\"reflect\"",
    };
    (border.mean > BRIGHT_BORDER).then(|| Advice {
        title: "Mirror the border instead of padding with black".into(),
        reason: format!(
            "borders have a mean brightness of {:.3}: black padding would draw edges that no \
             image has",
            border.mean
        ),
        follows_from: vec!["variability.border_brightness".into()],
        action: "Fill what lies outside the image by reflection.".into(),
        setting: Some(Setting::new(
            "augmentation.padding_mode",
            name(PaddingMode::Reflect),
            Some(name(configured.padding_mode).to_owned()),
        )),
    })
}

/// Mirroring is only harmless when it keeps the class; a linear classifier that was fitted to
/// unmirrored images shows whether it does.
fn flip(measurements: &Measurements, configured: &AugmentationConfig) -> Option<Advice> {
    let found = measurements.separability.as_ref()?;
    let (plain, mirrored) = (found.linear_accuracy, found.linear_accuracy_mirrored);
    let figures = format!(
        "a linear classifier reaches {plain:.3} on validation images and {mirrored:.3} on their mirror images"
    );
    let setting = |value: &str| {
        let configured = configured.horizontal_flip_probability.to_string();
        Some(Setting::new(
            "augmentation.horizontal_flip_probability",
            value,
            Some(configured),
        ))
    };
    let advice = |title: &str, reason: String, action: &str, setting| Advice {
        title: title.to_owned(),
        reason,
        follows_from: vec![
            "separability.linear_accuracy".into(),
            "separability.linear_accuracy_mirrored".into(),
        ],
        action: action.to_owned(),
        setting,
    };
    Some(if plain < found.majority_accuracy + SPEAKING_MARGIN {
        advice(
            "Decide on mirroring by what the classes mean",
            format!(
                "{figures}, little better than the most frequent class: the images do not decide it"
            ),
            "Mirror left and right (0.5) unless left and right tell classes apart, as in text or arrows.",
            None,
        )
    } else if plain - mirrored <= MOST_LOST_BY_MIRRORING * plain {
        advice(
            "Mirror left and right",
            format!("{figures}: mirroring hardly changes the class"),
            "Mirror every other training image: this doubles the images at no cost.",
            setting("0.5"),
        )
    } else {
        advice(
            "Do not mirror",
            format!("{figures}: mirroring changes what images show"),
            "Leave mirroring off: left and right tell classes apart.",
            setting("0.0"),
        )
    })
}

/// Jitter of brightness or contrast, as wide as the images differ themselves.
fn light(
    measurements: &Measurements,
    challenges: &[Challenge],
    configured: &AugmentationConfig,
    brightness: bool,
) -> Option<Advice> {
    let follows_from = present(challenges, &["lighting"]);
    let found = measurements.variability.as_ref()?;
    let (name, spread, now): (&str, Spread, f64) = match brightness {
        true => ("brightness", found.brightness, configured.brightness),
        false => ("contrast", found.contrast, configured.contrast),
    };
    let relative = spread.std / spread.mean.max(1e-9);
    let value = twentieth((relative / 2.0).clamp(0.1, 0.4));
    (!follows_from.is_empty()).then(|| Advice {
        title: format!("Vary the {name}"),
        reason: format!(
            "{name} differs between images by {:.3} around {:.3}; the jitter is half of that \
             relative spread",
            spread.std, spread.mean
        ),
        follows_from,
        action: format!("Draw a factor for the {name} of every training image."),
        setting: Some(Setting::new(
            &format!("augmentation.{name}"),
            value.to_string(),
            Some(now.to_string()),
        )),
    })
}

fn saturation(
    measurements: &Measurements,
    challenges: &[Challenge],
    configured: &AugmentationConfig,
) -> Option<Advice> {
    let follows_from = present(challenges, &["grey_pictures"]);
    let grey = measurements.variability.as_ref()?.grey_fraction;
    (!follows_from.is_empty()).then(|| Advice {
        title: "Vary the saturation".into(),
        reason: format!("{grey:.3} of the training images are grey"),
        follows_from,
        action: "Remove some of the colour of training images, so the model does not rely on it."
            .into(),
        setting: Some(Setting::new(
            "augmentation.saturation",
            "0.3",
            Some(configured.saturation.to_string()),
        )),
    })
}

fn cutout(
    measurements: &Measurements,
    challenges: &[Challenge],
    configured: &AugmentationConfig,
) -> Option<Advice> {
    let follows_from = present(challenges, &["background", "few_samples"]);
    let side = measurements.shorter_side();
    // Smaller images would lose the object itself.
    (!follows_from.is_empty() && side >= 16).then(|| Advice {
        title: "Cut holes".into(),
        reason: format!(
            "a hole of a quarter of the side ({} of {side} pixels) makes the model use more than one place",
            side / 4
        ),
        follows_from,
        action: "Blank a random square of every training image; worth trying in the search of \
                 stage 6 when training accuracy is far above validation accuracy."
            .into(),
        setting: Some(Setting::new(
            "augmentation.cutout_size",
            (side / 4).to_string(),
            Some(configured.cutout_size.to_string()),
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::challenges::detect_all;
    use super::super::super::challenges::testing::untroubled;
    use super::*;

    fn settings(measurements: &Measurements) -> Vec<(String, String)> {
        let config = AugmentationConfig::default();
        augmentation(measurements, &detect_all(measurements), &config)
            .into_iter()
            .filter_map(|advice| advice.setting)
            .map(|setting| (setting.key.replace("augmentation.", ""), setting.value))
            .collect()
    }

    fn check(change: impl FnOnce(&mut Measurements), expected: &[(&str, &str)]) {
        let mut measurements = untroubled();
        change(&mut measurements);
        let expected: Vec<_> = expected
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(settings(&measurements), expected);
    }

    const FLIP: (&str, &str) = ("horizontal_flip_probability", "0.5");

    #[test]
    fn strengths_come_from_the_measured_spread() {
        check(|_| {}, &[FLIP]);
        check(
            |m| {
                let found = m.variability.as_mut().unwrap();
                (found.brightness.std, found.contrast.std) = (0.2, 0.05);
            },
            &[FLIP, ("brightness", "0.2"), ("contrast", "0.1")],
        );
        check(
            |m| {
                (m.height, m.width) = (32, 32);
                m.variability.as_mut().unwrap().center_x.std = 0.05;
            },
            &[
                ("random_crop_padding", "3"),
                ("padding_mode", "\"reflect\""),
                FLIP,
            ],
        );
        check(
            |m| m.class_counts.train = vec![300; 4],
            &[
                ("random_crop_padding", "4"),
                ("padding_mode", "\"reflect\""),
                FLIP,
                ("cutout_size", "56"),
            ],
        );
        check(
            |m| m.variability.as_mut().unwrap().grey_fraction = 0.3,
            &[FLIP, ("saturation", "0.3")],
        );
    }

    #[test]
    fn mirroring_is_advised_only_where_it_keeps_the_class() {
        check(
            |m| m.separability.as_mut().unwrap().linear_accuracy_mirrored = 0.5,
            &[("horizontal_flip_probability", "0.0")],
        );
        check(
            |m| {
                let found = m.separability.as_mut().unwrap();
                (found.linear_accuracy, found.linear_accuracy_mirrored) = (0.28, 0.27);
            },
            &[],
        );
    }
}
