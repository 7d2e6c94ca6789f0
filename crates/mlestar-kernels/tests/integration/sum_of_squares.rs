//! The sum of squares against 64 bits.

use mlestar_kernels::sum_of_squares;
use proptest::prelude::*;

use crate::reference::random;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_is_the_sum_in_64_bits(
        seed in any::<u64>(),
        len in prop_oneof![0_usize..=200, 1000_usize..=1100, 32_700_usize..=33_000, Just(200_003)],
        size in prop_oneof![Just(1.0_f32), Just(1e-12), Just(1e12)],
    ) {
        let values: Vec<f32> = random(seed, "values", len).iter().map(|v| v * size).collect();
        let expected: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        let found = sum_of_squares(&values);
        prop_assert!((found - expected).abs() <= 1e-6 * expected, "{} and {}", found, expected);
    }
}

#[test]
fn the_bits_are_the_same_on_any_threads() {
    let values = random(3, "values", 300_001);
    let bits = [1, 2, 3, 8].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let sum = pool.unwrap().install(|| sum_of_squares(&values));
        sum.to_bits()
    });
    assert_eq!(bits, [bits[0]; 4]);
}

#[test]
fn what_is_not_finite_shows() {
    let mut values = random(3, "values", 5000);
    values[4321] = f32::NAN;
    assert!(sum_of_squares(&values).is_nan());
    values[4321] = f32::NEG_INFINITY;
    assert_eq!(sum_of_squares(&values), f64::INFINITY);
}
