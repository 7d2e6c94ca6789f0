//! The ONNX file in an independent runtime (tract).

use mlestar_export::{Confidence, FrozenModel, familiarity, onnx};
use mlestar_model::ModelConfig;
use tract_onnx::prelude::*;

use crate::models::{
    AVERAGES, MEAN, STD, attention_frozen, class_names, max_difference, plain_config,
    pooled_frozen, pooled_residual_config, random_pictures, small_frozen, smooth, trained_like,
};

/// The outputs of a model.
struct Outputs {
    logits: Vec<f32>,
    probabilities: Vec<f32>,
    familiarity: Vec<f32>,
    none_of_these: Option<Vec<bool>>,
}

/// What tract computes from the file at `path`.
fn tract_outputs(model: &FrozenModel, pictures: &[u8], n: usize) -> Outputs {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    onnx::write(model, &path).unwrap();
    let runnable = tract_onnx::onnx()
        .model_for_path(&path)
        .unwrap()
        .into_optimized()
        .unwrap()
        .into_runnable()
        .unwrap();
    let shape = [n, model.height(), model.width(), 3];
    let images = Tensor::from_shape(&shape, pictures).unwrap();
    let outputs = runnable.run(tvec![images.into()]).unwrap();
    let has_limit = model.confidence().familiarity_limit.is_some();
    assert_eq!(outputs.len(), 3 + usize::from(has_limit));
    let floats = |index: usize, shape: &[usize]| -> Vec<f32> {
        assert_eq!(outputs[index].shape(), shape);
        let view = outputs[index].to_plain_array_view::<f32>().unwrap();
        view.iter().copied().collect()
    };
    Outputs {
        logits: floats(0, &[n, model.n_classes()]),
        probabilities: floats(1, &[n, model.n_classes()]),
        familiarity: floats(2, &[n]),
        none_of_these: has_limit.then(|| {
            assert_eq!(outputs[3].shape(), [n]);
            let view = outputs[3].to_plain_array_view::<bool>().unwrap();
            view.iter().copied().collect()
        }),
    }
}

pub fn check(model: &FrozenModel) {
    for n in [1, 3] {
        let pictures = random_pictures(n as u64, n, model.height(), model.width());
        let found = tract_outputs(model, &pictures, n);
        let own = model.logits(&pictures, n).unwrap();
        assert!(own.iter().any(|logit| logit.abs() > 0.05));
        let difference = max_difference(&found.logits, &own);
        assert!(difference < 1e-4, "logits differ by {difference}");
        let temperature = model.confidence().temperature;
        let rows = own.chunks(model.n_classes());
        for (index, own) in rows.enumerate() {
            let exponentials: Vec<f32> = own
                .iter()
                .map(|logit| (logit / temperature).exp())
                .collect();
            let sum: f32 = exponentials.iter().sum();
            let softmax: Vec<f32> = exponentials.iter().map(|value| value / sum).collect();
            let start = index * own.len();
            let row = &found.probabilities[start..start + own.len()];
            assert!(max_difference(row, &softmax) < 1e-4);
            let expected = own.iter().map(|logit| logit.exp()).sum::<f32>().ln();
            assert!((found.familiarity[index] - expected).abs() < 1e-3);
            if let Some(none_of_these) = &found.none_of_these {
                let expected = model.confidence().is_none_of_these(own);
                assert_eq!(none_of_these[index], expected);
            }
        }
    }
}

#[test]
fn tract_agrees_on_temperature_and_none_of_these() {
    let model = small_frozen(1);
    let pictures = random_pictures(3, 3, model.height(), model.width());
    let logits = model.logits(&pictures, 3).unwrap();
    let mut scores: Vec<f64> = logits.chunks(model.n_classes()).map(familiarity).collect();
    scores.sort_by(f64::total_cmp);
    // One of the images on the other side of the limit than the others.
    let confidence = Confidence {
        temperature: 2.5,
        familiarity_limit: Some(((scores[0] + scores[1]) / 2.0) as f32),
    };
    let model = model.with_confidence(confidence).unwrap();
    check(&model);
    check(
        &pooled_frozen(2)
            .with_views(AVERAGES[2])
            .with_confidence(confidence)
            .unwrap(),
    );
    let found = tract_outputs(&model, &pictures, 3).none_of_these.unwrap();
    assert_eq!(found.iter().filter(|none| **none).count(), 1);
}

#[test]
fn tract_agrees_on_attention() {
    check(&attention_frozen(1));
    for views in AVERAGES {
        check(&attention_frozen(2).with_views(views));
    }
}

#[test]
fn tract_agrees_on_a_small_graph_of_odd_size() {
    check(&small_frozen(1));
}

#[test]
fn tract_agrees_on_max_pools_and_a_plain_network() {
    check(&pooled_frozen(1));
    for views in AVERAGES {
        check(&pooled_frozen(2).with_views(views));
    }
    let (spec, model) = trained_like(plain_config(), 10, 27);
    check(&FrozenModel::freeze(&model, &spec, (MEAN, STD), &class_names(10)).unwrap());
}

#[test]
fn tract_agrees_on_networks_with_silu() {
    for config in [
        plain_config(),
        pooled_residual_config(),
        ModelConfig::small(),
    ] {
        let (spec, model) = trained_like(smooth(config), 10, 27);
        check(&FrozenModel::freeze(&model, &spec, (MEAN, STD), &class_names(10)).unwrap());
    }
}

#[test]
fn tract_agrees_on_the_reference_network() {
    let (spec, model) = trained_like(ModelConfig::reference(), 10, 32);
    check(&FrozenModel::freeze(&model, &spec, (MEAN, STD), &class_names(10)).unwrap());
}
