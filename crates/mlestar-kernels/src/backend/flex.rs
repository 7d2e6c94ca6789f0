//! The operations on the plain `flex` backend.

use burn::{
    backend::{Flex, TensorMetadata, tensor::FloatTensor},
    tensor::{DType, Tensor, TensorData},
};
use burn_flex::FlexTensor;

use super::{Conv2dOptions, DepthwiseOptions, KernelBackend, Windows, depthwise, storage};
use crate::{
    Activated, Activation, Algorithm, ChannelStatistics, Conv2dShape, Epilogue, KernelError, Level,
    MaxPoolShape, Precision, Values, batch_norm_backward, batch_norm_forward, channel_statistics,
    conv2d_input_gradient_with, conv2d_weight_gradient_with, conv2d_with, global_average_pool,
    global_average_pool_backward, max_pool_backward, memory::Buffer,
};

/// The primitive of a tensor on the plain device.
pub(super) fn primitive<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    match tensor.try_into_primitive::<Flex>() {
        Ok(primitive) => primitive,
        Err(error) => refuse(&format!("{error:?}")),
    }
}

/// Tensors that do not fit are an error of the calling program, reported in the same way as by Burn.
#[allow(clippy::panic)]
#[track_caller]
pub(super) fn refuse(reason: &str) -> ! {
    panic!("mlestar-kernels: {reason}")
}

#[track_caller]
pub(super) fn done<T>(result: Result<T, KernelError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => refuse(&error.to_string()),
    }
}

/// A tensor whose values are contiguous.
pub(super) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.dtype() != DType::F32 {
        refuse(&format!("values are {:?}, but must be F32", tensor.dtype()));
    }
    match tensor.is_contiguous() {
        true => tensor,
        false => tensor.to_contiguous(),
    }
}

/// The values of a contiguous tensor.
pub(super) fn values(tensor: &FlexTensor) -> &[f32] {
    match tensor.as_slice::<f32>() {
        Some(values) => values,
        None => refuse("values are not contiguous f32"),
    }
}

pub(super) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

pub(super) fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    let shape = tensor.shape();
    match <[usize; D]>::try_from(&shape[..]) {
        Ok(dims) => dims,
        Err(_) => refuse(&format!(
            "a tensor of {D} dimensions is needed, not {shape:?}"
        )),
    }
}

/// The sizes of a convolution, after checking that its tensors fit.
pub(super) fn convolution_shape(
    input: &FlexTensor,
    weight: &FlexTensor,
    options: Conv2dOptions,
) -> Conv2dShape {
    let (input, weight) = (dims(input), dims(weight));
    if input[3] != weight[1] {
        refuse(&format!(
            "input {input:?} has {} channels, but weight {weight:?} expects {}",
            input[3], weight[1]
        ));
    }
    options.shape(input, weight)
}

fn output_dims(shape: &Conv2dShape) -> [usize; 4] {
    let [height, width] = shape.output();
    [shape.n, height, width, shape.channels_out]
}

pub(super) fn conv2d(
    shape: &Conv2dShape,
    precision: Precision,
    input: &FlexTensor,
    weight: &FlexTensor,
    epilogue: Epilogue,
) -> FlexTensor {
    done(shape.check());
    let mut output = Buffer::new(shape.output_len());
    done(conv2d_with(
        Level::current(),
        Algorithm::fastest_in(Level::current(), shape, precision),
        shape,
        values(input),
        values(weight),
        epilogue,
        output.as_mut_slice(),
    ));
    storage::tensor(output, output_dims(shape))
}

pub(super) fn conv2d_fused(
    input: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    residual: Option<FlexTensor>,
    activation: Option<Activation>,
    options: Conv2dOptions,
) -> FlexTensor {
    let [input, weight, bias] = [input, weight, bias].map(contiguous);
    let residual = residual.map(contiguous);
    let shape = convolution_shape(&input, &weight, options);
    let epilogue = Epilogue {
        bias: Some(values(&bias)),
        residual: residual
            .as_ref()
            .map(|residual| Values::F32(values(residual))),
        activation,
    };
    conv2d(&shape, options.precision, &input, &weight, epilogue)
}

pub(super) fn activate(input: FlexTensor, activation: Activation) -> FlexTensor {
    let input = contiguous(input);
    let mut output = values(&input).to_vec();
    crate::activate(activation, &mut output);
    tensor(output, dims::<4>(&input))
}

pub(super) fn input_gradient(
    shape: &Conv2dShape,
    precision: Precision,
    output_gradient: &FlexTensor,
    weight: &FlexTensor,
) -> FlexTensor {
    let mut gradient = Buffer::new(shape.input_len());
    let errors = values(output_gradient);
    done(conv2d_input_gradient_with(
        Level::current(),
        Algorithm::fastest_in(Level::current(), shape, precision),
        shape,
        errors,
        values(weight),
        gradient.as_mut_slice(),
    ));
    let [height, width] = shape.input;
    storage::tensor(gradient, [shape.n, height, width, shape.channels_in])
}

pub(super) fn weight_gradient(
    shape: &Conv2dShape,
    precision: Precision,
    input: &FlexTensor,
    output_gradient: &FlexTensor,
) -> FlexTensor {
    let mut gradient = Buffer::new(shape.weight_len());
    let errors = values(output_gradient);
    done(conv2d_weight_gradient_with(
        Level::current(),
        Algorithm::fastest_in(Level::current(), shape, precision),
        shape,
        values(input),
        errors,
        gradient.as_mut_slice(),
    ));
    let [height, width] = shape.kernel;
    storage::tensor(
        gradient,
        [shape.channels_out, shape.channels_in, height, width],
    )
}

/// The inputs of a batch norm, contiguous.
#[derive(Debug, Clone)]
pub(super) struct BatchNormInput {
    pub input: FlexTensor,
    pub weight: FlexTensor,
    pub bias: FlexTensor,
    pub residual: Option<FlexTensor>,
    pub epsilon: f64,
    pub activation: Option<Activation>,
}

impl BatchNormInput {
    pub(super) fn run(&self) -> (FlexTensor, ChannelStatistics) {
        let input = values(&self.input);
        let weight = values(&self.weight);
        let statistics = done(channel_statistics(input, weight.len()));
        let mut output = Buffer::new(input.len());
        done(batch_norm_forward(
            input,
            &statistics,
            weight,
            values(&self.bias),
            self.epsilon,
            self.residual.as_ref().map(values),
            self.activation,
            output.as_mut_slice(),
        ));
        (storage::tensor(output, dims::<4>(&self.input)), statistics)
    }
}

/// Gradients of a batch norm's input, weight, bias and residual.
pub(super) struct BatchNormBackward {
    pub input: FlexTensor,
    pub weight: FlexTensor,
    pub bias: FlexTensor,
    pub residual: Option<FlexTensor>,
}

/// Gradients of the inputs that gave these statistics; the residual's if there was one.
pub(super) fn batch_norm_gradients(
    batch: &BatchNormInput,
    statistics: &ChannelStatistics,
    output_gradient: FlexTensor,
) -> BatchNormBackward {
    let input = values(&batch.input);
    let shape = dims::<4>(&batch.input);
    let channels = shape[3];
    let mut of_input = Buffer::new(input.len());
    // Without an activation, the gradient of the residual equals that of the output.
    let copies = batch.residual.is_some() && batch.activation.is_some();
    let mut of_residual = Buffer::new(if copies { input.len() } else { 0 });
    let activated = batch.activation.map(|activation| Activated {
        activation,
        bias: values(&batch.bias),
        residual: batch.residual.as_ref().map(values),
    });
    let gradients = done(batch_norm_backward(
        input,
        statistics,
        values(&batch.weight),
        batch.epsilon,
        activated,
        values(&output_gradient),
        of_input.as_mut_slice(),
        copies.then_some(of_residual.as_mut_slice()),
    ));
    BatchNormBackward {
        input: storage::tensor(of_input, shape),
        weight: tensor(gradients.weight, [channels]),
        bias: tensor(gradients.bias, [channels]),
        residual: match (&batch.residual, copies) {
            (None, _) => None,
            (Some(_), true) => Some(storage::tensor(of_residual, shape)),
            (Some(_), false) => Some(output_gradient),
        },
    }
}

pub(super) fn average_pool(input: &FlexTensor) -> FlexTensor {
    let [n, height, width, channels] = dims(input);
    let mut output = Buffer::new(n * channels);
    done(global_average_pool(
        values(input),
        height * width,
        channels,
        output.as_mut_slice(),
    ));
    storage::tensor(output, [n, channels])
}

pub(super) fn average_pool_gradient(shape: [usize; 4], output_gradient: &FlexTensor) -> FlexTensor {
    let [_, height, width, channels] = shape;
    let mut gradient = Buffer::new(shape.iter().product());
    done(global_average_pool_backward(
        values(output_gradient),
        height * width,
        channels,
        gradient.as_mut_slice(),
    ));
    storage::tensor(gradient, shape)
}

pub(super) fn max_pool_shape(input: &FlexTensor, windows: Windows) -> MaxPoolShape {
    let [_, height, width, channels] = dims(input);
    MaxPoolShape {
        input: [height, width],
        channels,
        window: windows.side,
        stride: windows.stride,
        padding: windows.padding,
    }
}

/// With the positions of the largest values if requested.
pub(super) fn max_pool(
    shape: &MaxPoolShape,
    input: &FlexTensor,
    with_places: bool,
) -> (FlexTensor, Vec<u8>) {
    let [n, ..] = dims::<4>(input);
    let [height, width] = shape.output();
    let len = n * height * width * shape.channels;
    let mut output = Buffer::new(len);
    let mut places = vec![0; if with_places { len } else { 0 }];
    done(crate::max_pool(
        shape,
        values(input),
        output.as_mut_slice(),
        with_places.then_some(&mut places[..]),
    ));
    let output = storage::tensor(output, [n, height, width, shape.channels]);
    (output, places)
}

pub(super) fn max_pool_gradient(
    shape: &MaxPoolShape,
    places: &[u8],
    output_gradient: &FlexTensor,
) -> FlexTensor {
    let [n, ..] = dims::<4>(output_gradient);
    let [height, width] = shape.input;
    let shape_4 = [n, height, width, shape.channels];
    let mut gradient = Buffer::new(shape_4.iter().product());
    done(max_pool_backward(
        shape,
        places,
        values(output_gradient),
        gradient.as_mut_slice(),
    ));
    storage::tensor(gradient, shape_4)
}

type Three = (FlexTensor, FlexTensor, FlexTensor);

fn batch_norm(input: BatchNormInput) -> Three {
    let (output, ChannelStatistics { mean, variance }) = input.run();
    let channels = [mean.len()];
    (output, tensor(mean, channels), tensor(variance, channels))
}

impl KernelBackend for Flex {
    fn kernel_conv2d(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self> {
        let [input, weight] = [input, weight].map(contiguous);
        let shape = convolution_shape(&input, &weight, options);
        conv2d(
            &shape,
            options.precision,
            &input,
            &weight,
            Epilogue::default(),
        )
    }

    fn kernel_depthwise(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: DepthwiseOptions,
    ) -> FloatTensor<Self> {
        let [input, weight] = [input, weight].map(contiguous);
        let shape = depthwise::shape(&input, &weight, options);
        depthwise::forward(&shape, &input, &weight, Epilogue::default())
    }

    fn kernel_batch_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
        activation: Option<Activation>,
    ) -> Three {
        let [input, weight, bias] = [input, weight, bias].map(contiguous);
        batch_norm(BatchNormInput {
            input,
            weight,
            bias,
            residual: None,
            epsilon,
            activation,
        })
    }

    fn kernel_batch_norm_add(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epsilon: f64,
        activation: Option<Activation>,
    ) -> Three {
        let [input, weight, bias, residual] = [input, weight, bias, residual].map(contiguous);
        batch_norm(BatchNormInput {
            input,
            weight,
            bias,
            residual: Some(residual),
            epsilon,
            activation,
        })
    }

    fn kernel_average_pool(input: FloatTensor<Self>) -> FloatTensor<Self> {
        average_pool(&contiguous(input))
    }

    fn kernel_max_pool(input: FloatTensor<Self>, windows: Windows) -> FloatTensor<Self> {
        let input = contiguous(input);
        max_pool(&max_pool_shape(&input, windows), &input, false).0
    }
}
