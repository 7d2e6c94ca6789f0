//! Damaged files give errors: never a panic, never silently another model.

use mlestar_export::{FrozenModel, onnx, safetensors_file};
use proptest::prelude::*;

use crate::models::{AVERAGES, attention_frozen, pooled_frozen, quantized, small_frozen};

type Reader = fn(&[u8]) -> Result<FrozenModel, String>;

/// A file, its content and its reader.
struct Case {
    bytes: Vec<u8>,
    model: FrozenModel,
    read: Reader,
}

/// Plain convolutions with ReLU, attention layers, and max pools with SiLU and averages over views, in each format.
fn cases() -> Vec<Case> {
    let models = [
        small_frozen(1),
        attention_frozen(1),
        pooled_frozen(1).with_views(AVERAGES[2]),
    ];
    let all = models.into_iter().flat_map(|model| {
        let onnx = Case {
            bytes: onnx::to_bytes(&model),
            model: model.clone(),
            read: onnx::from_bytes,
        };
        let safetensors = Case {
            bytes: safetensors_file::to_bytes(&model),
            model,
            read: safetensors_file::from_bytes,
        };
        let quantized = quantized(&onnx.model);
        let int8 = Case {
            bytes: onnx::quantized_to_bytes(&quantized),
            model: quantized.model().clone(),
            read: |bytes| onnx::quantized_from_bytes(bytes).map(|found| found.model().clone()),
        };
        [onnx, safetensors, int8]
    });
    all.collect()
}

#[test]
fn a_version_that_is_not_known_is_refused() {
    let bytes = safetensors_file::to_bytes(&small_frozen(1).with_views(AVERAGES[2]));
    let version = br#""format_version":"5""#;
    let at = bytes
        .windows(version.len())
        .position(|part| part == version);
    let digit = at.unwrap() + version.len() - 2;
    for found in [b'0', b'4', b'a'] {
        let mut altered = bytes.clone();
        altered[digit] = found;
        let expected = format!(
            r#"metadata "format_version" is Some("{}"), not "5""#,
            found as char
        );
        assert_eq!(
            safetensors_file::from_bytes(&altered).unwrap_err(),
            expected
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for Case { read, .. } in cases() {
            prop_assert!(read(&bytes).is_err());
        }
    }

    #[test]
    fn altered_bytes_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for Case { bytes, model: expected, read } in cases() {
            let mut altered = bytes.clone();
            for (index, value) in &changes {
                altered[index.index(bytes.len())] = *value;
            }
            // A changed weight, class name or description gives a valid file of another model, which only the
            // hashes of a package can detect; a model that can be read must run.
            if let Ok(model) = read(&altered) {
                prop_assert_eq!(model.operations().len(), expected.operations().len());
            }
        }
    }

    #[test]
    fn inserted_and_removed_parts_never_panic(
        place: prop::sample::Index,
        removed in 0_usize..40,
        inserted in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        for Case { bytes, read, .. } in cases() {
            let start = place.index(bytes.len());
            let mut altered = bytes.clone();
            altered.splice(start..bytes.len().min(start + removed), inserted.iter().copied());
            if altered.len() != bytes.len() {
                // Another length breaks an enclosing length or the data's.
                let _ = read(&altered);
            }
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for Case { bytes, model, read } in cases() {
        for length in 0..bytes.len() {
            // An ONNX file without its last metadata was never written completely: the class names, which are
            // needed, come before the normalisation, which is not.
            if let Ok(found) = read(&bytes[..length]) {
                assert_eq!(found, model, "truncated to {length} of {}", bytes.len());
            }
        }
    }
}

#[test]
fn every_flipped_bit_of_a_header_is_handled() {
    for Case { bytes, read, .. } in cases() {
        for position in 0..bytes.len().min(2000) {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[position] ^= 1 << bit;
                let _ = read(&altered);
            }
        }
    }
}

/// Replaces text of the same length inside a file.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let start = bytes
        .windows(from.len())
        .position(|part| part == from.as_bytes())
        .unwrap();
    let mut altered = bytes.to_vec();
    altered[start..start + to.len()].copy_from_slice(to.as_bytes());
    altered
}

#[test]
fn an_onnx_graph_that_computes_something_else_is_refused() {
    let bytes = onnx::to_bytes(&small_frozen(1));
    for (from, to) in [("Relu", "Tanh"), ("Softmax", "Sigmoid"), ("Cast", "Ceil")] {
        let error = onnx::from_bytes(&replaced(&bytes, from, to)).unwrap_err();
        assert!(!error.is_empty());
    }
}

#[test]
fn a_quantised_graph_that_computes_something_else_is_refused() {
    let bytes = onnx::quantized_to_bytes(&quantized(&small_frozen(1)));
    for (from, to) in [
        ("QuantizeLinear", "QuantizeRandom"),
        ("head.bias.scale", "stem.bias.scale"),
        ("pool.output.dq", "stem.output.dq"),
    ] {
        let error = onnx::quantized_from_bytes(&replaced(&bytes, from, to)).unwrap_err();
        assert!(!error.is_empty());
    }
}

#[test]
fn safetensors_with_other_operations_are_refused() {
    let bytes = safetensors_file::to_bytes(&small_frozen(1));
    for (from, to, reason) in [
        (
            "mlestar.frozen_model",
            "mlestar.another_file",
            "mlestar.another_file",
        ),
        (r#"\"height\":9"#, r#"\"weight\":9"#, "picture"),
        (r#"\"input\":2"#, r#"\"input\":9"#, "reads buffer 9"),
        (
            r#"\"add_from\":3"#,
            r#"\"add_from\":1"#,
            "adds a buffer of shape",
        ),
        (r#"\"stride\":[2,2]"#, r#"\"stride\":[0,2]"#, "stride 0"),
        (r#"\"padding\":[1,1]"#, r#"\"padding\":[1,1e"#, "operations"),
    ] {
        let error = safetensors_file::from_bytes(&replaced(&bytes, from, to)).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}
