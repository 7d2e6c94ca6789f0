//! The paths that are served, one file for each group.

mod classify;
mod explain;
mod health;
mod infer;
mod metadata;
mod metrics;
mod model_path;
mod observe;
mod pages;
mod query;

use crate::app::App;
use crate::refusal::Refusal;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use std::sync::Arc;

/// Paths that need no token: they tell nothing about the model and change nothing.
const OPEN: [&str; 5] = [
    "/",
    "/docs",
    "/openapi.json",
    "/v2/health/live",
    "/v2/health/ready",
];

type Route = (&'static str, &'static str, MethodRouter<Arc<App>>);

/// Every route: its method in lower case, its path, and its handler.
fn routes() -> Vec<Route> {
    let model = ["/v2/models/{name}", "/v2/models/{name}/versions/{version}"];
    let mut routes: Vec<Route> = vec![
        ("get", "/", get(pages::classify)),
        ("get", "/docs", get(pages::docs)),
        ("get", "/openapi.json", get(pages::description)),
        ("get", "/metrics", get(metrics::metrics)),
        ("post", "/v1/classify", post(classify::classify)),
        ("post", "/v1/explain", post(explain::explain)),
        ("get", "/v2", get(metadata::server)),
        ("get", "/v2/health/live", get(health::live)),
        ("get", "/v2/health/ready", get(health::ready)),
        ("post", "/v2/repository/index", post(metadata::index)),
        ("get", model[0], get(metadata::model)),
        ("get", model[1], get(metadata::model)),
    ];
    let below: [Route; 6] = [
        ("get", "/v2/models/{name}/ready", get(health::model)),
        (
            "get",
            "/v2/models/{name}/versions/{version}/ready",
            get(health::model),
        ),
        ("get", "/v2/models/{name}/config", get(metadata::config)),
        (
            "get",
            "/v2/models/{name}/versions/{version}/config",
            get(metadata::config),
        ),
        ("post", "/v2/models/{name}/infer", post(infer::infer)),
        (
            "post",
            "/v2/models/{name}/versions/{version}/infer",
            post(infer::infer),
        ),
    ];
    routes.extend(below);
    routes
}

/// Method and path of every route, such as `("get", "/v2/models/{name}")`.
pub fn served() -> Vec<(&'static str, &'static str)> {
    routes()
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect()
}

/// Answers requests for `app`.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for (_, path, handler) in routes() {
        router = router.route(path, handler);
    }
    router
        .fallback(async |uri: Uri| {
            Refusal::not_found(format!("there is no path {:?}; see /docs", uri.path()))
        })
        .method_not_allowed_fallback(async || Refusal::method())
        .layer(from_fn_with_state(Arc::clone(&app), check_token))
        .layer(from_fn_with_state(Arc::clone(&app), observe::observe))
        .with_state(app)
}

async fn check_token(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let is_open = OPEN.contains(&request.uri().path());
    match app.token.check(request.headers()) {
        Err(refusal) if !is_open => refusal.into_response(),
        _ => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;
    use mlestar_export::package::openapi;
    use std::collections::BTreeSet;

    #[test]
    fn it_describes_exactly_the_served_routes() {
        let description = openapi();
        let mut described = BTreeSet::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                described.insert((method.clone(), path.clone()));
            }
        }
        let served: BTreeSet<_> = served()
            .into_iter()
            .map(|(method, path)| (method.to_owned(), path.to_owned()))
            .collect();
        assert_eq!(described, served);
    }

    #[test]
    fn the_description_names_exactly_the_outputs() {
        let description = openapi();
        let outputs =
            "/components/schemas/InferRequest/properties/outputs/items/properties/name/enum";
        let named: Vec<&str> = description
            .pointer(outputs)
            .and_then(|names| names.as_array())
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str())
            .collect();
        assert_eq!(named, Output::ALL.map(Output::name));
    }
}
