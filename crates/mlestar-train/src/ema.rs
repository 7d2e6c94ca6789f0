//! The exponential moving average of a model's weights.

use std::collections::HashMap;

use burn::{
    module::{ModuleMapper, ModuleVisitor, Param},
    tensor::{Device, Tensor},
};
use mlestar_model::{NamedTensor, Network};

use crate::{TrainError, config::EmaConfig};

/// A model whose parameters and running statistics are averages over the steps of a training (Polyak and
/// Juditsky 1992). It is often better than the last weights, and always less noisy.
///
/// The average is updated every `every_steps` steps, by as much as that many single updates with `decay` would.
/// At the beginning it is updated faster, so that it forgets the initial weights: after `t` steps the decay is
/// at most `(1 + t) / (10 + t)`.
#[derive(Debug, Clone)]
pub(crate) struct Ema<M> {
    config: EmaConfig,
    model: M,
}

impl<M: Network> Ema<M> {
    /// An average that contains only `model`.
    pub(crate) fn new(config: EmaConfig, model: &M) -> Self {
        Self {
            config,
            model: model.valid(),
        }
    }

    /// Restores the average from [`Network::state`].
    pub(crate) fn restore(
        config: EmaConfig,
        model: &M,
        state: &[NamedTensor],
        device: &Device,
    ) -> Result<Self, TrainError> {
        let model = model.valid().load_state(state, device)?;
        Ok(Self { config, model })
    }

    /// The averaged model.
    pub(crate) fn model(&self) -> &M {
        &self.model
    }

    /// Adds the weights after `steps` steps to the average, if an update is due.
    pub(crate) fn observe(&mut self, model: &M, steps: u64) {
        let every = self.config.every_steps as u64;
        if !steps.is_multiple_of(every) {
            return;
        }
        let t = steps as f64;
        let decay = self.config.decay.min((1.0 + t) / (10.0 + t));
        let mut newest = Newest::default();
        // Uses all updates of the running statistics; visiting the module alone would miss some.
        model.valid().visit(&mut newest);
        let mut mixer = Mixer {
            path: Vec::new(),
            newest: newest.values,
            kept: decay.powf(every as f64),
        };
        self.model = self.model.clone().map(&mut mixer);
    }
}

/// The tensors of a model by name, flat, without autodiff.
#[derive(Default)]
struct Newest {
    path: Vec<String>,
    values: HashMap<String, Tensor<1>>,
}

impl ModuleVisitor for Newest {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let length = value.shape().num_elements();
        let flat = value.without_autodiff().reshape([length]);
        self.values.insert(self.path.join("."), flat);
    }
}

struct Mixer {
    path: Vec<String>,
    newest: HashMap<String, Tensor<1>>,
    kept: f64,
}

impl ModuleMapper for Mixer {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(newest) = self.newest.remove(&self.path.join(".")) else {
            return param;
        };
        let id = param.id;
        let average = param.val();
        let shape = average.shape();
        let added = newest.mul_scalar(1.0 - self.kept).reshape(shape);
        Param::initialized(id, average.mul_scalar(self.kept) + added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_model::{ImageClassifier, ModelConfig};

    fn model(seed: u64) -> ImageClassifier {
        let spec = ModelConfig::small().check(3, 8, 8).unwrap();
        spec.init(seed, &Device::flex().autodiff())
    }

    #[test]
    fn the_average_follows_its_formula_and_leaves_the_models_alone() {
        let (first, second) = (model(1), model(2));
        let (a, b) = (first.state(), second.state());
        let config = EmaConfig {
            decay: 0.9,
            every_steps: 2,
        };
        let mut ema = Ema::new(config, &first);
        ema.observe(&second, 101);
        assert_eq!(ema.model().state(), a, "no update is due");
        ema.observe(&second, 102);
        let kept = 0.9_f64 * 0.9;
        for ((found, a), b) in ema.model().state().iter().zip(&a).zip(&b) {
            for (found, (a, b)) in found.values.iter().zip(a.values.iter().zip(&b.values)) {
                let expected = kept * f64::from(*a) + (1.0 - kept) * f64::from(*b);
                assert!((f64::from(*found) - expected).abs() < 1e-6);
            }
        }
        assert_eq!((first.state(), second.state()), (a, b));
    }

    #[test]
    fn early_steps_forget_the_initial_weights_quickly() {
        let (first, second) = (model(1), model(2));
        let config = EmaConfig {
            decay: 0.999,
            every_steps: 1,
        };
        let mut ema = Ema::new(config, &first);
        ema.observe(&second, 1);
        let (a, b) = (first.state(), second.state());
        let weight = |state: &[NamedTensor]| f64::from(state[0].values[0]);
        let kept = 2.0 / 11.0;
        let expected = kept * weight(&a) + (1.0 - kept) * weight(&b);
        assert!((weight(&ema.model().state()) - expected).abs() < 1e-6);
    }

    #[test]
    fn a_restored_average_goes_on_with_the_same_bits() {
        let (first, second) = (model(1), model(2));
        let mut ema = Ema::new(EmaConfig::default(), &first);
        ema.observe(&second, 5);
        let device = Device::flex();
        let state = ema.model().state();
        let mut again = Ema::restore(EmaConfig::default(), &first, &state, &device).unwrap();
        ema.observe(&first, 10);
        again.observe(&first, 10);
        assert_eq!(ema.model().state(), again.model().state());
    }
}
