//! Quality gates: turns criteria and measurements into verdicts, without input or output.
//!
//! A [`Criterion`] states a requirement (a title, a [`Limit`], a [`Unit`], a remedy). The caller reads its
//! artifacts, checks their hashes, recomputes the figure and passes the result as [`Evidence`]. [`judge`] turns
//! the two into a [`Verdict`]: a [`Status`], a signed margin and one line for people. Verdicts are combined
//! into a [`StageVerdict`] and a [`RunVerdict`], and a run's status maps to a process [`ExitCode`].
//!
//! | evidence | status |
//! |---|---|
//! | value and its whole interval inside the limit | [`Status::Pass`] |
//! | value and its whole interval outside the limit | [`Status::Fail`] |
//! | the interval straddles the limit | [`Status::Inconclusive`] |
//! | a value without interval | [`Status::Pass`] or [`Status::Fail`] |
//! | NaN, infinity or a malformed interval | [`Status::Fail`] |
//! | an altered artifact, or a claimed figure that differs from the recomputed one | [`Status::Fail`] |
//! | inputs that have changed since the artifacts were made | [`Status::Stale`] |
//! | no artifact | [`Status::Missing`] |
//!
//! ```
//! use mlestar_gates::{Criterion, Evidence, Limit, Measurement, Status, Unit, judge};
//!
//! let criterion = Criterion {
//!     id: "test_accuracy".into(),
//!     title: "accuracy".into(),
//!     limit: Limit::at_least(0.85)?,
//!     unit: Unit::Fraction,
//!     remedy: "train for more epochs, or tune the learning rate".into(),
//! };
//! let measurement = Measurement::proportion(0.8312, [0.8237, 0.8384], 10_000);
//! let verdict = judge(&criterion, Evidence::measured(measurement, ["predictions.csv"]));
//! assert_eq!(verdict.status, Status::Fail);
//! assert_eq!(
//!     verdict.message,
//!     "accuracy 0.8312 [0.8237, 0.8384] is below the limit 0.85 by 0.0188"
//! );
//! # Ok::<(), mlestar_gates::GateError>(())
//! ```

mod criterion;
mod decide;
mod error;
mod evidence;
mod exit_code;
mod float_text;
mod limit;
mod message;
mod rollup;
mod status;
mod unit;
mod verdict;

pub use criterion::Criterion;
pub use decide::samples_to_decide;
pub use error::GateError;
pub use evidence::{Evidence, Measurement};
pub use exit_code::ExitCode;
pub use limit::Limit;
pub use rollup::{RunVerdict, StageVerdict, StatusCounts};
pub use status::Status;
pub use unit::Unit;
pub use verdict::{Verdict, judge};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
