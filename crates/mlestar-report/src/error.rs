use thiserror::Error;

/// Errors when drawing a chart or an image.
///
/// Values that are not finite are never an error: charts leave them out. Errors are for slices of different
/// lengths, for sizes that cannot be drawn, and for the encoder of thumbnails.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Two slices that belong together have different lengths.
    #[error(
        "{chart}: {what} has {found} values, but {expected} are needed ({reason}); pass one value for each"
    )]
    LengthMismatch {
        /// The chart or image.
        chart: &'static str,
        /// The slice whose length is wrong.
        what: String,
        /// How many values are needed.
        expected: usize,
        /// How many were given.
        found: usize,
        /// Why this number is needed.
        reason: &'static str,
    },
    /// More items than the chart can show legibly.
    #[error("{chart}: {count} {what} exceed the {limit} that it can show; pass a selection")]
    TooMany {
        /// The chart or image.
        chart: &'static str,
        /// The items of which there are too many.
        what: &'static str,
        /// How many were given.
        count: usize,
        /// The most that can be shown.
        limit: usize,
    },
    /// An image whose size cannot be drawn.
    #[error(
        "a thumbnail of an image of {height}x{width} pixels cannot be made: a side must be 1 to 65,535 pixels"
    )]
    PictureSize {
        /// Rows of the image.
        height: usize,
        /// Columns of the image.
        width: usize,
    },
    /// The encoder rejected the image.
    #[error("the thumbnail could not be encoded: {0}")]
    Encode(#[from] image::ImageError),
}
