//! Runs a frozen model on raw images.

mod attention;
mod choice;
mod convolution;
mod depthwise;
mod forms;
mod grouped;
mod observed;
mod pixels;
mod pool;
mod slots;

use self::attention::PreparedAttention;
pub use self::choice::{Choice, ChoiceOptions, Timing};
use self::convolution::PreparedConvolution;
use self::depthwise::PreparedDepthwise;
use self::forms::{Form, Slot, forms};
use self::grouped::GroupedConvolution;
pub(crate) use self::observed::ObservedExecutor;
use self::pixels::{Pixels, Sources};
pub(crate) use self::pool::Pool;
use self::slots::assign_slots;
use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::graph::{BufferShape, Layer, max_pool_windows};
use crate::int8_model::QuantizedModel;
use mlestar_kernels::{
    Level, MaxPoolShape, QuantizedWeights, Values, ValuesMut, activate, convert,
    global_average_pool_values, max_pool,
};
use mlestar_model::Activation;
use serde::{Deserialize, Serialize};

/// Images per thread that pass through the network together: enough to fill the blocks of small layers, few
/// enough for the last-level cache. (On two threads, 16 to 128 images per slice are equally fast.)
const PICTURES_PER_THREAD: usize = 16;
/// Maximum number of activation values in a slice (64 MiB as `f32`).
const SLICE_ACTIVATIONS: usize = 1 << 24;

/// The numbers in which an executor multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Precision {
    /// 32 bits.
    F32,
    /// Factors and the values between convolutions are bfloat16, sums are `f32`. Depthwise convolutions multiply in
    /// `f32`. Pools, attention layers, convolutions in other groups and the linear layer stay `f32`.
    Bf16,
    /// The layers of a [`QuantizedModel`] that have integer weights multiply bytes; the others stay `f32`.
    Int8,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// `f32`, `bf16` or `int8`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// Whether this processor has instructions for it. Without them it gives the same results, more slowly than
    /// `f32`.
    #[must_use]
    pub fn is_native(self) -> bool {
        let level = Level::current();
        match self {
            Self::F32 => true,
            Self::Bf16 => level.has_bfloat16(),
            Self::Int8 => level.has_byte_products(),
        }
    }
}

/// The numbers of an executor, with the weights that they need.
#[derive(Debug, Clone, Copy)]
enum Numbers<'a> {
    F32,
    Bf16,
    Int8(&'a QuantizedModel),
}

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
    precision: Precision,
    pixels: Pixels,
    height: usize,
    width: usize,
    n_classes: usize,
    /// The views of an image besides the unchanged one.
    other_views: Vec<Sources>,
    steps: Vec<Step>,
    /// Number of values that one image needs in each slot; slot 0 holds the normalised image.
    slot_sizes: Vec<usize>,
    slot_forms: Vec<Form>,
    scratch: Pool<Scratch>,
}

/// Memory for one call.
#[derive(Default)]
struct Scratch {
    slots: Vec<Slot>,
    /// Input, residual and output of an operation that knows `f32` only, and the factors of an attention layer.
    f32: [Vec<f32>; 4],
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
    input_form: Form,
    add_form: Form,
    output_form: Form,
}

enum Kernel {
    Convolution(Box<PreparedConvolution>),
    Depthwise(Box<PreparedDepthwise>),
    Grouped(Box<GroupedConvolution>),
    Attention(Box<PreparedAttention>),
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
            .field("precision", &self.precision)
            .field("height", &self.height)
            .field("width", &self.width)
            .field("n_classes", &self.n_classes)
            .field("steps", &self.steps.len())
            .finish_non_exhaustive()
    }
}

impl Executor {
    /// Lays out the weights of `model` in `f32`, for any batch.
    #[must_use]
    pub fn new(model: &FrozenModel) -> Self {
        Self::with_numbers(model, Numbers::F32, 1)
    }

    /// Lays out the weights of `model` in `f32` or bfloat16, with the fastest algorithms for batches of `batch`
    /// images. Other batches are computed with the same algorithms, so that an image's logits have the same bits in
    /// all of them.
    ///
    /// ```
    /// use mlestar_export::{Executor, Precision};
    #[doc = include_str!("../doc_model.in")]
    /// let executor = Executor::with_precision(&model, Precision::Bf16, 128)?;
    /// assert_eq!(executor.precision(), Precision::Bf16);
    /// assert!(Executor::with_precision(&model, Precision::Int8, 128).is_err());
    /// # Ok::<(), mlestar_export::ExportError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExportError::InvalidArgument`] for [`Precision::Int8`], which needs a quantised model: see
    /// [`Executor::quantized`].
    pub fn with_precision(
        model: &FrozenModel,
        precision: Precision,
        batch: usize,
    ) -> Result<Self, ExportError> {
        match precision {
            Precision::F32 => Ok(Self::with_numbers(model, Numbers::F32, batch)),
            Precision::Bf16 => Ok(Self::with_numbers(model, Numbers::Bf16, batch)),
            Precision::Int8 => Err(ExportError::argument(
                "precision",
                "int8 needs a quantised model: give one to `Executor::quantized`",
            )),
        }
    }

    /// Lays out the weights of a quantised model, with the fastest algorithms for batches of `batch` images where
    /// layers stay `f32`.
    #[must_use]
    pub fn quantized(model: &QuantizedModel, batch: usize) -> Self {
        Self::with_numbers(model.model(), Numbers::Int8(model), batch)
    }

    fn with_numbers(model: &FrozenModel, numbers: Numbers, batch: usize) -> Self {
        let forms = forms(model, numbers);
        let (slots, slot_sizes, slot_forms) = assign_slots(model, &forms);
        let shapes = model.buffer_shapes();
        let steps = model
            .operations()
            .iter()
            .enumerate()
            .map(|(index, operation)| {
                let (input, output) = (shapes[operation.input], shapes[index + 1]);
                let added = operation.layer.added_buffer();
                let of_input = Input {
                    shape: input,
                    form: forms[operation.input],
                    batch,
                };
                Step {
                    kernel: prepare(index, &operation.layer, of_input, numbers),
                    input_slot: slots[operation.input],
                    add_slot: added.map(|buffer| slots[buffer]),
                    output_slot: slots[index + 1],
                    input_size: input.iter().product(),
                    output_size: output.iter().product(),
                    input_form: forms[operation.input],
                    add_form: added.map_or(Form::F32, |buffer| forms[buffer]),
                    output_form: forms[index + 1],
                }
            })
            .collect();
        Self {
            precision: match numbers {
                Numbers::F32 => Precision::F32,
                Numbers::Bf16 => Precision::Bf16,
                Numbers::Int8(_) => Precision::Int8,
            },
            pixels: Pixels::new(model.normalization(), forms[0]),
            height: model.height(),
            width: model.width(),
            n_classes: model.n_classes(),
            other_views: (model.views().others())
                .map(|view| Sources::new(view, model.height(), model.width()))
                .collect(),
            steps,
            slot_sizes,
            slot_forms,
            scratch: Pool::new(),
        }
    }

    /// The numbers in which it multiplies.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
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
                Kernel::Depthwise(convolution) => convolution.bytes(),
                Kernel::Grouped(convolution) => convolution.bytes(),
                Kernel::Attention(attention) => attention.bytes(),
                Kernel::MaxPool(..) | Kernel::AveragePool { .. } => 0,
            })
            .sum();
        let sizes = self.slot_sizes.iter().zip(&self.slot_forms);
        let per_image: usize = sizes.map(|(size, form)| size * form.bytes()).sum();
        let buffers = self.slice_pictures(n) * per_image;
        let pictures = n * self.height * self.width * 3;
        weights + buffers + n * self.n_classes * size_of::<f32>() + pictures
    }

    /// Logits, row-major `[n, classes]`, of `n` images of interleaved RGB bytes
    /// (`[n, height, width, 3]`).
    ///
    /// # Errors
    ///
    /// [`ExportError::PixelCount`] if the length of `pixels` does not match `n` images.
    pub fn logits(&self, pixels: &[u8], n: usize) -> Result<Vec<f32>, ExportError> {
        self.check_pixels(pixels, n)?;
        let mut logits = vec![0.0; n * self.n_classes];
        self.logits_into(pixels, n, &mut logits)?;
        Ok(logits)
    }

    pub(crate) fn check_pixels(&self, pixels: &[u8], n: usize) -> Result<(), ExportError> {
        let picture = self.height * self.width * 3;
        if picture.checked_mul(n) == Some(pixels.len()) {
            return Ok(());
        }
        Err(ExportError::PixelCount {
            n_pictures: n,
            height: self.height,
            width: self.width,
            expected: picture.saturating_mul(n),
            found: pixels.len(),
        })
    }

    /// Like [`logits`](Self::logits), written to `logits`. After a call for as many images it allocates nothing.
    ///
    /// # Errors
    ///
    /// As for [`logits`](Self::logits); [`ExportError::InvalidArgument`] if `logits` does not have `n` rows.
    pub fn logits_into(
        &self,
        pixels: &[u8],
        n: usize,
        logits: &mut [f32],
    ) -> Result<(), ExportError> {
        self.check_pixels(pixels, n)?;
        if logits.len() != n * self.n_classes {
            let expected = n * self.n_classes;
            let reason = format!("{} values, but {expected} are needed", logits.len());
            return Err(ExportError::argument("logits", reason));
        }
        let picture = self.height * self.width * 3;
        let slice = self.slice_pictures(n);
        let slices = logits
            .chunks_mut(slice * self.n_classes)
            .zip(pixels.chunks(slice * picture));
        // Enters the thread pool once instead of once per layer.
        rayon::scope(|_| {
            let mut scratch = self.scratch.take();
            for (logits, pixels) in slices {
                self.run_slice(pixels, logits, &mut scratch);
            }
            self.scratch.give_back(scratch);
        });
        Ok(())
    }

    /// Images per slice, so that `n` images give slices of nearly equal length.
    fn slice_pictures(&self, n: usize) -> usize {
        let activations: usize = self.slot_sizes.iter().sum();
        let by_memory = SLICE_ACTIVATIONS / activations.max(1);
        let most = by_memory.clamp(1, PICTURES_PER_THREAD * rayon::current_num_threads());
        let slices = n.div_ceil(most).max(1);
        n.div_ceil(slices).max(1)
    }

    /// Runs all views of some images through the network; `scratch` is reused memory.
    fn run_slice(&self, pixels: &[u8], logits: &mut [f32], scratch: &mut Scratch) {
        let n = logits.len() / self.n_classes;
        logits.copy_from_slice(self.run_steps(pixels, None, n, scratch));
        if self.other_views.is_empty() {
            return;
        }
        for view in &self.other_views {
            let results = self.run_steps(pixels, Some(view), n, scratch);
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
        scratch: &'a mut Scratch,
    ) -> &'a [f32] {
        let Scratch { slots, f32 } = scratch;
        if slots.is_empty() {
            slots.extend(self.slot_forms.iter().map(|form| form.slot()));
        }
        for (slot, size) in slots.iter_mut().zip(&self.slot_sizes) {
            slot.grow(n * size);
        }
        self.pixels.look_up(pixels, view, &mut slots[0]);
        for step in &self.steps {
            // The output's slot is never one that is read: see `assign_slots`.
            let mut memory = std::mem::take(&mut slots[step.output_slot]);
            let len = n * step.output_size;
            let input = slots[step.input_slot].values(n * step.input_size, step.input_form);
            let add = step
                .add_slot
                .map(|slot| slots[slot].values(len, step.add_form));
            let output = memory.values_mut(len, step.output_form);
            step.kernel.run(n, input, add, output, f32);
            slots[step.output_slot] = memory;
        }
        // A graph ends with its linear layer, so there is a last operation. Nothing reads its buffer, so that is `f32`.
        let last = self.steps.last().map_or(0, |step| step.output_slot);
        match &slots[last] {
            Slot::F32(logits) => &logits[..n * self.n_classes],
            Slot::Bfloat16(_) | Slot::Bytes(_) => &[],
        }
    }
}

impl FrozenModel {
    /// Logits, row-major `[n, classes]`, of `n` images of interleaved RGB bytes
    /// (`[n, height, width, 3]`).
    ///
    /// This prepares the weights on every call; use an [`Executor`] for repeated calls.
    ///
    /// # Errors
    ///
    /// [`ExportError::PixelCount`] if the length of `pixels` does not match `n` images.
    pub fn logits(&self, pixels: &[u8], n: usize) -> Result<Vec<f32>, ExportError> {
        Executor::new(self).logits(pixels, n)
    }
}

impl Kernel {
    /// Computes `output` for `n` images. `scratch` holds `f32` copies where an operation needs them.
    fn run(
        &self,
        n: usize,
        input: Values,
        add: Option<Values>,
        output: ValuesMut,
        scratch: &mut [Vec<f32>; 4],
    ) {
        let [of_input, of_add, of_output, of_factors] = scratch;
        match self {
            Self::Convolution(convolution) => {
                let input = match convolution.takes(input) {
                    true => input,
                    false => Values::F32(as_f32(input, of_input)),
                };
                convolution.run_values(n, input, add, output);
            }
            Self::Depthwise(convolution) => convolution.run(n, input, add, output),
            Self::Grouped(convolution) => {
                let add = add.map(|add| as_f32(add, of_add));
                let input = as_f32(input, of_input);
                write_f32(output, of_output, |output| {
                    convolution.run(input, add, output);
                });
            }
            Self::Attention(attention) => {
                let add = add.map(|add| as_f32(add, of_add));
                let input = as_f32(input, of_input);
                write_f32(output, of_output, |output| {
                    attention.run(n, input, add, output, of_factors);
                });
            }
            Self::MaxPool(shape, activation) => {
                let input = as_f32(input, of_input);
                write_f32(output, of_output, |output| {
                    #[allow(clippy::expect_used)] // Cut to the sizes of a shape that was checked.
                    max_pool(shape, input, output, None).expect("slices of the shape's lengths");
                    if let Some(activation) = activation {
                        activate(activation.kernel(), output);
                    }
                });
            }
            Self::AveragePool { channels, pixels } => write_f32(output, of_output, |output| {
                #[allow(clippy::expect_used)] // Both slices are cut to the step's sizes.
                global_average_pool_values(input, *pixels, *channels, output)
                    .expect("slices of the shapes' lengths");
            }),
        }
    }
}

/// The values as `f32`; `copy` is memory for them if they have another form.
fn as_f32<'a>(values: Values<'a>, copy: &'a mut Vec<f32>) -> &'a [f32] {
    if let Values::F32(values) = values {
        return values;
    }
    copy.resize(copy.len().max(values.len()), 0.0);
    let copy = &mut copy[..values.len()];
    #[allow(clippy::expect_used)] // Cut to the same length.
    convert(values, ValuesMut::F32(copy)).expect("as many values");
    copy
}

/// Has `write` fill `output`; `copy` is memory for `f32` values if it has another form.
fn write_f32(output: ValuesMut, copy: &mut Vec<f32>, write: impl FnOnce(&mut [f32])) {
    let output = match output {
        ValuesMut::F32(output) => return write(output),
        other => other,
    };
    let len = output.as_values().len();
    copy.resize(copy.len().max(len), 0.0);
    let copy = &mut copy[..len];
    write(copy);
    #[allow(clippy::expect_used)] // Cut to the same length.
    convert(Values::F32(copy), output).expect("as many values");
}

/// The input of an operation.
#[derive(Clone, Copy)]
struct Input {
    shape: BufferShape,
    form: Form,
    /// Images for which algorithms are chosen.
    batch: usize,
}

fn prepare(index: usize, layer: &Layer, input: Input, numbers: Numbers) -> Kernel {
    let Input { shape, form, batch } = input;
    let integers = quantized_weights(index, form, numbers);
    let integers = integers
        .as_ref()
        .map(|(weights, steps)| QuantizedWeights { steps, ..*weights });
    match layer {
        Layer::Convolution(convolution) if convolution.groups == 1 => {
            let prepared = match (numbers, integers) {
                (_, Some(weights)) => PreparedConvolution::in_int8(convolution, shape, weights),
                (Numbers::Bf16, None) => {
                    PreparedConvolution::in_bf16(convolution, shape, form, batch)
                }
                _ => PreparedConvolution::in_f32(convolution, shape, batch),
            };
            Kernel::Convolution(Box::new(prepared))
        }
        Layer::Convolution(convolution) if convolution.is_depthwise() => {
            let prepared = match integers {
                Some(weights) => PreparedDepthwise::in_int8(convolution, shape, weights),
                None => PreparedDepthwise::new(convolution, shape),
            };
            Kernel::Depthwise(Box::new(prepared))
        }
        Layer::Convolution(convolution) => {
            Kernel::Grouped(Box::new(GroupedConvolution::new(convolution, shape)))
        }
        Layer::Attention(attention) => {
            Kernel::Attention(Box::new(PreparedAttention::new(attention, shape)))
        }
        Layer::Linear(linear) => {
            let prepared = match integers {
                Some(weights) => {
                    PreparedConvolution::in_int8(&linear.as_convolution(), shape, weights)
                }
                None => PreparedConvolution::linear(linear),
            };
            Kernel::Convolution(Box::new(prepared))
        }
        &Layer::MaxPool {
            window,
            stride,
            padding,
            activation,
        } => {
            let windows = max_pool_windows([window, stride, padding], shape);
            Kernel::MaxPool(windows, activation)
        }
        Layer::GlobalAveragePool => Kernel::AveragePool {
            channels: shape[0],
            pixels: shape[1] * shape[2],
        },
    }
}

/// The integer weights of an operation, if it has any, and the value of a step of its sums.
fn quantized_weights<'a>(
    index: usize,
    form: Form,
    numbers: Numbers<'a>,
) -> Option<(QuantizedWeights<'a>, Vec<f32>)> {
    let (Numbers::Int8(model), Form::Bytes(input)) = (numbers, form) else {
        return None;
    };
    let layer = model.layers()[index].as_ref()?;
    let steps = layer.scales.iter().map(|scale| input.scale * scale);
    let weights = QuantizedWeights {
        values: &layer.values,
        steps: &[],
        bias: model.bias_steps(index)?,
        zero_point: input.zero_point,
    };
    Some((weights, steps.collect()))
}
