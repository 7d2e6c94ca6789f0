use burn::{
    module::{Module, Param},
    tensor::{Tensor, module::linear},
};

/// The linear layer that turns features into logits.
#[derive(Module, Debug)]
pub struct Head {
    /// `[classes, features]`, as in PyTorch.
    pub weight: Param<Tensor<2>>,
    /// `[classes]`.
    pub bias: Param<Tensor<1>>,
}

impl Head {
    pub(crate) fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        linear(
            features,
            self.weight.val().transpose(),
            Some(self.bias.val()),
        )
    }
}
