use burn::{
    module::{Module, Param},
    nn::conv::Conv2d,
    tensor::{Device, Tensor, module::linear},
};

use crate::{
    Activation, BatchNorm, Block, ModelSpec, Precision, Views, init,
    path::{Path, Way},
};

/// The first convolution (3x3, stride 1) with its batch normalisation and activation.
#[derive(Module, Debug)]
pub struct Stem {
    /// `[stem_channels, 3, 3, 3]`, no bias.
    pub conv: Conv2d,
    /// Normalisation of its output.
    pub bn: BatchNorm,
}

/// The linear layer that turns features into logits.
#[derive(Module, Debug)]
pub struct Head {
    /// `[classes, features]`, as PyTorch has it.
    pub weight: Param<Tensor<2>>,
    /// `[classes]`.
    pub bias: Param<Tensor<1>>,
}

/// What a training batch's way through the network is given besides its pictures.
#[derive(Debug, Clone, Default)]
pub struct TrainingPass<'a> {
    /// `[n, features]`, already scaled by `1 / (1 - p)` (see [`dropout_mask`](crate::dropout_mask)); `None`
    /// drops nothing.
    pub dropout_mask: Option<Tensor<2>>,
    /// What the branches of the residual blocks are multiplied by, `None` to leave one out (see
    /// [`branch_factors`](crate::branch_factors)), one for every block, of which plain ones take no notice;
    /// blocks after the end are as they are.
    pub branch_factors: &'a [Option<f64>],
    /// How exactly convolutions are computed, and their gradients.
    pub precision: Precision,
}

/// A CNN for pictures of 3 channels. Built by [`ModelSpec::init`].
///
/// Cloning shares the running statistics (Burn's `RunningState` is shared): use
/// [`Module::valid`] for a snapshot that later training does not change.
#[derive(Module, Debug)]
pub struct ImageClassifier {
    /// First convolution.
    pub stem: Stem,
    /// `stages[i][j]` is the `j`-th block of the `i`-th stage.
    pub stages: Vec<Vec<Block>>,
    /// Linear layer after global average pooling.
    pub head: Head,
    /// The function after every batch normalisation.
    #[module(skip)]
    pub activation: Activation,
    /// Whether mirror images are among the views over whose logits evaluation averages.
    pub flip_averaging: bool,
    /// Whether pictures moved by a pixel are among them.
    pub shift_averaging: bool,
}

impl ImageClassifier {
    pub(crate) fn init(spec: &ModelSpec, seed: u64, device: &Device) -> Self {
        let config = spec.config();
        let stem = Stem {
            conv: init::convolution(
                "stem.conv",
                [ModelSpec::CHANNELS, config.stem_channels],
                3,
                1,
                seed,
                device,
            ),
            bn: BatchNorm::new(config.stem_channels, device),
        };
        let mut channels = config.stem_channels;
        let mut stages = Vec::with_capacity(config.stages.len());
        for (index, stage) in config.stages.iter().enumerate() {
            let name = format!("stages.{index}");
            stages.push(Block::init_stage(
                &name,
                config.architecture,
                stage,
                channels,
                seed,
                device,
            ));
            channels = stage.channels;
        }
        let head = init::head("head", channels, spec.n_classes(), seed, device);
        Self {
            stem,
            stages,
            head,
            activation: config.activation,
            flip_averaging: config.flip_averaging,
            shift_averaging: config.shift_averaging,
        }
    }

    /// Names of the parameters that training leaves as they are, as in [`state`](Self::state): the scales after max
    /// pools.
    #[must_use]
    pub fn fixed_parameters(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (stage, blocks) in self.stages.iter().enumerate() {
            let pooled = blocks
                .iter()
                .enumerate()
                .filter(|(_, block)| block.pool > 1);
            names.extend(pooled.map(|(block, _)| format!("stages.{stage}.{block}.bn1.weight")));
        }
        names
    }

    /// Logits `[n, classes]` of normalised pictures `[n, 3, height, width]`, as in deployment:
    /// running statistics, no dropout, on any device. Nothing in the model changes.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward_in(images, Precision::F32)
    }

    /// As [`forward`](Self::forward), with convolutions computed as exactly as said.
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
        let (path, views) = (self.path(way, precision), self.views());
        let mut sum = self.pass_along(path, images.clone());
        for view in views.others() {
            sum = sum + self.pass_along(path, view.of(images.clone()));
        }
        match views.count() {
            1 => sum,
            count => sum.mul_scalar(1.0 / count as f64),
        }
    }

    /// The views over whose logits [`forward`](Self::forward) averages.
    #[must_use]
    pub fn views(&self) -> Views {
        Views {
            mirrored: self.flip_averaging,
            shifted: self.shift_averaging,
        }
    }

    fn path(&self, way: Way, precision: Precision) -> Path {
        Path {
            way,
            activation: self.activation,
            precision,
        }
    }

    fn pass_along(&self, path: Path, images: Tensor<4>) -> Tensor<2> {
        let x = path.enter(images);
        let mut x = path.convolve_normalized(&self.stem.conv, &self.stem.bn, x, None, true);
        for block in self.stages.iter().flatten() {
            x = block.forward(path, x);
        }
        self.head.forward(path.average_pool(x))
    }

    /// Logits `[n, classes]` of a training batch: statistics of the batch, which also move the
    /// running statistics. `dropout_mask` is `[n, features]`, already scaled by `1 / (1 - p)`
    /// (see [`dropout_mask`](crate::dropout_mask)); `None` drops nothing.
    #[must_use]
    pub fn forward_train(&self, images: Tensor<4>, dropout_mask: Option<Tensor<2>>) -> Tensor<2> {
        let pass = TrainingPass {
            dropout_mask,
            ..TrainingPass::default()
        };
        self.forward_train_with(images, pass)
    }

    /// As [`forward_train`](Self::forward_train), with all that a pass can be given.
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
        } = pass;
        let path = self.path(way, precision);
        let mut x = self.stem.forward_train(path, path.enter(images));
        for (index, block) in self.stages.iter().flatten().enumerate() {
            let factor = branch_factors.get(index).copied().unwrap_or(Some(1.0));
            x = block.forward_train(path, x, factor);
        }
        let features = path.average_pool(x);
        self.head.forward(match dropout_mask {
            Some(mask) => features * mask,
            None => features,
        })
    }
}

impl Stem {
    fn forward_train(&self, path: Path, x: Tensor<4>) -> Tensor<4> {
        path.normalize(&self.bn, path.convolve(&self.conv, x), None, true)
    }
}

impl Head {
    fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        linear(
            features,
            self.weight.val().transpose(),
            Some(self.bias.val()),
        )
    }
}
