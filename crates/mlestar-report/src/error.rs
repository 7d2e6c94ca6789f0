use thiserror::Error;

/// Why a chart or a picture could not be made.
///
/// Values that are not finite are never an error: charts leave them out. Errors are for slices
/// whose lengths disagree, for sizes without a sensible drawing, and for the encoder of thumbnails.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Two slices that must go together have different lengths.
    #[error(
        "{chart}: {what} has {found} values, but {expected} are needed ({reason}); pass one value for each"
    )]
    LengthMismatch {
        /// The chart or picture.
        chart: &'static str,
        /// The slice whose length is wrong.
        what: String,
        /// How many values are needed.
        expected: usize,
        /// How many were given.
        found: usize,
        /// What decides how many are needed.
        reason: &'static str,
    },
    /// More items than the chart can show legibly.
    #[error(
        "{chart}: {count} {what} are more than the {limit} that it can show; pass a selection of them"
    )]
    TooMany {
        /// The chart or picture.
        chart: &'static str,
        /// What there is too much of.
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
    /// The encoder refused the image.
    #[error("the thumbnail could not be encoded: {0}")]
    Encode(#[from] image::ImageError),
}
