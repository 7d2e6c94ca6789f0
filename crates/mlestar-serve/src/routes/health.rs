//! `/v2/health/live`, `/v2/health/ready`, and whether a model is ready.

use super::model_path::ModelPath;
use crate::app::App;
use crate::json::Json;
use crate::refusal::Refusal;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

/// The program runs.
pub async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// The model is loaded and the server takes requests.
pub async fn ready(State(app): State<Arc<App>>) -> Result<Json<Value>, Refusal> {
    match app.is_ready() {
        true => Ok(Json(json!({ "ready": true }))),
        false => Err(Refusal::stopping()),
    }
}

/// The same for one model.
pub async fn model(
    State(app): State<Arc<App>>,
    ModelPath(model): ModelPath,
) -> Result<Json<Value>, Refusal> {
    match app.is_ready() {
        true => Ok(Json(json!({ "name": model.name, "ready": true }))),
        false => Err(Refusal::stopping()),
    }
}
