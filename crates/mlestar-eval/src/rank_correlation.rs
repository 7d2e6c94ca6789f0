/// Spearman's rank correlation of paired values, -1 to 1: Pearson's correlation of their ranks, where equal values share
/// the mean of their ranks (Spearman 1904, "The proof and measurement of association between two things").
/// `scipy.stats.spearmanr`.
///
/// `None` for lists of different lengths, fewer than two values, values that are all equal, and NaN.
///
/// ```
/// use mlestar_eval::rank_correlation;
/// assert_eq!(rank_correlation(&[1.0, 2.0, 3.0], &[10.0, 30.0, 20.0]), Some(0.5));
/// assert_eq!(rank_correlation(&[1.0, 1.0], &[10.0, 30.0]), None);
/// ```
#[must_use]
pub fn rank_correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.iter().chain(b).any(|value| value.is_nan()) {
        return None;
    }
    let (a, b) = (centred_ranks(a), centred_ranks(b));
    let product = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| (product(&a, &b) / scale).clamp(-1.0, 1.0))
}

/// The rank of each value minus the mean rank.
fn centred_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let middle = (values.len() as f64 - 1.0) / 2.0;
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let equal = |&&index: &&usize| values[index] == values[order[first]];
        let n = order[first..].iter().take_while(equal).count();
        for &index in &order[first..first + n] {
            ranks[index] = first as f64 + (n as f64 - 1.0) / 2.0 - middle;
        }
        first += n;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of SciPy 1.17.
    #[test]
    fn it_equals_scipys() {
        for (a, b, expected) in [
            (
                vec![
                    106.0, 100.0, 86.0, 101.0, 99.0, 103.0, 97.0, 113.0, 112.0, 110.0,
                ],
                vec![7.0, 27.0, 2.0, 50.0, 28.0, 29.0, 20.0, 12.0, 6.0, 17.0],
                -0.175_757_575_757_575_75,
            ),
            (
                vec![1.0, 2.0, 2.0, 3.0, 5.0],
                vec![5.0, 6.0, 7.0, 8.0, 7.0],
                0.763_157_894_736_842,
            ),
        ] {
            let found = rank_correlation(&a, &b).unwrap();
            assert!((found - expected).abs() < 1e-12, "{found}");
            assert_eq!(rank_correlation(&a, &a), Some(1.0));
            let turned: Vec<f64> = a.iter().map(|value| -value).collect();
            assert_eq!(rank_correlation(&a, &turned), Some(-1.0));
        }
    }

    #[test]
    fn what_has_no_order_has_no_correlation() {
        assert_eq!(rank_correlation(&[], &[]), None);
        assert_eq!(rank_correlation(&[1.0], &[1.0]), None);
        assert_eq!(rank_correlation(&[1.0, 2.0], &[1.0]), None);
        assert_eq!(rank_correlation(&[1.0, f64::NAN], &[1.0, 2.0]), None);
        assert_eq!(rank_correlation(&[0.0, -0.0], &[1.0, 2.0]), None);
    }
}
