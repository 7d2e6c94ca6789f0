//! The audit log: everything that happened in a run, one JSON line per event.

use crate::{RunFolder, Stage, WorkflowError};
use mlestar_artifact::{ArtifactError, ContentHash, append_json_line};
use serde::{Deserialize, Serialize};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// One line of `audit.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Seconds since 1970-01-01 UTC.
    pub unix_seconds: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: AuditEvent,
}

/// What can happen in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AuditEvent {
    /// A stage began, for the reasons given.
    StageStarted {
        /// The stage.
        stage: Stage,
        /// Which inputs made it stale.
        reasons: Vec<String>,
        /// The code that runs it.
        code_version: String,
        /// The device that it computes on.
        device: String,
    },
    /// A stage finished.
    StageFinished {
        /// The stage.
        stage: Stage,
        /// How long it took.
        seconds: f64,
    },
    /// A stage ended with an error or was interrupted.
    StageFailed {
        /// The stage.
        stage: Stage,
        /// The message that the user saw.
        error: String,
    },
    /// A gate was judged.
    GateJudged {
        /// The stage.
        stage: Stage,
        /// `PASS`, `FAIL`, `INCONCLUSIVE`, `STALE` or `MISSING`.
        status: String,
    },
    /// The test split was read. Each reading is for one reported figure.
    TestSplitRead {
        /// The stage that read it.
        stage: Stage,
        /// The purpose.
        purpose: String,
        /// How many images.
        pictures: usize,
    },
    /// A failed gate sent the chain back, with these settings changed.
    ReturnedToStage {
        /// The stage whose gate failed.
        from: Stage,
        /// The stage that runs again.
        to: Stage,
        /// `key = value` of each changed setting.
        settings: Vec<String>,
    },
}

/// Appends an event to the run's log.
///
/// # Errors
/// When the log cannot be written.
pub fn record(run: &RunFolder, event: AuditEvent) -> Result<(), WorkflowError> {
    let unix_seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |elapsed| elapsed.as_secs_f64());
    let line = AuditRecord {
        unix_seconds,
        event,
    };
    Ok(append_json_line(&run.audit_path(), &line)?)
}

/// The state of the audit log at one moment. The log only grows, so a later cut or edit of this part is detected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditMark {
    /// Its length in bytes.
    pub bytes: u64,
    /// The hash of those bytes.
    pub hash: ContentHash,
    /// The readings of the test split by this stage, as the log records them.
    pub test_readings: usize,
}

impl AuditMark {
    /// Marks the state of the log when `stage` ends.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn set(run: &RunFolder, stage: Stage) -> Result<Self, WorkflowError> {
        let path = run.audit_path();
        let bytes = fs::read(&path).map_err(|source| ArtifactError::Read { path, source })?;
        Ok(Self {
            bytes: bytes.len() as u64,
            hash: ContentHash::of_bytes(&bytes),
            test_readings: test_readings(&bytes, stage).len(),
        })
    }
}

/// The purposes for which `stage` read the test split, in the order of the audit log. Lines that hold no event are
/// skipped; the hash of the log reveals them.
pub(crate) fn test_readings(log: &[u8], stage: Stage) -> Vec<String> {
    log.split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<AuditRecord>(line).ok())
        .filter_map(|record| match record.event {
            AuditEvent::TestSplitRead {
                stage: by, purpose, ..
            } if by == stage => Some(purpose),
            _ => None,
        })
        .collect()
}
