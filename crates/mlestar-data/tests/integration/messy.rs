//! Realistic folders: damaged files, litter, links, odd names, classes missing from splits.

use std::fs;
use std::path::Path;

use image::{DynamicImage, ImageFormat};
use mlestar_data::load::load_within;
use mlestar_data::{DataConfig, LoadedData, SourceKind, load};

use crate::support::{load_folder, picture, pictures, refused, split_folder};

fn encoded(seed: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::from(picture(seed, 32, 32))
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

fn classes(loaded: &LoadedData) -> Vec<&str> {
    let classes = loaded.splits.train.classes().iter();
    classes.map(String::as_str).collect()
}

fn origins(loaded: &LoadedData) -> Vec<String> {
    let sets = loaded.splits.named();
    let all = sets
        .iter()
        .flat_map(|(_, set)| (0..set.len()).map(|i| set.origin(i).to_string()));
    all.collect()
}

/// Five damaged files of 47: truncated at the end marker, truncated, empty, a web page, a flipped byte.
fn damage(root: &Path) {
    let folder = root.join("train/dog");
    let jpeg = encoded(50, ImageFormat::Jpeg);
    let mut png = encoded(51, ImageFormat::Png);
    let middle = png.len() / 2;
    png[middle] ^= 255;
    for (name, bytes) in [
        ("x0.jpg", &jpeg[..jpeg.len() - 2]),
        ("x1.jpg", &jpeg[..jpeg.len() * 6 / 10]),
        ("x2.jpg", b""),
        ("x3.jpg", b"<!DOCTYPE html><title>404</title>"),
        ("x4.png", &png),
    ] {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

#[test]
fn damaged_files_are_left_out_with_their_reasons_below_a_share() {
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    damage(root.path());
    refused(
        load_folder(root.path()),
        &[
            "4 of 47 images cannot be read",
            "x1.jpg: ",
            "x2.jpg: ",
            "x3.jpg: ",
            "x4.png: ",
        ],
    );
    let config = DataConfig {
        unreadable_share_max: 0.1,
        ..DataConfig::new(SourceKind::Folder, root.path())
    };
    let loaded = load(&config, 1).unwrap();
    let source = &loaded.source;
    assert_eq!(source.usage(), "43 of 47 images are used; 4 cannot be read");
    assert_eq!(origins(&loaded).len(), 43);
    assert!(
        origins(&loaded)
            .iter()
            .any(|origin| origin == "train/dog/x0.jpg")
    );
    let mut unreadable: Vec<String> = source
        .unreadable
        .iter()
        .map(|image| format!("{}: {}", image.path, image.reason))
        .collect();
    unreadable.sort_unstable();
    for (found, expect) in unreadable.iter().zip([
        "train/dog/x1.jpg: it is a truncated JPEG",
        "train/dog/x2.jpg: the file is empty",
        "train/dog/x3.jpg: its content is no image; it begins with \"<!DOCTYPE html><\"",
        "train/dog/x4.png: it is damaged: ",
    ]) {
        assert!(found.starts_with(expect), "{found}");
    }
    assert!(
        source
            .notes
            .iter()
            .any(|note| note.starts_with("1 JPEG file(s) lack their end marker"))
    );
    // The other images have the same positions as without the damaged files, except for the sampled ones.
    assert_eq!(loaded.splits.test.class_counts(), [4; 3]);
}

#[test]
fn a_class_or_split_without_a_readable_image_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    let ruin = |folder: &str| {
        for entry in fs::read_dir(root.path().join(folder)).unwrap() {
            fs::write(entry.unwrap().path(), b"").unwrap();
        }
    };
    let config = DataConfig {
        unreadable_share_max: 1.0,
        ..DataConfig::new(SourceKind::Folder, root.path())
    };
    for class in ["cat", "dog", "fox"] {
        ruin(&format!("test/{class}"));
    }
    refused(
        load(&config, 1),
        &[
            "none of the test images can be read",
            "test/fox/0003.png: the file is empty",
        ],
    );
    ruin("train/dog");
    refused(
        load(&config, 1),
        &[
            "none of the training images of class dog can be read",
            "train/dog/0000.png",
        ],
    );
}

fn put_litter(folder: &Path) {
    for name in [
        ".DS_Store",
        "Thumbs.db",
        "._0000.png",
        "DESKTOP.INI",
        ".hidden",
    ] {
        fs::write(folder.join(name), b"\0\x05\x16\x07").unwrap();
    }
    for name in [
        ".ipynb_checkpoints",
        "__MACOSX",
        "@eaDir",
        "lost+found",
        ".git",
    ] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(
            folder.join(name).join("0000.png"),
            encoded(1, ImageFormat::Png),
        )
        .unwrap();
    }
}

#[test]
fn litter_is_never_a_class_or_an_image() {
    for with_splits in [true, false] {
        let root = tempfile::tempdir().unwrap();
        let folders: &[&str] = if with_splits {
            split_folder(root.path());
            &["", "train", "test", "train/cat"]
        } else {
            pictures(root.path(), &["cat", "dog", "fox"], 10);
            &["", "cat"]
        };
        let clean = load_folder(root.path()).unwrap();
        for folder in folders {
            put_litter(&root.path().join(folder));
        }
        let loaded = load_folder(root.path()).unwrap();
        assert_eq!(classes(&loaded), ["cat", "dog", "fox"]);
        assert_eq!(origins(&loaded), origins(&clean));
        assert_eq!(
            loaded.source.usage(),
            format!("all {} images are used", origins(&clean).len())
        );
        let n = folders.len();
        assert_eq!(
            loaded.source.skipped_in_words().unwrap(),
            format!(
                "{} other files and folders were skipped: {} left by the system or a program, {} hidden",
                10 * n,
                8 * n,
                2 * n
            )
        );
    }
}

#[test]
fn upper_case_extensions_are_images() {
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    fs::write(
        root.path().join("train/cat/A.JPEG"),
        encoded(60, ImageFormat::Jpeg),
    )
    .unwrap();
    fs::write(
        root.path().join("train/cat/B.Png"),
        encoded(61, ImageFormat::Png),
    )
    .unwrap();
    let loaded = load_folder(root.path()).unwrap();
    assert_eq!(origins(&loaded).len(), 44);
}

#[test]
fn images_in_folders_inside_class_folders_are_used_and_said() {
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    pictures(&root.path().join("train/cat"), &["more", "more/deep"], 1);
    let loaded = load_folder(root.path()).unwrap();
    assert_eq!(classes(&loaded), ["cat", "dog", "fox"]);
    for name in ["train/cat/more/0000.png", "train/cat/more/deep/0000.png"] {
        assert!(
            origins(&loaded).iter().any(|origin| origin == name),
            "{name}"
        );
    }
    assert_eq!(
        loaded.source.notes,
        ["2 image(s) in folders inside class folders are used as images of these classes"]
    );
}

/// Without split folders, class folders that hold only folders could be one level above the classes.
#[test]
fn folders_that_could_be_a_level_above_the_classes_are_refused() {
    let root = tempfile::tempdir().unwrap();
    for split in ["training", "testing"] {
        pictures(&root.path().join(split), &["cat", "dog"], 5);
    }
    refused(
        load_folder(root.path()),
        &[
            "testing: it looks like a class, but all its images are in folders inside it",
            "call split folders",
        ],
    );
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    #[test]
    fn special_files_are_skipped_and_never_opened() {
        let root = tempfile::tempdir().unwrap();
        split_folder(root.path());
        let socket = root.path().join("train/cat/socket.png");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let fifo = root.path().join("train/cat/fifo.png");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        symlink("/dev/zero", root.path().join("train/cat/device.png")).unwrap();
        let source = load_folder(root.path()).unwrap().source;
        let n = if made.is_ok_and(|status| status.success()) {
            3
        } else {
            2
        };
        assert_eq!(
            source.skipped_in_words().unwrap(),
            format!("{n} other files and folders were skipped: {n} FIFOs, sockets or devices")
        );
        assert!(source.skipped[0].reason.contains("never opened: remove it"));
    }

    #[test]
    fn a_link_is_followed_once_and_no_file_is_read_twice() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        split_folder(&data);
        let store = root.path().join("store");
        pictures(&store, &["cats"], 3);
        let link = |target: &Path, name: &str| symlink(target, data.join(name)).unwrap();
        link(&data.join("train/cat/0001.png"), "train/cat/same.png");
        link(&store.join("cats"), "train/cat/a_store");
        link(&store.join("cats"), "train/cat/the_store_again");
        link(&store.join("cats/0002.png"), "train/cat/z.png");
        link(Path::new(".."), "train/cat/above");
        link(Path::new("."), "train/dog/itself");
        let loaded = load_folder(&data).unwrap();
        let mut names = origins(&loaded);
        names.retain(|name| name.contains("store") || name.contains('z') || name.contains("same"));
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "train/cat/a_store/0000.png",
                "train/cat/a_store/0001.png",
                "train/cat/a_store/0002.png"
            ]
        );
        assert_eq!(
            loaded.splits.train.len() + loaded.splits.validation.len(),
            33
        );
        let skipped: Vec<&str> = loaded
            .source
            .skipped
            .iter()
            .map(|s| s.path.as_str())
            .collect();
        assert_eq!(
            skipped,
            [
                "train/cat/above",
                "train/cat/same.png",
                "train/cat/the_store_again",
                "train/cat/z.png",
                "train/dog/itself"
            ]
        );
        assert_eq!(
            loaded.source.skipped[1].reason,
            "a link to train/cat/0001.png, which is read anyway"
        );
    }

    #[test]
    fn a_split_of_links_to_another_is_refused() {
        let root = tempfile::tempdir().unwrap();
        split_folder(root.path());
        symlink("test", root.path().join("val")).unwrap();
        refused(
            load_folder(root.path()),
            &["val holds no images: it holds only links to images that are read under other names"],
        );
    }

    #[test]
    fn names_that_are_not_utf8_stay_two_names() {
        let root = tempfile::tempdir().unwrap();
        split_folder(root.path());
        for (seed, name) in [(70, &b"caf\xe9.png"[..]), (71, b"caf\xe8.png")] {
            let path = root.path().join("test/cat").join(OsStr::from_bytes(name));
            if fs::write(path, encoded(seed, ImageFormat::Png)).is_err() {
                return; // This file system holds only UTF-8 names.
            }
        }
        let loaded = load_folder(root.path()).unwrap();
        let test = &loaded.splits.test;
        let shown: Vec<String> = (0..test.len())
            .map(|i| test.origin(i).to_string())
            .collect();
        for name in [r"test/cat/caf\xe8.png", r"test/cat/caf\xe9.png"] {
            assert!(shown.iter().any(|found| found == name), "{shown:?}");
        }
        for i in 0..test.len() {
            let json = serde_json::to_string(test.origin(i)).unwrap();
            let back: mlestar_data::Origin = serde_json::from_str(&json).unwrap();
            assert_eq!(&back, test.origin(i));
        }
    }

    #[test]
    fn composed_and_decomposed_names_are_one_class() {
        let root = tempfile::tempdir().unwrap();
        pictures(&root.path().join("train"), &["ant", "caf\u{e9}"], 5);
        pictures(&root.path().join("test"), &["ant", "cafe\u{301}"], 3);
        let loaded = load_folder(root.path()).unwrap();
        assert_eq!(classes(&loaded), ["ant", "caf\u{e9}"]);
        assert_eq!(loaded.splits.test.class_counts(), [3, 3]);
    }
}

#[test]
fn numbered_classes_are_in_natural_order() {
    let root = tempfile::tempdir().unwrap();
    let names: Vec<String> = (1..=12).map(|i| i.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (split, n) in [("train", 3), ("test", 1)] {
        pictures(&root.path().join(split), &names, n);
    }
    assert_eq!(classes(&load_folder(root.path()).unwrap()), names);
}

#[test]
fn a_class_that_is_missing_or_empty_beside_train_means_the_same() {
    for is_empty in [false, true] {
        let root = tempfile::tempdir().unwrap();
        pictures(&root.path().join("train"), &["ant", "bee", "cow"], 5);
        for split in ["val", "test"] {
            pictures(&root.path().join(split), &["ant", "cow"], 2);
            if is_empty {
                fs::create_dir(root.path().join(split).join("bee")).unwrap();
            }
        }
        let loaded = load_folder(root.path()).unwrap();
        assert_eq!(loaded.splits.validation.class_counts(), [2, 0, 2]);
        assert_eq!(loaded.splits.test.class_counts(), [2, 0, 2]);
        assert_eq!(
            loaded.source.notes,
            [
                "the validation split has no image of bee",
                "the test split has no image of bee"
            ]
        );
    }
}

#[test]
fn a_class_that_train_does_not_have_is_an_error_that_names_it() {
    for split in ["val", "test"] {
        let root = tempfile::tempdir().unwrap();
        for part in ["train", "val", "test"] {
            pictures(&root.path().join(part), &["ant", "bee"], 3);
        }
        fs::create_dir(root.path().join(split).join("cow")).unwrap();
        assert_eq!(
            load_folder(root.path()).unwrap().source.skipped[0].path,
            format!("{split}/cow")
        );
        pictures(&root.path().join(split), &["dog"], 1);
        refused(
            load_folder(root.path()),
            &["dog is a class that", "(it has: ant, bee)"],
        );
    }
}

#[test]
fn memory_is_computed_before_it_is_taken() {
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    let config = DataConfig {
        image_size: Some([2048, 2048]),
        ..DataConfig::new(SourceKind::Folder, root.path())
    };
    refused(
        load_within(&config, 1, Some(500_000_000)),
        &[
            "42 images of 2048 x 2048 pixels take 528.5 MB of memory, more than the 500.0 MB that are free",
            "set a smaller data.memory_limit_mib, so that they stay on the disk",
        ],
    );
}

#[test]
fn a_subset_that_is_too_large_is_found_before_any_image_is_read() {
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    fs::write(root.path().join("train/cat/0000.png"), b"").unwrap();
    let config = DataConfig {
        subset: Some(1000),
        unreadable_share_max: 0.0,
        ..DataConfig::new(SourceKind::Folder, root.path())
    };
    refused(
        load(&config, 1),
        &["the requested subset has 1000 images", "has only 30"],
    );
}
