//! A frozen model as an ONNX graph.

use super::proto::{Attribute, Dimension, FLOAT, Graph, Node, Tensor, UINT8, ValueInfo};
use crate::frozen::FrozenModel;
use crate::graph::{BufferShape, Convolution, Layer, Linear, Operation};

pub(crate) const INPUT: &str = "images";
pub(crate) const LOGITS: &str = "logits";
pub(crate) const PROBABILITIES: &str = "probabilities";
pub(super) const MEAN: &str = "normalization.mean";
pub(super) const STD: &str = "normalization.std";
/// Name of the number of pictures, which is left open.
const BATCH: &str = "batch";

/// Operators that come before the first operation of the model.
pub(super) const PREFIX: [&str; 5] = ["Cast", "Div", "Sub", "Div", "Transpose"];

/// The graph that computes logits and probabilities from bytes.
pub(super) fn graph_of(model: &FrozenModel) -> Graph {
    let mut graph = Graph {
        name: "image_classifier".to_owned(),
        doc_string: format!(
            "Classifies RGB pictures of {}x{} pixels (height x width) into {} classes. Normalisation \
             is part of the graph; batch norm is folded into the convolutions.",
            model.height(),
            model.width(),
            model.n_classes()
        ),
        inputs: vec![info(
            INPUT,
            UINT8,
            &[model.height(), model.width(), 3],
            "Interleaved 8-bit RGB pictures: [picture, row, column, channel].",
        )],
        ..Graph::default()
    };
    add_normalization(&mut graph, model);
    for (index, operation) in model.operations().iter().enumerate() {
        let values = Values {
            input: value_name(model, operation.input),
            output: value_name(model, index + 1),
            shape: model.buffer_shapes()[index + 1],
        };
        match &operation.layer {
            Layer::Convolution(convolution) => {
                let added = convolution.add_from.map(|buffer| value_name(model, buffer));
                add_convolution(&mut graph, operation, convolution, values, added);
            }
            Layer::MaxPool { window } => {
                add_max_pool(&mut graph, &operation.name, *window, &values)
            }
            Layer::GlobalAveragePool => {
                add_node(
                    &mut graph,
                    &operation.name,
                    "GlobalAveragePool",
                    &[&values.input],
                    &values,
                );
            }
            Layer::Linear(linear) => add_linear(&mut graph, operation, linear, &values),
        }
    }
    graph.nodes.push(Node {
        attributes: vec![("axis".to_owned(), Attribute::Int(1))],
        ..node(PROBABILITIES, "Softmax", &[LOGITS], PROBABILITIES)
    });
    let classes = [model.n_classes()];
    graph.outputs = vec![
        info(
            LOGITS,
            FLOAT,
            &classes,
            "One score for each class, before the softmax.",
        ),
        info(
            PROBABILITIES,
            FLOAT,
            &classes,
            "Softmax of the logits; every row sums to 1.",
        ),
    ];
    graph
}

/// What an operation reads and writes; `shape` is `[channels, height, width]` of what it writes.
struct Values {
    input: String,
    output: String,
    shape: BufferShape,
}

/// The ONNX value that holds a buffer.
pub(super) fn value_name(model: &FrozenModel, buffer: usize) -> String {
    match buffer.checked_sub(1) {
        None => "normalization.output".to_owned(),
        Some(index) if index + 1 == model.operations().len() => LOGITS.to_owned(),
        Some(index) => format!("{}.output", model.operations()[index].name),
    }
}

fn add_normalization(graph: &mut Graph, model: &FrozenModel) {
    let (height, width) = (model.height(), model.width());
    let interleaved = [height, width, 3];
    graph
        .initializers
        .push(tensor("normalization.scale", &[], &[255.0]));
    graph
        .initializers
        .push(tensor(MEAN, &[3], &model.normalization().mean));
    graph
        .initializers
        .push(tensor(STD, &[3], &model.normalization().std));
    let steps: [(&str, &[&str]); 4] = [
        ("normalization.float", &[INPUT]),
        (
            "normalization.scaled",
            &["normalization.float", "normalization.scale"],
        ),
        ("normalization.centred", &["normalization.scaled", MEAN]),
        ("normalization.normalized", &["normalization.centred", STD]),
    ];
    for ((output, inputs), operator) in steps.into_iter().zip(PREFIX) {
        let mut node = node(output, operator, inputs, output);
        if operator == "Cast" {
            node.attributes = vec![("to".to_owned(), Attribute::Int(FLOAT))];
        }
        graph.nodes.push(node);
        graph.values.push(info(output, FLOAT, &interleaved, ""));
    }
    graph.nodes.push(Node {
        attributes: vec![("perm".to_owned(), Attribute::Ints(vec![0, 3, 1, 2]))],
        ..node(
            "normalization.output",
            "Transpose",
            &["normalization.normalized"],
            "normalization.output",
        )
    });
    graph
        .values
        .push(info("normalization.output", FLOAT, &[3, height, width], ""));
}

/// `Conv`, then `Add` and `Relu` where the operation has them.
fn add_convolution(
    graph: &mut Graph,
    operation: &Operation,
    convolution: &Convolution,
    values: Values,
    added: Option<String>,
) {
    let name = &operation.name;
    let (weight, bias) = add_weights(
        graph,
        name,
        &convolution.weight_shape,
        &convolution.weight,
        &convolution.bias,
    );
    let [stride_y, stride_x] = convolution.stride.map(to_int);
    let [pad_y, pad_x] = convolution.padding.map(to_int);
    let [_, _, kernel_y, kernel_x] = convolution.weight_shape.map(to_int);
    let ints = |name: &str, values: &[i64]| (name.to_owned(), Attribute::Ints(values.to_vec()));
    let mut operators = vec![("Conv", vec![weight, bias])];
    operators.extend(added.map(|added| ("Add", vec![added])));
    operators.extend(convolution.relu.then(|| ("Relu", Vec::new())));
    let last = operators.len() - 1;
    let mut current = values.input;
    for (index, (operator, others)) in operators.into_iter().enumerate() {
        let suffix = operator.to_ascii_lowercase();
        let output = if index == last {
            values.output.clone()
        } else {
            format!("{name}.{suffix}")
        };
        let mut inputs = vec![current.as_str()];
        inputs.extend(others.iter().map(String::as_str));
        let node_name = if index == 0 {
            name.clone()
        } else {
            format!("{name}.{suffix}")
        };
        let mut node = node(&node_name, operator, &inputs, &output);
        if operator == "Conv" {
            node.attributes = vec![
                ints("dilations", &[1, 1]),
                ("group".to_owned(), Attribute::Int(1)),
                ints("kernel_shape", &[kernel_y, kernel_x]),
                ints("pads", &[pad_y, pad_x, pad_y, pad_x]),
                ints("strides", &[stride_y, stride_x]),
            ];
        }
        graph.nodes.push(node);
        graph.values.push(info(&output, FLOAT, &values.shape, ""));
        current = output;
    }
}

fn add_linear(graph: &mut Graph, operation: &Operation, linear: &Linear, values: &Values) {
    let name = &operation.name;
    let flat = format!("{name}.flat");
    graph.nodes.push(Node {
        attributes: vec![("axis".to_owned(), Attribute::Int(1))],
        ..node(&flat, "Flatten", &[&values.input], &flat)
    });
    graph
        .values
        .push(info(&flat, FLOAT, &linear.weight_shape[1..], ""));
    let (weight, bias) = add_weights(
        graph,
        name,
        &linear.weight_shape,
        &linear.weight,
        &linear.bias,
    );
    graph.nodes.push(Node {
        attributes: vec![("transB".to_owned(), Attribute::Int(1))],
        ..node(name, "Gemm", &[&flat, &weight, &bias], &values.output)
    });
}

fn add_max_pool(graph: &mut Graph, name: &str, window: usize, values: &Values) {
    let sides = || Attribute::Ints(vec![to_int(window); 2]);
    graph.nodes.push(Node {
        attributes: vec![
            ("kernel_shape".to_owned(), sides()),
            ("strides".to_owned(), sides()),
        ],
        ..node(name, "MaxPool", &[&values.input], &values.output)
    });
    graph
        .values
        .push(info(&values.output, FLOAT, &values.shape, ""));
}

fn add_node(graph: &mut Graph, name: &str, operator: &str, inputs: &[&str], values: &Values) {
    graph
        .nodes
        .push(node(name, operator, inputs, &values.output));
    graph
        .values
        .push(info(&values.output, FLOAT, &values.shape, ""));
}

/// Adds weight and bias as initializers and gives their names.
fn add_weights(
    graph: &mut Graph,
    name: &str,
    shape: &[usize],
    weight: &[f32],
    bias: &[f32],
) -> (String, String) {
    let names = (format!("{name}.weight"), format!("{name}.bias"));
    graph.initializers.push(tensor(&names.0, shape, weight));
    graph
        .initializers
        .push(tensor(&names.1, &[bias.len()], bias));
    names
}

fn node(name: &str, operator: &str, inputs: &[&str], output: &str) -> Node {
    Node {
        name: name.to_owned(),
        operator: operator.to_owned(),
        inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
        outputs: vec![output.to_owned()],
        ..Node::default()
    }
}

fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    Tensor {
        name: name.to_owned(),
        dimensions: shape.iter().map(|&side| to_int(side)).collect(),
        values: values.to_vec(),
    }
}

/// A value whose first dimension is the number of pictures.
fn info(name: &str, element_type: i64, shape: &[usize], doc_string: &str) -> ValueInfo {
    let mut dimensions = vec![Dimension::Symbolic(BATCH.to_owned())];
    dimensions.extend(shape.iter().map(|&side| Dimension::Fixed(to_int(side))));
    ValueInfo {
        name: name.to_owned(),
        element_type,
        dimensions,
        doc_string: doc_string.to_owned(),
    }
}

/// Sizes in a checked model are far below 2^63.
fn to_int(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
