//! Folders of images, valid and invalid.

use std::fs;
use std::path::Path;

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgba};
use mlestar_data::readers::folder::{FileSizes, SizeCount};
use mlestar_data::{DataConfig, SourceKind, load};
use mlestar_random::Stream;
use proptest::prelude::*;

use crate::support::{load_folder, picture, pictures, refused, split_folder};

#[test]
fn train_and_test_folders_are_read() {
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    let loaded = load_folder(root.path()).unwrap();
    let splits = &loaded.splits;
    assert_eq!(&splits.train.classes()[..], ["cat", "dog", "fox"]);
    assert_eq!(splits.train.class_counts(), [9; 3]);
    assert_eq!(splits.validation.class_counts(), [1; 3]);
    assert_eq!(splits.test.class_counts(), [4; 3]);
    assert_eq!((splits.test.height(), splits.test.width()), (32, 32));
    assert_eq!(splits.test.origin(5).to_string(), "test/dog/0001.png");
    assert_eq!(splits.test.interleaved(5), picture(101, 32, 32).into_raw());
    let made: Vec<&str> = loaded
        .source
        .splits
        .iter()
        .map(|s| s.made_from.as_str())
        .collect();
    assert_eq!(
        made,
        [
            "the rest of train/",
            "0.1 of train/, stratified by class",
            "test/"
        ]
    );
    assert_eq!(loaded.source.conversions.n_resized, 0);
    assert_eq!(
        loaded.source.layout,
        "one folder per class in each of train, test"
    );
}

#[test]
fn a_validation_folder_is_used_by_any_of_its_names() {
    for name in ["val", "valid", "validation"] {
        let root = tempfile::tempdir().unwrap();
        split_folder(root.path());
        pictures(&root.path().join(name), &["dog", "fox"], 2);
        let loaded = load_folder(root.path()).unwrap();
        assert_eq!(loaded.splits.train.class_counts(), [10; 3]);
        assert_eq!(loaded.splits.validation.class_counts(), [0, 2, 2]);
        assert_eq!(loaded.source.splits[1].made_from, format!("{name}/"));
        assert_eq!(
            loaded.source.notes,
            ["the validation split has no image of cat"]
        );
        fs::create_dir(
            root.path()
                .join(if name == "val" { "valid" } else { "val" }),
        )
        .unwrap();
        refused(
            load_folder(root.path()),
            &["it has two validation folders, val", "keep one of them"],
        );
    }
}

#[test]
fn one_folder_of_classes_is_split() {
    let root = tempfile::tempdir().unwrap();
    // A class may be called train, as long as it holds images and not folders.
    pictures(root.path(), &["car", "train"], 20);
    let loaded = load_folder(root.path()).unwrap();
    let splits = &loaded.splits;
    assert_eq!(&splits.train.classes()[..], ["car", "train"]);
    assert_eq!(splits.test.class_counts(), [4; 2]);
    assert_eq!(splits.validation.len(), 3);
    assert_eq!(splits.train.len(), 29);
    let made: Vec<&str> = loaded
        .source
        .splits
        .iter()
        .map(|s| s.made_from.as_str())
        .collect();
    assert_eq!(made[2], "0.2 of all images, stratified by class");
    assert_eq!(
        made[1],
        "0.1 of all images outside the test split, stratified by class"
    );

    let config = DataConfig {
        subset: Some(16),
        ..DataConfig::new(SourceKind::Folder, root.path())
    };
    let smaller = load(&config, 1).unwrap().splits;
    assert_eq!(
        (
            smaller.train.len() + smaller.validation.len(),
            smaller.test.len()
        ),
        (16, 4)
    );
    let all: Vec<String> = (0..8).map(|i| splits.test.origin(i).to_string()).collect();
    assert!((0..4).all(|i| all.contains(&smaller.test.origin(i).to_string())));
}

#[test]
fn every_form_of_picture_is_brought_to_one() {
    let root = tempfile::tempdir().unwrap();
    pictures(root.path(), &["a", "b"], 3);
    let save = |name: &str, picture: DynamicImage, format| {
        picture
            .save_with_format(root.path().join(name), format)
            .unwrap()
    };
    save(
        "a/grey.PNG",
        GrayImage::from_pixel(40, 20, Luma([99])).into(),
        ImageFormat::Png,
    );
    save(
        "a/deep.png",
        ImageBuffer::from_pixel(32, 32, Luma([257_u16 * 9])).into(),
        ImageFormat::Png,
    );
    save(
        "a/glass.webp",
        ImageBuffer::from_pixel(32, 32, Rgba([0_u8, 0, 0, 0])).into(),
        ImageFormat::WebP,
    );
    save(
        "b/photo.jpeg",
        picture(7, 400, 300).into(),
        ImageFormat::Jpeg,
    );
    save("b/old.bmp", picture(8, 20, 50).into(), ImageFormat::Bmp);
    save(
        "b/named_wrongly.jpg",
        picture(9, 32, 32).into(),
        ImageFormat::Png,
    );
    let loaded = load_folder(root.path()).unwrap();
    let conversions = &loaded.source.conversions;
    assert_eq!(
        loaded.source.image_size,
        [32, 32],
        "nine of twelve are 32 x 32"
    );
    assert_eq!(
        (
            conversions.n_resized,
            conversions.n_grey,
            conversions.n_alpha,
            conversions.n_deep
        ),
        (3, 2, 1, 1)
    );
    assert_eq!(conversions.n_sizes, 4);
    assert_eq!(
        conversions.sizes[0],
        SizeCount {
            height: 32,
            width: 32,
            n: 9
        }
    );
    assert!(loaded.source.resize_rule.contains("triangle filter"));
    let find = |name: &str| {
        let of = loaded.splits.named();
        let mut all = of
            .iter()
            .flat_map(|(_, set)| (0..set.len()).map(move |i| (set, i)));
        let (set, i) = all
            .find(|(set, i)| set.origin(*i).to_string() == name)
            .unwrap();
        set.pixels(i).to_vec()
    };
    assert_eq!(find("a/grey.PNG"), [99; 3072]);
    assert_eq!(find("a/deep.png"), [9; 3072]);
    assert_eq!(
        find("a/glass.webp"),
        [255; 3072],
        "transparent images are laid on white"
    );
}

#[test]
fn the_size_follows_the_data_up_to_a_cap() {
    let source = |sizes: &[(u32, u32)], set: Option<[usize; 2]>| {
        let root = tempfile::tempdir().unwrap();
        for (i, (width, height)) in (0..).zip(sizes.iter().cycle().take(4 * sizes.len())) {
            let class = root.path().join(["a", "b"][i % 2]);
            fs::create_dir_all(&class).unwrap();
            let image = picture(i as u32, *width, *height);
            image.save(class.join(format!("{i}.png"))).unwrap();
        }
        let config = DataConfig {
            image_size: set,
            ..DataConfig::new(SourceKind::Folder, root.path())
        };
        load(&config, 1).unwrap().source
    };
    let chosen = |sizes: &[(u32, u32)]| source(sizes, None).image_size;
    assert_eq!(chosen(&[(16, 16); 3]), [16, 16]);
    assert_eq!(chosen(&[(32, 32), (32, 32), (50, 40)]), [32, 32]);
    assert_eq!(chosen(&[(20, 50), (60, 28), (28, 28)]), [28, 28]);
    assert_eq!(chosen(&[(640, 480), (100, 90), (80, 200)]), [64, 64]);
    assert_eq!(source(&[(16, 16); 3], Some([20, 28])).image_size, [20, 28]);

    let sizes = source(&[(20, 50), (60, 28), (28, 28)], None).file_sizes;
    let expect = FileSizes {
        n: 12,
        smallest: [28, 28],
        median: [50, 20],
        largest: [28, 60],
        n_sizes: 3,
        n_resized: 8,
        n_enlarged: 4,
    };
    assert_eq!(sizes, expect);
    let same = source(&[(16, 16); 3], None).file_sizes;
    assert_eq!(same, FileSizes::uniform(16, 16, 12));
}

#[test]
fn what_is_no_picture_is_listed_as_skipped() {
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    for name in [
        "README.md",
        "stray.png",
        "train/cat/.DS_Store",
        "train/cat/.hidden.png",
        "test/dog/Thumbs.db",
    ] {
        fs::write(root.path().join(name), b"x").unwrap();
    }
    pictures(root.path(), &["extra"], 1);
    let source = load_folder(root.path()).unwrap().source;
    let skipped: Vec<(&str, &str)> = source
        .skipped
        .iter()
        .map(|s| (s.path.as_str(), s.reason.as_str()))
        .collect();
    let extension = "its extension is not one of png, jpg, jpeg, webp, bmp, gif";
    let litter = "left by the system or a program";
    let expect = [
        ("README.md", extension),
        ("extra", "a folder beside the split folders"),
        ("stray.png", "an image outside the split folders"),
        ("test/dog/Thumbs.db", litter),
        ("train/cat/.DS_Store", litter),
        ("train/cat/.hidden.png", "hidden"),
    ];
    assert_eq!(skipped, expect);
    assert_eq!(
        source.skipped_in_words().unwrap(),
        "6 other files and folders were skipped: 2 left by the system or a program, 1 folders beside the split folders, \
         1 hidden, 1 images outside the class folders, 1 of another type (md)"
    );
    assert!(source.leaves_out());
}

#[test]
fn too_many_unreadable_images_end_with_the_list_of_all() {
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    let path = |name: &str| root.path().join(name);
    picture(1, 64, 64).save(path("train/cat/cut.jpg")).unwrap();
    let jpeg = fs::read(path("train/cat/cut.jpg")).unwrap();
    fs::write(path("train/cat/cut.jpg"), &jpeg[..jpeg.len() / 2]).unwrap();
    fs::write(path("train/dog/empty.png"), b"").unwrap();
    fs::write(path("test/fox/text.png"), b"I am a text file").unwrap();
    let mut bmp = Vec::new();
    DynamicImage::from(picture(1, 4, 4))
        .write_to(&mut std::io::Cursor::new(&mut bmp), ImageFormat::Bmp)
        .unwrap();
    bmp[18..22].copy_from_slice(&40_000_u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&40_000_u32.to_le_bytes());
    fs::write(path("test/fox/vast.bmp"), &bmp).unwrap();
    let expect = [
        "4 of 46 images cannot be read, but at most 1 may be left out (data.unreadable_share_max = 0.01):\n",
        "train/cat/cut.jpg: it is a truncated JPEG",
        "train/dog/empty.png: the file is empty",
        "test/fox/text.png: its content is no image; it begins with \"I am a text file\"",
        "test/fox/vast.bmp: it has 40000 x 40000 pixels (height x width), but each side must have 1 to 32768",
        "\nrepair or delete them, or set data.unreadable_share_max to 0.09 to leave them out",
    ];
    refused(load_folder(root.path()), &expect);
    for i in 0..20 {
        fs::write(path(&format!("train/dog/{i}.jpg")), b"").unwrap();
    }
    let names: Vec<String> = (0..20).map(|i| format!("train/dog/{i}.jpg: ")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    refused(load_folder(root.path()), &names);
    refused(load_folder(root.path()), &["24 of 66 images"]);
}

#[test]
fn long_and_thin_pictures_are_refused() {
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    picture(1, 30_000, 1)
        .save(root.path().join("train/cat/thin.png"))
        .unwrap();
    let config = DataConfig {
        image_size: Some([256, 256]),
        ..DataConfig::new(SourceKind::Folder, root.path())
    };
    let source = load(&config, 1).unwrap().source;
    let reason = &source.unreadable[0].reason;
    for part in ["its 1 x 30000 pixels", "scaled to 256 x 7680000", "crop it"] {
        assert!(reason.contains(part), "{reason}");
    }
    let strict = DataConfig {
        unreadable_share_max: 0.0,
        ..config
    };
    refused(
        load(&strict, 1),
        &[
            "1 of 43 images cannot be read, but at most 0",
            "train/cat/thin.png: its 1 x",
        ],
    );
}

#[test]
fn class_folders_are_checked() {
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    fs::create_dir_all(root.path().join("train/empty")).unwrap();
    refused(
        load_folder(root.path()),
        &["empty holds no image;", "or delete the folder"],
    );
    fs::write(root.path().join("train/empty/notes.txt"), b"x").unwrap();
    refused(
        load_folder(root.path()),
        &["empty holds no image, only 1 other file(s)"],
    );
    fs::remove_dir_all(root.path().join("train/empty")).unwrap();

    pictures(&root.path().join("test"), &["wolf"], 1);
    refused(
        load_folder(root.path()),
        &[
            "wolf is a class that",
            "does not have (it has: cat, dog, fox)",
        ],
    );
    fs::remove_dir_all(root.path().join("test/wolf")).unwrap();

    fs::remove_dir_all(root.path().join("train")).unwrap();
    refused(
        load_folder(root.path()),
        &["train is missing: the folder has a test split, but no training split"],
    );
}

#[test]
fn one_class_is_too_few() {
    let root = tempfile::tempdir().unwrap();
    pictures(root.path(), &["cat"], 5);
    refused(
        load_folder(root.path()),
        &["has 1 class(es) (cat), but at least 2 are needed"],
    );
}

#[test]
fn folders_without_pictures_are_refused() {
    let root = tempfile::tempdir().unwrap();
    refused(
        load_folder(root.path()),
        &["holds no images: there are no class folders in it"],
    );
    picture(1, 8, 8).save(root.path().join("a.png")).unwrap();
    refused(
        load_folder(root.path()),
        &["holds no images: its 1 image(s) are not in class folders"],
    );
    fs::write(root.path().join("test_batch.bin"), b"x").unwrap();
    refused(
        load_folder(root.path()),
        &["it holds the binary files of cifar10; set data.source = \"cifar10\""],
    );
    refused(
        load_folder(&root.path().join("nowhere")),
        &[
            "nowhere is missing: there is no such folder",
            "check the path",
        ],
    );
    refused(
        load_folder(&root.path().join("a.png")),
        &["a.png is not a folder"],
    );
}

#[test]
fn too_few_pictures_to_split_are_refused() {
    let root = tempfile::tempdir().unwrap();
    pictures(root.path(), &["cat"], 5);
    pictures(root.path(), &["dog"], 2);
    refused(
        load_folder(root.path()),
        &["class dog has 2 image(s), but splitting off a test split needs at least 3"],
    );
    pictures(root.path(), &["dog"], 3);
    let splits = load_folder(root.path()).unwrap().splits;
    assert!(
        splits
            .named()
            .iter()
            .all(|(_, set)| set.class_counts()[1] == 1)
    );
}

/// A link to itself cannot be opened by anyone, not even by a user who may read everything.
#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_are_named() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    symlink("loop", root.path().join("train/loop")).unwrap();
    refused(
        load_folder(root.path()),
        &["train/loop: it is a link whose target does not exist; repair or delete the link"],
    );
    fs::remove_file(root.path().join("train/loop")).unwrap();
    symlink("nowhere.png", root.path().join("train/cat/gone.png")).unwrap();
    symlink("nowhere", root.path().join("train/cat/more")).unwrap();
    let source = load_folder(root.path()).unwrap().source;
    let gone = &source.unreadable[0];
    assert_eq!(gone.path, "train/cat/gone.png");
    assert_eq!(
        gone.reason,
        "it is a link whose target does not exist: repair or delete it"
    );
    assert_eq!(source.skipped[0].path, "train/cat/more");
    assert_eq!(
        source.skipped[0].reason,
        "a link whose target does not exist: repair or delete it"
    );
    assert_eq!(source.usage(), "42 of 43 images are used; 1 cannot be read");
}

/// The view of a user without special rights.
#[cfg(unix)]
#[test]
fn folders_without_permission_are_errors() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    let locked = root.path().join("train/dog");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let may_read_everything = fs::read_dir(&locked).is_ok();
    let result = load_folder(root.path());
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
    if may_read_everything {
        result.unwrap();
    } else {
        refused(result, &["cannot read", "train/dog", "you may read it"]);
    }
}

fn random_bytes(seed: u64, n: usize) -> Vec<u8> {
    let mut stream = Stream::new(seed, "test", 0, 0);
    (0..n).map(|_| stream.next_u32() as u8).collect()
}

/// A valid image with a few changed bytes, which gets further into decoders than noise.
fn mangled(format: ImageFormat, seed: u64) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::from(picture(3, 24, 17))
        .write_to(&mut bytes, format)
        .unwrap();
    let mut bytes = bytes.into_inner();
    let mut stream = Stream::new(seed, "mangle", 0, 0);
    for _ in 0..stream.below(6) {
        let at = stream.below(bytes.len() as u64) as usize;
        bytes[at] = stream.next_u32() as u8;
    }
    bytes
}

fn must_not_panic(root: &Path) {
    // Whether it is an error depends on the bytes; if it is, there must be a message.
    if let Err(error) = load_folder(root) {
        assert!(error.to_string().contains("be read"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn random_bytes_never_panic(seed in any::<u64>(), n in 0_usize..600) {
        let root = tempfile::tempdir().unwrap();
        pictures(root.path(), &["a", "b"], 3);
        let formats = [
            ("png", ImageFormat::Png, &b"\x89PNG\r\n\x1a\n"[..]),
            ("jpg", ImageFormat::Jpeg, b"\xff\xd8\xff"),
            ("bmp", ImageFormat::Bmp, b"BM"),
            ("webp", ImageFormat::WebP, b"RIFF\x40\x00\x00\x00WEBPVP8 "),
            ("gif", ImageFormat::Gif, b"GIF89a\x04\x00\x04\x00\x80\x00\x00"),
        ];
        for (extension, format, magic) in formats {
            let write = |name: &str, bytes: Vec<u8>| fs::write(root.path().join(format!("a/{name}.{extension}")), bytes).unwrap();
            write("noise", random_bytes(seed, n));
            write("headed", [magic, &random_bytes(seed, n)].concat());
            write("mangled", mangled(format, seed));
        }
        must_not_panic(root.path());
        for extension in ["png", "jpg", "bmp", "webp", "gif"] {
            for name in ["noise", "headed"] {
                fs::remove_file(root.path().join(format!("a/{name}.{extension}"))).unwrap();
            }
        }
        must_not_panic(root.path());
    }
}

/// Two classes of four scenes with three frames each, and two images without a number in their names.
#[test]
fn frames_of_a_scene_are_on_one_side_of_a_split() {
    let root = tempfile::tempdir().unwrap();
    for (class, name) in ["ant", "bee"].into_iter().enumerate() {
        let folder = root.path().join(name);
        fs::create_dir(&folder).unwrap();
        for frame in 0..12_usize {
            let scene = frame / 3 + 4 * class;
            let file = folder.join(format!("scene{scene:02}_{}.png", frame % 3));
            picture((frame + 40 * class) as u32, 8, 8)
                .save(file)
                .unwrap();
        }
        picture(90 + class as u32, 8, 8)
            .save(folder.join("alone.png"))
            .unwrap();
    }
    let mut config = DataConfig {
        image_size: Some([8, 8]),
        ..DataConfig::new(SourceKind::Folder, root.path())
    };
    let sides = |config: &DataConfig| {
        let loaded = load(config, 5).unwrap();
        let mut sides: std::collections::BTreeMap<String, Vec<&str>> = Default::default();
        for (split, set) in loaded.splits.named() {
            for index in 0..set.len() {
                let origin = set.origin(index).to_string();
                let scene = origin.split('_').next().unwrap().to_owned();
                sides.entry(scene).or_default().push(split.as_str());
            }
        }
        (sides, loaded.source.notes)
    };
    let is_cut = |splits: &Vec<&str>| splits.iter().any(|split| *split != splits[0]);
    assert!(sides(&config).0.values().any(is_cut));
    config.group_by = Some(mlestar_data::GroupBy::Name);
    let (whole, notes) = sides(&config);
    assert_eq!(whole.len(), 10);
    assert!(!whole.values().any(is_cut), "{whole:?}");
    assert_eq!(
        notes,
        ["images that belong together (by name) are in the same split"]
    );
}

/// Splits that are folders stay as they are; the groups still say which images belong together.
#[test]
fn groups_span_the_training_and_validation_folders() {
    let root = tempfile::tempdir().unwrap();
    for (number, path) in [
        "train/ant/scene1_1.png",
        "train/ant/scene2_1.png",
        "train/bee/scene1_2.png",
        "val/ant/scene1_3.png",
        "val/bee/scene3_1.png",
        "test/ant/a.png",
        "test/bee/b.png",
    ]
    .into_iter()
    .enumerate()
    {
        let file = root.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        picture(number as u32, 8, 8).save(file).unwrap();
    }
    let mut config = DataConfig {
        image_size: Some([8, 8]),
        ..DataConfig::new(SourceKind::Folder, root.path())
    };
    let groups = |config: &DataConfig| {
        let splits = load(config, 5).unwrap().splits;
        let of = |set: &mlestar_data::ImageSet| -> Vec<Option<u32>> {
            (0..set.len()).map(|index| set.group(index)).collect()
        };
        [
            of(&splits.train),
            of(&splits.validation),
            of(&splits.validation.compact()),
        ]
    };
    assert!(groups(&config).iter().flatten().all(Option::is_none));
    config.group_by = Some(mlestar_data::GroupBy::Name);
    let [train, validation, compact] = groups(&config);
    assert_eq!(train, [Some(0), Some(1), Some(0)]);
    assert_eq!(validation[0], Some(0));
    assert!(!train.contains(&validation[1]));
    assert_eq!(compact, validation);
}
