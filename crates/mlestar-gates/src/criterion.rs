use serde::{Deserialize, Serialize};

use crate::{GateError, Limit, Unit};

/// One requirement of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    /// Machine-readable name, unique within its stage, for example `test_accuracy`.
    pub id: String,
    /// Name of the measured quantity for people, for example `test accuracy`; messages start with it.
    pub title: String,
    /// The bound.
    pub limit: Limit,
    /// Unit of the limit and of the measurement.
    pub unit: Unit,
    /// What to do if the criterion is not met.
    #[serde(default)]
    pub remedy: String,
}

impl Criterion {
    /// A criterion whose id and title are the same word, without a remedy.
    ///
    /// ```
    /// use mlestar_gates::{Criterion, Limit, Unit};
    /// let criterion = Criterion::new("test accuracy", Limit::AtLeast(0.85), Unit::Fraction);
    /// assert_eq!(criterion.id, "test_accuracy");
    /// ```
    pub fn new(title: impl Into<String>, limit: Limit, unit: Unit) -> Self {
        let title = title.into();
        Criterion {
            id: title
                .split_whitespace()
                .collect::<Vec<_>>()
                .join("_")
                .to_lowercase(),
            title,
            limit,
            unit,
            remedy: String::new(),
        }
    }

    /// Rejects mistakes: an empty id or title, and limits outside the unit's range (fractions from -1 to 1, so
    /// that `85` for 85% is caught; other known units not below 0).
    ///
    /// # Errors
    /// [`GateError::EmptyField`], [`GateError::LimitNotFinite`], [`GateError::LimitOutOfRange`].
    ///
    /// ```
    /// use mlestar_gates::{Criterion, Limit, Unit};
    /// let criterion = Criterion {
    ///     id: "test_accuracy".into(),
    ///     title: "accuracy".into(),
    ///     limit: Limit::AtLeast(85.0),
    ///     unit: Unit::Fraction,
    ///     remedy: String::new(),
    /// };
    /// assert_eq!(
    ///     criterion.check().map_err(|error| error.to_string()),
    ///     Err("criterion `test_accuracy`: limit at_least = 85 is outside the range -1 to 1 of the unit fraction; \
    ///          fractions are 0-1, write 0.85 for 85%".to_string()),
    /// );
    /// ```
    pub fn check(&self) -> Result<(), GateError> {
        for (field, text) in [("id", &self.id), ("title", &self.title)] {
            if text.trim().is_empty() {
                return Err(GateError::EmptyField {
                    id: self.id.clone(),
                    field,
                });
            }
        }
        let limit = self.limit.check()?.value();
        let (low, high) = self.unit.limit_range();
        if (low..=high).contains(&limit) {
            return Ok(());
        }
        let hint = match self.unit {
            Unit::Fraction if (1.0..=100.0).contains(&limit.abs()) => {
                format!("fractions are 0-1, write {} for {limit}%", limit / 100.0)
            }
            Unit::Fraction => "fractions are 0-1".to_string(),
            _ => "this quantity cannot be negative".to_string(),
        };
        Err(GateError::LimitOutOfRange {
            id: self.id.clone(),
            limit: self.limit.to_string(),
            unit: self.unit.to_string(),
            low,
            high,
            hint,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn criterion(limit: Limit, unit: Unit) -> Criterion {
        Criterion {
            id: "id".into(),
            title: "title".into(),
            limit,
            unit,
            remedy: String::new(),
        }
    }

    #[test]
    fn sensible_limits_pass_the_check() {
        for (limit, unit) in [
            (Limit::AtLeast(0.85), Unit::Fraction),
            (Limit::AtLeast(-0.01), Unit::Fraction),
            (Limit::AtMost(50e6), Unit::Bytes),
            (Limit::AtLeast(-3.0), Unit::Other("logits".into())),
        ] {
            assert_eq!(criterion(limit, unit).check(), Ok(()));
        }
    }

    #[test]
    fn mistakes_are_explained() {
        let error = |limit, unit| criterion(limit, unit).check().unwrap_err().to_string();
        insta::assert_snapshot!(error(Limit::AtMost(-1.0), Unit::Milliseconds), @"criterion `id`: limit at_most = -1 is outside the range 0 to inf of the unit ms; this quantity cannot be negative");
        insta::assert_snapshot!(error(Limit::AtMost(500.0), Unit::Fraction), @"criterion `id`: limit at_most = 500 is outside the range -1 to 1 of the unit fraction; fractions are 0-1");
        insta::assert_snapshot!(error(Limit::AtMost(f64::NAN), Unit::Count), @"limit at_most = NaN is not a finite number; write a number such as 0.85");
        let mut unnamed = criterion(Limit::AtLeast(1.0), Unit::Count);
        unnamed.title = " ".into();
        insta::assert_snapshot!(unnamed.check().unwrap_err(), @"criterion `id` has an empty title; set it: reports name the criterion by it");
    }
}
