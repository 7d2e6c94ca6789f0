//! `/v1/explain`: which places of an image the answer rests on.

use super::query::number;
use crate::app::App;
use crate::images::prepare;
use crate::json::Json;
use crate::metrics::Phase;
use crate::occlusion;
use crate::refusal::Refusal;
use axum::extract::{Request, State};
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// The occlusion map of an image.
#[derive(Serialize)]
pub struct Explained {
    class: String,
    class_index: usize,
    probability: f64,
    rows: usize,
    columns: usize,
    /// By how much the probability of the class falls when a grey patch covers a place; row by row.
    falls: Vec<Vec<f64>>,
}

pub async fn explain(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Explained>, Refusal> {
    let model = app.models.get();
    let grid = number(request.uri(), "grid", 7, 2..=16)?;
    let mut received = app.receive(request).await?;
    let begun = Instant::now();
    let (height, width) = model.size();
    let (rows, columns) = (grid.min(height), grid.min(width));
    received.admit(&app, 1 + rows * columns)?;
    let (its_model, body) = (Arc::clone(&model), received.body.clone());
    let max_pixels = app.settings.max_pixels;
    let cover = move || {
        let image = prepare(&its_model, &body, max_pixels);
        let image = image.map_err(|refusal| refusal.about("the image"))?;
        Ok(occlusion::covered(&image, (height, width), (rows, columns)))
    };
    let pixels = app.on_worker(received.deadline, cover).await?;
    received.trace.phase(Phase::Decode, begun.elapsed());
    let n = 1 + rows * columns;
    let computed = app.compute(&model, pixels, n, &received).await?;
    let predictions = model.predictor.predictions(&computed.logits);
    let Some((whole, covered)) = predictions.split_first() else {
        return Err(Refusal::fault("the model gave no prediction"));
    };
    let fall = |probabilities: &[f64]| {
        whole.probability - probabilities.get(whole.class_index).copied().unwrap_or(0.0)
    };
    let falls: Vec<f64> = covered
        .iter()
        .map(|other| fall(&other.probabilities))
        .collect();
    Ok(Json(Explained {
        class: whole.class.clone(),
        class_index: whole.class_index,
        probability: whole.probability,
        rows,
        columns,
        falls: falls.chunks(columns).map(<[f64]>::to_vec).collect(),
    }))
}
