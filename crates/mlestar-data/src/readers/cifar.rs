//! The binary versions of CIFAR-10 and CIFAR-100.
//!
//! A file is a sequence of records: one label byte (CIFAR-10), or one coarse and one fine label byte
//! (CIFAR-100), then 3,072 pixel bytes: the red, green and blue planes of a 32 x 32 image, each row by row.
//! Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and
//! <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{DataError, Result};
use crate::image_set::{ImageSet, Origin};

/// Height and width of every image.
pub const SIDE: usize = 32;

/// Bytes of a record's pixels.
pub const PIXEL_BYTES: usize = 3 * SIDE * SIDE;

/// Which of the two datasets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CifarKind {
    /// 10 classes; five training batches and one test batch.
    Cifar10,
    /// 100 (fine) classes in 20 coarse ones; one training and one test file. The fine labels are read.
    Cifar100,
}

/// The files of a set that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CifarFiles {
    /// The folder that they are in.
    pub folder: PathBuf,
    /// Training files, in order.
    pub train: Vec<PathBuf>,
    /// The test file.
    pub test: PathBuf,
    /// The class names, one per line.
    pub class_names: PathBuf,
}

impl CifarFiles {
    /// All files that are read.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        self.train
            .iter()
            .chain([&self.test, &self.class_names])
            .map(PathBuf::as_path)
    }
}

/// A set as stored on disk.
#[derive(Debug, Clone)]
pub struct CifarData {
    /// The training images, in file order.
    pub train: ImageSet,
    /// The test images, in file order.
    pub test: ImageSet,
}

impl CifarKind {
    /// The number of classes: 10 or 100.
    pub fn n_classes(self) -> usize {
        match self {
            Self::Cifar10 => 10,
            Self::Cifar100 => 100,
        }
    }

    /// Label bytes before the pixels; the last one is the class.
    pub fn label_bytes(self) -> usize {
        match self {
            Self::Cifar10 => 1,
            Self::Cifar100 => 2,
        }
    }

    /// Bytes of a record: 3,073 or 3,074.
    pub fn record_bytes(self) -> usize {
        self.label_bytes() + PIXEL_BYTES
    }

    /// The folder's name in the official archive.
    pub fn folder_name(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar-10-batches-bin",
            Self::Cifar100 => "cifar-100-binary",
        }
    }

    /// Names of the training files.
    pub fn train_names(self) -> &'static [&'static str] {
        match self {
            Self::Cifar10 => &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
            ],
            Self::Cifar100 => &["train.bin"],
        }
    }

    /// Name of the test file.
    pub fn test_name(self) -> &'static str {
        match self {
            Self::Cifar10 => "test_batch.bin",
            Self::Cifar100 => "test.bin",
        }
    }

    /// Name of the file with the class names.
    pub fn class_names_name(self) -> &'static str {
        match self {
            Self::Cifar10 => "batches.meta.txt",
            Self::Cifar100 => "fine_label_names.txt",
        }
    }

    /// Finds the set's files in `folder`, or in the official archive's folder inside it.
    ///
    /// # Errors
    /// If the folder or one of the files does not exist.
    pub fn files(self, folder: &Path) -> Result<CifarFiles> {
        let metadata = fs::metadata(folder).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => DataError::no_folder(
                folder,
                format!(
                    "give the folder that holds {}, or fetch the dataset",
                    self.test_name()
                ),
            ),
            _ => DataError::read(folder, e),
        })?;
        if !metadata.is_dir() {
            return Err(DataError::NotAFolder {
                path: folder.to_owned(),
                remedy: format!("give the unpacked folder that holds {}", self.test_name()),
            });
        }
        let inner = folder.join(self.folder_name());
        let folder = if inner.is_dir() {
            inner
        } else {
            folder.to_owned()
        };
        let files = CifarFiles {
            train: self
                .train_names()
                .iter()
                .map(|name| folder.join(name))
                .collect(),
            test: folder.join(self.test_name()),
            class_names: folder.join(self.class_names_name()),
            folder,
        };
        let missing: Vec<&Path> = files.all().filter(|path| !path.exists()).collect();
        let Some(first) = missing.first() else {
            return Ok(files);
        };
        let names: Vec<_> = missing
            .iter()
            .filter_map(|p| p.file_name())
            .map(|n| n.to_string_lossy())
            .collect();
        Err(DataError::MissingPath {
            path: first.to_path_buf(),
            what: format!(
                "the binary version of {} needs {}",
                self.title(),
                names.join(", ")
            ),
            remedy: if files.folder.join("data_batch_1").exists()
                || files.folder.join("meta").exists()
            {
                "this folder holds the Python version: fetch the binary version".to_string()
            } else {
                "fetch the dataset again, or give the folder that holds the files".to_string()
            },
        })
    }

    /// `CIFAR-10` or `CIFAR-100`.
    pub fn title(self) -> &'static str {
        match self {
            Self::Cifar10 => "CIFAR-10",
            Self::Cifar100 => "CIFAR-100",
        }
    }

    /// Reads the class names.
    ///
    /// # Errors
    /// If the file cannot be read or does not hold one name for each class.
    pub fn read_class_names(self, path: &Path) -> Result<Arc<[String]>> {
        let text = fs::read_to_string(path).map_err(|e| DataError::read(path, e))?;
        let names: Vec<String> = text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .map(String::from)
            .collect();
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        if names.len() != self.n_classes() || sorted.len() != names.len() {
            return Err(DataError::Layout {
                path: path.to_owned(),
                problem: format!(
                    "it holds {} class names, of which {} are different, but {} has {}",
                    names.len(),
                    sorted.len(),
                    self.title(),
                    self.n_classes()
                ),
                remedy: "fetch the dataset again, or check that the source setting is right"
                    .to_string(),
            });
        }
        Ok(names.into())
    }

    /// Reads a file and checks its size and every label.
    ///
    /// # Errors
    /// When it cannot be read, is empty, ends inside a record, or holds a label out of range.
    pub fn read_records(self, path: &Path) -> Result<Vec<u8>> {
        let bytes = fs::read(path).map_err(|e| DataError::read(path, e))?;
        self.check_records(path, &bytes)?;
        Ok(bytes)
    }

    /// Checks that `bytes` are whole records with labels in range; errors name `path`.
    ///
    /// # Errors
    /// When they are empty, end inside a record, or hold a label out of range.
    pub fn check_records(self, path: &Path, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(self.record_bytes()) {
            return Err(DataError::TruncatedRecord {
                path: path.to_owned(),
                bytes: bytes.len() as u64,
                record_bytes: self.record_bytes() as u64,
            });
        }
        for (record, content) in bytes.chunks_exact(self.record_bytes()).enumerate() {
            let bad = |kind, label: u8, n_classes| DataError::LabelOutOfRange {
                path: path.to_owned(),
                record: record as u64,
                kind,
                label: u32::from(label),
                n_classes,
            };
            if self == Self::Cifar100 && content[0] >= 20 {
                return Err(bad("coarse label", content[0], 20));
            }
            let label = content[self.label_bytes() - 1];
            if usize::from(label) >= self.n_classes() {
                return Err(bad("label", label, self.n_classes()));
            }
        }
        Ok(())
    }

    /// Reads the whole set.
    ///
    /// # Errors
    /// When a file is missing, cannot be read, is truncated, or holds a label out of range.
    pub fn read(self, folder: &Path) -> Result<CifarData> {
        let files = self.files(folder)?;
        let classes = self.read_class_names(&files.class_names)?;
        Ok(CifarData {
            train: self.read_files(&files.train, &classes)?,
            test: self.read_files(std::slice::from_ref(&files.test), &classes)?,
        })
    }

    fn read_files(self, paths: &[PathBuf], classes: &Arc<[String]>) -> Result<ImageSet> {
        let (mut pixels, mut labels, mut origins) = (Vec::new(), Vec::new(), Vec::new());
        for path in paths {
            let bytes = self.read_records(path)?;
            let file: Arc<str> = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into();
            pixels.reserve_exact(bytes.len() / self.record_bytes() * PIXEL_BYTES);
            for (record, content) in (0..).zip(bytes.chunks_exact(self.record_bytes())) {
                labels.push(u32::from(content[self.label_bytes() - 1]));
                pixels.extend_from_slice(&content[self.label_bytes()..]);
                origins.push(Origin::Record {
                    file: file.clone(),
                    record,
                });
            }
        }
        ImageSet::new(classes.clone(), SIDE, SIDE, pixels, labels, origins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(kind: CifarKind, bytes: &[u8]) -> String {
        kind.check_records(Path::new("x.bin"), bytes)
            .map_or_else(|e| e.to_string(), |()| "fine".to_string())
    }

    fn records(kind: CifarKind, n: usize) -> Vec<u8> {
        vec![0; n * kind.record_bytes()]
    }

    #[test]
    fn whole_records_are_needed() {
        for kind in [CifarKind::Cifar10, CifarKind::Cifar100] {
            assert_eq!(check(kind, &records(kind, 3)), "fine");
            assert!(check(kind, &records(kind, 3)[1..]).starts_with("x.bin has "));
            assert!(check(kind, &[]).contains("0 bytes, which is 0 whole records"));
        }
        assert!(
            check(CifarKind::Cifar10, &[0; 5000])
                .contains("5000 bytes, which is 1 whole records of 3073 bytes and 1927 more bytes")
        );
    }

    #[test]
    fn labels_are_below_the_number_of_classes() {
        let mut bytes = records(CifarKind::Cifar10, 3);
        bytes[2 * 3073] = 10;
        assert!(
            check(CifarKind::Cifar10, &bytes)
                .starts_with("x.bin: record 2 has the label 10, but labels are 0 to 9;")
        );
        let mut bytes = records(CifarKind::Cifar100, 3);
        bytes[3074 + 1] = 99;
        assert_eq!(check(CifarKind::Cifar100, &bytes), "fine");
        bytes[3074 + 1] = 100;
        assert!(
            check(CifarKind::Cifar100, &bytes)
                .contains("record 1 has the label 100, but labels are 0 to 99;")
        );
        bytes[0] = 20;
        assert!(
            check(CifarKind::Cifar100, &bytes)
                .contains("record 0 has the coarse label 20, but coarse labels are 0 to 19;")
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn random_bytes_never_panic(n in 0_usize..9000, seed in any::<u64>()) {
            let mut stream = mlestar_random::Stream::new(seed, "test", 0, 0);
            let bytes: Vec<u8> = (0..n).map(|_| stream.next_u32() as u8).collect();
            for kind in [CifarKind::Cifar10, CifarKind::Cifar100] {
                let whole = n > 0 && n % kind.record_bytes() == 0;
                prop_assert!(check(kind, &bytes) != "fine" || whole);
            }
        }
    }
}
