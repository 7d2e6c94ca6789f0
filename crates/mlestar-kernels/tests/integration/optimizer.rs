//! Optimizer steps compared with their formulas in f64.

use mlestar_kernels::{AdamStep, LionStep, SgdStep, adam_step, lion_step, sgd_step};

use crate::reference::random;

fn close(found: &[f32], expected: &[f64], what: &str) {
    for (index, (&found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(
            error < 1e-5 * (1.0 + expected.abs()),
            "{what} {index}: {found} {expected}"
        );
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

#[test]
fn adam_follows_its_formula() {
    for (len, decoupled, scale) in [(1, false, 1.0), (1003, true, 0.25), (70_000, false, 1.0)] {
        let mut parameter = random(1, "parameter", len);
        let (mut first, mut second) = (vec![0.0; len], vec![0.0; len]);
        let (mut p, mut m, mut v) = (wide(&parameter), vec![0.0; len], vec![0.0; len]);
        for step in 1..=4_u64 {
            let gradient = random(step, "gradient", len);
            let (rate, beta1, beta2, epsilon, decay) = (0.01, 0.9, 0.999, 1e-8, 0.1);
            let adam = AdamStep {
                rate,
                beta1,
                beta2,
                epsilon,
                weight_decay: decay,
                decoupled,
                step,
            };
            adam_step(
                &adam,
                scale,
                &gradient,
                &mut parameter,
                &mut first,
                &mut second,
            )
            .unwrap();
            for i in 0..len {
                let mut g = f64::from(gradient[i]) * f64::from(scale);
                match decoupled {
                    true => p[i] *= 1.0 - rate * decay,
                    false => g += decay * p[i],
                }
                m[i] = beta1 * m[i] + (1.0 - beta1) * g;
                v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                let exponent = step as f64;
                let mean = m[i] / (1.0 - f64::powf(beta1, exponent));
                let root = (v[i] / (1.0 - f64::powf(beta2, exponent))).sqrt();
                p[i] -= rate * mean / (root + epsilon);
            }
            close(&first, &m, "first moment");
            close(&second, &v, "second moment");
            close(&parameter, &p, "parameter");
        }
    }
}

#[test]
fn sgd_follows_its_formula() {
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        let len = 40_007;
        let mut parameter = random(1, "parameter", len);
        let mut buffer = vec![f32::NAN; if momentum == 0.0 { 0 } else { len }];
        let (mut p, mut b) = (wide(&parameter), vec![0.0; len]);
        for step in 0..4 {
            let gradient = random(step, "gradient", len);
            let sgd = SgdStep {
                rate: 0.05,
                momentum,
                nesterov,
                weight_decay: 0.01,
                first: step == 0,
            };
            sgd_step(&sgd, 0.5, &gradient, &mut parameter, &mut buffer).unwrap();
            for i in 0..len {
                let g = f64::from(gradient[i]) * 0.5 + 0.01 * p[i];
                b[i] = if step == 0 { g } else { momentum * b[i] + g };
                p[i] -= 0.05
                    * match (momentum != 0.0, nesterov) {
                        (false, _) => g,
                        (true, true) => g + momentum * b[i],
                        (true, false) => b[i],
                    };
            }
            close(&parameter, &p, "parameter");
            close(&buffer, &b, "buffer");
        }
    }
}

/// If the direction is nearly 0, rounding determines its sign; such values are reset.
#[test]
fn lion_follows_its_formula() {
    for len in [1, 1003, 70_000] {
        let mut parameter = random(1, "parameter", len);
        let mut momentum = vec![0.0; len];
        let (mut p, mut m) = (wide(&parameter), vec![0.0; len]);
        let mut set_back = 0;
        for step in 0..4 {
            let mut gradient = random(step, "gradient", len);
            // Exactly 0 at first: no step in either direction.
            gradient[0] = 0.0;
            let (rate, beta1, beta2, decay) = (0.01, 0.9, 0.99, 0.1);
            let lion = LionStep {
                rate,
                beta1,
                beta2,
                weight_decay: decay,
            };
            lion_step(&lion, 0.5, &gradient, &mut parameter, &mut momentum).unwrap();
            for i in 0..len {
                let g = f64::from(gradient[i]) * 0.5;
                let direction = beta1 * m[i] + (1.0 - beta1) * g;
                let sign = if direction == 0.0 {
                    0.0
                } else {
                    direction.signum()
                };
                p[i] = p[i] * (1.0 - rate * decay) - rate * sign;
                m[i] = beta2 * m[i] + (1.0 - beta2) * g;
                if direction != 0.0 && direction.abs() < 1e-7 {
                    parameter[i] = p[i] as f32;
                    set_back += 1;
                }
            }
            close(&momentum, &m, "momentum");
            close(&parameter, &p, "parameter");
        }
        assert!(set_back <= 4, "{set_back}");
    }
}

#[test]
fn slices_of_other_lengths_are_refused() {
    let sgd = SgdStep {
        rate: 0.1,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.0,
        first: true,
    };
    let error = sgd_step(&sgd, 1.0, &[1.0], &mut [1.0], &mut []).unwrap_err();
    assert_eq!(
        error.to_string(),
        "momentum buffer holds 0 values, but its shape needs 1"
    );

    let lion = LionStep {
        rate: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        weight_decay: 0.0,
    };
    let error = lion_step(&lion, 1.0, &[1.0, 2.0], &mut [1.0], &mut [0.0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "gradient holds 2 values, but its shape needs 1"
    );
}
