//! The range whose rounded distribution is closest to the true one.
//!
//! After Migacz 2017, "8-bit inference with TensorRT". There, values have no sign or a symmetric range. Here both ends
//! of the range shrink in proportion, so that it also fits values that are mostly positive, such as a SiLU's.

use crate::quantize::histogram::{BINS, Histogram};

/// Ranges that are compared: these parts of the full one, in equal steps.
const CANDIDATES: usize = 64;
/// The narrowest is an eighth, with two bins for each of the 256 integers.
const NARROWEST: usize = CANDIDATES / 8;
/// Probability of a value where the rounded distribution has none, so that the divergence stays finite.
const LEAST: f64 = 1e-9;

pub(super) fn range(histogram: &Histogram) -> [f32; 2] {
    let mut counts = histogram.counts.clone();
    // Every range represents 0 exactly, so these values favour none.
    counts[histogram.zero_bin()] -= histogram.zeros;
    let zero = histogram.zero_bin();
    let mut best = (f64::INFINITY, CANDIDATES);
    // From the widest: of equally good ranges it wins.
    for candidate in (NARROWEST..=CANDIDATES).rev() {
        let part = |bins: usize| (bins * candidate).div_ceil(CANDIDATES);
        let begin = zero - part(zero);
        let end = zero + part(BINS - zero);
        let divergence = divergence(&counts, begin, end);
        if divergence < best.0 {
            best = (divergence, candidate);
        }
    }
    let part = best.1 as f32 / CANDIDATES as f32;
    [histogram.low * part, histogram.high * part]
}

/// Kullback-Leibler divergence of the distribution that 256 integers from bin `begin` to before `end` give, from
/// the one where all values beyond are at the ends.
fn divergence(counts: &[u64], begin: usize, end: usize) -> f64 {
    let inside = &counts[begin..end];
    let sum = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
    let mut clipped: Vec<f64> = inside.iter().map(|&count| count as f64).collect();
    clipped[0] += sum(&counts[..begin]);
    clipped[inside.len() - 1] += sum(&counts[end..]);
    let (total, total_inside) = (sum(counts), sum(inside));
    if total_inside == 0.0 {
        return if total == 0.0 { 0.0 } else { f64::INFINITY };
    }
    let mut divergence = 0.0;
    for integer in 0..256 {
        let bin = |integer: usize| integer * inside.len() / 256;
        let bins = bin(integer)..bin(integer + 1);
        // An integer stands for all its values alike.
        let used = clipped[bins.clone()].iter().filter(|&&count| count > 0.0);
        let each = sum(&inside[bins.clone()]) / used.clone().count().max(1) as f64 / total_inside;
        for count in used {
            let share = count / total;
            divergence += share * (share / each.max(LEAST)).ln();
        }
    }
    divergence
}

#[cfg(test)]
mod tests {
    use mlestar_random::Stream;

    use super::*;

    fn histogram(values: &[f32]) -> Histogram {
        let low = values.iter().copied().fold(0.0, f32::min);
        let high = values.iter().copied().fold(0.0, f32::max);
        let mut histogram = Histogram::new(low, high);
        histogram.add(values);
        histogram
    }

    #[test]
    fn an_even_distribution_keeps_its_range() {
        let values: Vec<f32> = (0..100_000).map(|index| index as f32 / 1000.0).collect();
        let [low, high] = range(&histogram(&values));
        assert_eq!(low, 0.0);
        assert!(high > 97.0, "{high}");
    }

    #[test]
    fn a_single_outlier_is_cut_off() {
        let mut stream = Stream::new(1, "entropy", 0, 0);
        let mut values: Vec<f32> = (0..100_000).map(|_| stream.normal().abs() as f32).collect();
        values.push(40.0);
        let [low, high] = range(&histogram(&values));
        assert_eq!(low, 0.0);
        assert!((2.5..8.0).contains(&high), "{high}");
    }

    #[test]
    fn both_ends_shrink_in_proportion() {
        let mut stream = Stream::new(2, "entropy", 0, 0);
        let mut values: Vec<f32> = (0..100_000).map(|_| stream.normal() as f32).collect();
        values.extend([-30.0, 60.0]);
        let [low, high] = range(&histogram(&values));
        assert!(
            (high + 2.0 * low).abs() < 1e-3 && high < 20.0,
            "{low} {high}"
        );
    }

    #[test]
    fn zeros_do_not_count() {
        let mut values = vec![0.0; 1_000_000];
        let ramp = (0..50_000).map(|index| index as f32 / 500.0);
        values.extend(ramp);
        assert!(range(&histogram(&values))[1] > 97.0);
        assert_eq!(range(&histogram(&[0.0; 5])), [0.0, 0.0]);
    }
}
