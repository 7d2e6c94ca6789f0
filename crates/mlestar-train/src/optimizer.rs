//! The update rules.
//!
//! They follow PyTorch's formulas with coefficients in f64 and keep their state by parameter name.
//! Burn's own optimizers are not used because their coefficients are f32 (`1 - 0.999` is then off by
//! 1.3e-5), their defaults differ (Adam's epsilon is 1e-5, momentum is dampened by 0.1) and their
//! records name parameters by numbers that are new in every process.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use mlestar_kernels::{AdamStep, SgdStep, backend as kernels};
use mlestar_model::NamedTensor;

use crate::{
    TrainError,
    config::{OptimizerConfig, OptimizerKind},
};

/// Changes parameters by their gradients. Its state belongs to one model's training.
#[derive(Debug, Clone)]
pub struct Optimizer {
    config: OptimizerConfig,
    /// Steps taken so far.
    steps: u64,
    moments: BTreeMap<String, Moments>,
}

/// Running averages of one parameter's gradient, flat.
#[derive(Debug, Clone)]
struct Moments {
    /// Adam's first moment or SGD's momentum buffer.
    first: Tensor<1>,
    /// Adam's second moment.
    second: Option<Tensor<1>>,
}

const FIRST_SUFFIX: &str = ".first_moment";
const SECOND_SUFFIX: &str = ".second_moment";

impl Optimizer {
    /// An optimizer without history. The configuration is expected to be checked.
    #[must_use]
    pub fn new(config: OptimizerConfig) -> Self {
        Self {
            config,
            steps: 0,
            moments: BTreeMap::new(),
        }
    }

    /// One step: `model` with every parameter that has a gradient changed.
    ///
    /// Gradients are multiplied by `gradient_scale`, a tensor `[1]`, first (see
    /// [`GradientNorm::clip_factor`]).
    #[must_use]
    pub fn step<M: Module>(
        &mut self,
        model: M,
        gradients: GradientsParams,
        learning_rate: f64,
        gradient_scale: Option<Tensor<1>>,
    ) -> M {
        self.steps += 1;
        let mut updater = Updater {
            optimizer: self,
            gradients,
            learning_rate,
            gradient_scale,
            path: Vec::new(),
        };
        model.map(&mut updater)
    }

    /// Steps taken so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// All moments, on the host, by parameter name with `.first_moment` or `.second_moment`.
    #[must_use]
    pub fn state(&self) -> Vec<NamedTensor> {
        let named = |name: &str, suffix: &str, tensor: &Tensor<1>| {
            let values: Vec<f32> = tensor.to_data().iter::<f32>().collect();
            NamedTensor {
                name: format!("{name}{suffix}"),
                shape: vec![values.len()],
                values,
            }
        };
        let mut tensors = Vec::with_capacity(2 * self.moments.len());
        for (name, moments) in &self.moments {
            tensors.push(named(name, FIRST_SUFFIX, &moments.first));
            if let Some(second) = &moments.second {
                tensors.push(named(name, SECOND_SUFFIX, second));
            }
        }
        tensors
    }

    /// The optimizer as it was after `steps` steps, from [`Optimizer::state`].
    ///
    /// # Errors
    ///
    /// [`TrainError::OptimizerState`] when the state is not one of this kind of optimizer.
    pub fn restore(
        config: OptimizerConfig,
        steps: u64,
        state: &[NamedTensor],
        device: &Device,
    ) -> Result<Self, TrainError> {
        let refuse = |reason| Err(TrainError::OptimizerState { reason });
        let load = |tensor: &NamedTensor| {
            let data = TensorData::new(tensor.values.clone(), [tensor.values.len()]);
            Tensor::<1>::from_data(data, device)
        };
        let mut optimizer = Self::new(config);
        optimizer.steps = steps;
        for tensor in state {
            if let Some(name) = tensor.name.strip_suffix(FIRST_SUFFIX) {
                let moments = Moments {
                    first: load(tensor),
                    second: None,
                };
                optimizer.moments.insert(name.to_owned(), moments);
            }
        }
        for tensor in state {
            let Some(name) = tensor.name.strip_suffix(SECOND_SUFFIX) else {
                continue;
            };
            match optimizer.moments.get_mut(name) {
                Some(moments) => moments.second = Some(load(tensor)),
                None => return refuse(format!("`{}` has no first moment", tensor.name)),
            }
        }
        let needs_second = optimizer.config.kind != OptimizerKind::Sgd;
        for (name, moments) in &optimizer.moments {
            if moments.second.is_some() != needs_second {
                return refuse(format!("the moments of `{name}` are of another optimizer"));
            }
        }
        Ok(optimizer)
    }

    /// A parameter after the step, all flat, in one pass by the CPU kernels.
    fn update_by_kernel(
        &mut self,
        name: &str,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
        scale: Option<Tensor<1>>,
        rate: f64,
    ) -> Tensor<1> {
        let scale = scale.map_or(1.0, |scale| scale.into_scalar::<f32>());
        let zeros = || Tensor::zeros(parameter.shape(), &parameter.device());
        let known = self.moments.remove(name);
        let first_step = known.is_none();
        let (parameter, moments) = if self.config.kind == OptimizerKind::Sgd {
            let step = SgdStep {
                rate,
                momentum: self.config.momentum,
                nesterov: self.config.nesterov,
                weight_decay: self.config.weight_decay,
                first: first_step,
            };
            let buffer = known.map_or_else(zeros, |moments| moments.first);
            let [parameter, first] = kernels::sgd_step(&step, scale, gradient, parameter, buffer);
            (
                parameter,
                Moments {
                    first,
                    second: None,
                },
            )
        } else {
            let step = AdamStep {
                rate,
                beta1: self.config.beta1,
                beta2: self.config.beta2,
                epsilon: self.config.epsilon,
                weight_decay: self.config.weight_decay,
                decoupled: self.config.kind == OptimizerKind::AdamW,
                step: self.steps,
            };
            let (first, second) = match known {
                Some(Moments {
                    first,
                    second: Some(second),
                }) => (first, second),
                _ => (zeros(), zeros()),
            };
            let [parameter, first, second] =
                kernels::adam_step(&step, scale, gradient, parameter, [first, second]);
            let second = Some(second);
            (parameter, Moments { first, second })
        };
        // Plain gradient descent has no state.
        if self.config.kind != OptimizerKind::Sgd || self.config.momentum != 0.0 {
            self.moments.insert(name.to_owned(), moments);
        }
        parameter
    }

    /// A parameter after the step, all flat.
    fn update(
        &mut self,
        name: &str,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
        rate: f64,
    ) -> Tensor<1> {
        let decay = self.config.weight_decay;
        let (parameter, gradient) = match self.config.kind {
            _ if decay == 0.0 => (parameter, gradient),
            OptimizerKind::AdamW => (parameter.mul_scalar(1.0 - rate * decay), gradient),
            OptimizerKind::Adam | OptimizerKind::Sgd => {
                let penalty = parameter.clone().mul_scalar(decay);
                (parameter, gradient + penalty)
            }
        };
        let step = match self.config.kind {
            OptimizerKind::Sgd => self.sgd(name, gradient).mul_scalar(rate),
            OptimizerKind::Adam | OptimizerKind::AdamW => self.adam(name, gradient, rate),
        };
        parameter - step
    }

    fn sgd(&mut self, name: &str, gradient: Tensor<1>) -> Tensor<1> {
        let momentum = self.config.momentum;
        if momentum == 0.0 {
            return gradient;
        }
        let first = match self.moments.remove(name) {
            Some(moments) => moments.first.mul_scalar(momentum) + gradient.clone(),
            None => gradient.clone(),
        };
        let moments = Moments {
            first: first.clone(),
            second: None,
        };
        self.moments.insert(name.to_owned(), moments);
        match self.config.nesterov {
            true => gradient + first.mul_scalar(momentum),
            false => first,
        }
    }

    fn adam(&mut self, name: &str, gradient: Tensor<1>, rate: f64) -> Tensor<1> {
        let OptimizerConfig {
            beta1,
            beta2,
            epsilon,
            ..
        } = self.config;
        let square = gradient.clone().square().mul_scalar(1.0 - beta2);
        let fresh = gradient.mul_scalar(1.0 - beta1);
        let (first, second) = match self.moments.remove(name) {
            Some(Moments {
                first,
                second: Some(second),
            }) => (
                first.mul_scalar(beta1) + fresh,
                second.mul_scalar(beta2) + square,
            ),
            _ => (fresh, square),
        };
        let exponent = self.steps as f64;
        let correction1 = 1.0 - beta1.powf(exponent);
        let correction2 = (1.0 - beta2.powf(exponent)).sqrt();
        let denominator = second
            .clone()
            .sqrt()
            .div_scalar(correction2)
            .add_scalar(epsilon);
        let step = first.clone().mul_scalar(rate / correction1) / denominator;
        let moments = Moments {
            first,
            second: Some(second),
        };
        self.moments.insert(name.to_owned(), moments);
        step
    }
}

struct Updater<'a> {
    optimizer: &'a mut Optimizer,
    gradients: GradientsParams,
    learning_rate: f64,
    gradient_scale: Option<Tensor<1>>,
    path: Vec<String>,
}

impl ModuleMapper for Updater<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        let name = self.path.join(".");
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.shape();
        let length = [shape.num_elements()];
        let gradient = gradient.reshape(length);
        let parameter = tensor.without_autodiff().reshape(length);
        let (scale, rate) = (self.gradient_scale.clone(), self.learning_rate);
        let updated = if kernels::takes(&parameter) && kernels::takes(&gradient) {
            self.optimizer
                .update_by_kernel(&name, parameter, gradient, scale, rate)
        } else {
            let gradient = match scale {
                Some(scale) => gradient * scale,
                None => gradient,
            };
            self.optimizer.update(&name, parameter, gradient, rate)
        };
        let updated = Tensor::from_inner(updated.reshape(shape)).require_grad();
        Param::from_mapped_value(id, updated, mapper)
    }
}

#[cfg(test)]
mod tests {
    use mlestar_random::Stream;

    use super::*;

    fn random(step: u64, what: &str) -> Tensor<1> {
        let mut stream = Stream::new(1, what, step, 0);
        let values: Vec<f32> = (0..1000).map(|_| stream.normal() as f32).collect();
        Tensor::from_data(TensorData::new(values, [1000]), &Device::flex())
    }

    fn values(tensor: &Tensor<1>) -> Vec<f32> {
        tensor.to_data().iter::<f32>().collect()
    }

    fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
        let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f32::max)
    }

    /// The CPU takes the kernels and every other device Burn's operations: they must not drift apart,
    /// in parameters or in what a checkpoint holds.
    #[test]
    fn both_ways_of_a_step_agree() {
        for (kind, momentum, nesterov) in [
            (OptimizerKind::Sgd, 0.0, false),
            (OptimizerKind::Sgd, 0.9, false),
            (OptimizerKind::Sgd, 0.9, true),
            (OptimizerKind::Adam, 0.9, false),
            (OptimizerKind::AdamW, 0.9, false),
        ] {
            let config = OptimizerConfig {
                kind,
                momentum,
                nesterov,
                weight_decay: 0.05,
                ..OptimizerConfig::default()
            };
            let mut by_burn = Optimizer::new(config.clone());
            let mut by_kernel = Optimizer::new(config);
            let mut burn = random(0, "parameter");
            let mut kernel = random(0, "parameter");
            for step in 1..=5 {
                by_burn.steps = step;
                by_kernel.steps = step;
                let gradient = random(step, "gradient");
                let scale = Tensor::<1>::from_floats([0.5], &Device::flex());
                let scaled = gradient.clone() * scale.clone();
                burn = by_burn.update("p", burn, scaled, 0.01);
                kernel = by_kernel.update_by_kernel("p", kernel, gradient, Some(scale), 0.01);
                let difference = largest_difference(&values(&burn), &values(&kernel));
                assert!(difference < 1e-5, "{kind:?} step {step}: {difference}");
            }
            assert_ne!(values(&kernel), values(&random(0, "parameter")));
            let (burn, kernel) = (by_burn.state(), by_kernel.state());
            assert_eq!(burn.len(), kernel.len());
            for (burn, kernel) in burn.iter().zip(&kernel) {
                assert_eq!(burn.name, kernel.name);
                assert!(largest_difference(&burn.values, &kernel.values) < 1e-5);
            }
        }
    }
}
