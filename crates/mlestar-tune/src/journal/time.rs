//! Times as Optuna writes them.

use std::time::{SystemTime, UNIX_EPOCH};

/// The present in UTC, such as `2026-11-30T06:31:00.123456+00:00`.
pub(super) fn now() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format(since.as_secs(), since.subsec_micros())
}

/// Days to a date by the algorithm of Hinnant, "chrono-Compatible Low-Level Date Algorithms" (`civil_from_days`).
fn format(seconds: u64, micros: u32) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        assert_eq!(format(0, 0), "1970-01-01T00:00:00.000000+00:00");
        assert_eq!(format(951_827_696, 7), "2000-02-29T12:34:56.000007+00:00");
        assert_eq!(
            format(4_107_542_399, 999_999),
            "2100-02-28T23:59:59.999999+00:00"
        );
    }
}
