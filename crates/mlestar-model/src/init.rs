//! Initial weights. Every tensor draws from its own stream, keyed by the seed and the tensor's
//! name, so that neither the device nor the order of building matters.

use burn::{
    module::Param,
    nn::{PaddingConfig2d, conv::Conv2d},
    tensor::{Device, TensorData},
};
use mlestar_random::Stream;

use crate::Head;

fn stream(seed: u64, name: &str) -> Stream {
    Stream::new(seed, &format!("initial weights of {name}"), 0, 0)
}

/// A square convolution without bias, `name.weight` from N(0, 2 / fan-out).
pub(crate) fn convolution(
    name: &str,
    [channels_in, channels_out]: [usize; 2],
    kernel: usize,
    stride: usize,
    seed: u64,
    device: &Device,
) -> Conv2d {
    let shape = [channels_out, channels_in, kernel, kernel];
    let fan_out = (channels_out * kernel * kernel) as f64;
    let standard_deviation = (2.0 / fan_out).sqrt();
    let mut draws = stream(seed, &format!("{name}.weight"));
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| (draws.normal() * standard_deviation) as f32)
        .collect();
    let padding = kernel / 2;
    Conv2d {
        weight: Param::from_data(TensorData::new(values, shape), device),
        bias: None,
        stride: [stride, stride],
        kernel_size: [kernel, kernel],
        dilation: [1, 1],
        groups: 1,
        padding: PaddingConfig2d::Explicit(padding, padding, padding, padding),
    }
}

/// A 3x3 convolution without bias whose first filters pass the input's channels on as they are, one
/// each; the others are `name.weight` from N(0, 2 / fan-out).
pub(crate) fn passing_convolution(
    name: &str,
    channels: [usize; 2],
    seed: u64,
    device: &Device,
) -> Conv2d {
    let mut conv = convolution(name, channels, 3, 1, seed, device);
    let shape = conv.weight.dims();
    let mut values: Vec<f32> = conv.weight.val().into_data().iter::<f32>().collect();
    let (filter, taps) = (channels[0] * 9, 9);
    for (channel, values) in values
        .chunks_exact_mut(filter)
        .take(channels[0])
        .enumerate()
    {
        values.fill(0.0);
        values[channel * taps + taps / 2] = 1.0;
    }
    conv.weight = Param::from_data(TensorData::new(values, shape), device);
    conv
}

/// A linear layer, `name.weight` and `name.bias` uniform in +-1/sqrt(features).
pub(crate) fn head(
    name: &str,
    features: usize,
    n_classes: usize,
    seed: u64,
    device: &Device,
) -> Head {
    let bound = (1.0 / (features as f64).sqrt()) as f32;
    let uniform = |field: &str, n: usize| -> Vec<f32> {
        let mut draws = stream(seed, &format!("{name}.{field}"));
        (0..n).map(|_| draws.range_f32(-bound, bound)).collect()
    };
    let weight = TensorData::new(
        uniform("weight", n_classes * features),
        [n_classes, features],
    );
    let bias = TensorData::new(uniform("bias", n_classes), [n_classes]);
    Head {
        weight: Param::from_data(weight, device),
        bias: Param::from_data(bias, device),
    }
}
