use thiserror::Error;

/// Why a chart or a picture could not be made.
///
/// Values that are not finite are never an error: charts leave them out. Errors are for slices
/// whose lengths disagree, for sizes without a sensible drawing, and for the encoders.
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
    /// A picture whose size cannot be drawn.
    #[error(
        "a thumbnail of {height}x{width} pixels at scale {scale} cannot be made: each must be at least 1, and the scaled sides at most {limit}"
    )]
    PictureSize {
        /// Rows of the picture.
        height: usize,
        /// Columns of the picture.
        width: usize,
        /// The factor it was to be enlarged by.
        scale: usize,
        /// The longest scaled side, in pixels.
        limit: usize,
    },
    /// The PNG encoder refused the picture.
    #[error("the thumbnail could not be encoded as png: {0}")]
    Encode(#[from] image::ImageError),
    /// The drawing backend refused a shape.
    #[error("{chart}: the svg backend failed: {message}")]
    Drawing {
        /// The chart.
        chart: &'static str,
        /// What the backend said.
        message: String,
    },
}
