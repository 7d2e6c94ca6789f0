//! Where sharpness-aware minimisation takes its gradient.

use burn::{
    module::{Module, ModuleMapper, Param},
    optim::GradientsParams,
    tensor::Tensor,
};

use crate::gradient_norm::GradientNorm;

/// Keeps a gradient of zeros from becoming one of NaN; as the authors' code.
const EPSILON: f64 = 1e-12;

/// `model` moved by `rho` along its gradients: every parameter `w` with a gradient `g` becomes
/// `w + rho g / |g|`, the norm over all gradients together. Parameters keep their ids, and running statistics stay
/// shared with `model`.
pub(crate) fn ascended<M: Module>(model: M, gradients: &GradientsParams, rho: f64) -> M {
    let Some(norm) = GradientNorm::of(&model, gradients) else {
        return model;
    };
    let factor = norm.tensor().add_scalar(EPSILON).recip().mul_scalar(rho);
    model.map(&mut Ascent { gradients, factor })
}

struct Ascent<'a> {
    gradients: &'a GradientsParams,
    factor: Tensor<1>,
}

impl ModuleMapper for Ascent<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.get::<D>(param.id) else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.shape();
        let length = [shape.num_elements()];
        let step = gradient.reshape(length) * self.factor.clone();
        let moved = tensor.without_autodiff().reshape(length) + step;
        let moved = Tensor::from_inner(moved.reshape(shape)).require_grad();
        Param::from_mapped_value(id, moved, mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mlestar_random::Stream;

    use super::*;
    use crate::gradient_norm::tests::{Pair, pair};

    fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
        param.val().into_data().iter::<f32>().collect()
    }

    #[test]
    fn parameters_move_by_rho_along_their_gradients_together() {
        let device = Device::flex().autodiff();
        let mut stream = Stream::new(5, "sam", 0, 0);
        let mut normals =
            |n: usize| -> Vec<f32> { (0..n).map(|_| stream.normal() as f32).collect() };
        let [first, second] = [normals(300), normals(11)];
        let (model, gradients) = pair(&first, &second, &device);
        let rho = 0.3;
        let there = ascended(model.clone(), &gradients, rho);
        let squares = first.iter().chain(&second).map(|&w| f64::from(w).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        let found = values(&there.first)
            .into_iter()
            .chain(values(&there.second));
        let mut moved = 0.0;
        for (found, &w) in found.zip(first.iter().chain(&second)) {
            let expected = f64::from(w) * (1.0 + rho / norm);
            assert!(
                (f64::from(found) - expected).abs() < 1e-6,
                "{found} {expected}"
            );
            moved += (f64::from(found) - f64::from(w)).powi(2);
        }
        assert!((moved.sqrt() - rho).abs() < 1e-5, "{moved}");
        assert_eq!(values(&there.unused), [7.0]);
        assert_eq!(
            (values(&model.first), values(&model.second)),
            (first, second)
        );
        let ids = |pair: &Pair| [pair.first.id, pair.unused.id, pair.second.id];
        assert_eq!(ids(&there), ids(&model));
    }

    #[test]
    fn gradients_of_zero_or_none_move_nothing() {
        let device = Device::flex().autodiff();
        let (model, gradients) = pair(&[0.0; 3], &[0.0; 2], &device);
        assert_eq!(
            values(&ascended(model.clone(), &gradients, 1.0).first),
            [0.0; 3]
        );
        let none = GradientsParams::new();
        assert_eq!(values(&ascended(model, &none, 1.0).unused), [7.0]);
    }
}
