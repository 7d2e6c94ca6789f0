use burn::{
    module::{Module, Param},
    nn::conv::Conv2d,
    tensor::{Device, Tensor, activation::relu, module::linear},
};

use crate::{BatchNorm, ModelSpec, StageConfig, init, path::Path};

/// The first convolution (3x3, stride 1) with its batch normalisation and ReLU.
#[derive(Module, Debug)]
pub struct Stem {
    /// `[stem_channels, 3, 3, 3]`, no bias.
    pub conv: Conv2d,
    /// Normalisation of its output.
    pub bn: BatchNorm,
}

/// The 1x1 convolution with which a block's input reaches its output where the shapes differ.
#[derive(Module, Debug)]
pub struct Shortcut {
    /// `[channels_out, channels_in, 1, 1]` with the block's stride, no bias.
    pub conv: Conv2d,
    /// Normalisation of its output.
    pub bn: BatchNorm,
}

/// Two 3x3 convolutions whose result is added to the block's input:
/// `relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))`.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// First convolution, with the block's stride, no bias.
    pub conv1: Conv2d,
    /// Normalisation of the first convolution's output.
    pub bn1: BatchNorm,
    /// Second convolution, stride 1, no bias.
    pub conv2: Conv2d,
    /// Normalisation of the second convolution's output.
    pub bn2: BatchNorm,
    /// Present where stride or channels change; otherwise the input is added as it is.
    pub shortcut: Option<Shortcut>,
}

/// The linear layer that turns features into logits.
#[derive(Module, Debug)]
pub struct Head {
    /// `[classes, features]`, as PyTorch has it.
    pub weight: Param<Tensor<2>>,
    /// `[classes]`.
    pub bias: Param<Tensor<1>>,
}

/// A residual CNN for pictures of 3 channels. Built by [`ModelSpec::init`].
///
/// Cloning shares the running statistics (Burn's `RunningState` is shared): use
/// [`Module::valid`] for a snapshot that later training does not change.
#[derive(Module, Debug)]
pub struct ImageClassifier {
    /// First convolution.
    pub stem: Stem,
    /// `stages[i][j]` is the `j`-th residual block of the `i`-th stage.
    pub stages: Vec<Vec<ResidualBlock>>,
    /// Linear layer after global average pooling.
    pub head: Head,
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
            bn: init::batch_norm(config.stem_channels, device),
        };
        let mut channels = config.stem_channels;
        let mut stages = Vec::with_capacity(config.stages.len());
        for (index, stage) in config.stages.iter().enumerate() {
            stages.push(init_stage(index, stage, channels, seed, device));
            channels = stage.channels;
        }
        let head = init::head("head", channels, spec.n_classes(), seed, device);
        Self { stem, stages, head }
    }

    /// Logits `[n, classes]` of normalised pictures `[n, 3, height, width]`, as in deployment:
    /// running statistics, no dropout, on any device. Nothing in the model changes.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward_along(Path::of(&images), images)
    }

    pub(crate) fn forward_along(&self, path: Path, images: Tensor<4>) -> Tensor<2> {
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
        self.forward_train_with(images, dropout_mask, &[])
    }

    /// As [`forward_train`](Self::forward_train) with the branches of the residual blocks multiplied or
    /// left out as [`branch_factors`](crate::branch_factors) says; blocks after the end of
    /// `branch_factors` are as they are.
    #[must_use]
    pub fn forward_train_with(
        &self,
        images: Tensor<4>,
        dropout_mask: Option<Tensor<2>>,
        branch_factors: &[Option<f64>],
    ) -> Tensor<2> {
        self.forward_train_along(Path::of(&images), images, dropout_mask, branch_factors)
    }

    pub(crate) fn forward_train_along(
        &self,
        path: Path,
        images: Tensor<4>,
        dropout_mask: Option<Tensor<2>>,
        branch_factors: &[Option<f64>],
    ) -> Tensor<2> {
        let x = path.convolve(&self.stem.conv, path.enter(images));
        let mut x = path.normalize(&self.stem.bn, x, None, true);
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

impl ResidualBlock {
    fn forward(&self, path: Path, x: Tensor<4>) -> Tensor<4> {
        let y = path.convolve_normalized(&self.conv1, &self.bn1, x.clone(), None, true);
        let x = match &self.shortcut {
            Some(shortcut) => {
                path.convolve_normalized(&shortcut.conv, &shortcut.bn, x, None, false)
            }
            None => x,
        };
        path.convolve_normalized(&self.conv2, &self.bn2, y, Some(x), true)
    }

    /// `factor` is the branch's; `None` leaves it out.
    fn forward_train(&self, path: Path, x: Tensor<4>, factor: Option<f64>) -> Tensor<4> {
        let y = factor.map(|_| {
            let y = path.convolve(&self.conv1, x.clone());
            let y = path.normalize(&self.bn1, y, None, true);
            path.convolve(&self.conv2, y)
        });
        let x = match &self.shortcut {
            Some(shortcut) => {
                let x = path.convolve(&shortcut.conv, x);
                path.normalize(&shortcut.bn, x, None, false)
            }
            None => x,
        };
        match (y, factor) {
            (Some(y), Some(factor)) if factor != 1.0 => {
                let y = path.normalize(&self.bn2, y, None, false);
                relu(x + y.mul_scalar(factor))
            }
            (Some(y), _) => path.normalize(&self.bn2, y, Some(x), true),
            (None, _) => relu(x),
        }
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

fn init_stage(
    index: usize,
    stage: &StageConfig,
    channels_in: usize,
    seed: u64,
    device: &Device,
) -> Vec<ResidualBlock> {
    let block = |block: usize| {
        let (channels_in, stride) = match block {
            0 => (channels_in, stage.stride),
            _ => (stage.channels, 1),
        };
        let name = format!("stages.{index}.{block}");
        init_block(&name, [channels_in, stage.channels], stride, seed, device)
    };
    (0..stage.blocks).map(block).collect()
}

fn init_block(
    name: &str,
    [channels_in, channels_out]: [usize; 2],
    stride: usize,
    seed: u64,
    device: &Device,
) -> ResidualBlock {
    let convolution = |field: &str, channels_in, kernel, stride| {
        let name = format!("{name}.{field}");
        init::convolution(
            &name,
            [channels_in, channels_out],
            kernel,
            stride,
            seed,
            device,
        )
    };
    let reshapes = stride != 1 || channels_in != channels_out;
    ResidualBlock {
        conv1: convolution("conv1", channels_in, 3, stride),
        bn1: init::batch_norm(channels_out, device),
        conv2: convolution("conv2", channels_out, 3, 1),
        bn2: init::batch_norm(channels_out, device),
        shortcut: reshapes.then(|| Shortcut {
            conv: convolution("shortcut.conv", channels_in, 1, stride),
            bn: init::batch_norm(channels_out, device),
        }),
    }
}
