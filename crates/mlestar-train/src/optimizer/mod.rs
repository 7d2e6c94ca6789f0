//! The update rules.
//!
//! They follow the formulas of PyTorch (or of a rule's authors) with coefficients in f64 and store their state
//! by parameter name. Burn's own optimizers are not used for three reasons: their coefficients are f32
//! (`1 - 0.999` is then off by 1.3e-5), their defaults differ (Adam's epsilon is 1e-5, momentum is dampened by 0.1),
//! and their records identify parameters by numbers that change with every process.
//!
//! Every rule has two implementations: one pass of the CPU kernels, and Burn operations for other devices.

mod adam;
mod lion;
mod muon;
mod sgd;

use std::collections::{BTreeMap, HashMap};

use burn::{
    module::{Module, ModuleMapper, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use mlestar_kernels::{AdamStep, LionStep, MuonStep, SgdStep, backend as kernels};
use mlestar_model::NamedTensor;

use crate::{
    TrainError,
    config::{OptimizerConfig, OptimizerKind},
};

/// Updates parameters with their gradients. Its state belongs to one training of one model.
#[derive(Debug, Clone)]
pub struct Optimizer {
    config: OptimizerConfig,
    /// Number of steps so far.
    steps: u64,
    moments: BTreeMap<String, Moments>,
    /// Factors for the rates of parameters, by name; 1 for others.
    rate_factors: HashMap<String, f64>,
}

/// Running averages of one parameter's gradient, flat.
#[derive(Debug, Clone)]
struct Moments {
    /// Adam's first moment, or the momentum of another rule.
    first: Tensor<1>,
    /// Adam's second moment.
    second: Option<Tensor<1>>,
}

impl Moments {
    /// The state of a rule with one average.
    fn first(first: Tensor<1>) -> Self {
        Self {
            first,
            second: None,
        }
    }
}

/// A parameter and its gradient, flat.
struct Change {
    parameter: Tensor<1>,
    gradient: Tensor<1>,
}

impl Change {
    /// The initial averages.
    fn zeros(&self) -> Tensor<1> {
        Tensor::zeros(self.parameter.shape(), &self.parameter.device())
    }
}

/// The update of one parameter in one step.
enum Rule {
    Adam(AdamStep),
    Sgd(SgdStep),
    Lion(LionStep),
    Muon { step: MuonStep, rows: usize },
}

const FIRST_SUFFIX: &str = ".first_moment";
const SECOND_SUFFIX: &str = ".second_moment";

impl Optimizer {
    /// A new optimizer without history. The configuration must have been checked.
    #[must_use]
    pub fn new(config: OptimizerConfig) -> Self {
        Self {
            config,
            steps: 0,
            moments: BTreeMap::new(),
            rate_factors: HashMap::new(),
        }
    }

    /// From now on, the rate of a parameter of this name is the step's rate times this factor.
    #[must_use]
    pub fn with_rate_factors(self, rate_factors: HashMap<String, f64>) -> Self {
        Self {
            rate_factors,
            ..self
        }
    }

    /// Takes one step: returns `model` with every parameter updated that has a gradient.
    ///
    /// Gradients are first multiplied by `gradient_scale`, a tensor `[1]` (see
    /// [`GradientNorm::clip_factor`](crate::GradientNorm::clip_factor)).
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

    /// Number of steps so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// All moments, on the host, named by parameter with the suffix `.first_moment` or `.second_moment`.
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

    /// Restores the optimizer after `steps` steps from [`Optimizer::state`].
    ///
    /// # Errors
    ///
    /// [`TrainError::OptimizerState`] if the state does not belong to this kind of optimizer.
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
        let needs_second = match optimizer.config.kind {
            OptimizerKind::Adam | OptimizerKind::AdamW => Some(true),
            OptimizerKind::Sgd | OptimizerKind::Lion => Some(false),
            // Depends on the parameter.
            OptimizerKind::Muon => None,
        };
        for (name, moments) in &optimizer.moments {
            if needs_second.is_some_and(|needed| moments.second.is_some() != needed) {
                return refuse(format!(
                    "the moments of `{name}` belong to another optimizer"
                ));
            }
        }
        Ok(optimizer)
    }

    /// The update rule of a parameter with this shape and rate.
    fn rule(&self, shape: &[usize], rate: f64) -> Rule {
        let config = &self.config;
        let weight_decay = match config.decay.applies(shape.len()) {
            true => config.weight_decay,
            false => 0.0,
        };
        let adam = |rate: f64, decoupled: bool| {
            Rule::Adam(AdamStep {
                rate,
                beta1: config.beta1,
                beta2: config.beta2(),
                epsilon: config.epsilon,
                weight_decay,
                decoupled,
                step: self.steps,
            })
        };
        match config.kind {
            OptimizerKind::Adam => adam(rate, false),
            OptimizerKind::AdamW => adam(rate, true),
            OptimizerKind::Sgd => Rule::Sgd(SgdStep {
                rate,
                momentum: config.momentum,
                nesterov: config.nesterov,
                weight_decay,
                // Computed where the momentum is known.
                first: false,
            }),
            OptimizerKind::Lion => Rule::Lion(LionStep {
                rate,
                beta1: config.beta1,
                beta2: config.beta2(),
                weight_decay,
            }),
            OptimizerKind::Muon => match muon::rows(shape) {
                Some(rows) => Rule::Muon {
                    step: MuonStep {
                        rate,
                        momentum: config.momentum,
                        weight_decay,
                    },
                    rows,
                },
                // Both rates follow one schedule.
                None => adam(
                    rate * config.auxiliary_learning_rate / config.learning_rate,
                    true,
                ),
            },
        }
    }

    /// A parameter of the given shape after the step, flat, computed in one pass by the CPU kernels.
    fn update_by_kernel(
        &mut self,
        name: &str,
        shape: &[usize],
        change: Change,
        scale: Option<Tensor<1>>,
        rate: f64,
    ) -> Tensor<1> {
        let scale = scale.map_or(1.0, |scale| scale.into_scalar::<f32>());
        let known = self.moments.remove(name);
        let (parameter, moments) = match self.rule(shape, rate) {
            Rule::Adam(step) => adam::by_kernel(&step, scale, change, known),
            Rule::Sgd(step) => sgd::by_kernel(&step, scale, change, known),
            Rule::Lion(step) => lion::by_kernel(&step, scale, change, known),
            Rule::Muon { step, rows } => muon::by_kernel(&step, rows, scale, change, known),
        };
        self.remember(name, moments);
        parameter
    }

    /// A parameter of the given shape after the step, flat, computed by Burn's operations.
    fn update_by_burn(
        &mut self,
        name: &str,
        shape: &[usize],
        change: Change,
        rate: f64,
    ) -> Tensor<1> {
        let known = self.moments.remove(name);
        let (parameter, moments) = match self.rule(shape, rate) {
            Rule::Adam(step) => adam::by_burn(&step, change, known),
            Rule::Sgd(step) => sgd::by_burn(&step, change, known),
            Rule::Lion(step) => lion::by_burn(&step, change, known),
            Rule::Muon { step, rows } => muon::by_burn(&step, rows, change, known),
        };
        self.remember(name, moments);
        parameter
    }

    fn remember(&mut self, name: &str, moments: Option<Moments>) {
        if let Some(moments) = moments {
            self.moments.insert(name.to_owned(), moments);
        }
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
        let change = Change {
            parameter: tensor.without_autodiff().reshape(length),
            gradient: gradient.reshape(length),
        };
        let scale = self.gradient_scale.clone();
        let factor = self.optimizer.rate_factors.get(&name).copied();
        let rate = self.learning_rate * factor.unwrap_or(1.0);
        let by_kernel = kernels::takes(&change.parameter) && kernels::takes(&change.gradient);
        let updated = if by_kernel {
            self.optimizer
                .update_by_kernel(&name, &shape, change, scale, rate)
        } else {
            let gradient = match scale {
                Some(scale) => change.gradient * scale,
                None => change.gradient,
            };
            let change = Change { gradient, ..change };
            self.optimizer.update_by_burn(&name, &shape, change, rate)
        };
        let updated = Tensor::from_inner(updated.reshape(shape)).require_grad();
        Param::from_mapped_value(id, updated, mapper)
    }
}

#[cfg(test)]
mod tests;
