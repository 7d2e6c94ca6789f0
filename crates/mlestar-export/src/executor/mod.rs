//! Runs a frozen model on raw images.

mod convolution;
mod grouped;
mod pixels;
mod pool;
mod slots;

use self::convolution::PreparedConvolution;
use self::grouped::GroupedConvolution;
use self::pixels::{PixelTable, Sources};
use self::pool::Pool;
use self::slots::{added_buffer, assign_slots};
use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::graph::{BufferShape, Layer};
use mlestar_kernels::{MaxPoolShape, activate, global_average_pool, max_pool};
use mlestar_model::Activation;

/// Images per thread that pass through the network together: enough to fill the blocks of small layers, few
/// enough for the last-level cache. (On two threads, 16 to 128 images per slice are equally fast.)
const PICTURES_PER_THREAD: usize = 16;
/// Maximum number of activation values in a slice (64 MiB as `f32`).
const SLICE_ACTIVATIONS: usize = 1 << 24;

/// A frozen model with its weights laid out for the CPU and reusable scratch memory.
///
/// The logits of an image have the same bits alone or in a batch of any size, and on any number of threads.
/// (Machines with different vector units may differ in the last bits.) The threads of the current rayon pool
/// share every layer, by pixels or, if there are few pixels, by output channels.
///
/// ```
/// use mlestar_export::Executor;
#[doc = include_str!("../doc_model.in")]
/// let executor = Executor::new(&model);
/// let pictures = vec![128_u8; 5 * model.height() * model.width() * 3];
/// let logits = executor.logits(&pictures, 5)?;
/// assert_eq!(logits.len(), 5 * model.n_classes());
/// assert!(executor.logits(&pictures[1..], 5).is_err());
/// # Ok::<(), mlestar_export::ExportError>(())
/// ```
pub struct Executor {
    pixel_table: PixelTable,
    height: usize,
    width: usize,
    n_classes: usize,
    /// The views of an image besides the unchanged one.
    other_views: Vec<Sources>,
    steps: Vec<Step>,
    /// Number of values that one image needs in each slot; slot 0 holds the normalised image.
    slot_sizes: Vec<usize>,
    scratch: Pool<Vec<Vec<f32>>>,
}

struct Step {
    kernel: Kernel,
    input_slot: usize,
    add_slot: Option<usize>,
    output_slot: usize,
    /// Values of one image.
    input_size: usize,
    /// Values of one image.
    output_size: usize,
}

enum Kernel {
    Convolution(Box<PreparedConvolution>),
    Grouped(Box<GroupedConvolution>),
    MaxPool(MaxPoolShape, Option<Activation>),
    /// Number of channels and number of pixels to average.
    AveragePool {
        channels: usize,
        pixels: usize,
    },
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Executor")
            .field("height", &self.height)
            .field("width", &self.width)
            .field("n_classes", &self.n_classes)
            .field("steps", &self.steps.len())
            .finish_non_exhaustive()
    }
}

impl Executor {
    /// Lays out the weights of `model`.
    #[must_use]
    pub fn new(model: &FrozenModel) -> Self {
        let (slots, slot_sizes) = assign_slots(model);
        let shapes = model.buffer_shapes();
        let steps = model
            .operations()
            .iter()
            .enumerate()
            .map(|(index, operation)| {
                let (input, output) = (shapes[operation.input], shapes[index + 1]);
                Step {
                    kernel: prepare(&operation.layer, input),
                    input_slot: slots[operation.input],
                    add_slot: added_buffer(operation).map(|buffer| slots[buffer]),
                    output_slot: slots[index + 1],
                    input_size: input.iter().product(),
                    output_size: output.iter().product(),
                }
            })
            .collect();
        Self {
            pixel_table: PixelTable::new(model.normalization()),
            height: model.height(),
            width: model.width(),
            n_classes: model.n_classes(),
            other_views: (model.views().others())
                .map(|view| Sources::new(view, model.height(), model.width()))
                .collect(),
            steps,
            slot_sizes,
            scratch: Pool::new(),
        }
    }

    /// Number of classes, the length of a row of logits.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Height and width of the images, in pixels.
    #[must_use]
    pub fn picture_size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Memory for `n` images at a time, in bytes: the weights as laid out, the buffers between the layers, the
    /// images and their logits. It does not include the memory of the kernels for single tiles.
    #[must_use]
    pub fn memory_bytes(&self, n: usize) -> usize {
        let weights: usize = self
            .steps
            .iter()
            .map(|step| match &step.kernel {
                Kernel::Convolution(convolution) => convolution.bytes(),
                Kernel::Grouped(convolution) => convolution.bytes(),
                Kernel::MaxPool(..) | Kernel::AveragePool { .. } => 0,
            })
            .sum();
        let buffers = self.slice_pictures(n) * self.slot_sizes.iter().sum::<usize>();
        let pictures = n * self.height * self.width * 3;
        weights + (buffers + n * self.n_classes) * size_of::<f32>() + pictures
    }

    /// Logits, row-major `[n, classes]`, of `n` images of interleaved RGB bytes
    /// (`[n, height, width, 3]`).
    ///
    /// # Errors
    ///
    /// [`ExportError::PixelCount`] if the length of `pixels` does not match `n` images.
    pub fn logits(&self, pixels: &[u8], n: usize) -> Result<Vec<f32>, ExportError> {
        let picture = self.height * self.width * 3;
        if picture.checked_mul(n) != Some(pixels.len()) {
            return Err(ExportError::PixelCount {
                n_pictures: n,
                height: self.height,
                width: self.width,
                expected: picture.saturating_mul(n),
                found: pixels.len(),
            });
        }
        let mut logits = vec![0.0; n * self.n_classes];
        let slice = self.slice_pictures(n);
        let slices = logits
            .chunks_mut(slice * self.n_classes)
            .zip(pixels.chunks(slice * picture));
        // Enters the thread pool once instead of once per layer.
        rayon::scope(|_| {
            let mut slots = self.scratch.take();
            for (logits, pixels) in slices {
                self.run_slice(pixels, logits, &mut slots);
            }
            self.scratch.give_back(slots);
        });
        Ok(logits)
    }

    /// Images per slice, so that `n` images give slices of nearly equal length.
    fn slice_pictures(&self, n: usize) -> usize {
        let activations: usize = self.slot_sizes.iter().sum();
        let by_memory = SLICE_ACTIVATIONS / activations.max(1);
        let most = by_memory.clamp(1, PICTURES_PER_THREAD * rayon::current_num_threads());
        let slices = n.div_ceil(most).max(1);
        n.div_ceil(slices).max(1)
    }

    /// Runs all views of some images through the network; `slots` is reused memory.
    fn run_slice(&self, pixels: &[u8], logits: &mut [f32], slots: &mut Vec<Vec<f32>>) {
        let n = logits.len() / self.n_classes;
        logits.copy_from_slice(self.run_steps(pixels, None, n, slots));
        if self.other_views.is_empty() {
            return;
        }
        for view in &self.other_views {
            let results = self.run_steps(pixels, Some(view), n, slots);
            for (sum, logit) in logits.iter_mut().zip(results) {
                *sum += logit;
            }
        }
        let share = 1.0 / (1 + self.other_views.len()) as f32;
        for logit in logits {
            *logit *= share;
        }
    }

    /// The logits of `n` images, or of a view of them.
    fn run_steps<'a>(
        &self,
        pixels: &[u8],
        view: Option<&Sources>,
        n: usize,
        slots: &'a mut Vec<Vec<f32>>,
    ) -> &'a [f32] {
        slots.resize_with(self.slot_sizes.len(), Vec::new);
        for (slot, size) in slots.iter_mut().zip(&self.slot_sizes) {
            // They only grow: filling a shorter one with zeros again would be a waste.
            slot.resize(slot.len().max(n * size), 0.0);
        }
        let input = &mut slots[0][..pixels.len()];
        match view {
            Some(view) => self.pixel_table.normalize_view(pixels, view, input),
            None => self.pixel_table.normalize(pixels, input),
        }
        for step in &self.steps {
            // The output's slot is never one that is read: see `assign_slots`.
            let mut memory = std::mem::take(&mut slots[step.output_slot]);
            let output = &mut memory[..n * step.output_size];
            let input = &slots[step.input_slot][..n * step.input_size];
            match &step.kernel {
                Kernel::Convolution(convolution) => {
                    let add = step.add_slot.map(|slot| &slots[slot][..output.len()]);
                    convolution.run(n, input, add, output);
                }
                Kernel::Grouped(convolution) => {
                    let add = step.add_slot.map(|slot| &slots[slot][..output.len()]);
                    convolution.run(input, add, output);
                }
                Kernel::MaxPool(shape, activation) => {
                    #[allow(clippy::expect_used)] // Cut to the sizes of a shape that was checked.
                    max_pool(shape, input, output, None).expect("slices of the shape's lengths");
                    if let Some(activation) = activation {
                        activate(activation.kernel(), output);
                    }
                }
                Kernel::AveragePool { channels, pixels } => {
                    #[allow(clippy::expect_used)] // Both slices are cut to the step's sizes.
                    global_average_pool(input, *pixels, *channels, output)
                        .expect("slices of the shapes' lengths");
                }
            }
            slots[step.output_slot] = memory;
        }
        // A graph ends with its linear layer, so there is a last operation.
        let last = self.steps.last().map_or(0, |step| step.output_slot);
        &slots[last][..n * self.n_classes]
    }
}

fn prepare(layer: &Layer, input: BufferShape) -> Kernel {
    match layer {
        Layer::Convolution(convolution) if convolution.groups > 1 => {
            Kernel::Grouped(Box::new(GroupedConvolution::new(convolution, input)))
        }
        Layer::Convolution(convolution) => {
            Kernel::Convolution(Box::new(PreparedConvolution::new(convolution, input)))
        }
        Layer::Linear(linear) => Kernel::Convolution(Box::new(PreparedConvolution::linear(linear))),
        &Layer::MaxPool {
            window,
            stride,
            padding,
            activation,
        } => {
            let shape = MaxPoolShape {
                input: [input[1], input[2]],
                channels: input[0],
                window,
                stride,
                padding,
            };
            Kernel::MaxPool(shape, activation)
        }
        Layer::GlobalAveragePool => Kernel::AveragePool {
            channels: input[0],
            pixels: input[1] * input[2],
        },
    }
}
