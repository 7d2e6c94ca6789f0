//! The golden images of the package.

use crate::WorkflowError;
use image::{ImageFormat, RgbImage};
use mlestar_data::{ImageSet, Origin};
use mlestar_export::ExportError;
use mlestar_export::package::GoldenInput;
use std::io::Cursor;
use std::path::Path;

/// Golden images of a package: enough to notice another way to decode, resize or compute, few enough to keep packages
/// small.
const MOST_IMAGES: usize = 8;
/// A larger image file is packed at the network's size instead.
const MOST_FILE_BYTES: u64 = 1 << 20;

/// Validation images of every class in turn, up to 8: the original file where there is one of moderate size, so
/// that decoding and resizing are proved too; otherwise the pixels as PNG.
///
/// # Errors
/// When an image cannot be encoded.
pub(super) fn choose(
    set: &ImageSet,
    data_path: Option<&Path>,
) -> Result<Vec<GoldenInput>, WorkflowError> {
    let mut inputs = Vec::new();
    for index in in_turn(set.labels(), set.n_classes()) {
        let stem = format!("{:02}", inputs.len());
        let file = data_path.and_then(|path| original(set.origin(index), path));
        let (ending, content) = match file {
            Some(found) => found,
            None => ("png".to_owned(), png(set, index)?),
        };
        inputs.push(GoldenInput {
            name: format!("{stem}.{ending}"),
            content,
            label: Some(set.label(index) as usize),
        });
    }
    Ok(inputs)
}

/// Positions of images: the first of every class, then the second ...
fn in_turn(labels: &[u32], n_classes: usize) -> Vec<usize> {
    let mut seen = vec![0_usize; n_classes];
    let mut ranked: Vec<(usize, u32, usize)> = Vec::new();
    for (index, &label) in labels.iter().enumerate() {
        let rank = &mut seen[label as usize];
        if *rank < MOST_IMAGES {
            ranked.push((*rank, label, index));
        }
        *rank += 1;
    }
    ranked.sort_unstable();
    let indices = ranked.into_iter().map(|(_, _, index)| index);
    indices.take(MOST_IMAGES).collect()
}

/// Ending and content of the file that an image was read from.
fn original(origin: &Origin, data_path: &Path) -> Option<(String, Vec<u8>)> {
    let Origin::File(name) = origin else {
        return None;
    };
    let path = data_path.join(name);
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    if std::fs::metadata(&path).ok()?.len() > MOST_FILE_BYTES {
        return None;
    }
    Some((ending, std::fs::read(path).ok()?))
}

fn png(set: &ImageSet, index: usize) -> Result<Vec<u8>, WorkflowError> {
    let mut file = Cursor::new(Vec::new());
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let failed = |reason: String| ExportError::Image {
        name: set.origin(index).to_string(),
        reason,
    };
    RgbImage::from_raw(
        side(set.width()),
        side(set.height()),
        set.interleaved(index),
    )
    .ok_or_else(|| failed("pixels that do not fill the image".to_owned()))?
    .write_to(&mut file, ImageFormat::Png)
    .map_err(|error| failed(error.to_string()))?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_turn() {
        assert_eq!(in_turn(&[0, 0, 0, 2, 1], 3), [0, 4, 3, 1, 2]);
        assert_eq!(in_turn(&[1; 40], 2).len(), MOST_IMAGES);
        assert_eq!(in_turn(&[], 2), [0_usize; 0]);
    }

    #[test]
    fn an_image_without_a_file_becomes_a_png_of_the_same_pixels() {
        let classes = vec!["a".to_string(), "b".to_string()].into();
        let pixels: Vec<u8> = (0..3 * 5 * 4).map(|value| value as u8).collect();
        let origins = vec![Origin::Synthetic { index: 0 }];
        let set = ImageSet::new(classes, 5, 4, pixels, vec![1], origins).unwrap();
        let inputs = choose(&set, Some(Path::new("/nowhere"))).unwrap();
        assert_eq!((inputs.len(), inputs[0].label), (1, Some(1)));
        let decoded = image::load_from_memory(&inputs[0].content)
            .unwrap()
            .to_rgb8();
        assert_eq!(decoded.into_raw(), set.interleaved(0));
    }
}
