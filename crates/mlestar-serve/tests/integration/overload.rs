//! More than the server can do.

use crate::client::{connect, post, read, send};
use crate::images::{encoded, gradient, pixels};
use crate::models::{quick_settings, serve, serve_model, slow_colours};
use image::ImageFormat;
use mlestar_serve::Settings;
use serde_json::json;
use std::time::Duration;

#[test]
fn a_full_queue_refuses_and_everything_accepted_is_answered() {
    let served = serve_model(
        &slow_colours(),
        Settings {
            queue: 4,
            max_batch: 2,
            ..quick_settings()
        },
    );
    let address = served.server.address();
    let file = encoded(&gradient(90, 120), ImageFormat::Jpeg);
    let expected = served.predictor.predict_image(&file).unwrap();
    let clients: Vec<_> = (0..60)
        .map(|_| {
            let file = file.clone();
            std::thread::spawn(move || post(address, "/v1/classify", &file))
        })
        .collect();
    let answers: Vec<_> = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .collect();
    let (accepted, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert!(accepted.len() >= 4, "{}", accepted.len());
    assert!(!refused.is_empty());
    for answer in accepted {
        assert_eq!(
            answer.json()["images"][0]["probability"],
            json!(expected.probability)
        );
    }
    for answer in refused {
        answer.refused(429, "the queue is full");
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds));
    }
    assert!(
        served
            .server
            .metrics()
            .contains("mlestar_rejected_total{reason=\"queue\"}")
    );
    served.server.stop();
}

#[test]
fn a_request_that_can_never_fit_is_told_so() {
    let served = serve(Settings {
        queue: 4,
        ..quick_settings()
    });
    let body = json!({ "inputs": [
        { "name": "images", "shape": [5, 8, 8, 3], "datatype": "UINT8", "data": pixels(5, 8) }] });
    let answer = post(
        served.server.address(),
        "/v2/models/colours/infer",
        body.to_string().as_bytes(),
    );
    answer.refused(413, "the request has 5 images, but the limit is 4");
    // And gives its place back.
    assert!(served.server.metrics().contains("mlestar_queue_images 0"));
    served.server.stop();
}

#[test]
fn what_waits_too_long_is_told_so() {
    let timeouts = mlestar_serve::Timeouts {
        answer: Duration::from_millis(1),
        ..Default::default()
    };
    let served = serve_model(
        &slow_colours(),
        Settings {
            timeouts,
            ..quick_settings()
        },
    );
    let file = encoded(&gradient(900, 1200), ImageFormat::Png);
    let answer = post(served.server.address(), "/v1/classify", &file);
    assert_eq!(answer.status, 504);
    served.server.stop();
}

#[test]
fn clients_that_leave_give_their_places_back() {
    let served = serve_model(
        &slow_colours(),
        Settings {
            queue: 8,
            max_batch: 1,
            ..quick_settings()
        },
    );
    let address = served.server.address();
    let file = encoded(&gradient(90, 120), ImageFormat::Jpeg);
    for _ in 0..50 {
        let mut stream = connect(address);
        send(&mut stream, "POST", "/v1/classify", &[], &file);
    }
    // Later requests find room again.
    let answered = (0..200).any(|_| {
        let mut stream = connect(address);
        send(&mut stream, "POST", "/v1/classify", &[], &file);
        let status = read(&mut stream).status;
        std::thread::sleep(Duration::from_millis(20));
        status == 200
    });
    assert!(answered);
    served.server.stop();
}
