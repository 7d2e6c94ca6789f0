//! The Python code for PyTorch. `benches/peers/formats.py` runs it.

use mlestar_export::{Confidence, FrozenModel, Layer, torch};

use crate::models::{AVERAGES, attention_frozen, pooled_frozen, small_frozen};

/// Compares with a committed file. After an intended change, the message says where the new text lies.
fn is_stable(model: &FrozenModel, name: &str, expected: &str) {
    let found = torch::source(model);
    if found != expected {
        std::fs::write(std::env::temp_dir().join(name), &found).unwrap();
    }
    assert!(
        found == expected,
        "the code differs from tests/integration/expected/{name}; the new text lies in {}",
        std::env::temp_dir().display()
    );
}

#[test]
fn the_code_of_a_residual_network_is_stable() {
    is_stable(
        &small_frozen(1),
        "residual.py",
        include_str!("expected/residual.py"),
    );
}

#[test]
fn the_code_of_groups_pools_silu_and_views_is_stable() {
    let model = pooled_frozen(1).with_views(AVERAGES[2]);
    is_stable(&model, "views.py", include_str!("expected/views.py"));
}

#[test]
fn the_code_of_attention_is_stable() {
    is_stable(
        &attention_frozen(1),
        "attention.py",
        include_str!("expected/attention.py"),
    );
}

#[test]
fn other_views_change_only_the_evaluation() {
    let model = pooled_frozen(1);
    let mirrored = torch::source(&model.clone().with_views(AVERAGES[0]));
    assert!(mirrored.contains("views = [x, x.flip(3)]\n") && !mirrored.contains("def shifted"));
    let shifted = torch::source(&model.clone().with_views(AVERAGES[1]));
    assert!(shifted.contains("def shifted") && !shifted.contains("flip"));
    assert!(!torch::source(&model).contains("views"));
}

#[test]
fn confidence_is_part_of_the_code() {
    let confidence = Confidence {
        temperature: 1.5,
        familiarity_limit: Some(-2.25),
    };
    let code = torch::source(&small_frozen(1).with_confidence(confidence).unwrap());
    assert!(
        code.contains("        return (self(images) / 1.5).softmax(1)\n\n    def none_of_these")
    );
    assert!(code.contains("        return self(images).logsumexp(1) < -2.25\n\n\ndef load"));
    assert!(!torch::source(&small_frozen(1)).contains("none_of_these"));
}

#[test]
fn names_never_collide_and_nothing_of_a_class_is_replaced() {
    let model = small_frozen(1);
    let mut operations = model.operations().to_vec();
    for (operation, name) in operations
        .iter_mut()
        .zip(["a.b", "a_b", "forward", "1.class"])
    {
        operation.name = name.to_owned();
    }
    let classes = ["{layers}", "\"\"\"\\", "\n", "é"]
        .map(str::to_owned)
        .to_vec();
    let model = FrozenModel::new(classes, *model.normalization(), 9, 7, operations).unwrap();
    let code = torch::source(&model);
    for line in [
        r#"CLASSES = ["{layers}","\"\"\"\\","\n","é"]"#,
        r#"    "conv_a_b": "a.b","#,
        r#"    "conv_a_b_2": "a_b","#,
        "        x2 = F.relu(self.conv_a_b_2(x1))",
        "        x4 = F.relu(self.conv_1_class(x2) + x3)",
    ] {
        assert!(code.lines().any(|found| found == line), "{line}\n{code}");
    }
}

#[test]
fn weights_are_not_in_the_code_and_files_are_written() {
    assert_eq!(
        torch::source(&small_frozen(1)),
        torch::source(&small_frozen(2))
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.py");
    let model = small_frozen(1);
    torch::write(&model, &path).unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        torch::source(&model)
    );
    let layers = model
        .operations()
        .iter()
        .filter(|operation| !matches!(operation.layer, Layer::GlobalAveragePool));
    assert_eq!(
        torch::source(&model).matches("self.conv_").count() / 2 + 1,
        layers.count()
    );
}
