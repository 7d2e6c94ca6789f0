//! The update rules compared with plain f64 loops written from PyTorch's documentation, on a linear regression
//! (whose gradient is known in closed form).

use burn::{
    module::{Module, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use mlestar_random::Stream;
use mlestar_train::{GradientNorm, Optimizer, OptimizerConfig, OptimizerKind};

const INPUTS: usize = 4;
const OUTPUTS: usize = 3;
const ROWS: usize = 5;

#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

struct Problem {
    x: Vec<f64>,
    y: Vec<f64>,
    weight: Vec<f64>,
    bias: Vec<f64>,
}

impl Problem {
    fn new() -> Self {
        let mut draws = Stream::new(3, "regression", 0, 0);
        let mut normals = |n: usize| (0..n).map(|_| f64::from(draws.normal() as f32)).collect();
        Self {
            x: normals(ROWS * INPUTS),
            y: normals(ROWS * OUTPUTS),
            weight: normals(INPUTS * OUTPUTS),
            bias: normals(OUTPUTS),
        }
    }

    /// Gradient of the mean of squares of `x w + b - y`: first the weight's, then the bias's.
    fn gradient(&self) -> Vec<f64> {
        let mut weight = vec![0.0; INPUTS * OUTPUTS];
        let mut bias = vec![0.0; OUTPUTS];
        for row in 0..ROWS {
            for out in 0..OUTPUTS {
                let mut error = self.bias[out] - self.y[row * OUTPUTS + out];
                for i in 0..INPUTS {
                    error += self.x[row * INPUTS + i] * self.weight[i * OUTPUTS + out];
                }
                let factor = 2.0 * error / (ROWS * OUTPUTS) as f64;
                bias[out] += factor;
                for i in 0..INPUTS {
                    weight[i * OUTPUTS + out] += factor * self.x[row * INPUTS + i];
                }
            }
        }
        [weight, bias].concat()
    }

    fn parameters(&self) -> Vec<f64> {
        [self.weight.clone(), self.bias.clone()].concat()
    }

    fn set(&mut self, parameters: &[f64]) {
        self.weight = parameters[..INPUTS * OUTPUTS].to_vec();
        self.bias = parameters[INPUTS * OUTPUTS..].to_vec();
    }

    fn module(&self, device: &Device) -> Linear {
        Linear {
            weight: Param::from_data(tensor(&self.weight, [INPUTS, OUTPUTS]), device),
            bias: Param::from_data(tensor(&self.bias, [OUTPUTS]), device),
        }
    }
}

fn tensor<const D: usize>(values: &[f64], shape: [usize; D]) -> TensorData {
    let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    TensorData::new(values, shape)
}

/// One step of the rules as PyTorch documents them.
struct Reference {
    config: OptimizerConfig,
    step: i32,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Reference {
    fn new(config: &OptimizerConfig) -> Self {
        Self {
            config: config.clone(),
            step: 0,
            first: vec![0.0; (INPUTS + 1) * OUTPUTS],
            second: vec![0.0; (INPUTS + 1) * OUTPUTS],
        }
    }

    fn step(&mut self, parameters: &mut [f64], gradient: &[f64], rate: f64) {
        let c = &self.config;
        self.step += 1;
        for (i, p) in parameters.iter_mut().enumerate() {
            let mut g = gradient[i];
            match c.kind {
                OptimizerKind::AdamW | OptimizerKind::Lion => *p -= rate * c.weight_decay * *p,
                _ => g += c.weight_decay * *p,
            }
            if c.kind == OptimizerKind::Sgd {
                self.first[i] = match self.step {
                    1 => g,
                    _ => c.momentum * self.first[i] + g,
                };
                *p -= rate
                    * if c.nesterov {
                        g + c.momentum * self.first[i]
                    } else {
                        self.first[i]
                    };
                continue;
            }
            if c.kind == OptimizerKind::Lion {
                let direction = c.beta1 * self.first[i] + (1.0 - c.beta1) * g;
                *p -= rate * direction.signum();
                self.first[i] = c.beta2() * self.first[i] + (1.0 - c.beta2()) * g;
                continue;
            }
            self.first[i] = c.beta1 * self.first[i] + (1.0 - c.beta1) * g;
            self.second[i] = c.beta2() * self.second[i] + (1.0 - c.beta2()) * g * g;
            let first = self.first[i] / (1.0 - c.beta1.powi(self.step));
            let second = self.second[i] / (1.0 - c.beta2().powi(self.step));
            *p -= rate * first / (second.sqrt() + c.epsilon);
        }
    }
}

fn check(config: OptimizerConfig, max_norm: Option<f64>) {
    let device = Device::flex().autodiff();
    let mut problem = Problem::new();
    let mut module = problem.module(&device);
    let mut optimizer = Optimizer::new(config.clone());
    let mut reference = Reference::new(&config);
    for step in 0..10 {
        // A rate that changes, as with a schedule.
        let rate = config.learning_rate * (1.0 - f64::from(step) / 20.0);
        let mut gradient = problem.gradient();
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();

        let x = Tensor::<2>::from_data(tensor(&problem.x, [ROWS, INPUTS]), &device);
        let y = Tensor::<2>::from_data(tensor(&problem.y, [ROWS, OUTPUTS]), &device);
        let found = x.matmul(module.weight.val()) + module.bias.val().reshape([1, OUTPUTS]);
        let loss = (found - y).square().mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &module);
        let device_norm = GradientNorm::of(&module, &gradients).unwrap();
        let read: f32 = device_norm.tensor().into_scalar();
        assert!(
            (f64::from(read) - norm).abs() < 1e-5 * norm,
            "norm {read} and {norm}"
        );

        let scale = max_norm.map(|max| device_norm.clip_factor(max));
        module = optimizer.step(module, gradients, rate, scale);
        if let Some(max) = max_norm {
            let factor = (max / (norm + 1e-6)).min(1.0);
            gradient.iter_mut().for_each(|g| *g *= factor);
        }
        let mut parameters = problem.parameters();
        reference.step(&mut parameters, &gradient, rate);
        problem.set(&parameters);

        let weight = module
            .weight
            .val()
            .into_data()
            .iter::<f32>()
            .collect::<Vec<f32>>();
        let bias = module
            .bias
            .val()
            .into_data()
            .iter::<f32>()
            .collect::<Vec<f32>>();
        for (found, expected) in weight.iter().chain(&bias).zip(&parameters) {
            let difference = (f64::from(*found) - expected).abs();
            assert!(
                difference < 3e-6,
                "{:?} step {step}: {found}, {expected}",
                config.kind
            );
        }
    }
}

fn config(kind: OptimizerKind, learning_rate: f64, weight_decay: f64) -> OptimizerConfig {
    OptimizerConfig {
        kind,
        learning_rate,
        weight_decay,
        ..OptimizerConfig::default()
    }
}

#[test]
fn adam_with_and_without_decay() {
    check(config(OptimizerKind::Adam, 0.01, 0.0), None);
    check(config(OptimizerKind::Adam, 0.01, 0.1), None);
    check(config(OptimizerKind::Adam, 0.01, 0.1), Some(0.5));
}

#[test]
fn adamw_decays_apart_from_the_gradient() {
    check(config(OptimizerKind::AdamW, 0.02, 0.3), None);
    check(config(OptimizerKind::AdamW, 0.02, 0.3), Some(0.5));
}

#[test]
fn lion_moves_by_the_sign_of_its_momentum() {
    check(config(OptimizerKind::Lion, 0.02, 0.0), None);
    check(config(OptimizerKind::Lion, 0.02, 0.3), Some(0.5));
}

#[test]
fn sgd_plain_with_momentum_and_with_nesterov() {
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        for decay in [0.0, 0.05] {
            let config = OptimizerConfig {
                momentum,
                nesterov,
                ..config(OptimizerKind::Sgd, 0.05, decay)
            };
            check(config.clone(), None);
            check(config, Some(100.0));
        }
    }
}

#[test]
fn a_state_of_another_optimizer_is_refused() {
    let device = Device::flex().autodiff();
    let problem = Problem::new();
    let module = problem.module(&device);
    let mut adam = Optimizer::new(config(OptimizerKind::Adam, 0.01, 0.0));
    let loss = module.weight.val().square().sum();
    let gradients = GradientsParams::from_grads(loss.backward(), &module);
    let before: Vec<f32> = module.bias.val().into_data().iter::<f32>().collect();
    let module = adam.step(module, gradients, 0.01, None);
    // A parameter without a gradient does not change.
    let after: Vec<f32> = module.bias.val().into_data().iter::<f32>().collect();
    assert_eq!(before, after);

    let state = adam.state();
    let names: Vec<&str> = state.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["weight.first_moment", "weight.second_moment"]);
    let plain = Device::flex();
    let restore = |kind, state: &[_]| {
        Optimizer::restore(config(kind, 0.01, 0.0), 1, state, &plain)
            .map(|optimizer| optimizer.steps())
            .map_err(|error| error.to_string())
    };
    assert_eq!(restore(OptimizerKind::Adam, &state), Ok(1));
    assert_eq!(
        restore(OptimizerKind::Sgd, &state).unwrap_err(),
        "the optimizer's saved state cannot be used: the moments of `weight` belong to another \
         optimizer"
    );
    assert_eq!(
        restore(OptimizerKind::Adam, &state[1..]).unwrap_err(),
        "the optimizer's saved state cannot be used: `weight.second_moment` has no first moment"
    );
}
