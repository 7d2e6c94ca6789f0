//! Models and images shared by the tests.

use burn::tensor::{Device, Tensor};
use mlestar_export::quantize::{
    LabelledImages, Quantization, QuantizationOptions, QuantizedModel, quantize,
};
use mlestar_export::{
    AttentionLayer, Convolution, Factors, FrozenModel, Layer, Linear, Operation, PixelNormalization,
};
use mlestar_model::{
    Activation, Architecture, ImageClassifier, ModelConfig, ModelSpec, NamedTensor, Network,
    Padding, Views,
};
use mlestar_random::Stream;

const RELU: Option<Activation> = Some(Activation::Relu);

pub const MEAN: [f32; 3] = [0.4914, 0.4822, 0.4465];
pub const STD: [f32; 3] = [0.2470, 0.2435, 0.2616];

/// Every way to average over more than the unchanged image.
pub const AVERAGES: [Views; 3] = [views(true, false), views(false, true), views(true, true)];

const fn views(mirrored: bool, shifted: bool) -> Views {
    Views { mirrored, shifted }
}

pub fn class_names(n: usize) -> Vec<String> {
    (0..n).map(|index| format!("class \"{index}\" é")).collect()
}

pub fn random_values(stream: &mut Stream, n: usize, scale: f32) -> Vec<f32> {
    (0..n).map(|_| stream.range_f32(-scale, scale)).collect()
}

pub fn linear(stream: &mut Stream, [outputs, inputs]: [usize; 2], scale: f32) -> Linear {
    Linear {
        weight_shape: [outputs, inputs],
        weight: random_values(stream, outputs * inputs, scale),
        bias: random_values(stream, outputs, 0.5),
    }
}

/// Factors for each of these channels, through so many features.
pub fn channel_factors(stream: &mut Stream, channels: usize, reduced: usize) -> Factors {
    Factors::OfChannels {
        reduce: linear(stream, [reduced, channels], 1.0),
        expand: linear(stream, [channels, reduced], 1.0),
    }
}

/// Factors for each pixel, by a kernel of this side.
pub fn pixel_factors(stream: &mut Stream, kernel: usize) -> Factors {
    let taps = 2 * kernel * kernel;
    let weight = random_values(stream, taps, (8.0 / taps as f32).sqrt());
    Factors::OfPixels(Convolution::of_maps(
        [1, 2, kernel, kernel],
        weight,
        vec![-0.3],
    ))
}

/// Images of 9x7 pixels: a stem of five channels, a branch with a factor for each channel that is added to it, and one
/// with a factor for each pixel and SiLU.
pub fn attention_frozen(seed: u64) -> FrozenModel {
    let mut stream = Stream::new(seed, "scaled model", 0, 0);
    let mut operations = Vec::new();
    let mut push = |name: &str, layer: Layer| {
        operations.push(Operation {
            name: name.to_owned(),
            input: operations.len(),
            layer,
        });
    };
    let same = [[1, 1]; 2];
    let stem = convolution(&mut stream, [5, 3, 3, 3], same[0], same[1]);
    push(
        "stem",
        Layer::Convolution(Convolution {
            activation: RELU,
            ..stem
        }),
    );
    let branch = convolution(&mut stream, [5, 5, 3, 3], same[0], same[1]);
    push("branch", Layer::Convolution(branch));
    let attention = AttentionLayer {
        factors: channel_factors(&mut stream, 5, 3),
        add_from: Some(1),
        activation: RELU,
    };
    push("branch.attention", Layer::Attention(attention));
    let wide = convolution(&mut stream, [19, 5, 3, 3], [2, 2], [1, 1]);
    push("wide", Layer::Convolution(wide));
    let attention = AttentionLayer {
        factors: pixel_factors(&mut stream, 7),
        add_from: None,
        activation: Some(Activation::Silu),
    };
    push("wide.attention", Layer::Attention(attention));
    tail(&mut stream, &mut operations, 19, 4);
    let normalization = PixelNormalization {
        mean: MEAN,
        std: STD,
    };
    FrozenModel::new(class_names(4), normalization, 9, 7, operations).unwrap()
}

pub fn random_pictures(seed: u64, n: usize, height: usize, width: usize) -> Vec<u8> {
    let mut stream = Stream::new(seed, "test pictures", 0, 0);
    (0..n * height * width * 3)
        .map(|_| stream.below(256) as u8)
        .collect()
}

/// Images of four coloured quarters each, which differ more than noise does.
pub fn quartered_pictures(seed: u64, n: usize, height: usize, width: usize) -> Vec<u8> {
    let mut stream = Stream::new(seed, "quartered pictures", 0, 0);
    let mut pictures = Vec::with_capacity(n * height * width * 3);
    for _ in 0..n {
        let colours: [[u8; 3]; 4] =
            std::array::from_fn(|_| [0; 3].map(|_: u8| stream.below(256) as u8));
        for row in 0..height {
            for column in 0..width {
                pictures.extend(colours[2 * row / height * 2 + 2 * column / width]);
            }
        }
    }
    pictures
}

pub fn convolution(
    stream: &mut Stream,
    weight_shape: [usize; 4],
    stride: [usize; 2],
    padding: [usize; 2],
) -> Convolution {
    let [out_channels, in_channels, kernel_height, kernel_width] = weight_shape;
    let fan_in = in_channels * kernel_height * kernel_width;
    let weight = random_values(stream, out_channels * fan_in, (3.0 / fan_in as f32).sqrt());
    let bias = random_values(stream, out_channels, 0.5);
    Convolution {
        weight_shape,
        groups: 1,
        weight,
        bias,
        stride,
        padding: Padding::even(padding),
        add_from: None,
        activation: None,
    }
}

/// Average pool and a linear layer, the end of every graph.
pub fn tail(
    stream: &mut Stream,
    operations: &mut Vec<Operation>,
    features: usize,
    n_classes: usize,
) {
    let input = operations.len();
    operations.push(Operation {
        name: "pool".into(),
        input,
        layer: Layer::GlobalAveragePool,
    });
    operations.push(Operation {
        name: "head".into(),
        input: input + 1,
        layer: Layer::Linear(Linear {
            weight_shape: [n_classes, features],
            weight: random_values(stream, n_classes * features, 1.0),
            bias: random_values(stream, n_classes, 0.1),
        }),
    });
}

/// A small graph with a residual sum, a strided shortcut, odd sizes and every kind of layer.
pub fn small_frozen(seed: u64) -> FrozenModel {
    let mut stream = Stream::new(seed, "test model", 0, 0);
    let mut operations = Vec::new();
    let mut push = |name: &str, input: usize, layer: Convolution| {
        operations.push(Operation {
            name: name.into(),
            input,
            layer: Layer::Convolution(layer),
        });
    };
    let stem = convolution(&mut stream, [5, 3, 3, 3], [1, 1], [1, 1]);
    push(
        "stem",
        0,
        Convolution {
            activation: RELU,
            ..stem
        },
    );
    let first = convolution(&mut stream, [7, 5, 3, 3], [2, 2], [1, 1]);
    push(
        "block.conv1",
        1,
        Convolution {
            activation: RELU,
            ..first
        },
    );
    push(
        "block.shortcut",
        1,
        convolution(&mut stream, [7, 5, 1, 1], [2, 2], [0, 0]),
    );
    let second = convolution(&mut stream, [7, 7, 3, 3], [1, 1], [1, 1]);
    push(
        "block.conv2",
        2,
        Convolution {
            activation: RELU,
            add_from: Some(3),
            ..second
        },
    );
    tail(&mut stream, &mut operations, 7, 4);
    let normalization = PixelNormalization {
        mean: MEAN,
        std: STD,
    };
    FrozenModel::new(class_names(4), normalization, 9, 7, operations).unwrap()
}

/// A small graph with max pools over sizes that their windows do not divide, one of them with windows that
/// overlap and an activation after it, and with a convolution in two groups.
pub fn pooled_frozen(seed: u64) -> FrozenModel {
    let mut stream = Stream::new(seed, "pooled model", 0, 0);
    let mut operations = Vec::new();
    let mut channels = 3;
    for (index, (width, groups, [window, stride, padding])) in
        [(6, 1, [2, 2, 0]), (18, 2, [3, 2, 1])]
            .into_iter()
            .enumerate()
    {
        let weight_shape = [width, channels / groups, 3, 3];
        let layer = convolution(&mut stream, weight_shape, [1, 1], [1, 1]);
        let (before, after) = match index {
            0 => (RELU, None),
            _ => (None, Some(Activation::Silu)),
        };
        operations.push(Operation {
            name: format!("conv{index}"),
            input: operations.len(),
            layer: Layer::Convolution(Convolution {
                activation: before,
                groups,
                ..layer
            }),
        });
        operations.push(Operation {
            name: format!("pool{index}"),
            input: operations.len(),
            layer: Layer::MaxPool {
                window,
                stride,
                padding,
                activation: after,
            },
        });
        channels = width;
    }
    tail(&mut stream, &mut operations, channels, 4);
    let normalization = PixelNormalization {
        mean: MEAN,
        std: STD,
    };
    FrozenModel::new(class_names(4), normalization, 13, 15, operations).unwrap()
}

/// The class that the model itself predicts for each image.
pub fn own_labels(model: &FrozenModel, pictures: &[u8], n: usize) -> Vec<u32> {
    let logits = model.logits(pictures, n).unwrap();
    let largest = |row: &[f32]| {
        let mut best = 0;
        for (index, logit) in row.iter().enumerate() {
            if *logit > row[best] {
                best = index;
            }
        }
        best as u32
    };
    logits
        .chunks_exact(model.n_classes())
        .map(largest)
        .collect()
}

/// The model quantised on coloured images, which are labelled as the model itself predicts.
pub fn quantization(model: &FrozenModel, options: &QuantizationOptions) -> Quantization {
    let n = 24;
    let pictures = quartered_pictures(77, n, model.height(), model.width());
    let labels = own_labels(model, &pictures, n);
    let validation = LabelledImages {
        pixels: &pictures,
        labels: &labels,
    };
    quantize(model, &pictures, validation, options).unwrap()
}

/// The model with all layers in int8 that can be.
pub fn quantized(model: &FrozenModel) -> QuantizedModel {
    let options = QuantizationOptions {
        min_accuracy_kept: 0.0,
        ..QuantizationOptions::default()
    };
    quantization(model, &options).model
}

/// A plain CNN with two blocks in its last stage.
pub fn plain_config() -> ModelConfig {
    let mut config = ModelConfig {
        architecture: Architecture::PlainCnn,
        stem_channels: 24,
        ..ModelConfig::small()
    };
    config.stages[2].blocks = 2;
    config
}

/// As [`plain_config`], with a shortcut over the second block.
pub fn pooled_residual_config() -> ModelConfig {
    ModelConfig {
        architecture: Architecture::PooledResidualCnn,
        ..plain_config()
    }
}

/// The same architecture with SiLU.
pub fn smooth(config: ModelConfig) -> ModelConfig {
    ModelConfig {
        activation: Activation::Silu,
        ..config
    }
}

/// A classifier whose batch norms have statistics and parameters as after training.
pub fn trained_like(
    config: ModelConfig,
    n_classes: usize,
    side: usize,
) -> (ModelSpec, ImageClassifier) {
    let spec = config.check(n_classes, side, side).unwrap();
    let model = with_statistics(spec.init(3, &Device::flex()));
    (spec, model)
}

/// The model with statistics and parameters as after training.
pub fn with_statistics(model: ImageClassifier) -> ImageClassifier {
    let state: Vec<NamedTensor> = model
        .state()
        .into_iter()
        .map(|mut tensor| {
            let mut stream = Stream::new(11, &tensor.name, 0, 0);
            let range = match tensor.name.rsplit('.').next() {
                Some("running_mean") => Some((-0.3, 0.3)),
                Some("running_var") => Some((0.2, 1.5)),
                Some("weight") if tensor.name.contains("bn") => Some((0.5, 1.2)),
                Some("bias") => Some((-0.2, 0.2)),
                _ => None,
            };
            if let Some((low, high)) = range {
                tensor.values.fill_with(|| stream.range_f32(low, high));
            }
            tensor
        })
        .collect();
    model.load_state(&state, &Device::flex()).unwrap()
}

/// Logits of the Burn model's own evaluation.
pub fn burn_logits(model: &ImageClassifier, pictures: &[u8], n: usize, side: usize) -> Vec<f32> {
    let logits = model.forward(burn_images(pictures, [side, side]));
    assert_eq!(logits.dims()[0], n);
    logits.into_data().try_to_vec::<f32>().unwrap()
}

/// The images in the form that the Burn model takes.
pub fn burn_images(pictures: &[u8], [height, width]: [usize; 2]) -> Tensor<4> {
    let normalization = PixelNormalization {
        mean: MEAN,
        std: STD,
    };
    let mut planar = Vec::with_capacity(pictures.len());
    for picture in pictures.chunks_exact(height * width * 3) {
        for channel in 0..3 {
            let pixels = picture.iter().skip(channel).step_by(3);
            planar.extend(pixels.map(|&pixel| normalization.apply(pixel, channel)));
        }
    }
    let n = pictures.len() / (height * width * 3);
    let data = burn::tensor::TensorData::new(planar, [n, 3, height, width]);
    Tensor::<4>::from_data(data, &Device::flex())
}

pub fn max_difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs())
        .fold(0.0, f64::max)
}
