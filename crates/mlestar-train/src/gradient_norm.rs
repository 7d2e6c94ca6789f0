use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};

/// The Euclidean norm of all gradients of a step together, still on the device.
#[derive(Debug, Clone)]
pub struct GradientNorm(Tensor<1>);

impl GradientNorm {
    /// The norm over every parameter of `model` that has a gradient; `None` if none has.
    #[must_use]
    pub fn of<M: Module>(model: &M, gradients: &GradientsParams) -> Option<Self> {
        let mut summer = Summer {
            gradients,
            squares: None,
        };
        model.visit(&mut summer);
        summer.squares.map(|squares| Self(squares.sqrt()))
    }

    /// The norm as a tensor `[1]`.
    #[must_use]
    pub fn tensor(&self) -> Tensor<1> {
        self.0.clone()
    }

    /// The factor, a tensor `[1]`, that shortens gradients to `max_norm` where they are longer;
    /// otherwise 1. As PyTorch's `clip_grad_norm_`.
    #[must_use]
    pub fn clip_factor(&self, max_norm: f64) -> Tensor<1> {
        let norm = self.tensor().add_scalar(1e-6);
        norm.recip().mul_scalar(max_norm).clamp_max(1.0)
    }
}

struct Summer<'a> {
    gradients: &'a GradientsParams,
    squares: Option<Tensor<1>>,
}

impl ModuleVisitor for Summer<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else {
            return;
        };
        let squares = gradient.square().sum();
        self.squares = Some(match self.squares.take() {
            Some(sum) => sum + squares,
            None => squares,
        });
    }
}
