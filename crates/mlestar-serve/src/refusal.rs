//! Why a request is not answered, as status, text and, for overload, the time to wait.

use crate::json::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The answer to a request that is refused: `{"error": "..."}` with its status.
///
/// ```
/// use mlestar_serve::Refusal;
/// let refusal = Refusal::too_large("the body has 20 MiB, but the limit is 16 MiB");
/// assert_eq!(refusal.status(), 413);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    status: StatusCode,
    message: String,
    retry_after: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after: None,
        }
    }

    /// 400: the request does not follow the protocol or does not fit the model.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 401: the token is missing or wrong.
    pub fn unauthorized() -> Self {
        let message = "the header `Authorization: Bearer TOKEN` is missing or its token is wrong";
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    /// 404: there is no such path, model or version.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 405: the path exists, but not for this method.
    pub fn method() -> Self {
        let message = "this path does not take that method; the header Allow lists what it takes";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, message)
    }

    /// 408: the client sent its body too slowly.
    pub fn slow(message: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, message)
    }

    /// 413: too many bytes, pixels or images.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// 415: an encoding of the body that is not supported.
    pub fn encoding(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    }

    /// 422: the content is no image that can be decoded.
    pub fn undecodable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// 429: too much is waiting; `seconds` is an estimate of when there will be room.
    pub fn overloaded(message: impl Into<String>, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, message)
        }
    }

    /// 500: a fault of this program; `message` says what failed.
    pub fn fault(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// 503: the server is stopping.
    pub fn stopping() -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")
        }
    }

    /// 504: the answer was not ready in time.
    pub fn late(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, message)
    }

    /// The status of the response.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The same refusal with a text before its message, such as which image it is about.
    pub(crate) fn about(self, what: &str) -> Self {
        Self {
            message: format!("{what}: {}", self.message),
            ..self
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.message }))).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
