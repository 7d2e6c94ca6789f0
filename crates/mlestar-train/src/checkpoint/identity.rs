use std::borrow::Cow;

use mlestar_artifact::ContentHash;
use mlestar_data::{ImageSet, augment::AugmentationConfig, normalization::Normalization};
use mlestar_model::{ModelSpec, NamedTensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::TrainingConfig;

/// Everything that determines the result of a training, apart from the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingIdentity {
    /// Seed of all random choices.
    pub seed: u64,
    /// The network's [`description`](mlestar_model::Network::description); for a network of `mlestar-model` its
    /// [`ModelSpec`].
    pub model: Value,
    /// Hash of the weights that the network had before the training.
    #[serde(default)]
    pub initial_state: Option<ContentHash>,
    /// The training configuration.
    pub training: TrainingConfig,
    /// The augmentation.
    pub augmentation: AugmentationConfig,
    /// The normalisation.
    pub normalization: Normalization,
    /// Hash of the file with the initial weights.
    #[serde(default)]
    pub initial_weights: Option<ContentHash>,
    /// Hashes of the teachers' weights.
    #[serde(default)]
    pub teachers: Vec<ContentHash>,
    /// Hash of the training images, their labels and the class names.
    pub train: ContentHash,
    /// Hash of the validation images, their labels and the class names.
    pub validation: ContentHash,
}

impl TrainingIdentity {
    /// The architecture, if the network is one of `mlestar-model`.
    ///
    /// # Errors
    ///
    /// The reason, in words, why the description is none of `mlestar-model`.
    pub fn spec(&self) -> Result<ModelSpec, String> {
        ModelSpec::deserialize(&self.model)
            .map_err(|error| format!("its network is not one of mlestar-model: {error}"))
    }

    /// The differences that make it another training, as `key: value here, value there`.
    ///
    /// Differences that [`TrainingConfig::extends`] allows are ignored: such a training can be resumed and
    /// extended.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        compare(
            "",
            &self.comparable(),
            &other.comparable(),
            &mut differences,
        );
        differences
    }

    fn comparable(&self) -> Value {
        let mut own = self.clone();
        own.training = own.training.deciding_steps();
        // All fields have a JSON form; `Null` would only make two failures equal.
        serde_json::to_value(own).unwrap_or(Value::Null)
    }
}

fn compare(key: &str, own: &Value, other: &Value, differences: &mut Vec<String>) {
    match (own, other) {
        (Value::Object(a), Value::Object(b)) => {
            for (field, value) in a {
                let key = match key {
                    "" => field.clone(),
                    _ => format!("{key}.{field}"),
                };
                compare(
                    &key,
                    value,
                    b.get(field).unwrap_or(&Value::Null),
                    differences,
                );
            }
        }
        _ if own == other => {}
        _ => differences.push(format!("{key} is {own} here and {other} there")),
    }
}

/// A hash of names, shapes and values.
pub(crate) fn hash_of_state(state: &[NamedTensor]) -> ContentHash {
    let mut bytes = Vec::new();
    for tensor in state {
        bytes.extend((tensor.name.len() as u64).to_le_bytes());
        bytes.extend(tensor.name.as_bytes());
        bytes.extend((tensor.shape.len() as u64).to_le_bytes());
        bytes.extend(
            tensor
                .shape
                .iter()
                .flat_map(|&side| (side as u64).to_le_bytes()),
        );
        bytes.extend(tensor.values.iter().flat_map(|value| value.to_le_bytes()));
    }
    ContentHash::of_bytes(&bytes)
}

/// A hash of everything in `set` that training depends on: pixels, labels, sizes and the names of the classes,
/// but not where the images come from.
#[must_use]
pub fn hash_of_set(set: &ImageSet) -> ContentHash {
    let mut bytes = Vec::new();
    for class in set.classes().iter() {
        bytes.extend((class.len() as u64).to_le_bytes());
        bytes.extend(class.as_bytes());
    }
    for size in [set.height(), set.width(), set.len()] {
        bytes.extend((size as u64).to_le_bytes());
    }
    let images = (0..set.len()).flat_map(|index| {
        let label = set.label(index).to_le_bytes().to_vec();
        [Cow::Owned(label), Cow::Borrowed(set.pixels(index))]
    });
    ContentHash::of_pieces(std::iter::once(Cow::Owned(bytes)).chain(images))
}
