//! Arguments of `bench`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct BenchOptions {
    #[command(subcommand)]
    pub command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Compare a network's training and prediction with PyTorch, ONNX Runtime and OpenVINO
    ///
    /// Runs the peers first and our own code after them, with equal threads. What the peers print
    /// goes to standard error, the table to standard output. Figures need a build without debug
    /// assertions: `cargo run --release -p xtask -- bench peers`.
    Peers(PeersOptions),
    /// Compare our convolutions with the machine's peak, layer by layer
    ///
    /// Figures need a build without debug assertions: `cargo run --release -p xtask -- bench roofline`.
    Roofline(RooflineOptions),
    /// Write a package in every format, with test images and our logits, for benches/peers/formats.py
    Formats(FormatsOptions),
}

#[derive(Debug, Args)]
pub struct PeersOptions {
    /// The script that measures the peers; benches/peers/README.md says what it must do
    #[arg(
        long,
        value_name = "FILE",
        default_value = "benches/peers/torch_reference.py"
    )]
    pub script: PathBuf,
    /// The Python that runs the script
    #[arg(long, value_name = "FILE", default_value = "python3")]
    pub python: PathBuf,
    /// Read what the script printed earlier instead of running it
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "no_run")]
    pub saved: Vec<PathBuf>,
    /// Measure our own code only
    #[arg(long)]
    pub no_run: bool,
    /// Threads, ours and the peers' [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Rounds, each of all peers and then ours: the table gives medians, and how far the lead varied
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub rounds: u16,
    /// Images in a batch
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub batch: u16,
    /// The network that all of them run
    #[arg(long, value_enum, default_value_t = Network::Reference)]
    pub network: Network,
    /// Also write the report here, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Do one part in this process and print its peak memory
    #[arg(long, hide = true)]
    pub only: Option<OnlyPart>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnlyPart {
    Train,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Network {
    /// Stem of 64 channels, stages of 64, 128 and 256 with two blocks, dropout 0.5
    Reference,
    /// Stem of 16 channels, stages of 16, 32 and 64 with one block: the quick start's
    Small,
    /// ResNet-18 for images of 224 x 224 pixels
    #[value(name = "resnet-18")]
    Resnet18,
    /// EfficientNet-Lite0 for images of 224 x 224 pixels
    #[value(name = "efficientnet-lite0")]
    EfficientnetLite0,
}

impl Network {
    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Small => "small",
            Self::Resnet18 => "resnet-18",
            Self::EfficientnetLite0 => "efficientnet-lite0",
        }
    }

    /// Width and height of its images.
    pub fn side(self) -> usize {
        match self {
            Self::Reference | Self::Small => 32,
            Self::Resnet18 | Self::EfficientnetLite0 => 224,
        }
    }
}

#[derive(Debug, Args)]
pub struct RooflineOptions {
    /// Threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Images in a batch
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub batch: u16,
}

#[derive(Debug, Args)]
pub struct FormatsOptions {
    /// The package, a folder that stage 7 wrote
    pub package: PathBuf,
    /// The test images: a folder with a folder for each class of the package
    #[arg(long, value_name = "DIR")]
    pub test: PathBuf,
    /// Training images in the same form, for the quantisation
    #[arg(long, value_name = "DIR")]
    pub train: PathBuf,
    /// The folder for the files
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}
