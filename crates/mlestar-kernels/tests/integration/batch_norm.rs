use mlestar_kernels::{
    Activated, Activation, BatchNormGradients, ChannelStatistics, batch_norm_backward,
    batch_norm_forward, channel_statistics,
};
use proptest::prelude::*;

use crate::reference::{largest_error, random};

const EPSILON: f64 = 1e-5;

/// Everything that a batch norm computes, in f64.
struct Reference {
    mean: Vec<f64>,
    variance: Vec<f64>,
    output: Vec<f64>,
    input_gradient: Vec<f64>,
    residual_gradient: Vec<f64>,
    weight_gradient: Vec<f64>,
    bias_gradient: Vec<f64>,
}

struct Case {
    channels: usize,
    input: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    residual: Option<Vec<f32>>,
    activation: Option<Activation>,
    errors: Vec<f32>,
}

fn case(
    seed: u64,
    pixels: usize,
    channels: usize,
    offset: f32,
    with_residual: bool,
    activation: Option<Activation>,
) -> Case {
    let shifted = |values: Vec<f32>| values.into_iter().map(|value| value + offset).collect();
    Case {
        channels,
        input: shifted(random(seed, "input", pixels * channels)),
        weight: random(seed, "weight", channels),
        bias: random(seed, "bias", channels),
        residual: with_residual.then(|| random(seed, "residual", pixels * channels)),
        activation,
        errors: random(seed, "errors", pixels * channels),
    }
}

fn reference(case: &Case) -> Reference {
    let channels = case.channels;
    let pixels = case.input.len() / channels;
    let at = |values: &[f32], pixel: usize, channel: usize| {
        f64::from(values[pixel * channels + channel])
    };
    let mut all = Reference {
        mean: vec![],
        variance: vec![],
        output: vec![0.0; case.input.len()],
        input_gradient: vec![0.0; case.input.len()],
        residual_gradient: vec![0.0; case.input.len()],
        weight_gradient: vec![],
        bias_gradient: vec![],
    };
    for c in 0..channels {
        let column: Vec<f64> = (0..pixels).map(|p| at(&case.input, p, c)).collect();
        let n = pixels as f64;
        let mean = column.iter().sum::<f64>() / n;
        let variance = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let inverse = 1.0 / (variance + EPSILON).sqrt();
        let (weight, bias) = (f64::from(case.weight[c]), f64::from(case.bias[c]));
        let mut gradients = vec![];
        for (p, x) in column.iter().enumerate() {
            let residual = case.residual.as_ref().map_or(0.0, |r| at(r, p, c));
            let sum = (x - mean) * inverse * weight + bias + residual;
            let (output, slope) = activated(case.activation, sum);
            all.output[p * channels + c] = output;
            gradients.push(slope * at(&case.errors, p, c));
        }
        let of_bias: f64 = gradients.iter().sum();
        let of_weight: f64 = gradients
            .iter()
            .zip(&column)
            .map(|(g, x)| g * (x - mean) * inverse)
            .sum();
        for (p, (g, x)) in gradients.iter().zip(&column).enumerate() {
            let normalized = (x - mean) * inverse;
            all.input_gradient[p * channels + c] =
                weight * inverse * (g - of_bias / n - normalized * of_weight / n);
            all.residual_gradient[p * channels + c] = *g;
        }
        all.mean.push(mean);
        all.variance.push(variance);
        all.weight_gradient.push(of_weight);
        all.bias_gradient.push(of_bias);
    }
    all
}

/// The activation's value and slope.
fn activated(activation: Option<Activation>, x: f64) -> (f64, f64) {
    match activation {
        None => (x, 1.0),
        Some(Activation::Relu) if x > 0.0 => (x, 1.0),
        Some(Activation::Relu) => (0.0, 0.0),
        Some(Activation::Relu6) if x >= 6.0 => (6.0, 0.0),
        Some(Activation::Relu6) if x > 0.0 => (x, 1.0),
        Some(Activation::Relu6) => (0.0, 0.0),
        Some(Activation::Silu) => {
            let s = 1.0 / (1.0 + (-x).exp());
            (x * s, s + x * s * (1.0 - s))
        }
    }
}

fn check(case: &Case, scale: f64) {
    let statistics = channel_statistics(&case.input, case.channels).unwrap();
    let expected = reference(case);
    close(&statistics.mean, &expected.mean, scale, "mean");
    close(&statistics.variance, &expected.variance, scale, "variance");

    let output = forward(case, &statistics);
    close(&output, &expected.output, 4.0 * scale, "output");

    let activated = case.activation.map(|activation| Activated {
        activation,
        bias: &case.bias,
        residual: case.residual.as_deref(),
    });
    check_backward(case, &statistics, &expected, activated, scale);
}

fn close(found: &[f32], expected: &[f64], scale: f64, what: &str) {
    let error = largest_error(found, expected, scale);
    assert!(error < 1e-5, "{what}: {error}");
}

fn forward(case: &Case, statistics: &ChannelStatistics) -> Vec<f32> {
    let mut output = vec![f32::NAN; case.input.len()];
    batch_norm_forward(
        &case.input,
        statistics,
        &case.weight,
        &case.bias,
        EPSILON,
        case.residual.as_deref(),
        case.activation,
        &mut output,
    )
    .unwrap();
    output
}

fn check_backward(
    case: &Case,
    statistics: &ChannelStatistics,
    expected: &Reference,
    activated: Option<Activated<'_>>,
    scale: f64,
) {
    let residual = case.residual.as_deref();
    let mut input_gradient = vec![f32::NAN; case.input.len()];
    let mut residual_gradient = vec![f32::NAN; case.input.len()];
    let BatchNormGradients { weight, bias } = batch_norm_backward(
        &case.input,
        statistics,
        &case.weight,
        EPSILON,
        activated,
        &case.errors,
        &mut input_gradient,
        residual.is_some().then_some(&mut residual_gradient[..]),
    )
    .unwrap();
    let pixels = case.input.len() / case.channels;
    let terms = (pixels as f64).sqrt();
    // Two pixels a channel differ by little now and then, and the gradient divides by it.
    let steep = expected.variance.iter().map(|v| 1.0 / (v + EPSILON).sqrt());
    let steep = steep.fold(1.0, f64::max);
    close(
        &input_gradient,
        &expected.input_gradient,
        20.0 * scale * steep,
        "input gradient",
    );
    close(
        &weight,
        &expected.weight_gradient,
        4.0 * scale * terms * steep,
        "weight gradient",
    );
    close(&bias, &expected.bias_gradient, 4.0 * terms, "bias gradient");
    if residual.is_some() {
        close(
            &residual_gradient,
            &expected.residual_gradient,
            4.0,
            "residual gradient",
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn batch_norm_agrees_with_the_definition(
        seed in any::<u64>(), pixels in 2_usize..300, channels in 1_usize..80,
        with_residual in any::<bool>(),
        activation in prop::option::of(prop::sample::select(vec![
            Activation::Relu, Activation::Relu6, Activation::Silu,
        ])),
    ) {
        check(&case(seed, pixels, channels, 0.0, with_residual, activation), 1.0);
    }
}

/// More pixels than fit in a piece, far from zero: the variance keeps its precision.
#[test]
fn a_large_mean_costs_the_variance_no_digits() {
    check(&case(5, 20_000, 9, 100.0, false, None), 100.0);
    let case = case(5, 20_000, 9, 1000.0, false, None);
    let ChannelStatistics { variance, .. } = channel_statistics(&case.input, 9).unwrap();
    let expected = reference(&case);
    // An input of 1000 is itself only precise to 6e-5.
    assert!(largest_error(&variance, &expected.variance, 1.0) < 2e-4);
}

#[test]
fn one_pixel_has_no_variance() {
    let statistics = channel_statistics(&[3.0, -1.0], 2).unwrap();
    assert_eq!(statistics.mean, [3.0, -1.0]);
    assert_eq!(statistics.variance, [0.0, 0.0]);
}

#[test]
fn nothing_has_no_statistics() {
    let statistics = channel_statistics(&[], 2).unwrap();
    assert!(
        statistics
            .mean
            .iter()
            .chain(&statistics.variance)
            .all(|v| v.is_nan())
    );
}

#[test]
fn nan_stays_in_its_channel_and_passes_the_activation() {
    for activation in [Activation::Relu, Activation::Relu6, Activation::Silu] {
        let mut case = case(1, 50, 20, 0.0, false, Some(activation));
        case.input[3] = f32::NAN;
        let statistics = channel_statistics(&case.input, 20).unwrap();
        let output = forward(&case, &statistics);
        for (index, value) in output.iter().enumerate() {
            assert_eq!(value.is_nan(), index % 20 == 3, "{activation:?} {index}");
        }
    }
}

#[test]
fn slices_that_do_not_fit_are_refused() {
    let error = channel_statistics(&[1.0; 5], 2).unwrap_err().to_string();
    assert_eq!(
        error,
        "batch norm: 5 values are not whole pixels of 2 channels"
    );
    assert!(channel_statistics(&[1.0; 5], 0).is_err());
    let statistics = channel_statistics(&[1.0; 6], 2).unwrap();
    let refused = |activated: Activated<'_>| {
        let (values, mut gradient) = ([1.0; 6], [0.0; 6]);
        let result = batch_norm_backward(
            &values,
            &statistics,
            &[1.0; 2],
            EPSILON,
            Some(activated),
            &values,
            &mut gradient,
            None,
        );
        result.unwrap_err().to_string()
    };
    let silu = |bias, residual| Activated {
        activation: Activation::Silu,
        bias,
        residual,
    };
    let error = refused(silu(&[0.0; 3], None));
    assert_eq!(error, "bias holds 3 values, but its shape needs 2");
    let error = refused(silu(&[0.0; 2], Some(&[0.0; 4])));
    assert_eq!(error, "residual holds 4 values, but its shape needs 6");
}

/// The pieces are added up in a fixed order.
#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let case = case(9, 5000, 33, 0.0, true, Some(Activation::Relu));
    let statistics = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| channel_statistics(&case.input, 33).unwrap())
    };
    let one = statistics(1);
    for threads in [2, 5] {
        assert_eq!(one, statistics(threads));
    }
}
