//! Detects the kind of dataset in a folder from the names in it.

use std::path::Path;

use crate::config::SourceKind;
use crate::error::{DataError, Result};
use crate::readers::cifar::CifarKind;
use crate::readers::{folder, manifest};

/// Detects the kind of dataset in `folder`: the binary files of CIFAR-10 or CIFAR-100 (in it, or in the
/// official archive's folder inside it), a manifest (a `.csv` or `.jsonl` file), otherwise a folder of images. Reads only names; loading checks whether
/// the files are complete.
///
/// # Errors
/// If the folder does not exist or is a file, and for the Python and Matlab versions of CIFAR, which are not
/// supported.
///
/// ```
/// use mlestar_data::{SourceKind, detect::detect};
/// let folder = tempfile::tempdir()?;
/// std::fs::create_dir_all(folder.path().join("train/cat"))?;
/// assert_eq!(detect(folder.path())?, SourceKind::Folder);
/// std::fs::write(folder.path().join("data_batch_1.bin"), b"")?;
/// assert_eq!(detect(folder.path())?, SourceKind::Cifar10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn detect(folder: &Path) -> Result<SourceKind> {
    if folder.is_file() && manifest::is_manifest(folder) {
        return Ok(SourceKind::Manifest);
    }
    if folder.is_file() {
        return Err(DataError::NotAFolder {
            path: folder.to_owned(),
            remedy: "give the folder that holds the data; unpack an archive first".to_string(),
        });
    }
    if !folder.is_dir() {
        let remedy = "check the path in data.path or --data";
        return Err(DataError::no_folder(folder, remedy));
    }
    let has = |name: &str| folder.join(name).is_file();
    for (kind, source) in [
        (CifarKind::Cifar10, SourceKind::Cifar10),
        (CifarKind::Cifar100, SourceKind::Cifar100),
    ] {
        let is_inside = folder.join(kind.folder_name()).is_dir();
        let named = kind
            .train_names()
            .iter()
            .chain([&kind.test_name()])
            .any(|name| has(name));
        if is_inside || named {
            return Ok(source);
        }
    }
    if has("data_batch_1")
        || has("data_batch_1.mat")
        || (has("meta") && has("train") && has("test"))
    {
        return Err(DataError::Layout {
            path: folder.to_owned(),
            problem: "it holds the Python or Matlab version of CIFAR, which is not supported"
                .to_string(),
            remedy: "fetch the binary version".to_string(),
        });
    }
    Ok(SourceKind::Folder)
}

/// Detects the kind of dataset in `folder`, as [`detect`]; for a folder of images, also checks that there are
/// classes with images. No image is read.
///
/// # Errors
/// As for [`detect`]; [`DataError::Unrecognised`] with the expected layouts, if there are no classes; otherwise
/// as for [`folder::scan`].
pub fn recognise(folder: &Path) -> Result<SourceKind> {
    let kind = detect(folder)?;
    if kind == SourceKind::Folder {
        folder::scan(folder).map_err(|error| match error {
            DataError::NoPictures { .. } | DataError::TooFewClasses { .. } => {
                DataError::Unrecognised {
                    problem: error.to_string(),
                }
            }
            other => other,
        })?;
    }
    if kind == SourceKind::Manifest {
        manifest::scan(folder)?;
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn check(files: &[&str], expect: Result<SourceKind, &str>) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        match (detect(folder.path()), expect) {
            (Ok(found), Ok(expect)) => assert_eq!(found, expect),
            (Err(found), Err(expect)) => assert!(found.to_string().contains(expect), "{found}"),
            (found, expect) => panic!("{found:?} is not {expect:?}"),
        }
    }

    #[test]
    fn kinds_are_told_by_names() {
        check(&["data_batch_3.bin"], Ok(SourceKind::Cifar10));
        check(&["cifar-10-batches-bin/x"], Ok(SourceKind::Cifar10));
        check(&["train.bin", "test.bin"], Ok(SourceKind::Cifar100));
        check(&["cifar-100-binary/x"], Ok(SourceKind::Cifar100));
        check(&["train/cat/1.png"], Ok(SourceKind::Folder));
        check(&[], Ok(SourceKind::Folder));
        check(&["data_batch_1"], Err("the Python or Matlab version"));
        check(&["meta", "train", "test"], Err("fetch the binary version"));
    }

    #[test]
    fn a_folder_without_classes_is_not_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let check = |expect: &str| {
            let error = recognise(folder.path()).unwrap_err().to_string();
            assert!(
                error.contains(expect) && error.contains("; looked for the binary files"),
                "{error}"
            );
        };
        check("there are no class folders in it");
        fs::create_dir(folder.path().join("cat")).unwrap();
        fs::write(folder.path().join("cat/1.png"), b"x").unwrap();
        check("has 1 class(es) (cat)");
        fs::create_dir(folder.path().join("dog")).unwrap();
        fs::write(folder.path().join("dog/1.PNG"), b"x").unwrap();
        assert_eq!(recognise(folder.path()).unwrap(), SourceKind::Folder);
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(
            detect(file.path())
                .unwrap_err()
                .to_string()
                .contains("is not a folder; give the folder")
        );
        assert!(
            detect(&file.path().join("x"))
                .unwrap_err()
                .to_string()
                .contains("there is no such folder")
        );
    }
}
