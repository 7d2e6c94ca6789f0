//! Numbers in the query of a path.

use crate::refusal::Refusal;
use axum::http::Uri;
use std::ops::RangeInclusive;

/// The number `name` of the query, within `range`; `default` without one.
///
/// # Errors
/// 400 for a number outside the range, for other text, and for other names.
pub fn number(
    uri: &Uri,
    name: &str,
    default: usize,
    range: RangeInclusive<usize>,
) -> Result<usize, Refusal> {
    let mut number = default;
    let pairs = uri.query().unwrap_or_default().split('&');
    for pair in pairs.filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key != name {
            return Err(Refusal::invalid(format!(
                "there is no parameter {key:?}; this path has \"{name}\""
            )));
        }
        let parsed = value.parse().ok().filter(|number| range.contains(number));
        number = parsed.ok_or_else(|| {
            Refusal::invalid(format!(
                "{name} is {value:?}, but must be a number from {} to {}",
                range.start(),
                range.end()
            ))
        })?;
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_others_refused() {
        let read = |query: &str| number(&format!("/x?{query}").parse().unwrap(), "top", 3, 1..=9);
        assert_eq!((read("top=5").unwrap(), read("").unwrap()), (5, 3));
        for wrong in [
            "top=0",
            "top=10",
            "top",
            "top=x",
            "tpo=3",
            "top=-1",
            "top=3&x=1",
        ] {
            assert_eq!(read(wrong).unwrap_err().status(), 400, "{wrong}");
        }
    }
}
