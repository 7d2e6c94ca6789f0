use crate::{KernelError, Padding};

/// Sizes of a 2-D convolution with one group over `[n, height, width, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2dShape {
    /// Images.
    pub n: usize,
    /// Height and width of the input, in pixels.
    pub input: [usize; 2],
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Step of the kernel, vertical and horizontal.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
    /// Distance between taps of the kernel; 1 for a dense kernel.
    pub dilation: [usize; 2],
}

impl Conv2dShape {
    /// A square kernel with stride and padding equal in all directions.
    #[must_use]
    pub fn square(
        n: usize,
        input: [usize; 2],
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Self {
        let [channels_in, channels_out] = channels;
        Self {
            n,
            input,
            channels_in,
            channels_out,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: Padding::even([padding; 2]),
            dilation: [1; 2],
        }
    }

    /// Height and width of the output.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let reach = self.dilation[axis] * (self.kernel[axis].max(1) - 1) + 1;
            let padded = self.input[axis] + self.padding.total(axis);
            padded.saturating_sub(reach) / self.stride[axis].max(1) + usize::from(padded >= reach)
        })
    }

    /// Values of the input.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.n * self.input[0] * self.input[1] * self.channels_in
    }

    /// Values of the output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        let [height, width] = self.output();
        self.n * height * width * self.channels_out
    }

    /// Values of the weights.
    #[must_use]
    pub fn weight_len(&self) -> usize {
        self.channels_out * self.channels_in * self.taps()
    }

    /// Multiply-adds of a direct convolution, including taps over the edge.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        let [height, width] = self.output();
        (self.n * height * width) as u64 * self.weight_len() as u64
    }

    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Rejects invalid shapes.
    ///
    /// # Errors
    ///
    /// [`KernelError::Shape`] if a kernel side, stride, dilation or channel count is 0, if the kernel does not
    /// fit in the padded input, or if a size does not fit in memory.
    pub fn check(&self) -> Result<(), KernelError> {
        let refuse = |reason: String| {
            Err(KernelError::Shape {
                what: "convolution",
                reason,
            })
        };
        if self.channels_in == 0 || self.channels_out == 0 {
            return refuse(format!(
                "{} input and {} output channels, but at least 1 of each is needed",
                self.channels_in, self.channels_out
            ));
        }
        for axis in 0..2 {
            let name = ["height", "width"][axis];
            if self.kernel[axis] == 0 || self.stride[axis] == 0 || self.dilation[axis] == 0 {
                return refuse(format!(
                    "{name}: kernel {}, stride {} and dilation {} must be at least 1",
                    self.kernel[axis], self.stride[axis], self.dilation[axis]
                ));
            }
            let most = 1 << 24;
            for (what, value) in [
                ("size", self.input[axis]),
                ("kernel", self.kernel[axis]),
                ("stride", self.stride[axis]),
                (
                    "padding",
                    self.padding.start[axis].max(self.padding.end[axis]),
                ),
                ("dilation", self.dilation[axis]),
            ] {
                if value > most {
                    return refuse(format!("{name}: {what} {value} is above {most}"));
                }
            }
            let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let padded = self.input[axis] + self.padding.total(axis);
            if padded < reach {
                return refuse(format!(
                    "{name}: a kernel that covers {reach} pixels does not fit in {padded}"
                ));
            }
        }
        let product = |sizes: &[usize]| {
            let all = sizes
                .iter()
                .try_fold(4_usize, |all, &size| all.checked_mul(size));
            all.filter(|&bytes| bytes <= isize::MAX as usize).is_some()
        };
        let [height, width] = self.output();
        let fits = product(&[self.n, self.input[0], self.input[1], self.channels_in])
            && product(&[self.n, height, width, self.channels_out])
            && product(&[self.channels_in, self.channels_out, self.taps()]);
        match fits {
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
        let shape = Conv2dShape::square(2, [5, 6], [3, 4], 3, 2, 1);
        assert_eq!(shape.output(), [3, 3]);
        assert_eq!(shape.output_len(), 2 * 9 * 4);
        assert_eq!(shape.multiply_adds(), 2 * 9 * 4 * 27);
        assert_eq!(shape.check(), Ok(()));
    }

    #[test]
    fn shapes_without_meaning_are_refused() {
        let good = Conv2dShape::square(1, [4, 4], [1, 1], 3, 1, 0);
        let no_channels = Conv2dShape {
            channels_in: 0,
            ..good
        };
        let no_stride = Conv2dShape {
            stride: [1, 0],
            ..good
        };
        let too_large = Conv2dShape {
            kernel: [5, 3],
            ..good
        };
        let absurd = Conv2dShape {
            n: usize::MAX / 4,
            ..good
        };
        for (shape, part) in [
            (no_channels, "0 input and "),
            (no_stride, "width: kernel 3, stride 0"),
            (
                too_large,
                "height: a kernel that covers 5 pixels does not fit in 4",
            ),
            (absurd, "larger than the address space"),
        ] {
            let message = shape.check().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
