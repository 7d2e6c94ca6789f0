//! Muon (Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon>).

use burn::tensor::Tensor;
use mlestar_kernels::{
    MuonStep, NEWTON_SCHULZ_COEFFICIENTS, NEWTON_SCHULZ_EPSILON, NEWTON_SCHULZ_ROUNDS,
    backend as kernels,
};
use mlestar_model::ModelSpec;

use super::{Change, Moments};

/// Rows of the matrix that Muon makes of a parameter with this shape; `None` if AdamW updates the parameter.
///
/// Muon updates filters `[out, in, height, width]` as `out` rows. It skips filters that read the channels of an
/// image, or one channel each: neither maps features to features.
pub(super) fn rows(shape: &[usize]) -> Option<usize> {
    match *shape {
        [out, channels, _, _] if channels > ModelSpec::CHANNELS => Some(out),
        _ => None,
    }
}

pub(super) fn by_kernel(
    step: &MuonStep,
    rows: usize,
    scale: f32,
    change: Change,
    known: Option<Moments>,
) -> (Tensor<1>, Option<Moments>) {
    let buffer = known.map_or_else(|| change.zeros(), |moments| moments.first);
    let Change {
        parameter,
        gradient,
    } = change;
    let [parameter, buffer] = kernels::muon_step(step, scale, gradient, rows, parameter, buffer);
    (parameter, Some(Moments::first(buffer)))
}

pub(super) fn by_burn(
    step: &MuonStep,
    rows: usize,
    change: Change,
    known: Option<Moments>,
) -> (Tensor<1>, Option<Moments>) {
    let Change {
        parameter,
        gradient,
    } = change;
    let buffer = match known {
        Some(moments) => moments.first.mul_scalar(step.momentum) + gradient.clone(),
        None => gradient.clone(),
    };
    let direction = gradient + buffer.clone().mul_scalar(step.momentum);
    let [len] = direction.dims();
    let columns = len / rows;
    let orthogonal = orthogonalize(direction.reshape([rows, columns])).reshape([len]);
    let rate = step.rate * MuonStep::shape_factor(rows, columns);
    let parameter =
        parameter.mul_scalar(1.0 - step.rate * step.weight_decay) - orthogonal.mul_scalar(rate);
    (parameter, Some(Moments::first(buffer)))
}

/// Same as [`mlestar_kernels::orthogonalize`], with Burn's operations.
fn orthogonalize(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    let is_tall = rows > columns;
    let x = match is_tall {
        true => matrix.transpose(),
        false => matrix,
    };
    let norm = x.clone().square().sum().sqrt();
    let x = x / norm.add_scalar(NEWTON_SCHULZ_EPSILON).reshape([1, 1]);
    let [a, b, c] = NEWTON_SCHULZ_COEFFICIENTS;
    let mut gram = x.clone().matmul(x.clone().transpose());
    let identity = Tensor::<2>::eye(rows.min(columns), &x.device());
    let mut factor = identity.clone();
    for _ in 0..NEWTON_SCHULZ_ROUNDS {
        let polynomial = identity.clone().mul_scalar(a)
            + gram.clone().mul_scalar(b)
            + gram.clone().matmul(gram.clone()).mul_scalar(c);
        gram = polynomial.clone().matmul(gram).matmul(polynomial.clone());
        factor = polynomial.matmul(factor);
    }
    let x = factor.matmul(x);
    match is_tall {
        true => x.transpose(),
        false => x,
    }
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn muon_takes_the_filters_between_features() {
        assert_eq!(rows(&[32, 16, 3, 3]), Some(32));
        assert_eq!(rows(&[32, 16, 1, 1]), Some(32));
        // The first convolution, one filter per channel, the head, a bias.
        for shape in [&[64, 3, 3, 3][..], &[64, 1, 3, 3], &[10, 256], &[10]] {
            assert_eq!(rows(shape), None, "{shape:?}");
        }
    }
}
