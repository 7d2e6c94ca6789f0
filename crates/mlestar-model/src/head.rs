use burn::{
    module::{Module, Param},
    tensor::{Tensor, module::linear},
};

/// A linear layer, such as the one that turns features into logits.
#[derive(Module, Debug)]
pub struct Head {
    /// `[outputs, inputs]`, as in PyTorch: `[classes, features]`.
    pub weight: Param<Tensor<2>>,
    /// `[outputs]`.
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
