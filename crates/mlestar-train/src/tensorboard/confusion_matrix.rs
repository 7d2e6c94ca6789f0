//! Draws a confusion matrix as an image.

use super::RgbPicture;
use super::letters::{self, Direction};
use crate::TrainError;

/// Maximum number of classes: their cells and names fill the largest image.
const MAX_CLASSES: usize = 480;
/// Names are cut after this many letters.
const LONGEST_NAME: usize = 16;
/// Distance between letters and what they label, in pixels.
const GAP: usize = 4;
/// What rows and columns are.
const LEGEND: &str = "row: true, column: predicted";
/// Sides of a cell, in pixels.
const SMALLEST_CELL: usize = 8;
const LARGEST_CELL: usize = 48;
/// Approximate width of an image with few classes, in pixels.
const WANTED_SIDE: usize = 640;

/// The colour of the row of a class without images; it does not occur in the colour scale.
const EMPTY: u8 = 0xc8;

/// Eight of the 256 colours of matplotlib's viridis, equally spaced. Its brightness rises monotonically, so it
/// is readable with every kind of colour blindness and in grey.
const VIRIDIS: [[u8; 3]; 8] = [
    [0x44, 0x01, 0x54],
    [0x46, 0x32, 0x7e],
    [0x36, 0x5c, 0x8d],
    [0x27, 0x7f, 0x8e],
    [0x1f, 0xa1, 0x87],
    [0x4a, 0xc1, 0x6d],
    [0xa0, 0xda, 0x39],
    [0xfd, 0xe7, 0x25],
];

/// Draws the counts of a confusion matrix: one row per true class from the top, one column per predicted class
/// from the left, a square of at least 8 x 8 pixels per cell, the class names beside the rows and above the
/// columns. Names are cut after 16 letters; letters outside of ASCII are boxes.
///
/// The colour (viridis, from dark to bright) is the square root of the cell's share of its row: with the share
/// itself, a confusion of one image in twenty would look like none. The row of a class without images is grey.
///
/// ```
/// use mlestar_train::tensorboard::confusion_matrix_picture;
///
/// let classes = ["cat".to_owned(), "dog".to_owned()];
/// let picture = confusion_matrix_picture(&[90, 10, 0, 50], &classes)?;
/// // No image of the second class was predicted as the first.
/// let (first_column, second_row) = (picture.width() - 2 * 48, picture.height() - 48);
/// assert_eq!(picture.pixel(first_column, second_row), Some([0x44, 0x01, 0x54]));
/// # Ok::<(), mlestar_train::TrainError>(())
/// ```
///
/// # Errors
///
/// [`TrainError::OutOfRange`] if there are 0 or more than 480 classes, or not one count for each pair of them.
pub fn confusion_matrix_picture(
    counts: &[u32],
    classes: &[String],
) -> Result<RgbPicture, TrainError> {
    let matrix = matrix(counts, classes.len())?;
    let cell = matrix.width() / classes.len();
    let scale = (cell / (2 * letters::HEIGHT)).clamp(1, 2);
    let longest = classes
        .iter()
        .map(|name| name.chars().take(LONGEST_NAME).count());
    let names = (longest.max().unwrap_or(0) * letters::ADVANCE + GAP) * scale;
    let legend = letters::HEIGHT + 2 * GAP;
    let (left, top) = (GAP + names, legend + names);
    // On the right, so that a small matrix has room for the legend on its left.
    let width = (left + matrix.width()).max(LEGEND.len() * letters::ADVANCE + 2 * GAP);
    let left = width - matrix.width();
    let mut picture = RgbPicture::filled(width, top + matrix.height(), 0xff)?;
    picture.paste(&matrix, (left, top));
    letters::write(&mut picture, (GAP, GAP), LEGEND, Direction::Right, 1);
    for (index, name) in classes.iter().enumerate() {
        let name: String = name.chars().take(LONGEST_NAME).collect();
        // Letters are in the middle of their cell.
        let offset = index * cell + (cell - letters::HEIGHT * scale) / 2;
        let begin = left - (name.chars().count() * letters::ADVANCE + GAP) * scale;
        letters::write(
            &mut picture,
            (begin, top + offset),
            &name,
            Direction::Right,
            scale,
        );
        let end = top - GAP * scale;
        letters::write(
            &mut picture,
            (left + offset, end),
            &name,
            Direction::Up,
            scale,
        );
    }
    Ok(picture)
}

/// Draws only the cells.
fn matrix(counts: &[u32], n_classes: usize) -> Result<RgbPicture, TrainError> {
    if !(1..=MAX_CLASSES).contains(&n_classes) {
        let limit = format!("1 to {MAX_CLASSES}");
        return Err(TrainError::out_of_range("n_classes", n_classes, limit));
    }
    if counts.len() != n_classes * n_classes {
        let limit = format!(
            "{}, which is {n_classes} x {n_classes}",
            n_classes * n_classes
        );
        return Err(TrainError::out_of_range(
            "number of counts",
            counts.len(),
            limit,
        ));
    }
    let cell = (WANTED_SIDE / n_classes).clamp(SMALLEST_CELL, LARGEST_CELL);
    let mut picture = RgbPicture::filled(n_classes * cell, n_classes * cell, EMPTY)?;
    for (row, counts) in counts.chunks_exact(n_classes).enumerate() {
        let total: f64 = counts.iter().map(|&count| f64::from(count)).sum();
        if total == 0.0 {
            continue;
        }
        for (column, &count) in counts.iter().enumerate() {
            let colour = viridis((f64::from(count) / total).sqrt());
            picture.fill((column * cell, row * cell), cell, colour);
        }
    }
    Ok(picture)
}

/// The colour of a fraction, 0 to 1.
fn viridis(fraction: f64) -> [u8; 3] {
    let position = fraction * (VIRIDIS.len() - 1) as f64;
    let index = (position as usize).min(VIRIDIS.len() - 2);
    let share = position - index as f64;
    let (low, high) = (VIRIDIS[index], VIRIDIS[index + 1]);
    [0, 1, 2].map(|c| {
        let (low, high) = (f64::from(low[c]), f64::from(high[c]));
        (low + share * (high - low)).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Interpolates three channels to integers, in brightness.
    const ROUNDING: f64 = 1.0;

    fn brightness(pixel: [u8; 3]) -> f64 {
        let [r, g, b] = pixel.map(f64::from);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    #[test]
    fn the_ramp_gets_brighter_all_the_way() {
        let found: Vec<f64> = (0..=100)
            .map(|i| brightness(viridis(f64::from(i) / 100.0)))
            .collect();
        assert!(found.is_sorted(), "{found:?}");
        assert_eq!(viridis(0.0), VIRIDIS[0]);
        assert_eq!(viridis(1.0), VIRIDIS[7]);
    }

    #[test]
    fn a_class_without_pictures_has_a_grey_row() {
        let picture = matrix(&[5, 0, 0, 0], 2).unwrap();
        assert_eq!(picture.pixel(0, 0), Some(VIRIDIS[7]));
        assert_eq!(picture.pixel(95, 0), Some(VIRIDIS[0]));
        assert_eq!(picture.pixel(0, 95), Some([EMPTY; 3]));
    }

    /// Names are where nothing else is dark, and each class has its own name.
    #[test]
    fn rows_and_columns_are_named_within_the_picture() {
        for n in [1, 2, 10, 100, MAX_CLASSES] {
            let classes: Vec<String> = (0..n)
                .map(|class| format!("class {class} with a long name"))
                .collect();
            let counts = vec![1; n * n];
            let picture = confusion_matrix_picture(&counts, &classes).unwrap();
            let matrix = matrix(&counts, n).unwrap();
            let left = picture.width() - matrix.width();
            let top = picture.height() - matrix.height();
            let cell = matrix.width() / n;
            let is_dark = |x, y| picture.pixel(x, y) == Some([0x20; 3]);
            for class in 0..n {
                let cells = class * cell..(class + 1) * cell;
                let mut row = cells
                    .clone()
                    .flat_map(|y| (0..left).map(move |x| (x, top + y)));
                assert!(row.any(|(x, y)| is_dark(x, y)), "row {class} of {n}");
                let mut column = cells.flat_map(|x| (0..top).map(move |y| (left + x, y)));
                assert!(column.any(|(x, y)| is_dark(x, y)), "column {class} of {n}");
            }
            assert_eq!(picture.pixel(left, top), matrix.pixel(0, 0));
        }
    }

    #[test]
    fn what_is_no_matrix_is_refused() {
        for (n_counts, n_classes, expected) in [
            (0, 0, "n_classes = 0 is out of range: it must be 1 to 480"),
            (
                0,
                481,
                "n_classes = 481 is out of range: it must be 1 to 480",
            ),
            (
                3,
                2,
                "number of counts = 3 is out of range: it must be 4, which is 2 x 2",
            ),
        ] {
            let error = matrix(&vec![0; n_counts], n_classes).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn cells_are_large_enough_and_as_bright_as_their_counts(
            n in 1_usize..130, row in proptest::collection::vec(0_u32..50, 130),
        ) {
            let counts: Vec<u32> = (0..n * n).map(|i| row[i % n]).collect();
            let picture = matrix(&counts, n).unwrap();
            prop_assert_eq!(picture.width(), picture.height());
            let cell = picture.width() / n;
            prop_assert!(cell >= 8 && cell * n == picture.width());
            let middle = |column: usize| {
                brightness(picture.pixel(column * cell + cell / 2, cell / 2).unwrap())
            };
            if row[..n].iter().any(|&count| count > 0) {
                for i in 1..n {
                    let (a, b) = (middle(i - 1), middle(i));
                    match row[i - 1].cmp(&row[i]) {
                        std::cmp::Ordering::Less => prop_assert!(a < b + ROUNDING),
                        std::cmp::Ordering::Equal => prop_assert_eq!(a, b),
                        std::cmp::Ordering::Greater => prop_assert!(b < a + ROUNDING),
                    }
                }
            }
        }

        #[test]
        fn extreme_counts_are_drawn(counts in proptest::collection::vec(any::<u32>(), 9)) {
            matrix(&counts, 3).unwrap();
        }
    }
}
