//! An answer in JSON.
//!
//! Axum has the same, but with a feature of `serde_json` on that Burn does not have: a build of the whole workspace would
//! compile Burn a second time.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A value as the body of an answer.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let media_type = HeaderValue::from_static("application/json");
        // Every type that is answered has a JSON form: names are texts, and numbers are no keys.
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        ([(header::CONTENT_TYPE, media_type)], body).into_response()
    }
}
