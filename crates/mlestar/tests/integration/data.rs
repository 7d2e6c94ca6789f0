//! Data that are named on the command line, and the messages about those that are left out.

use crate::{ended, program, root};
use std::fs;
use std::path::Path;

/// Runs the program in `folder`; its exit code, standard output and standard error.
fn mlestar(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    ended(program(folder, arguments))
}

/// A BMP of 16 x 16 pixels whose colours depend on `seed`.
fn bmp(seed: u32) -> Vec<u8> {
    const SIDE: u32 = 16;
    const HEADERS: u32 = 14 + 40;
    let pixels = (0..3 * SIDE * SIDE).map(|i| (i.wrapping_mul(37 + seed) ^ (seed * 11)) as u8);
    let mut bytes = b"BM".to_vec();
    for value in [HEADERS + 3 * SIDE * SIDE, 0, HEADERS, 40, SIDE, SIDE] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    bytes.extend(pixels);
    bytes
}

/// Twelve training and four test images of each of two classes in `data/` below `folder`.
fn image_folder(folder: &Path) {
    for (part, n) in [("train", 12), ("test", 4)] {
        for (class, name) in ["ant", "bee"].into_iter().enumerate() {
            let class_folder = folder.join("data").join(part).join(name);
            fs::create_dir_all(&class_folder).unwrap();
            for i in 0..n {
                let seed = i + 20 * class as u32 + 100 * n;
                fs::write(class_folder.join(format!("{i:02}.BMP")), bmp(seed)).unwrap();
            }
        }
    }
}

#[test]
fn data_without_a_config_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    image_folder(folder.path());
    let config = |arguments: &[&str]| {
        let (code, stdout, stderr) = mlestar(folder.path(), &[&["config"], arguments].concat());
        assert_eq!(code, 0, "{stderr}");
        stdout
    };
    let of_folder = config(&["--data", "data"]);
    assert!(of_folder.contains("source = \"folder\""), "{of_folder}");
    assert!(of_folder.contains("path = \"data\""), "{of_folder}");
    for (name, file) in [("cifar10", "test_batch.bin"), ("cifar100", "train.bin")] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join(file), "").unwrap();
        let of_cifar = config(&["--data", name]);
        assert!(
            of_cifar.contains(&format!("source = \"{name}\"")),
            "{of_cifar}"
        );
    }
    let synthetic = config(&[]);
    assert!(synthetic.contains("source = \"synthetic\""), "{synthetic}");
}

#[test]
fn data_that_are_not_there_never_become_the_quick_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("empty")).unwrap();
    fs::create_dir_all(folder.path().join("unknown/texts")).unwrap();
    fs::write(folder.path().join("unknown/texts/a.txt"), "a").unwrap();
    fs::write(folder.path().join("file.zip"), "PK").unwrap();
    for (data, expect) in [
        ("nowhere", "nowhere is missing: there is no such folder"),
        (
            "file.zip",
            "file.zip is not a folder; give the folder that holds the data",
        ),
        (
            "empty",
            "looked for the binary files of CIFAR-10 or CIFAR-100, and for images in train/CLASS/",
        ),
        ("unknown", "texts holds no image, only 1 other file(s)"),
    ] {
        let (code, _, stderr) = mlestar(folder.path(), &["run", "--data", data]);
        assert_eq!(code, 1, "{data}: {stderr}");
        assert!(stderr.contains(expect), "{data}: {stderr}");
        let (code, stdout, _) = mlestar(folder.path(), &["doctor", "--data", data]);
        assert_eq!(code, 1, "{data}: {stdout}");
        assert!(
            stdout.contains("FAIL  data") && stdout.contains(expect),
            "{data}: {stdout}"
        );
    }
    let quick_start = root().join("configs/quickstart.toml");
    let arguments = [
        "run",
        "--data",
        "empty",
        "--config",
        quick_start.to_str().unwrap(),
    ];
    let (code, _, stderr) = mlestar(folder.path(), &arguments);
    assert_eq!(code, 2, "{stderr}");
    assert!(
        stderr.contains("must be absent if data.source is \"synthetic\""),
        "{stderr}"
    );
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn what_is_left_out_is_said_and_noticed_when_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    image_folder(folder.path());
    let broken = folder.path().join("data/train/bee/03.BMP");
    fs::write(&broken, "").unwrap();
    fs::create_dir(folder.path().join("data/train/@eaDir")).unwrap();
    let run = |more: &[&str]| {
        let arguments = [&["run", "--data", "data", "--to", "1"], more].concat();
        let (code, _, stderr) = mlestar(folder.path(), &arguments);
        assert!([0, 4].contains(&code), "{code}: {stderr}");
        stderr
    };
    let stderr = run(&[]);
    for expect in [
        "data is read as \"folder\", with the settings of configs/folder.toml",
        "31 of 32 images are used; 1 cannot be read",
        "left out: train/bee/03.BMP: the file is empty",
        "1 other files and folders were skipped: 1 left by the system or a program",
        "all images have 16 x 16 pixels (height x width)",
    ] {
        assert!(stderr.contains(expect), "{expect:?} is not in {stderr}");
    }
    let page = folder
        .path()
        .join("runs/folder/1-situation-analysis/exploration.html");
    let page = fs::read_to_string(page).unwrap();
    for expect in ["31 of 32 images are used", "train/bee/03.BMP", "@eaDir"] {
        assert!(page.contains(expect), "{expect:?} is not on the page");
    }
    assert!(!page.contains("Nothing was changed or left out"));
    assert!(run(&[]).contains("unchanged"));
    fs::write(&broken, bmp(999)).unwrap();
    let stderr = run(&["--set", "training.class_weights=[1.0, 3.0]"]);
    assert!(stderr.contains("all 32 images are used"), "{stderr}");
    assert!(
        stderr.contains("training.class_weights: ant = 1, bee = 3"),
        "{stderr}"
    );

    let arguments = [
        "run",
        "--data",
        "data",
        "--force",
        "--set",
        "training.class_weights=[1, 2, 3]",
    ];
    let (code, _, stderr) = mlestar(folder.path(), &arguments);
    assert_eq!(code, 2, "{stderr}");
    assert!(
        stderr.contains("the order of the 2 classes is ant, bee"),
        "{stderr}"
    );
}
