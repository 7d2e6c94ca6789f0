use serde::{Deserialize, Serialize};

/// Section `[project]`.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `name` | `"mlestar"` | name of the project in reports and packages | 1 to 100 characters |
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
