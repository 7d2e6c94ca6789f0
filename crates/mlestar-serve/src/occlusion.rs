//! Images with one place covered: what the answer loses with a place shows how much it rests on it.
//!
//! M. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2.

/// Red, green and blue of a patch.
const GREY: u8 = 128;

/// The image `[height, width, 3]` of `size`, followed by one copy for each place of a grid of (rows, columns), row by
/// row, with that place grey. The places cover the image without overlapping.
///
/// Rows and columns are at least 1 and at most height and width.
pub fn covered(image: &[u8], size: (usize, usize), grid: (usize, usize)) -> Vec<u8> {
    let ((height, width), (rows, columns)) = (size, grid);
    let mut all = Vec::with_capacity((1 + rows * columns) * image.len());
    all.extend(image);
    for row in 0..rows {
        for column in 0..columns {
            let start = all.len();
            all.extend(image);
            let left = column * width / columns;
            let right = (column + 1) * width / columns;
            for y in row * height / rows..(row + 1) * height / rows {
                let line = start + y * width * 3;
                if let Some(place) = all.get_mut(line + left * 3..line + right * 3) {
                    place.fill(GREY);
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Each pixel is grey in exactly one copy.
        #[test]
        fn the_places_cover_the_image_once(
            height in 1_usize..20, width in 1_usize..20, rows in 1_usize..9, columns in 1_usize..9,
        ) {
            let (rows, columns) = (rows.min(height), columns.min(width));
            let image = vec![7; height * width * 3];
            let all = covered(&image, (height, width), (rows, columns));
            let copies: Vec<&[u8]> = all.chunks(image.len()).collect();
            prop_assert_eq!(copies.len(), 1 + rows * columns);
            prop_assert_eq!(copies[0], &image[..]);
            for at in 0..image.len() {
                prop_assert_eq!(copies.iter().filter(|copy| copy[at] == GREY).count(), 1);
            }
        }
    }
}
