//! `/v2`, `/v2/models/NAME`, its `config`, and `/v2/repository/index`.

use super::model_path::ModelPath;
use crate::app::App;
use crate::json::Json;
use crate::protocol::metadata;
use axum::extract::State;
use serde_json::Value;
use std::sync::Arc;

pub async fn server() -> Json<Value> {
    Json(metadata::server())
}

pub async fn model(ModelPath(model): ModelPath) -> Json<Value> {
    Json(metadata::model(&model))
}

pub async fn config(State(app): State<Arc<App>>, ModelPath(model): ModelPath) -> Json<Value> {
    Json(metadata::config(&model, app.settings.max_batch))
}

/// The body, a filter, is ignored: there is one model, and it is ready.
pub async fn index(State(app): State<Arc<App>>) -> Json<Value> {
    Json(metadata::index(&app.models.get()))
}
