use std::fmt;

use serde::{Deserialize, Serialize};

/// Unit of a limit and its measurement; serialised as its name.
///
/// | variant | name | stored as | written as |
/// |---|---|---|---|
/// | [`Fraction`](Unit::Fraction) | `fraction` | 0-1 | `0.8312` |
/// | [`Bytes`](Unit::Bytes) | `bytes` | bytes | `11.2 MB` (powers of 1000) |
/// | [`Milliseconds`](Unit::Milliseconds) | `ms` | milliseconds | `12.3 ms` |
/// | [`Seconds`](Unit::Seconds) | `seconds` | seconds | `3.21 s`, `2 min 34 s`, `1 h 05 min` |
/// | [`Count`](Unit::Count) | `count` | a number | `2,786,506` |
/// | [`Flag`](Unit::Flag) | `flag` | 0 or 1 | `no`, `yes` |
/// | [`Other`](Unit::Other) | any other text | a number | `412 images/s` |
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Unit {
    /// A fraction, 0-1 (differences of fractions: -1 to 1).
    Fraction,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// A number of things.
    Count,
    /// 1 if a condition holds, otherwise 0.
    Flag,
    /// Any other unit, written after the number; empty for a bare number.
    Other(String),
}

impl Unit {
    /// The name in configs and artifacts.
    pub fn as_str(&self) -> &str {
        match self {
            Unit::Fraction => "fraction",
            Unit::Bytes => "bytes",
            Unit::Milliseconds => "ms",
            Unit::Seconds => "seconds",
            Unit::Count => "count",
            Unit::Flag => "flag",
            Unit::Other(name) => name,
        }
    }

    /// The value for people, rounded to meaningful digits.
    ///
    /// ```
    /// use mlestar_gates::Unit;
    /// assert_eq!(Unit::Fraction.format(0.83123), "0.8312");
    /// assert_eq!(Unit::Bytes.format(11_146_024.0), "11.1 MB");
    /// assert_eq!(Unit::Milliseconds.format(7.8125), "7.81 ms");
    /// assert_eq!(Unit::Seconds.format(154.2), "2 min 34 s");
    /// assert_eq!(Unit::Count.format(2_786_506.0), "2,786,506");
    /// assert_eq!(Unit::Other("images/s".into()).format(412.4), "412 images/s");
    /// ```
    pub fn format(&self, value: f64) -> String {
        if !value.is_finite() {
            return value.to_string();
        }
        match self {
            Unit::Fraction => unsigned_zero(format!("{value:.4}")),
            Unit::Bytes => format_bytes(value),
            Unit::Milliseconds => format!("{} ms", three_digits(value)),
            Unit::Seconds => format_seconds(value),
            Unit::Count => format_count(value),
            Unit::Flag if value == 0.0 => "no".to_string(),
            Unit::Flag if value == 1.0 => "yes".to_string(),
            Unit::Flag => value.to_string(),
            Unit::Other(name) => with_suffix(three_digits(value), name),
        }
    }

    /// The value without rounding, in the stored unit.
    pub fn format_exact(&self, value: f64) -> String {
        let number = group_thousands(&value.to_string());
        match self {
            Unit::Fraction | Unit::Count | Unit::Flag => number,
            Unit::Seconds => format!("{number} s"),
            Unit::Bytes => format!("{number} {}", bytes_noun(value)),
            Unit::Milliseconds | Unit::Other(_) => with_suffix(number, self.as_str()),
        }
    }

    /// A limit for people: a person typed it, so it is not padded with zeros.
    pub(crate) fn format_limit(&self, limit: f64) -> String {
        match self {
            Unit::Fraction => self.format_exact(limit),
            _ => self.format(limit),
        }
    }

    /// Smallest and largest limit that make sense.
    pub(crate) fn limit_range(&self) -> (f64, f64) {
        match self {
            Unit::Fraction => (-1.0, 1.0),
            Unit::Flag => (0.0, 1.0),
            Unit::Bytes | Unit::Milliseconds | Unit::Seconds | Unit::Count => (0.0, f64::INFINITY),
            Unit::Other(_) => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl From<&str> for Unit {
    fn from(name: &str) -> Self {
        match name {
            "fraction" => Unit::Fraction,
            "bytes" => Unit::Bytes,
            "ms" | "milliseconds" => Unit::Milliseconds,
            "s" | "seconds" => Unit::Seconds,
            "count" => Unit::Count,
            "flag" => Unit::Flag,
            _ => Unit::Other(name.to_string()),
        }
    }
}

impl From<String> for Unit {
    fn from(name: String) -> Self {
        Unit::from(name.as_str())
    }
}

impl From<Unit> for String {
    fn from(unit: Unit) -> Self {
        unit.as_str().to_string()
    }
}

fn with_suffix(number: String, suffix: &str) -> String {
    if suffix.is_empty() {
        number
    } else {
        format!("{number} {suffix}")
    }
}

/// `-0.0000` would show a sign that has no meaning.
fn unsigned_zero(text: String) -> String {
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|digit| matches!(digit, '0' | '.' | ',')) => {
            digits.to_string()
        }
        _ => text,
    }
}

/// Three significant digits, but never fewer digits than the integer part has.
fn three_digits(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 {
        return "0".to_string();
    }
    if !(1e-4..1e15).contains(&magnitude) {
        let text = format!("{value:.2e}");
        return match text.split_once('e') {
            // "1.00e-5" says no more than "1e-5".
            Some((digits, exponent)) => {
                let digits = digits.trim_end_matches('0').trim_end_matches('.');
                format!("{digits}e{exponent}")
            }
            None => text,
        };
    }
    // Rounding may carry into the next power of ten (9.999 -> 10.0), so the exponent is computed after it.
    let exponent = format!("{magnitude:.2e}")
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse::<i32>().ok())
        .unwrap_or(0);
    let decimals = usize::try_from(2 - exponent).unwrap_or(0);
    let text = group_thousands(&format!("{value:.decimals$}"));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    }
}

fn format_bytes(value: f64) -> String {
    let magnitude = value.abs();
    for (size, name) in [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")] {
        if magnitude >= size {
            return format!("{} {name}", three_digits(value / size));
        }
    }
    format!("{} {}", three_digits(value), bytes_noun(value))
}

fn bytes_noun(value: f64) -> &'static str {
    if value.abs() == 1.0 { "byte" } else { "bytes" }
}

fn format_seconds(value: f64) -> String {
    let whole = value.abs().round();
    if whole < 60.0 {
        return format!("{} s", three_digits(value));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    if whole < 3600.0 {
        return format!("{sign}{} min {:02} s", (whole / 60.0).floor(), whole % 60.0);
    }
    let minutes = (whole / 60.0).round();
    format!(
        "{sign}{} h {:02} min",
        group_thousands(&(minutes / 60.0).floor().to_string()),
        minutes % 60.0
    )
}

fn format_count(value: f64) -> String {
    if value.abs() < 1e15 && value.fract() == 0.0 {
        unsigned_zero(group_thousands(&format!("{value:.0}")))
    } else {
        three_digits(value)
    }
}

/// Commas between groups of three digits of the integer part.
fn group_thousands(number: &str) -> String {
    if !number.contains(|character: char| character.is_ascii_digit()) {
        return number.to_string(); // NaN and infinities
    }
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    let (integer, fraction) = match digits.find('.') {
        Some(point) => digits.split_at(point),
        None => (digits, ""),
    };
    let mut grouped = String::with_capacity(number.len() + integer.len() / 3);
    for (index, digit) in integer.chars().enumerate() {
        if index > 0 && (integer.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(unit: Unit, pairs: &[(f64, &str)]) {
        for (value, expected) in pairs {
            assert_eq!(unit.format(*value), *expected, "{value} {unit}");
        }
    }

    #[test]
    fn values_are_written_for_humans() {
        check(
            Unit::Fraction,
            &[(0.83123, "0.8312"), (1.0, "1.0000"), (-0.00001, "0.0000")],
        );
        check(
            Unit::Bytes,
            &[
                (0.0, "0 bytes"),
                (999.0, "999 bytes"),
                (50e6, "50 MB"),
                (11_146_024.0, "11.1 MB"),
                (1.5e9, "1.5 GB"),
                (-2_000.0, "-2 kB"),
            ],
        );
        check(
            Unit::Milliseconds,
            &[
                (9.999, "10 ms"),
                (0.01234, "0.0123 ms"),
                (1234.5, "1,234 ms"),
            ],
        );
        check(
            Unit::Seconds,
            &[
                (3.208, "3.21 s"),
                (59.9, "1 min 00 s"),
                (154.2, "2 min 34 s"),
                (3599.7, "1 h 00 min"),
                (7260.0, "2 h 01 min"),
                (-90.0, "-1 min 30 s"),
            ],
        );
        check(
            Unit::Count,
            &[
                (0.0, "0"),
                (-0.0, "0"),
                (123.0, "123"),
                (1234.0, "1,234"),
                (2_786_506.0, "2,786,506"),
                (2.5, "2.5"),
                (-1000.0, "-1,000"),
            ],
        );
        check(Unit::Flag, &[(0.0, "no"), (1.0, "yes"), (0.5, "0.5")]);
        check(
            Unit::Other("images/s".into()),
            &[
                (412.4, "412 images/s"),
                (1e-7, "1e-7 images/s"),
                (1.25e-7, "1.25e-7 images/s"),
            ],
        );
        check(Unit::Other(String::new()), &[(f64::NAN, "NaN"), (2.0, "2")]);
    }

    #[test]
    fn serde_is_the_name() {
        for name in [
            "fraction", "bytes", "ms", "seconds", "count", "flag", "images/s", "",
        ] {
            let json = serde_json::to_string(name).unwrap();
            let unit: Unit = serde_json::from_str(&json).unwrap();
            assert_eq!(unit.as_str(), name);
            assert_eq!(serde_json::to_string(&unit).unwrap(), json);
        }
    }
}
