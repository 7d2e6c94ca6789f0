//! The operations with gradients.

use std::sync::Arc;

use burn::backend::{
    Autodiff, Flex,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind, unary},
    },
    tensor::FloatTensor,
};
use burn_flex::FlexTensor;

use super::{
    Conv2dOptions, DepthwiseOptions, KernelBackend, Windows, depthwise,
    flex::{self, BatchNormInput, contiguous},
};
use crate::{
    Activation, ChannelStatistics, Conv2dShape, DepthwiseShape, Epilogue, MaxPoolShape, Precision,
};

/// `Autodiff<Flex>` with any checkpointing strategy.
type Differentiable<C> = FloatTensor<Autodiff<Flex, C>>;

#[derive(Debug)]
struct Convolution;

impl Backward<Flex, 2> for Convolution {
    type State = (Conv2dShape, Precision, FlexTensor, FlexTensor);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (shape, precision, input, weight) = ops.state;
        let [of_input, of_weight] = ops.parents;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        if let Some(node) = of_weight {
            let value = flex::weight_gradient(&shape, precision, &input, &gradient);
            grads.register::<Flex>(node.id, value);
        }
        // The input is not needed any more; the gradient's memory may replace it.
        drop(input);
        if let Some(node) = of_input {
            let value = flex::input_gradient(&shape, precision, &gradient, &weight);
            grads.register::<Flex>(node.id, value);
        }
    }
}

#[derive(Debug)]
struct Depthwise;

impl Backward<Flex, 2> for Depthwise {
    type State = (DepthwiseShape, FlexTensor, FlexTensor);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (shape, input, weight) = ops.state;
        let [of_input, of_weight] = ops.parents;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        if let Some(node) = of_weight {
            let value = depthwise::weight_gradient(&shape, &input, &gradient);
            grads.register::<Flex>(node.id, value);
        }
        // The input is not needed any more; the gradient's memory may replace it.
        drop(input);
        if let Some(node) = of_input {
            let value = depthwise::input_gradient(&shape, &gradient, &weight);
            grads.register::<Flex>(node.id, value);
        }
    }
}

#[derive(Debug)]
struct BatchNorm<const N: usize>;

/// Parents are input, weight, bias and optionally the residual.
impl<const N: usize> Backward<Flex, N> for BatchNorm<N> {
    type State = (BatchNormInput, ChannelStatistics);

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (batch, statistics) = ops.state;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let gradients = flex::batch_norm_gradients(&batch, &statistics, gradient);
        let values = [
            Some(gradients.input),
            Some(gradients.weight),
            Some(gradients.bias),
            gradients.residual,
        ];
        for (node, value) in ops.parents.into_iter().zip(values) {
            if let (Some(node), Some(value)) = (node, value) {
                grads.register::<Flex>(node.id, value);
            }
        }
    }
}

fn batch_norm<C: CheckpointStrategy, const N: usize>(
    parents: [&Differentiable<C>; N],
    epsilon: f64,
    activation: Option<Activation>,
) -> (Differentiable<C>, Differentiable<C>, Differentiable<C>) {
    let primitive = |index: usize| contiguous(parents[index].primitive().clone());
    let batch = BatchNormInput {
        input: primitive(0),
        weight: primitive(1),
        bias: primitive(2),
        residual: (N > 3).then(|| primitive(3)),
        epsilon,
        activation,
    };
    let (output, statistics) = batch.run();
    let of_channels =
        |values: &[f32]| Differentiable::<C>::new(flex::tensor(values.to_vec(), [values.len()]));
    let (mean, variance) = (
        of_channels(&statistics.mean),
        of_channels(&statistics.variance),
    );
    let nodes = parents.map(|parent| parent.node());
    let output = match BatchNorm::<N>
        .prepare::<C>(nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prepared) => prepared.finish((batch, statistics), output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    (output, mean, variance)
}

#[derive(Debug)]
struct AveragePool;

impl Backward<Flex, 1> for AveragePool {
    type State = [usize; 4];

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        unary::<Flex, _>(ops.parents, ops.node, grads, |gradient| {
            flex::average_pool_gradient(ops.state, &contiguous(gradient))
        });
    }
}

#[derive(Debug)]
struct MaxPool;

impl Backward<Flex, 1> for MaxPool {
    type State = (MaxPoolShape, Arc<Vec<u8>>);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (shape, places) = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |gradient| {
            flex::max_pool_gradient(&shape, &places, &contiguous(gradient))
        });
    }
}

impl<C: CheckpointStrategy> KernelBackend for Autodiff<Flex, C> {
    fn kernel_conv2d(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node()];
        let [input, weight] = [input.into_primitive(), weight.into_primitive()].map(contiguous);
        let shape = flex::convolution_shape(&input, &weight, options);
        let output = flex::conv2d(
            &shape,
            options.precision,
            &input,
            &weight,
            Epilogue::default(),
        );
        match Convolution.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((shape, options.precision, input, weight), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn kernel_depthwise(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: DepthwiseOptions,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node()];
        let [input, weight] = [input.into_primitive(), weight.into_primitive()].map(contiguous);
        let shape = depthwise::shape(&input, &weight, options);
        let output = depthwise::forward(&shape, &input, &weight, Epilogue::default());
        match Depthwise.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((shape, input, weight), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn kernel_batch_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
        activation: Option<Activation>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        batch_norm::<C, 3>([&input, &weight, &bias], epsilon, activation)
    }

    fn kernel_batch_norm_add(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epsilon: f64,
        activation: Option<Activation>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        batch_norm::<C, 4>([&input, &weight, &bias, &residual], epsilon, activation)
    }

    fn kernel_average_pool(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let node = input.node();
        let input = contiguous(input.into_primitive());
        let shape = flex::dims::<4>(&input);
        let output = flex::average_pool(&input);
        match AveragePool.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(shape, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn kernel_max_pool(input: FloatTensor<Self>, windows: Windows) -> FloatTensor<Self> {
        let node = input.node();
        let input = contiguous(input.into_primitive());
        let shape = flex::max_pool_shape(&input, windows);
        match MaxPool.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (output, places) = flex::max_pool(&shape, &input, true);
                prepared.finish((shape, Arc::new(places)), output)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(flex::max_pool(&shape, &input, false).0)
            }
        }
    }
}
