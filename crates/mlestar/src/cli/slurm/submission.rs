//! Handing a script to `sbatch`.

use super::FOLDER;
use crate::cli::command_line::command_line;
use mlestar_artifact::append_json_line;
use mlestar_workflow::WorkflowError;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output};

/// The jobs that were submitted for a folder, one per line.
const RECORD_FILE: &str = "submissions.jsonl";

/// A submitted job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Number of the array.
    pub job: String,
    /// The cluster, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Tasks of the array.
    pub jobs: u32,
}

impl Submission {
    /// Appends it to the record of the folder.
    pub(super) fn record(&self, folder: &Path) -> Result<(), WorkflowError> {
        Ok(append_json_line(
            &folder.join(FOLDER).join(RECORD_FILE),
            self,
        )?)
    }

    /// The command that shows it in the queue.
    pub(super) fn squeue(&self) -> String {
        let clusters = self
            .cluster
            .iter()
            .flat_map(|name| ["-M".to_owned(), name.clone()]);
        command_line(
            "squeue",
            clusters.chain(["-j".to_owned(), self.job.clone()]),
        )
    }
}

/// Submits the script.
pub(super) fn submit(script: &Path, jobs: u32) -> Result<Submission, WorkflowError> {
    let output = Command::new("sbatch")
        .arg("--parsable")
        .arg(script)
        .output();
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => WorkflowError::Usage(format!(
            "there is no sbatch on this machine: submit from a login node of the cluster (the script is {}), or leave \
             out --launcher to work here",
            script.display()
        )),
        _ => WorkflowError::Usage(format!("sbatch cannot be started: {error}")),
    })?;
    answer(&output, jobs)
}

/// What `sbatch --parsable` answers: `JOB` or `JOB;CLUSTER`, perhaps after other lines.
fn answer(output: &Output, jobs: u32) -> Result<Submission, WorkflowError> {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.trim().lines().next_back().unwrap_or_default();
    let (job, cluster) = match last.split_once(';') {
        Some((job, cluster)) => (job, Some(cluster.to_owned())),
        None => (last, None),
    };
    let is_number = !job.is_empty() && job.bytes().all(|byte| byte.is_ascii_digit());
    if output.status.success() && is_number {
        return Ok(Submission {
            job: job.to_owned(),
            cluster,
            jobs,
        });
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = [text.trim(), errors.trim()].join("\n");
    Err(WorkflowError::Usage(format!(
        "sbatch refuses the job ({}): {}",
        output.status,
        said.trim()
    )))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn answered(code: i32, stdout: &str, stderr: &str) -> Result<Submission, String> {
        let output = Output {
            status: ExitStatus::from_raw(code << 8),
            stdout: stdout.into(),
            stderr: stderr.into(),
        };
        answer(&output, 4).map_err(|error| error.to_string())
    }

    #[test]
    fn the_number_of_the_job_is_read() {
        let one = answered(0, "1234\n", "").unwrap();
        assert_eq!(
            (one.job.as_str(), one.squeue().as_str()),
            ("1234", "squeue -j 1234")
        );
        let other = answered(0, "welcome\n77;big\n", "").unwrap();
        assert_eq!(other.squeue(), "squeue -M big -j 77");
        let refused = answered(1, "", "sbatch: error: invalid partition specified: x\n");
        assert_eq!(
            refused.unwrap_err(),
            "sbatch refuses the job (exit status: 1): sbatch: error: invalid partition specified: x"
        );
        assert!(answered(0, "no number", "").is_err());
    }
}
