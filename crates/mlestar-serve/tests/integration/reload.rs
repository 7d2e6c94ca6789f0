//! Another package in the place of the one that is served.

use crate::client::{connect, post, read, send};
use crate::images::plain;
use crate::models::{CLASSES, colours, quick_settings, serve, write};
use mlestar_export::package::{self, Contents, GoldenInput, Histogram, Manifest, TrainingData};
use mlestar_serve::Settings;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[test]
fn a_good_package_takes_over_and_no_request_is_lost() {
    let served = serve(quick_settings());
    let address = served.server.address();
    let (_, before) = served.server.model();
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                let mut stream = connect(address);
                let red = plain([255, 0, 0]);
                let mut answers = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    send(&mut stream, "POST", "/v1/classify", &[], &red);
                    let answer = read(&mut stream);
                    assert_eq!(answer.status, 200);
                    let answer = answer.json();
                    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                    answers.push((
                        text(&answer["version"]),
                        text(&answer["images"][0]["class"]),
                    ));
                }
                answers
            })
        })
        .collect();
    for sign in [-1.0, 1.0, -1.0] {
        std::thread::sleep(Duration::from_millis(100));
        write(&served.package, &colours(sign));
        served.server.reload().unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    is_over.store(true, Ordering::Relaxed);
    let (name, after) = served.server.model();
    assert_eq!(name, "colours");
    assert_ne!(before, after);
    let mut both = [false; 2];
    for client in clients {
        for (version, class) in client.join().unwrap() {
            // Every answer is that of the version that it names.
            assert_eq!(version == before, class == CLASSES[0]);
            both[usize::from(version == before)] = true;
        }
    }
    assert_eq!(both, [true; 2]);
    assert!(
        served
            .server
            .metrics()
            .contains("mlestar_reloads_total{result=\"loaded\"} 3")
    );
    served.server.stop();
}

#[test]
fn a_damaged_package_changes_nothing_but_the_metrics() {
    let served = serve(quick_settings());
    let address = served.server.address();
    let before = served.server.model();
    let weights = served.package.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let error = served.server.reload().unwrap_err().to_string();
    assert!(error.contains("model.safetensors: altered"), "{error}");
    assert_eq!(served.server.model(), before);
    let answer = post(address, "/v1/classify", &plain([255, 0, 0]));
    assert_eq!(answer.json()["images"][0]["class"], CLASSES[0]);
    assert!(
        served
            .server
            .metrics()
            .contains("mlestar_reloads_total{result=\"failed\"} 1")
    );
    served.server.stop();
}

#[test]
fn a_watched_package_is_loaded_when_it_changes() {
    let served = serve(Settings {
        watch: true,
        ..quick_settings()
    });
    let before = served.server.model();
    write(&served.package, &colours(-1.0));
    let begun = Instant::now();
    while served.server.model() == before {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(50));
    }
    served.server.stop();
}

/// A package whose files are intact, but whose model does not predict its golden image as recorded.
#[test]
fn a_package_that_predicts_otherwise_is_refused() {
    let contents = Contents {
        golden: vec![GoldenInput {
            name: "red.png".to_owned(),
            content: plain([255, 0, 0]),
            label: Some(0),
        }],
        ..Contents::default()
    };
    let served = serve(quick_settings());
    let before = served.server.model();
    let preparation = *served.predictor.preparation();
    let manifest =
        package::write_package(&served.package, &colours(-1.0), &preparation, &contents).unwrap();
    assert_eq!(manifest.golden.len(), 1);
    // With the manifest of the other model's golden image.
    let golden = package::write_package(
        &served.package.with_extension("other"),
        &colours(1.0),
        &preparation,
        &contents,
    )
    .unwrap()
    .golden;
    let altered = Manifest {
        golden,
        ..manifest.clone()
    };
    let path = served.package.join(package::MANIFEST_FILE);
    mlestar_artifact::write_artifact(&path, &altered).unwrap();
    let error = served.server.reload().unwrap_err().to_string();
    assert!(
        error.contains("golden/red.png: the prediction differs"),
        "{error}"
    );
    assert_eq!(served.server.model(), before);
    mlestar_artifact::write_artifact(&path, &manifest).unwrap();
    served.server.reload().unwrap();
    assert_ne!(served.server.model(), before);
    served.server.stop();
}

#[test]
fn drift_is_told_once_there_are_enough_images() {
    let served = serve(quick_settings());
    let address = served.server.address();
    let preparation = *served.predictor.preparation();
    let spread: Vec<f64> = (0..2000).map(f64::from).collect();
    let contents = Contents {
        training_data: Some(TrainingData {
            brightness: Histogram::of(&spread),
            contrast: Histogram::of(&spread),
            predicted_classes: vec![1000, 1000, 10],
        }),
        ..Contents::default()
    };
    package::write_package(&served.package, &colours(1.0), &preparation, &contents).unwrap();
    served.server.reload().unwrap();
    let metrics = || String::from_utf8(crate::client::get(address, "/metrics").body).unwrap();
    let pixels = [0, 0, 255].repeat(64 * 50);
    let body = serde_json::json!({ "inputs": [
        { "name": "images", "shape": [50, 8, 8, 3], "datatype": "UINT8", "data": pixels }] })
    .to_string();
    let ask = || {
        assert_eq!(
            post(address, "/v2/models/colours/infer", body.as_bytes()).status,
            200
        )
    };
    ask();
    let text = metrics();
    assert!(
        text.contains("mlestar_drift_images 50") && !text.contains("mlestar_drift_psi{"),
        "{text}"
    );
    (0..5).for_each(|_| ask());
    let text = metrics();
    for of in ["brightness", "contrast", "classes"] {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("mlestar_drift_psi{{of=\"{of}\"}}")));
        let psi: f64 = line
            .unwrap_or_else(|| panic!("{of}: {text}"))
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        assert!(psi > 1.0, "{of}: {psi}");
    }
    served.server.stop();
}
