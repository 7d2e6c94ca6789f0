//! A frozen model as an ONNX graph.

use mlestar_model::{Activation, Padding, Views};

use super::attention::add_attention;
use super::proto::{
    self, Attribute, BOOL, Dimension, FLOAT, Graph, Node, Tensor, UINT8, ValueInfo,
};
use crate::frozen::FrozenModel;
use crate::graph::{BufferShape, Convolution, Layer, Linear, Operation};

pub(crate) const INPUT: &str = "images";
pub(crate) const LOGITS: &str = "logits";
pub(crate) const PROBABILITIES: &str = "probabilities";
pub(crate) const FAMILIARITY: &str = "familiarity";
pub(crate) const NONE_OF_THESE: &str = "none_of_these";
pub(super) const TEMPERATURE: &str = "confidence.temperature";
pub(super) const FAMILIARITY_LIMIT: &str = "confidence.familiarity_limit";
pub(super) const NORMALIZED: &str = "normalization.output";
/// The operator for mirror images, used for nothing else in these graphs.
pub(super) const MIRROR: &str = "Slice";
/// The operator for shifted images, used for nothing else in these graphs.
pub(super) const SHIFT: &str = "Gather";
/// The operator for ReLU6, used for nothing else in these graphs.
pub(super) const RELU6: &str = "Clip";
pub(super) const MEAN: &str = "normalization.mean";
pub(super) const STD: &str = "normalization.std";
/// Name of the symbolic dimension for the number of images.
const BATCH: &str = "batch";

/// The images and the shifted ones, as one batch.
const WITH_SHIFTED: &str = "views.with_shifted";
/// All of these and their mirror images, as one batch.
const WITH_MIRRORED: &str = "views.with_mirrored";
/// Logits of all views of all images.
const ALL_LOGITS: &str = "views.logits";

/// Operators that come before the first operation of the model.
pub(super) const PREFIX: [&str; 5] = ["Cast", "Div", "Sub", "Div", "Transpose"];

/// The graph that computes logits and probabilities from bytes.
pub(super) fn graph_of(model: &FrozenModel) -> Graph {
    let mut graph = Graph {
        name: "image_classifier".to_owned(),
        doc_string: format!(
            "Classifies RGB images of {}x{} pixels (height x width) into {} classes. Normalisation \
             is part of the graph; batch norm is folded into the convolutions.",
            model.height(),
            model.width(),
            model.n_classes()
        ),
        inputs: vec![info(
            INPUT,
            UINT8,
            &[model.height(), model.width(), 3],
            "Interleaved 8-bit RGB images: [image, row, column, channel].",
        )],
        ..Graph::default()
    };
    add_normalization(&mut graph, model);
    if model.views().shifted {
        add_shifted(&mut graph, model);
    }
    if model.views().mirrored {
        add_mirrored(&mut graph, model);
    }
    let described = graph.values.len();
    for (index, operation) in model.operations().iter().enumerate() {
        let values = Values {
            input: value_name(model, operation.input),
            output: value_name(model, index + 1),
            shape: model.buffer_shapes()[index + 1],
        };
        match &operation.layer {
            Layer::Convolution(convolution) => {
                let added = convolution.add_from.map(|buffer| value_name(model, buffer));
                add_convolution(&mut graph, operation, convolution, &values, added);
            }
            &Layer::MaxPool {
                window,
                stride,
                padding,
                activation,
            } => {
                let windows = [window, stride, padding];
                add_max_pool(&mut graph, &operation.name, windows, activation, &values);
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
            Layer::Attention(attention) => {
                let added = attention.add_from.map(|buffer| value_name(model, buffer));
                add_attention(&mut graph, &operation.name, attention, &values, added);
            }
            Layer::Linear(linear) => add_linear(&mut graph, operation, linear, &values),
        }
    }
    if model.views().count() > 1 {
        // The descriptions of the operations' values say `batch` rows, but there are several times as many.
        graph.values.truncate(described);
        add_mean_of_views(&mut graph, model);
    }
    add_confidence(&mut graph, model);
    graph
}

/// Adds what turns logits into an answer, and the outputs of the graph.
pub(super) fn add_confidence(graph: &mut Graph, model: &FrozenModel) {
    let confidence = model.confidence();
    let (cooled, axis) = ("confidence.logits", "confidence.axis");
    graph
        .initializers
        .push(tensor(TEMPERATURE, &[], &[confidence.temperature]));
    graph.initializers.push(integers(axis, &[1]));
    graph
        .nodes
        .push(node(cooled, "Div", &[LOGITS, TEMPERATURE], cooled));
    graph.nodes.push(Node {
        attributes: vec![("axis".to_owned(), Attribute::Int(1))],
        ..node(PROBABILITIES, "Softmax", &[cooled], PROBABILITIES)
    });
    graph.nodes.push(Node {
        attributes: vec![("keepdims".to_owned(), Attribute::Int(0))],
        ..node(FAMILIARITY, "ReduceLogSumExp", &[LOGITS, axis], FAMILIARITY)
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
            "Softmax of the logits divided by the temperature; every row sums to 1.",
        ),
        info(
            FAMILIARITY,
            FLOAT,
            &[],
            "Logarithm of the sum of exp(logits): low for images unlike the training images.",
        ),
    ];
    if let Some(limit) = confidence.familiarity_limit {
        graph
            .initializers
            .push(tensor(FAMILIARITY_LIMIT, &[], &[limit]));
        graph.nodes.push(node(
            NONE_OF_THESE,
            "Less",
            &[FAMILIARITY, FAMILIARITY_LIMIT],
            NONE_OF_THESE,
        ));
        graph.outputs.push(info(
            NONE_OF_THESE,
            BOOL,
            &[],
            "Whether the familiarity is below the limit chosen on validation images.",
        ));
    }
}

/// The input and output of an operation; `shape` is the `[channels, height, width]` of its output.
pub(super) struct Values {
    pub input: String,
    pub output: String,
    pub shape: BufferShape,
}

/// The ONNX value that holds a buffer.
pub(super) fn value_name(model: &FrozenModel, buffer: usize) -> String {
    match buffer.checked_sub(1) {
        None if model.views().mirrored => WITH_MIRRORED.to_owned(),
        None => unmirrored(model).to_owned(),
        Some(index) if index + 1 == model.operations().len() => match model.views().count() {
            1 => LOGITS.to_owned(),
            _ => ALL_LOGITS.to_owned(),
        },
        Some(index) => format!("{}.output", model.operations()[index].name),
    }
}

/// The value that holds the views before mirroring.
fn unmirrored(model: &FrozenModel) -> &'static str {
    match model.views().shifted {
        true => WITH_SHIFTED,
        false => NORMALIZED,
    }
}

/// Joins the images and the shifted ones to one batch.
fn add_shifted(graph: &mut Graph, model: &FrozenModel) {
    let (height, width) = (model.height(), model.width());
    let mut joined = vec![NORMALIZED.to_owned()];
    let shifts = Views {
        mirrored: false,
        shifted: true,
    };
    for (index, view) in shifts.others().enumerate() {
        let name = format!("views.shifted_{}", index + 1);
        let mut input = NORMALIZED.to_owned();
        for (axis, sides, sources) in [
            (2, "rows", view.rows(height)),
            (3, "columns", view.columns(width)),
        ] {
            let indices = format!("{name}.{sides}");
            let sources: Vec<i64> = sources.into_iter().map(to_int).collect();
            graph.initializers.push(integers(&indices, &sources));
            let output = match axis {
                2 => format!("{name}.vertically"),
                _ => name.clone(),
            };
            graph.nodes.push(Node {
                attributes: vec![("axis".to_owned(), Attribute::Int(axis))],
                ..node(&output, SHIFT, &[&input, &indices], &output)
            });
            graph
                .values
                .push(info(&output, FLOAT, &[3, height, width], ""));
            input = output;
        }
        joined.push(name);
    }
    add_joined(graph, &joined, WITH_SHIFTED);
}

/// Joins the views so far and their mirror images to one batch.
fn add_mirrored(graph: &mut Graph, model: &FrozenModel) {
    let parameters = [
        ("starts", -1),
        ("ends", i64::MIN),
        ("axes", 3),
        ("steps", -1),
    ];
    let mut inputs = vec![unmirrored(model).to_owned()];
    for (name, value) in parameters {
        let name = format!("views.mirrored.{name}");
        graph.initializers.push(integers(&name, &[value]));
        inputs.push(name);
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let mirrored = "views.mirrored";
    graph.nodes.push(node(mirrored, MIRROR, &inputs, mirrored));
    add_joined(
        graph,
        &[unmirrored(model).to_owned(), mirrored.to_owned()],
        WITH_MIRRORED,
    );
}

/// Concatenates several batches into one.
fn add_joined(graph: &mut Graph, inputs: &[String], output: &str) {
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    graph.nodes.push(Node {
        attributes: vec![("axis".to_owned(), Attribute::Int(0))],
        ..node(output, "Concat", &inputs, output)
    });
}

/// The mean of the logits of an image's views.
fn add_mean_of_views(graph: &mut Graph, model: &FrozenModel) {
    let (shape, axes, grouped) = ("views.shape", "views.first_axis", "views.grouped");
    let sides = [to_int(model.views().count()), -1, to_int(model.n_classes())];
    graph.initializers.push(integers(shape, &sides));
    graph.initializers.push(integers(axes, &[0]));
    graph
        .nodes
        .push(node(grouped, "Reshape", &[ALL_LOGITS, shape], grouped));
    graph.nodes.push(Node {
        attributes: vec![("keepdims".to_owned(), Attribute::Int(0))],
        ..node("views.mean", "ReduceMean", &[grouped, axes], LOGITS)
    });
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
            NORMALIZED,
            "Transpose",
            &["normalization.normalized"],
            NORMALIZED,
        )
    });
    graph
        .values
        .push(info(NORMALIZED, FLOAT, &[3, height, width], ""));
}

fn add_convolution(
    graph: &mut Graph,
    operation: &Operation,
    convolution: &Convolution,
    values: &Values,
    added: Option<String>,
) {
    let first = convolution_node(graph, &operation.name, convolution, &values.input);
    add_chain(graph, first, added, convolution.activation, values);
}

/// A convolution without its output, sum and activation.
pub(super) fn convolution_node(
    graph: &mut Graph,
    name: &str,
    convolution: &Convolution,
    input: &str,
) -> Node {
    let (weight, bias) = add_weights(
        graph,
        name,
        &convolution.weight_shape,
        &convolution.weight,
        &convolution.bias,
    );
    let [stride_y, stride_x] = convolution.stride.map(to_int);
    let Padding { start, end } = convolution.padding;
    let pads = [start[0], start[1], end[0], end[1]].map(to_int);
    let [_, _, kernel_y, kernel_x] = convolution.weight_shape.map(to_int);
    let ints = |name: &str, values: &[i64]| (name.to_owned(), Attribute::Ints(values.to_vec()));
    Node {
        attributes: vec![
            ints("dilations", &[1, 1]),
            (
                "group".to_owned(),
                Attribute::Int(to_int(convolution.groups)),
            ),
            ints("kernel_shape", &[kernel_y, kernel_x]),
            ints("pads", &pads),
            ints("strides", &[stride_y, stride_x]),
        ],
        ..node(name, "Conv", &[input, &weight, &bias], "")
    }
}

fn add_max_pool(
    graph: &mut Graph,
    name: &str,
    [window, stride, padding]: [usize; 3],
    activation: Option<Activation>,
    values: &Values,
) {
    let equal = |name: &str, value, n| (name.to_owned(), Attribute::Ints(vec![to_int(value); n]));
    let mut attributes = vec![equal("kernel_shape", window, 2)];
    if padding > 0 {
        attributes.push(equal("pads", padding, 4));
    }
    attributes.push(equal("strides", stride, 2));
    let first = Node {
        attributes,
        ..node(name, "MaxPool", &[&values.input], "")
    };
    add_chain(graph, first, None, activation, values);
}

/// A node without its output, followed by `Add` and the activation if the operation has them.
pub(super) fn add_chain(
    graph: &mut Graph,
    first: Node,
    added: Option<String>,
    activation: Option<Activation>,
    values: &Values,
) {
    let name = first.name.clone();
    let named = |suffix: &str| format!("{name}.{suffix}");
    let suffix = first.operator.to_ascii_lowercase();
    let mut nodes = vec![Node {
        outputs: vec![named(&suffix)],
        ..first
    }];
    let mut current = named(&suffix);
    if let Some(added) = added {
        let sum = named("add");
        nodes.push(node(&sum, "Add", &[&current, &added], &sum));
        current = sum;
    }
    match activation {
        None => {}
        Some(Activation::Silu) => {
            let (sigmoid, product) = (named("sigmoid"), named("silu"));
            nodes.push(node(&sigmoid, "Sigmoid", &[&current], &sigmoid));
            nodes.push(node(&product, "Mul", &[&current, &sigmoid], &product));
        }
        Some(Activation::Relu) => {
            let relu = named("relu");
            nodes.push(node(&relu, "Relu", &[&current], &relu));
        }
        Some(Activation::Relu6) => {
            let relu = named("relu6");
            let [low, high] = add_relu6_limits(graph);
            nodes.push(node(&relu, RELU6, &[&current, low, high], &relu));
        }
    }
    if let Some(last) = nodes.last_mut() {
        last.outputs = vec![values.output.clone()];
    }
    for node in nodes {
        let output = &node.outputs[0];
        graph.values.push(info(output, FLOAT, &values.shape, ""));
        graph.nodes.push(node);
    }
}

/// The limits of all ReLU6, added once, and their names.
fn add_relu6_limits(graph: &mut Graph) -> [&'static str; 2] {
    const LIMITS: [(&str, f32); 2] = [("relu6.low", 0.0), ("relu6.high", 6.0)];
    for (name, value) in LIMITS {
        let is_there = |tensor: &Tensor| tensor.name == name;
        if !graph.initializers.iter().any(is_there) {
            graph.initializers.push(tensor(name, &[], &[value]));
        }
    }
    LIMITS.map(|(name, _)| name)
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

fn add_node(graph: &mut Graph, name: &str, operator: &str, inputs: &[&str], values: &Values) {
    graph
        .nodes
        .push(node(name, operator, inputs, &values.output));
    graph
        .values
        .push(info(&values.output, FLOAT, &values.shape, ""));
}

/// Adds weight and bias as initializers and returns their names.
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

pub(super) fn node(name: &str, operator: &str, inputs: &[&str], output: &str) -> Node {
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
        values: proto::Values::Float(values.to_vec()),
    }
}

pub(super) fn integers(name: &str, values: &[i64]) -> Tensor {
    Tensor {
        name: name.to_owned(),
        dimensions: vec![to_int(values.len())],
        values: proto::Values::Int64(values.to_vec()),
    }
}

/// A value whose first dimension is the number of images.
pub(super) fn info(name: &str, element_type: i64, shape: &[usize], doc_string: &str) -> ValueInfo {
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
pub(super) fn to_int(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
