//! The first three stages of a project, embedded in your own program.

use burn::tensor::Device;
use mlestar_train::StopSignal;
use mlestar_workflow::chain::{RunRequest, StageRange, run};
use mlestar_workflow::config::Config;
use mlestar_workflow::{Reporter, RunFolder, Stage};

/// Prints one line per event.
struct Lines;

impl Reporter for Lines {
    fn stage_started(&mut self, stage: Stage, reasons: &[String]) {
        println!("{stage}: {}", reasons.join("; "));
    }

    fn stage_finished(&mut self, stage: Stage, seconds: f64) {
        println!("{stage}: {seconds:.1} s");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = r#"
        [project]
        name = "embedded"
        [data.synthetic]
        n_train = 400
        n_validation = 100
        n_test = 100
        [model]
        stem_channels = 8
        stages = [{ channels = 16, blocks = 1, stride = 2 }]
        [training]
        epochs = 2
    "#;
    let config = Config::parse(text, "embedded.toml", &[])?;
    let folder = tempfile::tempdir()?;
    let report = run(
        &RunRequest {
            config: &config,
            run: &RunFolder::new(folder.path()),
            device: &Device::flex(),
            device_name: "cpu",
            threads: 2,
            stages: StageRange::new(Stage::SituationAnalysis, Stage::ActionPlanning)?,
            force: false,
            must_resume: false,
            stop: &StopSignal::new(),
            measurer: None,
        },
        &mut Lines,
    )?;
    for outcome in &report.stages {
        println!("{}: {}", outcome.stage, outcome.verdict.status());
        for verdict in outcome.verdict.unmet() {
            println!("    {}", verdict.message);
        }
    }
    println!("exit code {}", report.exit_code.code());
    Ok(())
}
