use std::collections::HashMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Device, Tensor, TensorData},
};

use crate::tensor::check_values;
use crate::{ImageClassifier, ModelError, NamedTensor, StateKind};

/// All float tensors of a module, in the order of its fields, on the host.
pub(crate) fn collect<M: Module>(module: &M) -> Vec<NamedTensor> {
    let mut collector = Collector::default();
    // Burn delays updates of running statistics until they are read; `valid` reads them, visiting does not.
    module.valid().visit(&mut collector);
    collector.tensors
}

/// `module` with the values of `state`, on `device`; see [`Network::load_state`](crate::Network::load_state).
pub(crate) fn load<M: Module>(
    module: M,
    state: &[NamedTensor],
    device: &Device,
) -> Result<M, ModelError> {
    let mut known = HashMap::with_capacity(state.len());
    for tensor in state {
        check_values(tensor)?;
        if known.insert(tensor.name.as_str(), tensor).is_some() {
            return Err(ModelError::UnexpectedTensor {
                name: tensor.name.clone(),
                reason: "which occurs twice",
            });
        }
    }
    // The shared running statistics of other clones must not change.
    let snapshot = module.valid();
    let mut checker = Checker {
        path: Path::default(),
        known: &mut known,
        error: None,
    };
    snapshot.visit(&mut checker);
    if let Some(error) = checker.error {
        return Err(error);
    }
    if let Some(name) = known.keys().min() {
        return Err(ModelError::UnexpectedTensor {
            name: (*name).to_owned(),
            reason: "which the model does not have: it belongs to another model",
        });
    }
    let plain = device.clone().without_autodiff();
    let mut loader = Loader {
        path: Path::default(),
        state: state.iter().map(|t| (t.name.as_str(), t)).collect(),
        device: &plain,
    };
    // Tensors that are not loaded (constants) also move to the device.
    let loaded = snapshot.map(&mut loader).fork(&plain);
    Ok(match device.is_autodiff() {
        // Enables what `valid` disabled, such as dropout.
        true => loaded.train(),
        false => loaded,
    })
}

impl ImageClassifier {
    /// The number of parameters that training changes by gradient, without fixed ones and running statistics
    /// (which Burn's `Module::num_params` includes).
    #[must_use]
    pub fn n_trainable(&self) -> usize {
        let mut counter = Counter {
            fixed: self.fixed_parameters(),
            ..Counter::default()
        };
        self.visit(&mut counter);
        counter.trainable
    }
}

/// The dotted name of the current tensor of a visitor or mapper.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn name(&self) -> String {
        self.0.join(".")
    }
}

#[derive(Default)]
struct Collector {
    path: Path,
    tensors: Vec<NamedTensor>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data();
        self.tensors.push(NamedTensor {
            name: self.path.name(),
            shape: param.shape().to_vec(),
            values: data.iter::<f32>().collect(),
        });
    }
}

#[derive(Default)]
struct Counter {
    path: Path,
    fixed: Vec<String>,
    trainable: usize,
}

impl ModuleVisitor for Counter {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        if StateKind::of(&name) == StateKind::Parameter && !self.fixed.contains(&name) {
            self.trainable += param.shape().num_elements();
        }
    }
}

struct Checker<'a, 'b> {
    path: Path,
    /// An update that the model has not read yet.
    known: &'b mut HashMap<&'a str, &'a NamedTensor>,
    error: Option<ModelError>,
}

impl ModuleVisitor for Checker<'_, '_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.error.is_some() {
            return;
        }
        let name = self.path.name();
        let expected = param.shape().to_vec();
        self.error = match self.known.remove(name.as_str()) {
            None => Some(ModelError::MissingTensor { name }),
            Some(found) if found.shape != expected => Some(ModelError::ShapeMismatch {
                name,
                expected,
                found: found.shape.clone(),
            }),
            Some(_) => None,
        };
    }
}

struct Loader<'a> {
    path: Path,
    state: HashMap<&'a str, &'a NamedTensor>,
    device: &'a Device,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let Some(tensor) = self.state.get(name.as_str()) else {
            return param;
        };
        let data = TensorData::new(tensor.values.clone(), tensor.shape.clone());
        param.map(|_| Tensor::from_data(data, self.device))
    }
}
