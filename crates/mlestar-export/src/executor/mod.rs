//! Runs a frozen model on raw pictures.

mod convolution;
mod matmul;
mod pool;

use rayon::prelude::*;

use self::convolution::{PreparedConvolution, Workspace};
use self::pool::Pool;
use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::graph::{BufferShape, Convolution, Layer, Linear, Operation};

/// Pictures that one thread takes through the network together.
const GROUP_PICTURES: usize = 8;
/// Most activation values that a group may need (64 MiB as `f32`).
const GROUP_ACTIVATIONS: usize = 1 << 24;

/// A frozen model with its weights laid out for the CPU and scratch memory that is reused.
///
/// A picture's logits have the same bits alone or in a batch of any size, and on any number of
/// threads. (Machines with different vector units may differ in the last bits.) Threads are those
/// of the current rayon pool: a batch is spread over them by pictures, a single picture by parts
/// of its layers.
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
    /// Network input for each channel and pixel value.
    normalized: Box<[[f32; 256]; 3]>,
    height: usize,
    width: usize,
    n_classes: usize,
    steps: Vec<Step>,
    /// Values that one picture needs in each slot; slot 0 holds the normalised picture.
    slot_sizes: Vec<usize>,
    scratch: Pool<Vec<Vec<f32>>>,
    workspaces: Pool<Workspace>,
}

struct Step {
    kernel: Kernel,
    input_slot: usize,
    add_slot: Option<usize>,
    output_slot: usize,
    output_size: usize,
}

enum Kernel {
    Convolution(PreparedConvolution),
    /// Number of channels and of pixels that are averaged.
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
                    kernel: prepare(&operation.layer, input, output),
                    input_slot: slots[operation.input],
                    add_slot: added_buffer(operation).map(|buffer| slots[buffer]),
                    output_slot: slots[index + 1],
                    output_size: output.iter().product(),
                }
            })
            .collect();
        let normalization = model.normalization();
        let normalized = std::array::from_fn(|channel| {
            std::array::from_fn(|pixel| normalization.apply(pixel as u8, channel))
        });
        Self {
            normalized: Box::new(normalized),
            height: model.height(),
            width: model.width(),
            n_classes: model.n_classes(),
            steps,
            slot_sizes,
            scratch: Pool::new(),
            workspaces: Pool::new(),
        }
    }

    /// Number of classes, the length of a row of logits.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Height and width of the pictures, in pixels.
    #[must_use]
    pub fn picture_size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Logits, row-major `[n, classes]`, of `n` pictures of interleaved RGB bytes
    /// (`[n, height, width, 3]`).
    ///
    /// # Errors
    ///
    /// [`ExportError::PixelCount`] when `pixels` is not of `n` pictures' length.
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
        let threads = rayon::current_num_threads();
        let group = self.group_size(n, threads);
        let run_group = |(rows, pixels): (&mut [f32], &[u8]), threads| {
            let mut slots = self.scratch.take();
            self.run_group(pixels, rows, &mut slots, threads);
            self.scratch.give_back(slots);
        };
        let n_groups = n.div_ceil(group);
        let rows = group * self.n_classes;
        if n_groups < threads {
            let groups = logits.chunks_mut(rows).zip(pixels.chunks(group * picture));
            groups.for_each(|group| run_group(group, threads));
        } else {
            let groups = logits
                .par_chunks_mut(rows)
                .zip(pixels.par_chunks(group * picture));
            groups.for_each(|group| run_group(group, 1));
        }
        Ok(logits)
    }

    /// Pictures of a group: enough to fill tiles of the small layers, few enough for the memory
    /// limit and to give every thread some.
    fn group_size(&self, n: usize, threads: usize) -> usize {
        let activations: usize = self.slot_sizes.iter().sum();
        let by_memory = GROUP_ACTIVATIONS / activations.max(1);
        (n / threads).min(GROUP_PICTURES).min(by_memory).max(1)
    }

    fn run_group(
        &self,
        pixels: &[u8],
        rows: &mut [f32],
        slots: &mut Vec<Vec<f32>>,
        threads: usize,
    ) {
        let n = rows.len() / self.n_classes;
        slots.resize_with(self.slot_sizes.len(), Vec::new);
        self.normalize(pixels, &mut slots[0]);
        for step in &self.steps {
            // The output's slot is none of those that are read: see `assign_slots`.
            let mut output = std::mem::take(&mut slots[step.output_slot]);
            output.resize(n * step.output_size, 0.0);
            let input = &slots[step.input_slot];
            match &step.kernel {
                Kernel::Convolution(convolution) => {
                    let add = step.add_slot.map(|slot| slots[slot].as_slice());
                    convolution.run(input, add, &mut output, &self.workspaces, threads);
                }
                Kernel::AveragePool { channels, pixels } => {
                    average(input, &mut output, *channels, *pixels);
                }
            }
            slots[step.output_slot] = output;
        }
        if let Some(last) = self.steps.last() {
            rows.copy_from_slice(&slots[last.output_slot]);
        }
    }

    fn normalize(&self, pixels: &[u8], input: &mut Vec<f32>) {
        let [red, green, blue] = &*self.normalized;
        input.resize(pixels.len(), 0.0);
        for (values, pixel) in input.chunks_exact_mut(3).zip(pixels.chunks_exact(3)) {
            values[0] = red[usize::from(pixel[0])];
            values[1] = green[usize::from(pixel[1])];
            values[2] = blue[usize::from(pixel[2])];
        }
    }
}

fn prepare(layer: &Layer, input: BufferShape, output: BufferShape) -> Kernel {
    match layer {
        Layer::Convolution(convolution) => {
            Kernel::Convolution(PreparedConvolution::new(convolution, input, output))
        }
        Layer::Linear(linear) => Kernel::Convolution(PreparedConvolution::new(
            &as_convolution(linear),
            input,
            output,
        )),
        Layer::GlobalAveragePool => Kernel::AveragePool {
            channels: input[0],
            pixels: input[1] * input[2],
        },
    }
}

/// A linear layer is a 1x1 convolution of one pixel.
fn as_convolution(linear: &Linear) -> Convolution {
    let [outputs, inputs] = linear.weight_shape;
    Convolution {
        weight_shape: [outputs, inputs, 1, 1],
        weight: linear.weight.clone(),
        bias: linear.bias.clone(),
        stride: [1, 1],
        padding: [0, 0],
        add_from: None,
        relu: false,
    }
}

fn average(input: &[f32], output: &mut [f32], channels: usize, pixels: usize) {
    let pictures = input.chunks_exact(channels * pixels);
    for (means, picture) in output.chunks_exact_mut(channels).zip(pictures) {
        means.fill(0.0);
        for pixel in picture.chunks_exact(channels) {
            for (mean, value) in means.iter_mut().zip(pixel) {
                *mean += value;
            }
        }
        for mean in means {
            *mean /= pixels as f32;
        }
    }
}

fn added_buffer(operation: &Operation) -> Option<usize> {
    match &operation.layer {
        Layer::Convolution(convolution) => convolution.add_from,
        Layer::GlobalAveragePool | Layer::Linear(_) => None,
    }
}

/// Gives every buffer a slot of memory; a slot is used again once its buffer has been read for
/// the last time. An operation's output never shares a slot with what it reads.
fn assign_slots(model: &FrozenModel) -> (Vec<usize>, Vec<usize>) {
    let shapes = model.buffer_shapes();
    let mut last_read = vec![0; shapes.len()];
    for (index, operation) in model.operations().iter().enumerate() {
        last_read[operation.input] = index;
        if let Some(buffer) = added_buffer(operation) {
            last_read[buffer] = index;
        }
    }
    let size = |buffer: usize| shapes[buffer].iter().product::<usize>();
    let mut slots = vec![0];
    let mut slot_sizes = vec![size(0)];
    let mut holders = vec![0];
    for index in 0..model.operations().len() {
        let buffer = index + 1;
        // Free for this output: its holder was read last by an earlier operation. Among the free
        // ones the best fit is that of the nearest size.
        let free = (0..holders.len())
            .filter(|&slot| last_read[holders[slot]] < index)
            .min_by_key(|&slot| slot_sizes[slot].abs_diff(size(buffer)));
        let slot = free.unwrap_or(holders.len());
        if slot == holders.len() {
            holders.push(buffer);
            slot_sizes.push(size(buffer));
        } else {
            holders[slot] = buffer;
            slot_sizes[slot] = slot_sizes[slot].max(size(buffer));
        }
        slots.push(slot);
    }
    (slots, slot_sizes)
}
