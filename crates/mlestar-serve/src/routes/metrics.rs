//! `/metrics`.

use crate::app::App;
use crate::metrics::MEDIA_TYPE;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use std::sync::Arc;

pub async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let (n, drifts) = app.models.get().drift.judge();
    for drift in drifts {
        app.metrics.drift(drift.of, drift.psi, drift.least_images);
    }
    let text = app.metrics.text(app.images.used(), n);
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], text)
}
