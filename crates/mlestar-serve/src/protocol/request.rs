//! The body of an inference request.

use super::binary::{Section, elements};
use super::data::Data;
use super::{FILES_INPUT, PIXELS_INPUT};
use crate::output::Output;
use crate::refusal::Refusal;
use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What a request asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferRequest {
    /// The client's name for the request, for the answer.
    pub id: Option<String>,
    /// The images.
    pub input: Input,
    /// The outputs that it wants, in its order; every one that a model can have if it names none.
    pub outputs: Vec<RequestedOutput>,
    /// Whether it names them.
    pub names_outputs: bool,
}

/// The images of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Pixels `[n, height, width, 3]`, `n` at least 1.
    Pixels {
        /// Number of images.
        n: usize,
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
        /// `n * height * width * 3` bytes, row-major.
        data: Bytes,
    },
    /// Image files as bytes, at least one.
    Files(Vec<Bytes>),
}

impl Input {
    /// Number of images.
    pub fn n(&self) -> usize {
        match self {
            Self::Pixels { n, .. } => *n,
            Self::Files(files) => files.len(),
        }
    }
}

/// An output that the client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestedOutput {
    /// Which one.
    pub output: Output,
    /// Whether as bytes behind the JSON.
    pub is_binary: bool,
    /// In which form.
    pub form: OutputForm,
}

/// The form of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputForm {
    /// All its numbers.
    Numbers,
    /// This many classes with the highest values, as texts `value:index:name`.
    Classification(usize),
}

#[derive(Deserialize)]
struct JsonRequest {
    id: Option<String>,
    parameters: Option<Map<String, Value>>,
    inputs: Vec<JsonInput>,
    outputs: Option<Vec<JsonOutput>>,
}

#[derive(Deserialize)]
struct JsonInput {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    parameters: Option<Map<String, Value>>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct JsonOutput {
    name: String,
    parameters: Option<Map<String, Value>>,
}

impl InferRequest {
    /// Reads a body. `header_length` is the number of bytes of JSON at its beginning; without it, all of it is JSON.
    ///
    /// # Errors
    /// A refusal with status 400 that names the field, its value and what it must be.
    ///
    /// ```
    /// use mlestar_serve::protocol::{InferRequest, Input};
    /// let body = r#"{"inputs": [{"name": "images", "shape": [1, 1, 2, 3], "datatype": "UINT8",
    ///                "data": [1, 2, 3, 4, 5, 6]}]}"#;
    /// let request = InferRequest::parse(body.into(), None)?;
    /// assert_eq!(request.input.n(), 1);
    /// assert!(InferRequest::parse(body.replace("UINT8", "FP32").into(), None).is_err());
    /// # Ok::<(), mlestar_serve::Refusal>(())
    /// ```
    pub fn parse(body: Bytes, header_length: Option<usize>) -> Result<Self, Refusal> {
        let length = header_length.unwrap_or(body.len());
        if length > body.len() {
            return Err(Refusal::invalid(format!(
                "Inference-Header-Content-Length is {length}, but the body has only {} bytes",
                body.len()
            )));
        }
        let json: JsonRequest = serde_json::from_slice(&body[..length])
            .map_err(|error| Refusal::invalid(format!("the JSON of the request: {error}")))?;
        let mut section = Section::new(body.slice(length..));
        let input = input(json.inputs, &mut section)?;
        section.finish()?;
        Ok(Self {
            id: json.id,
            input,
            names_outputs: json
                .outputs
                .as_ref()
                .is_some_and(|outputs| !outputs.is_empty()),
            outputs: outputs(json.outputs, json.parameters.as_ref())?,
        })
    }
}

fn input(inputs: Vec<JsonInput>, section: &mut Section) -> Result<Input, Refusal> {
    let n = inputs.len();
    let Ok([input]) = <[JsonInput; 1]>::try_from(inputs) else {
        return Err(Refusal::invalid(format!(
            "the request has {n} inputs, but must have one: \"{PIXELS_INPUT}\" or \"{FILES_INPUT}\""
        )));
    };
    let expect_type = |expected: &str| match input.datatype == expected {
        true => Ok(()),
        false => Err(Refusal::invalid(format!(
            "input {:?} has the datatype {:?}, but must have {expected}",
            input.name, input.datatype
        ))),
    };
    match input.name.as_str() {
        PIXELS_INPUT => {
            expect_type("UINT8")?;
            pixels(input, section)
        }
        FILES_INPUT => {
            expect_type("BYTES")?;
            files(input, section)
        }
        other => Err(Refusal::invalid(format!(
            "there is no input {other:?}: use \"{PIXELS_INPUT}\" or \"{FILES_INPUT}\""
        ))),
    }
}

/// The content of an input: bytes behind the JSON, or values in it.
enum Content {
    Binary(Bytes),
    Json(Data),
}

impl JsonInput {
    fn content(&mut self, section: &mut Section) -> Result<Content, Refusal> {
        let size = self
            .parameters
            .as_ref()
            .and_then(|all| all.get("binary_data_size"));
        match (size, self.data.take()) {
            (None, Some(data)) => Ok(Content::Json(data)),
            (Some(size), None) => {
                let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
                let size =
                    size.ok_or_else(|| self.wrong("its binary_data_size is no number of bytes"))?;
                section.take(&self.name, size).map(Content::Binary)
            }
            (None, None) => Err(self.wrong("it has neither data nor a binary_data_size")),
            (Some(_), Some(_)) => Err(self.wrong("it has both data and a binary_data_size")),
        }
    }

    fn wrong(&self, what: &str) -> Refusal {
        Refusal::invalid(format!("input {:?}: {what}", self.name))
    }
}

fn pixels(mut input: JsonInput, section: &mut Section) -> Result<Input, Refusal> {
    let shape: Option<Vec<usize>> = (input.shape.iter())
        .map(|&side| usize::try_from(side).ok())
        .collect();
    let sides = match shape.as_deref() {
        Some(&[n, height, width, 3]) if n > 0 && height > 0 && width > 0 => {
            Some((n, height, width))
        }
        _ => None,
    };
    let (n, height, width) = sides.ok_or_else(|| {
        input.wrong(&format!(
            "its shape is {:?}, but must be [n, height, width, 3]",
            input.shape
        ))
    })?;
    let data = match input.content(section)? {
        Content::Binary(bytes) => bytes,
        Content::Json(data) if data.strings.is_empty() => data.bytes.into(),
        Content::Json(_) => return Err(input.wrong("its data have strings among the numbers")),
    };
    let expected = [height, width, 3]
        .iter()
        .try_fold(n, |all, &side| all.checked_mul(side));
    match expected == Some(data.len()) {
        true => Ok(Input::Pixels {
            n,
            height,
            width,
            data,
        }),
        false => Err(input.wrong(&format!(
            "it has {} values, but its shape {:?} asks for {}",
            data.len(),
            input.shape,
            expected.map_or("more than any body has".to_owned(), |n| n.to_string())
        ))),
    }
}

fn files(mut input: JsonInput, section: &mut Section) -> Result<Input, Refusal> {
    let (&[n] | &[n, 1]) = input.shape.as_slice() else {
        return Err(input.wrong(&format!(
            "its shape is {:?}, but must be [n] or [n, 1]",
            input.shape
        )));
    };
    let files = match input.content(section)? {
        Content::Binary(bytes) => elements(&input.name, bytes)?,
        Content::Json(data) if data.bytes.is_empty() => decode(&input, &data.strings)?,
        Content::Json(_) => return Err(input.wrong("its data have numbers among the strings")),
    };
    match n >= 1 && files.len() as u64 == n {
        true => Ok(Input::Files(files)),
        false => Err(input.wrong(&format!(
            "it has {} elements, but its shape is {:?}; it must have at least one",
            files.len(),
            input.shape
        ))),
    }
}

fn decode(input: &JsonInput, texts: &[String]) -> Result<Vec<Bytes>, Refusal> {
    let files = texts
        .iter()
        .enumerate()
        .map(|(index, text)| match STANDARD.decode(text) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(input.wrong(&format!(
                "element {index} is not base64, which JSON needs for bytes: {error}"
            ))),
        });
    files.collect()
}

fn outputs(
    requested: Option<Vec<JsonOutput>>,
    parameters: Option<&Map<String, Value>>,
) -> Result<Vec<RequestedOutput>, Refusal> {
    let all_binary = flag(parameters, "binary_data_output")?.unwrap_or(false);
    let requested = requested.unwrap_or_default();
    if requested.is_empty() {
        return Ok(Output::ALL
            .map(|output| RequestedOutput {
                output,
                is_binary: all_binary,
                form: OutputForm::Numbers,
            })
            .to_vec());
    }
    let mut outputs: Vec<RequestedOutput> = Vec::new();
    for wanted in requested {
        let output = requested_output(&wanted, all_binary)?;
        // The number of outputs, and so the size of an answer, stays bounded.
        if outputs.iter().any(|other| other.output == output.output) {
            return Err(Refusal::invalid(format!(
                "output {:?} is named twice",
                wanted.name
            )));
        }
        outputs.push(output);
    }
    Ok(outputs)
}

fn requested_output(wanted: &JsonOutput, all_binary: bool) -> Result<RequestedOutput, Refusal> {
    let found = Output::ALL
        .into_iter()
        .find(|output| output.name() == wanted.name);
    let output = found.ok_or_else(|| {
        let names = Output::ALL.map(|output| format!("{:?}", output.name()));
        Refusal::invalid(format!(
            "there is no output {:?}: use {}",
            wanted.name,
            names.join(" or ")
        ))
    })?;
    let parameters = wanted.parameters.as_ref();
    let form = match parameters.and_then(|all| all.get("classification")) {
        None => OutputForm::Numbers,
        Some(k) => match k.as_u64().and_then(|k| usize::try_from(k).ok()) {
            Some(0) => OutputForm::Numbers,
            Some(k) if output.is_by_class() => OutputForm::Classification(k),
            _ => {
                return Err(Refusal::invalid(format!(
                    "output {:?}: classification is {k}, but must be a number of classes of an output with a value for \
                     each class",
                    wanted.name
                )));
            }
        },
    };
    Ok(RequestedOutput {
        output,
        is_binary: flag(parameters, "binary_data")?.unwrap_or(all_binary),
        form,
    })
}

fn flag(parameters: Option<&Map<String, Value>>, name: &str) -> Result<Option<bool>, Refusal> {
    match parameters.and_then(|all| all.get(name)) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(Refusal::invalid(format!(
            "the parameter {name} is {other}, but must be true or false"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(json: &str, header_length: Option<usize>, expected: &str) {
        let error = InferRequest::parse(json.to_owned().into(), header_length).unwrap_err();
        assert_eq!(error.status(), 400);
        assert!(error.to_string().contains(expected), "{error}");
    }

    fn with(input: &str) -> String {
        format!("{{\"inputs\": [{{{input}}}]}}")
    }

    #[test]
    fn every_wrong_field_is_named() {
        let images = |rest: &str| with(&format!("\"name\": \"images\", {rest}"));
        refused("", None, "the JSON of the request");
        refused("{\"inputs\": []}", None, "has 0 inputs");
        refused("{}", Some(3), "Inference-Header-Content-Length is 3");
        refused(
            &with(r#""name": "x", "shape": [1], "datatype": "BYTES", "data": []"#),
            None,
            "no input \"x\"",
        );
        refused(
            &images(r#""shape": [1], "datatype": "FP32", "data": [1]"#),
            None,
            "must have UINT8",
        );
        refused(
            &images(r#""shape": [1, 1, 1, 3], "datatype": "UINT8""#),
            None,
            "neither data nor",
        );
        refused(
            &images(r#""shape": [1, 1, 1, 3], "datatype": "UINT8", "data": [1, 2]"#),
            None,
            "has 2 values",
        );
        refused(
            &images(r#""shape": [0, 1, 1, 3], "datatype": "UINT8", "data": []"#),
            None,
            "shape is [0, 1, 1, 3]",
        );
        refused(
            &images(r#""shape": [1, 1, 3], "datatype": "UINT8", "data": []"#),
            None,
            "must be [n, height",
        );
        refused(
            &images(r#""shape": [1, -1, 1, 3], "datatype": "UINT8", "data": []"#),
            None,
            "the JSON",
        );
        let huge = r#""shape": [9223372036854775807, 9223372036854775807, 1, 3], "datatype": "UINT8", "data": []"#;
        refused(&images(huge), None, "more than any body has");
        refused(
            &images(
                r#""shape": [1, 1, 1, 3], "datatype": "UINT8", "parameters": {"binary_data_size": 3}"#,
            ),
            None,
            "only 0 bytes are left",
        );
        let raw = |rest: &str| {
            with(&format!(
                "\"name\": \"raw\", \"datatype\": \"BYTES\", {rest}"
            ))
        };
        refused(
            &raw(r#""shape": [1], "data": ["%"]"#),
            None,
            "element 0 is not base64",
        );
        refused(
            &raw(r#""shape": [2], "data": ["AA=="]"#),
            None,
            "has 1 elements",
        );
        refused(&raw(r#""shape": [0], "data": []"#), None, "at least one");
        refused(
            &raw(r#""shape": [1], "data": [7]"#),
            None,
            "numbers among the strings",
        );
    }

    #[test]
    fn bytes_that_belong_to_no_input_are_refused() {
        let json = with(r#""name": "raw", "datatype": "BYTES", "shape": [1], "data": ["AA=="]"#);
        refused(&format!("{json}xx"), Some(json.len()), "2 bytes at the end");
    }

    #[test]
    fn outputs_and_their_forms_are_chosen() {
        let request = |outputs: &str| {
            let body = format!(
                r#"{{"inputs": [{{"name": "raw", "datatype": "BYTES", "shape": [1], "data": ["AA=="]}}], {outputs}}}"#
            );
            InferRequest::parse(body.into(), None)
        };
        let all = request(r#""parameters": {"binary_data_output": true}"#)
            .unwrap()
            .outputs;
        assert_eq!(all.len(), Output::ALL.len());
        assert!(all.iter().all(|output| output.is_binary));
        let one = request(
            r#""outputs": [{"name": "probabilities", "parameters": {"classification": 2, "binary_data": false}}]"#,
        );
        assert_eq!(
            one.unwrap().outputs,
            [RequestedOutput {
                output: Output::Probabilities,
                is_binary: false,
                form: OutputForm::Classification(2)
            }]
        );
        for wrong in [
            r#""outputs": [{"name": "x"}]"#,
            r#""outputs": [{"name": "logits"}, {"name": "logits"}]"#,
            r#""outputs": [{"name": "logits", "parameters": {"classification": -1}}]"#,
            r#""outputs": [{"name": "logits", "parameters": {"binary_data": 1}}]"#,
        ] {
            assert_eq!(request(wrong).unwrap_err().status(), 400, "{wrong}");
        }
    }

    proptest! {
        /// What is accepted is consistent, and nothing panics.
        #[test]
        fn arbitrary_bodies_are_answered(
            text in r#"\{?("inputs": ?\[\{"name": ?"(images|raw)", ?"shape": ?\[[0-9, ]{0,9}\], ?"datatype": ?"(UINT8|BYTES)", ?("data": ?\[[0-9,"A=]{0,12}\]|"parameters": ?\{"binary_data_size": ?[0-9]{1,3}\})\}\])?\}?"#,
            tail in prop::collection::vec(any::<u8>(), 0..40),
            length in prop::option::of(0_usize..200),
        ) {
            let body = [text.as_bytes(), &tail].concat();
            for length in [length, Some(text.len())] {
                if let Ok(request) = InferRequest::parse(body.clone().into(), length) {
                    prop_assert!(request.input.n() >= 1);
                    if let Input::Pixels { n, height, width, data } = request.input {
                        prop_assert_eq!(n * height * width * 3, data.len());
                    }
                }
            }
        }
    }
}
