//! Packages and the predictor.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mlestar_export::package::{Contents, PrecisionRecord};
use mlestar_export::quantize::{
    LabelledImages, QuantizationOptions, QuantizedModel, compare_precisions, quantize,
};
use mlestar_export::{
    ChoiceOptions, Executor, ExportError, FrozenModel, Precision, Predictor, Preparation, package,
};

use crate::models::{random_pictures, small_frozen};

fn preparation(model: &FrozenModel) -> Preparation {
    Preparation {
        background: [9, 8, 7],
        ..Preparation::new(model.height(), model.width())
    }
}

fn contents() -> Contents {
    Contents {
        provenance: BTreeMap::from([("run".to_owned(), "a run".to_owned())]),
        ..Contents::default()
    }
}

fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = small_frozen(1);
    package::write_package(folder.path(), &model, &preparation(&model), &contents()).unwrap();
    folder
}

fn refusal(dir: &Path) -> String {
    package::open(dir).unwrap_err().to_string()
}

#[test]
fn a_package_opens_as_the_model_that_was_written() {
    let folder = written();
    let (model, manifest) = package::open(folder.path()).unwrap();
    assert_eq!(model, small_frozen(1));
    assert_eq!(manifest.provenance["run"], "a run");
    assert_eq!(manifest.parameters, model.parameters() as u64);
    for file in &manifest.files {
        assert_eq!(
            fs::metadata(folder.path().join(&file.name)).unwrap().len(),
            file.bytes
        );
    }
    let again = written();
    for name in ["manifest.json", "model.onnx", "model.safetensors"] {
        let read = |dir: &Path| fs::read(dir.join(name)).unwrap();
        assert_eq!(
            read(folder.path()),
            read(again.path()),
            "{name} differs between two exports"
        );
    }
}

#[test]
fn a_package_reads_image_files_as_it_records() {
    let folder = written();
    let predictor = Predictor::open(folder.path()).unwrap();
    let (model, manifest) = package::open(folder.path()).unwrap();
    assert_eq!(manifest.preparation, preparation(&model));
    assert_eq!(*predictor.preparation(), manifest.preparation);

    // A transparent file of another shape: what the record makes of it, and nothing else.
    let file = folder.path().join("clear.png");
    let clear = image::RgbaImage::from_fn(41, 23, |x, y| {
        image::Rgba([(x * 6) as u8, (y * 11) as u8, 90, (x * 6) as u8])
    });
    clear.save(&file).unwrap();
    let pixels = manifest.preparation.read(&file).unwrap();
    let expected = predictor.predict(&pixels, model.height(), model.width());
    let expected = expected.unwrap();
    assert_eq!(predictor.predict_file(&file).unwrap(), expected);
    let content = fs::read(&file).unwrap();
    assert_eq!(predictor.predict_image(&content).unwrap(), expected);
    let on_white = Predictor::new(model).predict_file(&file).unwrap();
    assert_ne!(on_white, expected, "the background is part of the record");

    let error = predictor.predict_image(&content[..60]).unwrap_err();
    assert!(matches!(error, ExportError::Image { .. }), "{error}");
    assert!(error.to_string().starts_with("the image: it is"), "{error}");
    let error = predictor.predict_file(&folder.path().join("none.png"));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("none.png: it cannot be read")
    );
}

#[test]
fn a_package_of_another_size_than_its_images_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = small_frozen(1);
    let other = Preparation::new(model.height() + 1, model.width());
    let error = package::write_package(folder.path(), &model, &other, &Contents::default());
    assert!(error.unwrap_err().to_string().contains("preparation"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let folder = written();
    let path = folder.path().join("manifest.json");
    let json = fs::read_to_string(&path).unwrap();
    let wrong = json.replacen(
        &format!("\"height\": {}", model.height()),
        "\"height\": 7",
        2,
    );
    assert_ne!(json, wrong);
    fs::write(&path, wrong).unwrap();
    assert!(refusal(folder.path()).contains("manifest.json: altered"));
}

#[test]
fn what_the_gates_said_can_be_written_again_and_changes_nothing_else() {
    let folder = written();
    let (_, before) = package::open(folder.path()).unwrap();
    let failed = package::GateRecord {
        gate: "evaluation".into(),
        status: "FAIL".into(),
        unmet: vec!["test accuracy 0.5, limit at least 0.8".into()],
    };
    package::record_gates(folder.path(), vec![failed.clone()]).unwrap();
    let (model, after) = package::open(folder.path()).unwrap();
    assert_eq!(model, small_frozen(1));
    assert_eq!(after.gates, [failed]);
    package::record_gates(folder.path(), Vec::new()).unwrap();
    assert_eq!(package::open(folder.path()).unwrap().1, before);
}

#[test]
fn an_altered_file_is_refused_by_name() {
    for name in [package::SAFETENSORS_FILE, package::ONNX_FILE] {
        let folder = written();
        let path = folder.path().join(name);
        let original = fs::read(&path).unwrap();
        for position in [0, original.len() / 2, original.len() - 1] {
            let mut altered = original.clone();
            altered[position] ^= 1;
            fs::write(&path, altered).unwrap();
            let message = refusal(folder.path());
            assert!(
                message.contains(name) && message.contains("altered"),
                "{message}"
            );
        }
        fs::write(&path, &original[..original.len() - 4]).unwrap();
        assert!(refusal(folder.path()).contains("its size in bytes"));
        fs::remove_file(&path).unwrap();
        assert!(refusal(folder.path()).contains(name));
        // What a predictor does not use, it does not read.
        let opened = Predictor::open(folder.path());
        assert_eq!(opened.is_ok(), name == package::ONNX_FILE);
        fs::write(&path, original).unwrap();
        assert!(package::open(folder.path()).is_ok());
    }
}

#[test]
fn a_manifest_that_contradicts_the_model_is_refused() {
    let folder = written();
    let path = folder.path().join(package::MANIFEST_FILE);
    let original = fs::read_to_string(&path).unwrap();
    for (from, to, field) in [
        ("class \\\"2\\\" é", "another class", "classes"),
        ("\"height\": 9", "\"height\": 8", "input"),
        ("\"parameters\": ", "\"parameters\": 1", "parameters"),
        ("RGB", "BGR", "input"),
    ] {
        let altered = original.replacen(from, to, 1);
        assert_ne!(altered, original);
        fs::write(&path, altered).unwrap();
        let message = refusal(folder.path());
        assert!(
            message.contains("manifest.json") && message.contains(field),
            "{message}"
        );
    }
    fs::write(
        &path,
        original.replacen("mlestar.model_package", "other", 1),
    )
    .unwrap();
    assert!(refusal(folder.path()).contains("manifest.json"));
    fs::write(
        &path,
        original.replacen("\"model.onnx\"", "\"../model.onnx\"", 1),
    )
    .unwrap();
    assert!(refusal(folder.path()).contains("no plain name inside the package"));
    fs::write(&path, original.replace("model.safetensors", "other")).unwrap();
    fs::rename(
        folder.path().join("model.safetensors"),
        folder.path().join("other"),
    )
    .unwrap();
    assert!(refusal(folder.path()).contains("`files` lacks model.safetensors"));
    fs::remove_file(&path).unwrap();
    assert!(refusal(folder.path()).contains("manifest.json"));
}

#[test]
fn predictions_are_probabilities_and_batches_agree_with_single_pictures() {
    let folder = written();
    let predictor = Predictor::open(folder.path()).unwrap();
    let pictures = random_pictures(3, 7, 9, 7);
    let batch = predictor.predict_batch(&pictures, 7, 9, 7).unwrap();
    for (picture, expected) in pictures.chunks(9 * 7 * 3).zip(&batch) {
        let prediction = predictor.predict(picture, 9, 7).unwrap();
        assert_eq!(&prediction, expected);
        assert!((prediction.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(
            prediction.probability,
            prediction.probabilities[prediction.class_index]
        );
        assert_eq!(
            prediction.class,
            predictor.model().classes()[prediction.class_index]
        );
        let ranked = predictor.top_k(&prediction, 3);
        assert_eq!(ranked.len(), 3);
        assert_eq!(ranked[0].class_index, prediction.class_index);
        assert!(
            ranked
                .windows(2)
                .all(|pair| pair[0].probability >= pair[1].probability)
        );
        assert_eq!(predictor.top_k(&prediction, 100).len(), 4);
    }
    assert!(predictor.predict_batch(&[], 0, 9, 7).unwrap().is_empty());
}

#[test]
fn pictures_of_another_size_are_refused_with_both_sizes() {
    let predictor = Predictor::new(small_frozen(1));
    let error = predictor.predict(&[0; 7 * 9 * 3], 7, 9).unwrap_err();
    assert!(matches!(error, ExportError::PictureSize { .. }));
    let message = error.to_string();
    assert!(
        message.contains("9x7 (height x width)") && message.contains("7x9"),
        "{message}"
    );
    let error = predictor.predict(&[0; 10], 9, 7).unwrap_err();
    assert!(error.to_string().contains("189 bytes, but 10"), "{error}");
}

#[test]
fn threads_share_a_predictor() {
    let predictor = Predictor::new(small_frozen(1));
    let picture = random_pictures(3, 1, 9, 7);
    let expected = predictor.predict(&picture, 9, 7).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(predictor.predict(&picture, 9, 7).unwrap(), expected);
                }
            });
        }
    });
}

/// A package with an int8 model; both reduced precisions kept all of the accuracy or none of it.
fn with_precisions(kept: bool) -> (tempfile::TempDir, QuantizedModel) {
    let folder = tempfile::tempdir().unwrap();
    let model = small_frozen(1);
    let pixels = random_pictures(5, 8, model.height(), model.width());
    let labels = [0, 1, 2, 3, 0, 1, 2, 3];
    let images = LabelledImages {
        pixels: &pixels,
        labels: &labels,
    };
    let options = QuantizationOptions {
        min_accuracy_kept: 0.0,
        ..QuantizationOptions::default()
    };
    let quantized = quantize(&model, &pixels, images, &options).unwrap().model;
    let logits = model.logits(&pixels, 8).unwrap();
    let figures = compare_precisions(&logits, &logits, &labels, 4, 0.95).unwrap();
    let record = |precision| PrecisionRecord {
        precision,
        validation: figures.clone(),
        test: figures.clone(),
        is_allowed: kept,
    };
    let contents = Contents {
        quantized: Some(quantized.clone()),
        precisions: vec![record(Precision::Bf16), record(Precision::Int8)],
        ..contents()
    };
    package::write_package(folder.path(), &model, &preparation(&model), &contents).unwrap();
    (folder, quantized)
}

#[test]
fn only_precisions_that_kept_the_accuracy_are_chosen() {
    for kept in [true, false] {
        let (folder, _) = with_precisions(kept);
        let (_, choice) =
            Predictor::open_fastest(folder.path(), &ChoiceOptions::default()).unwrap();
        let measured: Vec<Precision> = choice
            .timings
            .iter()
            .map(|timing| timing.precision)
            .collect();
        for precision in [Precision::Bf16, Precision::Int8] {
            let is_possible = kept && precision.is_native();
            assert_eq!(measured.contains(&precision), is_possible, "{precision:?}");
        }
        assert!(measured.contains(&Precision::F32));
    }
}

#[test]
fn a_package_opens_in_the_precision_that_is_asked_for() {
    let (folder, quantized) = with_precisions(false);
    assert_eq!(
        package::open_quantized(folder.path()).unwrap().as_ref(),
        Some(&quantized)
    );
    let pixels = random_pictures(6, 3, 9, 7);
    let int8 = Predictor::open_in(folder.path(), Precision::Int8, 1).unwrap();
    assert_eq!(int8.precision(), Precision::Int8);
    assert_eq!(*int8.preparation(), preparation(&small_frozen(1)));
    let expected = Executor::quantized(&quantized, 1)
        .logits(&pixels, 3)
        .unwrap();
    assert_eq!(int8.logits(&pixels, 3).unwrap(), expected);
    for precision in [Precision::F32, Precision::Bf16] {
        let predictor = Predictor::open_in(folder.path(), precision, 1).unwrap();
        assert_eq!(predictor.precision(), precision);
    }
    let without = written();
    let error = Predictor::open_in(without.path(), Precision::Int8, 1).unwrap_err();
    assert!(error.to_string().contains("model.int8.onnx"), "{error}");
    fs::write(folder.path().join("model.int8.onnx"), "something else").unwrap();
    let error = Predictor::open_in(folder.path(), Precision::Int8, 1).unwrap_err();
    assert!(
        error.to_string().contains("model.int8.onnx: altered"),
        "{error}"
    );
}

#[test]
fn an_int8_model_of_other_weights_is_not_packed() {
    let (_, quantized) = with_precisions(true);
    let folder = tempfile::tempdir().unwrap();
    let model = small_frozen(2);
    let contents = Contents {
        quantized: Some(quantized),
        ..Contents::default()
    };
    let error = package::write_package(folder.path(), &model, &preparation(&model), &contents);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("not a quantisation of the model")
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_interface_of_a_package_is_the_general_one_with_its_own_values() {
    let folder = written();
    let manifest = package::open(folder.path()).unwrap().1;
    let (own, general) = (package::openapi_of(&manifest, "flags"), package::openapi());
    assert_eq!(own["info"]["title"], "flags");
    // No key is added, so nothing is there that OpenAPI does not know.
    assert_eq!(keys("", &own), keys("", &general));
    let infer = &own["paths"]["/v2/models/{name}/infer"]["post"]["parameters"][0]["schema"];
    assert_eq!(infer["enum"], serde_json::json!(["flags"]));
}

/// The pointers of all objects' keys, except for the values that only a package has.
fn keys(at: &str, value: &serde_json::Value) -> Vec<String> {
    let children: Vec<(String, &serde_json::Value)> = match value {
        serde_json::Value::Object(fields) => {
            let own = |key: &&String| *key != "enum";
            let keys = fields.keys().filter(own);
            keys.map(|key| (format!("{at}/{key}"), &fields[key]))
                .collect()
        }
        serde_json::Value::Array(entries) => {
            let entries = entries.iter().enumerate();
            entries
                .map(|(index, entry)| (format!("{at}/{index}"), entry))
                .collect()
        }
        _ => Vec::new(),
    };
    let below = children.iter().flat_map(|(at, child)| keys(at, child));
    children
        .iter()
        .map(|(at, _)| at.clone())
        .chain(below)
        .collect()
}
