//! Walks a data folder: lists its contents, skips files and resolves links.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::litter::is_litter;
use super::skipped::Reason;
use super::{name, picture};
use crate::error::{DataError, Result};

/// The maximum depth of folders inside folders.
const MAX_DEPTH: usize = 64;

/// The readable contents of a folder; both lists are sorted by name.
#[derive(Default)]
pub(super) struct Content {
    /// The names of the folders.
    pub folders: Vec<std::ffi::OsString>,
    /// The images, recognised by their extension.
    pub images: Vec<Found>,
}

/// An image file.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub path: PathBuf,
    /// Whether it is a link or lies in a linked folder.
    pub is_linked: bool,
}

/// The images of a class folder, including those in folders inside it.
#[derive(Default)]
pub(super) struct Tree {
    pub images: Vec<Found>,
    /// How many of them are not directly in the class folder.
    pub n_nested: usize,
    /// How many of its files and folders were skipped.
    pub n_skipped: usize,
}

/// A walk over the folder `root`, which records what is skipped.
pub(super) struct Walk<'a> {
    pub root: &'a Path,
    pub skipped: Vec<(PathBuf, Reason)>,
    /// The targets of followed links to folders, so that none is followed twice.
    followed: HashSet<PathBuf>,
}

impl<'a> Walk<'a> {
    pub fn new(root: &'a Path) -> Self {
        Self {
            root,
            skipped: Vec::new(),
            followed: HashSet::new(),
        }
    }

    /// Skips a file or folder, given by its whole path.
    pub fn skip(&mut self, path: &Path, reason: Reason) {
        self.skipped.push((relative(self.root, path), reason));
    }

    /// Skips images.
    pub fn skip_images(&mut self, images: &[Found], reason: &Reason) {
        for found in images {
            self.skip(&found.path, reason.clone());
        }
    }

    /// Lists a folder. Hidden files, litter, special files and other files without an image extension are
    /// skipped. A link without an extension and without a target is listed as a folder, because it may stand
    /// for a class.
    pub fn open(&mut self, folder: &Path) -> Result<Content> {
        let mut content = Content::default();
        for entry in read_folder(folder)? {
            let entry = entry.map_err(|e| DataError::read(folder, e))?;
            let (path, name) = (entry.path(), entry.file_name());
            if is_litter(&name) {
                self.skip(&path, Reason::Litter);
                continue;
            }
            if name.as_encoded_bytes().starts_with(b".") {
                self.skip(&path, Reason::Hidden);
                continue;
            }
            let own_kind = entry.file_type().map_err(|e| DataError::read(&path, e))?;
            let is_linked = own_kind.is_symlink();
            let kind = match is_linked {
                true => fs::metadata(&path).ok().map(|target| target.file_type()),
                false => Some(own_kind),
            };
            let leads_nowhere = kind.is_none();
            if kind.is_some_and(|kind| kind.is_dir()) || (leads_nowhere && !has_extension(&path)) {
                content.folders.push(name);
            } else if kind.is_some_and(|kind| !kind.is_file()) {
                self.skip(&path, Reason::Special);
            } else if is_image(&path) {
                content.images.push(Found { path, is_linked });
            } else if leads_nowhere {
                self.skip(&path, Reason::Dangling);
            } else {
                self.skip(&path, Reason::OtherType(extension(&path)));
            }
        }
        content.folders.sort_unstable();
        content.images.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(content)
    }

    /// The images of a folder and of the folders inside it, sorted by path.
    pub fn tree(&mut self, folder: &Path) -> Result<Tree> {
        let n_skipped = self.skipped.len();
        let mut tree = Tree::default();
        let is_linked = self.is_behind_link(folder);
        if folder.is_symlink() && folder.exists() && !self.follow(folder)? {
            tree.n_skipped = 1;
            return Ok(tree);
        }
        let mut to_open = vec![(folder.to_owned(), is_linked, 0_usize)];
        while let Some((path, is_linked, depth)) = to_open.pop() {
            let content = self.open(&path)?;
            tree.n_nested += if depth > 0 { content.images.len() } else { 0 };
            tree.images
                .extend(content.images.into_iter().map(|found| Found {
                    is_linked: found.is_linked || is_linked,
                    ..found
                }));
            for name in content.folders {
                let inner = path.join(name);
                let inner_is_link = inner.is_symlink();
                if inner_is_link && !inner.exists() {
                    self.skip(&inner, Reason::Dangling);
                } else if depth >= MAX_DEPTH {
                    return Err(too_deep(&inner));
                } else if !inner_is_link || self.follow(&inner)? {
                    to_open.push((inner, is_linked || inner_is_link, depth + 1));
                }
            }
        }
        tree.images.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        tree.n_skipped = self.skipped.len() - n_skipped;
        Ok(tree)
    }

    /// Whether a folder is a link or lies behind one.
    fn is_behind_link(&self, folder: &Path) -> bool {
        let below_root = folder
            .ancestors()
            .take_while(|ancestor| *ancestor != self.root);
        below_root.into_iter().any(Path::is_symlink)
    }

    /// Whether to follow a link to a folder: once, and not into a folder that contains it.
    fn follow(&mut self, link: &Path) -> Result<bool> {
        let target = fs::canonicalize(link).map_err(|e| DataError::read(link, e))?;
        let parent = link.parent().unwrap_or(link);
        let here = fs::canonicalize(parent).map_err(|e| DataError::read(parent, e))?;
        if here.starts_with(&target) || !self.followed.insert(target.clone()) {
            let shown = self.shown_target(&target);
            self.skip(link, Reason::LinkToRead(shown));
            return Ok(false);
        }
        Ok(true)
    }

    /// A link's target in the form of a report: relative to the data folder if it is inside.
    fn shown_target(&self, target: &Path) -> String {
        let root = fs::canonicalize(self.root).unwrap_or_else(|_| self.root.to_owned());
        match target.strip_prefix(&root) {
            Ok(inside) if inside.as_os_str().is_empty() => "the data folder".to_owned(),
            Ok(inside) => name::shown(inside),
            Err(_) => name::shown(target),
        }
    }

    /// Skips the links among `images` whose target is among them, or is also the target of an earlier link.
    pub fn without_repeats(&mut self, images: &[&Found]) -> Vec<bool> {
        let mut keep = vec![true; images.len()];
        if !images.iter().any(|found| found.is_linked) {
            return keep;
        }
        let root = fs::canonicalize(self.root).unwrap_or_else(|_| self.root.to_owned());
        let mut read: HashSet<PathBuf> = images
            .iter()
            .filter(|found| !found.is_linked)
            .map(|found| root.join(relative(self.root, &found.path)))
            .collect();
        for (keep, found) in keep.iter_mut().zip(images) {
            // A link without a target stays and is reported as an image that cannot be read.
            if found.is_linked
                && let Ok(target) = fs::canonicalize(&found.path)
                && !read.insert(target.clone())
            {
                let shown = self.shown_target(&target);
                self.skip(&found.path, Reason::LinkToRead(shown));
                *keep = false;
            }
        }
        keep
    }
}

fn read_folder(folder: &Path) -> Result<fs::ReadDir> {
    fs::read_dir(folder).map_err(|e| match e.kind() {
        _ if !folder.exists() => {
            DataError::no_folder(folder, "check the path in data.path or --data")
        }
        std::io::ErrorKind::NotADirectory => DataError::NotAFolder {
            path: folder.to_owned(),
            remedy: "give the folder that holds the class folders".to_string(),
        },
        _ => DataError::read(folder, e),
    })
}

fn too_deep(path: &Path) -> DataError {
    DataError::Layout {
        path: path.to_owned(),
        problem: format!("it is more than {MAX_DEPTH} folders deep inside its class folder"),
        remedy: "move its images up".to_string(),
    }
}

/// `path` below `root`.
pub(super) fn relative(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

fn extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default();
    extension.to_string_lossy().to_lowercase()
}

fn is_image(path: &Path) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|e| {
        picture::EXTENSIONS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(e))
    })
}

fn has_extension(path: &Path) -> bool {
    path.extension().is_some()
}
