//! The model that a training starts with.

use std::{collections::HashMap, path::Path};

use burn::tensor::Device;
use mlestar_model::{
    ModelError, NamedTensor, Network,
    pretrained::{Pretrained, WeightsFile},
};

use crate::TrainError;

/// A model before its first step.
pub(crate) struct InitialModel<M> {
    pub model: M,
    /// The tensors of the head that have another shape in the file of weights.
    pub begun_anew: Vec<String>,
}

/// `network` on `device`, with the weights of `file` if given.
pub(crate) fn initial_model<M: Network>(
    network: &M,
    file: Option<&Path>,
    device: &Device,
) -> Result<InitialModel<M>, TrainError> {
    let model = network.clone().load_state(&network.state(), device)?;
    match file {
        None => Ok(InitialModel {
            model,
            begun_anew: Vec::new(),
        }),
        Some(file) => {
            with_weights_of(file, model, device).map_err(|reason| TrainError::InitialWeights {
                path: file.to_owned(),
                reason,
            })
        }
    }
}

/// Checks that `file` holds weights for a network with these tensors, as training needs them
/// ([`TrainingConfig::initial_weights`](crate::TrainingConfig::initial_weights)), so that a program can refuse it before
/// anything is computed. `tensors` are names and shapes, as [`mlestar_model::Description::tensors`] gives them.
///
/// # Errors
///
/// [`TrainError::InitialWeights`] with the reason that a training would give.
pub fn check_initial_weights(
    file: &Path,
    tensors: &[(String, Vec<usize>)],
) -> Result<(), TrainError> {
    match weights_for(file, tensors) {
        Ok(_) => Ok(()),
        Err(reason) => Err(TrainError::InitialWeights {
            path: file.to_owned(),
            reason,
        }),
    }
}

/// The weights of `file` for these tensors, or the reason why there are none.
fn weights_for(file: &Path, tensors: &[(String, Vec<usize>)]) -> Result<Pretrained, String> {
    let given = WeightsFile::read(file).and_then(|file| file.for_tensors(tensors));
    given.map_err(|error| match error {
        // The caller names the file.
        ModelError::Weights { reason, .. } => reason,
        other => other.to_string(),
    })
}

/// `model` with all weights and running statistics of `file`. A head for other classes keeps its own weights. Returns the
/// reason if the weights belong to another network.
fn with_weights_of<M: Network>(
    file: &Path,
    model: M,
    device: &Device,
) -> Result<InitialModel<M>, String> {
    let mut state = model.state();
    let own = state
        .iter()
        .map(|tensor| (tensor.name.clone(), tensor.shape.clone()));
    let own: Vec<_> = own.collect();
    let given = weights_for(file, &own)?;
    let mut given: HashMap<String, NamedTensor> = (given.state.into_iter())
        .map(|tensor| (tensor.name.clone(), tensor))
        .collect();
    let mut begun_anew = Vec::new();
    for own in &mut state {
        match given.remove(&own.name) {
            Some(other) => *own = other,
            None => begun_anew.push(own.name.clone()),
        }
    }
    let model = model.load_state(&state, device);
    Ok(InitialModel {
        model: model.map_err(|error| error.to_string())?,
        begun_anew,
    })
}
