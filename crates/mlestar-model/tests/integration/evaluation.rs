use burn::tensor::{Device, ops::PadMode};

use mlestar_model::{Activation, ModelConfig, ModelSpec, Network as _, TrainingPass};

use crate::{
    naive::Network, plain_config, pooled_residual_config, random_images, random_state,
    random_values, tiny_config, tiny_spec, to_vec,
};

/// The forward pass against the naive f64 one, on sizes where strides do not divide evenly.
pub fn check(spec: &ModelSpec, n: usize) {
    check_on(&Device::flex(), spec, n);
}

fn check_on(device: &Device, spec: &ModelSpec, n: usize) {
    let (height, width) = (spec.height(), spec.width());
    let state = random_state(spec, 11);
    let model = spec.init(0, device).load_state(&state, device).unwrap();
    let logits = to_vec(model.forward(random_images(5, [n, 3, height, width], device)));

    let network = Network::new(spec, &state);
    let pixels = random_values(5, n * 3 * height * width);
    let expected: Vec<f64> = pixels
        .chunks(3 * height * width)
        .flat_map(|picture| network.logits(picture, height, width))
        .collect();
    assert_eq!(logits.len(), expected.len());
    for (found, expected) in logits.iter().zip(&expected) {
        let difference = (f64::from(*found) - expected).abs();
        assert!(
            difference < 1e-4,
            "{height}x{width}: {found} and {expected}"
        );
    }
    // Equal logits would make the comparison meaningless.
    let spread = expected
        .iter()
        .fold(0.0_f64, |a, &b| a.max((b - expected[0]).abs()));
    assert!(spread > 0.05, "spread {spread}");
}

#[test]
fn evaluation_equals_the_naive_forward_pass() {
    for (height, width, n) in [(9, 7, 1), (5, 13, 3), (2, 2, 1), (8, 8, 2)] {
        check(&tiny_spec(height, width), n);
    }
}

#[test]
fn networks_with_max_pools_equal_their_naive_forward_pass_too() {
    for config in [plain_config(), pooled_residual_config()] {
        for (height, width, n) in [(13, 11, 1), (12, 12, 3), (6, 20, 2)] {
            check(&config.check(3, height, width).unwrap(), n);
        }
    }
}

#[test]
fn networks_with_silu_equal_their_naive_forward_pass() {
    for config in [tiny_config(), plain_config(), pooled_residual_config()] {
        let config = ModelConfig {
            activation: Activation::Silu,
            ..config
        };
        for (height, width, n) in [(13, 11, 1), (12, 12, 3), (6, 20, 2)] {
            let spec = config.check(3, height, width).unwrap();
            check(&spec, n);
            check_on(&Device::flex().autodiff(), &spec, n);
        }
    }
}

#[test]
fn evaluation_changes_nothing_and_is_the_same_on_an_autodiff_device() {
    let plain = Device::flex();
    let autodiff = Device::flex().autodiff();
    let spec = tiny_spec(9, 9);
    let state = random_state(&spec, 3);
    let on_plain = spec.init(0, &plain).load_state(&state, &plain).unwrap();
    let on_autodiff = spec
        .init(0, &autodiff)
        .load_state(&state, &autodiff)
        .unwrap();

    let expected = to_vec(on_plain.forward(random_images(1, [2, 3, 9, 9], &plain)));
    let found = to_vec(on_autodiff.forward(random_images(1, [2, 3, 9, 9], &autodiff)));
    assert_eq!(expected, found);
    assert_eq!(on_plain.state(), state);
    assert_eq!(on_autodiff.state(), state);
}

#[test]
fn a_picture_s_logits_do_not_depend_on_its_batch() {
    let device = Device::flex();
    let spec = tiny_spec(9, 7);
    let model = spec.init(2, &device);
    let batch = random_images(8, [5, 3, 9, 7], &device);
    let together = to_vec(model.forward(batch.clone()));
    for index in 0..5 {
        let alone = to_vec(model.forward(batch.clone().narrow(0, index, 1)));
        for (a, b) in alone.iter().zip(&together[index * 3..]) {
            assert!((a - b).abs() < 1e-5);
        }
    }
}

#[test]
fn averaging_is_the_mean_over_the_views() {
    let cases = [(true, false), (false, true), (true, true)];
    let devices = [Device::flex(), Device::flex().autodiff()];
    for ((flip_averaging, shift_averaging), device) in cases.into_iter().zip(devices.iter().cycle())
    {
        let plain = plain_config().check(3, 12, 13).unwrap();
        let averaging = ModelConfig {
            flip_averaging,
            shift_averaging,
            ..plain_config()
        };
        let averaging = averaging.check(3, 12, 13).unwrap();
        let state = random_state(&plain, 4);
        let load = |spec: &ModelSpec| spec.init(0, device).load_state(&state, device).unwrap();
        let (plain, averaging) = (load(&plain), load(&averaging));
        let images = random_images(3, [4, 3, 12, 13], device);
        let mut views = vec![images.clone()];
        if shift_averaging {
            // One more row and column on each side, and the corners of that.
            let padded = images.clone().pad((1, 1, 1, 1), PadMode::Reflect);
            views.push(padded.clone().narrow(2, 2, 12).narrow(3, 2, 13));
            views.push(padded.narrow(2, 0, 12).narrow(3, 0, 13));
        }
        if flip_averaging {
            views.extend(views.clone().into_iter().map(|view| view.flip([3])));
        }
        assert_eq!(averaging.views().count(), views.len());
        let all: Vec<Vec<f32>> = views
            .into_iter()
            .map(|x| to_vec(plain.forward(x)))
            .collect();
        let found = to_vec(averaging.forward(images.clone()));
        for (index, found) in found.iter().enumerate() {
            let sum: f32 = all.iter().map(|logits| logits[index]).sum();
            assert_eq!(*found, sum * (1.0 / all.len() as f32));
            assert!(
                (found - all[0][index]).abs() > 1e-5,
                "{found} is one view's"
            );
        }
        // Training uses only the unchanged image.
        let [a, b] = [&plain, &averaging]
            .map(|m| to_vec(m.forward_train_with(images.clone(), TrainingPass::default())));
        assert_eq!(a, b);
    }
}
