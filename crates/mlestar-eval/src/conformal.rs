/// A limit that a new sample's score falls below with a probability of at most `rate`, chosen from the scores of
/// `n` samples; `None` if `n` is too small for any limit (below `1 / rate - 1`).
///
/// The limit is the `k`-th lowest score with `k = floor(rate (n + 1))`. If the new sample is like the others
/// (exchangeable), all ranks of its score are equally likely, so that it lies below the limit with a probability of
/// `k / (n + 1)`, whatever the distribution (Vovk, Gammerman, Shafer 2005, "Algorithmic learning in a random world",
/// 2.2). Equal scores only lower the probability. NaN counts as the lowest score.
///
/// ```
/// use mlestar_eval::conformal_limit;
/// let scores: Vec<f64> = (1..=99).map(f64::from).collect();
/// assert_eq!(conformal_limit(&scores, 0.05), Some(5.0));
/// assert_eq!(conformal_limit(&scores[..18], 0.05), None);
/// ```
#[must_use]
pub fn conformal_limit(scores: &[f64], rate: f64) -> Option<f64> {
    // The product of a rate such as 0.05 and a whole number may round to just below a whole number.
    let rank = (rate * (scores.len() as f64 + 1.0) + 1e-9).floor();
    if rank.is_nan() || rank < 1.0 || rank > scores.len() as f64 {
        return None;
    }
    let mut sorted: Vec<f64> = scores
        .iter()
        .map(|score| match score.is_nan() {
            true => f64::NEG_INFINITY,
            false => *score,
        })
        .collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(rank as usize - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_definition() {
        let scores: Vec<f64> = (1..=19).rev().map(f64::from).collect();
        assert_eq!(conformal_limit(&scores, 0.05), Some(1.0));
        assert_eq!(conformal_limit(&scores, 0.1), Some(2.0));
        assert_eq!(conformal_limit(&scores, 0.0499), None);
        assert_eq!(conformal_limit(&scores, 1.0), None, "no score is above all");
        assert_eq!(conformal_limit(&[], 0.5), None);
        assert_eq!(conformal_limit(&scores, f64::NAN), None);
    }

    #[test]
    fn a_new_sample_falls_below_as_often_as_promised() {
        // Splitmix64: independent of the project's own streams.
        let mut state = 7_u64;
        let mut draw = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        };
        let rounds = 20_000;
        let mut below = 0;
        for _ in 0..rounds {
            // A skewed distribution: the promise does not depend on it.
            let scores: Vec<f64> = (0..59).map(|_| draw().ln()).collect();
            let limit = conformal_limit(&scores, 0.1).unwrap();
            below += usize::from(draw().ln() < limit);
        }
        // Exactly 6 of 60 ranks: 0.1, with a standard error of 0.002.
        let share = below as f64 / rounds as f64;
        assert!((share - 0.1).abs() < 0.01, "{share}");
    }
}
