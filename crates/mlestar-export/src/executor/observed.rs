//! Runs a frozen model and shows every buffer to a visitor, which may change it.

use mlestar_kernels::{MaxPoolShape, Values, ValuesMut, activate, global_average_pool, max_pool};
use mlestar_model::Activation;

use super::SLICE_ACTIVATIONS;
use super::attention::PreparedAttention;
use super::convolution::PreparedConvolution;
use super::depthwise::PreparedDepthwise;
use super::grouped::GroupedConvolution;
use super::pixels::{PixelTable, Sources};
use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::graph::{BufferShape, Layer, max_pool_windows};

/// Most images that pass through the network together.
const SLICE_PICTURES: usize = 32;

/// A frozen model that shows its buffers while it runs. Without a change its logits have the bits of
/// [`Executor`](super::Executor)'s. Buffers do not share memory here.
pub(crate) struct ObservedExecutor<'a> {
    model: &'a FrozenModel,
    pixel_table: PixelTable,
    other_views: Vec<Sources>,
    kernels: Vec<Kernel>,
}

enum Kernel {
    Convolution(Box<PreparedConvolution>, Option<usize>),
    Depthwise(Box<PreparedDepthwise>, Option<usize>),
    Grouped(Box<GroupedConvolution>, Option<usize>),
    Attention(Box<PreparedAttention>, Option<usize>),
    MaxPool(MaxPoolShape, Option<Activation>),
    AveragePool { channels: usize, pixels: usize },
}

impl<'a> ObservedExecutor<'a> {
    /// Lays out the weights of `model`.
    pub(crate) fn new(model: &'a FrozenModel) -> Self {
        let shapes = model.buffer_shapes();
        let operations = model.operations().iter();
        Self {
            model,
            pixel_table: PixelTable::new(model.normalization()),
            other_views: (model.views().others())
                .map(|view| Sources::new(view, model.height(), model.width()))
                .collect(),
            kernels: operations
                .map(|operation| prepare(&operation.layer, shapes[operation.input]))
                .collect(),
        }
    }

    /// The logits, row-major `[n, classes]`, of `n` images. `visit` gets the number and the values
    /// `[image, row, column, channel]` of each buffer before any operation reads it, several times if there are
    /// many images or several views.
    pub(crate) fn logits(
        &self,
        pixels: &[u8],
        n: usize,
        visit: &mut dyn FnMut(usize, &mut [f32]),
    ) -> Result<Vec<f32>, ExportError> {
        let (height, width) = (self.model.height(), self.model.width());
        let picture = height * width * 3;
        if Some(pixels.len()) != picture.checked_mul(n) {
            return Err(ExportError::PixelCount {
                n_pictures: n,
                height,
                width,
                expected: picture.saturating_mul(n),
                found: pixels.len(),
            });
        }
        let sizes = self.model.buffer_shapes().iter();
        let activations: usize = sizes.map(|shape| shape.iter().product::<usize>()).sum();
        let slice = (SLICE_ACTIVATIONS / activations).clamp(1, SLICE_PICTURES);
        let mut logits = Vec::with_capacity(n * self.model.n_classes());
        for pixels in pixels.chunks(slice * picture) {
            let mut sums = self.run(pixels, None, visit);
            for view in &self.other_views {
                let results = self.run(pixels, Some(view), visit);
                sums.iter_mut()
                    .zip(results)
                    .for_each(|(sum, logit)| *sum += logit);
            }
            if !self.other_views.is_empty() {
                let share = 1.0 / (1 + self.other_views.len()) as f32;
                sums.iter_mut().for_each(|logit| *logit *= share);
            }
            logits.extend(sums);
        }
        Ok(logits)
    }

    /// The logits of one view of some images.
    fn run(
        &self,
        pixels: &[u8],
        view: Option<&Sources>,
        visit: &mut dyn FnMut(usize, &mut [f32]),
    ) -> Vec<f32> {
        let n = pixels.len() / (self.model.height() * self.model.width() * 3);
        let mut images = vec![0.0; pixels.len()];
        match view {
            Some(view) => self.pixel_table.normalize_view(pixels, view, &mut images),
            None => self.pixel_table.normalize(pixels, &mut images),
        }
        visit(0, &mut images);
        let mut buffers = vec![images];
        let shapes = &self.model.buffer_shapes()[1..];
        let operations = self.model.operations().iter().zip(&self.kernels);
        for (index, ((operation, kernel), shape)) in operations.zip(shapes).enumerate() {
            let mut output = vec![0.0; n * shape.iter().product::<usize>()];
            kernel.run(n, &buffers[operation.input], &buffers, &mut output);
            visit(index + 1, &mut output);
            buffers.push(output);
        }
        buffers.pop().unwrap_or_default()
    }
}

impl Kernel {
    fn run(&self, n: usize, input: &[f32], buffers: &[Vec<f32>], output: &mut [f32]) {
        let added = |buffer: Option<usize>| buffer.map(|buffer| buffers[buffer].as_slice());
        match self {
            Self::Convolution(convolution, buffer) => {
                convolution.run(n, input, added(*buffer), output);
            }
            Self::Depthwise(convolution, buffer) => {
                let add = added(*buffer).map(Values::F32);
                convolution.run(n, Values::F32(input), add, ValuesMut::F32(output));
            }
            Self::Grouped(convolution, buffer) => convolution.run(input, added(*buffer), output),
            Self::Attention(attention, buffer) => {
                attention.run(n, input, added(*buffer), output, &mut Vec::new());
            }
            Self::MaxPool(shape, activation) => {
                #[allow(clippy::expect_used)] // Both have the sizes of a shape that was checked.
                max_pool(shape, input, output, None).expect("slices of the shape's lengths");
                if let Some(activation) = activation {
                    activate(activation.kernel(), output);
                }
            }
            &Self::AveragePool { channels, pixels } => {
                #[allow(clippy::expect_used)] // Both have the sizes of a shape that was checked.
                global_average_pool(input, pixels, channels, output)
                    .expect("slices of the shapes' lengths");
            }
        }
    }
}

fn prepare(layer: &Layer, input: BufferShape) -> Kernel {
    match layer {
        Layer::Convolution(convolution) if convolution.groups == 1 => {
            let prepared = PreparedConvolution::new(convolution, input);
            Kernel::Convolution(Box::new(prepared), convolution.add_from)
        }
        Layer::Convolution(convolution) if convolution.is_depthwise() => {
            let prepared = PreparedDepthwise::new(convolution, input);
            Kernel::Depthwise(Box::new(prepared), convolution.add_from)
        }
        Layer::Convolution(convolution) => {
            let prepared = GroupedConvolution::new(convolution, input);
            Kernel::Grouped(Box::new(prepared), convolution.add_from)
        }
        Layer::Attention(attention) => Kernel::Attention(
            Box::new(PreparedAttention::new(attention, input)),
            attention.add_from,
        ),
        Layer::Linear(linear) => {
            Kernel::Convolution(Box::new(PreparedConvolution::linear(linear)), None)
        }
        &Layer::MaxPool {
            window,
            stride,
            padding,
            activation,
        } => {
            let windows = max_pool_windows([window, stride, padding], input);
            Kernel::MaxPool(windows, activation)
        }
        Layer::GlobalAveragePool => Kernel::AveragePool {
            channels: input[0],
            pixels: input[1] * input[2],
        },
    }
}

#[cfg(test)]
mod tests {
    use mlestar_model::Views;

    use super::*;
    use crate::graph::{Linear, Operation, PixelNormalization};

    fn model() -> FrozenModel {
        let linear = Linear {
            weight_shape: [2, 3],
            weight: vec![1.0, 2.0, -1.0, 0.5, -2.0, 1.5],
            bias: vec![0.25, -0.5],
        };
        let operations = vec![
            Operation {
                name: "pool".into(),
                input: 0,
                layer: Layer::GlobalAveragePool,
            },
            Operation {
                name: "head".into(),
                input: 1,
                layer: Layer::Linear(linear),
            },
        ];
        let normalization = PixelNormalization {
            mean: [0.5; 3],
            std: [0.25; 3],
        };
        let classes = vec!["a".into(), "b".into()];
        FrozenModel::new(classes, normalization, 3, 5, operations).unwrap()
    }

    #[test]
    fn every_buffer_of_every_image_and_view_is_shown_and_logits_are_the_executors() {
        let model = model().with_views(Views {
            mirrored: true,
            shifted: false,
        });
        let n = SLICE_PICTURES + 3;
        let pixels: Vec<u8> = (0..n * 45).map(|index| (index * 37 % 251) as u8).collect();
        let mut shown = [0; 3];
        let mut visit = |buffer: usize, values: &mut [f32]| shown[buffer] += values.len();
        let logits = ObservedExecutor::new(&model)
            .logits(&pixels, n, &mut visit)
            .unwrap();
        assert_eq!(shown, [2 * n * 45, 2 * n * 3, 2 * n * 2]);
        assert_eq!(logits, model.logits(&pixels, n).unwrap());
    }

    #[test]
    fn a_changed_buffer_is_what_the_next_operation_reads() {
        let model = model();
        let mut visit = |buffer: usize, values: &mut [f32]| {
            if buffer == 1 {
                values.copy_from_slice(&[1.0, 0.0, 0.0]);
            }
        };
        let logits = ObservedExecutor::new(&model)
            .logits(&[9; 45], 1, &mut visit)
            .unwrap();
        assert_eq!(logits, [1.25, 0.0]);
        assert!(
            ObservedExecutor::new(&model)
                .logits(&[9; 44], 1, &mut |_, _| {})
                .is_err()
        );
    }
}
