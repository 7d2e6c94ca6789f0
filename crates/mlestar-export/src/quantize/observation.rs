//! The values of every buffer on the calibration images.

use rayon::prelude::*;

use super::histogram::Histogram;
use super::ranges::{RangeMethod, scale_of};
use crate::error::ExportError;
use crate::executor::ObservedExecutor;
use crate::frozen::FrozenModel;
use crate::int8_model::{BufferScale, can_be_int8};

/// Values in one task.
const PIECE: usize = 1 << 16;

/// What was seen of the buffers that int8 layers could read.
pub(super) struct Observation {
    /// The scale of the image, whose range is known without looking.
    image: BufferScale,
    /// One entry for each buffer; the image has none.
    histograms: Vec<Option<Histogram>>,
    /// Whether an int8 layer could read the image.
    reads_image: bool,
}

impl Observation {
    /// Runs `model` on `n` images twice: for the ranges and for the distributions within them.
    pub(super) fn of(model: &FrozenModel, pixels: &[u8], n: usize) -> Result<Self, ExportError> {
        let mut is_read = vec![false; model.operations().len() + 1];
        for operation in model
            .operations()
            .iter()
            .filter(|operation| can_be_int8(operation))
        {
            is_read[operation.input] = true;
        }
        let reads_image = std::mem::replace(&mut is_read[0], false);
        let executor = ObservedExecutor::new(model);
        let mut ends = vec![[0.0_f32; 2]; is_read.len()];
        executor.logits(pixels, n, &mut |buffer, values| {
            if is_read[buffer] {
                ends[buffer] = joined(ends[buffer], ends_of(values));
            }
        })?;
        if let Some(buffer) = ends.iter().flatten().position(|end| !end.is_finite()) {
            let name = &model.operations()[buffer / 2 - 1].name;
            let reason = format!("on some of them, `{name}` gives values that are not finite");
            return Err(ExportError::argument("calibration images", reason));
        }
        let mut histograms: Vec<Option<Histogram>> = (is_read.iter().zip(ends))
            .map(|(&is_read, [low, high])| is_read.then(|| Histogram::new(low, high)))
            .collect();
        executor.logits(pixels, n, &mut |buffer, values| {
            if let Some(histogram) = &mut histograms[buffer] {
                histogram.add(values);
            }
        })?;
        Ok(Self {
            image: image_scale(model),
            histograms,
            reads_image,
        })
    }

    /// The scale that `method` gives each buffer that an int8 layer could read.
    pub(super) fn scales(&self, method: RangeMethod) -> Vec<Option<BufferScale>> {
        let of_buffer = |histogram: &Option<Histogram>| {
            histogram.as_ref().map(|histogram| method.scale(histogram))
        };
        let mut scales: Vec<_> = self.histograms.iter().map(of_buffer).collect();
        scales[0] = self.reads_image.then_some(self.image);
        scales
    }
}

/// The smallest and the largest value, and 0; not finite if a value is not.
fn ends_of(values: &[f32]) -> [f32; 2] {
    let of_piece = |values: &[f32]| {
        // `min` and `max` pass over NaN.
        let all_finite = values
            .iter()
            .fold(true, |all, value| all & value.is_finite());
        match all_finite {
            true => [
                values.iter().copied().fold(0.0, f32::min),
                values.iter().copied().fold(0.0, f32::max),
            ],
            false => [f32::NAN; 2],
        }
    };
    let pieces = values.par_chunks(PIECE).map(of_piece);
    pieces.reduce(|| [0.0; 2], joined)
}

/// The ends of two ranges together; not finite if one is not.
fn joined(a: [f32; 2], b: [f32; 2]) -> [f32; 2] {
    match a.iter().chain(&b).all(|end| end.is_finite()) {
        true => [a[0].min(b[0]), a[1].max(b[1])],
        false => [f32::NAN; 2],
    }
}

/// The scale for every image: from the darkest to the brightest pixel.
fn image_scale(model: &FrozenModel) -> BufferScale {
    let end = |pixel: u8| (0..3).map(move |channel| model.normalization().apply(pixel, channel));
    scale_of(
        end(0).fold(f32::INFINITY, f32::min),
        end(255).fold(f32::NEG_INFINITY, f32::max),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_not_finite_are_noticed_anywhere() {
        assert_eq!(ends_of(&[1.0, -2.0, 0.5]), [-2.0, 1.0]);
        assert_eq!(ends_of(&[1.0, 2.0]), [0.0, 2.0]);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, PIECE - 1, PIECE, 3 * PIECE - 1] {
                let mut values = vec![1.0; 3 * PIECE];
                values[at] = bad;
                assert!(
                    !ends_of(&values).iter().all(|end| end.is_finite()),
                    "{bad} at {at}"
                );
            }
        }
    }
}
