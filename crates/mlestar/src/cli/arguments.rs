//! The arguments of the command line.

use crate::cli::commands::predict::Shard;
use crate::cli::commands::splits::SplitsOptions;
use crate::cli::commands::tune::TuneOptions;
use crate::cli::slurm::SlurmArguments;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};
use mlestar_data::fetch::{ArchiveManifest, PublishedWeights};
use mlestar_export::benchmark::Candidate;
use mlestar_workflow::Stage;
use mlestar_workflow::model_benchmark::ScenarioKind;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// The commands of `mlestar`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the stages that are stale and judge their gates
    Run(RunOptions),
    /// Run one stage
    Stage(StageOptions),
    /// Show which stages are fresh and which gates are met
    Status(ProjectOptions),
    /// Show which changed input made a stage stale
    Explain(ExplainOptions),
    /// Judge the gates from the files in the run folder
    Validate(ValidateOptions),
    /// Write summary.html, one self-contained page about the run
    Summary(SummaryOptions),
    /// Analyse trainings: write training_analysis.json and a page, with findings and suggested changes
    ///
    /// Looks for jumps of the loss, the gradient norm, divergence, plateaus, overfitting, underfitting, drops in
    /// speed and an early best epoch. The files go into the run's folder; those of a training outside a run go beside
    /// its record. Exit code 3 when no training has recorded anything.
    AnalyzeTraining(AnalyzeTrainingOptions),
    /// Compare trainings: accuracy over time, minutes to an accuracy, settings that differ
    ///
    /// Trainings with the same label form a group, such as the seeds of a recipe, with its mean and standard error. A
    /// CSV file with the header seconds,accuracy stands for a training of another tool. Writes
    /// training_comparison.json and training_comparison.html.
    CompareTrainings(CompareTrainingsOptions),
    /// Follow the training of a run from another terminal
    ///
    /// Shows epoch, step, loss, accuracy, learning rate, speed, time left, the machine's memory and the findings so
    /// far. A terminal shows it in place; elsewhere a line appears every few seconds. Ends when the stage of the
    /// training ends, or on a signal such as Ctrl-C (exit code 6). Only reads. Exit code 3 when there is no run.
    Monitor(MonitorOptions),
    /// Check toolchain, backends, disk, memory, threads and data
    Doctor(ProjectOptions),
    /// Download and verify CIFAR-10, CIFAR-100 or published weights (`fetch weights resnet-18`)
    Fetch(FetchOptions),
    /// Find a learning rate: train on a few batches with rising rates and watch the loss
    LrFind(LrFindArguments),
    /// Search for better settings with several processes: begin a study, or go on with it
    ///
    /// A study lives in a folder, studies/<project.name>: kill it at any time, and the same command goes on. The section
    /// refinement of the config says what is searched. Other processes, also on other machines that share the
    /// folder, join with `tune work`. docs/tuning.md explains it. Exit code 6 when it stopped before the study was
    /// complete.
    Tune(Box<TuneOptions>),
    /// Train the same settings on several random splits: how accurate they are, and how much that varies from split to split
    ///
    /// Each split draws training and validation images anew from those that are not test images, stratified by class, with
    /// groups whole. The results lie in splits/<project.name>: kill it at any time, and the same command goes on. Other
    /// processes, also on other machines that share the folder, join with `splits work`. docs/cluster.md explains it. Exit
    /// code 6 when it stopped before every split had a result, 1 when a training failed.
    Splits(Box<SplitsOptions>),
    /// Predict the classes of images of any size with a trained model
    ///
    /// Decodes and resizes each file by the rule that the model's package records. A file that cannot be read gives a
    /// row with the reason; the others are predicted, and the exit code is 1. A warning says when the gates of the
    /// run that made the model are not met.
    Predict(PredictOptions),
    /// Check, pack or unpack the package of a model
    #[command(subcommand)]
    Package(PackageCommand),
    /// Measure what predicting with a package takes: latency, images per second, memory, start
    ///
    /// The scenarios of MLPerf inference: one image after the other (single-stream), several at once (multi-stream),
    /// random arrivals (server), batches (offline); and cold starts. Each format and number of threads is measured in
    /// a process of its own, until its figure is stable or the time is over. A configuration that cannot be measured
    /// gives a row with the reason; the others are measured, and the exit code is 1.
    BenchModel(BenchModelOptions),
    /// Serve a trained model over HTTP: Open Inference Protocol, image files, a page, metrics
    ///
    /// Listens on this machine only, unless --host says otherwise. SIGHUP loads the package again, SIGTERM and Ctrl-C
    /// stop once everything accepted is answered. The log is JSON on standard error. docs/serving.md has the paths,
    /// limits and metrics.
    #[cfg(feature = "serve")]
    Serve(mlestar_serve::cli::ServeArguments),
    /// Write a smaller, stratified copy of the data
    Subset(SubsetOptions),
    /// Check the config and print it with every default filled in
    Config(ProjectOptions),
    /// Inspect a folder of data and write a config for it, mlestar.toml, which `run` uses by default
    Init(InitOptions),
    /// List the runs of a folder with their current verdicts
    Runs(RunsOptions),
    /// Print completions for a shell
    Completions(CompletionsOptions),
    /// Print the manual page
    Man,
    /// Explain a stage (`help stage 4`) or list the commands
    Help(HelpOptions),
}

/// The project and its settings.
#[derive(Debug, Clone, Default, Args)]
pub struct ProjectOptions {
    /// The project's config; without one, settings for the data of --data, mlestar.toml if it exists here, or the
    /// built-in quick start
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder of the data (sets data.path); without a config its layout is detected
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Pretrained weights (.pth or .safetensors) to fine-tune: sets the network, the size and normalisation of the images
    /// and training.initial_weights; without a config, the other settings are those for photographs. Of a folder, the most
    /// accurate network that meets the limits of stage 3
    #[arg(long, value_name = "FILE|DIR")]
    pub weights: Option<PathBuf>,
    /// Change a setting: --set training.epochs=3 (may be repeated)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// The seed of every random choice (sets seed)
    #[arg(long)]
    pub seed: Option<u64>,
    /// The run's folder; a plain name stands for runs/NAME [default: runs/<project.name>]
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    // No doc comment: `[:N]` would be a link there.
    #[arg(long, default_value = "cpu", help = "auto, cpu, cuda[:N] or wgpu[:N]")]
    pub device: String,
    /// Threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
}

/// Shortcuts for settings of a training.
#[derive(Debug, Clone, Default, Args)]
pub struct TrainingOptions {
    /// End each training after this many minutes and evaluate the result so far (sets training.max_minutes)
    #[arg(long, value_name = "M")]
    pub max_minutes: Option<f64>,
    /// Train and validate on N batches only; a network that can learn memorises them (sets training.overfit_batches)
    #[arg(long, value_name = "N")]
    pub overfit_batches: Option<usize>,
    /// Check that every stage runs, in a run folder of its own: each training has one epoch of two batches, the
    /// search has one trial, and speed is measured ten times. Gates are judged and shown, but decide neither whether
    /// the next stage runs nor the exit code. All images are still read, analysed and predicted once; with many
    /// images add --set data.subset=N
    #[arg(long)]
    pub fast_dev_run: bool,
}

#[derive(Debug, Args)]
pub struct RunOptions {
    #[command(flatten)]
    pub project: ProjectOptions,
    #[command(flatten)]
    pub training: TrainingOptions,
    /// The first stage: 1 to 7 or a name
    #[arg(long, default_value = "1")]
    pub from: Stage,
    /// The last stage
    #[arg(long, default_value = "7")]
    pub to: Stage,
    /// Run stages even when nothing has changed
    #[arg(long)]
    pub force: bool,
    /// Require that interrupted work resumes: where it would restart, end with an error and change nothing
    #[arg(long, conflicts_with = "force")]
    pub resume: bool,
}

#[derive(Debug, Args)]
pub struct StageOptions {
    /// 1 to 7 or a name, such as `evaluation`
    pub stage: Stage,
    #[command(flatten)]
    pub project: ProjectOptions,
    #[command(flatten)]
    pub training: TrainingOptions,
    /// Run it even when nothing has changed
    #[arg(long)]
    pub force: bool,
    /// Require that interrupted work resumes: where it would restart, end with an error and change nothing
    #[arg(long, conflicts_with = "force")]
    pub resume: bool,
}

#[derive(Debug, Args)]
pub struct ExplainOptions {
    /// 1 to 7 or a name; without it, all stages
    pub stage: Option<Stage>,
    #[command(flatten)]
    pub project: ProjectOptions,
}

#[derive(Debug, Args)]
pub struct ValidateOptions {
    #[command(flatten)]
    pub project: ProjectOptions,
    /// One stage: 1 to 7 or a name
    #[arg(long, conflicts_with = "all")]
    pub stage: Option<Stage>,
    /// All stages (the default)
    #[arg(long)]
    pub all: bool,
    /// Read every image again, even if it seems unchanged since it was last read
    #[arg(long)]
    pub full: bool,
    /// Where to write the report [default: validation_report.json in the run folder, for --all]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SummaryOptions {
    #[command(flatten)]
    pub project: ProjectOptions,
    /// Where to write the page [default: summary.html in the run folder]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct AnalyzeTrainingOptions {
    /// A run, one of its stages, or a folder with metrics.jsonl or steps.jsonl; a plain name stands for
    /// runs/NAME [default: the run of the config]
    #[arg(value_name = "RUN", conflicts_with = "run")]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub project: ProjectOptions,
}

#[derive(Debug, Args)]
pub struct CompareTrainingsOptions {
    /// A run, a folder with metrics.jsonl, or a CSV file; a plain name stands for runs/NAME. Without a
    /// label the last part of its path is one
    #[arg(value_name = "[LABEL=]PATH", required = true)]
    pub trainings: Vec<String>,
    /// An accuracy to look for; may be given more than once [default: the highest four of 0.5 to 0.98 that any
    /// training reached]
    #[arg(long, value_name = "ACCURACY")]
    pub reach: Vec<f64>,
    /// The folder for the files
    #[arg(long, value_name = "FOLDER", default_value = "runs")]
    pub output: PathBuf,
}

#[derive(Debug, Args)]
pub struct MonitorOptions {
    /// The run's folder; a plain name stands for runs/NAME [default: the run of the config]
    #[arg(value_name = "RUN", conflicts_with = "run")]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub project: ProjectOptions,
    /// Show the state once and end
    #[arg(long)]
    pub once: bool,
}

/// The first argument of `fetch` for weights.
pub const WEIGHTS: &str = "weights";

/// What the first argument of `fetch` can be.
fn fetchable() -> impl Iterator<Item = &'static str> {
    ArchiveManifest::NAMES.into_iter().chain([WEIGHTS])
}

#[derive(Debug, Args)]
pub struct FetchOptions {
    /// The dataset, or `weights`
    #[arg(value_parser = PossibleValuesParser::new(fetchable()), required_unless_present = "list")]
    pub name: Option<String>,
    /// The network, after `weights`
    #[arg(value_parser = PossibleValuesParser::new(PublishedWeights::NAMES))]
    pub network: Option<String>,
    /// List what can be fetched, with address and licence
    #[arg(long)]
    pub list: bool,
    /// The folder that an archive is unpacked in, or that weights are put in [default: data, data/weights]
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// Another address for the same file, such as a mirror; the checksum stays
    #[arg(long)]
    pub url: Option<String>,
}

#[derive(Debug, Args)]
pub struct LrFindArguments {
    #[command(flatten)]
    pub project: ProjectOptions,
    /// Steps of the sweep, one batch each: 20 to 10000 [default: 100]
    #[arg(long)]
    pub steps: Option<usize>,
    /// The learning rate of the first step [default: 1e-6; SGD 1e-5, Muon 1e-4]
    #[arg(long, value_name = "RATE")]
    pub lowest: Option<f64>,
    /// The learning rate of the last step, at most 10 [default: 1; SGD and Muon 10]
    #[arg(long, value_name = "RATE")]
    pub highest: Option<f64>,
}

#[derive(Debug, Args)]
pub struct PredictOptions {
    /// A run, or the folder of a package; a plain name stands for runs/NAME
    #[arg(value_name = "RUN|PACKAGE")]
    pub model: PathBuf,
    /// Image files, and folders, which are searched with their subfolders; - reads an image, or names of files and
    /// folders, one per line, from standard input
    #[arg(value_name = "FILE|DIR|-", required = true)]
    pub inputs: Vec<PathBuf>,
    /// Number of classes in a row, most probable first
    #[arg(long, default_value_t = 3, value_name = "K")]
    pub top: usize,
    /// One line per image for people, one JSON object per line, or CSV
    #[arg(long, value_enum, default_value_t = PredictFormat::Table)]
    pub format: PredictFormat,
    /// Where to write the rows [default: standard output]; with --launcher, the folder for a file per shard
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Predict one of N even parts of the images, 1/N to N/N; the rows of all parts, one after the other, are those of
    /// a run without this option
    #[arg(long, value_name = "I/N", conflicts_with = "launcher")]
    pub shard: Option<Shard>,
    /// Threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Tasks of the job array, each for a shard
    #[arg(
        long,
        value_name = "N",
        requires = "launcher",
        required_if_eq("launcher", "slurm")
    )]
    pub jobs: Option<NonZeroU32>,
    #[command(flatten)]
    pub slurm: SlurmArguments,
}

#[derive(Debug, Subcommand)]
pub enum PackageCommand {
    /// Prove that a package is intact and predicts on this machine what it predicted when it was made
    ///
    /// Checks size, BLAKE3 and SHA-256 of every file, decodes the golden images, predicts them and compares pixels,
    /// logits and classes. Exit code 1 for an altered file, 4 for a golden image with another prediction.
    Verify(PackageVerifyOptions),
    /// Pack a package into one .tar.zst file
    Pack(PackagePackOptions),
    /// Unpack a .tar.zst file and verify the package
    Unpack(PackageUnpackOptions),
}

#[derive(Debug, Args)]
pub struct PackageVerifyOptions {
    /// A run, the folder of a package, or a .tar.zst file; a plain name stands for runs/NAME
    #[arg(value_name = "RUN|PACKAGE")]
    pub package: PathBuf,
    /// For people, or one JSON document
    #[arg(long, value_enum, default_value_t = PackageFormat::Table)]
    pub format: PackageFormat,
}

#[derive(Debug, Args)]
pub struct PackagePackOptions {
    /// A run, or the folder of a package; a plain name stands for runs/NAME
    #[arg(value_name = "RUN|PACKAGE")]
    pub package: PathBuf,
    /// The file to write; it must end with .tar.zst
    #[arg(value_name = "FILE")]
    pub output: PathBuf,
}

#[derive(Debug, Args)]
pub struct PackageUnpackOptions {
    /// The .tar.zst file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The folder to write; it must be empty or absent
    #[arg(value_name = "DIR")]
    pub output: PathBuf,
}

/// The format of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PackageFormat {
    Table,
    Json,
}

/// The format of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PredictFormat {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Args)]
pub struct BenchModelOptions {
    /// A run, or the folder of a package; a plain name stands for runs/NAME
    #[arg(value_name = "RUN|PACKAGE", required_unless_present = "child")]
    pub model: Option<PathBuf>,
    /// Scenarios, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO",
        value_parser = PossibleValuesParser::new(ScenarioKind::ALL.map(ScenarioKind::name)))]
    pub scenario: Vec<String>,
    /// Ways to run the model (file and precision), separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "CANDIDATE",
        value_parser = PossibleValuesParser::new(Candidate::ALL.map(Candidate::name)))]
    pub candidate: Vec<String>,
    /// Numbers of threads, separated by commas [default: 1 and all cores]
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub threads: Vec<usize>,
    /// Seconds for each configuration at most; a model that is slow takes longer
    #[arg(long, default_value_t = 5.0, value_name = "S")]
    pub seconds: f64,
    /// Images of a multi-stream query
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub images_per_query: usize,
    /// The limit of the server's 99th percentile [default: 10 ms, or five times the median latency of
    /// one image if that is more]
    #[arg(long, value_name = "MS")]
    pub limit_ms: Option<f64>,
    /// Measure the server at this many images per second, without a search for the highest rate
    #[arg(long, value_name = "RATE")]
    pub rate: Option<f64>,
    /// The seed of arrivals and of noise images
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// A table for people, or JSON
    #[arg(long, value_enum, default_value_t = BenchModelFormat::Table)]
    pub format: BenchModelFormat,
    /// The folder for model_benchmark.json and model_benchmark.html [default: the run's folder; none for a package
    /// outside a run]
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// Be the process that measures: the job comes through standard input
    #[arg(long, hide = true)]
    pub child: bool,
}

/// The format of a benchmark on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchModelFormat {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub struct SubsetOptions {
    #[command(flatten)]
    pub project: ProjectOptions,
    /// How many training and validation images to keep; the test split shrinks in proportion
    #[arg(long)]
    pub size: usize,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
}

#[derive(Debug, Args)]
pub struct InitOptions {
    /// The folder of the data
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// Pretrained weights (.pth or .safetensors) to fine-tune, or a folder of them
    #[arg(long, value_name = "FILE|DIR")]
    pub weights: Option<PathBuf>,
    /// Where to write the config [default: mlestar.toml]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct RunsOptions {
    /// The folder that holds the runs
    #[arg(value_name = "DIR", default_value = "runs")]
    pub folder: PathBuf,
}

#[derive(Debug, Args)]
pub struct CompletionsOptions {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct HelpOptions {
    /// `stage N`, or the name of a command
    pub topic: Vec<String>,
    #[arg(long, hide = true)]
    pub config: Option<PathBuf>,
}
