//! The pages and the description, as a browser gets them.

use crate::client::{get, request};
use crate::models::{quick_settings, serve};
use mlestar_export::package::openapi;
use mlestar_serve::served as routes;

#[test]
fn pages_run_only_their_own_script() {
    let served = serve(quick_settings());
    for path in ["/", "/docs"] {
        let page = get(served.server.address(), path);
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'sha256-"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"));
    }
    let page = String::from_utf8(get(served.server.address(), "/").body).unwrap();
    for part in [
        "capture=\"environment\"",
        "/v1/classify",
        "/v1/explain",
        "aria-live",
        "dataTransfer",
        "clipboardData",
    ] {
        assert!(page.contains(part), "{part}");
    }
    served.server.stop();
}

/// Each described operation is served: the answer is neither "no such path" nor "no such method".
#[test]
fn every_described_path_is_served() {
    let served = serve(quick_settings());
    let address = served.server.address();
    let version = served.server.model().1;
    assert_eq!(get(address, "/openapi.json").json(), openapi());
    for (method, path) in routes() {
        let path = path
            .replace("{name}", "colours")
            .replace("{version}", &version);
        let answer = request(address, &method.to_uppercase(), &path, &[], b"");
        assert!(
            ![404, 405].contains(&answer.status),
            "{method} {path}: {}",
            answer.status
        );
        let other = if method == "get" { "POST" } else { "GET" };
        request(address, other, &path, &[], b"").refused(405, "does not take that method");
    }
    served.server.stop();
}

#[test]
fn metrics_count_what_was_asked() {
    let served = serve(quick_settings());
    let address = served.server.address();
    let red = crate::images::plain([255, 0, 0]);
    for _ in 0..3 {
        assert_eq!(
            crate::client::post(address, "/v1/classify", &red).status,
            200
        );
    }
    crate::client::post(address, "/v1/classify", b"x");
    get(address, "/nowhere/\"}");
    let answer = get(address, "/metrics");
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    let text = String::from_utf8(answer.body).unwrap();
    for line in [
        r#"mlestar_requests_total{method="POST",route="/v1/classify",status="200"} 3"#,
        r#"mlestar_requests_total{method="POST",route="/v1/classify",status="422"} 1"#,
        r#"mlestar_requests_total{method="GET",route="none",status="404"} 1"#,
        r#"mlestar_predictions_total{class="red"} 3"#,
        r#"mlestar_batch_images_count 3"#,
        r#"mlestar_phase_seconds_count{phase="compute"} 3"#,
        r#"mlestar_queue_images 0"#,
        r#"mlestar_model{name="colours",version=""#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    served.server.stop();
}
