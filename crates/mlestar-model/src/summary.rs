//! The cost of a model, computed layer by layer from its description.

use serde::{Deserialize, Serialize};

use crate::description::{BlockDescription, Description, MaxPool, Shortcut, UnitDescription};
use crate::{Activation, AttentionDescription, AttentionKind};

/// The kind of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// Convolution without bias.
    Convolution,
    /// Batch normalisation.
    BatchNorm,
    /// `max(0, x)`.
    Relu,
    /// `max(0, min(6, x))`.
    Relu6,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// Squeeze-and-excitation: a factor for each channel.
    SqueezeExcitation,
    /// Spatial attention: a factor for each pixel.
    SpatialAttention,
    /// Sum of a block's two branches.
    Add,
    /// Largest value of each window.
    MaxPool,
    /// Mean over height and width.
    AveragePool,
    /// Dropout; costs nothing in evaluation.
    Dropout,
    /// Linear layer with bias.
    Linear,
}

/// One layer, for one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerSummary {
    /// Dotted name; for layers with weights the prefix of the names in
    /// `Network::state`.
    pub name: String,
    /// The kind of the layer.
    pub kind: LayerKind,
    /// `[channels, height, width]` or `[features]`.
    pub output_shape: Vec<usize>,
    /// Number of values in the layer: weights and running statistics.
    pub parameters: u64,
    /// Those of them that training changes by gradient: all except the running statistics and fixed ones.
    pub trainable: u64,
    /// Multiplications that are followed by an addition, in convolutions and linear layers.
    pub multiply_adds: u64,
    /// Floating-point operations in evaluation: two per multiply-add, two per normalised element, one per
    /// element for ReLU, sum, mean and comparison, two for ReLU6, four for SiLU (exponential, sum, quotient, product),
    /// three for a factor's sigmoid, one for each value that it scales.
    pub flops: u64,
    /// Bytes of the layer's output in f32.
    pub activation_bytes: u64,
}

/// The cost of a model. Figures are for one pass of one image in f32; evaluation takes a pass for each of the
/// [`Views`](crate::Views), one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSummary {
    /// The layers in the order of computation.
    pub layers: Vec<LayerSummary>,
    /// Number of values in the model: weights and the running means and variances of the batch normalisations.
    /// Burn's `Module::num_params` counts the same.
    pub parameters: u64,
    /// Those of them that training changes by gradient. PyTorch's `model.parameters()` counts
    /// these.
    pub trainable: u64,
    /// Multiply-adds of the convolutions and linear layers.
    pub multiply_adds_per_image: u64,
    /// Floating-point operations in evaluation; see [`LayerSummary::flops`].
    pub flops_per_image: u64,
    /// All parameters in f32.
    pub weight_bytes: u64,
    /// Largest sum of the activations that must exist at one time in evaluation: a layer's input
    /// and output, and a residual block's input while its main branch is computed. Work space of
    /// the backend (such as im2col buffers) is not included.
    pub inference_activation_bytes_per_image: u64,
    /// Activations that a training step keeps for its backward pass: the image, the output of
    /// every convolution, the input and output of every activation, the input of every attention layer and what it
    /// computes its factors from, the pooled features (with dropout also its mask and result) and the logits. Gradients and
    /// work space are not included.
    pub training_activation_bytes_per_image: u64,
}

const F32_BYTES: u64 = 4;

/// `[channels, height, width]`.
type MapShape = [usize; 3];

fn map_bytes([channels, height, width]: MapShape) -> u64 {
    elements([channels, height, width]) * F32_BYTES
}

fn elements(shape: MapShape) -> u64 {
    shape.iter().map(|&size| size as u64).product()
}

impl Description {
    /// Parameters, operations and memory, computed layer by layer.
    #[must_use]
    pub fn summary(&self) -> ModelSummary {
        let image = self.image_shape();
        let mut counter = Counter {
            layers: Vec::new(),
            shape: image,
            waiting_bytes: 0,
            inference_peak_bytes: 0,
            training_bytes: map_bytes(image),
        };
        for block in &self.blocks {
            counter.block(block);
        }
        counter.head(self);
        counter.finish()
    }
}

struct Counter {
    layers: Vec<LayerSummary>,
    /// Shape of the feature map at this point.
    shape: MapShape,
    /// Bytes of a map that must be kept besides the current input and output.
    waiting_bytes: u64,
    inference_peak_bytes: u64,
    training_bytes: u64,
}

impl Counter {
    fn block(&mut self, block: &BlockDescription) {
        let Some((last, others)) = block.branch.split_last() else {
            return;
        };
        let input = self.shape;
        for unit in others {
            self.normalized(unit);
            self.activation(unit);
            self.pool(unit.pool_after_activation(), unit);
            // The first unit reads the map that waits for the sum, the others read another one.
            self.waiting_bytes = if block.has_shortcut() {
                map_bytes(input)
            } else {
                0
            };
        }
        self.normalized(last);
        if let Some(attention) = &block.attention {
            self.attention(attention);
        }
        let output = self.shape;
        if let Shortcut::Projection(projection) = &block.shortcut {
            self.shape = input;
            self.waiting_bytes = map_bytes(output);
            self.normalized(projection);
        }
        self.waiting_bytes = 0;
        if block.has_shortcut() {
            self.elementwise(format!("{}.add", block.name), LayerKind::Add, 1);
            self.alive(&[output, output, output]);
        }
        self.activation(last);
        self.pool(last.pool_after_activation(), last);
    }

    /// A unit up to its batch normalisation.
    fn normalized(&mut self, unit: &UnitDescription) {
        let input = self.shape;
        self.convolution(unit);
        self.alive(&[input, self.shape]);
        self.pool(unit.pool_before_normalization(), unit);
        self.batch_norm(unit);
        self.alive(&[self.shape, self.shape]);
    }

    fn pool(&mut self, pool: Option<MaxPool>, unit: &UnitDescription) {
        let Some(pool) = pool else {
            return;
        };
        let before = self.shape;
        self.shape = pool.output(before);
        let compared = elements(self.shape) * (pool.window * pool.window) as u64;
        self.map(
            unit.pool_name(),
            LayerKind::MaxPool,
            0,
            0,
            compared.max(elements(before)),
        );
        self.alive(&[before, self.shape]);
        // The pool keeps the positions of the largest values, one byte each; its result is kept for the next
        // layer instead of its input.
        self.training_bytes -= map_bytes(before);
        self.training_bytes += elements(self.shape);
        self.keep(self.shape);
    }

    fn head(&mut self, description: &Description) {
        let features = self.shape[0];
        let pooled = elements(self.shape);
        self.vector("pool", LayerKind::AveragePool, features, 0, 0, pooled);
        self.inference_peak_bytes = self
            .inference_peak_bytes
            .max(map_bytes(self.shape) + features as u64 * F32_BYTES);
        self.training_bytes += features as u64 * F32_BYTES;
        if description.dropout > 0.0 {
            self.vector("dropout", LayerKind::Dropout, features, 0, 0, 0);
            // The mask and the masked features.
            self.training_bytes += 2 * features as u64 * F32_BYTES;
        }
        let (inputs, outputs) = (features as u64, description.n_classes as u64);
        let multiply_adds = inputs * outputs;
        self.vector(
            "head",
            LayerKind::Linear,
            description.n_classes,
            multiply_adds + outputs,
            multiply_adds,
            2 * multiply_adds + outputs,
        );
        self.training_bytes += outputs * F32_BYTES;
    }

    fn convolution(&mut self, unit: &UnitDescription) {
        self.shape = unit.convolved(self.shape);
        let parameters = unit.weight_shape().iter().product::<usize>() as u64;
        let positions = (self.shape[1] * self.shape[2]) as u64;
        let multiply_adds = parameters * positions;
        self.map(
            unit.convolution_name(),
            LayerKind::Convolution,
            parameters,
            multiply_adds,
            2 * multiply_adds,
        );
        self.keep(self.shape);
    }

    fn batch_norm(&mut self, unit: &UnitDescription) {
        let channels = self.shape[0] as u64;
        self.layers.push(LayerSummary {
            name: unit.normalization_name(),
            kind: LayerKind::BatchNorm,
            output_shape: self.shape.to_vec(),
            // Weight, bias, running mean and running variance.
            parameters: 4 * channels,
            trainable: if unit.trains_scale() { 2 } else { 1 } * channels,
            multiply_adds: 0,
            flops: 2 * elements(self.shape),
            activation_bytes: map_bytes(self.shape),
        });
    }

    fn attention(&mut self, attention: &AttentionDescription) {
        let [channels, height, width] = self.shape;
        let [all, of_channels, pixels] = [channels * height * width, channels, height * width];
        let (kind, parameters, multiply_adds, flops, kept) = match attention.kind {
            AttentionKind::Channels { reduced } => {
                let weights = 2 * of_channels * reduced;
                let biases = of_channels + reduced;
                // Mean and product of all values; ReLUs and sigmoids of the layers' sums.
                let flops = 2 * all + 2 * weights + biases + reduced + 3 * of_channels;
                // The means, the features before and after the ReLU, the factors.
                let kept = 2 * of_channels + 2 * reduced;
                let kind = LayerKind::SqueezeExcitation;
                (kind, weights + biases, weights, flops, kept)
            }
            AttentionKind::Pixels { kernel } => {
                let weights = 2 * kernel * kernel;
                let products = weights * pixels;
                // Mean, comparison and product of all values; bias and sigmoid of each pixel.
                let flops = 3 * all + 2 * products + 4 * pixels;
                // The two maps and the factors.
                let kind = LayerKind::SpatialAttention;
                (kind, weights + 1, products, flops, 3 * pixels)
            }
        };
        // The product of the map and its factors needs both for its gradients.
        self.keep(self.shape);
        self.training_bytes += kept as u64 * F32_BYTES;
        let [parameters, multiply_adds, flops] =
            [parameters, multiply_adds, flops].map(|figure| figure as u64);
        self.map(
            attention.name.clone(),
            kind,
            parameters,
            multiply_adds,
            flops,
        );
        self.alive(&[self.shape, self.shape]);
    }

    fn activation(&mut self, unit: &UnitDescription) {
        // What the next convolution needs.
        self.keep(self.shape);
        let (kind, kind_name, flops_each) = match unit.activation {
            Some(Activation::Relu) => (LayerKind::Relu, "relu", 1),
            Some(Activation::Relu6) => (LayerKind::Relu6, "relu6", 2),
            Some(Activation::Silu) => (LayerKind::Silu, "silu", 4),
            None => return,
        };
        self.elementwise(unit.activation_name(kind_name), kind, flops_each);
        // Its input, which determines where the gradient passes.
        self.keep(self.shape);
    }

    fn elementwise(&mut self, name: String, kind: LayerKind, flops_each: u64) {
        self.map(name, kind, 0, 0, flops_each * elements(self.shape));
    }

    fn map(&mut self, name: String, kind: LayerKind, parameters: u64, macs: u64, flops: u64) {
        self.layers.push(LayerSummary {
            name,
            kind,
            output_shape: self.shape.to_vec(),
            parameters,
            trainable: parameters,
            multiply_adds: macs,
            flops,
            activation_bytes: map_bytes(self.shape),
        });
    }

    fn vector(
        &mut self,
        name: &str,
        kind: LayerKind,
        length: usize,
        parameters: u64,
        multiply_adds: u64,
        flops: u64,
    ) {
        self.layers.push(LayerSummary {
            name: name.to_owned(),
            kind,
            output_shape: vec![length],
            parameters,
            trainable: parameters,
            multiply_adds,
            flops,
            activation_bytes: length as u64 * F32_BYTES,
        });
    }

    fn alive(&mut self, maps: &[MapShape]) {
        let maps: u64 = maps.iter().copied().map(map_bytes).sum();
        self.inference_peak_bytes = self.inference_peak_bytes.max(self.waiting_bytes + maps);
    }

    fn keep(&mut self, map: MapShape) {
        self.training_bytes += map_bytes(map);
    }

    fn finish(self) -> ModelSummary {
        let sum = |figure: fn(&LayerSummary) -> u64| self.layers.iter().map(figure).sum::<u64>();
        let parameters = sum(|layer| layer.parameters);
        ModelSummary {
            parameters,
            trainable: sum(|layer| layer.trainable),
            multiply_adds_per_image: sum(|layer| layer.multiply_adds),
            flops_per_image: sum(|layer| layer.flops),
            weight_bytes: parameters * F32_BYTES,
            inference_activation_bytes_per_image: self.inference_peak_bytes,
            training_activation_bytes_per_image: self.training_bytes,
            layers: self.layers,
        }
    }
}
