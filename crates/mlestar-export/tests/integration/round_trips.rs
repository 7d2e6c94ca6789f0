//! Files read back equal the model that was written.

use std::collections::BTreeMap;

use mlestar_export::{Confidence, FrozenModel, onnx, safetensors_file, write_state_safetensors};
use mlestar_model::{ModelConfig, NamedTensor, Network};
use safetensors::SafeTensors;

use crate::models::{
    AVERAGES, MEAN, STD, attention_frozen, class_names, pooled_frozen, small_frozen, trained_like,
};

fn reference() -> FrozenModel {
    let (spec, model) = trained_like(ModelConfig::reference(), 10, 32);
    FrozenModel::freeze(&model, &spec, (MEAN, STD), &class_names(10)).unwrap()
}

#[test]
fn onnx_and_safetensors_give_back_the_identical_model() {
    let mut models = vec![
        small_frozen(1),
        pooled_frozen(1),
        attention_frozen(1),
        reference(),
    ];
    models.extend(AVERAGES.map(|views| pooled_frozen(1).with_views(views)));
    for (temperature, familiarity_limit) in [(0.5, None), (1.5, Some(-3.25))] {
        let confidence = Confidence {
            temperature,
            familiarity_limit,
        };
        models.push(small_frozen(1).with_confidence(confidence).unwrap());
    }
    for model in models {
        assert_eq!(onnx::from_bytes(&onnx::to_bytes(&model)).unwrap(), model);
        assert_eq!(
            safetensors_file::from_bytes(&safetensors_file::to_bytes(&model)).unwrap(),
            model
        );
    }
}

/// Readers that know only ReLU reject a file with another activation, and read the others.
#[test]
fn only_other_activations_are_named_in_safetensors_files() {
    let text = |model: &FrozenModel| {
        let bytes = safetensors_file::to_bytes(model);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    assert!(!text(&small_frozen(1)).contains("activation"));
    let text = text(&pooled_frozen(1));
    assert_eq!(text.matches("activation").count(), 1);
    for (found, wrong) in [
        (
            r#"\"relu\":false"#,
            r#"\"relu\":true,\"activation\":\"silu\""#,
        ),
        (
            r#"\"relu\":false"#,
            r#"\"relu\":false,\"activation\":\"relu\""#,
        ),
    ] {
        assert!(text.contains(found));
        let bytes = safetensors_file::to_bytes(&pooled_frozen(1));
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
        let header = header.trim_end().replacen(found, wrong, 1);
        let mut changed = (header.len() as u64).to_le_bytes().to_vec();
        changed.extend_from_slice(header.as_bytes());
        changed.extend_from_slice(&bytes[8 + length..]);
        let error = safetensors_file::from_bytes(&changed).unwrap_err();
        assert!(error.contains("names its ReLU wrongly"), "{error}");
    }
}

#[test]
fn equal_models_give_equal_bytes() {
    assert_eq!(
        onnx::to_bytes(&small_frozen(1)),
        onnx::to_bytes(&small_frozen(1))
    );
    assert_eq!(
        safetensors_file::to_bytes(&small_frozen(1)),
        safetensors_file::to_bytes(&small_frozen(1))
    );
    assert_ne!(
        onnx::to_bytes(&small_frozen(1)),
        onnx::to_bytes(&small_frozen(2))
    );
}

#[test]
fn files_are_written_and_missing_ones_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = small_frozen(3);
    let (onnx_path, safetensors_path) = (
        folder.path().join("new/m.onnx"),
        folder.path().join("new/m.safetensors"),
    );
    onnx::write(&model, &onnx_path).unwrap();
    safetensors_file::write(&model, &safetensors_path).unwrap();
    assert_eq!(onnx::read(&onnx_path).unwrap(), model);
    assert_eq!(safetensors_file::read(&safetensors_path).unwrap(), model);
    let error = onnx::read(&folder.path().join("absent.onnx")).unwrap_err();
    assert!(error.to_string().contains("absent.onnx"), "{error}");
}

#[test]
fn state_reads_back_with_the_safetensors_crate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let (_, model) = trained_like(ModelConfig::small(), 10, 32);
    let state = model.state();
    write_state_safetensors(&state, &BTreeMap::from([("epoch", "7")]), &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["epoch"], "7");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.len(), state.len());
    for NamedTensor {
        name,
        shape,
        values,
    } in &state
    {
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!(tensor.shape(), shape);
        let raw: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert_eq!(tensor.data(), raw);
    }
}

#[test]
fn a_state_that_cannot_be_read_back_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let tensor = NamedTensor {
        name: "a".into(),
        shape: vec![2],
        values: vec![1.0, 2.0],
    };
    let short = NamedTensor {
        shape: vec![3],
        ..tensor.clone()
    };
    for state in [vec![tensor.clone(), tensor], vec![short]] {
        assert!(write_state_safetensors(&state, &BTreeMap::new(), &path).is_err());
    }
    assert!(!path.exists());
}
