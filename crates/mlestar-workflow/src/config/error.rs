use std::path::PathBuf;

/// What is wrong with a config. `place` is the file and line, or the override, that it comes from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config {}: {source}; check the path of --config, and that it is a text file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The config that a run recorded cannot be used.
    #[error(
        "{problem}; this is the config that the run recorded. Name the project's config with --config FILE; \
        `mlestar run` then writes it again"
    )]
    Recorded {
        /// Which file, and what is wrong with it.
        problem: String,
    },
    /// The text is not TOML.
    #[error("{place}: not valid TOML: {message}")]
    Syntax {
        /// Where.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// No such key.
    #[error("{place}: unknown key `{key}`; {advice}")]
    UnknownKey {
        /// Where.
        place: String,
        /// The key, dotted.
        key: String,
        /// The nearest valid key, or all of them.
        advice: String,
    },
    /// A value of the wrong type, or a word that is not among the valid ones.
    #[error("{place}: `{key}`: {message}")]
    WrongType {
        /// Where.
        place: String,
        /// The key, dotted.
        key: String,
        /// What was found and what is expected.
        message: String,
    },
    /// A value outside its limits.
    #[error("{place}: `{key}` is {value}; it must be {limits}")]
    OutOfRange {
        /// Where.
        place: String,
        /// The key, dotted.
        key: String,
        /// The value.
        value: String,
        /// What is allowed.
        limits: String,
    },
    /// A section that does not make sense as a whole.
    #[error("{place}: {message}")]
    Invalid {
        /// Where.
        place: String,
        /// What is wrong, with key, value and limit.
        message: String,
    },
    /// Settings that the data turn out not to fit.
    #[error("the config does not fit the data: {message}")]
    DoesNotFitData {
        /// What is wrong, with key, value and what the data have.
        message: String,
    },
    /// An override that cannot be understood or applied.
    #[error("--set {text}: {message}")]
    BadOverride {
        /// The override.
        text: String,
        /// What is wrong with it.
        message: String,
    },
    /// A value that does not exist in TOML.
    #[error("the config cannot be written as TOML: {message}")]
    Unwritable {
        /// What is wrong.
        message: String,
    },
}
