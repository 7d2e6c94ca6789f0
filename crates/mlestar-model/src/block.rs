use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Device, Tensor},
};

use crate::attention_unit::AttentionUnit;
use crate::description::{BlockDescription, MaxPool, Shortcut, UnitDescription};
use crate::{Activation, BatchNorm, init, path::Path};

/// The tensors of a [`UnitDescription`].
#[derive(Module, Debug)]
pub(crate) struct Unit {
    /// `[out, in, height, width]`, of the convolution.
    pub weight: Param<Tensor<4>>,
    pub bn: BatchNorm,
    #[module(skip)]
    pub description: UnitDescription,
}

impl Unit {
    pub(crate) fn new(description: &UnitDescription, seed: u64, device: &Device) -> Self {
        Self {
            weight: init::convolution(description, seed, device),
            bn: BatchNorm::new(description.channels_out, description.epsilon, device),
            description: description.clone(),
        }
    }

    /// In evaluation; `added` is added before the activation.
    fn forward(&self, path: Path, x: Tensor<4>, added: Option<Tensor<4>>) -> Tensor<4> {
        let [before_pool, after_pool] = self.description.activations_round_pool();
        let y = path.convolve_normalized(
            &self.description,
            self.weight.val(),
            &self.bn,
            x,
            added,
            before_pool,
        );
        path.activate(path.max_pool(y, self.description.pool), after_pool)
    }

    /// In evaluation, up to the normalisation; for a unit without a max pool.
    fn forward_normalized(&self, path: Path, x: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        path.convolve_normalized(&self.description, weight, &self.bn, x, None, None)
    }

    /// In training, up to the normalisation. Frozen statistics make the normalisation linear: it is part of the
    /// convolution then, as in evaluation.
    fn convolve(&self, path: Path, x: Tensor<4>, frozen_statistics: bool) -> Tensor<4> {
        let y = match frozen_statistics {
            false => path.convolve(&self.description, x, self.weight.val()),
            true => {
                let weight = self.weight.val();
                let fixed = (!self.description.trains_scale()).then(|| self.bn.with_fixed_scale());
                let bn = fixed.as_ref().unwrap_or(&self.bn);
                path.convolve_normalized(&self.description, weight, bn, x, None, None)
            }
        };
        path.max_pool(y, self.description.pool_before_normalization())
    }

    /// In training, from the normalisation to a final pool.
    fn normalize(
        &self,
        path: Path,
        x: Tensor<4>,
        added: Option<Tensor<4>>,
        activation: Option<Activation>,
        frozen_statistics: bool,
    ) -> Tensor<4> {
        if frozen_statistics {
            return path.finish(x, added, activation);
        }
        let scale = match self.description.trains_scale() {
            true => self.bn.weight.val(),
            // It receives no gradient.
            false => self.bn.weight.val().detach(),
        };
        path.normalize(&self.bn, scale, x, added, activation)
    }

    fn forward_train(&self, path: Path, x: Tensor<4>, frozen_statistics: bool) -> Tensor<4> {
        let y = self.convolve(path, x, frozen_statistics);
        let activation = self.description.activation;
        let y = self.normalize(path, y, None, activation, frozen_statistics);
        path.max_pool(y, self.pool_at_end())
    }

    fn pool_at_end(&self) -> Option<MaxPool> {
        self.description.pool_after_activation()
    }

    /// Visits its tensors under the names in the description.
    pub(crate) fn visit_named<V: ModuleVisitor>(&self, visitor: &mut V) {
        let name = self.description.convolution_name();
        visitor.enter_module(&name, "Unit");
        visitor.enter_module("weight", "Unit");
        self.weight.visit(visitor);
        visitor.exit_module("weight", "Unit");
        visitor.exit_module(&name, "Unit");
        let name = self.description.normalization_name();
        visitor.enter_module(&name, "Unit");
        self.bn.visit(visitor);
        visitor.exit_module(&name, "Unit");
    }

    /// Maps its tensors under the names in the description.
    pub(crate) fn map_named<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let name = self.description.convolution_name();
        mapper.enter_module(&name, "Unit");
        mapper.enter_module("weight", "Unit");
        let weight = Module::map(self.weight, mapper);
        mapper.exit_module("weight", "Unit");
        mapper.exit_module(&name, "Unit");
        let name = self.description.normalization_name();
        mapper.enter_module(&name, "Unit");
        let bn = self.bn.map(mapper);
        mapper.exit_module(&name, "Unit");
        Self { weight, bn, ..self }
    }
}

/// The tensors of a [`BlockDescription`].
#[derive(Module, Debug)]
pub(crate) struct Block {
    pub branch: Vec<Unit>,
    /// The projection of the input to the sum, if the input is not added unchanged.
    pub projection: Option<Unit>,
    /// Scales the branch's normalised result.
    attention: Option<AttentionUnit>,
    /// Whether the block has a sum.
    #[module(skip)]
    adds: bool,
    /// Its stage; blocks with one count for stochastic depth.
    #[module(skip)]
    pub stage: Option<usize>,
}

impl Block {
    pub(crate) fn new(description: &BlockDescription, seed: u64, device: &Device) -> Self {
        let unit = |unit: &UnitDescription| Unit::new(unit, seed, device);
        Self {
            branch: description.branch.iter().map(unit).collect(),
            projection: match &description.shortcut {
                Shortcut::Projection(projection) => Some(unit(projection)),
                Shortcut::None | Shortcut::Identity => None,
            },
            attention: (description.attention.as_ref())
                .map(|attention| AttentionUnit::new(attention, seed, device)),
            adds: description.has_shortcut(),
            stage: description.stage,
        }
    }

    /// In the order of the state.
    pub(crate) fn units(&self) -> impl Iterator<Item = &Unit> {
        self.branch.iter().chain(&self.projection)
    }

    /// Names of its tensors, in the order of the state.
    pub(crate) fn tensor_names(&self) -> impl Iterator<Item = String> {
        let of_units = self.units().flat_map(|unit| unit.description.tensors());
        let of_attention = self
            .attention
            .iter()
            .flat_map(|attention| attention.description.tensors());
        of_units.chain(of_attention).map(|(name, _)| name)
    }

    /// Visits its tensors in the order of the state.
    pub(crate) fn visit_named<V: ModuleVisitor>(&self, visitor: &mut V) {
        for unit in self.units() {
            unit.visit_named(visitor);
        }
        if let Some(attention) = &self.attention {
            attention.visit_named(visitor);
        }
    }

    pub(crate) fn map_named<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let branch = self.branch.into_iter();
        Self {
            branch: branch.map(|unit| unit.map_named(mapper)).collect(),
            projection: self.projection.map(|unit| unit.map_named(mapper)),
            attention: self.attention.map(|attention| attention.map_named(mapper)),
            ..self
        }
    }

    /// In evaluation.
    pub(crate) fn forward(&self, path: Path, x: Tensor<4>) -> Tensor<4> {
        let Some((last, others)) = self.branch.split_last() else {
            return x;
        };
        let input = self.adds.then(|| x.clone());
        let y = (others.iter()).fold(x, |x, unit| unit.forward(path, x, None));
        let added = input.map(|x| match &self.projection {
            Some(projection) => projection.forward(path, x, None),
            None => x,
        });
        match &self.attention {
            None => last.forward(path, y, added),
            Some(attention) => {
                let y = last.forward_normalized(path, y);
                path.finish(
                    attention.forward(path, y),
                    added,
                    last.description.activation,
                )
            }
        }
    }

    /// As in evaluation, without gradients, on an autodiff device.
    pub(crate) fn forward_frozen(&self, path: Path, x: Tensor<4>) -> Tensor<4> {
        Tensor::from_inner(self.valid().forward(path, x.without_autodiff()))
    }

    /// In training. `factor` scales the branch, if something is added to it; `None` skips the branch.
    pub(crate) fn forward_train(
        &self,
        path: Path,
        x: Tensor<4>,
        factor: Option<f64>,
        frozen_statistics: bool,
    ) -> Tensor<4> {
        let Some((last, others)) = self.branch.split_last() else {
            return x;
        };
        let input = self.adds.then(|| x.clone());
        let branch = |x| {
            let step = |x, unit: &Unit| unit.forward_train(path, x, frozen_statistics);
            last.convolve(path, others.iter().fold(x, step), frozen_statistics)
        };
        let normalize =
            |y, added, activation| last.normalize(path, y, added, activation, frozen_statistics);
        let scaled = |y| match &self.attention {
            None => normalize(y, None, None),
            Some(attention) => attention.forward(path, normalize(y, None, None)),
        };
        let activation = last.description.activation;
        let finish = |y, added| match &self.attention {
            None => normalize(y, added, activation),
            // The attention layer lies between the normalisation and the sum.
            Some(_) => path.finish(scaled(y), added, activation),
        };
        let Some(input) = input else {
            return path.max_pool(finish(branch(x), None), last.pool_at_end());
        };
        let y = factor.map(|factor| (branch(x), factor));
        let added = match &self.projection {
            Some(projection) => projection.forward_train(path, input, frozen_statistics),
            None => input,
        };
        let sum = match y {
            Some((y, 1.0)) => finish(y, Some(added)),
            Some((y, factor)) => path.activate(added + scaled(y).mul_scalar(factor), activation),
            None => path.activate(added, activation),
        };
        path.max_pool(sum, last.pool_at_end())
    }
}
