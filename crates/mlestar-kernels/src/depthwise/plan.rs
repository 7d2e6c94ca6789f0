//! Which sources a result is a sum of: for a depthwise convolution, and for the gradient of its input.

use super::DepthwiseShape;

/// Channels that are computed together: a cache line of `f32`.
pub(super) const BLOCK: usize = 16;

/// The sources of the results. Both are `[n, height, width, channels]`.
#[derive(Debug)]
pub(super) struct Plan {
    shape: DepthwiseShape,
    backward: bool,
    /// Height and width of the source.
    pub source: [usize; 2],
    /// Height and width of the result.
    pub result: [usize; 2],
    pub line: Line,
    pub phases: Vec<Phase>,
}

/// A row of source pixels in scratch memory, with zeros at both ends. Pixels that neighbouring results read with the
/// same tap are neighbours, so that the kernel needs no stride: with a stride of 2 there are two segments, for
/// even and for odd columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub segments: usize,
    /// Source pixels from one pixel of a segment to the next.
    pub step: usize,
    /// Pixels of a segment.
    pub segment_len: usize,
    /// Zeros before the first source pixel, counted without segments.
    pub first: usize,
}

impl Line {
    pub(super) fn pixels(&self) -> usize {
        self.segments * self.segment_len
    }
}

/// Results of a row that use the same taps. A convolution has one phase; the gradient of an input has as many as
/// the stride, because neighbouring pixels were read by different taps.
#[derive(Debug)]
pub(super) struct Phase {
    /// Column of the first result.
    pub start: usize,
    /// Columns from one result to the next.
    pub spacing: usize,
    /// Number of results.
    pub count: usize,
    pub taps: Vec<Tap>,
}

/// A column of the kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap {
    pub column: usize,
    /// The pixel of a line that it reads for the phase's first result.
    pub pixel: usize,
}

impl Plan {
    pub(super) fn forward(shape: &DepthwiseShape) -> Self {
        let (kernel, stride) = (shape.kernel[1], shape.stride[1]);
        let result = shape.output();
        // No more segments than columns of the kernel: the pixels of the others are not read.
        let segment_len = result[1] + (kernel - 1) / stride;
        let line = Line {
            segments: stride.min(kernel),
            step: stride,
            segment_len,
            first: shape.padding.start[1],
        };
        let taps = (0..kernel).map(|column| Tap {
            column,
            pixel: column % stride * segment_len + column / stride,
        });
        let phase = Phase {
            start: 0,
            spacing: 1,
            count: result[1],
            taps: taps.collect(),
        };
        Self {
            shape: *shape,
            backward: false,
            source: shape.input,
            result,
            line,
            phases: vec![phase],
        }
    }

    pub(super) fn input_gradient(shape: &DepthwiseShape) -> Self {
        let (kernel, stride, padding) = (shape.kernel[1], shape.stride[1], shape.padding.start[1]);
        let [source, result] = [shape.output(), shape.input];
        // The first result of a phase reads column `offset` of the source, which may be negative.
        let offset = |start: usize, column: usize| {
            let numerator = (start + padding) as isize - column as isize;
            let step = stride as isize;
            (numerator.rem_euclid(step) == 0).then(|| numerator.div_euclid(step))
        };
        let first = (kernel - 1).saturating_sub(padding).div_ceil(stride);
        let mut segment_len = 0;
        let phases = (0..stride.min(result[1])).map(|start| {
            let count = (result[1] - start).div_ceil(stride);
            let taps = (0..kernel).filter_map(|column| {
                let pixel = (offset(start, column)? + first as isize) as usize;
                segment_len = segment_len.max(pixel + count);
                Some(Tap { column, pixel })
            });
            Phase {
                taps: taps.collect(),
                start,
                spacing: stride,
                count,
            }
        });
        let phases = phases.collect();
        Self {
            shape: *shape,
            backward: true,
            source,
            result,
            line: Line {
                segments: 1,
                step: 1,
                segment_len,
                first,
            },
            phases,
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.shape.channels
    }

    pub(super) fn blocks(&self) -> usize {
        self.shape.channels.div_ceil(BLOCK)
    }

    pub(super) fn taps(&self) -> usize {
        self.shape.taps()
    }

    pub(super) fn kernel(&self) -> [usize; 2] {
        self.shape.kernel
    }

    /// Source rows that one row of results reads, at most.
    pub(super) fn rows(&self) -> usize {
        match self.backward {
            false => self.shape.kernel[0],
            true => self.shape.kernel[0].div_ceil(self.shape.stride[0]),
        }
    }

    /// All source rows that row `y` of the results reads; empty if there are none.
    pub(super) fn source_rows(&self, y: usize) -> std::ops::Range<usize> {
        let (mut first, mut end) = (usize::MAX, 0);
        for tap in 0..self.shape.kernel[0] {
            if let Some(row) = self.source_row(y, tap) {
                (first, end) = (first.min(row), end.max(row + 1));
            }
        }
        first.min(end)..end
    }

    /// The source row that row `tap` of the kernel reads for row `y` of the results.
    pub(super) fn source_row(&self, y: usize, tap: usize) -> Option<usize> {
        let (stride, padding) = (self.shape.stride[0], self.shape.padding.start[0]);
        let row = match self.backward {
            false => (y * stride + tap).checked_sub(padding)?,
            true => {
                let row = (y + padding).checked_sub(tap)?;
                if !row.is_multiple_of(stride) {
                    return None;
                }
                row / stride
            }
        };
        (row < self.source[0]).then_some(row)
    }
}
