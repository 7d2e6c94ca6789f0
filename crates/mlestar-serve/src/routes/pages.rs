//! The pages, and the description that one of them shows. They load nothing from elsewhere.

use crate::json::Json;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mlestar_export::package::openapi;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const CLASSIFY: &str = include_str!("../page/classify.html");
const DOCS: &str = include_str!("../page/docs.html");

/// A page with the header that lets a browser run only its own script and style.
struct Page {
    text: &'static str,
    policy: String,
}

impl Page {
    fn new(text: &'static str) -> Self {
        let script = hash(inside(text, "<script>", "</script>"));
        let style = hash(inside(text, "<style>", "</style>"));
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; img-src blob: data:; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Self { text, policy }
    }

    fn response(&self) -> Response {
        let fixed = HeaderValue::from_static;
        let headers = [
            (header::CONTENT_TYPE, fixed("text/html; charset=utf-8")),
            (header::CACHE_CONTROL, fixed("no-cache")),
            (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
            (
                HeaderName::from_static("referrer-policy"),
                fixed("no-referrer"),
            ),
        ];
        let mut response = (headers, self.text).into_response();
        if let Ok(policy) = HeaderValue::from_str(&self.policy) {
            response
                .headers_mut()
                .insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

fn inside<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
    let after = text.split_once(open).map_or("", |(_, after)| after);
    after.split_once(close).map_or("", |(inside, _)| inside)
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

pub async fn classify() -> Response {
    static PAGE: LazyLock<Page> = LazyLock::new(|| Page::new(CLASSIFY));
    PAGE.response()
}

pub async fn docs() -> Response {
    static PAGE: LazyLock<Page> = LazyLock::new(|| Page::new(DOCS));
    PAGE.response()
}

pub async fn description() -> Json<Value> {
    Json(openapi())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_load_nothing_and_have_one_script_and_one_style() {
        for page in [CLASSIFY, DOCS] {
            for tag in ["<script", "<style"] {
                assert_eq!(page.matches(tag).count(), 1, "{tag}");
                assert!(page.contains(&format!("{tag}>")));
            }
            for outside in ["http://", "https://", "src=\"", "@import", "url("] {
                assert!(!page.contains(outside), "{outside}");
            }
            // The policy forbids both.
            assert!(!page.contains(" style=") && !page.contains(" onclick="));
            for needed in [
                "name=\"viewport\"",
                "lang=\"en\"",
                "prefers-color-scheme: dark",
            ] {
                assert!(page.contains(needed), "{needed}");
            }
        }
    }
}
