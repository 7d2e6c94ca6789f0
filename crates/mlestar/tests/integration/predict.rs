//! `predict` on a model of a tiny set of image files.

use crate::chain::command;
use crate::{program, texts};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

/// Two classes of files that have to be resized and laid on a background: 24 to learn from, 4 to validate, 4 to test.
fn write_images(folder: &Path) {
    for (class, name) in ["dark", "light"].into_iter().enumerate() {
        for (split, n) in [("train", 12), ("val", 2), ("test", 2)] {
            let folder = folder.join(split).join(name);
            fs::create_dir_all(&folder).unwrap();
            for index in 0..n {
                let image = image::RgbaImage::from_fn(37 + index, 29, |x, y| {
                    let value = (120 * class as u32 + (x * 7 + y * 5 + index * 31) % 90) as u8;
                    image::Rgba([value, value / 2, 255 - value, 255 - (x * 4) as u8])
                });
                image.save(folder.join(format!("{index}.png"))).unwrap();
            }
        }
    }
}

/// A finished run on these images, in `runs/tiny` of the folder.
pub fn run(folder: &Path) {
    write_images(&folder.join("images"));
    let settings = [
        "run",
        "--data",
        "images",
        "--set",
        "data.source='folder'",
        "--set",
        "data.image_size=[16, 24]",
        "--set",
        "data.background=[9, 60, 200]",
        "--set",
        "training.batch_size=6",
        "--set",
        "refinement.enabled=false",
    ];
    let output = command(folder, &settings).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        folder
            .join("runs/tiny/7-deployment/package/manifest.json")
            .is_file(),
        "{stderr}"
    );
}

fn predict(folder: &Path, arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut child = program(folder, &[&["predict"], arguments].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    texts(child.wait_with_output().unwrap())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The probabilities that the trained network gave the test images, in the order of their classes.
fn trained_answers(folder: &Path) -> Vec<(String, Vec<f64>)> {
    let path = folder.join("runs/tiny/6-refinement/test_predictions.jsonl");
    let rows = lines(&fs::read_to_string(path).unwrap());
    let manifest = folder.join("runs/tiny/7-deployment/package/manifest.json");
    let manifest: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    let temperature = manifest["confidence"]["temperature"].as_f64().unwrap();
    let answer = |row: &Value| {
        let logits: Vec<f64> = row["logits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap() / temperature)
            .collect();
        let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
        let probabilities = logits.iter().map(|logit| logit.exp() / sum).collect();
        (
            format!("images/{}", row["origin"].as_str().unwrap()),
            probabilities,
        )
    };
    rows.iter().map(answer).collect()
}

#[test]
fn files_are_answered_as_the_trained_network_answered_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder);
    let trained = trained_answers(folder);
    assert_eq!(trained.len(), 4);

    let (code, stdout, stderr) = predict(folder, &["tiny", "images/test", "--format", "json"], b"");
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("warning: not every gate of this model is met"),
        "{stderr}"
    );
    let rows = lines(&stdout);
    assert_eq!(rows.len(), 4);
    for ((file, probabilities), row) in trained.iter().zip(&rows) {
        assert_eq!(row["file"], file.as_str());
        let answers = row["answers"].as_array().unwrap();
        assert_eq!(answers.len(), 2);
        for answer in answers {
            let class = answer["class_index"].as_u64().unwrap() as usize;
            let found = answer["probability"].as_f64().unwrap();
            assert!(
                (found - probabilities[class]).abs() < 1e-5,
                "{file}: {found}, {probabilities:?}"
            );
        }
    }

    // The package alone does the same, wherever it lies, and so does an image that comes through a pipe.
    let package = folder.join("elsewhere");
    fs::rename(folder.join("runs/tiny/7-deployment/package"), &package).unwrap();
    let (code, moved, _) = predict(
        folder,
        &["elsewhere", "images/test", "--format", "json"],
        b"",
    );
    assert_eq!((code, &moved), (0, &stdout));
    let content = fs::read(folder.join("images/test/dark/0.png")).unwrap();
    let (code, piped, _) = predict(folder, &["elsewhere", "-", "--format", "json"], &content);
    assert_eq!(
        (code, &lines(&piped)[0]["answers"]),
        (0, &rows[0]["answers"])
    );

    // One bad file affects only its own row.
    fs::write(folder.join("broken.png"), b"no image").unwrap();
    let names = b"images/test/light/1.png\nbroken.png\nnowhere.png\n";
    let (code, stdout, stderr) = predict(folder, &["elsewhere", "-", "--top", "1"], names);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("2 of 3 images could not be predicted"),
        "{stderr}"
    );
    let rows: Vec<&str> = stdout.lines().collect();
    assert!(!rows[0].contains("error") && rows[0].starts_with("images/test/light/1.png  "));
    assert!(rows[1].contains("broken.png") && rows[1].contains("error: its content is no image"));
    assert!(rows[2].contains("nowhere.png") && rows[2].contains("error: it cannot be read"));

    // A folder is no image, and a pipe is not waited for.
    let made = std::process::Command::new("mkfifo")
        .arg(folder.join("pipe"))
        .status();
    if made.is_ok_and(|status| status.success()) {
        let (code, stdout, _) = predict(folder, &["elsewhere", "pipe"], b"");
        assert_eq!(code, 1);
        assert!(stdout.contains("error: it is no file"), "{stdout}");
    }

    // A file gets all rows or none.
    let arguments = [
        "elsewhere",
        "images",
        "--format",
        "csv",
        "--output",
        "answers.csv",
    ];
    let (code, stdout, _) = predict(folder, &arguments, b"");
    assert_eq!((code, stdout.trim()), (0, "answers.csv"));
    let csv = fs::read_to_string(folder.join("answers.csv")).unwrap();
    assert_eq!(csv.lines().count(), 33);
    assert!(
        csv.starts_with("file,class_1,probability_1,class_2,probability_2,none_of_these,error\n")
    );

    // A packed package predicts the same, and proves itself.
    let (code, _, stderr) = package_command(folder, &["pack", "elsewhere", "packed.tar.zst"]);
    assert_eq!(code, 0, "{stderr}");
    let arguments = ["packed.tar.zst", "images/test", "--format", "json"];
    let (code, stdout, _) = predict(folder, &arguments, b"");
    assert_eq!((code, stdout), (0, moved));
    let (code, stdout, _) = package_command(folder, &["verify", "packed.tar.zst"]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("golden images reproduced"), "{stdout}");
    let (code, stdout, _) = package_command(folder, &["unpack", "packed.tar.zst", "copy"]);
    assert_eq!(code, 0, "{stdout}");
    let (code, _, stderr) = package_command(folder, &["unpack", "packed.tar.zst", "copy"]);
    assert!(
        code == 2 && stderr.contains("not an empty folder"),
        "{stderr}"
    );
    let (code, _, stderr) = package_command(folder, &["pack", "elsewhere", "packed.zip"]);
    assert!(code == 2 && stderr.contains(".tar.zst"), "{stderr}");
    fs::write(folder.join("copy/README.md"), "altered").unwrap();
    let (code, _, stderr) = package_command(folder, &["verify", "copy"]);
    assert!(
        code == 1 && stderr.contains("README.md: altered"),
        "{stderr}"
    );

    // An altered package does not predict.
    fs::write(package.join("model.safetensors"), b"something else").unwrap();
    let (code, stdout, stderr) = predict(folder, &["elsewhere", "broken.png"], b"");
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("model.safetensors: altered"), "{stderr}");
}

fn package_command(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let arguments = [&["package"], arguments].concat();
    let output = program(folder, &arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_cannot_be_asked_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, code, part) in [
        (
            vec!["nowhere", "a.png"],
            3,
            "there is no package in runs/nowhere",
        ),
        (vec!["nowhere"], 2, "FILE|DIR|-"),
        (vec!["nowhere", "a.png", "--top", "0"], 2, "--top is 0"),
        (
            vec!["nowhere", "a.png", "--threads", "0"],
            2,
            "--threads is 0",
        ),
        (vec!["nowhere", "a.png", "--format", "xml"], 2, "json"),
    ] {
        let (found, _, stderr) = predict(folder.path(), &arguments, b"");
        assert_eq!(found, code, "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
}
