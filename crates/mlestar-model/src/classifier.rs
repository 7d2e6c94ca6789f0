use std::sync::Arc;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor},
    tensor::{Device, Tensor},
};

use crate::{
    Description, ModelSpec, Precision, Views,
    block::Block,
    head::Head,
    init,
    path::{Path, Way},
};

/// The settings of a training pass besides the images.
#[derive(Debug, Clone, Default)]
pub struct TrainingPass<'a> {
    /// Dropout mask `[n, features]`, already scaled by `1 / (1 - p)` (see
    /// [`dropout_mask`](crate::dropout_mask)); `None` drops nothing.
    pub dropout_mask: Option<Tensor<2>>,
    /// Factors of the residual branches; `None` skips a branch (see [`branch_factors`](crate::branch_factors)).
    /// There is one entry for every block of a stage; blocks without a shortcut ignore theirs, and blocks
    /// beyond the end of the list are unchanged.
    pub branch_factors: &'a [Option<f64>],
    /// The precision of convolutions and their gradients.
    pub precision: Precision,
    /// The first blocks that do not learn. They are computed as in evaluation.
    pub frozen_blocks: usize,
    /// Whether batch norms use their running statistics, and leave them as they are.
    pub frozen_statistics: bool,
}

/// The network of a [`Description`]. Built by [`ModelSpec::init`](crate::ModelSpec::init).
///
/// Its tensors have the names that the description gives them, and `head.weight` and `head.bias`.
///
/// Cloning shares the running statistics (Burn's `RunningState` is shared): use [`Module::valid`] for a copy
/// that later training does not change.
#[derive(Debug, Clone)]
pub struct ImageClassifier {
    blocks: Vec<Block>,
    /// Linear layer after global average pooling.
    pub head: Head,
    pub(crate) description: Arc<Description>,
    /// The specification it was built from, if any.
    pub(crate) spec: Option<Arc<ModelSpec>>,
    /// Whether evaluation averages the logits over mirror images too.
    pub flip_averaging: bool,
    /// Whether evaluation averages the logits over shifted images too.
    pub shift_averaging: bool,
}

impl ImageClassifier {
    /// The network with its initial weights, which [`ModelSpec::init`](crate::ModelSpec::init) describes.
    ///
    /// `description` must have passed [`Description::check`].
    #[must_use]
    pub fn new(description: &Description, seed: u64, device: &Device) -> Self {
        let (features, n_classes) = (description.features(), description.n_classes);
        let blocks = description.blocks.iter();
        Self {
            blocks: blocks
                .map(|block| Block::new(block, seed, device))
                .collect(),
            head: init::linear("head", features, n_classes, seed, device),
            description: Arc::new(description.clone()),
            spec: None,
            flip_averaging: description.views.mirrored,
            shift_averaging: description.views.shifted,
        }
    }

    /// Names of the parameters that training does not change, as in [`Network::state`](crate::Network::state):
    /// the scales after max pools.
    #[must_use]
    pub fn fixed_parameters(&self) -> Vec<String> {
        let units = self.blocks.iter().flat_map(Block::units);
        units
            .map(|unit| &unit.description)
            .filter(|unit| !unit.trains_scale())
            .map(|unit| format!("{}.weight", unit.normalization_name()))
            .collect()
    }

    /// Logits `[n, classes]` of normalised images `[n, 3, height, width]`, as in deployment: running
    /// statistics, no dropout, on any device. The model is not changed.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward_in(images, Precision::F32)
    }

    /// Like [`forward`](Self::forward), with this precision of convolutions.
    #[must_use]
    pub fn forward_in(&self, images: Tensor<4>, precision: Precision) -> Tensor<2> {
        self.forward_along(Way::of(&images), images, precision)
    }

    pub(crate) fn forward_along(
        &self,
        way: Way,
        images: Tensor<4>,
        precision: Precision,
    ) -> Tensor<2> {
        let (path, views) = (Path { way, precision }, self.views());
        let mut sum = self.pass_along(path, images.clone());
        for view in views.others() {
            sum = sum + self.pass_along(path, view.of(images.clone()));
        }
        match views.count() {
            1 => sum,
            count => sum.mul_scalar(1.0 / count as f64),
        }
    }

    /// The views over which [`forward`](Self::forward) averages the logits.
    #[must_use]
    pub fn views(&self) -> Views {
        Views {
            mirrored: self.flip_averaging,
            shifted: self.shift_averaging,
        }
    }

    fn pass_along(&self, path: Path, images: Tensor<4>) -> Tensor<2> {
        self.head.forward(self.features_along(path, images))
    }

    fn features_along(&self, path: Path, images: Tensor<4>) -> Tensor<2> {
        let mut x = path.enter(images);
        for block in &self.blocks {
            x = block.forward(path, x);
        }
        path.average_pool(x)
    }

    /// The input of the linear layer, `[n, features]`, of normalised images `[n, 3, height, width]`: as in
    /// [`forward`](Self::forward), of the unchanged images.
    #[must_use]
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let path = Path {
            way: Way::of(&images),
            precision: Precision::F32,
        };
        self.features_along(path, images)
    }

    /// Neighbouring blocks of one stage form a group; the linear layer is the last.
    pub(crate) fn groups(&self) -> Vec<Vec<String>> {
        let of_blocks = |blocks: &[Block]| blocks.iter().flat_map(Block::tensor_names).collect();
        let mut groups: Vec<Vec<String>> = self.stages().map(of_blocks).collect();
        groups.push(vec!["head.weight".to_owned(), "head.bias".to_owned()]);
        groups
    }

    /// The number of blocks in the first `groups` groups.
    pub(crate) fn blocks_in_groups(&self, groups: usize) -> usize {
        self.stages().take(groups).map(<[Block]>::len).sum()
    }

    fn stages(&self) -> impl Iterator<Item = &[Block]> {
        self.blocks.chunk_by(|a, b| a.stage == b.stage)
    }

    /// Logits `[n, classes]` of a training batch, computed with its statistics, which also move the running
    /// statistics.
    #[must_use]
    pub fn forward_train_with(&self, images: Tensor<4>, pass: TrainingPass) -> Tensor<2> {
        self.forward_train_along(Way::of(&images), images, pass)
    }

    pub(crate) fn forward_train_along(
        &self,
        way: Way,
        images: Tensor<4>,
        pass: TrainingPass,
    ) -> Tensor<2> {
        let TrainingPass {
            dropout_mask,
            branch_factors,
            precision,
            frozen_blocks,
            frozen_statistics,
        } = pass;
        let path = Path { way, precision };
        let mut x = path.enter(images);
        let mut factors = branch_factors.iter().copied();
        for (index, block) in self.blocks.iter().enumerate() {
            let factor = match block.stage.is_some() {
                true => factors.next().unwrap_or(Some(1.0)),
                false => Some(1.0),
            };
            x = match index < frozen_blocks {
                true => block.forward_frozen(path, x),
                false => block.forward_train(path, x, factor, frozen_statistics),
            };
        }
        let features = path.average_pool(x);
        self.head.forward(match dropout_mask {
            Some(mask) => features * mask,
            None => features,
        })
    }
}

/// Burn's derive would name the tensors by fields and positions; here the description names them.
impl Module for ImageClassifier {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for block in &self.blocks {
            block.visit_named(visitor);
        }
        visitor.enter_module("head", "ImageClassifier");
        self.head.visit(visitor);
        visitor.exit_module("head", "ImageClassifier");
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let blocks = self.blocks.into_iter();
        let blocks = blocks.map(|block| block.map_named(mapper)).collect();
        mapper.enter_module("head", "ImageClassifier");
        let head = self.head.map(mapper);
        mapper.exit_module("head", "ImageClassifier");
        Self {
            blocks,
            head,
            ..self
        }
    }

    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.head
            .collect_devices(self.blocks.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        Self {
            blocks: self.blocks.fork(device),
            head: self.head.fork(device),
            ..self
        }
    }

    fn to_device(self, device: &Device) -> Self {
        Self {
            blocks: self.blocks.to_device(device),
            head: self.head.to_device(device),
            ..self
        }
    }

    fn valid(&self) -> Self {
        Self {
            blocks: self.blocks.valid(),
            head: self.head.valid(),
            description: Arc::clone(&self.description),
            spec: self.spec.clone(),
            ..*self
        }
    }

    fn train(self) -> Self {
        Self {
            blocks: self.blocks.train(),
            head: self.head.train(),
            ..self
        }
    }

    fn materialize(self) -> Self {
        Self {
            blocks: self.blocks.materialize(),
            head: self.head.materialize(),
            ..self
        }
    }
}

impl ModelSpec {
    /// Builds the model with its initial weights on `device` (an autodiff device for training).
    ///
    /// Convolutions have Kaiming-normal weights with fan-out and a ReLU's gain (He et al. 2015,
    /// <https://arxiv.org/abs/1502.01852>), batch normalisations have weight 1 and bias 0, and the linear layer
    /// has uniform weights and bias in +-1/sqrt(features), as PyTorch's `Linear`. Attention layers start likewise, with
    /// factors of about a half. In the blocks of a plain CNN,
    /// the first filters of a convolution are identity filters that copy input channels. The draws of every
    /// tensor depend only on `seed` and on the tensor's name.
    #[must_use]
    pub fn init(&self, seed: u64, device: &Device) -> ImageClassifier {
        ImageClassifier {
            spec: Some(Arc::new(self.clone())),
            ..ImageClassifier::new(&self.description(), seed, device)
        }
    }
}
