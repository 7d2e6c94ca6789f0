//! The convolutions of the reference network. Shared by `bench roofline` and `benches/kernels.rs`.

use mlestar_kernels::Conv2dShape;

/// A convolution and its frequency in the network.
#[derive(Debug, Clone, Copy)]
pub struct Layer {
    pub name: &'static str,
    /// Height and width of the input.
    pub side: usize,
    pub channels_in: usize,
    pub channels_out: usize,
    /// Height and width of the kernel, padded by half of it.
    pub kernel: usize,
    pub stride: usize,
    pub n_in_network: u64,
}

/// In the order of computation.
pub const LAYERS: [Layer; 10] = [
    layer("3->64 @32", 32, [3, 64], 3, 1, 1),
    layer("64->64 @32 s2", 32, [64, 64], 3, 2, 1),
    layer("64->64 @32 1x1 s2", 32, [64, 64], 1, 2, 1),
    layer("64->64 @16", 16, [64, 64], 3, 1, 3),
    layer("64->128 @16 s2", 16, [64, 128], 3, 2, 1),
    layer("64->128 @16 1x1 s2", 16, [64, 128], 1, 2, 1),
    layer("128->128 @8", 8, [128, 128], 3, 1, 3),
    layer("128->256 @8 s2", 8, [128, 256], 3, 2, 1),
    layer("128->256 @8 1x1 s2", 8, [128, 256], 1, 2, 1),
    layer("256->256 @4", 4, [256, 256], 3, 1, 3),
];

const fn layer(
    name: &'static str,
    side: usize,
    [channels_in, channels_out]: [usize; 2],
    kernel: usize,
    stride: usize,
    n_in_network: u64,
) -> Layer {
    Layer {
        name,
        side,
        channels_in,
        channels_out,
        kernel,
        stride,
        n_in_network,
    }
}

impl Layer {
    /// The shape for `n` images.
    pub fn shape(&self, n: usize) -> Conv2dShape {
        let channels = [self.channels_in, self.channels_out];
        Conv2dShape::square(
            n,
            [self.side; 2],
            channels,
            self.kernel,
            self.stride,
            self.kernel / 2,
        )
    }
}
