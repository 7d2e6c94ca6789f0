use std::fmt;

use serde::{Deserialize, Serialize};

use crate::GateError;

/// The bound that a measured value must meet; inclusive except for [`Limit::Above`].
///
/// In TOML and JSON it is a table with exactly one key: `{ at_least = 0.85 }`, `{ above = 0 }`,
/// `{ at_most = 100 }`, `{ equals = 0 }`. Reading rejects NaN, infinities, unknown keys, and tables with none or several of
/// the four keys.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "LimitTable")]
pub enum Limit {
    /// `value >= limit`.
    AtLeast(f64),
    /// `value > limit`: a value on the limit does not meet it. Use it for "better than", and [`Limit::AtLeast`]
    /// for "no worse than".
    Above(f64),
    /// `value <= limit`.
    AtMost(f64),
    /// `value == limit`, bit for bit except for the sign of zero: meant for counts, not for rounded figures.
    Equals(f64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitTable {
    at_least: Option<f64>,
    above: Option<f64>,
    at_most: Option<f64>,
    equals: Option<f64>,
}

impl TryFrom<LimitTable> for Limit {
    type Error = GateError;

    fn try_from(table: LimitTable) -> Result<Self, GateError> {
        let LimitTable {
            at_least,
            above,
            at_most,
            equals,
        } = table;
        match (at_least, above, at_most, equals) {
            (Some(value), None, None, None) => Limit::at_least(value),
            (None, Some(value), None, None) => Limit::above(value),
            (None, None, Some(value), None) => Limit::at_most(value),
            (None, None, None, Some(value)) => Limit::equals(value),
            _ => Err(GateError::LimitKind {
                found: [at_least, above, at_most, equals].iter().flatten().count(),
            }),
        }
    }
}

impl Limit {
    /// `value >= limit`.
    ///
    /// # Errors
    /// [`GateError::LimitNotFinite`] for NaN and infinities, as for the other three constructors.
    ///
    /// ```
    /// use mlestar_gates::Limit;
    /// assert_eq!(Limit::at_least(0.85)?, Limit::AtLeast(0.85));
    /// assert!(Limit::at_least(f64::NAN).is_err());
    /// # Ok::<(), mlestar_gates::GateError>(())
    /// ```
    pub fn at_least(limit: f64) -> Result<Self, GateError> {
        Limit::AtLeast(limit).check()
    }

    /// `value > limit`.
    ///
    /// # Errors
    /// [`GateError::LimitNotFinite`].
    ///
    /// ```
    /// use mlestar_gates::Limit;
    /// assert!(!Limit::above(0.0)?.allows(0.0));
    /// assert!(Limit::at_least(0.0)?.allows(0.0));
    /// # Ok::<(), mlestar_gates::GateError>(())
    /// ```
    pub fn above(limit: f64) -> Result<Self, GateError> {
        Limit::Above(limit).check()
    }

    /// `value <= limit`.
    ///
    /// # Errors
    /// [`GateError::LimitNotFinite`].
    pub fn at_most(limit: f64) -> Result<Self, GateError> {
        Limit::AtMost(limit).check()
    }

    /// `value == limit`.
    ///
    /// # Errors
    /// [`GateError::LimitNotFinite`].
    pub fn equals(limit: f64) -> Result<Self, GateError> {
        Limit::Equals(limit).check()
    }

    /// The limit itself if it is finite; for limits built from the variants.
    ///
    /// # Errors
    /// [`GateError::LimitNotFinite`].
    pub fn check(self) -> Result<Self, GateError> {
        let value = self.value();
        if value.is_finite() {
            Ok(self)
        } else {
            Err(GateError::LimitNotFinite {
                name: self.name(),
                value,
            })
        }
    }

    /// The bound, in the criterion's unit.
    pub fn value(self) -> f64 {
        match self {
            Limit::AtLeast(limit)
            | Limit::Above(limit)
            | Limit::AtMost(limit)
            | Limit::Equals(limit) => limit,
        }
    }

    /// The key in a config: `at_least`, `above`, `at_most` or `equals`.
    pub fn name(self) -> &'static str {
        match self {
            Limit::AtLeast(_) => "at_least",
            Limit::Above(_) => "above",
            Limit::AtMost(_) => "at_most",
            Limit::Equals(_) => "equals",
        }
    }

    /// Whether `value` meets the limit. False for NaN.
    pub fn allows(self, value: f64) -> bool {
        match self {
            Limit::AtLeast(limit) => value >= limit,
            Limit::Above(limit) => value > limit,
            Limit::AtMost(limit) => value <= limit,
            Limit::Equals(limit) => value == limit,
        }
    }

    /// Distance from the limit: positive (or zero on the limit) inside it, negative outside; for
    /// [`Limit::Equals`] zero or negative. Zero does not meet [`Limit::Above`].
    ///
    /// ```
    /// use mlestar_gates::Limit;
    /// assert_eq!(Limit::AtMost(100.0).margin(75.0), 25.0);
    /// assert_eq!(Limit::AtLeast(3.0).margin(2.0), -1.0);
    /// assert_eq!(Limit::Equals(0.0).margin(4.0), -4.0);
    /// ```
    pub fn margin(self, value: f64) -> f64 {
        match self {
            Limit::AtLeast(limit) | Limit::Above(limit) => value - limit,
            Limit::AtMost(limit) => limit - value,
            // Zero minus the value, so that meeting the limit gives 0 and not -0.
            Limit::Equals(limit) => 0.0 - (value - limit).abs(),
        }
    }

    /// Whether every value of the interval meets the limit.
    pub(crate) fn allows_all(self, [low, high]: [f64; 2]) -> bool {
        match self {
            Limit::AtLeast(limit) => low >= limit,
            Limit::Above(limit) => low > limit,
            Limit::AtMost(limit) => high <= limit,
            Limit::Equals(limit) => low == limit && high == limit,
        }
    }

    /// Whether no value of the interval meets the limit.
    pub(crate) fn allows_none(self, [low, high]: [f64; 2]) -> bool {
        match self {
            Limit::AtLeast(limit) => high < limit,
            Limit::Above(limit) => high <= limit,
            Limit::AtMost(limit) => low > limit,
            Limit::Equals(limit) => high < limit || low > limit,
        }
    }
}

/// As in a config: `at_least = 0.85`.
impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} = {}", self.name(), self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Limit, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn serde_is_a_table_with_one_key() {
        for (limit, json) in [
            (Limit::AtLeast(0.85), r#"{"at_least":0.85}"#),
            (Limit::Above(0.0), r#"{"above":0.0}"#),
            (Limit::AtMost(100.0), r#"{"at_most":100.0}"#),
            (Limit::Equals(0.0), r#"{"equals":0.0}"#),
        ] {
            assert_eq!(serde_json::to_string(&limit).unwrap(), json);
            assert_eq!(read(json), Ok(limit));
        }
        assert_eq!(read(r#"{"at_least":3}"#), Ok(Limit::AtLeast(3.0)));
    }

    #[test]
    fn malformed_limits_are_explained() {
        insta::assert_snapshot!(read("{}").unwrap_err(), @"a limit needs exactly one of at_least, above, at_most and equals, but 0 were given; write for example { at_least = 0.85 }");
        insta::assert_snapshot!(read(r#"{"at_least":1,"at_most":2}"#).unwrap_err(), @"a limit needs exactly one of at_least, above, at_most and equals, but 2 were given; write for example { at_least = 0.85 }");
        insta::assert_snapshot!(read(r#"{"minimum":1}"#).unwrap_err(), @"unknown field `minimum`, expected one of `at_least`, `above`, `at_most`, `equals` at line 1 column 10");
        insta::assert_snapshot!(Limit::at_most(f64::INFINITY).unwrap_err(), @"limit at_most = inf is not a finite number; write a number such as 0.85");
        insta::assert_snapshot!(Limit::equals(f64::NAN).unwrap_err(), @"limit equals = NaN is not a finite number; write a number such as 0.85");
    }
}
