//! Depthwise convolutions on the plain `flex` backend.

use burn_flex::FlexTensor;

use super::{
    DepthwiseOptions,
    flex::{contiguous, dims, done, refuse, values},
    storage,
};
use crate::{
    Activation, DepthwiseShape, Epilogue, Values, depthwise_conv2d,
    depthwise_conv2d_input_gradient, depthwise_conv2d_weight_gradient, memory::Buffer,
};

/// The sizes of a convolution, after checking that its tensors fit.
pub(super) fn shape(
    input: &FlexTensor,
    weight: &FlexTensor,
    options: DepthwiseOptions,
) -> DepthwiseShape {
    let (input, weight) = (dims(input), dims(weight));
    if input[3] != weight[0] || weight[1] != 1 {
        refuse(&format!(
            "input {input:?} has {0} channels, so a depthwise convolution needs weights [{0}, 1, height, width], \
             not {weight:?}",
            input[3]
        ));
    }
    options.shape(input, weight)
}

pub(super) fn forward(
    shape: &DepthwiseShape,
    input: &FlexTensor,
    weight: &FlexTensor,
    epilogue: Epilogue,
) -> FlexTensor {
    done(shape.check());
    let mut output = Buffer::new(shape.output_len());
    let to = output.as_mut_slice();
    done(depthwise_conv2d(
        shape,
        values(input),
        values(weight),
        epilogue,
        to,
    ));
    let [height, width] = shape.output();
    storage::tensor(output, [shape.n, height, width, shape.channels])
}

pub(super) fn fused(
    input: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    residual: Option<FlexTensor>,
    activation: Option<Activation>,
    options: DepthwiseOptions,
) -> FlexTensor {
    let [input, weight, bias] = [input, weight, bias].map(contiguous);
    let residual = residual.map(contiguous);
    let shape = shape(&input, &weight, options);
    let epilogue = Epilogue {
        bias: Some(values(&bias)),
        residual: residual
            .as_ref()
            .map(|residual| Values::F32(values(residual))),
        activation,
    };
    forward(&shape, &input, &weight, epilogue)
}

pub(super) fn input_gradient(
    shape: &DepthwiseShape,
    output_gradient: &FlexTensor,
    weight: &FlexTensor,
) -> FlexTensor {
    let mut gradient = Buffer::new(shape.input_len());
    let errors = values(output_gradient);
    let to = gradient.as_mut_slice();
    done(depthwise_conv2d_input_gradient(
        shape,
        errors,
        values(weight),
        to,
    ));
    let [height, width] = shape.input;
    storage::tensor(gradient, [shape.n, height, width, shape.channels])
}

pub(super) fn weight_gradient(
    shape: &DepthwiseShape,
    input: &FlexTensor,
    output_gradient: &FlexTensor,
) -> FlexTensor {
    let mut gradient = Buffer::new(shape.weight_len());
    let errors = values(output_gradient);
    let to = gradient.as_mut_slice();
    done(depthwise_conv2d_weight_gradient(
        shape,
        values(input),
        errors,
        to,
    ));
    let [height, width] = shape.kernel;
    storage::tensor(gradient, [shape.channels, 1, height, width])
}
