//! Initial weights. Every tensor has its own random stream, keyed by the seed and the tensor's name, so that
//! neither the device nor the order of building matters.

use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use mlestar_random::Stream;

use crate::head::Head;

use crate::{InitialWeights, UnitDescription};

fn stream(seed: u64, name: &str) -> Stream {
    Stream::new(seed, &format!("initial weights of {name}"), 0, 0)
}

/// The weight of a unit's convolution.
pub(crate) fn convolution(unit: &UnitDescription, seed: u64, device: &Device) -> Param<Tensor<4>> {
    let shape = unit.weight_shape();
    let [channels_out, channels_in, height, width] = shape;
    // The filters of a group read only its channels.
    let fan_out = (channels_out / unit.groups * height * width) as f64;
    let standard_deviation = (2.0 / fan_out).sqrt();
    let mut draws = stream(seed, &format!("{}.weight", unit.convolution_name()));
    let mut values: Vec<f32> = (0..shape.iter().product())
        .map(|_| (draws.normal() * standard_deviation) as f32)
        .collect();
    if unit.initial_weights == InitialWeights::Passing {
        let taps = height * width;
        let filters = values.chunks_exact_mut(channels_in * taps);
        for (channel, filter) in filters.take(channels_in).enumerate() {
            filter.fill(0.0);
            filter[channel * taps + taps / 2] = 1.0;
        }
    }
    Param::from_data(TensorData::new(values, shape), device)
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
