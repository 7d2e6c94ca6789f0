//! The time limit of a job.

use std::fmt;
use std::str::FromStr;

/// Seconds before its limit at which a task hears of it.
const NOTICE: u64 = 120;

/// A time limit in one of Slurm's forms: `MINUTES`, `MM:SS`, `HH:MM:SS`, `DAYS-HH`, `DAYS-HH:MM`, `DAYS-HH:MM:SS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeLimit {
    text: String,
    seconds: u64,
}

impl TimeLimit {
    /// Seconds before the limit at which a task hears of it: two minutes, but at most a quarter of the time.
    pub fn notice(limit: Option<&Self>) -> u64 {
        limit.map_or(NOTICE, |limit| NOTICE.min(limit.seconds / 4))
    }
}

impl FromStr for TimeLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no time limit, such as 04:00:00 or 2-12:00:00 (days-hours:minutes:seconds)"
            )
        };
        let (days, clock) = match text.split_once('-') {
            Some((days, clock)) => (Some(number(days).ok_or_else(wrong)?), clock),
            None => (None, text),
        };
        let parts: Option<Vec<u64>> = clock.split(':').map(number).collect();
        let seconds = match (days, parts.ok_or_else(wrong)?.as_slice()) {
            (None, [minutes]) => minutes * 60,
            (None, [minutes, seconds]) => minutes * 60 + seconds,
            (None, [hours, minutes, seconds]) => hours * 3600 + minutes * 60 + seconds,
            (Some(days), [hours]) => days * 86_400 + hours * 3600,
            (Some(days), [hours, minutes]) => days * 86_400 + hours * 3600 + minutes * 60,
            (Some(days), [hours, minutes, seconds]) => {
                days * 86_400 + hours * 3600 + minutes * 60 + seconds
            }
            _ => return Err(wrong()),
        };
        if seconds < 60 {
            return Err(format!(
                "{text} is less than a minute, the shortest time limit of Slurm"
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            seconds,
        })
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Digits only, and few enough that no sum overflows.
fn number(text: &str) -> Option<u64> {
    let is_short = (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_short.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_slurm_is_understood() {
        for (text, seconds) in [
            ("5", 300),
            ("90:30", 5430),
            ("04:00:00", 14_400),
            ("2-12", 216_000),
            ("2-12:30", 217_800),
            ("2-12:30:05", 217_805),
        ] {
            assert_eq!(
                text.parse::<TimeLimit>().unwrap().seconds,
                seconds,
                "{text}"
            );
        }
        for text in [
            "", "x", "1:2:3:4", "-5", "1-", "4h", "0:59", "9999999", "1-2-3", "+5",
        ] {
            assert!(text.parse::<TimeLimit>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_notice_leaves_most_of_a_short_time() {
        let notice = |text: &str| TimeLimit::notice(Some(&text.parse().unwrap()));
        assert_eq!(
            (notice("1"), notice("4"), notice("04:00:00")),
            (15, 60, 120)
        );
        assert_eq!(TimeLimit::notice(None), 120);
    }
}
