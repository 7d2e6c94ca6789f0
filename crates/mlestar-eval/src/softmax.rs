/// Probabilities, row by row, of logits with `k` values per row: `exp(x) / sum(exp(x))` in f64, shifted by the
/// largest of the row so that nothing overflows. Values after the last whole row are ignored; `k` = 0 returns
/// nothing.
///
/// ```
/// let rows = mlestar_eval::softmax_rows(&[0.0, 0.0, 1000.0, 0.0], 2);
/// assert_eq!(rows, [0.5, 0.5, 1.0, 0.0]);
/// ```
#[must_use]
pub fn softmax_rows(logits: &[f32], k: usize) -> Vec<f64> {
    let mut probabilities = Vec::with_capacity(logits.len());
    if k == 0 {
        return probabilities;
    }
    for row in logits.chunks_exact(k) {
        softmax_onto(row.iter().copied(), &mut probabilities);
    }
    probabilities
}

/// Appends the probabilities of one row of logits. Allocates only if `probabilities` lacks room.
///
/// ```
/// let mut probabilities = Vec::new();
/// mlestar_eval::softmax_onto([3.0, 3.0].into_iter(), &mut probabilities);
/// assert_eq!(probabilities, [0.5, 0.5]);
/// ```
pub fn softmax_onto(logits: impl Iterator<Item = f32> + Clone, probabilities: &mut Vec<f64>) {
    let highest = logits
        .clone()
        .fold(f64::NEG_INFINITY, |a, b| a.max(b.into()));
    let start = probabilities.len();
    probabilities.extend(logits.map(|v| (f64::from(v) - highest).exp()));
    let sum: f64 = probabilities[start..].iter().sum();
    for value in &mut probabilities[start..] {
        *value /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_sum_to_one_and_keep_their_order(
            logits in proptest::collection::vec(-100.0_f32..100.0, 12),
        ) {
            let rows = softmax_rows(&logits, 4);
            prop_assert_eq!(rows.len(), 12);
            for (row, logits) in rows.chunks(4).zip(logits.chunks(4)) {
                prop_assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                for i in 0..3 {
                    if logits[i] > logits[i + 1] {
                        prop_assert!(row[i] >= row[i + 1]);
                    }
                }
            }
        }
    }

    #[test]
    fn rows_sum_to_one_for_extreme_logits() {
        let probabilities = softmax_rows(&[3e38, -3e38, 3e38, 0.0, 1.0], 4);
        assert_eq!(probabilities, [0.5, 0.0, 0.5, 0.0]);
        assert!(softmax_rows(&[1.0], 0).is_empty());
        let [first, second] = softmax_rows(&[1.0, 0.0], 2)[..] else {
            panic!("two logits have two probabilities");
        };
        assert!((first - 1.0 / (1.0 + (-1.0_f64).exp())).abs() < 1e-15);
        assert!((first + second - 1.0).abs() < 1e-15);
    }
}
