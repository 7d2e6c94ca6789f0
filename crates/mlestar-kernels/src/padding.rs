use std::fmt;

/// Pixels around an image that a window may cover: zeros for a convolution, nothing for a max pool.
///
/// ```
/// use mlestar_kernels::Padding;
///
/// // TensorFlow's "same" for 224 pixels, kernels of 3 and stride 2: none above, one below, for 112 results.
/// let padding = Padding::same([224; 2], [3; 2], [2; 2]);
/// assert_eq!((padding.start, padding.end), ([0, 0], [1, 1]));
/// assert_eq!(Padding::from([1, 2]).end, [1, 2]);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Padding {
    /// Above and to the left.
    pub start: [usize; 2],
    /// Below and to the right.
    pub end: [usize; 2],
}

impl Padding {
    /// No padding.
    pub const NONE: Self = Self {
        start: [0; 2],
        end: [0; 2],
    };

    /// As many pixels at the start as at the end, vertical and horizontal.
    #[must_use]
    pub const fn even(pixels: [usize; 2]) -> Self {
        Self {
            start: pixels,
            end: pixels,
        }
    }

    /// TensorFlow's "same": so many pixels that every `stride`-th of `input` pixels has a result, and the odd one
    /// at the end (<https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2>).
    #[must_use]
    pub fn same(input: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> Self {
        let total = |axis: usize| {
            let step = stride[axis].max(1);
            let results = input[axis].div_ceil(step);
            (results.saturating_sub(1) * step + kernel[axis]).saturating_sub(input[axis])
        };
        Self {
            start: [total(0) / 2, total(1) / 2],
            end: [total(0).div_ceil(2), total(1).div_ceil(2)],
        }
    }

    /// Start and end together, vertical or horizontal.
    pub(crate) fn total(&self, axis: usize) -> usize {
        self.start[axis].saturating_add(self.end[axis])
    }

    /// The widest of the four.
    pub(crate) fn largest(&self) -> usize {
        let [top, left] = self.start;
        let [bottom, right] = self.end;
        top.max(left).max(bottom).max(right)
    }
}

/// As many pixels at the start as at the end, vertical and horizontal.
impl From<[usize; 2]> for Padding {
    fn from(pixels: [usize; 2]) -> Self {
        Self::even(pixels)
    }
}

/// One number if all are equal; otherwise those above, left, below and right.
impl fmt::Display for Padding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [top, left] = self.start;
        match *self == Self::even([top; 2]) {
            true => write!(f, "{top}"),
            false => write!(f, "({top}, {left}, {}, {})", self.end[0], self.end[1]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_gives_one_result_for_every_step() {
        for (input, kernel, stride) in [(224, 3, 2), (112, 5, 2), (7, 5, 1), (15, 3, 2), (3, 1, 2)]
        {
            let padding = Padding::same([input; 2], [kernel; 2], [stride; 2]);
            let room = input + padding.total(0) - kernel;
            assert_eq!(room / stride + 1, usize::div_ceil(input, stride));
            assert!(padding.end[0] - padding.start[0] <= 1);
        }
    }

    #[test]
    fn equal_sides_are_shown_as_one_number() {
        assert_eq!(Padding::from([2, 2]).to_string(), "2");
        let uneven = Padding::same([4, 5], [3, 3], [2, 2]);
        assert_eq!(uneven.to_string(), "(0, 1, 1, 1)");
    }
}
