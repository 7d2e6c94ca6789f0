use mlestar_artifact::ContentHash;
use mlestar_data::{ImageSet, augment::AugmentationConfig, normalization::Normalization};
use mlestar_model::ModelSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::TrainingConfig;

/// Everything that decides a training's result, apart from the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingIdentity {
    /// Seed of all random choices.
    pub seed: u64,
    /// The model.
    pub model: ModelSpec,
    /// The training configuration.
    pub training: TrainingConfig,
    /// The augmentation.
    pub augmentation: AugmentationConfig,
    /// The normalisation.
    pub normalization: Normalization,
    /// Hash of the file whose weights it begins with.
    #[serde(default)]
    pub initial_weights: Option<ContentHash>,
    /// Hashes of the weights of the networks that it learns from.
    #[serde(default)]
    pub teachers: Vec<ContentHash>,
    /// Hash of the training pictures, their labels and the class names.
    pub train: ContentHash,
    /// Hash of the validation pictures, their labels and the class names.
    pub validation: ContentHash,
}

impl TrainingIdentity {
    /// What differs in a way that makes it another training, as `key: value here, value there`.
    ///
    /// What [`TrainingConfig::extends`] lets pass does not matter: such a training can be resumed to go on for longer.
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

/// A hash of everything in `set` that training depends on: pixels, labels, sizes and the names of the classes, not where
/// pictures come from.
#[must_use]
pub fn hash_of_set(set: &ImageSet) -> ContentHash {
    let per_picture = ImageSet::CHANNELS * set.height() * set.width();
    let mut bytes = Vec::with_capacity(set.len() * (per_picture + 4));
    for class in set.classes().iter() {
        bytes.extend((class.len() as u64).to_le_bytes());
        bytes.extend(class.as_bytes());
    }
    for size in [set.height(), set.width(), set.len()] {
        bytes.extend((size as u64).to_le_bytes());
    }
    for index in 0..set.len() {
        bytes.extend(set.label(index).to_le_bytes());
        bytes.extend(set.pixels(index));
    }
    ContentHash::of_bytes(&bytes)
}
