//! Searches by several processes.

use crate::{ended, program};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tiny network on a tiny set; three epochs take a fraction of a second.
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
dropout = 0.1
[training]
batch_size = 40
optimizer = { learning_rate = 0.01 }
[refinement]
trials = 10
startup_trials = 2
warmup_epochs = 0
epochs_per_trial = 3
objectives = ["loss"]
[refinement.space]
"training.optimizer.learning_rate" = { type = "float", low = 0.0001, high = 0.1, log = true }
"training.batch_size" = { type = "categorical", choices = [20, 40, 60] }
"model.dropout" = { type = "float", low = 0.0, high = 0.5 }
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

    fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn study(&self) -> PathBuf {
        self.path().join("studies/tiny")
    }

    pub fn tune(&self, arguments: &[&str]) -> Command {
        program(self.path(), &[&["tune"], arguments].concat())
    }

    /// Runs `tune`; it must end with `code`. Returns both outputs.
    pub fn ends(&self, arguments: &[&str], code: i32) -> String {
        let (found, stdout, stderr) = ended(self.tune(arguments));
        let both = format!("{stdout}{stderr}");
        assert_eq!(found, code, "{arguments:?}: {both}");
        assert!(!both.contains("panicked"), "{both}");
        both
    }

    pub fn status(&self) -> Value {
        let (code, stdout, stderr) = ended(self.tune(&["status", "tiny", "--json"]));
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    }

    /// The finished trials.
    fn trials(&self) -> Vec<Value> {
        self.status()["trials"].as_array().unwrap().clone()
    }

    /// The table of a complete study.
    pub fn table(&self) -> Value {
        let status = self.status();
        assert_eq!(status["is_complete"], true, "{status}");
        status["trials"].clone()
    }

    /// Numbers of the trials whose trainings are still there.
    fn kept(&self) -> Vec<u64> {
        let entries = fs::read_dir(self.study().join("trials")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.map(|name| name.parse().unwrap()).collect()
    }
}

const HALVING: &str = "refinement.pruner={halving={first=1, last=3, factor=3}}";

#[test]
fn the_table_does_not_depend_on_the_number_of_processes() {
    for pruner in ["refinement.pruner='median'", HALVING] {
        let one = Project::new();
        let told = one.ends(&["--jobs", "1", "--threads", "2", "--set", pruner], 0);
        assert!(told.contains("10 of 10 trials"), "{told}");
        let two = Project::new();
        two.ends(&["--jobs", "2", "--threads", "2", "--set", pruner], 0);
        let table = one.table();
        assert_eq!(table, two.table(), "{pruner}");
        let states: Vec<&Value> = table
            .as_array()
            .unwrap()
            .iter()
            .map(|t| &t["state"])
            .collect();
        assert_eq!(states.len(), 10);
        assert!(states.iter().any(|state| *state == "pruned"), "{states:?}");
        // Only the best training is kept.
        assert_eq!(one.kept(), [one.status()["best"].as_u64().unwrap()]);
        // A complete study has nothing left to do.
        let told = one.ends(&["--set", pruner], 0);
        assert!(!told.contains("process"), "{told}");
        assert_eq!(one.table(), table);
    }
}

#[test]
fn given_parameters_are_tried_first_and_a_longer_study_goes_on() {
    let project = Project::new();
    let file = project.path().join("first.toml");
    fs::write(
        &file,
        "[[trials]]\ntraining.batch_size = 20\nmodel.dropout = 0.25\n[[trials]]\ntraining.batch_size = 0\n",
    )
    .unwrap();
    project.ends(&["--trials", "4", "--enqueue", "first.toml"], 0);
    let before = project.trials();
    // The config's own come first.
    assert_eq!(before[0]["parameters"]["model.dropout"], 0.1);
    assert_eq!(before[1]["parameters"]["model.dropout"], 0.25);
    assert_eq!(before[1]["parameters"]["training.batch_size"], 20);
    // A trial that cannot be is recorded, and the study goes on.
    assert_eq!(before[2]["state"], "failed");
    let message = before[2]["message"].as_str().unwrap();
    assert!(message.contains("batch_size"), "{message}");
    assert_eq!(before.len(), 4);

    let next = project.path().join("next.jsonl");
    fs::write(
        &next,
        "{\"model.dropout\": 0.5, \"training\": {\"batch_size\": 60}}\n",
    )
    .unwrap();
    let told = project.ends(
        &["--trials", "7", "--enqueue", "next.jsonl", "--jobs", "2"],
        0,
    );
    assert!(told.contains("1 set to try next"), "{told}");
    let after = project.trials();
    assert_eq!(after[..4], before[..]);
    assert_eq!(after[4]["parameters"]["model.dropout"], 0.5);
    assert_eq!(after.len(), 7);
    // The same file again adds nothing.
    let told = project.ends(&["--enqueue", "next.jsonl"], 0);
    assert!(!told.contains("to try next"), "{told}");
    let straight = Project::new();
    fs::copy(&file, straight.path().join("first.toml")).unwrap();
    straight.ends(&["--trials", "4", "--enqueue", "first.toml"], 0);
    assert_eq!(straight.trials(), before);

    fs::write(&next, "{\"dropout\": 0.5}\n").unwrap();
    let told = project.ends(&["--enqueue", "next.jsonl"], 2);
    assert!(
        told.contains("`dropout` is not in refinement.space"),
        "{told}"
    );
}

#[test]
fn a_study_learns_from_another_and_its_best_settings_are_a_config() {
    let project = Project::new();
    project.ends(&["--trials", "3"], 0);
    let other = [
        "--study", "other", "--trials", "2", "--set", "seed=9", "--from", "tiny",
    ];
    let told = project.ends(&other, 0);
    let n_complete = project
        .trials()
        .iter()
        .filter(|t| t["state"] == "complete")
        .count();
    assert!(
        told.contains(&format!("{n_complete} trials taken over to learn from")),
        "{told}"
    );
    // Its journal alone is enough.
    let journal = project.study().join("journal.log");
    let journal = format!("{}#tiny", journal.display());
    let told = project.ends(
        &[
            "--study", "third", "--trials", "1", "--set", "seed=9", "--from", &journal,
        ],
        0,
    );
    assert!(told.contains("taken over"), "{told}");
    let told = project.ends(
        &[
            "--study",
            "fourth",
            "--from",
            &journal.replace("#tiny", "#x"),
        ],
        2,
    );
    assert!(told.contains("JOURNAL") || told.contains("#NAME"), "{told}");

    let told = project.ends(&["best", "tiny"], 0);
    assert!(
        told.contains("training.optimizer.learning_rate = "),
        "{told}"
    );
    let config = project.study().join("optimized.toml");
    let best = project.status()["best"].as_u64().unwrap() as usize;
    let expected = &project.trials()[best]["parameters"]["model.dropout"];
    let text: toml::Table = fs::read_to_string(&config).unwrap().parse().unwrap();
    assert_eq!(text["model"]["dropout"].as_float(), expected.as_f64());
    assert_eq!(text["refinement"]["enabled"].as_bool(), Some(false));
    let read = program(
        project.path(),
        &["config", "--config", config.to_str().unwrap()],
    );
    assert_eq!(ended(read).0, 0);

    let told = project.ends(&["report", "tiny"], 0);
    assert!(told.contains("report.html"), "{told}");
    let page = fs::read_to_string(project.study().join("report.html")).unwrap();
    for text in ["validation loss", "What did not help", "optimized.toml"] {
        assert!(page.contains(text), "{text}");
    }
    // The study is complete, so there is nothing to go on with.
    assert!(!page.contains("Goes on with this study"));
}

#[test]
fn several_objectives_have_a_front_and_each_trial_its_images() {
    let project = Project::new();
    let images = project.path().join("images");
    for (class, shade) in [("dark", 40_u8), ("light", 200)] {
        fs::create_dir_all(images.join(class)).unwrap();
        for number in 0..20_u8 {
            let image = image::RgbImage::from_pixel(12, 12, image::Rgb([shade + number; 3]));
            image
                .save(images.join(class).join(format!("{number}.png")))
                .unwrap();
        }
    }
    let sizes = "refinement.space={\"data.image_size\"={type=\"categorical\", choices=[[8, 8], [12, 12]]}, \
                 \"model.stem_channels\"={type=\"int\", low=2, high=4, step=2}}";
    let settings = [
        "--data",
        "images",
        "--config",
        "mlestar.toml",
        // The config's own, then the four points of the grid.
        "--trials",
        "5",
        "--set",
        "data.source='folder'",
        "--set",
        "data.image_size=[8, 8]",
        "--set",
        "data.validation_fraction=0.3",
        "--set",
        "training.batch_size=10",
        "--set",
        "refinement.pruner='none'",
        "--set",
        "refinement.sampler='grid'",
        "--set",
        "refinement.objectives=['accuracy', 'parameters', 'flops']",
        "--set",
        sizes,
    ];
    project.ends(&settings, 0);
    let status = project.status();
    assert_eq!(status["best"], Value::Null);
    let front: Vec<u64> = serde_json::from_value(status["front"].clone()).unwrap();
    assert!(!front.is_empty());
    let values =
        |trial: &Value| -> Vec<f64> { serde_json::from_value(trial["values"].clone()).unwrap() };
    let trials = project.trials();
    for trial in &trials {
        assert_eq!(trial["state"], "complete", "{trial}");
        assert_eq!(values(trial).len(), 3);
    }
    // Each trial reads its images at its own size: parameters stay, operations grow with the pixels.
    let of_size = |size: u64| {
        let mut found = trials.iter().filter(|trial| {
            let parameters = &trial["parameters"];
            parameters["data.image_size"][0] == size && parameters["model.stem_channels"] == 2
        });
        values(found.next().expect("a point of the grid"))
    };
    let (small, large) = (of_size(8), of_size(12));
    assert_eq!(small[1], large[1]);
    let ratio = large[2] / small[2];
    assert!((2.0..2.3).contains(&ratio), "{ratio}");
    let told = project.ends(&["best", "tiny"], 0);
    assert!(told.contains("no other beats"), "{told}");
    let mut kept = project.kept();
    kept.sort_unstable();
    assert_eq!(kept, front);
    // Stage 6 searches in one process, and says what it cannot do.
    let mut run = settings.to_vec();
    run.retain(|word| !["--trials", "5"].contains(word));
    let (code, _, stderr) = ended(program(
        project.path(),
        &[&["run"], run.as_slice()].concat(),
    ));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("which stage 6 cannot do"), "{stderr}");
}

#[test]
fn mistakes_are_named() {
    let project = Project::new();
    for (arguments, code, expected) in [
        (
            &["status", "tiny"][..],
            3,
            "there is no study in studies/tiny",
        ),
        (&["work", "tiny"], 3, "there is no study in"),
        (&["best", "tiny"], 3, "there is no study in"),
        (&["--jobs", "0"], 2, "--jobs is 0"),
        (&["--minutes", "0"], 2, "--minutes is 0"),
        (&["--run", "x"], 2, "--study"),
        (&["--from", "nowhere"], 1, "nowhere"),
        (&["--enqueue", "nowhere.toml"], 2, "nowhere.toml"),
        (
            &[
                "--set",
                "refinement.pruner={halving={first=1, last=9, factor=3}}",
            ],
            2,
            "refinement.epochs_per_trial, which is 3",
        ),
        (
            &["--set", "refinement.objectives=['accuracy', 'flops']"],
            2,
            "with several directions",
        ),
        (
            &[
                "--set",
                "refinement.space={\"data.subset\"={type=\"int\", low=10, high=20}}",
            ],
            2,
            "trials must be judged on the same images",
        ),
        (
            &["--data", "nowhere", "--set", "data.source='folder'"],
            1,
            "nowhere",
        ),
    ] {
        let told = project.ends(arguments, code);
        assert!(told.contains(expected), "{arguments:?}: {told}");
        assert!(!project.study().exists(), "{arguments:?}");
    }
    project.ends(&["--trials", "1"], 0);
    let told = project.ends(&["--set", "model.dropout=0.3"], 2);
    assert!(told.contains("model.dropout 0.1 -> 0.3"), "{told}");
    let told = project.ends(&["--study", "tiny", "--set", "seed=6"], 2);
    assert!(told.contains("seed 5 -> 6"), "{told}");
    // What cannot change a trial may differ.
    project.ends(&["--set", "task.primary.target=0.5"], 0);

    // Images that are not those of the beginning.
    let text = fs::read_to_string(project.study().join("study.toml")).unwrap();
    let damaged = text.replacen("n_train = 240", "n_train = 236", 1);
    assert_ne!(damaged, text);
    fs::write(project.study().join("study.toml"), damaged).unwrap();
    let told = project.ends(&["work", "tiny"], 2);
    assert!(told.contains("the training images differ"), "{told}");
    fs::write(project.study().join("study.toml"), "version = 1").unwrap();
    let told = project.ends(&["status", "tiny"], 1);
    assert!(told.contains("study.toml"), "{told}");

    let occupied = project.path().join("occupied");
    fs::create_dir(&occupied).unwrap();
    fs::write(occupied.join("notes.txt"), "mine").unwrap();
    let told = project.ends(&["--study", "./occupied"], 2);
    assert!(told.contains("holds files but no study"), "{told}");
    fs::write(project.path().join("a file"), "in the way").unwrap();
    let told = project.ends(&["--study", "a file/study"], 1);
    assert!(told.contains("cannot use the study folder"), "{told}");
}

#[cfg(unix)]
mod interrupted {
    use super::Project;
    use crate::ended;
    use nix::sys::signal::{Signal, kill, killpg};
    use nix::unistd::Pid;
    use serde_json::Value;
    use std::fs;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    /// The time after which a test gives up on a very slow machine.
    const LIMIT: Duration = Duration::from_secs(400);

    fn pid(child: &Child) -> Pid {
        Pid::from_raw(child.id().try_into().unwrap())
    }

    /// Waits until `is_due`; the process must not end before.
    fn wait_until(child: &mut Child, is_due: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_due() {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("ended with {status} too early");
            }
            assert!(started.elapsed() < LIMIT, "not there after {LIMIT:?}");
            sleep(Duration::from_millis(2));
        }
    }

    fn start(project: &Project, arguments: &[&str]) -> Child {
        let mut command = project.tune(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        command.spawn().unwrap()
    }

    fn n_lines(project: &Project) -> usize {
        let journal = fs::read_to_string(project.study().join("journal.log"));
        journal.map_or(0, |text| text.matches('\n').count())
    }

    #[test]
    fn killed_with_all_its_processes_a_study_goes_on_to_the_same_table() {
        for pruner in ["refinement.pruner='median'", super::HALVING] {
            let whole = Project::new();
            whole.ends(&["--set", pruner], 0);
            let killed = Project::new();
            for lines in [7, 12, 15] {
                let mut child = start(&killed, &["--jobs", "2", "--set", pruner]);
                let before = n_lines(&killed);
                wait_until(&mut child, || n_lines(&killed) >= before + lines);
                killpg(pid(&child), Signal::SIGKILL).unwrap();
                child.wait().unwrap();
                assert_eq!(killed.status()["is_complete"], false, "killed too late");
            }
            killed.ends(&["--jobs", "2", "--set", pruner], 0);
            assert_eq!(killed.table(), whole.table(), "{pruner}");
            assert_eq!(killed.kept(), whole.kept());
        }
    }

    /// A study of long trials, begun and stopped at once.
    fn begun(trials: &str) -> Project {
        let project = Project::new();
        let long = [
            "--set",
            "refinement.epochs_per_trial=40",
            "--trials",
            trials,
        ];
        let told = project.ends(&[&long[..], &["--minutes", "0.00001"]].concat(), 6);
        assert!(told.contains("To go on: mlestar tune --set"), "{told}");
        project
    }

    /// The trial that a process runs, after at least two epochs of this process.
    fn running(project: &Project) -> Option<Value> {
        let status = project.status();
        let running = status["running"].as_array().unwrap().first()?.clone();
        let epochs = running["last"]["step"].as_u64().unwrap_or(0);
        (running["is_at_work"] == true && epochs >= 2).then_some(running)
    }

    #[test]
    fn a_worker_that_is_asked_to_stop_hands_its_trial_on() {
        let project = begun("2");
        let mut worker = start(&project, &["work", "tiny"]);
        wait_until(&mut worker, || running(&project).is_some());
        kill(pid(&worker), Signal::SIGTERM).unwrap();
        assert_eq!(worker.wait().unwrap().code(), Some(6));
        let status = project.status();
        assert_eq!(status["is_complete"], false, "stopped too late");
        let handed_on = &status["running"][0];
        assert_eq!(handed_on["worker"], Value::Null, "{handed_on}");
        let (code, _, stderr) = ended(project.tune(&["work", "tiny"]));
        assert_eq!(code, 0, "{stderr}");
        let resumed = format!("trial {} resumes after epoch", handed_on["number"]);
        assert!(stderr.contains(&resumed), "{stderr}");
        let whole = begun("2");
        whole.ends(&["work", "tiny"], 0);
        assert_eq!(project.table(), whole.table());
    }

    /// A network whose training needs more memory than there is.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_trial_that_exhausts_memory_fails_and_the_study_goes_on() {
        let project = Project::new();
        let channels =
            "refinement.space={\"model.stem_channels\"={type=\"int\", low=2, high=4096}}";
        fs::write(
            project.path().join("large.jsonl"),
            "{\"model.stem_channels\": 4096}\n",
        )
        .unwrap();
        let words = [
            "--trials",
            "2",
            "--threads",
            "1",
            "--enqueue",
            "large.jsonl",
            "--set",
            channels,
        ];
        let plain = project.tune(&words);
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -v 700000; exec \"$0\" \"$@\""])
            .arg(plain.get_program())
            .args(plain.get_args())
            .current_dir(project.path());
        let (code, stdout, stderr) = ended(command);
        assert_eq!(code, 0, "{stdout}{stderr}");
        let trials = project.trials();
        assert_eq!(trials[0]["state"], "complete", "{}", trials[0]);
        assert_eq!(trials[1]["state"], "failed", "{}", trials[1]);
        let message = trials[1]["message"].as_str().unwrap();
        assert!(message.contains("3 processes ended"), "{message}");
        let told = project.ends(&["status", "tiny"], 0);
        assert!(told.contains("memory ran out"), "{told}");
    }

    /// Killed in different places, a trial is not to blame.
    #[test]
    fn a_trial_that_got_further_before_its_process_was_killed_goes_on() {
        let project = begun("1");
        let mut epochs = 0;
        for _ in 0..4 {
            let mut worker = start(&project, &["work", "tiny"]);
            wait_until(&mut worker, || {
                running(&project).is_some_and(|trial| trial["last"]["step"].as_u64() > Some(epochs))
            });
            worker.kill().unwrap();
            worker.wait().unwrap();
            let status = project.status();
            epochs = status["running"][0]["last"]["step"].as_u64().unwrap();
        }
        project.ends(&["work", "tiny"], 0);
        assert_eq!(project.trials()[0]["state"], "complete");
    }

    /// Processes that were started end with the one that started them, and save what they did.
    #[test]
    fn processes_do_not_outlive_the_one_that_started_them() {
        let project = begun("2");
        let mut tune = start(&project, &["--study", "tiny"]);
        wait_until(&mut tune, || running(&project).is_some());
        kill(pid(&tune), Signal::SIGKILL).unwrap();
        tune.wait().unwrap();
        let started = Instant::now();
        while project.status()["running"][0]["worker"] != Value::Null {
            assert!(started.elapsed() < LIMIT, "the process still runs");
            sleep(Duration::from_millis(20));
        }
        // A stop of the command reaches them, too.
        let mut tune = start(&project, &["--study", "tiny", "--jobs", "2"]);
        wait_until(&mut tune, || running(&project).is_some());
        kill(pid(&tune), Signal::SIGTERM).unwrap();
        assert_eq!(tune.wait().unwrap().code(), Some(6));
        let status = project.status();
        for trial in status["running"].as_array().unwrap() {
            assert_eq!(trial["worker"], Value::Null, "{trial}");
        }
    }
}
