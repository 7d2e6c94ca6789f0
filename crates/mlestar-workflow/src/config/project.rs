use serde::{Deserialize, Serialize};

/// Section `[project]`.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `name` | `"mlestar"` | name of the project in reports and packages, and of its folder in `runs/` | 1 to 100 characters that every system takes as the name of a folder |
/// | `description` | `""` | one sentence for reports and packages | any |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectConfig {
    /// Name of the project in reports and packages.
    pub name: String,
    /// One sentence for reports and packages.
    pub description: String,
}

impl Default for ProjectConfig {
    fn default() -> Self {
        Self {
            name: "mlestar".to_owned(),
            description: String::new(),
        }
    }
}

/// What [`is_folder_name`] asks for, in words.
pub(super) const FOLDER_NAME_LIMITS: &str = "the name of one folder, since the run is written to runs/NAME: \
    1 to 100 characters and at most 200 bytes, none of / \\ : * ? \" < > | or a control character; no space at \
    either end, no dot at the end; not . or .. or a name that Windows keeps for devices, such as CON. To write \
    a run somewhere else use --run";

/// Names of devices on Windows, with or without an extension.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// Whether this is a valid name of a folder on every system and stays inside the parent folder.
pub(super) fn is_folder_name(name: &str) -> bool {
    let is_forbidden = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
    (1..=100).contains(&name.chars().count())
        && name.len() <= 200
        && !name.chars().any(is_forbidden)
        && name.trim() == name
        // `.` and `..` as well.
        && !name.ends_with('.')
        && !is_device(name)
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let stem = stem.trim_end().to_ascii_lowercase();
    let numbered = stem.strip_suffix(|c: char| ('1'..='9').contains(&c));
    match numbered {
        Some(word) => DEVICES[4..].contains(&word),
        None => DEVICES[..4].contains(&stem.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn a_name_that_would_leave_the_runs_is_refused_and_named() {
        let long = "x".repeat(101);
        let wide = "\u{5206}".repeat(100);
        for name in [
            "", " ", ".", "..", "../x", "/tmp/x", "a/b", "a\\b", "C:\\x", "C:", "a\0b", "a\nb",
            "a ", " a", "a.", "CON", "nul.txt", "Com1", "lpt9.log", "a*", "a?", "\"a\"", "<a>",
            "a|b", &long, &wide,
        ] {
            let mut raw = crate::config::RawConfig::default();
            raw.project.name = name.into();
            let error = Config::check(raw).expect_err(name).to_string();
            assert!(error.starts_with("config: `project.name` is "), "{error}");
            assert!(error.contains("--run"), "{error}");
        }
        for name in [
            "a",
            "my project",
            "Ants & bees",
            "\u{5206}\u{985e}",
            "v1.2",
            ".hidden",
            "com",
            "console",
            "com10",
            "cifar10-fast",
            "it's",
        ] {
            assert!(is_folder_name(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_name_is_one_part_of_a_path(name in ".{0,12}|[./\\\\a]{0,5}") {
            if is_folder_name(&name) {
                let parts: Vec<Component<'_>> = Path::new(&name).components().collect();
                prop_assert_eq!(parts.len(), 1);
                prop_assert!(matches!(parts[0], Component::Normal(_)));
            }
        }
    }
}
