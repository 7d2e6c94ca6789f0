//! Random matrices, and their products in f64.

pub(super) fn random(what: &str, len: usize) -> Vec<f32> {
    let mut stream = mlestar_random::Stream::new(5, what, 0, 0);
    (0..len).map(|_| stream.normal() as f32).collect()
}

/// A matrix that is its own transpose.
pub(super) fn random_symmetric(side: usize) -> Vec<f32> {
    let values = random("symmetric", side * side);
    let at = |index: usize| [index / side, index % side];
    (0..side * side)
        .map(|index| {
            let [row, column] = at(index);
            values[row.min(column) * side + row.max(column)]
        })
        .collect()
}

/// `left rightᵀ + added`.
pub(super) fn expected(
    left: &[f32],
    right: &[f32],
    [rows, summed, columns]: [usize; 3],
    added: Option<&[f32]>,
) -> Vec<f64> {
    let value = |index: usize| {
        let (row, column) = (index / columns, index % columns);
        let factors = left[row * summed..][..summed].iter();
        let products = factors.zip(&right[column * summed..][..summed]);
        let sum: f64 = products.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        sum + added.map_or(0.0, |added| f64::from(added[index]))
    };
    (0..rows * columns).map(value).collect()
}
