//! Changes of single keys. A change that would leave the key's range or change nothing is not suggested.

use std::fmt::Debug;

use super::{Record, Suggestion};
use crate::config::{OptimizerKind, ScheduleKind};

/// A change of any key; `None` if the key already has the value.
pub(super) fn set<T: Debug + PartialEq>(
    key: &str,
    value: T,
    configured: Option<T>,
    reason: impl Into<String>,
) -> Option<Suggestion> {
    if configured.as_ref() == Some(&value) {
        return None;
    }
    // Rust formats numbers and booleans as TOML does.
    Some(Suggestion {
        key: key.to_owned(),
        value: format!("{value:?}"),
        configured: configured.map(|value| format!("{value:?}")),
        reason: reason.into(),
    })
}

/// The learning rate multiplied by `factor`.
pub(super) fn learning_rate(record: &Record<'_>, factor: f64, reason: &str) -> Option<Suggestion> {
    const HIGHEST: f64 = 10.0;
    let configured = record.settings.training.optimizer.learning_rate;
    let value = two_digits(configured * factor);
    if !(value > 0.0 && value <= HIGHEST) {
        return None;
    }
    let key = "training.optimizer.learning_rate";
    set(key, value, Some(configured), reason)
}

/// Clipping at twice the usual norm, if the training does not clip yet.
pub(super) fn clipping(record: &Record<'_>, usual_norm: Option<f64>) -> Option<Suggestion> {
    if record.settings.training.max_gradient_norm.is_some() {
        return None;
    }
    // Twice the norm must still be finite.
    let usual = usual_norm.filter(|norm| *norm > 0.0 && *norm < f64::MAX / 4.0);
    let value = two_digits(usual.map_or(1.0, |norm| 2.0 * norm));
    let reason = match usual {
        Some(norm) => format!(
            "clipping shortens only the gradients longer than twice the usual norm of {}",
            short(norm)
        ),
        None => "a single large gradient then cannot ruin the weights".to_owned(),
    };
    set("training.max_gradient_norm", value, None, reason)
}

/// A warm-up, if the schedule allows one and has none.
pub(super) fn warm_up(record: &Record<'_>, reason: &str) -> Option<Suggestion> {
    let training = record.settings.training;
    let schedule = &training.schedule;
    if schedule.kind == ScheduleKind::OneCycle || schedule.warmup_epochs > 0.0 {
        return None;
    }
    let horizon = schedule.horizon_epochs(training.epochs);
    let value = if horizon > 2.0 {
        1.0
    } else {
        two_digits(horizon / 5.0)
    };
    let key = "training.schedule.warmup_epochs";
    set(key, value, Some(schedule.warmup_epochs), reason)
}

/// Whether the configured rate is high for the update rule, by common recipes.
pub(super) fn is_rate_high(record: &Record<'_>) -> bool {
    let optimizer = &record.settings.training.optimizer;
    let usual = match optimizer.kind {
        OptimizerKind::Sgd => 0.1,
        _ => 0.003,
    };
    optimizer.learning_rate > usual
}

/// Rounded to two significant digits: more digits would suggest a precision that nobody measured.
pub(super) fn two_digits(value: f64) -> f64 {
    // Parsed from its own decimal form, so that it prints in its shortest form.
    format!("{value:.1e}").parse().unwrap_or(value)
}

/// A measured number with about three significant digits.
pub(super) fn short(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() || magnitude == 0.0 {
        return format!("{value}");
    }
    if !(1e-3..1e6).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = (2 - magnitude.log10().floor() as i32).clamp(0, 5) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.98765, 2.3041, 123.456, 1234.5, 1.5e-7, f64::NAN];
        let found = numbers.map(short);
        assert_eq!(
            found,
            ["0", "0.988", "2.30", "123", "1234", "1.50e-7", "NaN"]
        );
        assert_eq!(two_digits(0.003 / 3.0), 0.001);
        assert_eq!(two_digits(1234.0), 1200.0);
    }

    #[test]
    fn what_would_change_nothing_is_not_suggested() {
        assert_eq!(set("training.epochs", 3, Some(3), ""), None);
        let suggestion = set("training.epochs", 6, Some(3), "why").unwrap();
        assert_eq!(suggestion.to_string(), "training.epochs=6");
        assert_eq!(suggestion.configured.as_deref(), Some("3"));
    }
}
