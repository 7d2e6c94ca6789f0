//! The body of an inference response.

use super::binary::from_elements;
use super::request::{OutputForm, RequestedOutput};
use serde::Serialize;

/// The answer to a request: JSON, and the bytes of binary tensors behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferResponse {
    /// The JSON.
    pub json: Vec<u8>,
    /// The bytes of the outputs that were wanted as bytes, in their order; `None` if none was.
    pub binary: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct JsonResponse<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<JsonOutput>,
}

#[derive(Serialize)]
struct JsonOutput {
    name: &'static str,
    shape: Vec<i64>,
    datatype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Values>,
}

#[derive(Serialize)]
struct Parameters {
    binary_data_size: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Values {
    Numbers(Vec<f32>),
    Flags(Vec<bool>),
    Texts(Vec<String>),
}

impl Values {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Numbers(numbers) => numbers
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
            Self::Flags(flags) => flags.iter().map(|flag| u8::from(*flag)).collect(),
            Self::Texts(texts) => from_elements(texts),
        }
    }
}

/// The values of an output, row-major.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OutputValues<'a> {
    /// Of FP32.
    Numbers(&'a [f32]),
    /// Of BOOL.
    Flags(&'a [bool]),
}

/// Writes the answer for `n` images. `values` gives those of an output.
pub fn respond<'a>(
    model: (&str, &str),
    id: Option<&str>,
    n: usize,
    classes: &[String],
    outputs: &[RequestedOutput],
    values: impl Fn(&RequestedOutput) -> OutputValues<'a>,
) -> InferResponse {
    let mut binary = Vec::new();
    let mut is_binary = false;
    let outputs = outputs.iter().map(|requested| {
        let mut output = output(requested, n, classes, values(requested));
        if requested.is_binary {
            let bytes = output
                .data
                .take()
                .map(|values| values.bytes())
                .unwrap_or_default();
            output.parameters = Some(Parameters {
                binary_data_size: bytes.len(),
            });
            binary.extend(bytes);
            is_binary = true;
        }
        output
    });
    let response = JsonResponse {
        model_name: model.0,
        model_version: model.1,
        id,
        outputs: outputs.collect(),
    };
    InferResponse {
        // Strings and numbers always have a JSON form.
        json: serde_json::to_vec(&response).unwrap_or_default(),
        binary: is_binary.then_some(binary),
    }
}

fn output(
    requested: &RequestedOutput,
    n: usize,
    classes: &[String],
    values: OutputValues<'_>,
) -> JsonOutput {
    let (shape, datatype, data) = match (requested.form, values) {
        (OutputForm::Classification(k), OutputValues::Numbers(numbers)) => {
            let k = k.min(classes.len());
            let rows = numbers.chunks_exact(classes.len().max(1));
            let texts = rows.flat_map(|row| highest(row, k, classes)).collect();
            (vec![n as i64, k as i64], "BYTES", Values::Texts(texts))
        }
        (_, values) => (
            requested.output.shape(n as i64, classes.len()),
            requested.output.datatype(),
            match values {
                OutputValues::Numbers(numbers) => Values::Numbers(numbers.to_vec()),
                OutputValues::Flags(flags) => Values::Flags(flags.to_vec()),
            },
        ),
    };
    JsonOutput {
        name: requested.output.name(),
        shape,
        datatype,
        parameters: None,
        data: Some(data),
    }
}

/// The `k` highest values of a row as `value:index:name`, equal ones by index.
fn highest(row: &[f32], k: usize, classes: &[String]) -> Vec<String> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    let texts = order.into_iter().take(k);
    texts
        .map(|index| format!("{:.6}:{index}:{}", row[index], classes[index]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;
    use serde_json::Value;

    #[test]
    fn json_and_binary_hold_the_same_numbers() {
        let classes = ["a".to_owned(), "b".to_owned()];
        let values = [0.1_f32, 0.9, 1.0 / 3.0, f32::MIN_POSITIVE];
        let wanted = |is_binary, form| RequestedOutput {
            output: Output::Probabilities,
            is_binary,
            form,
        };
        let answer = |output: RequestedOutput| {
            respond(("m", "1"), Some("x"), 2, &classes, &[output], |_| {
                OutputValues::Numbers(&values)
            })
        };
        let json: Value =
            serde_json::from_slice(&answer(wanted(false, OutputForm::Numbers)).json).unwrap();
        assert_eq!(json["outputs"][0]["shape"], serde_json::json!([2, 2]));
        let read: Vec<f32> = serde_json::from_value(json["outputs"][0]["data"].clone()).unwrap();
        assert_eq!(read, values);
        let binary = answer(wanted(true, OutputForm::Numbers));
        let expected: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert_eq!(binary.binary, Some(expected));
        let top = answer(wanted(false, OutputForm::Classification(5)));
        let json: Value = serde_json::from_slice(&top.json).unwrap();
        assert_eq!(json["outputs"][0]["data"][0], "0.900000:1:b");
        assert_eq!(json["outputs"][0]["shape"], serde_json::json!([2, 2]));
    }
}
