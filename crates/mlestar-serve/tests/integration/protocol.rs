//! The Open Inference Protocol: JSON, bytes and the predictor agree to the bit.

use crate::client::{Response, get, post, request};
use crate::images::{encoded, gradient, pixels, plain};
use crate::models::{CLASSES, SIDE, Served, quick_settings, serve, serve_model, with_limit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::ImageFormat;
use serde_json::{Value, json};

const INFER: &str = "/v2/models/colours/infer";

fn infer(served: &Served, json: &Value, binary: &[u8]) -> Response {
    let text = json.to_string();
    let length = text.len().to_string();
    let headers: &[(&str, &str)] = match binary {
        [] => &[],
        _ => &[("Inference-Header-Content-Length", &length)],
    };
    let body = [text.as_bytes(), binary].concat();
    request(served.server.address(), "POST", INFER, headers, &body)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks(4)
        .map(|value| f32::from_le_bytes(value.try_into().unwrap()))
        .collect()
}

fn numbers(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}

/// What the predictor says by itself: logits, probabilities and familiarity.
fn expected(served: &Served, pixels: &[u8], n: usize) -> [Vec<f32>; 3] {
    let logits = served.predictor.logits(pixels, n).unwrap();
    let predictions = served
        .predictor
        .predict_batch(pixels, n, SIDE, SIDE)
        .unwrap();
    let all = predictions
        .iter()
        .flat_map(|prediction| &prediction.probabilities);
    let familiarities = predictions
        .iter()
        .map(|prediction| prediction.familiarity as f32);
    [
        logits,
        all.map(|value| *value as f32).collect(),
        familiarities.collect(),
    ]
}

#[test]
fn json_and_binary_give_the_predictors_own_answer() {
    let served = serve(quick_settings());
    let n = 70;
    let pixels = pixels(n, SIDE);
    let expected = expected(&served, &pixels, n);
    let shape = json!([n, SIDE, SIDE, 3]);

    let asked = json!({ "id": "a 1", "inputs": [
        { "name": "images", "shape": shape, "datatype": "UINT8", "data": pixels }] });
    let answer = infer(&served, &asked, b"");
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    assert_eq!(
        (&answer["id"], &answer["model_name"]),
        (&json!("a 1"), &json!("colours"))
    );
    assert_eq!(answer["model_version"], json!(served.server.model().1));
    for (output, expected) in answer["outputs"].as_array().unwrap().iter().zip(&expected) {
        assert_eq!(&numbers(&output["data"]), expected);
    }

    let asked = json!({ "parameters": { "binary_data_output": true }, "inputs": [
        { "name": "images", "shape": shape, "datatype": "UINT8", "parameters": { "binary_data_size": pixels.len() } }] });
    let answer = infer(&served, &asked, &pixels);
    let length: usize = answer
        .header("inference-header-content-length")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    let (head, tail) = answer.body.split_at(length);
    let head: Value = serde_json::from_slice(head).unwrap();
    let sizes: Vec<u64> = head["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|output| output["parameters"]["binary_data_size"].as_u64().unwrap())
        .collect();
    assert_eq!(sizes, [n as u64 * 12, n as u64 * 12, n as u64 * 4]);
    assert_eq!(floats(tail), expected.concat());
    served.server.stop();
}

#[test]
fn files_are_prepared_as_by_the_package() {
    let served = serve(quick_settings());
    let files = [
        encoded(&gradient(31, 50), ImageFormat::Png),
        encoded(&gradient(90, 17), ImageFormat::Jpeg),
        plain([10, 200, 30]),
    ];
    let preparation = served.predictor.preparation();
    let pixels: Vec<u8> = files
        .iter()
        .flat_map(|file| preparation.apply(file).unwrap().into_raw())
        .collect();
    let [logits, ..] = expected(&served, &pixels, 3);

    let texts = files.each_ref().map(|file| STANDARD.encode(file));
    let outputs = json!([{ "name": "logits" }]);
    let asked = json!({ "outputs": outputs, "inputs": [
        { "name": "raw", "shape": [3], "datatype": "BYTES", "data": texts }] });
    let answer = infer(&served, &asked, b"").json();
    assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(numbers(&answer["outputs"][0]["data"]), logits);

    let bytes: Vec<u8> = files
        .iter()
        .flat_map(|file| [&(file.len() as u32).to_le_bytes()[..], file].concat())
        .collect();
    let asked = json!({ "outputs": outputs, "inputs": [{ "name": "raw", "shape": [3, 1], "datatype": "BYTES",
        "parameters": { "binary_data_size": bytes.len() } }] });
    let answer = infer(&served, &asked, &bytes).json();
    assert_eq!(numbers(&answer["outputs"][0]["data"]), logits);
    served.server.stop();
}

#[test]
fn classes_come_with_their_names() {
    let served = serve(quick_settings());
    let parameters = json!({ "classification": 2 });
    let blue = [0, 0, 255].repeat(SIDE * SIDE);
    let asked = json!({ "outputs": [{ "name": "probabilities", "parameters": parameters }], "inputs": [
        { "name": "images", "shape": [1, SIDE, SIDE, 3], "datatype": "UINT8", "data": blue }] });
    let answer = infer(&served, &asked, b"").json();
    let output = &answer["outputs"][0];
    assert_eq!(
        (&output["datatype"], &output["shape"]),
        (&json!("BYTES"), &json!([1, 2]))
    );
    let first = output["data"][0].as_str().unwrap();
    assert!(first.ends_with(":2:blue \"sky\""), "{first}");
    served.server.stop();
}

#[test]
fn the_server_describes_itself_and_its_model() {
    let served = serve(quick_settings());
    let address = served.server.address();
    let version = served.server.model().1;
    assert_eq!(get(address, "/v2").json()["name"], "mlestar-serve");
    assert_eq!(get(address, "/v2/health/live").json()["live"], true);
    assert_eq!(get(address, "/v2/health/ready").json()["ready"], true);
    for path in [
        "/v2/models/colours",
        &format!("/v2/models/colours/versions/{version}"),
    ] {
        let model = get(address, path).json();
        assert_eq!(model["versions"], json!([version]));
        assert_eq!(model["inputs"][0]["shape"], json!([-1, SIDE, SIDE, 3]));
        assert_eq!(model["parameters"]["classes"], json!(CLASSES));
        assert_eq!(get(address, &format!("{path}/ready")).json()["ready"], true);
        assert_eq!(
            get(address, &format!("{path}/config")).json()["input"][0]["data_type"],
            "TYPE_UINT8"
        );
        assert_eq!(post(address, &format!("{path}/infer"), b"{}").status, 400);
    }
    let index = post(address, "/v2/repository/index", b"{}").json();
    assert_eq!(index[0]["state"], "READY");
    get(address, "/v2/models/colour").refused(404, "there is no model \"colour\"");
    get(address, "/v2/models/colours/versions/1").refused(404, "has no version \"1\"");
    served.server.stop();
}

#[test]
fn what_does_not_fit_the_model_is_refused() {
    let served = serve(quick_settings());
    let address = served.server.address();
    let with = |input: Value| infer(&served, &json!({ "inputs": [input] }), b"");
    with(
        json!({ "name": "images", "shape": [1, 1, 1, 3], "datatype": "UINT8", "data": [1, 2, 3] }),
    )
    .refused(400, "but the model takes 8 x 8");
    with(json!({ "name": "images", "shape": [1, 8, 8, 3], "datatype": "INT8", "data": [1] }))
        .refused(400, "must have UINT8");
    with(json!({ "name": "images", "shape": [1, 8, 8, 3], "datatype": "UINT8", "data": [0.5] }))
        .refused(400, "the JSON");
    with(json!({ "name": "raw", "shape": [2], "datatype": "BYTES", "data": [STANDARD.encode(plain([1; 3])), "AAAA"] }))
        .refused(422, "input \"raw\", element 1: its content is no image");
    post(address, INFER, b"").refused(400, "the JSON");
    post(address, INFER, &b"[".repeat(100_000)).refused(400, "the JSON");
    let headers = [("Inference-Header-Content-Length", "x")];
    request(address, "POST", INFER, &headers, b"{}").refused(400, "is no number of bytes");
    let headers = [("Inference-Header-Content-Length", "99")];
    request(address, "POST", INFER, &headers, b"{}").refused(400, "has only 2 bytes");
    let headers = [("Content-Encoding", "gzip")];
    request(address, "POST", INFER, &headers, b"{}").refused(415, "uncompressed");
    served.server.stop();
}

/// A model with a limit says of strange images that they are none of the classes, in every form.
#[test]
fn none_of_these_is_told_where_the_model_has_a_limit() {
    let served = serve_model(&with_limit(), quick_settings());
    let address = served.server.address();
    let outputs = get(address, "/v2/models/colours").json()["outputs"].clone();
    assert_eq!(
        outputs[3],
        json!({ "name": "none_of_these", "datatype": "BOOL", "shape": [-1] })
    );
    let pixels = [[255, 0, 0].repeat(SIDE * SIDE), vec![0; SIDE * SIDE * 3]].concat();
    for binary in [false, true] {
        let asked = json!({ "parameters": { "binary_data_output": binary }, "outputs": [{ "name": "none_of_these" }],
            "inputs": [{ "name": "images", "shape": [2, SIDE, SIDE, 3], "datatype": "UINT8", "data": pixels }] });
        let answer = infer(&served, &asked, b"");
        match binary {
            true => assert_eq!(answer.body[answer.body.len() - 2..], [0, 1]),
            false => assert_eq!(answer.json()["outputs"][0]["data"], json!([false, true])),
        }
    }
    let answer = post(address, "/v1/classify", &plain([0, 0, 0])).json();
    assert_eq!(answer["images"][0]["none_of_these"], true);
    assert!(
        served
            .server
            .metrics()
            .contains("mlestar_none_of_these_total 3")
    );
    served.server.stop();
    // Without a limit there is no such output.
    let served = serve(quick_settings());
    let asked = json!({ "outputs": [{ "name": "none_of_these" }], "inputs": [
        { "name": "images", "shape": [2, SIDE, SIDE, 3], "datatype": "UINT8", "data": pixels }] });
    infer(&served, &asked, b"").refused(400, "this model has no output \"none_of_these\"");
    served.server.stop();
}
