use std::fmt;

use serde::{Deserialize, Serialize};

/// The verdict on one criterion, a stage or a run. Serialised as `"PASS"`, `"FAIL"`, `"INCONCLUSIVE"`,
/// `"STALE"`, `"MISSING"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// The evidence shows that the criterion is met.
    Pass,
    /// The evidence shows that the criterion is not met, or the evidence cannot be trusted.
    Fail,
    /// There are too few samples to decide: the confidence interval contains the limit.
    Inconclusive,
    /// The evidence is intact but out of date: an input has changed since.
    Stale,
    /// There is no evidence: an artifact was not written.
    Missing,
}

impl Status {
    /// All five, in the order of the table in the crate's documentation.
    pub const ALL: [Status; 5] = [
        Status::Pass,
        Status::Fail,
        Status::Inconclusive,
        Status::Stale,
        Status::Missing,
    ];

    /// 0 for [`Status::Pass`] up to 4 for [`Status::Fail`]: fail > missing > stale > inconclusive > pass.
    pub fn severity(self) -> u8 {
        match self {
            Status::Pass => 0,
            Status::Inconclusive => 1,
            Status::Stale => 2,
            Status::Missing => 3,
            Status::Fail => 4,
        }
    }

    /// The more severe of the two.
    pub fn worst(self, other: Status) -> Status {
        if other.severity() > self.severity() {
            other
        } else {
            self
        }
    }

    /// The most severe of all; [`Status::Pass`] if there are none, because nothing was required.
    ///
    /// ```
    /// use mlestar_gates::Status;
    /// assert_eq!(Status::worst_of([Status::Pass, Status::Inconclusive]), Status::Inconclusive);
    /// assert_eq!(Status::worst_of([Status::Missing, Status::Fail]), Status::Fail);
    /// assert_eq!(Status::worst_of([]), Status::Pass);
    /// ```
    pub fn worst_of(statuses: impl IntoIterator<Item = Status>) -> Status {
        statuses.into_iter().fold(Status::Pass, Status::worst)
    }

    /// `PASS`, `FAIL`, `INCONCLUSIVE`, `STALE` or `MISSING`.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pass => "PASS",
            Status::Fail => "FAIL",
            Status::Inconclusive => "INCONCLUSIVE",
            Status::Stale => "STALE",
            Status::Missing => "MISSING",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}
