use thiserror::Error;

/// A criterion that cannot be used for a verdict.
///
/// An unmet gate is not an error but a [`Verdict`](crate::Verdict).
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum GateError {
    /// The limit is NaN or infinite.
    #[error("limit {name} = {value} is not a finite number; write a number such as 0.85")]
    LimitNotFinite {
        /// `at_least`, `above`, `at_most` or `equals`.
        name: &'static str,
        /// The given value.
        value: f64,
    },
    /// A limit has none, or several, of `at_least`, `above`, `at_most` and `equals`.
    #[error(
        "a limit needs exactly one of at_least, above, at_most and equals, but {found} were given; write for example {{ at_least = 0.85 }}"
    )]
    LimitKind {
        /// How many of the four were given.
        found: usize,
    },
    /// The limit does not make sense in the criterion's unit.
    #[error(
        "criterion `{id}`: limit {limit} is outside the range {low} to {high} of the unit {unit}; {hint}"
    )]
    LimitOutOfRange {
        /// The criterion's id.
        id: String,
        /// The limit as written in the config, for example `at_least = 85`.
        limit: String,
        /// The unit's name.
        unit: String,
        /// Smallest limit that makes sense.
        low: f64,
        /// Largest limit that makes sense.
        high: f64,
        /// What to write instead.
        hint: String,
    },
    /// The id or the title of a criterion is empty.
    #[error("criterion `{id}` has an empty {field}; set it: reports name the criterion by it")]
    EmptyField {
        /// The criterion's id (empty if that is the empty field).
        id: String,
        /// `id` or `title`.
        field: &'static str,
    },
}
