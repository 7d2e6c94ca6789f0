//! The settings that belong to a file of pretrained weights.

use mlestar_data::readers::name::shown;
use mlestar_model::pretrained::{Interpolation, Preprocessing, WeightsFile};
use mlestar_model::{Architecture, ModelConfig};
use mlestar_workflow::WorkflowError;
use mlestar_workflow::config::Override;
use std::path::Path;

/// The network of the weights, the file itself, and how its publishers prepare images.
///
/// # Errors
/// [`WorkflowError::Usage`] if the file cannot be read, or holds the weights of no network that is known by name.
pub fn settings_for(file: &Path) -> Result<Vec<Override>, WorkflowError> {
    Ok(settings_and_network(file)?.0)
}

/// As [`settings_for`], with the network.
pub fn settings_and_network(file: &Path) -> Result<(Vec<Override>, Architecture), WorkflowError> {
    let usage = |error: String| WorkflowError::Usage(error);
    let weights = WeightsFile::read(file).map_err(|error| usage(error.to_string()))?;
    let Some(found) = weights.recognise() else {
        return Err(usage(format!(
            "{} holds the weights of no published network; for those of a network of yours, name the network in a config \
             and set training.initial_weights",
            shown(file)
        )));
    };
    let Some(path) = file.to_str() else {
        return Err(usage(format!(
            "the name of {} is not UTF-8, which a config cannot hold: rename it",
            shown(file)
        )));
    };
    let architecture = toml::Value::try_from(found.architecture);
    let mut settings = vec![
        (
            "model.architecture",
            architecture.map_err(|error| usage(error.to_string()))?,
        ),
        ("training.initial_weights", path.into()),
    ];
    // The tensors before the head do not depend on the classes or the size of images.
    let network = ModelConfig::of(found.architecture).check(2, 224, 224);
    let loaded = network.and_then(|spec| weights.for_description(&spec.description()));
    let record = loaded.map_err(|error| usage(error.to_string()))?.record;
    if let Some(preprocessing) = record.preprocessing {
        settings.extend(prepared_as(&preprocessing));
    }
    let settings = settings
        .into_iter()
        .map(|(key, value)| Override::new(key, value));
    Ok((settings.collect::<Result<_, _>>()?, found.architecture))
}

/// The sides of images relative to those of the pretraining. Its random crops enlarge objects, so that a network recognises
/// them best in centre crops of a somewhat larger size (Touvron et al. 2019, <https://arxiv.org/abs/1906.06423>).
/// docs/photographs.md has figures; 256 pixels exceed the default limit of operations per image.
const ENLARGEMENT: (usize, usize) = (15, 14);

fn prepared_as(preprocessing: &Preprocessing) -> [(&'static str, toml::Value); 4] {
    let (larger, than) = ENLARGEMENT;
    // Sides are far below 2^63.
    let pixels = |side: usize| {
        let side = (side * larger).div_ceil(than);
        toml::Value::Integer(i64::try_from(side).unwrap_or(i64::MAX))
    };
    let three = |values: [f32; 3]| {
        // In the shortest form that reads back to the same 32 bits.
        let exact = values.map(|value| value.to_string().parse().unwrap_or(f64::from(value)));
        toml::Value::from(exact.to_vec())
    };
    let filter = match preprocessing.interpolation {
        Interpolation::Bilinear => "bilinear",
        Interpolation::Bicubic => "bicubic",
    };
    let mut normalization = toml::Table::new();
    normalization.insert("mean".to_owned(), three(preprocessing.mean));
    normalization.insert("std".to_owned(), three(preprocessing.std));
    let side = pixels(preprocessing.crop);
    [
        ("data.image_size", vec![side.clone(), side].into()),
        ("data.resize_side", pixels(preprocessing.shorter_side)),
        ("data.resize_filter", filter.into()),
        ("data.normalization", normalization.into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_workflow::config::Config;

    #[test]
    fn the_preparation_of_images_reads_back_exactly() {
        let preprocessing = Preprocessing {
            mean: [127.0 / 255.0; 3],
            std: [128.0 / 255.0; 3],
            shorter_side: 256,
            interpolation: Interpolation::Bicubic,
            crop: 224,
        };
        let settings =
            prepared_as(&preprocessing).map(|(key, value)| Override::new(key, value).unwrap());
        let config = Config::parse(
            "[data]\nsource = \"folder\"\npath = \"x\"\n",
            "test",
            &settings,
        )
        .unwrap();
        let normalization = config.data.normalization.unwrap();
        assert_eq!(normalization.mean, preprocessing.mean);
        assert_eq!(normalization.std, preprocessing.std);
        assert_eq!(config.data.image_size, Some([240, 240]));
        assert_eq!(config.data.resize_side, Some(275));
    }

    #[test]
    fn a_file_that_holds_no_weights_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cat.jpg");
        std::fs::write(&file, "no weights").unwrap();
        let error = settings_for(&file).unwrap_err().to_string();
        assert!(error.contains("cat.jpg"), "{error}");
    }
}
