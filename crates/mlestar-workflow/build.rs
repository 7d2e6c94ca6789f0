//! Gives the crate a hash of the sources that it was built from, so that an artifact can say which
//! code made it and a changed program reruns what it must.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files = BTreeSet::new();
    // In the repository the sibling crates are the code; a published crate has its version.
    if let Some(crates) = here.parent().filter(|folder| is_workspace(folder)) {
        for krate in fs::read_dir(crates).into_iter().flatten().flatten() {
            let sources = krate.path().join("src");
            println!("cargo::rerun-if-changed={}", sources.display());
            collect(&sources, &mut files);
        }
    }
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for file in &files {
        let name = file.strip_prefix(&here).unwrap_or(file);
        for byte in name
            .to_string_lossy()
            .bytes()
            .chain(fs::read(file).unwrap_or_default())
        {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let code_version = match files.is_empty() {
        true => version,
        false => format!("{version}+{hash:016x}"),
    };
    println!("cargo::rustc-env=MLESTAR_CODE_VERSION={code_version}");
    println!("cargo::rerun-if-changed=build.rs");
}

fn is_workspace(folder: &Path) -> bool {
    folder.join("mlestar-data").is_dir() && folder.join("mlestar-train").is_dir()
}

fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.insert(path);
        }
    }
}
