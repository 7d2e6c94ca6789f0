use mlestar_random::Stream;

use super::*;
use crate::config::Decay;

/// A hidden convolution, which Muon treats as a matrix with more columns than rows.
const WIDE: [usize; 4] = [10, 4, 5, 5];
const TALL: [usize; 4] = [60, 4, 3, 3];

fn random(step: u64, what: &str, shape: &[usize]) -> Tensor<1> {
    let len = shape.iter().product();
    let mut stream = Stream::new(1, what, step, 0);
    let values: Vec<f32> = (0..len).map(|_| stream.normal() as f32).collect();
    Tensor::from_data(TensorData::new(values, [len]), &Device::flex())
}

fn values(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

fn every_rule() -> Vec<OptimizerConfig> {
    [
        (OptimizerKind::Sgd, 0.0, false),
        (OptimizerKind::Sgd, 0.9, false),
        (OptimizerKind::Sgd, 0.9, true),
        (OptimizerKind::Adam, 0.9, false),
        (OptimizerKind::AdamW, 0.9, false),
        (OptimizerKind::Lion, 0.9, false),
        (OptimizerKind::Muon, 0.0, false),
        (OptimizerKind::Muon, 0.9, false),
    ]
    .map(|(kind, momentum, nesterov)| OptimizerConfig {
        kind,
        momentum,
        nesterov,
        weight_decay: 0.05,
        ..OptimizerConfig::default()
    })
    .into()
}

/// The CPU uses the kernels, every other device Burn's operations. Parameters and checkpoints must agree.
#[test]
fn both_ways_of_a_step_agree() {
    for config in every_rule() {
        for shape in [&WIDE[..], &TALL, &[16, 3, 3, 3], &[10, 32], &[17]] {
            let mut by_burn = Optimizer::new(config.clone());
            let mut by_kernel = Optimizer::new(config.clone());
            let mut burn = random(0, "parameter", shape);
            let mut kernel = burn.clone();
            for step in 1..=5 {
                by_burn.steps = step;
                by_kernel.steps = step;
                let gradient = random(step, "gradient", shape);
                let scale = Tensor::<1>::from_floats([0.5], &Device::flex());
                let change = Change {
                    parameter: burn,
                    gradient: gradient.clone() * scale.clone(),
                };
                burn = by_burn.update_by_burn("p", shape, change, 0.01);
                let change = Change {
                    parameter: kernel,
                    gradient,
                };
                kernel = by_kernel.update_by_kernel("p", shape, change, Some(scale), 0.01);
                let difference = largest_difference(&values(&burn), &values(&kernel));
                assert!(
                    difference < 1e-5,
                    "{config:?} {shape:?} step {step}: {difference}"
                );
            }
            assert_ne!(values(&kernel), values(&random(0, "parameter", shape)));
            let (burn, kernel) = (by_burn.state(), by_kernel.state());
            assert_eq!(burn.len(), kernel.len());
            for (burn, kernel) in burn.iter().zip(&kernel) {
                assert_eq!(burn.name, kernel.name);
                assert!(largest_difference(&burn.values, &kernel.values) < 1e-5);
            }
        }
    }
}

/// An optimizer that was saved and restored continues with the same bits, in either implementation.
#[test]
fn a_restored_optimizer_gives_the_same_bits() {
    for config in every_rule() {
        for by_kernel in [true, false] {
            let run = |restores: bool| {
                let mut optimizer = Optimizer::new(config.clone());
                let shapes = [&WIDE[..], &[17]];
                let mut parameters = shapes.map(|shape| random(0, "parameter", shape));
                for step in 1..=6 {
                    if restores && step == 4 {
                        let (steps, state) = (optimizer.steps(), optimizer.state());
                        let restored =
                            Optimizer::restore(config.clone(), steps, &state, &Device::flex());
                        optimizer = restored.unwrap();
                    }
                    optimizer.steps = step;
                    for ((parameter, shape), name) in
                        parameters.iter_mut().zip(shapes).zip(["a", "b"])
                    {
                        let change = Change {
                            parameter: parameter.clone(),
                            gradient: random(step, name, shape),
                        };
                        *parameter = match by_kernel {
                            true => optimizer.update_by_kernel(name, shape, change, None, 0.01),
                            false => optimizer.update_by_burn(name, shape, change, 0.01),
                        };
                    }
                }
                let parameters = parameters.map(|parameter| values(&parameter));
                (parameters, optimizer.state())
            };
            assert!(run(false) == run(true), "{config:?} {by_kernel}");
        }
    }
}

/// The state of Lion has one average, like SGD's; Muon's has one for filters and two for the rest.
#[test]
fn the_state_of_every_rule_has_its_moments() {
    let names = |kind| {
        let mut optimizer = Optimizer::new(OptimizerConfig {
            kind,
            ..OptimizerConfig::default()
        });
        optimizer.steps = 1;
        for (name, shape) in [("filter", &WIDE[..]), ("bias", &[17])] {
            let change = Change {
                parameter: random(0, name, shape),
                gradient: random(1, name, shape),
            };
            let _ = optimizer.update_by_kernel(name, shape, change, None, 0.01);
        }
        let state = optimizer.state();
        let adam = OptimizerConfig::default();
        let refused = Optimizer::restore(adam, 1, &state, &Device::flex()).is_err();
        let names: Vec<String> = state.into_iter().map(|tensor| tensor.name).collect();
        (names.join(" "), refused)
    };
    assert_eq!(
        names(OptimizerKind::Lion),
        ("bias.first_moment filter.first_moment".to_owned(), true)
    );
    assert_eq!(
        names(OptimizerKind::Muon),
        (
            "bias.first_moment bias.second_moment filter.first_moment".to_owned(),
            true
        )
    );
}

/// The parameters that Muon leaves to AdamW use their own rate, which follows the schedule.
#[test]
fn muon_gives_the_rest_to_adamw_at_its_own_rate() {
    let moved = |config: OptimizerConfig, rate: f64| {
        let mut optimizer = Optimizer::new(config);
        optimizer.steps = 1;
        let change = Change {
            parameter: random(0, "parameter", &[17]),
            gradient: random(1, "gradient", &[17]),
        };
        values(&optimizer.update_by_kernel("bias", &[17], change, None, rate))
    };
    let muon = OptimizerConfig {
        kind: OptimizerKind::Muon,
        learning_rate: 0.02,
        auxiliary_learning_rate: 0.004,
        ..OptimizerConfig::default()
    };
    let adamw = OptimizerConfig {
        kind: OptimizerKind::AdamW,
        ..OptimizerConfig::default()
    };
    // Halfway through the schedule.
    let difference = largest_difference(&moved(muon, 0.01), &moved(adamw, 0.002));
    assert!(difference < 1e-7, "{difference}");
}

/// With a gradient of zeros, only weight decay changes a parameter.
#[test]
fn decay_of_weights_spares_biases() {
    for config in every_rule() {
        for (decay, shape, decays) in [
            (Decay::All, &WIDE[..], true),
            (Decay::All, &[17], true),
            (Decay::Weights, &WIDE, true),
            (Decay::Weights, &[10, 32], true),
            (Decay::Weights, &[17], false),
        ] {
            let mut optimizer = Optimizer::new(OptimizerConfig {
                decay,
                ..config.clone()
            });
            optimizer.steps = 1;
            let before = random(0, "parameter", shape);
            let change = Change {
                parameter: before.clone(),
                gradient: before.zeros_like(),
            };
            let after = optimizer.update_by_kernel("p", shape, change, None, 0.01);
            let has_moved = values(&before) != values(&after);
            assert_eq!(has_moved, decays, "{config:?} {decay:?} {shape:?}");
        }
    }
}
