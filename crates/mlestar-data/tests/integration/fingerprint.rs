//! Fingerprints detect content and nothing else.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use mlestar_data::readers::cifar::CifarKind;
use mlestar_data::{DataConfig, Reread, SourceKind, fingerprint, fingerprint_with};

use crate::support::{cifar, picture, refused, split_folder};

fn set_time(path: &Path, time: SystemTime) {
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

fn age_all(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            age_all(&entry.path());
        } else {
            set_time(&entry.path(), SystemTime::now() - Duration::from_secs(3600));
        }
    }
}

#[test]
fn only_content_and_names_count() {
    let root = tempfile::tempdir().unwrap();
    split_folder(root.path());
    let config = DataConfig::new(SourceKind::Folder, root.path());
    let of = || fingerprint(&config, None).unwrap();
    let first = of();
    set_time(
        &root.path().join("train/cat/0001.png"),
        SystemTime::UNIX_EPOCH,
    );
    fs::write(root.path().join("README.md"), b"not read").unwrap();
    assert_eq!(
        of(),
        first,
        "times and files that are not read do not count"
    );

    let elsewhere = tempfile::tempdir().unwrap();
    split_folder(elsewhere.path());
    assert_eq!(
        fingerprint(&DataConfig::new(SourceKind::Folder, elsewhere.path()), None).unwrap(),
        first
    );

    fs::rename(
        root.path().join("train/cat/0001.png"),
        root.path().join("train/cat/moved.png"),
    )
    .unwrap();
    let renamed = of();
    assert_ne!(renamed, first);
    picture(77, 32, 32)
        .save(root.path().join("train/cat/moved.png"))
        .unwrap();
    assert_ne!(of(), renamed);
    fs::remove_file(root.path().join("train/cat/moved.png")).unwrap();
    assert_ne!(of(), first);
}

#[test]
fn the_cache_is_used_and_never_believed_wrongly() {
    let root = tempfile::tempdir().unwrap();
    let cache = root.path().join("cache/fingerprint.json");
    let data = root.path().join("data");
    split_folder(&data);
    age_all(&data);
    // A file whose entry changed less than two seconds ago is not taken from the cache.
    std::thread::sleep(Duration::from_millis(2100));
    let config = DataConfig::new(SourceKind::Folder, &data);
    let of = || fingerprint(&config, Some(&cache)).unwrap();
    let first = of();
    assert_eq!(first, fingerprint(&config, None).unwrap());
    let written = fs::read_to_string(&cache).unwrap();
    assert_eq!(written.matches("\"hash\"").count(), 42);
    assert_eq!(of(), first);

    // A wrong hash in the cache shows that files are not read again.
    let hash = &written[written.find("\"hash\":\"").unwrap() + 8..][..64];
    fs::write(&cache, written.replace(hash, &"0".repeat(64))).unwrap();
    assert_ne!(of(), first);
    fs::write(&cache, "{ torn").unwrap();
    assert_eq!(of(), first, "a damaged cache is rewritten");

    let file = data.join("train/cat/0001.png");
    set_time(&file, SystemTime::now() - Duration::from_secs(1800));
    assert_eq!(of(), first, "touched, but the same");
    // The same size and an old time, but other bytes, changed in the second of the hashing.
    set_time(&file, SystemTime::now());
    of();
    change_and_keep_size_and_time(&file);
    assert_ne!(of(), first);
}

fn change_and_keep_size_and_time(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    let time = fs::metadata(file).unwrap().modified().unwrap();
    fs::write(file, bytes).unwrap();
    set_time(file, time);
}

/// The change time of a file's entry cannot be set, and a file that replaces another has another inode.
#[cfg(unix)]
#[test]
fn an_edit_that_keeps_size_and_time_is_found() {
    let root = tempfile::tempdir().unwrap();
    let cache = root.path().join("fingerprint.json");
    let data = root.path().join("data");
    split_folder(&data);
    age_all(&data);
    std::thread::sleep(Duration::from_millis(2100));
    let config = DataConfig::new(SourceKind::Folder, &data);
    let of = || fingerprint(&config, Some(&cache)).unwrap();
    let first = of();
    change_and_keep_size_and_time(&data.join("train/cat/0001.png"));
    let edited = of();
    assert_ne!(edited, first);
    assert_eq!(edited, fingerprint(&config, None).unwrap());
}

#[test]
fn a_full_check_reads_every_file() {
    let root = tempfile::tempdir().unwrap();
    let cache = root.path().join("fingerprint.json");
    let data = root.path().join("data");
    split_folder(&data);
    age_all(&data);
    std::thread::sleep(Duration::from_millis(2100));
    let config = DataConfig::new(SourceKind::Folder, &data);
    let of = |reread| fingerprint_with(&config, Some(&cache), reread).unwrap();
    let first = of(Reread::Changed);
    // A wrong hash in the cache simulates a change that only the content shows.
    let written = fs::read_to_string(&cache).unwrap();
    let hash = &written[written.find("\"hash\":\"").unwrap() + 8..][..64];
    fs::write(&cache, written.replace(hash, &"0".repeat(64))).unwrap();
    assert_ne!(of(Reread::Changed), first);
    assert_eq!(of(Reread::All), first);
    assert_eq!(of(Reread::Changed), first, "the cache was rewritten");
}

/// The fingerprint distinguishes a file that cannot be opened from the same readable file.
#[cfg(unix)]
#[test]
fn a_file_that_becomes_readable_counts() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    let (cache, data) = (root.path().join("cache.json"), root.path().join("data"));
    split_folder(&data);
    let store = root.path().join("elsewhere.png");
    symlink(&store, data.join("train/cat/away.png")).unwrap();
    let config = DataConfig::new(SourceKind::Folder, &data);
    let of = || fingerprint(&config, Some(&cache)).unwrap();
    let without = of();
    assert_eq!(of(), without);
    picture(99, 32, 32).save(&store).unwrap();
    assert_ne!(of(), without);
}

/// Two names that differ in a byte that is not UTF-8, with equal sizes and times.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_stay_apart() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let root = tempfile::tempdir().unwrap();
    let (cache, data) = (root.path().join("cache.json"), root.path().join("data"));
    split_folder(&data);
    for (seed, name) in [(98, &b"x\xe8.bmp"[..]), (99, b"x\xe9.bmp")] {
        let path = data.join("train/cat").join(OsStr::from_bytes(name));
        picture(seed, 32, 32).save(&path).unwrap();
    }
    age_all(&data);
    std::thread::sleep(Duration::from_millis(2100));
    let config = DataConfig::new(SourceKind::Folder, &data);
    let first = fingerprint(&config, Some(&cache)).unwrap();
    assert_eq!(fingerprint(&config, Some(&cache)).unwrap(), first);
    assert_eq!(fingerprint(&config, None).unwrap(), first);
    let written = fs::read_to_string(&cache).unwrap();
    for name in [r"x\\xe8.bmp", r"x\\xe9.bmp"] {
        assert!(written.contains(name), "{name} is not in {written}");
    }
}

#[test]
fn cifar_files_and_the_synthetic_settings_count() {
    let root = tempfile::tempdir().unwrap();
    cifar(root.path(), CifarKind::Cifar10, 20, 20);
    let config = DataConfig::new(SourceKind::Cifar10, root.path());
    let first = fingerprint(&config, None).unwrap();
    assert_eq!(
        fingerprint(
            &DataConfig {
                subset: Some(30),
                ..config.clone()
            },
            None
        )
        .unwrap(),
        first
    );
    let names = root.path().join("batches.meta.txt");
    fs::write(
        &names,
        fs::read_to_string(&names)
            .unwrap()
            .replace("class_000", "plane"),
    )
    .unwrap();
    assert_ne!(fingerprint(&config, None).unwrap(), first);
    fs::remove_file(&names).unwrap();
    refused(fingerprint(&config, None), &["batches.meta.txt is missing"]);

    let synthetic = DataConfig::default();
    let cache = root.path().join("cache.json");
    let first = fingerprint(&synthetic, Some(&cache)).unwrap();
    let mut other = synthetic.clone();
    other.synthetic.n_train += 1;
    assert_ne!(fingerprint(&other, Some(&cache)).unwrap(), first);
}
