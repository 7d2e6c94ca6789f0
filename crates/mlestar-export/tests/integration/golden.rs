//! Golden images, verification and packed packages.

use std::fs;
use std::path::Path;

use mlestar_export::package::{
    self, AddedFile, Contents, FileRole, GoldenInput, Histogram, TrainingData, archive,
};
use mlestar_export::{Confidence, ExportError, FrozenModel, Predictor, Preparation};

use crate::models::small_frozen;

/// Images of another size than the model's, as PNG files.
fn inputs() -> Vec<GoldenInput> {
    (0..4_u32)
        .map(|index| {
            let image = image::RgbImage::from_fn(40 + index, 31, |x, y| {
                image::Rgb([(x * 6) as u8, (y * 8) as u8, (index * 60) as u8])
            });
            let mut file = std::io::Cursor::new(Vec::new());
            image.write_to(&mut file, image::ImageFormat::Png).unwrap();
            GoldenInput {
                name: format!("{index}.png"),
                content: file.into_inner(),
                label: Some(index as usize),
            }
        })
        .collect()
}

fn model() -> FrozenModel {
    let confidence = Confidence {
        temperature: 1.7,
        familiarity_limit: Some(-50.0),
    };
    small_frozen(1).with_confidence(confidence).unwrap()
}

fn write(dir: &Path) -> package::Manifest {
    let contents = Contents {
        golden: inputs(),
        training_data: Some(TrainingData {
            brightness: Histogram::of(&[1.0, 2.0, 3.0]),
            contrast: Histogram::of(&[4.0]),
            predicted_classes: vec![1, 2, 3, 4],
        }),
        ..Contents::default()
    };
    let model = model();
    let preparation = Preparation::new(model.height(), model.width());
    package::write_package(dir, &model, &preparation, &contents).unwrap()
}

#[test]
fn a_package_proves_itself() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write(folder.path());
    assert!(!manifest.golden.is_empty());
    let verification = package::verify(folder.path()).unwrap();
    assert!(verification.reproduces(), "{verification:?}");
    assert_eq!(verification.files, 3 + manifest.golden.len());
    assert!(verification.unknown_files.is_empty());
    assert!(
        verification
            .golden
            .iter()
            .all(|image| image.largest_difference == 0.0)
    );
    let predictor = Predictor::open(folder.path()).unwrap();
    for image in &manifest.golden {
        let prediction = predictor
            .predict_file(&folder.path().join(&image.file))
            .unwrap();
        assert_eq!(prediction.class, image.class);
        assert_eq!(prediction.probability, image.probability);
    }
    fs::create_dir(folder.path().join("notes")).unwrap();
    fs::write(folder.path().join("notes/mine.txt"), "mine").unwrap();
    let verification = package::verify(folder.path()).unwrap();
    assert_eq!(verification.unknown_files, ["notes/mine.txt"]);
}

#[test]
fn other_weights_with_matching_hashes_do_not_reproduce() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write(folder.path());
    // A package of another model, honest about itself, with the recorded predictions of the first.
    let other = tempfile::tempdir().unwrap();
    let model = small_frozen(2)
        .with_confidence(model().confidence())
        .unwrap();
    let preparation = Preparation::new(model.height(), model.width());
    let contents = Contents {
        golden: inputs(),
        ..Contents::default()
    };
    package::write_package(other.path(), &model, &preparation, &contents).unwrap();
    let path = other.path().join(package::MANIFEST_FILE);
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let files: Vec<String> = json["golden"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["file"].as_str().unwrap().to_owned())
        .collect();
    let mut golden = manifest.golden.clone();
    golden.retain(|image| files.contains(&image.file));
    assert!(!golden.is_empty());
    json["golden"] = serde_json::to_value(golden).unwrap();
    fs::write(&path, serde_json::to_vec(&json).unwrap()).unwrap();
    let verification = package::verify(other.path()).unwrap();
    assert!(!verification.reproduces());
    let first = &verification.golden[0];
    assert!(
        first.same_pixels && first.largest_difference > 0.01,
        "{first:?}"
    );
}

#[test]
fn another_way_to_resize_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write(folder.path());
    let image = &manifest.golden[0];
    let model = model();
    // As if another machine decoded or resized in another way: an image with one more column.
    let wider = image::RgbImage::new(90, 31);
    let mut file = std::io::Cursor::new(Vec::new());
    wider.write_to(&mut file, image::ImageFormat::Png).unwrap();
    let result = image
        .compare(&Predictor::new(model), file.get_ref())
        .unwrap();
    assert!(!result.same_pixels && !result.is_reproduced());
}

#[test]
fn a_damaged_golden_image_or_document_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write(folder.path());
    let document = AddedFile {
        name: "docs/interface.md".to_owned(),
        role: FileRole::Document,
        content: b"# Interface".to_vec(),
    };
    package::add_files(folder.path(), std::slice::from_ref(&document)).unwrap();
    let after = package::add_files(folder.path(), &[document]).unwrap();
    assert_eq!(
        after.files.len(),
        manifest.files.len() + 1,
        "a file is recorded once"
    );
    assert!(package::verify(folder.path()).unwrap().reproduces());
    for name in [manifest.golden[0].file.as_str(), "docs/interface.md"] {
        let path = folder.path().join(name);
        let original = fs::read(&path).unwrap();
        let mut altered = original.clone();
        altered[5] ^= 1;
        fs::write(&path, altered).unwrap();
        let message = package::verify(folder.path()).unwrap_err().to_string();
        assert!(message.contains("altered"), "{message}");
        // The model itself is whole.
        assert!(Predictor::open(folder.path()).is_ok());
        fs::write(&path, original).unwrap();
    }
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("package");
    write(&dir);
    for name in [
        "../x",
        "/x",
        "a/../../x",
        "",
        "manifest.json",
        "a\\b",
        "./x",
    ] {
        let file = AddedFile {
            name: name.to_owned(),
            role: FileRole::Document,
            content: Vec::new(),
        };
        let error = package::add_files(&dir, &[file]).unwrap_err();
        assert!(
            matches!(error, ExportError::InvalidArgument { .. }),
            "{name}: {error}"
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn training_data_of_other_classes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = model();
    let contents = Contents {
        training_data: Some(TrainingData {
            brightness: Histogram::of(&[1.0]),
            contrast: Histogram::of(&[1.0]),
            predicted_classes: vec![1, 2],
        }),
        ..Contents::default()
    };
    let preparation = Preparation::new(model.height(), model.width());
    let error = package::write_package(folder.path(), &model, &preparation, &contents);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("2 predicted classes")
    );
}

#[test]
fn a_packed_package_is_the_same_package() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("package");
    write(&dir);
    fs::write(dir.join("mine.txt"), "not part of it").unwrap();
    let packed = folder.path().join("package.tar.zst");
    archive::pack(&dir, &packed).unwrap();
    let first = fs::read(&packed).unwrap();
    archive::pack(&dir, &packed).unwrap();
    assert_eq!(
        first,
        fs::read(&packed).unwrap(),
        "equal packages give equal bytes"
    );
    let copy = folder.path().join("copy");
    archive::unpack(&packed, &copy).unwrap();
    let verification = package::verify(&copy).unwrap();
    assert!(verification.reproduces() && verification.unknown_files.is_empty());
    assert_eq!(
        package::open(&dir).unwrap().1,
        package::open(&copy).unwrap().1
    );
}

#[test]
fn archives_that_are_damaged_or_dangerous_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("package");
    write(&dir);
    let packed = folder.path().join("package.tar.zst");
    archive::pack(&dir, &packed).unwrap();
    let whole = fs::read(&packed).unwrap();
    let target = folder.path().join("target");
    let refused = |content: &[u8]| {
        fs::write(&packed, content).unwrap();
        match archive::unpack(&packed, &target) {
            Err(error @ ExportError::Malformed { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert!(refused(b"no archive").contains("no Zstandard file"));
    assert!(refused(&[]).contains("no Zstandard file"));
    refused(&whole[..whole.len() / 2]);
    assert!(!target.exists(), "nothing of a damaged archive is written");
    let tar_of = |name: &str, kind: tar::EntryType| {
        let mut header = tar::Header::new_ustar();
        // The library refuses such names itself, so they are written into the header directly.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(1);
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, &b"x"[..]).unwrap();
        let plain = builder.into_inner().unwrap();
        ruzstd::encoding::compress_to_vec(
            plain.as_slice(),
            ruzstd::encoding::CompressionLevel::Fastest,
        )
    };
    let outside = refused(&tar_of("../evil", tar::EntryType::Regular));
    assert!(outside.contains("no plain name"), "{outside}");
    assert!(refused(&tar_of("/evil", tar::EntryType::Regular)).contains("no plain name"));
    assert!(refused(&tar_of("link", tar::EntryType::Symlink)).contains("no plain file"));
    assert!(!folder.path().join("evil").exists());
}
