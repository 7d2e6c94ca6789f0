use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};
use mlestar_kernels::backend as kernels;

/// The Euclidean norm of all gradients of a step together (the global gradient norm), and the squared norm of
/// each gradient. Both stay on the device.
#[derive(Debug, Clone)]
pub struct GradientNorm {
    norm: Tensor<1>,
    squares: Vec<(String, Tensor<1>)>,
}

impl GradientNorm {
    /// The norm over every parameter of `model` that has a gradient; `None` if no parameter has one.
    #[must_use]
    pub fn of<M: Module>(model: &M, gradients: &GradientsParams) -> Option<Self> {
        let mut summer = Summer {
            gradients,
            path: Vec::new(),
            on_host: 0.0,
            on_device: None,
            squares: Vec::new(),
        };
        model.visit(&mut summer);
        let (_, first) = summer.squares.first()?;
        let norm = match summer.on_device {
            Some(sum) => sum.add_scalar(summer.on_host).sqrt(),
            None => Tensor::from_floats([summer.on_host.sqrt() as f32], &first.device()),
        };
        Some(Self {
            norm,
            squares: summer.squares,
        })
    }

    /// The norm as a tensor `[1]`.
    #[must_use]
    pub fn tensor(&self) -> Tensor<1> {
        self.norm.clone()
    }

    /// The squared norm of every parameter's gradient, a tensor `[1]` each, with the parameter's name (as in
    /// [`Optimizer::state`](crate::Optimizer::state)), in the order of the layers. They sum to the square of
    /// [`GradientNorm::tensor`].
    #[must_use]
    pub fn squares(&self) -> &[(String, Tensor<1>)] {
        &self.squares
    }

    /// The factor, a tensor `[1]`, that scales longer gradients down to `max_norm`; 1 for the others. Same as
    /// PyTorch's `clip_grad_norm_`.
    #[must_use]
    pub fn clip_factor(&self, max_norm: f64) -> Tensor<1> {
        let norm = self.tensor().add_scalar(1e-6);
        norm.recip().mul_scalar(max_norm).clamp_max(1.0)
    }
}

struct Summer<'a> {
    gradients: &'a GradientsParams,
    path: Vec<String>,
    /// Sum of the squares computed by the CPU kernels.
    on_host: f64,
    /// Sum of the other squares.
    on_device: Option<Tensor<1>>,
    squares: Vec<(String, Tensor<1>)>,
}

impl ModuleVisitor for Summer<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else {
            return;
        };
        let square = if kernels::takes(&gradient) {
            let device = gradient.device();
            let square = kernels::sum_of_squares(gradient);
            self.on_host += square;
            Tensor::from_floats([square as f32], &device)
        } else {
            let square = gradient.square().sum();
            self.on_device = Some(match self.on_device.take() {
                Some(sum) => sum + square.clone(),
                None => square.clone(),
            });
            square
        };
        self.squares.push((self.path.join("."), square));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use burn::tensor::{Device, TensorData};
    use mlestar_random::Stream;

    use super::*;

    #[derive(Module, Debug)]
    pub(crate) struct Pair {
        pub(crate) first: Param<Tensor<2>>,
        pub(crate) unused: Param<Tensor<1>>,
        pub(crate) second: Param<Tensor<1>>,
    }

    /// A model whose gradients equal its parameters (the loss is half the sum of squares), and one parameter
    /// without a gradient.
    pub(crate) fn pair(first: &[f32], second: &[f32], device: &Device) -> (Pair, GradientsParams) {
        let model = Pair {
            first: Param::from_data(TensorData::new(first.to_vec(), [1, first.len()]), device),
            unused: Param::from_data(TensorData::new(vec![7.0_f32], [1]), device),
            second: Param::from_data(TensorData::new(second.to_vec(), [second.len()]), device),
        };
        let loss = model.first.val().square().sum() + model.second.val().square().sum();
        let gradients = GradientsParams::from_grads(loss.mul_scalar(0.5).backward(), &model);
        (model, gradients)
    }

    #[test]
    fn norms_of_parameters_sum_to_that_of_all() {
        let device = Device::flex().autodiff();
        let mut stream = Stream::new(4, "gradient norm", 0, 0);
        let mut normals =
            |n: usize| -> Vec<f32> { (0..n).map(|_| stream.normal() as f32).collect() };
        let [first, second] = [normals(7 * 300), normals(11)];
        let square = |values: &[f32]| values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        let [of_first, of_second]: [f64; 2] = [square(&first), square(&second)];
        let (model, gradients) = pair(&first, &second, &device);
        let norm = GradientNorm::of(&model, &gradients).unwrap();
        let names: Vec<&str> = norm
            .squares()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["first", "second"]);
        let near = |tensor: &Tensor<1>, expected: f64| {
            let found = f64::from(tensor.clone().into_scalar::<f32>());
            assert!(
                (found - expected).abs() < 1e-6 * expected,
                "{found} {expected}"
            );
        };
        near(&norm.squares()[0].1, of_first);
        near(&norm.squares()[1].1, of_second);
        near(&norm.tensor(), (of_first + of_second).sqrt());

        let none = GradientsParams::new();
        assert!(GradientNorm::of(&model, &none).is_none());
    }
}
