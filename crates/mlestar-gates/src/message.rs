use crate::evidence::defect;
use crate::{Criterion, Evidence, Limit, Measurement, Status, Unit, samples_to_decide};

/// The one-line message of a verdict.
pub(crate) fn message(criterion: &Criterion, status: Status, evidence: &Evidence) -> String {
    let title = &criterion.title;
    let unit = &criterion.unit;
    match evidence {
        Evidence::Measured { measurement, .. } => measured(criterion, status, measurement),
        Evidence::Altered {
            file,
            recorded,
            found,
        } => format!(
            "{title}: {file} was altered after it was written (its hash is {}, recorded was {}); \
             restore it or rerun the stage that writes it",
            shortened(found),
            shortened(recorded)
        ),
        Evidence::Contradiction {
            file,
            claimed,
            recomputed,
            what,
        } => {
            let (claimed, recomputed) = apart(unit, *claimed, *recomputed);
            format!(
                "{title}: {file} claims {what} {claimed}, but recomputing it gives {recomputed}; \
                 rerun the stage that writes it"
            )
        }
        Evidence::Stale { reasons } => format!("{title}: no, {}", listed(reasons)),
        Evidence::Missing { file, reason } if reason.is_empty() => {
            format!("{title}: {file} is missing")
        }
        Evidence::Missing { file, reason } => format!("{title}: {file}: {reason}"),
    }
}

/// The first reasons, and how many more there are.
fn listed(reasons: &[String]) -> String {
    const SHOWN: usize = 4;
    let mut text = reasons[..reasons.len().min(SHOWN)].join("; ");
    if reasons.len() > SHOWN {
        text += &format!("; and {} more", reasons.len() - SHOWN);
    }
    text
}

fn measured(criterion: &Criterion, status: Status, measurement: &Measurement) -> String {
    let Criterion {
        title, limit, unit, ..
    } = criterion;
    if let Err(error) = limit.check() {
        return format!("{title}: {error}");
    }
    if let Some(defect) = defect(measurement) {
        return format!("{title}: {defect}");
    }
    let texts = Texts::new(unit, *limit, measurement);
    let value = &texts.value;
    if *unit == Unit::Flag {
        let text = flag(title, *limit, status, &texts);
        // A bare "no" needs its subject.
        return match (status, measurement.note.as_str()) {
            (Status::Pass, _) | (_, "") => text,
            (_, note) => format!("{text}: {note}"),
        };
    }
    match status {
        Status::Pass => format!("{title} {value} {}", kept(*limit, &texts)),
        Status::Inconclusive => format!(
            "{title} {value} cannot be told from the limit {}{}",
            texts.limit,
            how_to_decide(*limit, measurement)
        ),
        Status::Fail | Status::Stale | Status::Missing => {
            format!("{title} {value} {}", broken(*limit, &texts))
        }
    }
}

fn kept(limit: Limit, texts: &Texts) -> String {
    let Texts {
        limit: text,
        distance,
        on_limit,
        ..
    } = texts;
    match limit {
        Limit::Equals(_) => format!("equals the required {text}"),
        _ if *on_limit => format!("is exactly on the limit {text}"),
        Limit::AtLeast(_) | Limit::Above(_) => format!("is above the limit {text} by {distance}"),
        Limit::AtMost(_) => format!("is below the limit {text} by {distance}"),
    }
}

fn broken(limit: Limit, texts: &Texts) -> String {
    let Texts {
        limit: text,
        distance,
        on_limit,
        ..
    } = texts;
    match limit {
        Limit::Above(_) if *on_limit => {
            format!("is exactly on the limit {text}, which it must be above")
        }
        Limit::AtLeast(_) | Limit::Above(_) => {
            format!("is below the limit {text} by {distance}")
        }
        Limit::AtMost(_) => format!("is above the limit {text} by {distance}"),
        Limit::Equals(_) => format!("differs from the required {text} by {distance}"),
    }
}

fn flag(title: &str, limit: Limit, status: Status, texts: &Texts) -> String {
    match (status, limit) {
        (Status::Pass, _) => format!("{title}: {}", texts.value),
        (_, Limit::AtLeast(_)) => format!(
            "{title}: {}, but at least {} is required",
            texts.value, texts.limit
        ),
        (_, Limit::Above(_)) => format!(
            "{title}: {}, but more than {} is required",
            texts.value, texts.limit
        ),
        (_, Limit::AtMost(_)) => format!(
            "{title}: {}, but at most {} is allowed",
            texts.value, texts.limit
        ),
        (_, Limit::Equals(_)) => {
            format!("{title}: {}, but {} is required", texts.value, texts.limit)
        }
    }
}

fn how_to_decide(limit: Limit, measurement: &Measurement) -> String {
    let (Some(interval), Some(samples)) = (measurement.interval, measurement.samples) else {
        return String::new();
    };
    if matches!(limit, Limit::Equals(_)) {
        return String::new();
    }
    match samples_to_decide(measurement.value, interval, samples, limit.value()) {
        Some(needed) if needed > samples => format!(
            ": about {} more samples (now {}) would decide it if the value stayed the same",
            Unit::Count.format(two_digits_up((needed - samples) as f64)),
            Unit::Count.format(samples as f64)
        ),
        _ => String::new(),
    }
}

/// Rounded up to two significant digits: the estimate is not more precise.
fn two_digits_up(count: f64) -> f64 {
    let step = 10f64.powi((count.log10().floor() as i32 - 1).max(0));
    (count / step).ceil() * step
}

/// The figures of a message, formatted so that different figures look different.
struct Texts {
    /// The value with its interval.
    value: String,
    limit: String,
    distance: String,
    on_limit: bool,
}

impl Texts {
    fn new(unit: &Unit, limit: Limit, measurement: &Measurement) -> Texts {
        let (value, bound) = (measurement.value, limit.value());
        let distance = (value - bound).abs();
        // A limit with more digits than shown can differ in its text and still be less than one digit away.
        let rounding_hides = value != bound
            && (unit.format(value) == unit.format(bound)
                || unit.format(distance) == unit.format(0.0));
        let write = |number: f64| {
            if rounding_hides {
                unit.format_exact(number)
            } else {
                unit.format(number)
            }
        };
        let interval = match measurement.interval {
            Some([low, high]) => format!(" [{}, {}]", write(low), write(high)),
            None => String::new(),
        };
        Texts {
            value: format!("{}{interval}", write(value)),
            limit: if rounding_hides {
                unit.format_exact(bound)
            } else {
                unit.format_limit(bound)
            },
            distance: if rounding_hides {
                // If rounding hides a difference, one or two significant digits of it are enough.
                unit.format_exact(format!("{distance:.1e}").parse().unwrap_or(distance))
            } else {
                unit.format(distance)
            },
            on_limit: value == bound,
        }
    }
}

/// Two numbers, exact if rounding would make them look equal.
fn apart(unit: &Unit, a: f64, b: f64) -> (String, String) {
    let rounded = (unit.format(a), unit.format(b));
    if rounded.0 == rounded.1 && a != b {
        (unit.format_exact(a), unit.format_exact(b))
    } else {
        rounded
    }
}

/// The first 12 characters of a hash: enough to distinguish two by eye.
fn shortened(hash: &str) -> String {
    match hash.char_indices().nth(12) {
        Some((end, _)) => format!("{}...", &hash[..end]),
        None => hash.to_string(),
    }
}
