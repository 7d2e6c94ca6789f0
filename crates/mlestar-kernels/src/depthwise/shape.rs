use crate::{KernelError, Padding};

/// Sizes of a depthwise 2-D convolution over `[n, height, width, channels]`: each channel has a kernel of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DepthwiseShape {
    /// Images.
    pub n: usize,
    /// Height and width of the input, in pixels.
    pub input: [usize; 2],
    /// Channels of input and output.
    pub channels: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Step of the kernel, vertical and horizontal.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
}

impl DepthwiseShape {
    /// A square kernel with stride and padding equal in all directions.
    #[must_use]
    pub fn square(
        n: usize,
        input: [usize; 2],
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Self {
        Self {
            n,
            input,
            channels,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: Padding::even([padding; 2]),
        }
    }

    /// Height and width of the output.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let padded = self.input[axis] + self.padding.total(axis);
            let room = padded.checked_sub(self.kernel[axis]);
            room.map_or(0, |room| room / self.stride[axis].max(1) + 1)
        })
    }

    /// Values of the input.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.n * self.input[0] * self.input[1] * self.channels
    }

    /// Values of the output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        let [height, width] = self.output();
        self.n * height * width * self.channels
    }

    /// Values of the weights.
    #[must_use]
    pub fn weight_len(&self) -> usize {
        self.channels * self.taps()
    }

    /// Multiply-adds, including taps over the edge.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        self.output_len() as u64 * self.taps() as u64
    }

    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Rejects invalid shapes.
    ///
    /// # Errors
    ///
    /// [`KernelError::Shape`] if a kernel side, a stride or the channels are 0, if the kernel does not fit in the
    /// padded input, or if a size does not fit in memory.
    pub fn check(&self) -> Result<(), KernelError> {
        let refuse = |reason: String| {
            Err(KernelError::Shape {
                what: "depthwise convolution",
                reason,
            })
        };
        if self.channels == 0 {
            return refuse("0 channels, but at least 1 is needed".to_owned());
        }
        for axis in 0..2 {
            let name = ["height", "width"][axis];
            let [input, kernel, stride] = [self.input[axis], self.kernel[axis], self.stride[axis]];
            if kernel == 0 || stride == 0 {
                return refuse(format!(
                    "{name}: kernel {kernel} and stride {stride} must be at least 1"
                ));
            }
            let most = 1 << 24;
            let padding = self.padding.start[axis].max(self.padding.end[axis]);
            for (what, value) in [
                ("size", input),
                ("kernel", kernel),
                ("stride", stride),
                ("padding", padding),
            ] {
                if value > most {
                    return refuse(format!("{name}: {what} {value} is above {most}"));
                }
            }
            let padded = input + self.padding.total(axis);
            if padded < kernel {
                return refuse(format!(
                    "{name}: a kernel of {kernel} pixels does not fit in {padded}"
                ));
            }
        }
        let [height, width] = self.output();
        let fits = [
            [self.n, self.input[0], self.input[1]],
            [self.n, height, width],
            [1, self.kernel[0], self.kernel[1]],
        ]
        .into_iter()
        .all(|sizes| {
            let bytes =
                (sizes.iter()).try_fold(4 * self.channels, |bytes, &size| bytes.checked_mul(size));
            bytes.is_some_and(|bytes| bytes <= isize::MAX as usize)
        });
        match fits && self.channels < usize::MAX / 8 {
            true => Ok(()),
            false => refuse("a tensor is larger than the address space".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_the_output() {
        let shape = DepthwiseShape::square(2, [5, 6], 7, 3, 2, 1);
        assert_eq!(shape.output(), [3, 3]);
        assert_eq!(shape.output_len(), 2 * 9 * 7);
        assert_eq!(shape.weight_len(), 63);
        assert_eq!(shape.multiply_adds(), 2 * 9 * 7 * 9);
        let same = DepthwiseShape {
            padding: Padding::same([5, 6], [3; 2], [2; 2]),
            ..shape
        };
        assert_eq!(same.output(), [3, 3]);
        assert_eq!(same.check(), Ok(()));
    }

    #[test]
    fn shapes_without_meaning_are_refused() {
        let good = DepthwiseShape::square(1, [4, 4], 1, 3, 1, 0);
        for (shape, part) in [
            (
                DepthwiseShape {
                    channels: 0,
                    ..good
                },
                "0 channels",
            ),
            (
                DepthwiseShape {
                    stride: [1, 0],
                    ..good
                },
                "width: kernel 3 and stride 0",
            ),
            (
                DepthwiseShape {
                    kernel: [5, 3],
                    ..good
                },
                "height: a kernel of 5 pixels does not fit in 4",
            ),
            (
                DepthwiseShape {
                    n: usize::MAX / 8,
                    ..good
                },
                "larger than the address space",
            ),
            (
                DepthwiseShape {
                    channels: usize::MAX / 2,
                    ..good
                },
                "larger than the address space",
            ),
            (
                DepthwiseShape {
                    padding: [0, 1 << 25].into(),
                    ..good
                },
                "width: padding 33554432 is above",
            ),
        ] {
            let message = shape.check().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
