//! Finds the releases of third-party crates that some crates of a workspace depend on.

use std::collections::{BTreeMap, BTreeSet};

/// One `[[package]]` of `Cargo.lock`.
#[derive(Default)]
struct Package {
    version: String,
    checksum: String,
    /// Names; the version follows after a space where there are several.
    dependencies: Vec<String>,
}

/// Name, version and checksum of every package of `lock` that the packages `names` depend on, directly or indirectly,
/// including themselves.
pub fn releases_below(lock: &str, names: &BTreeSet<String>) -> BTreeSet<String> {
    let packages = packages(lock);
    let mut found = BTreeSet::new();
    let mut open: Vec<String> = names.iter().cloned().collect();
    while let Some(wanted) = open.pop() {
        let (name, version) = wanted.split_once(' ').unwrap_or((&wanted, ""));
        for package in packages.get(name).into_iter().flatten() {
            if !version.is_empty() && package.version != version {
                continue;
            }
            let release = format!("{name} {} {}", package.version, package.checksum);
            if found.insert(release) {
                open.extend(package.dependencies.iter().cloned());
            }
        }
    }
    found
}

fn packages(lock: &str) -> BTreeMap<String, Vec<Package>> {
    let mut packages: BTreeMap<String, Vec<Package>> = BTreeMap::new();
    for block in lock.split("[[package]]").skip(1) {
        let mut package = Package::default();
        let mut name = String::new();
        for line in block.lines().map(str::trim) {
            match line.split_once(" = ") {
                Some(("name", value)) => name = unquoted(value),
                Some(("version", value)) => package.version = unquoted(value),
                Some(("checksum", value)) => package.checksum = unquoted(value),
                None if line.starts_with('"') => {
                    package
                        .dependencies
                        .push(unquoted(line.trim_end_matches(',')));
                }
                _ => {}
            }
        }
        packages.entry(name).or_default().push(package);
    }
    packages
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches('"').to_owned()
}

/// The names under `[dependencies]` in a crate's manifest, including target-specific ones.
pub fn dependencies_of(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut is_in = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            let is_table = header == "dependencies" || header.ends_with(".dependencies");
            is_in = is_table && !header.starts_with("workspace");
        } else if is_in && !line.starts_with('#') {
            let end = line.find(['.', ' ', '=']).unwrap_or(0);
            if end > 0 {
                names.insert(line[..end].trim_matches('"').to_owned());
            }
        }
    }
    names
}
