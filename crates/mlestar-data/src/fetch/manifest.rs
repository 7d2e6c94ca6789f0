//! Manifests of the datasets that can be fetched.

use std::fs;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};

const CIFAR10: &str = include_str!("../../datasets/cifar10.toml");
const CIFAR100: &str = include_str!("../../datasets/cifar100.toml");

/// A dataset's archive: its address, how to verify it, and its contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveManifest {
    /// Short name, such as `cifar10`.
    pub name: String,
    /// Full name.
    pub title: String,
    /// Web page that describes the dataset.
    pub homepage: String,
    /// Address of the archive, a gzipped tar file.
    pub url: String,
    /// The archive's file name.
    pub file_name: String,
    /// The archive's size.
    pub bytes: u64,
    /// The archive's SHA-256, 64 lower-case hexadecimal digits. This is the hash that is checked.
    pub sha256: String,
    /// The archive's MD5 as published by its authors, for comparison by hand.
    pub md5: String,
    /// The only folder in the archive.
    pub folder: String,
    /// How the files are laid out, in words.
    pub layout: String,
    /// What is known about the licence.
    pub licence: String,
    /// How to cite it.
    pub citation: String,
    /// The class names, in label order.
    pub classes: Vec<String>,
    /// The files in the folder that are read.
    pub files: Vec<ArchiveFile>,
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveFile {
    /// Its name in the archive's folder.
    pub name: String,
    /// Its size, if known; otherwise any size above zero is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl ArchiveManifest {
    /// The names of the known datasets.
    pub const NAMES: [&str; 2] = ["cifar10", "cifar100"];

    /// The manifest of a known dataset.
    ///
    /// # Errors
    /// If `name` is not one of [`NAMES`](Self::NAMES).
    ///
    /// ```
    /// use mlestar_data::fetch::ArchiveManifest;
    /// let manifest = ArchiveManifest::known("cifar100")?;
    /// assert_eq!((manifest.classes.len(), manifest.bytes), (100, 168_513_733));
    /// # Ok::<(), mlestar_data::DataError>(())
    /// ```
    pub fn known(name: &str) -> Result<Self> {
        match name {
            "cifar10" => Self::parse(name, CIFAR10),
            "cifar100" => Self::parse(name, CIFAR100),
            _ => Err(DataError::InvalidManifest {
                name: name.to_string(),
                problem: format!(
                    "there is no such dataset; known are {}",
                    Self::NAMES.join(" and ")
                ),
            }),
        }
    }

    /// Parses and checks a manifest; errors name `name`.
    ///
    /// # Errors
    /// If it is not valid TOML, has an unknown key, lacks one, or does not pass [`check`](Self::check).
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text).map_err(|e| DataError::InvalidManifest {
            name: name.to_string(),
            problem: e.to_string().trim().replace('\n', " "),
        })?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks that names are plain file names, so that nothing is written elsewhere, and that the SHA-256 is
    /// valid.
    ///
    /// # Errors
    /// The value that is wrong.
    pub fn check(&self) -> Result<()> {
        let invalid = |problem: String| {
            Err(DataError::InvalidManifest {
                name: self.name.clone(),
                problem,
            })
        };
        for name in [&self.file_name, &self.folder]
            .into_iter()
            .chain(self.files.iter().map(|f| &f.name))
        {
            if !is_plain_name(name) {
                return invalid(format!("{name:?} is not a plain file name"));
            }
        }
        let is_hexadecimal = self
            .sha256
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if self.sha256.len() != 64 || !is_hexadecimal {
            return invalid(format!(
                "sha256 is {:?}, but must be 64 lower-case hexadecimal digits",
                self.sha256
            ));
        }
        if self.bytes == 0 {
            return invalid("bytes is 0".to_string());
        }
        Ok(())
    }

    /// The first file that is missing from an unpacked `folder` or has the wrong size, if any.
    pub fn first_difference(&self, folder: &Path) -> Option<String> {
        self.files.iter().find_map(|file| {
            let found = fs::metadata(folder.join(&file.name))
                .ok()
                .filter(fs::Metadata::is_file)
                .map(|m| m.len());
            match (found, file.bytes) {
                (None, _) => Some(format!("{} is missing", file.name)),
                (Some(0), None) => Some(format!("{} is empty", file.name)),
                (Some(found), Some(expected)) if found != expected => Some(format!(
                    "{} has {found} bytes, but should have {expected}",
                    file.name
                )),
                _ => None,
            }
        })
    }
}

fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    ) && !name.contains(['/', '\\', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readers::cifar::CifarKind;

    #[test]
    fn the_known_manifests_agree_with_the_readers() {
        for (name, kind) in [
            ("cifar10", CifarKind::Cifar10),
            ("cifar100", CifarKind::Cifar100),
        ] {
            let manifest = ArchiveManifest::known(name).unwrap();
            assert_eq!(manifest.name, name);
            assert_eq!(manifest.classes.len(), kind.n_classes());
            assert_eq!(manifest.folder, kind.folder_name());
            assert!(manifest.url.ends_with(&manifest.file_name));
            let n_records = |files: &[&str]| -> u64 {
                let sizes = manifest
                    .files
                    .iter()
                    .filter(|f| files.contains(&f.name.as_str()))
                    .map(|f| f.bytes.unwrap());
                sizes.map(|bytes| bytes / kind.record_bytes() as u64).sum()
            };
            assert_eq!(n_records(kind.train_names()), 50_000);
            assert_eq!(n_records(&[kind.test_name()]), 10_000);
            assert!(
                manifest
                    .files
                    .iter()
                    .any(|f| f.name == kind.class_names_name())
            );
            assert!(!manifest.layout.contains('\n') && manifest.md5.len() == 32);
        }
    }

    #[test]
    fn names_that_lead_elsewhere_and_bad_hashes_are_refused() {
        let good = ArchiveManifest::known("cifar10").unwrap();
        let check = |change: fn(&mut ArchiveManifest)| {
            let mut manifest = good.clone();
            change(&mut manifest);
            manifest.check().unwrap_err().to_string()
        };
        assert!(check(|m| m.folder = "../x".into()).contains("\"../x\" is not a plain file name"));
        assert!(check(|m| m.folder = "/x".into()).contains("not a plain"));
        assert!(check(|m| m.file_name = "..".into()).contains("not a plain"));
        assert!(check(|m| m.file_name = "".into()).contains("not a plain"));
        assert!(check(|m| m.file_name = "C:\\x".into()).contains("not a plain"));
        assert!(check(|m| m.files[0].name = "a/b".into()).contains("not a plain"));
        assert!(check(|m| m.sha256 = "xyz".into()).contains("64 lower-case hexadecimal digits"));
        assert!(check(|m| m.bytes = 0).contains("bytes is 0"));
    }

    #[test]
    fn unknown_names_and_keys_are_refused() {
        assert!(
            ArchiveManifest::known("mnist")
                .unwrap_err()
                .to_string()
                .contains("known are cifar10 and cifar100")
        );
        let text = CIFAR10.replace("file_name", "filename");
        assert!(
            ArchiveManifest::parse("x", &text)
                .unwrap_err()
                .to_string()
                .contains("filename")
        );
    }
}
