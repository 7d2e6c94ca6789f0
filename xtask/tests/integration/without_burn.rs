//! Crates that claim to compile without Burn do so.

use crate::root;
use std::process::Command;

/// Crates whose feature `burn` can be left out.
const CRATES: [&str; 4] = [
    "mlestar-kernels",
    "mlestar-model",
    "mlestar-train",
    "mlestar-export",
];

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--locked", "--no-default-features"])
        .current_dir(root())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn crates_compile_without_burn() {
    // A separate folder: the test itself runs under a cargo that locks the other one.
    let target = root().join("target/without-burn");
    let target = target.to_str().unwrap();
    for name in CRATES {
        let tree = cargo(&["tree", "-p", name, "-e", "normal", "--prefix", "none"]);
        let burn = tree.lines().find(|line| line.starts_with("burn"));
        assert_eq!(burn, None, "{name} depends on Burn");
        cargo(&["check", "-p", name, "--target-dir", target]);
    }
    let tree = cargo(&[
        "tree",
        "-p",
        "mlestar",
        "--features",
        "export,eval,gates,train",
        "-e",
        "normal",
        "--prefix",
        "none",
    ]);
    assert!(!tree.lines().any(|line| line.starts_with("burn")));
}
