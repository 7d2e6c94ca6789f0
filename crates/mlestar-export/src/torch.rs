//! A frozen model as Python code for PyTorch.
//!
//! [`source`] writes a module in plain `torch.nn` code that needs PyTorch alone. Its `load(folder)` reads the weights from
//! `model.safetensors` beside it ([`safetensors_file`](crate::safetensors_file)); the model gives the logits of
//! raw images, and its method `probabilities` calibrated probabilities. The network can be read, changed and trained
//! further.
//!
//! ```
//! use mlestar_export::torch;
#![doc = include_str!("doc_model.in")]
//! let code = torch::source(&model);
//! assert!(code.contains("self.linear_head = nn.Linear(3, 2)"));
//! assert!(code.contains("x2 = self.linear_head(x1.flatten(1))"));
//! # Ok::<(), mlestar_export::ExportError>(())
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use mlestar_artifact::write_atomically;
use mlestar_model::{Activation, Padding, Views};
use serde_json::json;

use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::graph::{Convolution, Layer, Operation, Part};

/// Writes the Python module of `model`, atomically.
///
/// # Errors
///
/// [`ExportError::Artifact`] if the file cannot be written.
pub fn write(model: &FrozenModel, path: &Path) -> Result<(), ExportError> {
    Ok(write_atomically(path, source(model).as_bytes())?)
}

/// The Python module of `model`. Equal models give equal text, whatever their weights.
#[must_use]
pub fn source(model: &FrozenModel) -> String {
    let layers = Layers::of(model);
    let values = [
        ("{height}", model.height().to_string()),
        ("{width}", model.width().to_string()),
        ("{n_classes}", model.n_classes().to_string()),
        ("{mean}", numbers(&model.normalization().mean)),
        ("{std}", numbers(&model.normalization().std)),
        ("{layers}", layer_lines(&layers)),
        ("{steps}", step_lines(model, &layers)),
        ("{evaluation}", evaluation_lines(model.views()).to_owned()),
        (
            "{temperature}",
            format!("{:?}", model.confidence().temperature),
        ),
        ("{none_of_these}", none_of_these_method(model)),
        ("{shifted}", shifted_function(model.views()).to_owned()),
        ("{tensors}", tensor_lines(&layers)),
        // Last: a name of a class may look like a placeholder.
        ("{classes}", json!(model.classes()).to_string()),
    ];
    let mut text = include_str!("torch_model.py.in").to_owned();
    for (placeholder, value) in values {
        text = text.replace(placeholder, &value);
    }
    text
}

/// The convolutions and linear layers of a model.
struct Layers<'a> {
    layers: Vec<NamedLayer<'a>>,
}

struct NamedLayer<'a> {
    /// The Python attribute. Its prefix keeps it apart from the attributes of a module.
    attribute: String,
    /// Prefix of the names of its tensors.
    name: String,
    part: Part<'a>,
}

impl<'a> Layers<'a> {
    fn of(model: &'a FrozenModel) -> Self {
        let mut taken = BTreeSet::new();
        let parts = model.operations().iter().flat_map(Operation::parts);
        let layers = parts.map(|(name, part)| {
            let kind = match part {
                Part::Convolution(_) => "conv",
                Part::Linear(_) => "linear",
            };
            let plain = format!("{kind}_{}", name.replace('.', "_"));
            let mut attribute = plain.clone();
            // `a.b` and `a_b` are different layers.
            for number in 2.. {
                if taken.insert(attribute.clone()) {
                    break;
                }
                attribute = format!("{plain}_{number}");
            }
            NamedLayer {
                attribute,
                name,
                part,
            }
        });
        Self {
            layers: layers.collect(),
        }
    }

    /// The attributes of the layers of an operation.
    fn attributes(&self, operation: &Operation) -> Vec<&str> {
        let names: Vec<String> = operation
            .parts()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let layers = self
            .layers
            .iter()
            .filter(|layer| names.contains(&layer.name));
        layers.map(|layer| layer.attribute.as_str()).collect()
    }
}

/// The statements that create the layers.
fn layer_lines(layers: &Layers) -> String {
    let mut lines = String::new();
    for NamedLayer {
        attribute, part, ..
    } in &layers.layers
    {
        let layer = match part {
            Part::Convolution(convolution) => new_convolution(convolution),
            Part::Linear(linear) => {
                let [outputs, inputs] = linear.weight_shape;
                format!("nn.Linear({inputs}, {outputs})")
            }
        };
        push_line(&mut lines, &format!("self.{attribute} = {layer}"));
    }
    lines.trim_end().to_owned()
}

fn new_convolution(convolution: &Convolution) -> String {
    let [outputs, inputs, height, width] = convolution.weight_shape;
    let groups = convolution.groups;
    let Padding { start, end } = convolution.padding;
    let padding = match start == end {
        true => start,
        // `padded` adds it.
        false => [0; 2],
    };
    let mut arguments = format!("{}, {outputs}, {}", inputs * groups, pair([height, width]));
    for (name, value, default) in [("stride", convolution.stride, 1), ("padding", padding, 0)] {
        if value != [default; 2] {
            arguments += &format!(", {name}={}", pair(value));
        }
    }
    if groups > 1 {
        arguments += &format!(", groups={groups}");
    }
    format!("nn.Conv2d({arguments})")
}

/// Two sides, as one number if they are equal.
fn pair([first, second]: [usize; 2]) -> String {
    match first == second {
        true => first.to_string(),
        false => format!("({first}, {second})"),
    }
}

/// The statements that compute the buffers: operation `i` writes `x{i + 1}`.
fn step_lines(model: &FrozenModel, layers: &Layers) -> String {
    let mut lines = String::new();
    for (index, operation) in model.operations().iter().enumerate() {
        let input = format!("x{}", operation.input);
        let attributes = layers.attributes(operation);
        let first = attributes.first().copied().unwrap_or_default();
        let value = match &operation.layer {
            Layer::Convolution(convolution) => {
                format!("self.{first}({})", padded(input, convolution.padding))
            }
            Layer::MaxPool {
                window,
                stride,
                padding,
                ..
            } => format!("F.max_pool2d({input}, {window}, {stride}, {padding})"),
            Layer::Attention(_) => {
                push_factors(&mut lines, &input, &attributes);
                format!("{input} * factors")
            }
            Layer::GlobalAveragePool => format!("{input}.mean(dim=(2, 3), keepdim=True)"),
            Layer::Linear(_) => format!("self.{first}({input}.flatten(1))"),
        };
        let sum = match operation.layer.added_buffer() {
            Some(buffer) => format!("{value} + x{buffer}"),
            None => value,
        };
        let value = activated(sum, operation.layer.activation());
        push_line(&mut lines, &format!("x{} = {value}", index + 1));
    }
    push_line(&mut lines, &format!("return x{}", model.operations().len()));
    lines.trim_end().to_owned()
}

/// The statements that compute the factors of an attention layer: by two linear layers for each channel, by a
/// convolution for each pixel.
fn push_factors(lines: &mut String, input: &str, layers: &[&str]) {
    if let [reduce, expand] = layers {
        let reduced = format!("F.relu(self.{reduce}({input}.mean(dim=(2, 3))))");
        push_line(lines, &format!("reduced = {reduced}"));
        let factors = format!("self.{expand}(reduced).sigmoid()[:, :, None, None]");
        push_line(lines, &format!("factors = {factors}"));
        return;
    }
    let maps = format!("torch.stack([{input}.mean(1), {input}.amax(1)], 1)");
    let factors = format!("self.{}({maps}).sigmoid()", layers.concat());
    push_line(lines, &format!("factors = {factors}"));
}

/// `nn.Conv2d` knows equal padding only.
fn padded(value: String, padding: Padding) -> String {
    let Padding { start, end } = padding;
    match start == end {
        true => value,
        false => format!(
            "F.pad({value}, ({}, {}, {}, {}))",
            start[1], end[1], start[0], end[0]
        ),
    }
}

fn activated(value: String, activation: Option<Activation>) -> String {
    match activation {
        None => value,
        Some(Activation::Relu) => format!("F.relu({value})"),
        Some(Activation::Relu6) => format!("F.relu6({value})"),
        Some(Activation::Silu) => format!("F.silu({value})"),
    }
}

/// A statement of a method.
fn push_line(lines: &mut String, statement: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(lines, "        {statement}");
}

/// The statements from the normalised image `x` to the logits.
fn evaluation_lines(views: Views) -> &'static str {
    match (views.shifted, views.mirrored) {
        (false, false) => "        return self.network(x)",
        (true, false) => {
            "        views = [x, shifted(x, 1), shifted(x, -1)]\n        \
             return torch.stack([self.network(view) for view in views]).mean(0)"
        }
        (false, true) => {
            "        views = [x, x.flip(3)]\n        \
             return torch.stack([self.network(view) for view in views]).mean(0)"
        }
        (true, true) => {
            "        views = [x, shifted(x, 1), shifted(x, -1)]\n        \
             views += [view.flip(3) for view in views]\n        \
             return torch.stack([self.network(view) for view in views]).mean(0)"
        }
    }
}

/// The method that applies the limit of familiarity, if there is one.
fn none_of_these_method(model: &FrozenModel) -> String {
    match model.confidence().familiarity_limit {
        None => String::new(),
        Some(limit) => format!(
            r#"
    def none_of_these(self, images):
        """Whether each image is none of the classes, bool [n]."""
        return self(images).logsumexp(1) < {limit:?}
"#
        ),
    }
}

fn shifted_function(views: Views) -> &'static str {
    match views.shifted {
        false => "",
        true => {
            r#"
def shifted(x, offset):
    """Images whose row i is row i + offset of x, and whose columns likewise, reflected at the border."""
    for dim in (2, 3):
        side = x.shape[dim]
        source = (torch.arange(side, device=x.device) + offset).abs()
        source = torch.where(source < side, source, (2 * (side - 1) - source).clamp(min=0))
        x = x.index_select(dim, source)
    return x

"#
        }
    }
}

/// The entries from the attribute of each layer to its name in the file of weights.
fn tensor_lines(layers: &Layers) -> String {
    let entries = layers.layers.iter().map(|layer| {
        // Names have letters, digits, `_` and `.` only.
        format!("    \"{}\": \"{}\",", layer.attribute, layer.name)
    });
    entries.collect::<Vec<_>>().join("\n")
}

fn numbers(values: &[f32]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[{}]", values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_written_as_pytorch_takes_them() {
        let convolution = Convolution {
            weight_shape: [8, 2, 3, 5],
            groups: 4,
            weight: Vec::new(),
            bias: Vec::new(),
            stride: [2, 2],
            padding: Padding::even([1, 2]),
            add_from: None,
            activation: None,
        };
        assert_eq!(
            new_convolution(&convolution),
            "nn.Conv2d(8, 8, (3, 5), stride=2, padding=(1, 2), groups=4)"
        );
        assert_eq!(padded("x1".to_owned(), convolution.padding), "x1");
        let uneven = Convolution {
            padding: Padding {
                start: [0, 1],
                end: [2, 3],
            },
            ..convolution
        };
        assert_eq!(
            new_convolution(&uneven),
            "nn.Conv2d(8, 8, (3, 5), stride=2, groups=4)"
        );
        assert_eq!(
            padded("x1".to_owned(), uneven.padding),
            "F.pad(x1, (1, 3, 0, 2))"
        );
        assert_eq!(numbers(&[0.1, 1e-7, 1.0]), "[0.1, 1e-7, 1.0]");
    }
}
