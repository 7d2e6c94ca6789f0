//! Computes, for every stage, a hash of the code that decides the stage's artifacts. A changed program then reruns
//! only the stages that it affects.

mod lock_file;
mod source_text;
mod stage_code;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use stage_code::{STAGES, StageCode};

fn main() {
    println!("cargo::rerun-if-changed=build");
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    // In the repository, the sibling crates are the code. A published crate uses its version.
    let crates = here.parent().filter(|folder| is_workspace(folder));
    let code = crates.map(Code::read);
    let everything = StageCode {
        stem: "",
        without_crates: &[],
        uses_stages: &[],
    };
    for stage in STAGES.iter().chain([&everything]) {
        let name = match stage.stem {
            "" => "VERSION".to_owned(),
            stem => format!("CODE_{}", stem.to_uppercase()),
        };
        let value = match &code {
            Some(code) => format!("{version}+{:016x}", code.hash_for(stage)),
            None => version.clone(),
        };
        println!("cargo::rustc-env=MLESTAR_{name}={value}");
    }
}

fn is_workspace(folder: &Path) -> bool {
    folder.join("mlestar-data").is_dir() && folder.join("mlestar-train").is_dir()
}

/// All sources of the library crates.
struct Code {
    /// By crate: the names of its sources, and what counts of each.
    sources: BTreeMap<String, Vec<(String, String)>>,
    /// By crate: the third-party crates that it names.
    dependencies: BTreeMap<String, BTreeSet<String>>,
    lock: String,
}

impl Code {
    fn read(crates: &Path) -> Self {
        let mut code = Self {
            sources: BTreeMap::new(),
            dependencies: BTreeMap::new(),
            lock: read(&crates.join("../Cargo.lock")),
        };
        let is_ours = |name: &String| crates.join(name).is_dir();
        for entry in fs::read_dir(crates).into_iter().flatten().flatten() {
            let folder = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let mut names = lock_file::dependencies_of(&read(&folder.join("Cargo.toml")));
            names.retain(|name| !is_ours(name));
            code.dependencies.insert(name.clone(), names);
            println!("cargo::rerun-if-changed={}", folder.join("src").display());
            let mut files = BTreeSet::new();
            collect(&folder.join("src"), &mut files);
            let sources = files.iter().map(|file| {
                let source = fs::read_to_string(file).unwrap_or_default();
                let name = name_of(file, crates);
                (name, source_text::tokens_that_count(&source))
            });
            code.sources.insert(name, sources.collect());
        }
        code
    }

    fn hash_for(&self, stage: &StageCode) -> u64 {
        let mut hash = Fnv::default();
        let mut others = BTreeSet::new();
        for (name, sources) in &self.sources {
            if !stage_code::uses_crate(stage, name) {
                continue;
            }
            others.extend(self.dependencies[name].iter().cloned());
            for (name, source) in sources {
                if stage_code::counts(name, stage) {
                    hash.add(name);
                    hash.add(source);
                }
            }
        }
        for release in lock_file::releases_below(&self.lock, &others) {
            hash.add(&release);
        }
        hash.0
    }
}

/// The name of a source: its path below `crates`, with `/`.
fn name_of(file: &Path, crates: &Path) -> String {
    let name = file.strip_prefix(crates).unwrap_or(file);
    name.to_string_lossy().replace('\\', "/")
}

/// A missing file counts as empty.
fn read(path: &Path) -> String {
    println!("cargo::rerun-if-changed={}", path.display());
    fs::read_to_string(path).unwrap_or_default()
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

/// 64-bit FNV-1a. It detects accidental changes, not deliberate ones.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Adds a text and an end mark.
    fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
