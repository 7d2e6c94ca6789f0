//! The images to predict.

use mlestar_data::DataError;
use mlestar_data::readers::litter::is_litter;
use mlestar_data::readers::name::shown;
use mlestar_data::readers::picture::EXTENSIONS;
use mlestar_workflow::WorkflowError;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// More folders inside one another mean that something is wrong, such as links in a circle.
const MOST_FOLDERS_DEEP: usize = 64;

/// One image to predict, or an argument that is none.
#[derive(Debug, PartialEq)]
pub(super) enum Input {
    File(PathBuf),
    /// An image that came through standard input.
    Content(Vec<u8>),
    /// What cannot be an image, and why.
    Refused(PathBuf, String),
}

impl Input {
    /// Its name in rows.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) | Self::Refused(path, _) => shown(path),
            Self::Content(_) => "-".into(),
        }
    }
}

/// The images that `named` stands for: files as they are, the image files of folders and of the folders inside them in
/// the order of their names, and the standard input for `-`: an image, or names of files and folders, one per line.
pub(super) fn collect(named: &[PathBuf]) -> Result<Vec<Input>, WorkflowError> {
    let mut inputs = Vec::new();
    for path in named {
        if path == Path::new("-") {
            let mut content = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut content);
            read.map_err(|error| {
                WorkflowError::Usage(format!("standard input cannot be read: {error}"))
            })?;
            add_content(content, &mut inputs)?;
        } else {
            add(path, &mut inputs)?;
        }
    }
    if inputs.is_empty() {
        return Err(WorkflowError::Usage("no image was named".into()));
    }
    Ok(inputs)
}

fn add_content(content: Vec<u8>, inputs: &mut Vec<Input>) -> Result<(), WorkflowError> {
    let is_text = std::str::from_utf8(&content).is_ok_and(|text| !text.contains('\0'));
    if !is_text {
        inputs.push(Input::Content(content));
        return Ok(());
    }
    for line in String::from_utf8_lossy(&content).lines() {
        if !line.trim().is_empty() {
            add(Path::new(line), inputs)?;
        }
    }
    Ok(())
}

fn add(path: &Path, inputs: &mut Vec<Input>) -> Result<(), WorkflowError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let before = inputs.len();
            add_folder(path, 0, inputs)?;
            if inputs.len() == before {
                let reason = format!("the folder holds no image ({})", EXTENSIONS.join(", "));
                inputs.push(Input::Refused(path.to_owned(), reason));
            }
        }
        // What does not exist, or is no file, gives a row with its reason.
        _ => inputs.push(Input::File(path.to_owned())),
    }
    Ok(())
}

fn add_folder(folder: &Path, depth: usize, inputs: &mut Vec<Input>) -> Result<(), WorkflowError> {
    if depth > MOST_FOLDERS_DEEP {
        let reason = format!("it is more than {MOST_FOLDERS_DEEP} folders deep");
        inputs.push(Input::Refused(folder.to_owned(), reason));
        return Ok(());
    }
    let unreadable = |error| WorkflowError::from(DataError::read(folder, error));
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        if !is_litter(&name) && !name.as_encoded_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    entries.sort();
    for path in entries {
        if path.is_dir() {
            add_folder(&path, depth + 1, inputs)?;
        } else if is_image(&path) && path.metadata().is_ok_and(|found| found.is_file()) {
            inputs.push(Input::File(path));
        }
    }
    Ok(())
}

fn is_image(path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_give_their_images_in_order_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in [
            "b.JPG",
            "a/2.png",
            "a/10.png",
            "notes.txt",
            "._b.jpg",
            ".hidden.png",
            "@eaDir/x.png",
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let inputs = collect(&[root.to_owned()]).unwrap();
        let expected = ["a/10.png", "a/2.png", "b.JPG"].map(|file| Input::File(root.join(file)));
        assert_eq!(inputs, expected);
        let named = collect(&[root.join("notes.txt"), root.join("gone.png")]).unwrap();
        assert_eq!(named.len(), 2, "a file that is named is taken as it is");
    }

    #[test]
    fn a_folder_without_images_is_a_row() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = collect(&[folder.path().to_owned()]).unwrap();
        assert!(matches!(&inputs[..], [Input::Refused(_, reason)] if reason.contains("no image")));
    }

    #[test]
    fn standard_input_is_an_image_or_names() {
        let mut inputs = Vec::new();
        add_content(b"\x89PNG\r\n\x1a\n\xff".to_vec(), &mut inputs).unwrap();
        assert_eq!(inputs.len(), 1);
        assert_eq!(inputs[0].name(), "-");
        add_content(b"one.png\n\ntwo three.jpg\n".to_vec(), &mut inputs).unwrap();
        let names: Vec<String> = inputs.iter().map(Input::name).collect();
        assert_eq!(names, ["-", "one.png", "two three.jpg"]);
    }
}
