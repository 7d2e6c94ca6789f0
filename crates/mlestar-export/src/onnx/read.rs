//! Converts an ONNX graph that this crate wrote back to the frozen model.

use std::collections::HashMap;

use mlestar_model::{Activation, Padding, Views};

use super::attention::{attention_of, nodes_of_attention};
use super::graph::{
    FAMILIARITY_LIMIT, INPUT, MEAN, MIRROR, NORMALIZED, PREFIX, RELU6, SHIFT, STD, TEMPERATURE,
    graph_of,
};
use super::proto::{Attribute, Dimension, Graph, Model, Node, Tensor};
use crate::confidence::Confidence;
use crate::frozen::FrozenModel;
use crate::graph::{Convolution, Layer, LayerWeights, Linear, Operation, PixelNormalization};

/// The model that `read` describes.
///
/// The nodes are read leniently. Then the result is converted to a graph again and must equal the input, so
/// that nothing in the file is ignored.
pub(super) fn model_of(read: &Model) -> Result<FrozenModel, String> {
    let model = described_by(read, &read.graph)?;
    match difference(&graph_of(&model), &read.graph) {
        None => Ok(model),
        Some(place) => Err(format!("{place} is not what mlestar-export writes")),
    }
}

/// The model that the nodes of `graph` describe, read leniently; `read` has the metadata.
pub(super) fn described_by(read: &Model, graph: &Graph) -> Result<FrozenModel, String> {
    let classes = classes_of(read)?;
    let [height, width] = picture_size(graph)?;
    let mut tensors: HashMap<&str, &Tensor> = graph
        .initializers
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor))
        .collect();
    let channels = |name: &str| -> Result<[f32; 3], String> {
        let values = tensors
            .get(name)
            .ok_or_else(|| format!("initializer {name:?} is missing"))?;
        <[f32; 3]>::try_from(values.floats())
            .map_err(|_| format!("initializer {name:?} does not have 3 values"))
    };
    let normalization = PixelNormalization {
        mean: channels(MEAN)?,
        std: channels(STD)?,
    };
    let number = |name: &str| match tensors.get(name).map(|tensor| tensor.floats()) {
        Some(&[value]) => Some(value),
        _ => None,
    };
    let confidence = Confidence {
        temperature: number(TEMPERATURE)
            .ok_or_else(|| format!("there is no number {TEMPERATURE:?}"))?,
        familiarity_limit: number(FAMILIARITY_LIMIT),
    };
    let operations = operations_of(graph, &mut tensors)?;
    let has = |operator: &str| graph.nodes.iter().any(|node| node.operator == operator);
    let views = Views {
        mirrored: has(MIRROR),
        shifted: has(SHIFT),
    };
    FrozenModel::new(classes, normalization, height, width, operations)
        .and_then(|model| model.with_views(views).with_confidence(confidence))
        .map_err(|error| error.to_string())
}

fn classes_of(model: &Model) -> Result<Vec<String>, String> {
    let mut values = model
        .metadata
        .iter()
        .filter(|(key, _)| key == super::CLASSES_KEY);
    let (Some((_, json)), None) = (values.next(), values.next()) else {
        return Err(format!(
            "the metadata has not exactly one {:?}",
            super::CLASSES_KEY
        ));
    };
    serde_json::from_str(json)
        .map_err(|error| format!("metadata {:?}: {error}", super::CLASSES_KEY))
}

fn picture_size(graph: &Graph) -> Result<[usize; 2], String> {
    let images = graph.inputs.iter().find(|input| input.name == INPUT);
    match images.map(|images| images.dimensions.as_slice()) {
        Some([_, Dimension::Fixed(height), Dimension::Fixed(width), _]) => {
            let side = |side: i64| {
                usize::try_from(side).map_err(|_| format!("a side of the images is {side}"))
            };
            Ok([side(*height)?, side(*width)?])
        }
        _ => Err(format!(
            "the graph has no input {INPUT:?} of four dimensions"
        )),
    }
}

fn operations_of(
    graph: &Graph,
    tensors: &mut HashMap<&str, &Tensor>,
) -> Result<Vec<Operation>, String> {
    // The buffer of each value so far; 0 is the normalised image.
    let mut buffers: HashMap<&str, usize> = HashMap::from([(NORMALIZED, 0)]);
    let mut operations: Vec<Operation> = Vec::new();
    let mut rest = graph.nodes.get(PREFIX.len()..).unwrap_or_default();
    while let Some(first) = rest.first() {
        let attention = nodes_of_attention(rest);
        // The last node of an attention layer has its name, its input and its output.
        let node = attention.map_or(first, |[.., product]| product);
        rest = &rest[attention.map_or(1, |nodes| nodes.len())..];
        let [output] = node.outputs.as_slice() else {
            return Err(format!("node {:?} has not exactly one output", node.name));
        };
        let input = node
            .inputs
            .first()
            .and_then(|input| buffers.get(input.as_str()).copied())
            .ok_or_else(|| format!("node {:?} reads a value that does not exist", node.name))?;
        let layer = match attention {
            Some(nodes) => Some(Layer::Attention(attention_of(nodes, tensors)?)),
            None => layer_of(node, tensors, operations.last_mut(), &buffers)?,
        };
        let buffer = match layer {
            Some(layer) => {
                operations.push(Operation {
                    name: node.name.clone(),
                    input,
                    layer,
                });
                operations.len()
            }
            None => input,
        };
        buffers.insert(output, buffer);
    }
    Ok(operations)
}

/// The layer of a node; `None` if it belongs to the operation before it, `last`, or to none.
fn layer_of(
    node: &Node,
    tensors: &mut HashMap<&str, &Tensor>,
    last: Option<&mut Operation>,
    buffers: &HashMap<&str, usize>,
) -> Result<Option<Layer>, String> {
    match node.operator.as_str() {
        "Conv" => Ok(Some(Layer::Convolution(convolution_of(node, tensors)?))),
        "MaxPool" => Ok(Some(Layer::MaxPool {
            window: pair_of(node, "kernel_shape")?[0],
            stride: pair_of(node, "strides")?[0],
            // Without any there is no such attribute.
            padding: pair_of(node, "pads").map_or(0, |pads| pads[0]),
            activation: None,
        })),
        "GlobalAveragePool" => Ok(Some(Layer::GlobalAveragePool)),
        "Gemm" => Ok(Some(linear_of(node, tensors)?)),
        "Add" => {
            fuse_sum(node, last, buffers)?;
            Ok(None)
        }
        "Relu" | "Sigmoid" | RELU6 => {
            fuse_activation(node, last)?;
            Ok(None)
        }
        // The second half of a SiLU; its other factor is checked when the graph is created again.
        "Mul" => Ok(None),
        // Nodes around the operations; they are checked when the graph is created again.
        "Flatten" | "Div" | "Softmax" | "ReduceLogSumExp" | "Less" | MIRROR | SHIFT | "Concat"
        | "Reshape" | "ReduceMean" => Ok(None),
        other => Err(format!("node {:?} has operator {other:?}", node.name)),
    }
}

/// Merges `Relu`, the `Clip` of a ReLU6 or the `Sigmoid` of a SiLU into the operation before it.
fn fuse_activation(node: &Node, last: Option<&mut Operation>) -> Result<(), String> {
    let activation = match last.map(|operation| &mut operation.layer) {
        Some(Layer::Convolution(convolution)) => &mut convolution.activation,
        Some(Layer::Attention(attention)) => &mut attention.activation,
        Some(Layer::MaxPool { activation, .. }) => activation,
        _ => {
            return Err(format!(
                "node {:?} does not follow a convolution, attention or max pool",
                node.name
            ));
        }
    };
    *activation = Some(match node.operator.as_str() {
        "Relu" => Activation::Relu,
        RELU6 => Activation::Relu6,
        _ => Activation::Silu,
    });
    Ok(())
}

/// Merges `Add` into the convolution or attention layer before it.
fn fuse_sum(
    node: &Node,
    last: Option<&mut Operation>,
    buffers: &HashMap<&str, usize>,
) -> Result<(), String> {
    let add_from = match last.map(|operation| &mut operation.layer) {
        Some(Layer::Convolution(convolution)) => &mut convolution.add_from,
        Some(Layer::Attention(attention)) => &mut attention.add_from,
        _ => {
            return Err(format!(
                "node {:?} does not follow a convolution or attention",
                node.name
            ));
        }
    };
    let added = node
        .inputs
        .get(1)
        .and_then(|input| buffers.get(input.as_str()));
    *add_from = Some(
        *added.ok_or_else(|| format!("node {:?} adds a value that does not exist", node.name))?,
    );
    Ok(())
}

/// A convolution, without sum and activation.
pub(super) fn convolution_of(
    node: &Node,
    tensors: &mut HashMap<&str, &Tensor>,
) -> Result<Convolution, String> {
    let (weight_shape, weight, bias) = weights_of(node, tensors)?;
    Ok(Convolution {
        weight_shape,
        groups: groups_of(node)?,
        weight,
        bias,
        stride: pair_of(node, "strides")?,
        padding: padding_of(node)?,
        add_from: None,
        activation: None,
    })
}

fn padding_of(node: &Node) -> Result<Padding, String> {
    let start = pair_of(node, "pads")?;
    match node.attributes.iter().find(|(found, _)| found == "pads") {
        Some((_, Attribute::Ints(values))) if values.len() == 4 => {
            let size = |value: i64| usize::try_from(value).unwrap_or(usize::MAX);
            let end = [size(values[2]), size(values[3])];
            Ok(Padding { start, end })
        }
        _ => Err(format!(
            "node {:?} has no attribute \"pads\" of four integers",
            node.name
        )),
    }
}

/// The first two integers of an attribute.
fn pair_of(node: &Node, name: &str) -> Result<[usize; 2], String> {
    match node.attributes.iter().find(|(found, _)| found == name) {
        Some((_, Attribute::Ints(values))) if values.len() >= 2 => {
            let size = |value: i64| usize::try_from(value).unwrap_or(usize::MAX);
            Ok([size(values[0]), size(values[1])])
        }
        _ => Err(format!(
            "node {:?} has no attribute {name:?} of two integers",
            node.name
        )),
    }
}

fn groups_of(node: &Node) -> Result<usize, String> {
    match node.attributes.iter().find(|(found, _)| found == "group") {
        Some((_, Attribute::Int(groups))) => Ok(usize::try_from(*groups).unwrap_or(usize::MAX)),
        _ => Err(format!(
            "node {:?} has no attribute \"group\" of one integer",
            node.name
        )),
    }
}

fn linear_of(node: &Node, tensors: &mut HashMap<&str, &Tensor>) -> Result<Layer, String> {
    let (weight_shape, weight, bias) = weights_of(node, tensors)?;
    Ok(Layer::Linear(Linear {
        weight_shape,
        weight,
        bias,
    }))
}

/// The second and third input of `node`, which must be initializers; the second has `N` dimensions.
pub(super) fn weights_of<const N: usize>(
    node: &Node,
    tensors: &mut HashMap<&str, &Tensor>,
) -> Result<LayerWeights<N>, String> {
    // Removed from the map: if many nodes used one tensor, its copies would multiply the memory.
    let mut initializer = |index: usize| {
        node.inputs
            .get(index)
            .and_then(|name| tensors.remove(name.as_str()))
            .ok_or_else(|| {
                format!(
                    "node {:?} has no initializer of its own as input {index}",
                    node.name
                )
            })
    };
    let (weight, bias) = (initializer(1)?, initializer(2)?);
    let sides: Vec<usize> = weight
        .dimensions
        .iter()
        .map(|&side| usize::try_from(side).unwrap_or(usize::MAX))
        .collect();
    let shape = <[usize; N]>::try_from(sides).map_err(|sides| {
        format!(
            "node {:?} has weights of shape {sides:?}, not of {N} dimensions",
            node.name
        )
    })?;
    Ok((shape, weight.floats().to_vec(), bias.floats().to_vec()))
}

/// The first part in which two graphs differ.
pub(super) fn difference(expected: &Graph, found: &Graph) -> Option<String> {
    fn first<T: PartialEq>(
        kind: &str,
        expected: &[T],
        found: &[T],
        name: fn(&T) -> &str,
    ) -> Option<String> {
        if let Some((_, found)) = expected.iter().zip(found).find(|(a, b)| a != b) {
            return Some(format!("{kind} {:?}", name(found)));
        }
        (expected.len() != found.len()).then(|| {
            format!(
                "the number of {kind}s, {} where {} belong,",
                found.len(),
                expected.len()
            )
        })
    }
    first("node", &expected.nodes, &found.nodes, |node| &node.name)
        .or_else(|| {
            first(
                "initializer",
                &expected.initializers,
                &found.initializers,
                |tensor| &tensor.name,
            )
        })
        .or_else(|| first("input", &expected.inputs, &found.inputs, |info| &info.name))
        .or_else(|| {
            first("output", &expected.outputs, &found.outputs, |info| {
                &info.name
            })
        })
        .or_else(|| first("value", &expected.values, &found.values, |info| &info.name))
        .or_else(|| (expected != found).then(|| "the graph's name or description".to_owned()))
}
