//! Operations of a frozen network, their shapes and their limits.

use std::collections::BTreeSet;

use mlestar_kernels::MaxPoolShape;
use mlestar_model::{Activation, Padding};
use serde::{Deserialize, Serialize};

use crate::error::ExportError;

/// Maximum side of an image, in pixels, that a frozen model may declare.
pub const MAX_SIDE: usize = 8192;
/// Maximum number of operations in a graph.
pub const MAX_OPERATIONS: usize = 4096;
/// Maximum number of activation values (all buffers together) for one image: 1 GiB as `f32`.
pub const MAX_ACTIVATIONS: usize = 1 << 28;
/// Maximum side of a max pool's windows.
pub const MAX_WINDOW: usize = MaxPoolShape::MAX_WINDOW;
/// Maximum kernel side, stride and padding of a convolution.
pub const MAX_KERNEL: usize = 64;

/// Mean and standard deviation per RGB channel of pixels scaled to 0-1.
///
/// The network sees `(pixel / 255 - mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelNormalization {
    /// Mean of red, green and blue, in 0-1.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue, above 0.
    pub std: [f32; 3],
}

impl PixelNormalization {
    /// The value that the network sees for `pixel` of `channel` (0 red, 1 green, 2 blue).
    #[must_use]
    pub fn apply(&self, pixel: u8, channel: usize) -> f32 {
        (f32::from(pixel) / 255.0 - self.mean[channel]) / self.std[channel]
    }

    fn check(&self) -> Result<(), ExportError> {
        for channel in 0..3 {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            if !mean.is_finite() || !std.is_finite() || std <= 0.0 {
                return Err(ExportError::graph(
                    "normalization",
                    format!(
                        "channel {channel} has mean {mean} and standard deviation {std}, but the \
                         mean must be finite and the deviation finite and above 0"
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// A convolution with bias, an optional residual input and an optional activation, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// Shape of `weight`: `[out_channels, in_channels / groups, kernel_height, kernel_width]`.
    pub weight_shape: [usize; 4],
    /// Groups of channels that are computed separately.
    pub groups: usize,
    /// Weights in row-major order of `weight_shape`.
    pub weight: Vec<f32>,
    /// One value for each output channel.
    pub bias: Vec<f32>,
    /// Stride down and across.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
    /// Buffer that is added to the result before the activation.
    pub add_from: Option<usize>,
    /// The activation applied to each result.
    pub activation: Option<Activation>,
}

impl Convolution {
    /// The convolution of an attention layer's two maps to one: in one group, with stride 1, and as much padding on all
    /// sides as keeps the size with an odd kernel.
    #[must_use]
    pub fn of_maps(weight_shape: [usize; 4], weight: Vec<f32>, bias: Vec<f32>) -> Self {
        Self {
            weight_shape,
            groups: 1,
            weight,
            bias,
            stride: [1; 2],
            padding: Padding::even([weight_shape[2] / 2; 2]),
            add_from: None,
            activation: None,
        }
    }

    /// Whether every channel has a kernel of its own.
    pub(crate) fn is_depthwise(&self) -> bool {
        let [channels_out, channels_in, ..] = self.weight_shape;
        channels_in == 1 && channels_out == self.groups
    }
}

/// A fully connected layer: `weight x features + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Shape of `weight`: `[outputs, inputs]`.
    pub weight_shape: [usize; 2],
    /// Weights in row-major order of `weight_shape`.
    pub weight: Vec<f32>,
    /// One value for each output.
    pub bias: Vec<f32>,
}

impl Linear {
    /// The layer as a 1x1 convolution of one pixel.
    pub(crate) fn as_convolution(&self) -> Convolution {
        let [outputs, inputs] = self.weight_shape;
        Convolution {
            weight_shape: [outputs, inputs, 1, 1],
            groups: 1,
            weight: self.weight.clone(),
            bias: self.bias.clone(),
            stride: [1, 1],
            padding: Padding::even([0; 2]),
            add_from: None,
            activation: None,
        }
    }
}

/// A product of a map with factors between 0 and 1 that are computed from it, an optional residual sum and an optional
/// activation, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionLayer {
    /// The factors.
    pub factors: Factors,
    /// Buffer that is added to the product before the activation.
    pub add_from: Option<usize>,
    /// The activation applied to each result.
    pub activation: Option<Activation>,
}

/// The factors of an [`AttentionLayer`].
#[derive(Debug, Clone, PartialEq)]
pub enum Factors {
    /// One for each channel: `sigmoid(expand(relu(reduce(mean over height and width))))`.
    OfChannels {
        /// From the channels to fewer features.
        reduce: Linear,
        /// From these features to the channels.
        expand: Linear,
    },
    /// One for each pixel: the sigmoid of this convolution of two channels, the mean and the largest value over the
    /// channels of the map. It has one output channel, an odd square kernel, stride 1, even padding that keeps the size,
    /// and neither sum nor activation.
    OfPixels(Convolution),
}

/// A convolution or linear layer within an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    Convolution(&'a Convolution),
    Linear(&'a Linear),
}

impl<'a> Part<'a> {
    /// Shape of the weights, the weights and the biases.
    pub(crate) fn weights(self) -> (&'a [usize], &'a [f32], &'a [f32]) {
        match self {
            Self::Convolution(layer) => (&layer.weight_shape, &layer.weight, &layer.bias),
            Self::Linear(layer) => (&layer.weight_shape, &layer.weight, &layer.bias),
        }
    }
}

/// What an operation computes.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// Convolution with its fused bias, residual sum and activation.
    Convolution(Convolution),
    /// Largest value of each window; incomplete windows at the lower and right border are left out.
    MaxPool {
        /// Side of the square window, 1 to 15.
        window: usize,
        /// Pixels from one window to the next.
        stride: usize,
        /// Pixels around the map that windows may cover, at most half a window; they are ignored.
        padding: usize,
        /// The activation applied to each largest value.
        activation: Option<Activation>,
    },
    /// Mean over height and width of every channel.
    GlobalAveragePool,
    /// Product with factors computed from the map itself, with its fused residual sum and activation.
    Attention(AttentionLayer),
    /// Fully connected layer on a buffer of height and width 1.
    Linear(Linear),
}

impl Layer {
    /// The buffer that is added to the result before the activation.
    pub(crate) fn added_buffer(&self) -> Option<usize> {
        match self {
            Self::Convolution(convolution) => convolution.add_from,
            Self::Attention(attention) => attention.add_from,
            Self::MaxPool { .. } | Self::GlobalAveragePool | Self::Linear(_) => None,
        }
    }

    /// The activation applied to each result.
    pub(crate) fn activation(&self) -> Option<Activation> {
        match self {
            Self::Convolution(convolution) => convolution.activation,
            Self::Attention(attention) => attention.activation,
            Self::MaxPool { activation, .. } => *activation,
            Self::GlobalAveragePool | Self::Linear(_) => None,
        }
    }
}

/// One operation. The operation at position `i` of a graph writes buffer `i + 1`; buffer 0 is the
/// normalised image.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Unique name of letters, digits, `_` and `.`, for example `stages.0.1.conv2`.
    pub name: String,
    /// The input buffer.
    pub input: usize,
    /// The computation.
    pub layer: Layer,
}

impl Operation {
    /// Number of weights and biases.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let parts = self.parts().into_iter().map(|(_, part)| part.weights());
        parts
            .map(|(_, weight, bias)| weight.len() + bias.len())
            .sum()
    }

    /// Its convolutions and linear layers with their names, which are prefixes of the names of their tensors: one of
    /// the operation's own name, or those of an attention layer.
    pub(crate) fn parts(&self) -> Vec<(String, Part<'_>)> {
        let named = |layer: &str| format!("{}.{layer}", self.name);
        match &self.layer {
            Layer::Convolution(layer) => vec![(self.name.clone(), Part::Convolution(layer))],
            Layer::Linear(layer) => vec![(self.name.clone(), Part::Linear(layer))],
            Layer::Attention(attention) => match &attention.factors {
                Factors::OfChannels { reduce, expand } => vec![
                    (named("reduce"), Part::Linear(reduce)),
                    (named("expand"), Part::Linear(expand)),
                ],
                Factors::OfPixels(layer) => vec![(named("conv"), Part::Convolution(layer))],
            },
            Layer::MaxPool { .. } | Layer::GlobalAveragePool => Vec::new(),
        }
    }
}

/// Shape of the weights, the weights and the biases of one layer.
pub(crate) type LayerWeights<const N: usize> = ([usize; N], Vec<f32>, Vec<f32>);

/// Shape `[channels, height, width]` of one image's buffer.
pub type BufferShape = [usize; 3];

/// Checks a graph and returns the shape of every buffer (`operations.len() + 1` of them).
pub(crate) fn check_graph(
    classes: &[String],
    normalization: &PixelNormalization,
    height: usize,
    width: usize,
    operations: &[Operation],
) -> Result<Vec<BufferShape>, ExportError> {
    normalization.check()?;
    check_classes(classes)?;
    for (side, value) in [("height", height), ("width", width)] {
        if value == 0 || value > MAX_SIDE {
            return Err(ExportError::graph(
                side,
                format!("{value} is outside 1..={MAX_SIDE}"),
            ));
        }
    }
    if operations.is_empty() || operations.len() > MAX_OPERATIONS {
        return Err(ExportError::graph(
            "operations",
            format!(
                "{} of them, but 1..={MAX_OPERATIONS} are allowed",
                operations.len()
            ),
        ));
    }
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut shapes = vec![[3, height, width]];
    let mut activations = 3 * height * width;
    for (index, operation) in operations.iter().enumerate() {
        check_name(&operation.name)?;
        let parts = operation.parts().into_iter().map(|(name, _)| name);
        let parts = parts.filter(|name| *name != operation.name);
        for name in parts.chain([operation.name.clone()]) {
            if let Some(name) = names.replace(name) {
                return Err(ExportError::graph(name, "the name is used twice"));
            }
        }
        let is_last = index + 1 == operations.len();
        if is_last != matches!(operation.layer, Layer::Linear(_)) {
            return Err(ExportError::graph(
                &operation.name,
                "a graph ends with its only linear layer",
            ));
        }
        let shape = output_shape(operation, &shapes)
            .map_err(|reason| ExportError::graph(&operation.name, reason))?;
        let elements = shape
            .iter()
            .try_fold(1_usize, |product, &side| product.checked_mul(side));
        activations = elements
            .and_then(|elements| activations.checked_add(elements))
            .filter(|&sum| sum <= MAX_ACTIVATIONS)
            .ok_or_else(|| {
                ExportError::graph(
                    &operation.name,
                    format!("one image would need more than {MAX_ACTIVATIONS} activations"),
                )
            })?;
        shapes.push(shape);
    }
    let outputs = shapes[operations.len()][0];
    if outputs != classes.len() {
        return Err(ExportError::graph(
            "classes",
            format!("{} class names for {outputs} outputs", classes.len()),
        ));
    }
    Ok(shapes)
}

fn check_classes(classes: &[String]) -> Result<(), ExportError> {
    let mut seen = BTreeSet::new();
    for class in classes {
        if class.is_empty() || !seen.insert(class) {
            return Err(ExportError::graph(
                "classes",
                format!("the name {class:?} is empty or used twice"),
            ));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), ExportError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    // The ONNX writer uses the names `normalization.*` and `flip.*` for values around the operations.
    let is_taken = name == "normalization" || name == "flip" || name.starts_with("flip.");
    if name.is_empty() || name.len() > 200 || !name.chars().all(is_plain) || is_taken {
        return Err(ExportError::graph(
            format!("operation name {name:?}"),
            "1 to 200 letters, digits, `_` and `.` are allowed, other than `normalization` and `flip`",
        ));
    }
    Ok(())
}

fn output_shape(operation: &Operation, shapes: &[BufferShape]) -> Result<BufferShape, String> {
    let &input = shapes
        .get(operation.input)
        .ok_or_else(|| format!("reads buffer {}, which is not written yet", operation.input))?;
    match &operation.layer {
        Layer::Convolution(convolution) => {
            let shape = convolution_shape(convolution, input)?;
            check_added(convolution.add_from, shape, shapes)?;
            Ok(shape)
        }
        Layer::Attention(attention) => {
            check_factors(&attention.factors, input)?;
            check_added(attention.add_from, input, shapes)?;
            Ok(input)
        }
        &Layer::MaxPool {
            window,
            stride,
            padding,
            ..
        } => pool_shape([window, stride, padding], input),
        Layer::GlobalAveragePool => Ok([input[0], 1, 1]),
        Layer::Linear(linear) => linear_shape(linear, input),
    }
}

/// Checks the buffer that is added to a result of this shape.
fn check_added(
    add_from: Option<usize>,
    shape: BufferShape,
    shapes: &[BufferShape],
) -> Result<(), String> {
    let Some(add_from) = add_from else {
        return Ok(());
    };
    match shapes.get(add_from) {
        None => Err(format!("adds buffer {add_from}, which is not written yet")),
        Some(added) if *added != shape => Err(format!(
            "adds a buffer of shape {added:?} to one of {shape:?}"
        )),
        Some(_) => Ok(()),
    }
}

/// Checks that the parts of an attention layer give one factor for each channel or pixel of a map of this shape.
fn check_factors(factors: &Factors, [channels, height, width]: BufferShape) -> Result<(), String> {
    match factors {
        Factors::OfChannels { reduce, expand } => {
            let middle = linear_shape(reduce, [channels, 1, 1])?;
            let [outputs, ..] = linear_shape(expand, middle)?;
            match outputs == channels {
                true => Ok(()),
                false => Err(format!("gives {outputs} factors for {channels} channels")),
            }
        }
        Factors::OfPixels(convolution) => {
            let shape = convolution_shape(convolution, [2, height, width])?;
            let [_, _, kernel, other] = convolution.weight_shape;
            let is_plain = kernel == other
                && !kernel.is_multiple_of(2)
                && convolution.groups == 1
                && convolution.stride == [1; 2]
                && convolution.padding == Padding::even([kernel / 2; 2])
                && convolution.add_from.is_none()
                && convolution.activation.is_none();
            match is_plain && shape == [1, height, width] {
                true => Ok(()),
                false => Err(format!(
                    "its convolution {:?} does not give one factor for each of {height}x{width} pixels in one \
                     group, with an odd square kernel, stride 1 and neither sum nor activation",
                    convolution.weight_shape
                )),
            }
        }
    }
}

/// A max pool that has passed the graph's checks, as the kernels take it.
pub(crate) fn max_pool_windows(
    [window, stride, padding]: [usize; 3],
    [channels, height, width]: BufferShape,
) -> MaxPoolShape {
    MaxPoolShape {
        input: [height, width],
        channels,
        window,
        stride,
        padding: [padding; 2].into(),
    }
}

fn pool_shape(
    [window, stride, padding]: [usize; 3],
    [channels, height, width]: BufferShape,
) -> Result<BufferShape, String> {
    if !(1..=MAX_WINDOW).contains(&window) || window > height.min(width) {
        return Err(format!(
            "pools windows of {window} pixels per side, but they must be 1 to \
             {MAX_WINDOW} and fit the {height}x{width} pixels of its input"
        ));
    }
    if !(1..=MAX_KERNEL).contains(&stride) || padding > window / 2 {
        return Err(format!(
            "pools windows of {window} pixels with stride {stride} and padding {padding}, but the stride must be \
             1 to {MAX_KERNEL} and the padding at most half a window"
        ));
    }
    let side = |side: usize| (side + 2 * padding - window) / stride + 1;
    Ok([channels, side(height), side(width)])
}

fn convolution_shape(
    convolution: &Convolution,
    [channels, height, width]: BufferShape,
) -> Result<BufferShape, String> {
    let [out_channels, in_channels, kernel_height, kernel_width] = convolution.weight_shape;
    let groups = convolution.groups;
    if in_channels.checked_mul(groups) != Some(channels) {
        let of_groups = match groups {
            1 => String::new(),
            _ => format!(" in each of {groups} groups"),
        };
        return Err(format!(
            "takes {in_channels} channels{of_groups}, but its input has {channels}"
        ));
    }
    if !out_channels.is_multiple_of(groups) {
        return Err(format!("gives {out_channels} channels in {groups} groups"));
    }
    check_values("weight", &convolution.weight_shape, &convolution.weight)?;
    check_values("bias", &[out_channels], &convolution.bias)?;
    let Padding { start, end } = convolution.padding;
    if let Some(pixels) = start
        .iter()
        .chain(&end)
        .find(|&&pixels| pixels > MAX_KERNEL)
    {
        return Err(format!("padding {pixels} is above {MAX_KERNEL}"));
    }
    let padding = [start[0] + end[0], start[1] + end[1]];
    let side = |what: &str, size: usize, kernel: usize, stride: usize, padding: usize| {
        if kernel > MAX_KERNEL || stride == 0 || stride > MAX_KERNEL {
            return Err(format!(
                "{what}: kernel {kernel}, stride {stride} are outside 1..={MAX_KERNEL}"
            ));
        }
        let padded = size + padding;
        if padded < kernel {
            return Err(format!(
                "{what}: kernel {kernel} does not fit in {padded} padded pixels"
            ));
        }
        Ok((padded - kernel) / stride + 1)
    };
    let out_height = side(
        "height",
        height,
        kernel_height,
        convolution.stride[0],
        padding[0],
    )?;
    let out_width = side(
        "width",
        width,
        kernel_width,
        convolution.stride[1],
        padding[1],
    )?;
    Ok([out_channels, out_height, out_width])
}

fn linear_shape(
    linear: &Linear,
    [channels, height, width]: BufferShape,
) -> Result<BufferShape, String> {
    if [height, width] != [1, 1] {
        return Err(format!(
            "takes features of height and width 1, but gets {height}x{width}"
        ));
    }
    let [outputs, inputs] = linear.weight_shape;
    if inputs != channels {
        return Err(format!(
            "takes {inputs} features, but its input has {channels}"
        ));
    }
    check_values("weight", &linear.weight_shape, &linear.weight)?;
    check_values("bias", &[outputs], &linear.bias)?;
    Ok([outputs, 1, 1])
}

/// Checks that `values` fill `shape`, that no side is 0 and that every value is finite.
fn check_values(what: &str, shape: &[usize], values: &[f32]) -> Result<(), String> {
    let elements = shape
        .iter()
        .try_fold(1_usize, |product, &side| product.checked_mul(side));
    if shape.contains(&0) || elements != Some(values.len()) {
        return Err(format!(
            "{what} of shape {shape:?} has {} values",
            values.len()
        ));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(format!(
            "{what} holds {} at position {index}",
            values[index]
        )),
        None => Ok(()),
    }
}

/// Multiply-adds of one image.
pub(crate) fn multiply_adds(operations: &[Operation], shapes: &[BufferShape]) -> u64 {
    operations
        .iter()
        .zip(&shapes[1..])
        .map(|(operation, &[_, height, width])| {
            let products = |(_, part)| match part {
                Part::Convolution(convolution) => convolution.weight.len() * height * width,
                Part::Linear(linear) => linear.weight.len(),
            };
            operation.parts().into_iter().map(products).sum::<usize>() as u64
        })
        .sum()
}
