//! The model that a training starts with.

use std::{collections::HashMap, path::Path};

use burn::tensor::Device;
use mlestar_model::{NamedTensor, Network};

use crate::{TrainError, checkpoint::read_weights};

/// Prefix of the names of the head's tensors.
const HEAD: &str = "head.";

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

/// `model` with all weights and running statistics of `file`. A head of another shape keeps its own weights.
/// Returns the reason if the weights belong to another network.
fn with_weights_of<M: Network>(
    file: &Path,
    model: M,
    device: &Device,
) -> Result<InitialModel<M>, String> {
    let given = read_weights(file)?;
    let mut given: HashMap<String, NamedTensor> = given
        .into_iter()
        .map(|tensor| (tensor.name.clone(), tensor))
        .collect();
    let mut state = model.state();
    let fits = |own: &NamedTensor| {
        let other = given.get(&own.name);
        other.is_some_and(|other| other.shape == own.shape)
    };
    let is_of_head = |name: &str| name.starts_with(HEAD);
    let keeps_head = state.iter().any(|own| is_of_head(&own.name) && !fits(own));
    let mut begun_anew = Vec::new();
    for own in &mut state {
        let other = given.remove(&own.name);
        if keeps_head && is_of_head(&own.name) {
            begun_anew.push(own.name.clone());
            continue;
        }
        let Some(other) = other else {
            return Err(format!("the file has no `{}`", own.name));
        };
        if other.shape != own.shape {
            return Err(format!(
                "`{}` has the shape {:?} in the file and {:?} in this network",
                own.name, other.shape, own.shape
            ));
        }
        *own = other;
    }
    if let Some(name) = given.keys().min() {
        return Err(format!("this network has no `{name}`"));
    }
    let model = model.load_state(&state, device);
    Ok(InitialModel {
        model: model.map_err(|error| error.to_string())?,
        begun_anew,
    })
}
