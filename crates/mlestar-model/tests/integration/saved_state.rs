use burn::tensor::Device;
use mlestar_model::{ModelError, NamedTensor, Network};
use proptest::prelude::*;

use crate::{random_images, random_state, tiny_spec, to_vec};

fn load(state: &[NamedTensor]) -> Result<(), ModelError> {
    let device = Device::flex();
    tiny_spec(8, 8)
        .init(0, &device)
        .load_state(state, &device)
        .map(drop)
}

fn refused(change: impl FnOnce(&mut Vec<NamedTensor>)) -> String {
    let mut state = random_state(&tiny_spec(8, 8), 1);
    change(&mut state);
    load(&state).unwrap_err().to_string()
}

#[test]
fn names_and_shapes_are_those_of_pytorch() {
    let state = tiny_spec(8, 8).init(0, &Device::flex()).state();
    let listed: Vec<String> = state
        .iter()
        .take(7)
        .map(|tensor| format!("{} {:?}", tensor.name, tensor.shape))
        .collect();
    assert_eq!(
        listed,
        [
            "stem.conv.weight [4, 3, 3, 3]",
            "stem.bn.weight [4]",
            "stem.bn.bias [4]",
            "stem.bn.running_mean [4]",
            "stem.bn.running_var [4]",
            "stages.0.0.conv1.weight [4, 4, 3, 3]",
            "stages.0.0.bn1.weight [4]",
        ]
    );
    let has = |name: &str| state.iter().any(|tensor| tensor.name == name);
    assert!(!has("stages.0.0.shortcut.conv.weight"));
    assert!(has("stages.1.0.shortcut.conv.weight"));
    assert!(has("stages.1.0.shortcut.bn.running_var"));
    assert!(has("stages.1.1.bn2.bias"));
    let last: Vec<&str> = state
        .iter()
        .rev()
        .take(2)
        .map(|t| t.name.as_str())
        .collect();
    assert_eq!(last, ["head.bias", "head.weight"]);
}

#[test]
fn another_model_s_state_is_refused_with_the_tensor_s_name() {
    assert_eq!(
        refused(|state| state.retain(|tensor| tensor.name != "head.bias")),
        "the saved state has no tensor `head.bias`, which the model needs: it belongs to another model"
    );
    assert_eq!(
        refused(|state| state[0].shape = vec![4, 27]),
        "tensor `stem.conv.weight` has shape [4, 27], the model needs [4, 3, 3, 3]"
    );
    assert_eq!(
        refused(|state| state[0].name = "conv.weight".to_owned()),
        "the saved state has no tensor `stem.conv.weight`, which the model needs: it belongs to another \
         model"
    );
    assert_eq!(
        refused(|state| {
            let mut extra = state[0].clone();
            extra.name = "stem.conv.bias".to_owned();
            state.push(extra);
        }),
        "the saved state has the tensor `stem.conv.bias`, which the model does not have: it belongs to \
         another model"
    );
    assert_eq!(
        refused(|state| state.push(state[3].clone())),
        "the saved state has the tensor `stem.bn.running_mean`, which occurs twice"
    );
}

#[test]
fn values_that_cannot_be_weights_are_refused() {
    assert_eq!(
        refused(|state| state[0].values[5] = f32::NAN),
        "tensor `stem.conv.weight` has the value NaN at position 5: it must be finite"
    );
    assert_eq!(
        refused(|state| state[4].values[1] = -0.5),
        "tensor `stem.bn.running_var` has the value -0.5 at position 1: a variance cannot be \
         negative"
    );
    assert_eq!(
        refused(|state| {
            state[1].values.pop();
        }),
        "tensor `stem.bn.weight` of shape [4] has 3 values"
    );
    assert_eq!(
        refused(|state| state[1].shape = vec![usize::MAX, 2]),
        format!(
            "tensor `stem.bn.weight` of shape [{}, 2] has 4 values",
            usize::MAX
        )
    );
}

#[test]
fn loading_leaves_other_clones_alone() {
    let device = Device::flex();
    let spec = tiny_spec(8, 8);
    let model = spec.init(0, &device);
    let before = model.state();
    let loaded = model
        .clone()
        .load_state(&random_state(&spec, 2), &device)
        .unwrap();
    assert_eq!(model.state(), before);
    assert_ne!(loaded.state(), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_state_comes_back_bit_for_bit_and_computes_the_same(seed in any::<u64>()) {
        let device = Device::flex();
        let spec = tiny_spec(8, 8);
        let state = random_state(&spec, seed);
        let shuffled: Vec<NamedTensor> = state.iter().rev().cloned().collect();
        let first = spec.init(0, &device).load_state(&state, &device).unwrap();
        let second = spec.init(1, &device).load_state(&shuffled, &device).unwrap();
        prop_assert_eq!(first.state(), state.clone());
        prop_assert_eq!(second.state(), state);
        let images = random_images(seed, [2, 3, 8, 8], &device);
        prop_assert_eq!(to_vec(first.forward(images.clone())), to_vec(second.forward(images)));
    }
}
