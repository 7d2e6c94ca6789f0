/// The middle value; for an even number of values, the mean of the two middle ones; `None` if there are none.
/// NaN is skipped, infinities count.
///
/// ```
/// use mlestar_eval::median;
/// assert_eq!(median(&[4.0, f64::NAN, 1.0]), Some(2.5));
/// assert_eq!(median(&[4.0, f64::INFINITY, 1.0]), Some(4.0));
/// assert_eq!(median(&[]), None);
/// ```
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    // Halved first, so that the sum of two large values does not overflow.
    Some(lower / 2.0 + upper / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(median(&[f64::NAN]), None);
        assert_eq!(median(&[2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(median(&[3.0, f64::NAN, 1.0, 100.0, 5.0]), Some(4.0));
        assert_eq!(median(&[1.0, f64::INFINITY]), Some(f64::INFINITY));
        assert_eq!(median(&[f64::MAX, f64::MAX]), Some(f64::MAX));
    }
}
