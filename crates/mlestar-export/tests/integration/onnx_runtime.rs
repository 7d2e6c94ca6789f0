//! The ONNX file in an independent runtime (tract).

use mlestar_export::{FrozenModel, onnx};
use mlestar_model::ModelConfig;
use tract_onnx::prelude::*;

use crate::models::{
    AVERAGES, MEAN, STD, class_names, max_difference, plain_config, pooled_frozen,
    pooled_residual_config, random_pictures, small_frozen, smooth, trained_like,
};

/// Logits and probabilities that tract computes from the file at `path`.
fn tract_outputs(model: &FrozenModel, pictures: &[u8], n: usize) -> [Vec<f32>; 2] {
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
    assert_eq!(outputs.len(), 2);
    [0, 1].map(|index| {
        assert_eq!(outputs[index].shape(), [n, model.n_classes()]);
        let view = outputs[index].to_plain_array_view::<f32>().unwrap();
        view.iter().copied().collect()
    })
}

pub fn check(model: &FrozenModel) {
    for n in [1, 3] {
        let pictures = random_pictures(n as u64, n, model.height(), model.width());
        let [logits, probabilities] = tract_outputs(model, &pictures, n);
        let own = model.logits(&pictures, n).unwrap();
        assert!(own.iter().any(|logit| logit.abs() > 0.05));
        let difference = max_difference(&logits, &own);
        assert!(difference < 1e-4, "logits differ by {difference}");
        for (row, own) in probabilities
            .chunks(model.n_classes())
            .zip(own.chunks(model.n_classes()))
        {
            let exponentials: Vec<f32> = own.iter().map(|logit| logit.exp()).collect();
            let sum: f32 = exponentials.iter().sum();
            let softmax: Vec<f32> = exponentials.iter().map(|value| value / sum).collect();
            assert!(max_difference(row, &softmax) < 1e-4);
        }
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
