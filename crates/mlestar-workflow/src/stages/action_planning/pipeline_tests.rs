//! Stages 1 to 3 and their gates on a tiny synthetic set.

use super::{ArchitectureCheck, CHECK};
use crate::config::{Config, Override};
use crate::device::DeviceChoice;
use crate::freshness::{Surroundings, current_inputs};
use crate::gates::{self, figures};
use crate::manifest::{RunManifest, StageRecord, hash_folder};
use crate::stages::situation_analysis::{ARTIFACT, PAGE as EXPLORATION, SituationAnalysis};
use crate::stages::task_definition::{FeasibilityReport, REPORT, SPEC};
use crate::stages::{self, situation_analysis::n_samples_shown};
use crate::{RunFolder, Stage, StageContext};
use mlestar_artifact::read_artifact;
use mlestar_gates::{StageVerdict, Status};
use mlestar_train::StopSignal;
use std::fs;
use std::path::Path;

const STAGES: [Stage; 3] = [
    Stage::SituationAnalysis,
    Stage::TaskDefinition,
    Stage::ActionPlanning,
];

const TINY: &str = r#"
seed = 7
[data]
source = "synthetic"
synthetic = { n_train = 300, n_validation = 120, n_test = 200 }
[augmentation]
random_crop_padding = 2
brightness = 0.1
contrast = 0.1
[model]
stem_channels = 4
stages = [{ channels = 4, blocks = 1, stride = 2 }, { channels = 8, blocks = 1, stride = 2 }, { channels = 8, blocks = 1, stride = 2 }]
dropout = 0.1
[training]
epochs = 2
batch_size = 16
evaluation_batch_size = 32
[task.quality]
validation_accuracy_min = 0.4
per_class_recall_min = 0.4
"#;

/// Targets within reach of a network that learns from 30 images per class.
const MODEST: &str = "[task.primary]\ntarget = 0.45\n[task.secondary]\nprecision_weighted = 0.4\n\
                      recall_weighted = 0.4\nf1_weighted = 0.4\n";

fn tiny(change: &str) -> Config {
    let text = format!("{TINY}{change}");
    Config::parse(&text, "test.toml", &[]).unwrap()
}

struct Run {
    folder: RunFolder,
    manifest: RunManifest,
    config: Config,
}

impl Run {
    fn new(root: &Path, config: Config) -> Self {
        Self {
            folder: RunFolder::new(root),
            manifest: RunManifest::default(),
            config,
        }
    }

    fn stages(&mut self, stages: &[Stage]) {
        let opened = DeviceChoice::Cpu.open().unwrap();
        let mut data = None;
        for stage in stages {
            let mut context = StageContext {
                stage: *stage,
                config: &self.config,
                run: &self.folder,
                device: &opened.device,
                device_name: "cpu",
                threads: 1,
                stop: &StopSignal::new(),
                reporter: &mut (),
                measurer: None,
                resume: false,
                force: false,
                manifest: &self.manifest,
                judge: gates::judge_stages,
                surroundings: &Surroundings::look(&self.config, &self.folder, "cpu"),
                data: &mut data,
            };
            stages::run(&mut context).unwrap();
            self.record(*stage);
        }
    }

    /// Records the current content of the stage's folder as what the stage wrote.
    fn record(&mut self, stage: Stage) {
        let surroundings = Surroundings::look(&self.config, &self.folder, "cpu");
        let inputs = current_inputs(stage, &surroundings, &self.folder, &self.manifest);
        let record = StageRecord {
            complete: true,
            inputs: inputs.unwrap(),
            outputs: hash_folder(&self.folder.stage_folder(stage)).unwrap(),
            ..StageRecord::default()
        };
        self.manifest.set(stage, record);
    }

    fn judge(&self, stage: Stage) -> StageVerdict {
        StageVerdict {
            stage: stage.stem().into(),
            verdicts: figures(stage, &self.config, &self.folder, &self.manifest),
        }
    }

    fn bytes(&self, stage: Stage, name: &str) -> Vec<u8> {
        fs::read(self.folder.artifact(stage, name)).unwrap()
    }

    fn text(&self, stage: Stage, name: &str) -> String {
        String::from_utf8(self.bytes(stage, name)).unwrap()
    }

    /// Replaces text in an artifact and records the result as what the stage wrote.
    fn forge(&mut self, stage: Stage, name: &str, from: &str, to: &str) {
        let text = self.text(stage, name);
        assert!(text.contains(from), "{name} has no {from}");
        fs::write(
            self.folder.artifact(stage, name),
            text.replacen(from, to, 1),
        )
        .unwrap();
        self.record(stage);
    }

    /// The criteria of a stage that do not pass.
    fn unmet(&self, stage: Stage) -> Vec<String> {
        let verdicts = self.judge(stage).verdicts.into_iter();
        let unmet = verdicts.filter(|verdict| verdict.status != Status::Pass);
        unmet.map(|verdict| verdict.criterion.id).collect()
    }
}

#[test]
fn the_first_three_stages_pass_their_gates_and_repeat_to_the_byte() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = Run::new(one.path(), tiny(MODEST));
    first.stages(&STAGES);
    for stage in STAGES {
        let verdict = first.judge(stage);
        let unmet: Vec<_> = verdict
            .verdicts
            .iter()
            .filter(|found| found.status != Status::Pass)
            .collect();
        assert!(unmet.is_empty(), "{unmet:?}");
    }
    let mut second = Run::new(two.path(), tiny(MODEST));
    second.stages(&STAGES);
    for (stage, name) in [
        (Stage::SituationAnalysis, ARTIFACT),
        (Stage::SituationAnalysis, EXPLORATION),
        (Stage::TaskDefinition, SPEC),
        (Stage::ActionPlanning, super::PLAN),
    ] {
        assert!(
            first.bytes(stage, name) == second.bytes(stage, name),
            "{name} differs"
        );
    }
    let page = first.text(Stage::SituationAnalysis, EXPLORATION);
    assert!(n_samples_shown(&page, 10).iter().all(|shown| *shown > 0));
    for stage in STAGES {
        let folder = first.folder.stage_folder(stage);
        let pages = fs::read_dir(folder).unwrap().flatten().filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "html")
        });
        assert_eq!(pages.count(), 1, "{stage}");
    }
    let analysis: SituationAnalysis =
        read_artifact(&first.folder.artifact(Stage::SituationAnalysis, ARTIFACT)).unwrap();
    assert!(analysis.challenges.len() >= 3);
    assert_eq!(analysis.summary.n_images, 620);
}

#[test]
fn a_forged_figure_contradicts_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(folder.path(), tiny(""));
    run.stages(&STAGES);
    let analysis: SituationAnalysis =
        read_artifact(&run.folder.artifact(Stage::SituationAnalysis, ARTIFACT)).unwrap();
    let n = analysis.summary.n_challenges;
    let claim = format!("\"n_challenges\": {n}");
    run.forge(
        Stage::SituationAnalysis,
        ARTIFACT,
        &claim,
        "\"n_challenges\": 99",
    );
    assert_eq!(run.unmet(Stage::SituationAnalysis), ["detectors_ran"]);
    run.forge(
        Stage::SituationAnalysis,
        ARTIFACT,
        "\"n_challenges\": 99",
        &claim,
    );
    assert_eq!(run.unmet(Stage::SituationAnalysis), Vec::<String>::new());

    let report: FeasibilityReport =
        read_artifact(&run.folder.artifact(Stage::TaskDefinition, REPORT)).unwrap();
    let seconds = report.figures.timing.step_seconds[0];
    let [slow, measured] = ["900.5".to_owned(), format!("{seconds}")];
    run.forge(Stage::TaskDefinition, REPORT, &measured, &slow);
    let unmet = run.unmet(Stage::TaskDefinition);
    assert!(
        unmet.contains(&"feasible_constraints".to_owned()),
        "{unmet:?}"
    );

    run.forge(
        Stage::ActionPlanning,
        super::PLAN,
        "\"parameters\": ",
        "\"parameters\": 1",
    );
    assert!(
        run.unmet(Stage::ActionPlanning)
            .contains(&"parameters".to_owned())
    );
}

#[test]
fn limits_that_cannot_be_kept_fail_with_their_criterion() {
    let folder = tempfile::tempdir().unwrap();
    let change = "[task.constraints]\ntraining_time_seconds_max = 0.001\nmodel_bytes_max = 10\n\
                  [task.primary]\ntarget = 0.3\n[task.secondary]\nf1_weighted = 1.0\n";
    let mut run = Run::new(folder.path(), tiny(change));
    run.stages(&STAGES);
    assert_eq!(run.unmet(Stage::SituationAnalysis), Vec::<String>::new());
    let unmet = run.unmet(Stage::TaskDefinition);
    assert_eq!(
        unmet,
        [
            "realistic_targets",
            "feasible_constraints",
            "quality_requirements_consistent"
        ]
    );
    let unmet = run.unmet(Stage::ActionPlanning);
    let expected = [
        "architecture_check",
        "model_bytes",
        "estimated_training_time_seconds",
    ];
    assert_eq!(unmet, expected);
}

#[test]
fn steps_with_the_smallest_pictures_and_the_loader_are_timed() {
    let folder = tempfile::tempdir().unwrap();
    let resizing = "training.progressive_resizing=[{ until_fraction = 0.5, scale = 0.75 }]";
    let settings = [Override::parse(resizing).unwrap()];
    let config = tiny("").with_overrides(&settings).unwrap();
    let mut run = Run::new(folder.path(), config);
    run.stages(&STAGES);
    let path = run.folder.artifact(Stage::ActionPlanning, CHECK);
    let check: ArchitectureCheck = read_artifact(&path).unwrap();
    let timing = &check.figures.timing;
    let smallest = timing.smallest_pictures.as_ref().unwrap();
    assert_eq!(smallest.picture_area, 0.5625);
    assert!(smallest.median_step_seconds() > 0.0 && timing.step_costs().is_some());
    assert!(timing.loader_images_per_second > 0.0);
    // Their losses are not among those that tell whether the network learns.
    assert_eq!(
        check.figures.losses.len(),
        timing.n_warm_up_steps + timing.step_seconds.len()
    );
    assert_eq!(run.unmet(Stage::ActionPlanning), Vec::<String>::new());
}

#[test]
fn pages_escape_hostile_class_names() {
    let pictures = tempfile::tempdir().unwrap();
    // Names that a file system can hold.
    for class in ["<b>cat", "dog & \"co\""] {
        for (split, n) in [("train", 30), ("test", 12)] {
            let folder = pictures.path().join(split).join(class);
            fs::create_dir_all(&folder).unwrap();
            for index in 0..n {
                let shade = if class.starts_with('<') { 60 } else { 180 } + index as u8;
                let picture = image::RgbImage::from_fn(16, 16, |x, y| {
                    image::Rgb([
                        shade,
                        (x * 9) as u8,
                        ((y * 11) as u8).wrapping_add(index as u8 * 7),
                    ])
                });
                picture.save(folder.join(format!("{index}.png"))).unwrap();
            }
        }
    }
    let root = tempfile::tempdir().unwrap();
    let text = TINY
        .replace(
            "source = \"synthetic\"",
            &format!("source = \"folder\"\npath = {:?}", pictures.path()),
        )
        .replace(
            "synthetic = { n_train = 300, n_validation = 120, n_test = 200 }",
            "image_size = [16, 16]",
        );
    let mut run = Run::new(root.path(), Config::parse(&text, "test.toml", &[]).unwrap());
    run.stages(&STAGES);
    for (stage, page) in [
        (Stage::SituationAnalysis, EXPLORATION),
        (Stage::TaskDefinition, stages::task_definition::PAGE),
        (Stage::ActionPlanning, super::PAGE),
    ] {
        let html = run.text(stage, page);
        assert!(!html.contains("<b>cat"), "{page}");
    }
    assert!(
        run.text(Stage::SituationAnalysis, EXPLORATION)
            .contains("&lt;b&gt;cat")
    );
    assert!(
        !run.unmet(Stage::SituationAnalysis)
            .contains(&"classes_explored".to_owned())
    );
}
