use burn::{
    module::Module,
    nn::conv::Conv2d,
    tensor::{Device, Tensor},
};

use crate::{Architecture, BatchNorm, BlockKind, StageConfig, init, path::Path};

/// The 1x1 convolution with which a block's input reaches its output where the shapes differ.
#[derive(Module, Debug)]
pub struct Shortcut {
    /// `[channels_out, channels_in, 1, 1]` with the block's stride, no bias.
    pub conv: Conv2d,
    /// Normalisation of its output.
    pub bn: BatchNorm,
}

/// Two 3x3 convolutions.
///
/// - In a residual block their result is added to the block's input:
///   `f(bn2(conv2(f(bn1(conv1(x))))) + shortcut(x))`, `f` being the network's [`Activation`](crate::Activation).
/// - In a plain block the largest values of windows are taken where a residual one would have a stride:
///   `f(bn2(conv2(f(bn1(max_pool(conv1(x)))))))`.
#[derive(Module, Debug)]
pub struct Block {
    /// First convolution, no bias; with the block's stride in a residual block.
    pub conv1: Conv2d,
    /// Normalisation of the first convolution's (pooled) output. Where there is a pool, its scale is not
    /// trained and stays 1: the largest of scaled values is the scaled largest value only for scales
    /// above 0, and this is what lets the normalisation be folded into the convolution.
    pub bn1: BatchNorm,
    /// Second convolution, stride 1, no bias.
    pub conv2: Conv2d,
    /// Normalisation of the second convolution's output.
    pub bn2: BatchNorm,
    /// In a residual block, present where stride or channels change; otherwise the input is added as it is.
    pub shortcut: Option<Shortcut>,
    /// Whether the input is added to the result.
    pub residual: bool,
    /// Side of the windows of the max pool after the first convolution; 1 for none.
    pub pool: usize,
}

impl Block {
    /// The blocks of the stage called `name`.
    pub(crate) fn init_stage(
        name: &str,
        architecture: Architecture,
        stage: &StageConfig,
        channels_in: usize,
        seed: u64,
        device: &Device,
    ) -> Vec<Self> {
        let block = |block: usize| {
            let (channels_in, stride) = match block {
                0 => (channels_in, stage.stride),
                _ => (stage.channels, 1),
            };
            let place = Place {
                name: format!("{name}.{block}"),
                seed,
                device,
            };
            let channels = [channels_in, stage.channels];
            match architecture.block_kind(block) {
                BlockKind::Plain => place.plain(channels, stride),
                // Without a shortcut of its own: the first block has changed stride and channels.
                BlockKind::Residual if architecture.has_max_pools() => Block {
                    residual: true,
                    ..place.plain(channels, 1)
                },
                BlockKind::Residual => place.residual(channels, stride),
            }
        };
        (0..stage.blocks).map(block).collect()
    }

    pub(crate) fn forward(&self, path: Path, x: Tensor<4>) -> Tensor<4> {
        // A pool may follow the activation where that never falls.
        let pool_first = self.pool > 1 && !path.activation.is_monotonic();
        let y = path.convolve_normalized(&self.conv1, &self.bn1, x.clone(), None, !pool_first);
        let y = path.max_pool(y, self.pool);
        let y = match pool_first {
            true => path.activate(y),
            false => y,
        };
        let x = match &self.shortcut {
            Some(shortcut) => {
                path.convolve_normalized(&shortcut.conv, &shortcut.bn, x, None, false)
            }
            None => x,
        };
        let added = self.residual.then_some(x);
        path.convolve_normalized(&self.conv2, &self.bn2, y, added, true)
    }

    /// `factor` is the branch's, of a residual block; `None` leaves it out.
    pub(crate) fn forward_train(&self, path: Path, x: Tensor<4>, factor: Option<f64>) -> Tensor<4> {
        if !self.residual {
            let y = path.convolve(&self.conv2, self.first_half(path, x));
            return path.normalize(&self.bn2, y, None, true);
        }
        let y = factor.map(|_| path.convolve(&self.conv2, self.first_half(path, x.clone())));
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
                path.activate(x + y.mul_scalar(factor))
            }
            (Some(y), _) => path.normalize(&self.bn2, y, Some(x), true),
            (None, _) => path.activate(x),
        }
    }

    /// Up to the second convolution.
    fn first_half(&self, path: Path, x: Tensor<4>) -> Tensor<4> {
        let y = path.convolve(&self.conv1, x);
        match self.pool {
            1 => path.normalize(&self.bn1, y, None, true),
            side => path.normalize_unscaled(&self.bn1, path.max_pool(y, side)),
        }
    }
}

/// Where a block belongs.
struct Place<'a> {
    name: String,
    seed: u64,
    device: &'a Device,
}

impl Place<'_> {
    fn residual(&self, [channels_in, channels_out]: [usize; 2], stride: usize) -> Block {
        let convolution = |field: &str, channels_in, kernel, stride| {
            init::convolution(
                &format!("{}.{field}", self.name),
                [channels_in, channels_out],
                kernel,
                stride,
                self.seed,
                self.device,
            )
        };
        let reshapes = stride != 1 || channels_in != channels_out;
        Block {
            conv1: convolution("conv1", channels_in, 3, stride),
            bn1: BatchNorm::new(channels_out, self.device),
            conv2: convolution("conv2", channels_out, 3, 1),
            bn2: BatchNorm::new(channels_out, self.device),
            shortcut: reshapes.then(|| Shortcut {
                conv: convolution("shortcut.conv", channels_in, 1, stride),
                bn: BatchNorm::new(channels_out, self.device),
            }),
            residual: true,
            pool: 1,
        }
    }

    fn plain(&self, [channels_in, channels_out]: [usize; 2], pool: usize) -> Block {
        let convolution = |field: &str, channels_in| {
            let name = format!("{}.{field}", self.name);
            init::passing_convolution(&name, [channels_in, channels_out], self.seed, self.device)
        };
        Block {
            conv1: convolution("conv1", channels_in),
            bn1: BatchNorm::new(channels_out, self.device),
            conv2: convolution("conv2", channels_out),
            bn2: BatchNorm::new(channels_out, self.device),
            shortcut: None,
            residual: false,
            pool,
        }
    }
}
