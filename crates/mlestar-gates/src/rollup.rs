use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ExitCode, Status, Verdict};

/// The verdicts of one stage's gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageVerdict {
    /// The stage, for example `evaluation`.
    pub stage: String,
    /// One verdict per criterion, in the config's order.
    pub verdicts: Vec<Verdict>,
}

impl StageVerdict {
    /// The worst status (fail > missing > stale > inconclusive > pass); pass for a gate without criteria.
    pub fn status(&self) -> Status {
        Status::worst_of(self.verdicts.iter().map(|verdict| verdict.status))
    }

    /// How many verdicts have each status.
    pub fn counts(&self) -> StatusCounts {
        self.verdicts.iter().map(|verdict| verdict.status).collect()
    }

    /// The verdicts that did not pass.
    pub fn unmet(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts
            .iter()
            .filter(|verdict| verdict.status != Status::Pass)
    }

    /// The exit code of a process that judged only this stage.
    pub fn exit_code(&self) -> ExitCode {
        self.status().into()
    }
}

/// `evaluation: FAIL (2 passed, 1 failed)`
impl fmt::Display for StageVerdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {} ({})",
            self.stage,
            self.status(),
            self.counts()
        )
    }
}

/// The verdicts of all stages of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunVerdict {
    /// One entry per stage, in the order of the stages.
    pub stages: Vec<StageVerdict>,
}

impl RunVerdict {
    /// The worst status of all stages (fail > missing > stale > inconclusive > pass).
    pub fn status(&self) -> Status {
        Status::worst_of(self.stages.iter().map(StageVerdict::status))
    }

    /// How many verdicts of all stages have each status.
    pub fn counts(&self) -> StatusCounts {
        self.stages
            .iter()
            .flat_map(|stage| &stage.verdicts)
            .map(|verdict| verdict.status)
            .collect()
    }

    /// The exit code of a process that judged the run.
    pub fn exit_code(&self) -> ExitCode {
        self.status().into()
    }
}

/// How many verdicts have each status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StatusCounts {
    /// Verdicts that passed.
    pub pass: usize,
    /// Verdicts that failed.
    pub fail: usize,
    /// Verdicts that are inconclusive.
    pub inconclusive: usize,
    /// Verdicts whose evidence is stale.
    pub stale: usize,
    /// Verdicts without evidence.
    pub missing: usize,
}

impl StatusCounts {
    /// All verdicts.
    pub fn total(&self) -> usize {
        self.pass + self.fail + self.inconclusive + self.stale + self.missing
    }
}

impl FromIterator<Status> for StatusCounts {
    fn from_iter<I: IntoIterator<Item = Status>>(statuses: I) -> Self {
        let mut counts = StatusCounts::default();
        for status in statuses {
            match status {
                Status::Pass => counts.pass += 1,
                Status::Fail => counts.fail += 1,
                Status::Inconclusive => counts.inconclusive += 1,
                Status::Stale => counts.stale += 1,
                Status::Missing => counts.missing += 1,
            }
        }
        counts
    }
}

/// `2 passed, 1 failed`; counts of zero are left out.
impl fmt::Display for StatusCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = [
            (self.pass, "passed"),
            (self.fail, "failed"),
            (self.inconclusive, "inconclusive"),
            (self.stale, "stale"),
            (self.missing, "missing"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
        if parts.is_empty() {
            formatter.write_str("no criteria")
        } else {
            formatter.write_str(&parts.join(", "))
        }
    }
}
