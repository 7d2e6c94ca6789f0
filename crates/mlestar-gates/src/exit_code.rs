use std::fmt;

use crate::Status;

/// The exit code of a process that judged gates.
///
/// | code | variant | meaning |
/// |---|---|---|
/// | 0 | [`Pass`](ExitCode::Pass) | every gate passed |
/// | 1 | [`ProgramFailure`](ExitCode::ProgramFailure) | the program itself failed |
/// | 2 | [`Usage`](ExitCode::Usage) | the command line or the config is wrong |
/// | 3 | [`MissingArtifact`](ExitCode::MissingArtifact) | an artifact that a gate needs is missing or stale |
/// | 4 | [`GateFailed`](ExitCode::GateFailed) | a gate failed |
/// | 5 | [`Inconclusive`](ExitCode::Inconclusive) | a gate is inconclusive, none failed |
/// | 6 | [`Stopped`](ExitCode::Stopped) | a signal stopped the program; run the same command again to resume |
///
/// A second signal ends the program at once, with code 130.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// Every gate passed.
    Pass = 0,
    /// The program itself failed (an I/O error, a bug); no verdict was reached.
    ProgramFailure = 1,
    /// The command line or the config is wrong.
    Usage = 2,
    /// An artifact that a gate needs is missing, or stale: its inputs have changed since.
    MissingArtifact = 3,
    /// A gate failed.
    GateFailed = 4,
    /// A gate is inconclusive and none failed.
    Inconclusive = 5,
    /// A signal, such as Ctrl-C, stopped the program at a safe point; run the same command again to resume.
    Stopped = 6,
}

impl ExitCode {
    /// The number for the operating system, 0 to 6.
    ///
    /// ```
    /// use mlestar_gates::{ExitCode, Status};
    /// assert_eq!(ExitCode::from(Status::Fail).code(), 4);
    /// ```
    pub fn code(self) -> u8 {
        self as u8
    }

    /// A short description for people.
    pub fn meaning(self) -> &'static str {
        match self {
            ExitCode::Pass => "every gate passed",
            ExitCode::ProgramFailure => "the program failed",
            ExitCode::Usage => "the command line or the config is wrong",
            ExitCode::MissingArtifact => "an artifact is missing or stale",
            ExitCode::GateFailed => "a gate failed",
            ExitCode::Inconclusive => "a gate is inconclusive",
            ExitCode::Stopped => "stopped by a signal; run the same command again to resume",
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Pass => ExitCode::Pass,
            Status::Fail => ExitCode::GateFailed,
            Status::Inconclusive => ExitCode::Inconclusive,
            Status::Stale | Status::Missing => ExitCode::MissingArtifact,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code.code())
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.code(), self.meaning())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_map_to_documented_codes() {
        let codes: Vec<u8> = Status::ALL
            .into_iter()
            .map(|status| ExitCode::from(status).code())
            .collect();
        assert_eq!(codes, [0, 4, 5, 3, 3]);
        assert_eq!(ExitCode::ProgramFailure.code(), 1);
        assert_eq!(ExitCode::Usage.code(), 2);
        assert_eq!(ExitCode::Stopped.code(), 6);
        assert_eq!(ExitCode::GateFailed.to_string(), "4 (a gate failed)");
    }
}
