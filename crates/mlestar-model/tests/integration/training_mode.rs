use burn::{
    module::Module,
    optim::GradientsParams,
    tensor::{Device, Tensor},
};
use mlestar_model::{NamedTensor, Network, TrainingPass, dropout_mask};

use crate::{naive::Map, random_images, random_state, random_values, tiny_spec, to_vec};

/// A pass with these factors of the branches.
fn branches(branch_factors: &[Option<f64>]) -> TrainingPass<'_> {
    TrainingPass {
        branch_factors,
        ..TrainingPass::default()
    }
}

fn tensor<'a>(state: &'a [NamedTensor], name: &str) -> &'a [f32] {
    &state
        .iter()
        .find(|tensor| tensor.name == name)
        .unwrap()
        .values
}

/// Output of the stem's convolution, computed naively in f64.
fn stem_convolution(state: &[NamedTensor], pixels: &[f32], side: usize) -> Vec<Map> {
    let weight = tensor(state, "stem.conv.weight");
    let at = |picture: &[f32], c: usize, y: isize, x: isize| -> f64 {
        let inside = (0..side as isize).contains(&y) && (0..side as isize).contains(&x);
        match inside {
            true => f64::from(picture[(c * side + y as usize) * side + x as usize]),
            false => 0.0,
        }
    };
    let convolve = |picture: &[f32]| {
        let mut values = Vec::new();
        for kernel in weight.chunks(27) {
            for y in 0..side as isize {
                for x in 0..side as isize {
                    let mut sum = 0.0;
                    for (k, &w) in kernel.iter().enumerate() {
                        let (c, ky, kx) = (k / 9, (k / 3 % 3) as isize, (k % 3) as isize);
                        sum += f64::from(w) * at(picture, c, y + ky - 1, x + kx - 1);
                    }
                    values.push(sum);
                }
            }
        }
        Map {
            channels: weight.len() / 27,
            height: side,
            width: side,
            values,
        }
    };
    pixels.chunks(3 * side * side).map(convolve).collect()
}

fn dropping(mask: Tensor<2>) -> TrainingPass<'static> {
    TrainingPass {
        dropout_mask: Some(mask),
        ..TrainingPass::default()
    }
}

#[test]
fn running_statistics_move_as_in_pytorch() {
    let device = Device::flex().autodiff();
    let (side, n) = (6, 4);
    let spec = tiny_spec(side, side);
    let state = random_state(&spec, 9);
    let model = spec.init(0, &device).load_state(&state, &device).unwrap();
    let _ = model.forward_train_with(
        random_images(4, [n, 3, side, side], &device),
        TrainingPass::default(),
    );
    let after = model.state();

    let maps = stem_convolution(&state, &random_values(4, n * 3 * side * side), side);
    let area = side * side;
    for channel in 0..4 {
        let values: Vec<f64> = maps
            .iter()
            .flat_map(|map| &map.values[channel * area..(channel + 1) * area])
            .copied()
            .collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        // PyTorch keeps the unbiased variance.
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
        for (name, batch) in [
            ("stem.bn.running_mean", mean),
            ("stem.bn.running_var", variance),
        ] {
            let before = f64::from(tensor(&state, name)[channel]);
            let expected = 0.9 * before + 0.1 * batch;
            let found = f64::from(tensor(&after, name)[channel]);
            assert!(
                (found - expected).abs() < 1e-5,
                "{name}: {found} and {expected}"
            );
        }
    }
    // Parameters do not move without an optimizer.
    assert_eq!(
        tensor(&after, "stages.1.0.conv1.weight"),
        tensor(&state, "stages.1.0.conv1.weight")
    );
}

#[test]
fn a_snapshot_is_not_changed_by_later_training() {
    let device = Device::flex().autodiff();
    let spec = tiny_spec(6, 6);
    let model = spec.init(0, &device);
    let snapshot = model.valid();
    let before = snapshot.state();
    let _ = model.forward_train_with(
        random_images(1, [4, 3, 6, 6], &device),
        TrainingPass::default(),
    );
    assert_eq!(snapshot.state(), before);
    assert_ne!(model.state(), before);
}

#[test]
fn a_single_value_a_channel_trains_without_nan() {
    let device = Device::flex().autodiff();
    let spec = tiny_spec(2, 2);
    let model = spec.init(0, &device);
    // The last stage sees one pixel of one image.
    let logits = model.forward_train_with(
        random_images(1, [1, 3, 2, 2], &device),
        TrainingPass::default(),
    );
    assert!(to_vec(logits).iter().all(|value| value.is_finite()));
    assert!(
        model
            .state()
            .iter()
            .flat_map(|t| &t.values)
            .all(|v| v.is_finite())
    );
}

#[test]
fn every_parameter_gets_a_gradient() {
    let device = Device::flex().autodiff();
    let spec = tiny_spec(8, 8);
    let model = spec.init(0, &device);
    let mask = dropout_mask(1, 0, 6, spec.features(), 0.3, &device);
    let logits = model.forward_train_with(random_images(1, [6, 3, 8, 8], &device), dropping(mask));
    let gradients = logits.powi_scalar(2).sum().backward();
    let gradients = GradientsParams::from_grads(gradients, &model);
    let parameters = model
        .state()
        .iter()
        .filter(|t| !t.name.contains("running"))
        .count();
    assert_eq!(gradients.len(), parameters);
}

#[test]
fn the_mask_drops_features() {
    let device = Device::flex();
    let spec = tiny_spec(8, 8);
    let model = spec.init(0, &device);
    let images = random_images(1, [2, 3, 8, 8], &device);
    let nothing = Tensor::zeros([2, spec.features()], &device);
    let logits = to_vec(model.forward_train_with(images, dropping(nothing)));
    let state = model.state();
    let bias = tensor(&state, "head.bias");
    assert_eq!(logits, [bias, bias].concat());
}

/// Two blocks: the first is skipped, the second's branch is doubled. Computed from the parts: without its
/// branch, the first block is the ReLU of its shortcut.
#[test]
fn a_branch_left_out_changes_nothing_of_its_own_and_a_factor_multiplies() {
    let device = Device::flex().autodiff();
    let spec = tiny_spec(8, 8);
    let model = spec.init(3, &device);
    let images = || random_images(7, [5, 3, 8, 8], &device);
    let blocks: usize = spec.config().stages.iter().map(|stage| stage.blocks).sum();
    let before = model.state();
    let none = vec![None; blocks];
    let left_out = to_vec(model.forward_train_with(images(), branches(&none)));
    // The running statistics of the branches have not changed, those of the stem have.
    for (before, after) in before.iter().zip(&model.state()) {
        let in_branch = before.name.contains(".bn1.") || before.name.contains(".bn2.");
        if before.name.contains("running") {
            assert_eq!(before.values == after.values, in_branch, "{}", before.name);
        }
    }
    let ones = vec![Some(1.0); blocks];
    let whole = to_vec(model.forward_train_with(images(), TrainingPass::default()));
    assert_eq!(
        to_vec(model.forward_train_with(images(), branches(&ones))),
        whole
    );
    assert_ne!(left_out, whole);
    // A factor near 0 is close to skipping; one near 1 is close to the whole branch.
    let close = |factor: f64, expected: &[f32]| {
        let factors = vec![Some(factor); blocks];
        let found = to_vec(model.forward_train_with(images(), branches(&factors)));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-3, "{found} {expected}");
        }
    };
    close(1e-6, &left_out);
    close(1.0 + 1e-6, &whole);
}
