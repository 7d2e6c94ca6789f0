//! `/v1/classify`: image files to classes, for people and simple clients.

use super::query::number;
use crate::app::{App, Prepared, Received};
use crate::images::prepare;
use crate::json::Json;
use crate::metrics::Phase;
use crate::model::ServedModel;
use crate::refusal::Refusal;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::header;
use mlestar_export::{Prediction, RankedClass};
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// The answer: the model, and each image in the order of the request.
#[derive(Serialize)]
pub struct Classified {
    model: String,
    version: String,
    images: Vec<Answer>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Classified {
        file: Option<String>,
        class: String,
        class_index: usize,
        probability: f64,
        none_of_these: bool,
        familiarity: f64,
        answers: Vec<RankedClass>,
    },
    Failed {
        file: Option<String>,
        error: String,
    },
}

/// A file of a request.
struct File {
    name: Option<String>,
    content: Bytes,
}

pub async fn classify(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Classified>, Refusal> {
    let model = app.models.get();
    let top = number(request.uri(), "top", 3, 1..=1000)?;
    let mut received = app.receive(request).await?;
    let begun = Instant::now();
    let (files, is_multipart) = files(&received).await?;
    received.admit(&app, files.len())?;
    let max_pixels = app.settings.max_pixels;
    let its_model = Arc::clone(&model);
    let prepare_all = move || {
        let mut prepared = Prepared::default();
        let mut outcomes = Vec::new();
        for file in files {
            let outcome = prepare(&its_model, &file.content, max_pixels);
            let outcome = outcome.map(|pixels| prepared.push(&pixels));
            outcomes.push((file.name, outcome));
        }
        Ok((prepared, outcomes))
    };
    let (prepared, outcomes) = app.on_worker(received.deadline, prepare_all).await?;
    received.trace.phase(Phase::Decode, begun.elapsed());
    let Prepared {
        pixels,
        appearances,
    } = prepared;
    let computed = app
        .compute(&model, pixels, appearances.len(), &received)
        .await?;
    let predictions = model.predictor.predictions(&computed.logits);
    app.record(&model, &appearances, &predictions);
    let mut predictions = predictions.iter();
    let mut images = Vec::new();
    for (file, outcome) in outcomes {
        images.push(match outcome {
            // The status tells of a single image.
            Err(refusal) if !is_multipart => return Err(refusal.about("the image")),
            Err(refusal) => Answer::Failed {
                file,
                error: refusal.to_string(),
            },
            Ok(()) => answer(&model, file, predictions.next(), top)?,
        });
    }
    Ok(Json(Classified {
        model: model.name.clone(),
        version: model.version.clone(),
        images,
    }))
}

fn answer(
    model: &ServedModel,
    file: Option<String>,
    prediction: Option<&Prediction>,
    top: usize,
) -> Result<Answer, Refusal> {
    let prediction = prediction.ok_or_else(|| Refusal::fault("the model gave no prediction"))?;
    Ok(Answer::Classified {
        file,
        class: prediction.class.clone(),
        class_index: prediction.class_index,
        probability: prediction.probability,
        none_of_these: prediction.none_of_these,
        familiarity: prediction.familiarity,
        answers: model.predictor.top_k(prediction, top),
    })
}

/// The files of a request, and whether its body had parts.
async fn files(received: &Received) -> Result<(Vec<File>, bool), Refusal> {
    let media_type = received.parts.headers.get(header::CONTENT_TYPE);
    let media_type = media_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let is_multipart = media_type
        .to_ascii_lowercase()
        .starts_with("multipart/form-data");
    if !is_multipart {
        let file = File {
            name: None,
            content: received.body.clone(),
        };
        return Ok((vec![file], false));
    }
    Ok((parts(received).await?, true))
}

async fn parts(received: &Received) -> Result<Vec<File>, Refusal> {
    let mut request = Request::new(Body::from(received.body.clone()));
    *request.headers_mut() = received.parts.headers.clone();
    // The body is here already, within the limit.
    DefaultBodyLimit::disable().apply(&mut request);
    let wrong = |error: String| Refusal::invalid(format!("the parts of the body: {error}"));
    let parts = Multipart::from_request(request, &()).await;
    let mut parts = parts.map_err(|error| wrong(error.body_text()))?;
    let mut files = Vec::new();
    while let Some(part) = parts
        .next_field()
        .await
        .map_err(|error| wrong(error.body_text()))?
    {
        let name = part.file_name().or(part.name()).map(str::to_owned);
        let content = part
            .bytes()
            .await
            .map_err(|error| wrong(error.body_text()))?;
        files.push(File { name, content });
    }
    match files.is_empty() {
        true => Err(wrong(
            "there are none; send each image as a part".to_owned(),
        )),
        false => Ok(files),
    }
}
