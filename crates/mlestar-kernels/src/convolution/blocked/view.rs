//! The source pixels of each result pixel.

use std::ops::Range;

use super::super::Conv2dShape;

/// A convolution seen from its result: its output, or in the backward pass the gradient of its input.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub source: [usize; 2],
    pub result: [usize; 2],
    shape: Conv2dShape,
    backward: bool,
}

impl View {
    pub(super) fn forward(shape: &Conv2dShape) -> Self {
        Self {
            source: shape.input,
            result: shape.output(),
            shape: *shape,
            backward: false,
        }
    }

    pub(super) fn backward(shape: &Conv2dShape) -> Self {
        Self {
            source: shape.output(),
            result: shape.input,
            shape: *shape,
            backward: true,
        }
    }

    /// The source of tap `tap` of a row or column of the kernel at position `at`.
    #[inline(always)]
    fn seen(&self, axis: usize, at: usize, tap: usize) -> Option<usize> {
        let Conv2dShape {
            stride,
            padding,
            dilation,
            ..
        } = self.shape;
        let (stride, padding, tap) = (stride[axis], padding.start[axis], tap * dilation[axis]);
        let place = match self.backward {
            false => (at * stride + tap).checked_sub(padding)?,
            true => {
                let place = (at + padding).checked_sub(tap)?;
                if !place.is_multiple_of(stride) {
                    return None;
                }
                place / stride
            }
        };
        (place < self.source[axis]).then_some(place)
    }

    /// Calls `visit` with the source pixel and the tap of the kernel, for each tap that is not in the padding.
    #[inline(always)]
    pub(super) fn for_each_tap(
        &self,
        [y, x]: [usize; 2],
        mut visit: impl FnMut([usize; 2], usize),
    ) {
        let [height, width] = self.shape.kernel;
        for tap_y in 0..height {
            let Some(source_y) = self.seen(0, y, tap_y) else {
                continue;
            };
            for tap_x in 0..width {
                if let Some(source_x) = self.seen(1, x, tap_x) {
                    visit([source_y, source_x], tap_y * width + tap_x);
                }
            }
        }
    }

    /// The first to the last source row that these result rows read.
    pub(super) fn source_rows(&self, rows: Range<usize>) -> Range<usize> {
        let seen = || {
            rows.clone()
                .flat_map(|y| (0..self.shape.kernel[0]).filter_map(move |tap| self.seen(0, y, tap)))
        };
        match (seen().min(), seen().max()) {
            (Some(first), Some(last)) => first..last + 1,
            _ => 0..0,
        }
    }
}
