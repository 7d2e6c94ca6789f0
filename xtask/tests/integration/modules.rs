//! The modules of every library crate and their dependencies on each other: no cycles.

use crate::repository::files_below;
use crate::root;
use source_text::tokens_that_count;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[path = "../../../crates/mlestar-workflow/build/source_text.rs"]
mod source_text;

/// Existing cycles, by crate, each of modules that belong together or wait for a better separation. Add none:
/// put common code of two modules below both.
const CIRCLES: [(&str, &[&str]); 2] = [
    // An error names its split and its file.
    ("mlestar-data", &["error", "image_set", "readers"]),
    // To be separated: `Svg`, which drawing creates, is among the charts.
    ("mlestar-report", &["charts", "drawing"]),
];

/// The modules that each module uses.
type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn top_level_modules_use_each_other_without_circles() {
    let allowed: BTreeSet<String> = CIRCLES
        .iter()
        .map(|(name, modules)| format!("{name}: {}", modules.join(" <-> ")))
        .collect();
    let mut found = BTreeSet::new();
    let mut n_uses = 0;
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let entry = entry.unwrap();
        let graph = graph_of(&entry.path().join("src"));
        n_uses += graph.values().map(BTreeSet::len).sum::<usize>();
        let name = entry.file_name().to_string_lossy().into_owned();
        found.extend(circles(&graph).into_iter().map(|modules| {
            let modules: Vec<&str> = modules.iter().map(String::as_str).collect();
            format!("{name}: {}", modules.join(" <-> "))
        }));
    }
    assert!(n_uses > 100, "only {n_uses} uses were found");
    let new: Vec<&String> = found.difference(&allowed).collect();
    assert!(new.is_empty(), "new cycles: {new:#?}");
    let gone: Vec<&String> = allowed.difference(&found).collect();
    assert!(
        gone.is_empty(),
        "no longer cycles; remove them from the list: {gone:#?}"
    );
}

#[test]
fn circles_are_found() {
    let graph: Graph = [("a", "b"), ("b", "c"), ("c", "b"), ("d", "a"), ("e", "e")]
        .into_iter()
        .map(|(from, to)| (from.to_owned(), BTreeSet::from([to.to_owned()])))
        .collect();
    let expected = BTreeSet::from(["b".to_owned(), "c".to_owned()]);
    assert_eq!(circles(&graph), BTreeSet::from([expected]));
}

#[test]
fn uses_are_found_in_lists_in_paths_and_through_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "lib.rs",
        "mod a; mod b; mod c; mod d;\npub use c::{C, deep::D as E};",
    );
    write(
        "a.rs",
        "use crate::{E, b::{x, y}}; #[cfg(test)] mod tests { use crate::d; }",
    );
    write("b/mod.rs", "fn f() { super::c::g(); } // crate::a");
    write(
        "b/inner.rs",
        "use super::super::d; use super::outer; pub(crate) fn h() {}",
    );
    write("b/tests.rs", "use crate::a;");
    write("c.rs", "");
    write("d.rs", "");
    let graph = graph_of(folder.path());
    let uses = |module: &str| graph[module].iter().cloned().collect::<Vec<_>>();
    assert_eq!(
        (uses("a"), uses("b")),
        (vec!["b".into(), "c".into()], vec!["c".into(), "d".into()])
    );
    assert!(graph["c"].is_empty() && graph["d"].is_empty());
}

/// Every file and folder of `src` is a module, except for code in `lib.rs` itself.
fn graph_of(src: &Path) -> Graph {
    let mut files = Vec::new();
    files_below(src, &mut files);
    let name_of = |file: &Path| file.strip_prefix(src).unwrap().with_extension("");
    let parts_of = |file: &Path| -> Vec<String> {
        let name = name_of(file);
        let parts = name.iter().map(|part| part.to_string_lossy().into_owned());
        parts.filter(|part| part != "mod").collect()
    };
    let is_root = |parts: &[String]| ["lib", "main"].contains(&parts[0].as_str());
    let is_test = |part: &String| part == "tests" || part == "testing" || part.ends_with("_tests");
    let mut graph = Graph::new();
    for file in &files {
        let parts = parts_of(file);
        if !is_root(&parts) {
            graph.entry(parts[0].clone()).or_default();
        }
    }
    let read = |file: &Path| tokens_that_count(&fs::read_to_string(file).unwrap_or_default());
    let exported = exports(&read(&src.join("lib.rs")), &graph);
    for file in &files {
        let parts = parts_of(file);
        if is_root(&parts) || parts.iter().any(is_test) {
            continue;
        }
        for name in names_at_the_root(&read(file), parts.len()) {
            let module = exported.get(&name).unwrap_or(&name);
            if graph.contains_key(module) && *module != parts[0] {
                graph.get_mut(&parts[0]).unwrap().insert(module.clone());
            }
        }
    }
    graph
}

/// Re-exports of `lib.rs`, with their modules.
fn exports(tokens: &str, graph: &Graph) -> BTreeMap<String, String> {
    let tokens: Vec<&str> = tokens.lines().collect();
    let mut exported = BTreeMap::new();
    for (at, token) in tokens.iter().enumerate() {
        let module = tokens.get(at + 1).copied().unwrap_or_default();
        if *token != "use" || !graph.contains_key(module) {
            continue;
        }
        let end = tokens[at..].iter().position(|token| *token == ";");
        let item = &tokens[at + 2..at + end.unwrap_or(2).max(2)];
        for (index, name) in item.iter().enumerate() {
            let ends = item
                .get(index + 1)
                .is_none_or(|next| [",", "}"].contains(next));
            if ends && name.starts_with(char::is_alphabetic) {
                exported.insert((*name).to_owned(), module.to_owned());
            }
        }
    }
    exported
}

/// The first names after `crate::`, or after as many `super::` as lead from a file `depth` modules down to the
/// root.
fn names_at_the_root(tokens: &str, depth: usize) -> BTreeSet<String> {
    let tokens: Vec<&str> = tokens.lines().collect();
    let is_path = |at: usize| tokens.get(at + 1..at + 3) == Some(&[":", ":"]);
    let mut names = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        let mut supers = 0;
        while tokens.get(at + 3 * supers) == Some(&"super") && is_path(at + 3 * supers) {
            supers += 1;
        }
        let behind = match tokens[at] {
            "crate" if is_path(at) => Some(at + 3),
            "super" if supers == depth => Some(at + 3 * supers),
            _ => None,
        };
        if let Some(behind) = behind {
            names.extend(first_names(&tokens[behind..]));
        }
        at += (3 * supers).max(1);
    }
    names
}

/// The first name of a path, or the first names in braces.
fn first_names(tokens: &[&str]) -> Vec<String> {
    if tokens.first() != Some(&"{") {
        return tokens
            .first()
            .map(|name| (*name).to_owned())
            .into_iter()
            .collect();
    }
    let mut depth = 0;
    let mut names = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match *token {
            "{" => depth += 1,
            "}" => depth -= 1,
            name if depth == 1 && ["{", ","].contains(&tokens[index - 1]) => {
                names.push(name.to_owned());
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Modules that reach each other, together.
fn circles(graph: &Graph) -> BTreeSet<BTreeSet<String>> {
    let reached: Graph = graph
        .keys()
        .map(|from| (from.clone(), reach(graph, from)))
        .collect();
    let reaches =
        |from: &String, to: &String| reached.get(from).is_some_and(|all| all.contains(to));
    graph
        .keys()
        .map(|one| {
            let round = graph
                .keys()
                .filter(|other| reaches(one, other) && reaches(other, one));
            round.cloned().collect::<BTreeSet<_>>()
        })
        .filter(|round| round.len() > 1)
        .collect()
}

fn reach(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for next in graph.get(module).into_iter().flatten() {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    seen
}
