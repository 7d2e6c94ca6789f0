//! Image files to classes: `/v1/classify` and `/v1/explain`.

use crate::client::{post, request};
use crate::images::{encoded, gradient, plain};
use crate::models::{SIDE, quick_settings, serve};
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};

fn multipart(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in files {
        let head = format!(
            "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend(head.as_bytes());
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--xyz--\r\n");
    body
}

const MULTIPART: [(&str, &str); 1] = [("Content-Type", "multipart/form-data; boundary=xyz")];

#[test]
fn one_image_is_classified() {
    let served = serve(quick_settings());
    let file = encoded(&gradient(40, 70), ImageFormat::Jpeg);
    let expected = served.predictor.predict_image(&file).unwrap();
    let answer = post(served.server.address(), "/v1/classify?top=2", &file);
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    assert_eq!(
        (&answer["model"], &answer["version"]),
        (&json!("colours"), &json!(served.server.model().1))
    );
    let image = &answer["images"][0];
    assert_eq!(image["class"], json!(expected.class));
    assert_eq!(image["probability"], json!(expected.probability));
    let ranked = served.predictor.top_k(&expected, 2);
    assert_eq!(image["answers"], serde_json::to_value(ranked).unwrap());
    served.server.stop();
}

#[test]
fn a_bad_image_does_not_fail_the_others() {
    let served = serve(quick_settings());
    let address = served.server.address();
    let files: [(&str, &[u8]); 4] = [
        ("a.png", &plain([255, 0, 0])),
        ("b.txt", b"no image"),
        ("c.png", &plain([0, 0, 255])),
        ("empty", b""),
    ];
    let answer = request(
        address,
        "POST",
        "/v1/classify",
        &MULTIPART,
        &multipart(&files),
    );
    assert_eq!(answer.status, 200);
    let images = answer.json()["images"].clone();
    let of = |key: &str| -> Vec<Value> { (0..4).map(|at| images[at][key].clone()).collect() };
    assert_eq!(
        of("file"),
        [
            json!("a.png"),
            json!("b.txt"),
            json!("c.png"),
            json!("empty")
        ]
    );
    assert_eq!(
        of("class"),
        [
            json!("red"),
            Value::Null,
            json!("blue \"sky\""),
            Value::Null
        ]
    );
    assert!(
        images[1]["error"]
            .as_str()
            .unwrap()
            .contains("its content is no image")
    );
    assert!(
        images[3]["error"]
            .as_str()
            .unwrap()
            .contains("the file is empty")
    );
    served.server.stop();
}

#[test]
fn requests_without_a_usable_image_are_refused() {
    let served = serve(quick_settings());
    let address = served.server.address();
    post(address, "/v1/classify", b"no image").refused(422, "the image: its content is no image");
    post(address, "/v1/classify", b"").refused(422, "the file is empty");
    post(address, "/v1/explain", b"no image").refused(422, "the image: its content is no image");
    post(address, "/v1/classify?top=0", b"").refused(400, "top is \"0\"");
    post(address, "/v1/explain?grid=99", b"").refused(400, "grid is \"99\"");
    let parts = |body: &[u8]| request(address, "POST", "/v1/classify", &MULTIPART, body);
    parts(b"--xyz--\r\n").refused(400, "there are none");
    parts(b"--xyz\r\nContent-Disp").refused(400, "the parts of the body");
    let headers = [("Content-Type", "multipart/form-data")];
    request(address, "POST", "/v1/classify", &headers, b"x").refused(400, "the parts of the body");
    served.server.stop();
}

#[test]
fn the_occlusion_map_shows_what_the_answer_rests_on() {
    let served = serve(quick_settings());
    let side = SIDE as u32;
    // Red only in the upper left quarter.
    let image = RgbImage::from_fn(side, side, |x, y| match x < side / 2 && y < side / 2 {
        true => Rgb([255, 0, 0]),
        false => Rgb([0, 0, 0]),
    });
    let file = encoded(&image, ImageFormat::Png);
    let answer = post(served.server.address(), "/v1/explain?grid=2", &file).json();
    let expected = served.predictor.predict_image(&file).unwrap();
    assert_eq!(
        (&answer["class"], &answer["probability"]),
        (&json!("red"), &json!(expected.probability))
    );
    let mut covered = image.clone();
    (0..side / 2).for_each(|y| (0..side / 2).for_each(|x| covered.put_pixel(x, y, Rgb([128; 3]))));
    let less = served
        .predictor
        .predict(&covered, SIDE, SIDE)
        .unwrap()
        .probabilities[0];
    let falls: Vec<Vec<f64>> = serde_json::from_value(answer["falls"].clone()).unwrap();
    assert_eq!(falls[0][0], expected.probability - less);
    assert!(falls[0][0] > falls[0][1] && falls[0][0] > falls[1][1]);
    served.server.stop();
}
