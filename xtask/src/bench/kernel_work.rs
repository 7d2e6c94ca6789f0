//! One pass over one convolution that can be run repeatedly. Shared by `bench roofline` and
//! `benches/kernels.rs`.

use mlestar_kernels::{
    Algorithm, Conv2dShape, Epilogue, KernelError, Level, PackedConv2d, conv2d_input_gradient_with,
    conv2d_weight_gradient_with, conv2d_with,
};

/// The computed part of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The output, including packing the weights as in every training step.
    Forward,
    /// The output with packed weights, as in prediction.
    PackedForward,
    InputGradient,
    WeightGradient,
}

impl Pass {
    pub const ALL: [Self; 4] = [
        Self::Forward,
        Self::PackedForward,
        Self::InputGradient,
        Self::WeightGradient,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::PackedForward => "forward, packed weights",
            Self::InputGradient => "input gradient",
            Self::WeightGradient => "weight gradient",
        }
    }
}

/// Every algorithm with its name.
pub const ALGORITHMS: [(Algorithm, &str); 4] = [
    (Algorithm::Direct, "direct"),
    (Algorithm::Winograd, "Winograd"),
    (Algorithm::WinogradBfloat16, "Winograd bfloat16"),
    (Algorithm::DirectBfloat16, "direct bfloat16"),
];

/// Buffers of one convolution.
#[derive(Debug)]
pub struct Work {
    shape: Conv2dShape,
    algorithm: Algorithm,
    packed: PackedConv2d,
    input: Vec<f32>,
    weight: Vec<f32>,
    output: Vec<f32>,
    input_gradient: Vec<f32>,
    weight_gradient: Vec<f32>,
}

impl Work {
    pub fn new(shape: Conv2dShape, algorithm: Algorithm) -> Result<Self, KernelError> {
        let weight = values(shape.weight_len());
        Ok(Self {
            packed: PackedConv2d::new(shape, algorithm, &weight)?,
            shape,
            algorithm,
            input: values(shape.input_len()),
            output: values(shape.output_len()),
            input_gradient: vec![0.0; shape.input_len()],
            weight_gradient: vec![0.0; shape.weight_len()],
            weight,
        })
    }

    /// Computes `pass` once. The gradient of the output has the values of the latest output.
    pub fn run(&mut self, pass: Pass) -> Result<(), KernelError> {
        let (level, algorithm, shape) = (Level::current(), self.algorithm, &self.shape);
        match pass {
            Pass::Forward => conv2d_with(
                level,
                algorithm,
                shape,
                &self.input,
                &self.weight,
                Epilogue::default(),
                &mut self.output,
            ),
            Pass::PackedForward => {
                self.packed
                    .run(shape.n, &self.input, Epilogue::default(), &mut self.output)
            }
            Pass::InputGradient => conv2d_input_gradient_with(
                level,
                algorithm,
                shape,
                &self.output,
                &self.weight,
                &mut self.input_gradient,
            ),
            Pass::WeightGradient => conv2d_weight_gradient_with(
                level,
                algorithm,
                shape,
                &self.input,
                &self.output,
                &mut self.weight_gradient,
            ),
        }
    }
}

/// Values between -0.5 and 0.5: as long as they are ordinary, they do not affect the speed.
fn values(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| (i * 31 % 251) as f32 / 250.0 - 0.5)
        .collect()
}
