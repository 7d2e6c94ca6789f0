//! Images of a folder that are prepared in a file instead of memory.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use mlestar_data::readers::pixel_cache::{list, remove};
use mlestar_data::{
    DataConfig, DataError, LoadOptions, LoadProgress, LoadedData, SourceKind, describe, load,
    load_with, quality,
};

/// Images of a piece: 16 MiB of 3 x 512 x 512 bytes.
const N_PER_PIECE: usize = 21;
const N_PER_CLASS: usize = 24;

/// Two classes of small images of noise, whose files are old enough for their state to be trusted.
fn write_images(root: &Path) {
    for (class, name) in ["ant", "bee"].into_iter().enumerate() {
        fs::create_dir_all(root.join(name)).unwrap();
        for number in 0..N_PER_CLASS {
            let seed = (class * N_PER_CLASS + number) as u32;
            let noise = image::RgbImage::from_fn(20, 16, |x, y| {
                let value = (x * 31 + y * 17 + seed * 7919).wrapping_mul(2_654_435_761);
                image::Rgb([value as u8, (value >> 8) as u8, (value >> 16) as u8])
            });
            noise
                .save(root.join(name).join(format!("{number}.png")))
                .unwrap();
        }
    }
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_images(&folder.path().join("images"));
        Self { folder }
    }

    fn config(&self) -> DataConfig {
        DataConfig {
            image_size: Some([512, 512]),
            memory_limit_mib: 1,
            cache: self.folder.path().join("cache"),
            ..DataConfig::new(SourceKind::Folder, self.folder.path().join("images"))
        }
    }

    fn load(&self) -> LoadedData {
        load(&self.config(), 5).unwrap()
    }

    fn in_memory(&self) -> LoadedData {
        let config = DataConfig {
            memory_limit_mib: 512,
            ..self.config()
        };
        load(&config, 5).unwrap()
    }

    /// The only cache's folder.
    fn cache(&self) -> std::path::PathBuf {
        let caches = list(&self.config().cache).unwrap();
        assert_eq!(caches.len(), 1, "{caches:?}");
        caches[0].folder.clone()
    }
}

fn n_prepared(loaded: &LoadedData) -> usize {
    loaded.cache.as_ref().unwrap().n_prepared
}

fn assert_same(cached: &LoadedData, memory: &LoadedData) {
    assert!(memory.cache.is_none());
    assert_eq!(cached.source, memory.source);
    let pairs = cached.splits.named().into_iter().zip(memory.splits.named());
    for ((_, a), (_, b)) in pairs {
        assert!(a.is_in_file() && !b.is_in_file());
        assert_eq!(a.labels(), b.labels());
        for index in 0..a.len() {
            assert_eq!(a.origin(index), b.origin(index));
            assert!(a.pixels(index) == b.pixels(index), "{}", a.origin(index));
        }
    }
}

#[test]
fn a_file_holds_what_memory_would_and_is_made_once() {
    let place = Place::new();
    let memory = place.in_memory();
    let first = place.load();
    assert_eq!(n_prepared(&first), 2 * N_PER_CLASS);
    assert_same(&first, &memory);
    let again = place.load();
    assert_eq!(n_prepared(&again), 0);
    assert_same(&again, &memory);
    // Another seed makes other splits of the same images.
    assert_eq!(n_prepared(&load(&place.config(), 6).unwrap()), 0);
    assert!(again.splits.train.compact().is_in_file());
    assert_eq!(
        describe(&again.splits.train),
        describe(&memory.splits.train)
    );
    assert_eq!(
        quality::check(&again.splits),
        quality::check(&memory.splits)
    );
}

/// Stops after the first piece, as a kill would, and leaves half a piece and half a line behind.
#[test]
fn an_interrupted_preparation_continues_where_it_was() {
    let place = Place::new();
    let memory = place.in_memory();
    let stop = AtomicBool::new(false);
    let mut progress = |state: LoadProgress| {
        stop.store(state.n_done > 0, Ordering::Release);
    };
    let options = LoadOptions {
        progress: Some(&mut progress),
        stop: Some(&stop),
        ..LoadOptions::default()
    };
    let error = load_with(&place.config(), 5, options).unwrap_err();
    assert!(matches!(error, DataError::Stopped { .. }), "{error}");
    let cache = place.cache();
    append(&cache.join("pixels.partial"), &[1; 1000]);
    append(&cache.join("images.jsonl"), b"{\"piece\":{\"images\"");

    let mut seen = Vec::new();
    let mut progress = |state: LoadProgress| seen.push(state);
    let options = LoadOptions {
        progress: Some(&mut progress),
        ..LoadOptions::default()
    };
    let resumed = load_with(&place.config(), 5, options).unwrap();
    assert_eq!(n_prepared(&resumed), 2 * N_PER_CLASS - N_PER_PIECE);
    assert_same(&resumed, &memory);
    assert_eq!(
        (seen[0].n_done, seen[0].images_per_second),
        (N_PER_PIECE, None)
    );
    let last = seen.last().unwrap();
    assert_eq!((last.n_done, last.n), (2 * N_PER_CLASS, 2 * N_PER_CLASS));
    assert_eq!(last.seconds_left, Some(0.0));
}

fn append(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    let mut file = fs::File::options().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// The pieces before a damaged one are used, and the damaged one is made again.
#[test]
fn a_damaged_piece_is_not_used() {
    let place = Place::new();
    let memory = place.in_memory();
    place.load();
    let pixels = place.cache().join("pixels");
    // A finished file: one bit, and its old modification time.
    #[allow(clippy::permissions_set_readonly_false)] // Of a file in a folder of this test.
    let writable = |path: &Path| {
        let mut permissions = fs::metadata(path).unwrap().permissions();
        permissions.set_readonly(false);
        fs::set_permissions(path, permissions).unwrap();
    };
    let mut bytes = fs::read(&pixels).unwrap();
    let n = bytes.len();
    bytes[n / 2] ^= 1;
    writable(&pixels);
    fs::write(&pixels, &bytes).unwrap();
    let repaired = place.load();
    assert_eq!(n_prepared(&repaired), 2 * N_PER_CLASS);
    assert_same(&repaired, &memory);

    // A shortened one.
    writable(&pixels);
    fs::File::options()
        .write(true)
        .open(&pixels)
        .unwrap()
        .set_len(7)
        .unwrap();
    assert_same(&place.load(), &memory);

    // A record that says that an image could not be read.
    let record = place.cache().join("images.jsonl");
    let text = fs::read_to_string(&record).unwrap();
    let other = text.replacen(
        "{\"read\":{\"size\":[16,20]}}",
        "{\"unreadable\":\"no\"}",
        1,
    );
    assert_ne!(other, text);
    fs::write(&record, other).unwrap();
    assert_same(&place.load(), &memory);
}

#[test]
fn changed_files_make_another_cache() {
    let place = Place::new();
    place.load();
    let images = place.config().path.unwrap();
    fs::write(images.join("ant/3.png"), b"no image").unwrap();
    let loaded = place.load();
    assert_eq!(loaded.source.n_unreadable, 1);
    assert_eq!(loaded.source.unreadable[0].path, "ant/3.png");
    assert_eq!(n_prepared(&loaded), 2 * N_PER_CLASS);
    assert_same(&loaded, &place.in_memory());
    let caches = list(&place.config().cache).unwrap();
    assert_eq!(caches.len(), 2);
    for cache in &caches {
        assert!(cache.is_complete && cache.n == 2 * N_PER_CLASS);
        assert!(cache.bytes > (cache.n * 3 * 512 * 512) as u64);
        assert!(cache.last_used.unwrap() <= SystemTime::now());
        assert!(cache.root.ends_with("images"));
    }
    // The mapped pixels of `loaded` outlive their file.
    let before = loaded.splits.train.pixels(0).to_vec();
    for cache in &caches {
        remove(&cache.folder).unwrap();
    }
    assert_eq!(loaded.splits.train.pixels(0), before);
    assert_eq!(list(&place.config().cache).unwrap(), []);
    let error = remove(&images).unwrap_err().to_string();
    assert!(error.contains("it is no cache of pixels"), "{error}");
}

#[test]
fn settings_of_the_preparation_are_part_of_the_key() {
    let place = Place::new();
    place.load();
    for config in [
        DataConfig {
            image_size: Some([500, 512]),
            ..place.config()
        },
        DataConfig {
            resize_side: Some(600),
            ..place.config()
        },
    ] {
        assert_eq!(n_prepared(&load(&config, 5).unwrap()), 2 * N_PER_CLASS);
    }
    let without_name = DataConfig {
        cache: "".into(),
        ..place.config()
    };
    let error = load(&without_name, 5).unwrap_err().to_string();
    assert!(error.contains("data.cache is"), "{error}");
}
