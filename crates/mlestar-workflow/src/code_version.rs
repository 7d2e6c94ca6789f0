//! The version of the code: of the whole program, and for each stage. `build/` computes the hashes.

use crate::Stage;

/// The version of the code, with a hash of its sources where it was built from a clone.
pub const CODE_VERSION: &str = env!("MLESTAR_VERSION");

/// The version of the code that decides the artifacts of `stage`: in a clone with a hash of the sources that the
/// stage uses, without comments and tests, and of the third-party releases that they depend on. A stage that another
/// version ran is stale.
pub fn code_version(stage: Stage) -> &'static str {
    match stage {
        Stage::SituationAnalysis => env!("MLESTAR_CODE_SITUATION_ANALYSIS"),
        Stage::TaskDefinition => env!("MLESTAR_CODE_TASK_DEFINITION"),
        Stage::ActionPlanning => env!("MLESTAR_CODE_ACTION_PLANNING"),
        Stage::Implementation => env!("MLESTAR_CODE_IMPLEMENTATION"),
        Stage::Evaluation => env!("MLESTAR_CODE_EVALUATION"),
        Stage::Refinement => env!("MLESTAR_CODE_REFINEMENT"),
        Stage::Deployment => env!("MLESTAR_CODE_DEPLOYMENT"),
    }
}

#[cfg(test)]
#[path = "../build/lock_file.rs"]
mod lock_file;
#[cfg(test)]
#[path = "../build/source_text.rs"]
mod source_text;
#[cfg(test)]
#[path = "../build/stage_code.rs"]
mod stage_code;

#[cfg(test)]
mod tests {
    use super::lock_file::{dependencies_of, releases_below};
    use super::source_text::tokens_that_count;
    use super::stage_code::{
        PAGES, ROOMS, ROUND_THE_STAGES, STAGES, StageCode, counts, uses_crate,
    };
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    #[test]
    fn comments_layout_and_tests_do_not_count_and_all_else_does() {
        let source = "fn a<'x>(s: &'x str) -> char { let t = \"// no { comment\"; '\\'' }\n";
        let same = "// Why.\n/// Docs. /* */\nfn a < 'x > (s: &'x str)\n-> char { /* a /* b */ { */\n \
                    let t = \"// no { comment\";\n'\\'' }\n\
                    #[cfg(test)]\nmod tests { fn b() { assert_eq!('}', r#\"}\"}\"#); } }";
        assert_eq!(tokens_that_count(source), tokens_that_count(same));
        for other in [
            source.replace("no {", "no  {"),
            source.replace("char", "u8"),
            source.replace("'\\''", "'a'"),
            source.replace("fn a", "fn ab"),
            format!("{source}fn b() {{}}"),
        ] {
            assert_ne!(
                tokens_that_count(source),
                tokens_that_count(&other),
                "{other}"
            );
        }
        let tests_then_code = "#[cfg(test)]\nmod tests;\nfn c() {}";
        assert_eq!(
            tokens_that_count(tests_then_code),
            tokens_that_count("fn c(){}")
        );
    }

    #[test]
    fn every_source_of_this_crate_ends_where_the_text_does() {
        for text in [
            "\"open",
            "/* open",
            "r#\"open\"",
            "'",
            "'\\",
            "b'",
            "#[cfg(test)]",
            "r#type x",
            "é'é'",
        ] {
            tokens_that_count(text);
        }
        let source = include_str!("code_version.rs");
        assert!(tokens_that_count(source).ends_with("}"));
        assert!(!tokens_that_count(source).contains("tests_then_code"));
    }

    const LOCK: &str = r#"
version = 4

[[package]]
name = "a"
version = "1.0.0"
checksum = "aa"
dependencies = [
 "b 2.0.0",
]

[[package]]
name = "b"
version = "1.0.0"
checksum = "b1"

[[package]]
name = "b"
version = "2.0.0"
checksum = "b2"
"#;

    #[test]
    fn releases_are_those_that_are_used() {
        let names = BTreeSet::from(["a".to_owned()]);
        let found: Vec<String> = releases_below(LOCK, &names).into_iter().collect();
        assert_eq!(found, ["a 1.0.0 aa", "b 2.0.0 b2"]);
        let manifest = "[package]\nname = \"x\"\n[dependencies]\n# a\nserde.workspace = true\n\
                        burn = { workspace = true }\n[dev-dependencies]\ninsta.workspace = true\n\
                        [target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n";
        let names: Vec<String> = dependencies_of(manifest).into_iter().collect();
        assert_eq!(names, ["burn", "libc", "serde"]);
    }

    fn stage(stem: &str) -> &'static StageCode {
        STAGES.iter().find(|stage| stage.stem == stem).unwrap()
    }

    #[test]
    fn a_page_does_not_train_and_the_step_does() {
        let training = stage("implementation");
        assert!(!uses_crate(training, "mlestar-report"));
        assert!(uses_crate(training, "mlestar-kernels"));
        for (name, expected) in [
            ("mlestar-train/src/step.rs", true),
            ("mlestar-workflow/src/predictions.rs", true),
            ("mlestar-workflow/src/training.rs", true),
            ("mlestar-workflow/src/estimates/timing.rs", false),
            ("mlestar-workflow/src/stages/implementation/mod.rs", true),
            ("mlestar-workflow/src/stages/implementation/page.rs", false),
            ("mlestar-workflow/src/stages/evaluation/mod.rs", false),
            ("mlestar-workflow/src/gates/reader.rs", false),
            ("mlestar-workflow/src/summary.rs", false),
        ] {
            assert_eq!(counts(name, training), expected, "{name}");
        }
        assert!(counts(
            "mlestar-workflow/src/stages/evaluation/mod.rs",
            stage("refinement")
        ));
        for stem in ["task_definition", "action_planning"] {
            assert!(counts(
                "mlestar-workflow/src/estimates/timing.rs",
                stage(stem)
            ));
        }
    }

    /// A crate that is left out of a stage's version is not used by the stage, pages apart.
    #[test]
    fn what_is_left_out_is_not_used() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let of_some_stages = ROOMS.iter().map(|room| room.name);
        for name in ROUND_THE_STAGES.into_iter().chain(of_some_stages) {
            let is_there = root.join(name).is_dir() || root.join(format!("{name}.rs")).is_file();
            assert!(is_there, "{name} is missing");
        }
        for code in &STAGES {
            for (name, source) in sources(&root.join("stages").join(code.stem)) {
                let is_page = PAGES.iter().any(|page| name.contains(page));
                for krate in code.without_crates {
                    let is_shown = is_page && *krate == "mlestar-report";
                    let used = source.contains(&krate.replace('-', "_"));
                    assert!(!used || is_shown, "{name} uses {krate}");
                }
                for room in ROOMS.iter().filter(|r| !r.used_by.contains(&code.stem)) {
                    let used = source.contains(&tokens_that_count(&format!("{}::", room.name)));
                    assert!(!used, "{name} uses {}", room.name);
                }
            }
        }
    }

    /// A stage reads what earlier ones left, through the types of their artifacts. It calls another stage's code only
    /// where its version says so, and where it draws a page.
    #[test]
    fn a_stage_names_artifacts_of_earlier_stages_and_no_code() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/stages");
        let mut n_names = 0;
        for (number, code) in STAGES.iter().enumerate() {
            for (file, source) in sources(&root.join(code.stem)) {
                let is_test = ["tests.rs", "testing.rs"]
                    .iter()
                    .any(|end| file.ends_with(end));
                let is_page = PAGES.iter().any(|page| file.contains(page));
                for (other, name) in names_of_stages(&source).into_iter().filter(|_| !is_test) {
                    let position = STAGES.iter().position(|stage| stage.stem == other);
                    let earlier = position.is_some_and(|position| position < number);
                    let is_type = name.starts_with(char::is_uppercase);
                    let is_used = code.uses_stages.contains(&other.as_str()) || is_page;
                    let is_right = other == code.stem || earlier && (is_type || is_used);
                    assert!(is_right, "{file} uses {name} of stage {other}");
                    n_names += usize::from(other != code.stem);
                }
            }
        }
        assert!(n_names > 10, "only {n_names} names were found");
    }

    /// Every `stage::name` of a source, names in braces too.
    fn names_of_stages(source: &str) -> Vec<(String, String)> {
        let tokens: Vec<&str> = source.lines().collect();
        let mut found = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let is_stage = STAGES.iter().any(|stage| stage.stem == *token);
            if !is_stage || tokens.get(at + 1..at + 3) != Some(&[":", ":"]) {
                continue;
            }
            let behind = &tokens[at + 3..];
            let end = match behind[0] {
                "{" => behind.iter().position(|token| *token == "}").unwrap(),
                _ => 1,
            };
            let names = behind[..end].iter().filter(|name| **name != "self");
            let names = names.filter(|name| name.starts_with(char::is_alphabetic));
            found.extend(names.map(|name| ((*token).to_owned(), (*name).to_owned())));
        }
        found
    }

    #[test]
    fn names_of_stages_are_found_in_paths_and_in_braces() {
        let source =
            "use crate::stages::evaluation::{self, RESULTS};\nfn a() { refinement::run() }";
        let found = names_of_stages(&tokens_that_count(source));
        let expected = [("evaluation", "RESULTS"), ("refinement", "run")];
        assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    fn sources(folder: &Path) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => found.extend(sources(&path)),
                false => found.push((
                    path.display().to_string(),
                    tokens_that_count(&fs::read_to_string(&path).unwrap()),
                )),
            }
        }
        found
    }
}
