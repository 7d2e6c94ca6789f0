//! Numbers as text for table cells and cards.
//!
//! A value that is not finite, or absent, becomes an en dash: a report shows a gap instead of `NaN`.
//!
//! ```
//! use mlestar_report::format;
//!
//! assert_eq!(format::fraction(0.87314), "0.8731");
//! assert_eq!(format::count(1_234_567), "1,234,567");
//! assert_eq!(format::bytes(11_200_000), "11.2 MB");
//! assert_eq!(format::seconds(3725.0), "1 h 02 min");
//! assert_eq!(format::number(f64::NAN, 3), "–");
//! ```

/// The placeholder for a number that does not exist.
pub const MISSING: &str = "–";

/// A number with a fixed count of decimals (at most 12) and `,` between thousands.
pub fn number(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return MISSING.to_string();
    }
    let decimals = decimals.min(12);
    if value.abs() >= 1e15 {
        return format!("{value:.3e}");
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (text.as_str(), String::new()),
    };
    // "-0.00" says less than "0.00".
    let is_zero = text.bytes().all(|byte| byte == b'0' || byte == b'.');
    let sign = if value < 0.0 && !is_zero { "-" } else { "" };
    format!("{sign}{}{rest}", group_thousands(whole))
}

/// [`number`] of a value that may be absent.
pub fn optional(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| MISSING.to_string(), |value| number(value, decimals))
}

/// The value rounded to six significant digits: as exact as a script of a page needs it.
pub(crate) fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// A probability such as a p-value: four decimals, or a bound if they cannot show it.
///
/// ```
/// use mlestar_report::format;
/// assert_eq!(format::probability(1.0), "1.0000");
/// assert_eq!(format::probability(0.0214), "0.0214");
/// assert_eq!(format::probability(3e-9), "below 0.0001");
/// ```
pub fn probability(value: f64) -> String {
    match value > 0.0 && value < 0.0001 {
        true => "below 0.0001".to_string(),
        false => number(value, 4),
    }
}

/// A setting chosen by a program, with a readable number of digits: `digits` significant ones.
///
/// ```
/// use mlestar_report::format;
/// assert_eq!(format::significant(0.612_450_780_919_783, 4), "0.6125");
/// assert_eq!(format::significant(0.000_201_376, 4), "0.0002014");
/// assert_eq!(format::significant(128.0, 4), "128");
/// assert_eq!(format::significant(1.5e-9, 4), "1.5e-9");
/// ```
pub fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return MISSING.to_string();
    }
    let rounded: f64 = format!("{value:.*e}", digits.max(1) - 1)
        .parse()
        .unwrap_or(value);
    let magnitude = rounded.abs();
    match magnitude == 0.0 || (1e-6..1e15).contains(&magnitude) {
        true => format!("{rounded}"),
        false => format!("{rounded:e}"),
    }
}

/// A fraction (0 to 1) with four decimals.
pub fn fraction(value: f64) -> String {
    number(value, 4)
}

/// An integer with `,` between thousands.
pub fn count(value: u64) -> String {
    group_thousands(&value.to_string())
}

/// Bytes in decimal units: `512 B`, `11.2 MB`.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if value < 1000 {
        return format!("{value} B");
    }
    let mut scaled = value as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would be printed as "1000.0".
    while scaled >= 999.95 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", UNITS[unit])
}

/// A duration in a suitable unit: `250 ms`, `12.3 s`, `4 min 05 s`, `1 h 02 min`.
pub fn seconds(value: f64) -> String {
    if !value.is_finite() {
        return MISSING.to_string();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 {
        "0 s".to_string()
    } else if magnitude < 0.9995 {
        milliseconds(value * 1000.0)
    } else if magnitude < 59.95 {
        format!("{value:.1} s")
    } else {
        let sign = if value < 0.0 { "-" } else { "" };
        if magnitude < 3599.5 {
            let whole = magnitude.round() as u64;
            format!("{sign}{} min {:02} s", whole / 60, whole % 60)
        } else {
            let minutes = (magnitude / 60.0).round() as u64;
            format!("{sign}{} h {:02} min", count(minutes / 60), minutes % 60)
        }
    }
}

/// Milliseconds with three significant digits: `0.012 ms`, `3.46 ms`, `250 ms`.
pub fn milliseconds(value: f64) -> String {
    if !value.is_finite() {
        return MISSING.to_string();
    }
    let decimals = match value.abs() {
        magnitude if magnitude >= 99.95 => 0,
        magnitude if magnitude >= 9.995 => 1,
        magnitude if magnitude >= 0.9995 => 2,
        _ => 3,
    };
    format!("{} ms", number(value, decimals))
}

/// An interval: `0.861 to 0.874`.
pub fn interval(low: f64, high: f64, decimals: usize) -> String {
    format!("{} to {}", number(low, decimals), number(high, decimals))
}

fn group_thousands(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped_and_signs_kept() {
        assert_eq!(number(-1234567.891, 2), "-1,234,567.89");
        assert_eq!(number(999.0, 0), "999");
        assert_eq!(number(1000.0, 0), "1,000");
        assert_eq!(number(-0.0001, 2), "0.00");
        assert_eq!(number(f64::INFINITY, 2), MISSING);
        assert_eq!(number(1e300, 2), "1.000e300");
    }

    #[test]
    fn bytes_choose_the_unit_after_rounding() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1000), "1.0 kB");
        assert_eq!(bytes(999_949), "999.9 kB");
        assert_eq!(bytes(999_950), "1.0 MB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
    }

    #[test]
    fn durations_choose_the_unit() {
        assert_eq!(seconds(0.0), "0 s");
        assert_eq!(seconds(0.25), "250 ms");
        assert_eq!(seconds(12.34), "12.3 s");
        assert_eq!(seconds(245.0), "4 min 05 s");
        assert_eq!(seconds(59.97), "1 min 00 s");
        assert_eq!(seconds(3599.9), "1 h 00 min");
        assert_eq!(seconds(f64::NAN), MISSING);
        assert_eq!(milliseconds(0.0123), "0.012 ms");
    }

    #[test]
    fn intervals_and_absent_values() {
        assert_eq!(interval(0.8612, 0.8741, 3), "0.861 to 0.874");
        assert_eq!(optional(None, 2), MISSING);
        assert_eq!(optional(Some(1.0), 2), "1.00");
    }
}
