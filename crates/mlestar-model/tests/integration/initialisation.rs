use burn::tensor::Device;
use mlestar_model::{ModelConfig, NamedTensor, Network};

use crate::tiny_spec;

fn moments(values: &[f32]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let variance = values
        .iter()
        .map(|&v| (f64::from(v) - mean).powi(2))
        .sum::<f64>()
        / n;
    (mean, variance.sqrt())
}

fn tensor<'a>(state: &'a [NamedTensor], name: &str) -> &'a NamedTensor {
    state.iter().find(|tensor| tensor.name == name).unwrap()
}

#[test]
fn weights_have_the_documented_distribution() {
    let spec = ModelConfig::reference().check(10, 32, 32).unwrap();
    let state = spec.init(42, &Device::flex()).state();
    // 147,456 draws: mean within 4 standard errors, deviation within 1%.
    let conv = tensor(&state, "stages.1.1.conv1.weight");
    assert_eq!(conv.shape, [128, 128, 3, 3]);
    let expected = (2.0_f64 / (128.0 * 9.0)).sqrt();
    let (mean, deviation) = moments(&conv.values);
    assert!(
        mean.abs() < 4.0 * expected / (conv.values.len() as f64).sqrt(),
        "mean {mean}"
    );
    assert!(
        (deviation / expected - 1.0).abs() < 0.01,
        "deviation {deviation}"
    );

    let head = tensor(&state, "head.weight");
    assert_eq!(head.shape, [10, 256]);
    assert!(head.values.iter().all(|value| value.abs() <= 1.0 / 16.0));
    let (_, deviation) = moments(&head.values);
    assert!((deviation / (1.0 / 16.0 / 3.0_f64.sqrt()) - 1.0).abs() < 0.05);

    assert!(
        tensor(&state, "stem.bn.weight")
            .values
            .iter()
            .all(|&v| v == 1.0)
    );
    assert!(
        tensor(&state, "stem.bn.running_var")
            .values
            .iter()
            .all(|&v| v == 1.0)
    );
    assert!(
        tensor(&state, "stem.bn.bias")
            .values
            .iter()
            .all(|&v| v == 0.0)
    );
}

#[test]
fn the_seed_decides_every_bit() {
    let spec = tiny_spec(8, 8);
    let first = spec.init(1, &Device::flex()).state();
    assert_eq!(first, spec.init(1, &Device::flex().autodiff()).state());
    let other = spec.init(2, &Device::flex()).state();
    assert_ne!(
        tensor(&first, "stem.conv.weight"),
        tensor(&other, "stem.conv.weight")
    );
    // Tensors of the same shape have their own streams.
    assert_ne!(
        tensor(&first, "stages.1.0.conv2.weight").values,
        tensor(&first, "stages.1.1.conv2.weight").values
    );
}

/// A change of the initial weights would change every recorded result.
#[test]
fn the_first_weights_of_a_seed_never_change() {
    let state = tiny_spec(8, 8).init(0, &Device::flex()).state();
    let first = |name: &str| tensor(&state, name).values[..2].to_vec();
    for (found, expected) in first("stem.conv.weight")
        .iter()
        .zip([0.354_853_18, -0.256_100_45])
    {
        // Logarithm and cosine may differ in the last bit between platforms.
        assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
    }
    assert_eq!(first("head.bias"), [0.177_787_48, 0.103_357_79]);
}
