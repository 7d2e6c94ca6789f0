//! Around every request: its name, its line in the log, its counts.

use crate::app::App;
use crate::metrics::Phase;
use crate::trace::{Notes, Trace};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The route of paths that are not served.
const NO_ROUTE: &str = "none";

pub async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|id| id.to_str().ok());
    let trace = Arc::new(Trace::begin(given));
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = method_name(request.method());
    request.extensions_mut().insert(Arc::clone(&trace));
    let mut response = next.run(request).await;
    if let Ok(id) = HeaderValue::from_str(&trace.id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    note(&app, &trace, method, route, response.status().as_u16());
    response
}

fn note(app: &App, trace: &Trace, method: &'static str, route: &str, status: u16) {
    let total = trace.started.elapsed();
    let notes = trace.notes();
    app.metrics.request(method, route, status);
    // Only requests with images: the quick ones would hide their times.
    if notes.images > 0 {
        let phases = notes.phases.iter().copied().chain([(Phase::Total, total)]);
        phases.for_each(|(phase, time)| app.metrics.phase(phase, time));
    }
    tracing::info!(
        id = trace.id,
        method,
        route,
        status,
        bytes = notes.bytes,
        images = notes.images,
        receive_ms = milliseconds(&notes, Phase::Receive),
        decode_ms = milliseconds(&notes, Phase::Decode),
        queue_ms = milliseconds(&notes, Phase::Queue),
        compute_ms = milliseconds(&notes, Phase::Compute),
        total_ms = in_milliseconds(total),
        "request"
    );
}

fn milliseconds(notes: &Notes, phase: Phase) -> Option<f64> {
    let mut times = notes.phases.iter();
    times
        .find(|(noted, _)| *noted == phase)
        .map(|(_, time)| in_milliseconds(*time))
}

/// In microsecond steps.
fn in_milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// A client may send any word as method, and each would become a metric.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}
