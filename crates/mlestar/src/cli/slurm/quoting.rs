//! Texts in a batch script.

use super::Word;
use mlestar_workflow::WorkflowError;
use std::path::Path;

/// A path as text.
///
/// # Errors
/// A path that is no Unicode.
pub fn text_of(path: &Path) -> Result<String, WorkflowError> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        WorkflowError::Usage(format!(
            "the path {} is no Unicode text, which a batch script must be; rename it",
            path.display()
        ))
    })
}

/// A word for the shell.
pub(super) fn shell(word: &Word) -> String {
    match word {
        Word::Text(text) => single_quoted(text),
        Word::Task(before, after) => {
            let quoted = |text: &str| match text.is_empty() {
                true => String::new(),
                false => single_quoted(text),
            };
            format!("{}\"$task\"{}", quoted(before), quoted(after))
        }
    }
}

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A value in a line `#SBATCH --option=VALUE`.
///
/// # Errors
/// A line break, which would end the line.
pub(super) fn directive(value: &str) -> Result<String, WorkflowError> {
    if value.contains(['\n', '\r', '\0']) {
        return Err(WorkflowError::Usage(format!(
            "{value:?} has a line break, which a line of a batch script cannot hold; rename it"
        )));
    }
    let escaped = value.replace('\\', r"\\").replace('"', r#"\""#);
    Ok(format!("\"{escaped}\""))
}

/// A folder in the name of a log, where `%` stands for what Slurm fills in.
///
/// # Errors
/// A backslash: Slurm then fills in nothing.
pub(super) fn log_folder(folder: &str) -> Result<String, WorkflowError> {
    if folder.contains('\\') {
        return Err(WorkflowError::Usage(format!(
            "the path {folder} has a backslash, which Slurm does not allow in the name of a log; rename it"
        )));
    }
    Ok(folder.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_with_the_number_of_a_task() {
        let word = Word::Task("my file-".into(), ".csv".into());
        assert_eq!(shell(&word), r#"'my file-'"$task"'.csv'"#);
        let word = Word::Task(String::new(), "/8".into());
        assert_eq!(shell(&word), r#""$task"'/8'"#);
    }

    #[test]
    fn what_a_line_cannot_hold_is_said() {
        assert_eq!(directive(r#"a "b" \c"#).unwrap(), r#""a \"b\" \\c""#);
        let error = directive("a\n#SBATCH --uid=0").unwrap_err().to_string();
        assert!(error.contains("line break"), "{error}");
        assert_eq!(log_folder("50% done/%j").unwrap(), "50%% done/%%j");
        assert!(
            log_folder(r"a\b")
                .unwrap_err()
                .to_string()
                .contains("backslash")
        );
    }

    proptest! {
        /// The shell reads back what was quoted.
        #[cfg(unix)]
        #[test]
        fn the_shell_reads_the_same_word(text in "[ -~é\n]{0,12}") {
            let script = format!("printf %s {}", shell(&Word::Text(text.clone())));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }
}
