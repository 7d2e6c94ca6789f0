//! Attention layers as ONNX nodes, and back.

use std::collections::HashMap;

use super::graph::{Values, add_chain, convolution_node, info, integers, node};
use super::proto::{Attribute, FLOAT, Graph, Node, Tensor};
use super::read::{convolution_of, weights_of};
use crate::graph::{AttentionLayer, BufferShape, Convolution, Factors, Linear};

/// Operators of the nodes of an attention layer with a factor for each channel. The product has the operation's name.
const OF_CHANNELS: [&str; 6] = [
    "GlobalAveragePool",
    "Conv",
    "Relu",
    "Conv",
    "Sigmoid",
    "Mul",
];
/// Operators of the nodes of an attention layer with a factor for each pixel.
const OF_PIXELS: [&str; 6] = [
    "ReduceMean",
    "ReduceMax",
    "Concat",
    "Conv",
    "Sigmoid",
    "Mul",
];

/// Adds the nodes that compute the factors, their product with the input, then sum and activation. The input has the
/// shape of the output.
pub(super) fn add_attention(
    graph: &mut Graph,
    name: &str,
    attention: &AttentionLayer,
    values: &Values,
    added: Option<String>,
) {
    let sums = match &attention.factors {
        Factors::OfChannels { reduce, expand } => {
            add_layers(graph, name, [reduce, expand], &values.input)
        }
        Factors::OfPixels(convolution) => {
            add_convolution(graph, name, convolution, &values.input, values.shape)
        }
    };
    let [channels, height, width] = values.shape;
    let shape = match attention.factors {
        Factors::OfChannels { .. } => [channels, 1, 1],
        Factors::OfPixels(_) => [1, height, width],
    };
    let factors = format!("{name}.factors");
    add(graph, node(&factors, "Sigmoid", &[&sums], &factors), shape);
    let product = node(name, "Mul", &[&values.input, &factors], "");
    add_chain(graph, product, added, attention.activation, values);
}

/// The mean of every channel through both layers, which are convolutions of one pixel here: so their result keeps the
/// four dimensions of a map. Returns the name of the result.
fn add_layers(
    graph: &mut Graph,
    name: &str,
    [reduce, expand]: [&Linear; 2],
    input: &str,
) -> String {
    let [reduced, channels] = reduce.weight_shape;
    let [mean, middle, relu, sums] =
        ["mean", "reduce", "reduce.relu", "expand"].map(|part| format!("{name}.{part}"));
    let pool = node(&mean, "GlobalAveragePool", &[input], &mean);
    add(graph, pool, [channels, 1, 1]);
    add_layer(graph, &middle, reduce, &mean);
    add(
        graph,
        node(&relu, "Relu", &[&middle], &relu),
        [reduced, 1, 1],
    );
    add_layer(graph, &sums, expand, &relu);
    sums
}

/// A linear layer as a convolution of one pixel; its output has its name.
fn add_layer(graph: &mut Graph, name: &str, layer: &Linear, input: &str) {
    let mut node = convolution_node(graph, name, &layer.as_convolution(), input);
    node.outputs = vec![name.to_owned()];
    add(graph, node, [layer.bias.len(), 1, 1]);
}

/// The convolution of the mean and the largest value over the channels. Returns the name of its result.
fn add_convolution(
    graph: &mut Graph,
    name: &str,
    convolution: &Convolution,
    input: &str,
    [_, height, width]: BufferShape,
) -> String {
    let [axis, mean, largest, maps, sums] =
        ["axis", "mean", "largest", "maps", "conv"].map(|part| format!("{name}.{part}"));
    graph.initializers.push(integers(&axis, &[1]));
    for (output, operator) in [&mean, &largest].into_iter().zip(OF_PIXELS) {
        add(
            graph,
            node(output, operator, &[input, &axis], output),
            [1, height, width],
        );
    }
    let joined = Node {
        attributes: vec![("axis".to_owned(), Attribute::Int(1))],
        ..node(&maps, "Concat", &[&mean, &largest], &maps)
    };
    add(graph, joined, [2, height, width]);
    let mut node = convolution_node(graph, &sums, convolution, &maps);
    node.outputs = vec![sums.clone()];
    add(graph, node, [1, height, width]);
    sums
}

/// Adds a node and describes its output.
fn add(graph: &mut Graph, node: Node, shape: BufferShape) {
    graph.values.push(info(&node.outputs[0], FLOAT, &shape, ""));
    graph.nodes.push(node);
}

/// The nodes of the attention layer that `nodes` begin with, if they do. Its product reads the map that its first node
/// reads; that of a SiLU does not.
pub(super) fn nodes_of_attention(nodes: &[Node]) -> Option<&[Node; 6]> {
    let nodes = nodes.first_chunk::<6>()?;
    let operators = nodes.each_ref().map(|node| node.operator.as_str());
    let is_attention = operators == OF_CHANNELS || operators == OF_PIXELS;
    let [first, .., product] = nodes;
    (is_attention && first.inputs.first() == product.inputs.first()).then_some(nodes)
}

/// The attention layer of these nodes, without sum and activation.
pub(super) fn attention_of(
    [first, second, _, fourth, ..]: &[Node; 6],
    tensors: &mut HashMap<&str, &Tensor>,
) -> Result<AttentionLayer, String> {
    let factors = match first.operator == OF_CHANNELS[0] {
        true => Factors::OfChannels {
            reduce: linear_of(second, tensors)?,
            expand: linear_of(fourth, tensors)?,
        },
        false => Factors::OfPixels(convolution_of(fourth, tensors)?),
    };
    Ok(AttentionLayer {
        factors,
        add_from: None,
        activation: None,
    })
}

fn linear_of(node: &Node, tensors: &mut HashMap<&str, &Tensor>) -> Result<Linear, String> {
    let ([outputs, inputs, ..], weight, bias) = weights_of::<4>(node, tensors)?;
    Ok(Linear {
        weight_shape: [outputs, inputs],
        weight,
        bias,
    })
}
