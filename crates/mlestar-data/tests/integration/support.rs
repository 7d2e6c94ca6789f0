//! Small datasets on disk.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use mlestar_data::readers::cifar::CifarKind;
use mlestar_data::{DataConfig, DataError, LoadedData, SourceKind, load};

/// Records whose pixels identify the file and the record; `labels` are the class bytes.
pub fn records(kind: CifarKind, file: u8, labels: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (i, label) in labels.into_iter().enumerate() {
        if kind == CifarKind::Cifar100 {
            bytes.push(label / 5);
        }
        bytes.push(label);
        let start = file.wrapping_mul(50).wrapping_add(i as u8);
        bytes.extend((0..3072).map(|p| (p as u8).wrapping_mul(31).wrapping_add(start)));
    }
    bytes
}

/// A CIFAR folder with `per_file` records in each training file and `n_test` test records, with cyclic labels.
pub fn cifar(folder: &Path, kind: CifarKind, per_file: usize, n_test: usize) {
    fs::create_dir_all(folder).unwrap();
    let k = kind.n_classes();
    for (file, name) in (0..).zip(kind.train_names()) {
        let labels = (0..per_file).map(|i| (i % k) as u8);
        fs::write(folder.join(name), records(kind, file, labels)).unwrap();
    }
    fs::write(
        folder.join(kind.test_name()),
        records(kind, 9, (0..n_test).map(|i| (i % k) as u8)),
    )
    .unwrap();
    let names: Vec<String> = (0..k).map(|i| format!("class_{i:03}")).collect();
    fs::write(
        folder.join(kind.class_names_name()),
        names.join("\n") + "\n\n",
    )
    .unwrap();
}

/// An image whose pixels depend on `seed`.
pub fn picture(seed: u32, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([
            (x * 7 + seed * 13) as u8,
            (y * 11 + seed * 5) as u8,
            (x + y + seed * 29) as u8,
        ])
    })
}

/// Writes `n` 32 x 32 PNG images for each class into `folder/<class>/`.
pub fn pictures(folder: &Path, classes: &[&str], n: u32) {
    for (c, class) in (0..).zip(classes) {
        fs::create_dir_all(folder.join(class)).unwrap();
        for i in 0..n {
            picture(c * 100 + i, 32, 32)
                .save(folder.join(class).join(format!("{i:04}.png")))
                .unwrap();
        }
    }
}

/// An image folder with `train/` and `test/` of three classes.
pub fn split_folder(root: &Path) {
    pictures(&root.join("train"), &["cat", "dog", "fox"], 10);
    pictures(&root.join("test"), &["cat", "dog", "fox"], 4);
}

pub fn load_folder(root: &Path) -> Result<LoadedData, DataError> {
    load(&DataConfig::new(SourceKind::Folder, root), 1)
}

/// The dataset is rejected with a message of one line (or a list) that contains every one of `expect`.
#[track_caller]
pub fn refused(result: Result<impl Sized, DataError>, expect: &[&str]) {
    let message = result.err().expect("this must be an error").to_string();
    for part in expect {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    assert!(
        message.starts_with(|c: char| !c.is_uppercase()),
        "{message}"
    );
}
