//! The frozen model compared with its Burn model.

use mlestar_export::{ExportError, FrozenModel, parity};
use mlestar_model::{ModelConfig, Network};

use crate::models::{
    AVERAGES, MEAN, STD, burn_logits, class_names, plain_config, pooled_residual_config,
    random_pictures, smooth, trained_like,
};

fn check(config: ModelConfig, side: usize, n: usize) {
    let (spec, model) = trained_like(config, 10, side);
    let frozen = FrozenModel::freeze(&model, &spec, (MEAN, STD), &class_names(10)).unwrap();
    let pictures = random_pictures(1, n, side, side);
    let reference = burn_logits(&model, &pictures, n, side);
    let parity = parity::compare(&reference, &frozen.logits(&pictures, n).unwrap(), 10).unwrap();
    let spread = reference
        .iter()
        .copied()
        .fold(0.0_f32, |a, b| a.max(b.abs()));
    assert!(
        spread > 0.1,
        "the logits are all near 0, so that nothing is compared"
    );
    assert!(
        parity.max_abs_difference < 1e-4,
        "{parity:?}, largest logit {spread}"
    );
    assert_eq!(parity.same_top1, n);
}

#[test]
fn reference_network_agrees() {
    check(ModelConfig::reference(), 32, 3);
}

#[test]
fn small_network_agrees_on_odd_sizes() {
    check(ModelConfig::small(), 27, 5);
}

#[test]
fn networks_with_max_pools_agree_on_odd_sizes() {
    check(plain_config(), 27, 5);
    check(pooled_residual_config(), 27, 5);
}

#[test]
fn networks_with_silu_agree() {
    check(smooth(plain_config()), 27, 5);
    check(smooth(pooled_residual_config()), 27, 5);
    check(smooth(ModelConfig::small()), 27, 5);
}

#[test]
fn averages_over_views_agree() {
    for config in [plain_config(), ModelConfig::small()] {
        for views in AVERAGES {
            let config = ModelConfig {
                flip_averaging: views.mirrored,
                shift_averaging: views.shifted,
                ..config.clone()
            };
            check(config, 27, 5);
        }
    }
}

#[test]
fn a_scale_that_a_max_pool_cannot_follow_is_refused() {
    let (spec, model) = trained_like(plain_config(), 10, 32);
    let mut state = model.state();
    let name = "stages.1.0.bn1.weight";
    let scale = state.iter_mut().find(|tensor| tensor.name == name).unwrap();
    scale.values[3] = -0.5;
    let error = FrozenModel::from_state(&state, &spec, (MEAN, STD), &class_names(10)).unwrap_err();
    let expected = format!("`{name}` holds -0.5, but the scale after a max pool must be above 0");
    assert!(error.to_string().contains(&expected), "{error}");
}

#[test]
fn counts_are_those_of_the_folded_network() {
    let (spec, model) = trained_like(ModelConfig::reference(), 10, 32);
    let frozen = FrozenModel::freeze(&model, &spec, (MEAN, STD), &class_names(10)).unwrap();
    // Folding turns the four values of every batch-norm channel into one bias.
    let channels: usize = frozen
        .operations()
        .iter()
        .filter(|operation| operation.name != "head" && operation.name != "pool")
        .zip(frozen.buffer_shapes().iter().skip(1))
        .map(|(_, shape)| shape[0])
        .sum();
    assert_eq!(
        (frozen.parameters() + 3 * channels) as u64,
        spec.summary().parameters
    );
    assert_eq!(
        frozen.multiply_adds(),
        spec.summary().multiply_adds_per_image
    );
}

#[test]
fn a_state_of_another_architecture_is_refused_by_name() {
    let (spec, model) = trained_like(ModelConfig::small(), 10, 32);
    let mut state = model.state();
    state.retain(|tensor| tensor.name != "stages.1.0.bn2.running_var");
    let error = FrozenModel::from_state(&state, &spec, (MEAN, STD), &class_names(10)).unwrap_err();
    assert!(matches!(&error, ExportError::State { .. }));
    assert!(
        error
            .to_string()
            .contains("`stages.1.0.bn2.running_var` is missing"),
        "{error}"
    );
}

#[test]
fn values_that_are_not_finite_are_refused() {
    let (spec, model) = trained_like(ModelConfig::small(), 10, 32);
    let mut state = model.state();
    state[0].values[3] = f32::NAN;
    let error = FrozenModel::from_state(&state, &spec, (MEAN, STD), &class_names(10)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("stem: weight holds NaN at position 3"),
        "{error}"
    );
    let error = FrozenModel::from_state(
        &model.state(),
        &spec,
        (MEAN, [0.2, 0.0, 0.2]),
        &class_names(10),
    );
    assert!(error.unwrap_err().to_string().contains("channel 1"));
    let error = FrozenModel::from_state(&model.state(), &spec, (MEAN, STD), &class_names(9));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("9 class names for 10 outputs")
    );
}
