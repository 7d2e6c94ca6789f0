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
use crate::graph::{Convolution, Layer};

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
    let layers = layer_names(model);
    let values = [
        ("{height}", model.height().to_string()),
        ("{width}", model.width().to_string()),
        ("{n_classes}", model.n_classes().to_string()),
        ("{mean}", numbers(&model.normalization().mean)),
        ("{std}", numbers(&model.normalization().std)),
        ("{layers}", layer_lines(model, &layers)),
        ("{steps}", step_lines(model, &layers)),
        ("{evaluation}", evaluation_lines(model.views()).to_owned()),
        (
            "{temperature}",
            format!("{:?}", model.confidence().temperature),
        ),
        ("{none_of_these}", none_of_these_method(model)),
        ("{shifted}", shifted_function(model.views()).to_owned()),
        ("{tensors}", tensor_lines(model, &layers)),
        // Last: a name of a class may look like a placeholder.
        ("{classes}", json!(model.classes()).to_string()),
    ];
    let mut text = include_str!("torch_model.py.in").to_owned();
    for (placeholder, value) in values {
        text = text.replace(placeholder, &value);
    }
    text
}

/// The Python attribute of each operation with weights. The prefix keeps it apart from the attributes of a module.
fn layer_names(model: &FrozenModel) -> Vec<Option<String>> {
    let mut taken = BTreeSet::new();
    let names = model.operations().iter().map(|operation| {
        let kind = match operation.layer {
            Layer::Convolution(_) => "conv",
            Layer::Linear(_) => "linear",
            Layer::MaxPool { .. } | Layer::GlobalAveragePool => return None,
        };
        let plain = format!("{kind}_{}", operation.name.replace('.', "_"));
        let mut name = plain.clone();
        // `a.b` and `a_b` are different operations.
        for number in 2.. {
            if taken.insert(name.clone()) {
                break;
            }
            name = format!("{plain}_{number}");
        }
        Some(name)
    });
    names.collect()
}

/// The statements that create the layers.
fn layer_lines(model: &FrozenModel, names: &[Option<String>]) -> String {
    let mut lines = String::new();
    for (operation, name) in model.operations().iter().zip(names) {
        let Some(name) = name else { continue };
        let layer = match &operation.layer {
            Layer::Convolution(convolution) => new_convolution(convolution),
            Layer::Linear(linear) => {
                let [outputs, inputs] = linear.weight_shape;
                format!("nn.Linear({inputs}, {outputs})")
            }
            Layer::MaxPool { .. } | Layer::GlobalAveragePool => continue,
        };
        push_line(&mut lines, &format!("self.{name} = {layer}"));
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
fn step_lines(model: &FrozenModel, names: &[Option<String>]) -> String {
    let mut lines = String::new();
    for (index, (operation, name)) in model.operations().iter().zip(names).enumerate() {
        let input = format!("x{}", operation.input);
        let name = name.as_deref().unwrap_or_default();
        let value = match &operation.layer {
            Layer::Convolution(convolution) => {
                let input = padded(input, convolution.padding);
                let sum = match convolution.add_from {
                    Some(buffer) => format!("self.{name}({input}) + x{buffer}"),
                    None => format!("self.{name}({input})"),
                };
                activated(sum, convolution.activation)
            }
            Layer::MaxPool {
                window,
                stride,
                padding,
                activation,
            } => {
                let pooled = format!("F.max_pool2d({input}, {window}, {stride}, {padding})");
                activated(pooled, *activation)
            }
            Layer::GlobalAveragePool => format!("{input}.mean(dim=(2, 3), keepdim=True)"),
            Layer::Linear(_) => format!("self.{name}({input}.flatten(1))"),
        };
        push_line(&mut lines, &format!("x{} = {value}", index + 1));
    }
    push_line(&mut lines, &format!("return x{}", model.operations().len()));
    lines.trim_end().to_owned()
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
fn tensor_lines(model: &FrozenModel, names: &[Option<String>]) -> String {
    let operations = model.operations().iter().zip(names);
    let entries = operations.filter_map(|(operation, name)| {
        // Names have letters, digits, `_` and `.` only.
        Some(format!(
            "    \"{}\": \"{}\",",
            name.as_ref()?,
            operation.name
        ))
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
