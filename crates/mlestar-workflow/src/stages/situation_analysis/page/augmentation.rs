//! What augmentation does to images.

use super::super::Input;
use super::thumbnail_of;
use crate::WorkflowError;
use mlestar_data::ImageSet;
use mlestar_data::augment::{AugmentationConfig, Augmenter, FlipMode};
use mlestar_data::normalization::Normalization;
use mlestar_report::{Block, Callout, Definition, Picture, PictureGrid, Section, thumbnail};

/// Images that are shown augmented, each of another class.
const MOST_PICTURES: usize = 6;
/// Versions of each.
const VERSIONS: u64 = 7;

/// The section: originals next to their augmented versions, as training will see them.
pub(super) fn section(
    input: &Input<'_>,
    normalization: &Normalization,
) -> Result<Section, WorkflowError> {
    let config = input.augmentation;
    let mut section = Section::new("Augmentation preview")
        .intro("The original, and its augmented versions of the first epochs, in real colours.");
    if config.is_off() {
        return Ok(section.block(Callout::info(
            "Augmentation is off",
            "Every epoch sees the same images. The section [augmentation] of the config switches it on.",
        )));
    }
    section = section.block(settings(config));
    let train = &input.splits.train;
    let augmenter = Augmenter::new(config, *normalization, train.height(), train.width())?;
    for class in 0..train.n_classes() {
        let first = train
            .labels()
            .iter()
            .position(|label| *label as usize == class);
        let Some(index) = first else { continue };
        let name = &train.classes()[class];
        let original = Picture::new(thumbnail_of(train, index)?, format!("original of {name}"));
        let mut grid = PictureGrid::new(format!("{name}: {}", train.origin(index)))
            .picture(original.caption("original"));
        let mut values = vec![0.0; train.bytes_per_picture()];
        for epoch in 0..VERSIONS {
            augmenter.apply(
                train.pixels(index),
                input.seed,
                epoch,
                index as u64,
                &mut values,
            );
            let pixels = in_real_colours(&values, normalization);
            let uri = thumbnail(&pixels, train.height(), train.width())?;
            let picture = Picture::new(uri, format!("augmented {name}, epoch {}", epoch + 1));
            grid = grid.picture(picture.caption(format!("epoch {}", epoch + 1)));
        }
        section = section.block(grid);
        if class + 1 == MOST_PICTURES {
            break;
        }
    }
    Ok(section)
}

fn settings(config: &AugmentationConfig) -> Block {
    let fill = format!("{:?}", config.padding_mode).to_lowercase();
    let all = [
        (
            config.random_crop_padding > 0,
            "random crop",
            format!(
                "padding of {} pixels, fill \"{fill}\"",
                config.random_crop_padding
            ),
        ),
        (
            config.horizontal_flip_probability > 0.0,
            "horizontal flip",
            match config.horizontal_flip_mode {
                FlipMode::Random => format!("probability {}", config.horizontal_flip_probability),
                FlipMode::Alternating => "every image in every second epoch".to_owned(),
            },
        ),
        (
            config.has_warp(),
            "rotation and zoom",
            format!(
                "up to {} degrees, up to {} times as large or as small, probability {}",
                config.rotation_degrees,
                1.0 + config.zoom,
                config.warp_probability
            ),
        ),
        (
            config.brightness > 0.0,
            "brightness",
            format!("factor 1 +- {}", config.brightness),
        ),
        (
            config.contrast > 0.0,
            "contrast",
            format!("factor 1 +- {}", config.contrast),
        ),
        (
            config.saturation > 0.0,
            "saturation",
            format!("factor 1 +- {}", config.saturation),
        ),
        (
            config.cutout_size > 0,
            "cutout",
            format!("{0} x {0} pixels", config.cutout_size),
        ),
    ];
    let on = all.into_iter().filter(|(on, _, _)| *on);
    Block::Definitions(
        on.map(|(_, name, text)| Definition::new(name, text))
            .collect(),
    )
}

/// Undoes the normalisation: planar values to interleaved 8-bit levels.
fn in_real_colours(values: &[f32], normalization: &Normalization) -> Vec<u8> {
    let area = values.len() / ImageSet::CHANNELS;
    let mut pixels = Vec::with_capacity(values.len());
    for place in 0..area {
        for channel in 0..ImageSet::CHANNELS {
            let value = values[channel * area + place];
            let scaled = value * normalization.std[channel] + normalization.mean[channel];
            pixels.push((scaled * 255.0).round().clamp(0.0, 255.0) as u8);
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::named_set;
    use super::*;
    use mlestar_data::normalization::normalize_into;

    #[test]
    fn undoing_the_normalisation_gives_the_original_levels() {
        let set = named_set(&["cat", "dog"], 1, 3);
        let normalization = Normalization::new([0.4, 0.5, 0.6], [0.2, 0.3, 0.25]).unwrap();
        let mut values = vec![0.0; set.bytes_per_picture()];
        normalize_into(set.pixels(0), &normalization, &mut values);
        assert_eq!(in_real_colours(&values, &normalization), set.interleaved(0));
    }
}
