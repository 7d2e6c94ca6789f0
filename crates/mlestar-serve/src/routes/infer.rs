//! `/v2/models/NAME/infer`.

use super::model_path::ModelPath;
use crate::app::{App, Prepared};
use crate::images::prepare;
use crate::metrics::Phase;
use crate::model::ServedModel;
use crate::protocol::{
    HEADER_LENGTH, InferRequest, InferResponse, Input, Output, OutputValues, respond,
};
use crate::refusal::Refusal;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use mlestar_export::Prediction;
use std::sync::Arc;
use std::time::Instant;

pub async fn infer(
    State(app): State<Arc<App>>,
    ModelPath(model): ModelPath,
    request: Request,
) -> Result<Response, Refusal> {
    let mut received = app.receive(request).await?;
    let begun = Instant::now();
    let (body, length) = (
        received.body.clone(),
        header_length(&received.parts.headers)?,
    );
    let parse = move || InferRequest::parse(body, length);
    let mut request = app.on_worker(received.deadline, parse).await?;
    choose_outputs(&model, &mut request)?;
    received.admit(&app, request.input.n())?;
    let max_pixels = app.settings.max_pixels;
    let its_model = Arc::clone(&model);
    let (request, prepared) = app
        .on_worker(received.deadline, move || {
            let prepared = prepare_input(&its_model, &request.input, max_pixels)?;
            Ok((request, prepared))
        })
        .await?;
    received.trace.phase(Phase::Decode, begun.elapsed());
    let Prepared {
        pixels,
        appearances,
    } = prepared;
    let n = appearances.len();
    let computed = app.compute(&model, pixels, n, &received).await?;
    let predictions = model.predictor.predictions(&computed.logits);
    app.record(&model, &appearances, &predictions);
    let logits = computed.logits;
    // The answer can be as large as the question.
    let writing = move || Ok(answer(&model, &request, &logits, &predictions));
    Ok(in_http(app.on_worker(received.deadline, writing).await?))
}

/// The number of bytes of JSON; `None` without binary tensors.
fn header_length(headers: &HeaderMap) -> Result<Option<usize>, Refusal> {
    let Some(value) = headers.get(HEADER_LENGTH) else {
        return Ok(None);
    };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong = || Refusal::invalid("Inference-Header-Content-Length is no number of bytes");
    length.map(Some).ok_or_else(wrong)
}

fn prepare_input(model: &ServedModel, input: &Input, max_pixels: u64) -> Result<Prepared, Refusal> {
    let mut prepared = Prepared::default();
    match input {
        Input::Pixels {
            height,
            width,
            data,
            ..
        } => {
            if (*height, *width) != model.size() {
                let (expected_height, expected_width) = model.size();
                return Err(Refusal::invalid(format!(
                    "input \"images\" has images of {height} x {width} (height x width), but the model takes \
                     {expected_height} x {expected_width}: send files as \"raw\" to have them resized"
                )));
            }
            let images = data.chunks_exact(model.image_bytes());
            images.for_each(|image| prepared.push(image));
        }
        Input::Files(files) => {
            for (index, file) in files.iter().enumerate() {
                let pixels = prepare(model, file, max_pixels);
                let about =
                    |refusal: Refusal| refusal.about(&format!("input \"raw\", element {index}"));
                prepared.push(&pixels.map_err(about)?);
            }
        }
    }
    Ok(prepared)
}

fn answer(
    model: &ServedModel,
    request: &InferRequest,
    logits: &[f32],
    predictions: &[Prediction],
) -> InferResponse {
    let all = predictions
        .iter()
        .flat_map(|prediction| &prediction.probabilities);
    let probabilities: Vec<f32> = all.map(|value| *value as f32).collect();
    let all = predictions.iter();
    let familiarities: Vec<f32> = all.clone().map(|one| one.familiarity as f32).collect();
    let flags: Vec<bool> = all.map(|one| one.none_of_these).collect();
    respond(
        (&model.name, &model.version),
        request.id.as_deref(),
        predictions.len(),
        &model.manifest.classes,
        &request.outputs,
        |requested| match requested.output {
            Output::Logits => OutputValues::Numbers(logits),
            Output::Probabilities => OutputValues::Numbers(&probabilities),
            Output::Familiarity => OutputValues::Numbers(&familiarities),
            Output::NoneOfThese => OutputValues::Flags(&flags),
        },
    )
}

/// Leaves the outputs that the model has; refuses a named one that it lacks.
fn choose_outputs(model: &ServedModel, request: &mut InferRequest) -> Result<(), Refusal> {
    let has = model.outputs();
    let mut requested = request.outputs.iter();
    match requested.find(|requested| !has.contains(&requested.output)) {
        Some(requested) if request.names_outputs => Err(Refusal::invalid(format!(
            "this model has no output {:?}",
            requested.output.name()
        ))),
        _ => {
            request
                .outputs
                .retain(|requested| has.contains(&requested.output));
            Ok(())
        }
    }
}

fn in_http(response: InferResponse) -> Response {
    let json_length = response.json.len();
    let Some(binary) = response.binary else {
        let media_type = HeaderValue::from_static("application/json");
        return ([(header::CONTENT_TYPE, media_type)], response.json).into_response();
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (
            HeaderName::from_static(HEADER_LENGTH),
            HeaderValue::from(json_length),
        ),
    ];
    (headers, Bytes::from([response.json, binary].concat())).into_response()
}
