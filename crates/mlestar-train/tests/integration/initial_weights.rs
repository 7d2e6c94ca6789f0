//! Trainings with the weights of another training.

use mlestar_model::Network as _;
use std::{collections::BTreeMap, fs, path::Path};

use burn::tensor::Device;
use mlestar_model::{ModelSpec, NamedTensor};
use mlestar_train::TrainEvent;
use safetensors::{Dtype, tensor::TensorView};

use crate::{SIDE, Setup, plain_spec};

fn write(file: &Path, state: &[NamedTensor]) {
    let bytes: Vec<Vec<u8>> = state
        .iter()
        .map(|tensor| tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let views = state.iter().zip(&bytes).map(|(tensor, bytes)| {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).unwrap();
        (tensor.name.as_str(), view)
    });
    fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn by_name(state: &[NamedTensor]) -> BTreeMap<&str, &NamedTensor> {
    state.iter().map(|t| (t.name.as_str(), t)).collect()
}

/// The state before the first step.
fn begun(setup: &Setup) -> Vec<NamedTensor> {
    let device = Device::flex();
    setup.steps(&device).unwrap().model().state()
}

/// The same network for other classes.
fn with_classes(spec: &ModelSpec, classes: usize) -> ModelSpec {
    spec.config().clone().check(classes, SIDE, SIDE).unwrap()
}

#[test]
fn a_training_begins_where_another_ended() {
    for spec in [Setup::new(1).spec, plain_spec()] {
        let mut setup = Setup::new(2);
        setup.spec = spec;
        let folder = tempfile::tempdir().unwrap();
        let first = setup.fit(folder.path()).unwrap();
        let file = folder.path().join("checkpoints/best/model.safetensors");
        setup.training.initial_weights = Some(file.clone());
        setup.seed += 1;
        let begun = begun(&setup);
        assert_eq!(by_name(&begun), by_name(&first.best_model.state()));

        let mut event = None;
        let second = setup
            .fit_observed(tempfile::tempdir().unwrap().path(), &mut |seen| {
                if let TrainEvent::InitialWeights { .. } = seen {
                    event = Some(seen.clone());
                }
            })
            .unwrap();
        let expected = TrainEvent::InitialWeights {
            path: file,
            begun_anew: Vec::new(),
        };
        assert_eq!(event, Some(expected));
        let loss = |outcome: &crate::Outcome| outcome.history[0].train_loss;
        assert!(loss(&second) < loss(&first));
    }
}

#[test]
fn a_head_for_other_classes_begins_anew() {
    let mut setup = Setup::new(1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    let random = begun(&setup);
    let other = with_classes(&setup.spec, crate::CLASSES + 2);
    let other = other.init(99, &Device::flex()).state();
    write(&file, &other);
    setup.training.initial_weights = Some(file);
    let (other, random) = (by_name(&other), by_name(&random));
    for tensor in &begun(&setup) {
        let expected = match tensor.name.starts_with("head.") {
            true => random[tensor.name.as_str()],
            false => other[tensor.name.as_str()],
        };
        assert_eq!(tensor, expected);
    }
    let mut names = Vec::new();
    setup
        .fit_observed(&folder.path().join("training"), &mut |event| {
            if let TrainEvent::InitialWeights { begun_anew, .. } = event {
                names = begun_anew.clone();
            }
        })
        .unwrap();
    names.sort();
    assert_eq!(names, ["head.bias", "head.weight"]);
}

#[test]
fn weights_of_another_network_are_refused() {
    let mut setup = Setup::new(1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    let own = setup.spec.init(1, &Device::flex()).state();
    setup.training.initial_weights = Some(file.clone());
    let refused = |state: Option<&[NamedTensor]>| {
        if let Some(state) = state {
            write(&file, state);
        }
        let error = setup.fit(&folder.path().join("training")).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("the initial weights ") && message.contains("model.safetensors"),
            "{message}"
        );
        message
    };
    assert!(refused(None).contains("cannot be used"));

    fs::write(&file, b"nothing").unwrap();
    refused(None);
    let mut state = own.clone();
    let stem = state.remove(0);
    let expected = format!("the file has no `{}`", stem.name);
    assert!(refused(Some(&state)).contains(&expected));
    let mut state = own.clone();
    state[0].shape = vec![state[0].values.len()];
    assert!(refused(Some(&state)).contains("has the shape"));
    let mut state = own.clone();
    state.push(NamedTensor {
        name: "stages.9.0.conv1.weight".into(),
        shape: vec![1],
        values: vec![0.0],
    });
    assert!(refused(Some(&state)).contains("this network has no `stages.9.0.conv1.weight`"));
    let mut state = own;
    state[0].values[0] = f32::NAN;
    assert!(refused(Some(&state)).contains("must be finite"));
}

#[test]
fn a_training_that_began_otherwise_is_not_gone_on_with() {
    let mut setup = Setup::new(2);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    let weights = |seed| setup.spec.init(seed, &Device::flex()).state();
    let [one, two] = [weights(1), weights(2)];
    write(&file, &one);
    setup.training.initial_weights = Some(file.clone());
    let output = folder.path().join("training");
    setup.fit(&output).unwrap();
    setup.resume = true;
    // Independent of its path and name.
    let moved = folder.path().join("moved.safetensors");
    fs::rename(&file, &moved).unwrap();
    setup.training.initial_weights = Some(moved.clone());
    setup.fit(&output).unwrap();
    write(&moved, &two);
    let message = setup.fit(&output).unwrap_err().to_string();
    assert!(message.contains("initial_weights is "), "{message}");
    setup.training.initial_weights = None;
    let message = setup.fit(&output).unwrap_err().to_string();
    assert!(
        message.contains("initial_weights is null here"),
        "{message}"
    );
}

/// A file of 16 bits, as others publish them.
#[test]
fn weights_of_fewer_bits_are_taken() {
    let mut setup = Setup::new(1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("published.safetensors");
    let state = setup.spec.init(7, &Device::flex()).state();
    // The upper half of a number of 32 bits.
    let bytes: Vec<Vec<u8>> = state
        .iter()
        .map(|tensor| {
            tensor
                .values
                .iter()
                .flat_map(|v| v.to_le_bytes()[2..].to_vec())
                .collect()
        })
        .collect();
    let views = state.iter().zip(&bytes).map(|(tensor, bytes)| {
        let view = TensorView::new(Dtype::BF16, tensor.shape.clone(), bytes).unwrap();
        (tensor.name.as_str(), view)
    });
    fs::write(&file, safetensors::serialize(views, None).unwrap()).unwrap();
    setup.training.initial_weights = Some(file);
    for (given, begun) in state.iter().zip(begun(&setup)) {
        let expected = given
            .values
            .iter()
            .map(|v| f32::from_bits(v.to_bits() & 0xffff_0000));
        assert_eq!(begun.values, expected.collect::<Vec<_>>(), "{}", given.name);
    }
}
