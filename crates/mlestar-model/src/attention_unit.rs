use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{
        Device, Tensor,
        activation::{relu, sigmoid},
    },
};

use crate::{AttentionDescription, AttentionKind, head::Head, init, path::Path};

/// The tensors of an [`AttentionDescription`].
#[derive(Module, Debug)]
pub(crate) struct AttentionUnit {
    layers: Layers,
    #[module(skip)]
    pub description: AttentionDescription,
}

#[derive(Module, Debug)]
enum Layers {
    Channels(SqueezeExcitation),
    Pixels(Spatial),
}

#[derive(Module, Debug)]
struct SqueezeExcitation {
    reduce: Head,
    expand: Head,
}

#[derive(Module, Debug)]
struct Spatial {
    conv: Filter,
}

/// A convolution of two maps to one.
#[derive(Module, Debug)]
struct Filter {
    /// `[1, 2, height, width]`.
    weight: Param<Tensor<4>>,
    /// `[1]`.
    bias: Param<Tensor<1>>,
}

impl AttentionUnit {
    pub(crate) fn new(description: &AttentionDescription, seed: u64, device: &Device) -> Self {
        let channels = description.channels;
        let linear = |layer: &str, inputs, outputs| {
            init::linear(
                &description.layer_name(layer),
                inputs,
                outputs,
                seed,
                device,
            )
        };
        let layers = match description.kind {
            AttentionKind::Channels { reduced } => Layers::Channels(SqueezeExcitation {
                reduce: linear("reduce", channels, reduced),
                expand: linear("expand", reduced, channels),
            }),
            AttentionKind::Pixels { kernel } => {
                let name = description.layer_name("conv");
                let (weight, bias) = init::uniform(&name, [1, 2, kernel, kernel], seed, device);
                Layers::Pixels(Spatial {
                    conv: Filter { weight, bias },
                })
            }
        };
        Self {
            layers,
            description: description.clone(),
        }
    }

    /// The map with its channels or pixels scaled, in training and in evaluation.
    pub(crate) fn forward(&self, path: Path, x: Tensor<4>) -> Tensor<4> {
        match &self.layers {
            Layers::Channels(layers) => {
                let mean = path.average_pool(x.clone());
                let reduced = relu(layers.reduce.forward(mean));
                let factors = sigmoid(layers.expand.forward(reduced));
                path.scale_channels(x, factors)
            }
            Layers::Pixels(Spatial { conv }) => {
                let axis = path.channel_axis();
                let maps = Tensor::cat(
                    vec![x.clone().mean_dim(axis), x.clone().max_dim(axis)],
                    axis,
                );
                let sums =
                    path.filter(maps, conv.weight.val()) + conv.bias.val().reshape([1, 1, 1, 1]);
                x * sigmoid(sums)
            }
        }
    }

    /// Visits its tensors under the names in the description.
    pub(crate) fn visit_named<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.enter_module(&self.description.name, "AttentionUnit");
        match &self.layers {
            Layers::Channels(layers) => layers.visit(visitor),
            Layers::Pixels(layers) => layers.visit(visitor),
        }
        visitor.exit_module(&self.description.name, "AttentionUnit");
    }

    /// Maps its tensors under the names in the description.
    pub(crate) fn map_named<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let name = self.description.name.clone();
        mapper.enter_module(&name, "AttentionUnit");
        let layers = match self.layers {
            Layers::Channels(layers) => Layers::Channels(layers.map(mapper)),
            Layers::Pixels(layers) => Layers::Pixels(layers.map(mapper)),
        };
        mapper.exit_module(&name, "AttentionUnit");
        Self { layers, ..self }
    }
}
