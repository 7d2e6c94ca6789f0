//! The same training on several random splits.

use crate::{ended, program};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tiny network on a tiny set; an epoch takes a fraction of a second.
const CONFIG: &str = r#"
seed = 5
project.name = "tiny"
[data.synthetic]
n_train = 240
n_validation = 80
n_test = 80
[model]
stem_channels = 4
stages = [{ channels = 4, blocks = 1, stride = 4 }]
[training]
epochs = 4
batch_size = 40
optimizer = { learning_rate = 0.02 }
"#;

/// A project with that config.
pub struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mlestar.toml"), CONFIG).unwrap();
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn splits(&self) -> PathBuf {
        self.path().join("splits/tiny")
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        program(self.path(), &[&["splits"], arguments].concat())
    }

    /// Runs it; it must end with `code`. Returns both outputs.
    pub fn ends(&self, arguments: &[&str], code: i32) -> String {
        let (found, stdout, stderr) = ended(self.command(arguments));
        let both = format!("{stdout}{stderr}");
        assert_eq!(found, code, "{arguments:?}: {both}");
        assert!(!both.contains("panicked"), "{both}");
        both
    }

    /// All results, without the times.
    pub fn table(&self) -> Value {
        let (code, stdout, stderr) = ended(self.command(&["status", "tiny", "--json"]));
        assert_eq!(code, 0, "{stderr}");
        without_times(&stdout)
    }
}

fn without_times(text: &str) -> Value {
    let mut summary: Value = serde_json::from_str(text).unwrap();
    for result in summary["results"].as_array_mut().unwrap() {
        result.as_object_mut().unwrap().remove("seconds").unwrap();
    }
    summary
}

fn accuracies(table: &Value) -> Vec<f64> {
    let results = table["results"].as_array().unwrap().iter();
    results
        .map(|result| result["outcome"]["accuracy"].as_f64().unwrap())
        .collect()
}

#[test]
fn the_results_do_not_depend_on_the_number_of_processes() {
    let one = Project::new();
    let told = one.ends(&["--repeats", "4"], 0);
    let two = Project::new();
    two.ends(&["--repeats", "4", "--jobs", "2"], 0);
    let table = one.table();
    assert_eq!(table, two.table());

    // Other images each time, as many as in the config's own split.
    let results = table["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    for result in results {
        assert_eq!(result["train_images"], 240);
        assert_eq!(result["validation_images"], 80);
    }
    let found = accuracies(&table);
    assert!(
        found.iter().any(|accuracy| *accuracy != found[0]),
        "{found:?}"
    );
    let mean = found.iter().sum::<f64>() / 4.0;
    let squares: f64 = found.iter().map(|a| (a - mean).powi(2)).sum();
    let deviation = (squares / 3.0).sqrt();
    let of_file = |key: &str| table["accuracy"][key].as_f64().unwrap();
    assert!((of_file("mean") - mean).abs() < 1e-12);
    assert!((of_file("deviation") - deviation).abs() < 1e-12);
    // (1/4 + 80/240) of the variance.
    let error = (7.0_f64 / 12.0).sqrt() * deviation;
    assert!((of_file("standard_error") - error).abs() < 1e-12);
    assert!(
        told.contains(&format!("4 splits: mean {mean:.4}")),
        "{told}"
    );

    let page = fs::read_to_string(one.splits().join("splits.html")).unwrap();
    assert!(page.contains("Repeated splits") && page.contains("Every split"));
    let summary = fs::read_to_string(one.splits().join("splits.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["accuracy"], table["accuracy"]);
    // Trainings leave only their results.
    assert_eq!(
        fs::read_dir(one.splits().join("trainings"))
            .unwrap()
            .count(),
        0
    );

    // More splits leave the others as they are.
    let told = one.ends(&["--repeats", "5", "--jobs", "2"], 0);
    assert!(
        told.contains("5 splits of tiny") && told.contains("4 done"),
        "{told}"
    );
    let longer = one.table();
    assert_eq!(longer["results"].as_array().unwrap()[..4], results[..]);
    // Nothing is left to do.
    let told = one.ends(&[], 0);
    assert!(told.contains("5 done"), "{told}");
    assert_eq!(one.table(), longer);
}

#[test]
fn mistakes_are_named() {
    let project = Project::new();
    for (arguments, code, expected) in [
        (
            &["status", "tiny"][..],
            3,
            "there are no repeated splits in splits/tiny",
        ),
        (&["work", "tiny"], 3, "there are no repeated splits in"),
        (&["--repeats", "1"], 2, "--repeats is 1"),
        (&["--jobs", "0"], 2, "--jobs is 0"),
        (&["--run", "x"], 2, "--folder"),
        (
            &["--data", "nowhere", "--set", "data.source='folder'"],
            1,
            "nowhere",
        ),
    ] {
        let told = project.ends(arguments, code);
        assert!(told.contains(expected), "{arguments:?}: {told}");
        assert!(!project.splits().exists(), "{arguments:?}");
    }
    let told = project.ends(
        &[
            "--repeats",
            "2",
            "--launcher",
            "slurm",
            "--jobs",
            "3",
            "--dry-run",
        ],
        0,
    );
    assert!(
        told.contains("#SBATCH --array=0-2\n") && !project.splits().exists(),
        "{told}"
    );

    project.ends(&["--repeats", "2", "--set", "training.epochs=1"], 0);
    let told = project.ends(&["--set", "training.epochs=2"], 2);
    assert!(told.contains("training.epochs 1 -> 2"), "{told}");
    let one = ["--set", "training.epochs=1"];
    project.ends(
        &[&one[..], &["--set", "evaluation.confidence=0.9"]].concat(),
        0,
    );
    assert_eq!(project.table()["accuracy"]["interval"]["confidence"], 0.9);

    let file = project.splits().join("splits.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("n_train = 240", "n_train = 236", 1)).unwrap();
    fs::remove_file(project.splits().join("results/2.json")).unwrap();
    let told = project.ends(&["work", "tiny"], 2);
    assert!(told.contains("the training images differ"), "{told}");
    fs::write(&file, "version = 1").unwrap();
    let told = project.ends(&["status", "tiny"], 1);
    assert!(told.contains("splits.toml"), "{told}");

    let occupied = project.path().join("occupied");
    fs::create_dir(&occupied).unwrap();
    fs::write(occupied.join("notes.txt"), "mine").unwrap();
    let told = project.ends(&["--folder", "./occupied"], 2);
    assert!(told.contains("holds files but no splits"), "{told}");
}

#[test]
fn a_training_that_fails_is_shown_and_leaves_no_mean() {
    let project = Project::new();
    let diverging = [
        "--repeats",
        "2",
        "--set",
        "data.normalization={mean=[0.5, 0.5, 0.5], std=[1e-38, 1e-38, 1e-38]}",
        "--set",
        "training.recovery.attempts=0",
    ];
    let told = project.ends(&diverging, 1);
    assert!(told.contains("split 2 failed"), "{told}");
    assert!(
        told.contains("2 splits, of which 2 failed: no mean"),
        "{told}"
    );
    // They are trained again.
    let told = project.ends(&diverging, 1);
    assert!(told.contains("0 done"), "{told}");
}

#[cfg(unix)]
mod interrupted {
    use super::Project;
    use nix::sys::signal::{Signal, kill, killpg};
    use nix::unistd::Pid;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant, SystemTime};

    /// The time after which a test gives up on a very slow machine.
    const LIMIT: Duration = Duration::from_secs(300);
    const LONG: [&str; 4] = ["--repeats", "4", "--set", "training.epochs=25"];

    fn start(project: &Project) -> Child {
        let mut command = project.command(&[&LONG[..], &["--jobs", "2"]].concat());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        command.spawn().unwrap()
    }

    fn pid(child: &Child) -> Pid {
        Pid::from_raw(child.id().try_into().unwrap())
    }

    /// Waits until the split trains and saves an epoch; the process must not end before. What an earlier process saved does
    /// not count.
    fn wait_for_training(project: &Project, child: &mut Child, split: u64) {
        let began = SystemTime::now();
        let record = project.splits().join(format!(
            "trainings/{split}/checkpoints/last/checkpoint.json"
        ));
        let is_new = || {
            let saved = std::fs::metadata(&record).and_then(|found| found.modified());
            saved.is_ok_and(|saved| saved > began)
        };
        let started = Instant::now();
        while !is_new() {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("ended with {status} too early");
            }
            assert!(started.elapsed() < LIMIT, "not there after {LIMIT:?}");
            sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn killed_with_all_their_processes_splits_go_on_to_the_same_results() {
        let whole = Project::new();
        whole.ends(&LONG, 0);
        let project = Project::new();
        for split in [1, 2, 3] {
            let mut child = start(&project);
            wait_for_training(&project, &mut child, split);
            sleep(Duration::from_millis(150));
            killpg(pid(&child), Signal::SIGKILL).unwrap();
            child.wait().unwrap();
        }
        // Asked to stop, it saves its trainings and says how to go on.
        let mut child = start(&project);
        wait_for_training(&project, &mut child, 4);
        kill(pid(&child), Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(6));
        assert!(
            project
                .ends(&["status", "tiny"], 0)
                .contains("splits so far")
        );
        project.ends(&LONG, 0);
        assert_eq!(project.table(), whole.table());
    }
}
