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

/// A linear layer, `name.weight` and `name.bias` uniform in +-1/sqrt(inputs).
pub(crate) fn linear(
    name: &str,
    inputs: usize,
    outputs: usize,
    seed: u64,
    device: &Device,
) -> Head {
    let (weight, bias) = uniform(name, [outputs, inputs], seed, device);
    Head { weight, bias }
}

/// `name.weight` of shape `[outputs, ...]` and `name.bias` of shape `[outputs]`, as those of PyTorch's layers: uniform in
/// +-1/sqrt(inputs of an output).
pub(crate) fn uniform<const N: usize>(
    name: &str,
    shape: [usize; N],
    seed: u64,
    device: &Device,
) -> (Param<Tensor<N>>, Param<Tensor<1>>) {
    let inputs: usize = shape[1..].iter().product();
    let bound = (1.0 / (inputs as f64).sqrt()) as f32;
    let draw = |field: &str, n: usize| -> Vec<f32> {
        let mut draws = stream(seed, &format!("{name}.{field}"));
        (0..n).map(|_| draws.range_f32(-bound, bound)).collect()
    };
    let weight = TensorData::new(draw("weight", shape[0] * inputs), shape);
    let bias = TensorData::new(draw("bias", shape[0]), [shape[0]]);
    (
        Param::from_data(weight, device),
        Param::from_data(bias, device),
    )
}
