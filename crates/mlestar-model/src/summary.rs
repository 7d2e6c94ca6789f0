//! What a model costs, computed layer by layer from its configuration.

use serde::{Deserialize, Serialize};

use crate::{Activation, Architecture, BlockKind, ModelSpec, StageConfig};

/// What a layer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// Convolution without bias.
    Convolution,
    /// Batch normalisation.
    BatchNorm,
    /// `max(0, x)`.
    Relu,
    /// `x / (1 + exp(-x))`.
    Silu,
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

/// One layer, for one picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerSummary {
    /// Dotted name; for layers with weights the prefix of the names in
    /// [`ImageClassifier::state`](crate::ImageClassifier::state).
    pub name: String,
    /// What the layer does.
    pub kind: LayerKind,
    /// `[channels, height, width]` or `[features]`.
    pub output_shape: Vec<usize>,
    /// Values that the layer keeps: weights and running statistics.
    pub parameters: u64,
    /// Those of them that training changes by gradient: all but the running statistics and fixed ones.
    pub trainable: u64,
    /// Multiplications that are followed by an addition, in convolutions and the linear layer.
    pub multiply_adds: u64,
    /// Floating-point operations in evaluation: two a multiply-add, two a normalised element, one
    /// an element for ReLU, sum, mean and comparison, four for SiLU (exponential, sum, quotient, product).
    pub flops: u64,
    /// Bytes of the layer's output in f32.
    pub activation_bytes: u64,
}

/// What a model costs. Figures are for one picture in f32 that goes through once; evaluation takes a pass for
/// each of the [`Views`](crate::Views), one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSummary {
    /// The layers in the order of computation.
    pub layers: Vec<LayerSummary>,
    /// Values that make up the model: weights and the running means and variances of the batch
    /// normalisations. Burn's `Module::num_params` counts the same.
    pub parameters: u64,
    /// Those of them that training changes by gradient. PyTorch's `model.parameters()` counts
    /// these.
    pub trainable: u64,
    /// Multiply-adds of the convolutions and the linear layer.
    pub multiply_adds_per_image: u64,
    /// Floating-point operations in evaluation; see [`LayerSummary::flops`].
    pub flops_per_image: u64,
    /// All parameters in f32.
    pub weight_bytes: u64,
    /// Largest sum of the activations that must exist at one time in evaluation: a layer's input
    /// and output, and a residual block's input while its main branch is computed. Work space of
    /// the backend (such as im2col buffers) is not included.
    pub inference_activation_bytes_per_image: u64,
    /// Activations that a training step keeps for its backward pass: the picture, the output of
    /// every convolution, the input and output of every activation, the pooled features (with dropout
    /// also its mask and result) and the logits. Gradients and work space are not included.
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

pub(crate) fn summarize(spec: &ModelSpec) -> ModelSummary {
    let config = spec.config();
    let picture = [ModelSpec::CHANNELS, spec.height(), spec.width()];
    let mut counter = Counter::new(picture, config.activation);
    counter.stem(config.stem_channels);
    for (index, stage) in config.stages.iter().enumerate() {
        counter.stage(index, stage, config.architecture);
    }
    counter.head(spec);
    counter.finish()
}

struct Counter {
    activation: Activation,
    layers: Vec<LayerSummary>,
    /// Shape of the feature map at this point.
    shape: MapShape,
    inference_peak_bytes: u64,
    training_bytes: u64,
}

impl Counter {
    fn new(picture: MapShape, activation: Activation) -> Self {
        Self {
            activation,
            layers: Vec::new(),
            shape: picture,
            inference_peak_bytes: 0,
            training_bytes: map_bytes(picture),
        }
    }

    fn stem(&mut self, channels: usize) {
        let input = self.shape;
        self.convolution("stem.conv", channels, 3, 1);
        self.alive(&[input, self.shape]);
        self.batch_norm("stem.bn");
        self.activation("stem", "");
    }

    /// No gradient reaches the scale of the last layer, a batch normalisation.
    fn fix_scale(&mut self) {
        if let Some(layer) = self.layers.last_mut() {
            layer.trainable /= 2;
        }
    }

    fn stage(&mut self, index: usize, stage: &StageConfig, architecture: Architecture) {
        for block in 0..stage.blocks {
            let stride = if block == 0 { stage.stride } else { 1 };
            let name = format!("stages.{index}.{block}");
            match architecture.block_kind(block) {
                BlockKind::Residual => self.residual_block(&name, stage.channels, stride),
                BlockKind::Plain => self.plain_block(&name, stage.channels, stride),
            }
        }
    }

    fn plain_block(&mut self, name: &str, channels: usize, pool: usize) {
        let input = self.shape;
        self.convolution(&format!("{name}.conv1"), channels, 3, 1);
        self.alive(&[input, self.shape]);
        if pool > 1 {
            let before = self.shape;
            self.shape = [channels, before[1] / pool, before[2] / pool];
            let compared = elements(before);
            self.map(format!("{name}.pool"), LayerKind::MaxPool, 0, 0, compared);
            self.alive(&[before, self.shape]);
            // The pool keeps where the largest values stood, in a byte each; what it gives is kept for
            // the normalisation instead of the convolution's output.
            self.training_bytes -= map_bytes(before);
            self.training_bytes += elements(self.shape);
            self.keep(self.shape);
        }
        self.batch_norm(&format!("{name}.bn1"));
        if pool > 1 {
            self.fix_scale();
        }
        self.activation(name, "1");
        let middle = self.shape;
        self.convolution(&format!("{name}.conv2"), channels, 3, 1);
        self.alive(&[middle, self.shape]);
        self.batch_norm(&format!("{name}.bn2"));
        self.activation(name, "2");
    }

    fn residual_block(&mut self, name: &str, channels: usize, stride: usize) {
        let input = self.shape;
        self.convolution(&format!("{name}.conv1"), channels, 3, stride);
        self.alive(&[input, self.shape]);
        self.batch_norm(&format!("{name}.bn1"));
        self.activation(name, "1");
        self.alive(&[input, self.shape, self.shape]);
        self.convolution(&format!("{name}.conv2"), channels, 3, 1);
        self.batch_norm(&format!("{name}.bn2"));
        let output = self.shape;
        if stride != 1 || input[0] != channels {
            self.shape = input;
            self.convolution(&format!("{name}.shortcut.conv"), channels, 1, stride);
            self.alive(&[input, output, self.shape]);
            self.batch_norm(&format!("{name}.shortcut.bn"));
        }
        self.elementwise(format!("{name}.add"), LayerKind::Add, 1);
        self.alive(&[output, output, output]);
        self.activation(name, "2");
    }

    fn head(&mut self, spec: &ModelSpec) {
        let features = spec.features();
        let pooled = elements(self.shape);
        self.vector("pool", LayerKind::AveragePool, features, 0, 0, pooled);
        self.inference_peak_bytes = self
            .inference_peak_bytes
            .max(map_bytes(self.shape) + features as u64 * F32_BYTES);
        self.training_bytes += features as u64 * F32_BYTES;
        if spec.config().dropout > 0.0 {
            self.vector("dropout", LayerKind::Dropout, features, 0, 0, 0);
            // The mask and the masked features.
            self.training_bytes += 2 * features as u64 * F32_BYTES;
        }
        let (inputs, outputs) = (features as u64, spec.n_classes() as u64);
        let multiply_adds = inputs * outputs;
        self.vector(
            "head",
            LayerKind::Linear,
            spec.n_classes(),
            multiply_adds + outputs,
            multiply_adds,
            2 * multiply_adds + outputs,
        );
        self.training_bytes += outputs * F32_BYTES;
    }

    fn convolution(&mut self, name: &str, channels: usize, kernel: usize, stride: usize) {
        let [channels_in, height, width] = self.shape;
        // 3x3 with padding 1 and 1x1 without both give ceil(size / stride).
        self.shape = [channels, height.div_ceil(stride), width.div_ceil(stride)];
        let parameters = (channels_in * channels * kernel * kernel) as u64;
        let positions = (self.shape[1] * self.shape[2]) as u64;
        let multiply_adds = parameters * positions;
        self.map(
            name.to_owned(),
            LayerKind::Convolution,
            parameters,
            multiply_adds,
            2 * multiply_adds,
        );
        self.keep(self.shape);
    }

    fn batch_norm(&mut self, name: &str) {
        let channels = self.shape[0] as u64;
        self.layers.push(LayerSummary {
            name: name.to_owned(),
            kind: LayerKind::BatchNorm,
            output_shape: self.shape.to_vec(),
            // Weight, bias, running mean and running variance.
            parameters: 4 * channels,
            trainable: 2 * channels,
            multiply_adds: 0,
            flops: 2 * elements(self.shape),
            activation_bytes: map_bytes(self.shape),
        });
        self.alive(&[self.shape, self.shape]);
    }

    fn activation(&mut self, place: &str, number: &str) {
        let (kind, kind_name, flops_each) = match self.activation {
            Activation::Relu => (LayerKind::Relu, "relu", 1),
            Activation::Silu => (LayerKind::Silu, "silu", 4),
        };
        self.elementwise(format!("{place}.{kind_name}{number}"), kind, flops_each);
        // Its input, which says where the gradient passes, and its output, which the next
        // convolution needs.
        self.keep(self.shape);
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
        let bytes = maps.iter().copied().map(map_bytes).sum();
        self.inference_peak_bytes = self.inference_peak_bytes.max(bytes);
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
