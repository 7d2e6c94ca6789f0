//! The step of Muon: momentum with an orthogonalised direction.
//!
//! The matrix products of the Newton-Schulz iteration are all of the form `A Bᵀ`.

use rayon::prelude::*;

use crate::{
    KernelError, Level,
    error::check_length,
    memory::Buffer,
    optimizer::PIECE_VALUES,
    product::{multiply_symmetric, multiply_transposed},
    sum_of_squares,
};

/// Coefficients `a`, `b`, `c` of the iteration `X <- a X + (b A + c A A) X` with `A = X Xᵀ`. Small singular
/// values grow fastest; after five iterations all are near 1 (Jordan et al. 2024,
/// <https://kellerjordan.github.io/posts/muon>).
pub const NEWTON_SCHULZ_COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];

/// Number of iterations.
pub const NEWTON_SCHULZ_ROUNDS: usize = 5;

/// Added to the norm that the iteration first divides by, so that a zero matrix stays zero.
pub const NEWTON_SCHULZ_EPSILON: f64 = 1e-7;

/// Coefficients of one step of Muon (Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon>).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MuonStep {
    /// Learning rate.
    pub rate: f64,
    /// Decay of the momentum buffer, 0-1; the step looks ahead by it (Nesterov).
    pub momentum: f64,
    /// Weight decay, which shrinks the parameter directly.
    pub weight_decay: f64,
}

impl MuonStep {
    /// Factor of the orthogonal matrix of `rows` x `columns`, per unit of the rate:
    /// `sqrt(max(1, rows / columns))`.
    #[must_use]
    pub fn shape_factor(rows: usize, columns: usize) -> f64 {
        (rows as f64 / columns.max(1) as f64).max(1.0).sqrt()
    }
}

/// Updates `parameter` and `buffer`, matrices of `rows` rows. Gradients are first multiplied by
/// `gradient_scale`.
///
/// # Errors
///
/// [`KernelError`] if the slices differ in length, or their length is not a multiple of `rows`.
///
/// ```
/// use mlestar_kernels::{MuonStep, muon_step};
///
/// let step = MuonStep { rate: 0.1, momentum: 0.9, weight_decay: 0.0 };
/// let (mut parameter, mut buffer) = ([0.0; 4], [0.0; 4]);
/// // A diagonal gradient: the step has singular values near 1, whatever the gradient's are.
/// muon_step(&step, 1.0, &[30.0, 0.0, 0.0, 10.0], 2, &mut parameter, &mut buffer)?;
/// assert!((parameter[0] + 0.1).abs() < 0.04 && (parameter[3] + 0.1).abs() < 0.04);
/// assert_eq!(parameter[1], 0.0);
/// # Ok::<(), mlestar_kernels::KernelError>(())
/// ```
pub fn muon_step(
    step: &MuonStep,
    gradient_scale: f32,
    gradient: &[f32],
    rows: usize,
    parameter: &mut [f32],
    buffer: &mut [f32],
) -> Result<(), KernelError> {
    let len = parameter.len();
    check_length("gradient", gradient, len)?;
    check_length("momentum buffer", buffer, len)?;
    let columns = check_matrix(len, rows)?;
    let momentum = step.momentum as f32;
    let mut direction = Buffer::new(len);
    direction
        .as_mut_slice()
        .par_chunks_mut(PIECE_VALUES)
        .zip(buffer.par_chunks_mut(PIECE_VALUES))
        .zip(gradient.par_chunks(PIECE_VALUES))
        .for_each(|((direction, buffer), gradient)| {
            for ((direction, buffer), gradient) in direction.iter_mut().zip(buffer).zip(gradient) {
                let gradient = gradient * gradient_scale;
                *buffer = momentum * *buffer + gradient;
                *direction = gradient + momentum * *buffer;
            }
        });
    let orthogonal = orthogonal(direction.as_slice(), rows)?;
    let rate = (step.rate * MuonStep::shape_factor(rows, columns)) as f32;
    let shrink = (1.0 - step.rate * step.weight_decay) as f32;
    parameter
        .par_chunks_mut(PIECE_VALUES)
        .zip(orthogonal.as_slice().par_chunks(PIECE_VALUES))
        .for_each(|(parameter, orthogonal)| {
            for (value, orthogonal) in parameter.iter_mut().zip(orthogonal) {
                *value = *value * shrink - rate * orthogonal;
            }
        });
    Ok(())
}

/// A matrix with the singular vectors of `matrix`, of `rows` rows, and singular values near 1 (0.68 to 1.14,
/// unless those of `matrix` are tiny compared with its norm).
///
/// All factors of the iteration are polynomials of the first `A = X Xᵀ`, so they commute and their products are
/// symmetric. The iteration therefore runs on the small matrix, `A <- P A P` and `Q <- P Q` with
/// `P = a + b A + c A A`, of which half is computed, and `X` is multiplied once, by the last `Q`. For 3x3 filters that is
/// about a quarter of the operations. The cost is the rounding of `A`, which holds squares: about 0.001 in the
/// spectral norm at worst.
///
/// # Errors
///
/// [`KernelError::Shape`] if `matrix` is not a whole number of rows.
pub fn orthogonalize(matrix: &[f32], rows: usize) -> Result<Vec<f32>, KernelError> {
    Ok(orthogonal(matrix, rows)?.as_slice().to_vec())
}

fn orthogonal(matrix: &[f32], rows: usize) -> Result<Buffer, KernelError> {
    let level = Level::current();
    let columns = check_matrix(matrix.len(), rows)?;
    let norm = sum_of_squares(matrix).sqrt() + NEWTON_SCHULZ_EPSILON;
    let x = scaled(matrix, (1.0 / norm) as f32);
    let x = x.as_slice();
    let columns_of_x = transposed(x, rows, columns);
    let columns_of_x = columns_of_x.as_slice();
    let mut out = Buffer::new(matrix.len());
    // The factor is smaller on the side with fewer vectors.
    if rows > columns {
        let factor = newton_schulz_factor(level, columns_of_x, [columns, rows])?;
        let sizes = [rows, columns, columns];
        multiply_transposed(level, x, &factor, sizes, None, out.as_mut_slice())?;
    } else {
        let factor = newton_schulz_factor(level, x, [rows, columns])?;
        let sizes = [rows, rows, columns];
        multiply_transposed(
            level,
            &factor,
            columns_of_x,
            sizes,
            None,
            out.as_mut_slice(),
        )?;
    }
    Ok(out)
}

/// The total left factor of `x`, of `m` rows and `n` columns, over all iterations: `m` rows and columns,
/// symmetric.
fn newton_schulz_factor(
    level: Level,
    x: &[f32],
    [m, n]: [usize; 2],
) -> Result<Vec<f32>, KernelError> {
    let [a, b, c] = NEWTON_SCHULZ_COEFFICIENTS.map(|coefficient| coefficient as f32);
    let square = [m; 2];
    let mut gram = vec![0.0; m * m];
    multiply_symmetric(level, x, x, [m, n], None, &mut gram)?;
    let mut factor = Vec::new();
    let mut polynomial = vec![0.0; m * m];
    let mut product = vec![0.0; m * m];
    for round in 1..=NEWTON_SCHULZ_ROUNDS {
        let mut by_c = gram.clone();
        scale(&mut by_c, c);
        let mut lower_terms = gram.clone();
        scale(&mut lower_terms, b);
        for diagonal in lower_terms.iter_mut().step_by(m + 1) {
            *diagonal += a;
        }
        // Each of these matrices is its own transpose, and so are their products.
        multiply_symmetric(
            level,
            &gram,
            &by_c,
            square,
            Some(&lower_terms),
            &mut polynomial,
        )?;
        if round < NEWTON_SCHULZ_ROUNDS {
            multiply_symmetric(level, &polynomial, &gram, square, None, &mut product)?;
            multiply_symmetric(level, &product, &polynomial, square, None, &mut gram)?;
        }
        if round == 1 {
            factor.clone_from(&polynomial);
        } else {
            multiply_symmetric(level, &polynomial, &factor, square, None, &mut product)?;
            std::mem::swap(&mut factor, &mut product);
        }
    }
    Ok(factor)
}

fn check_matrix(len: usize, rows: usize) -> Result<usize, KernelError> {
    if rows == 0 || !len.is_multiple_of(rows) || len == 0 {
        return Err(KernelError::Shape {
            what: "matrix",
            reason: format!("{len} values are not a whole number of columns for {rows} rows"),
        });
    }
    Ok(len / rows)
}

fn scaled(values: &[f32], factor: f32) -> Buffer {
    let mut out = Buffer::new(values.len());
    out.as_mut_slice()
        .par_chunks_mut(PIECE_VALUES)
        .zip(values.par_chunks(PIECE_VALUES))
        .for_each(|(out, values)| {
            for (out, value) in out.iter_mut().zip(values) {
                *out = value * factor;
            }
        });
    out
}

fn scale(values: &mut [f32], factor: f32) {
    values
        .par_chunks_mut(PIECE_VALUES)
        .for_each(|values| values.iter_mut().for_each(|value| *value *= factor));
}

/// Side of the squares in which a matrix is transposed, so that the lines read and written stay in the
/// first-level cache.
const SQUARE: usize = 16;

fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Buffer {
    let mut out = Buffer::new(matrix.len());
    out.as_mut_slice()
        .par_chunks_mut(rows * SQUARE)
        .enumerate()
        .for_each(|(band, out)| {
            let first = band * SQUARE;
            for top in (0..rows).step_by(SQUARE) {
                for (column, out) in out.chunks_exact_mut(rows).enumerate() {
                    for row in top..rows.min(top + SQUARE) {
                        out[row] = matrix[row * columns + first + column];
                    }
                }
            }
        });
    out
}
