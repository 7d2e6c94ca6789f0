//! Images that belong together, such as the frames of one video or the photographs of one animal. A split made
//! by this crate puts them on the same side.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

/// What defines which images of a folder belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// The file's name without the number at its end, and the folders inside the class folder: `scene07_1.jpg`
    /// and `scene07_2.jpg` belong together. A file without a number in its name forms its own group.
    Name,
    /// The folders inside the class folder: all files of `ant/nest3` and of `bee/nest3` belong together. A file
    /// directly in its class folder forms its own group.
    Folder,
}

impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Name => "name",
            Self::Folder => "folder",
        })
    }
}

impl GroupBy {
    /// A group number for each file, equal for files that belong together. `paths` are relative to the data
    /// folder, and their first `n_outer` folders are those of the split and the class. Groups can span classes,
    /// so that images with the same name in two classes are not separated either.
    pub(crate) fn number<'a>(
        self,
        paths: impl Iterator<Item = &'a Path>,
        n_outer: usize,
    ) -> Vec<u32> {
        let mut numbers = BTreeMap::new();
        let mut next = 0;
        paths
            .map(|path| {
                let mut new = || {
                    next += 1;
                    next - 1
                };
                match self.key(path, n_outer) {
                    Some(key) => *numbers.entry(key).or_insert_with(new),
                    None => new(),
                }
            })
            .collect()
    }

    /// The common part of the files of a group; `None` for a file that forms its own group.
    fn key(self, path: &Path, n_outer: usize) -> Option<(Vec<OsString>, Vec<u8>)> {
        let mut inner: Vec<OsString> = path
            .components()
            .skip(n_outer)
            .filter_map(|component| match component {
                Component::Normal(name) => Some(name.to_owned()),
                _ => None,
            })
            .collect();
        inner.pop();
        match self {
            Self::Folder => (!inner.is_empty()).then_some((inner, Vec::new())),
            Self::Name => {
                let stem = path.file_stem()?.as_encoded_bytes();
                let n_digits = stem.iter().rev().take_while(|byte| byte.is_ascii_digit());
                let beginning = &stem[..stem.len() - n_digits.count()];
                (beginning.len() < stem.len()).then(|| (inner, beginning.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(by: GroupBy, paths: &[&str], n_outer: usize) -> Vec<u32> {
        by.number(paths.iter().map(Path::new), n_outer)
    }

    #[test]
    fn names_that_differ_in_their_last_number_belong_together() {
        let paths = [
            "ant/scene1_1.jpg",
            "ant/scene1_2.png",
            "ant/scene12_1.jpg",
            "bee/scene1_7.jpg",
            "ant/queen.jpg",
            "bee/queen.jpg",
            "ant/7.jpg",
            "bee/8.jpg",
            "ant/day2/scene1_3.jpg",
        ];
        assert_eq!(
            number(GroupBy::Name, &paths, 1),
            [0, 0, 1, 0, 2, 3, 4, 4, 5]
        );
    }

    #[test]
    fn folders_inside_class_folders_hold_what_belongs_together() {
        let paths = [
            "train/ant/nest1/a.jpg",
            "train/ant/nest1/deep/a.jpg",
            "train/ant/nest1/b.jpg",
            "train/bee/nest1/a.jpg",
            "train/ant/a.jpg",
            "train/ant/b.jpg",
        ];
        assert_eq!(number(GroupBy::Folder, &paths, 2), [0, 1, 0, 0, 2, 3]);
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_utf_8_stay_apart() {
        use std::os::unix::ffi::OsStrExt;
        let path = |bytes: &[u8]| Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned();
        let paths = [path(b"c/caf\xe9 1.png"), path(b"c/caf\xe8 1.png")];
        let numbers = GroupBy::Name.number(paths.iter().map(AsRef::as_ref), 1);
        assert_eq!(numbers, [0, 1]);
    }
}
