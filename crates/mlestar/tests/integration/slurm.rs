//! The launcher for Slurm, with Slurm's own daemons on this machine. Where they are missing or cannot run, the tests
//! print why and end.

mod cluster;

use crate::tune::Project;
use crate::{ended, predict, program, root, splits};
use cluster::Cluster;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The program on that cluster.
fn on(cluster: &Cluster, folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = program(folder, arguments);
    command.env("SLURM_CONF", cluster.config());
    ended(command)
}

/// The number of the job that was submitted.
fn job_of(stdout: &str) -> String {
    let rest = stdout.split("submitted job ").nth(1);
    let number = rest.and_then(|rest| rest.split(':').next());
    number
        .unwrap_or_else(|| panic!("no job in {stdout}"))
        .to_owned()
}

/// The logs of the tasks.
fn logs(folder: &Path) -> String {
    let entries = fs::read_dir(folder.join("slurm")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let logs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.map(|log| fs::read_to_string(log).unwrap()).collect()
}

/// The line of docs/cluster.md that submits shards without the launcher.
fn documented_line() -> String {
    let text = fs::read_to_string(root().join("docs/cluster.md")).unwrap();
    let line = text
        .lines()
        .find(|line| line.trim().starts_with("sbatch --array=1-8"));
    line.expect("the line is in docs/cluster.md")
        .trim()
        .to_owned()
}

#[test]
fn shards_of_a_prediction_give_the_rows_of_one_run() {
    let folder = tempfile::tempdir().unwrap();
    // A name that a shell and Slurm would both misread.
    let folder = folder.path().join("50% of my folder's #1 \"é\"");
    fs::create_dir(&folder).unwrap();
    predict::run(&folder);
    let whole = ["predict", "tiny", "images", "--format", "json"];
    let (code, whole, stderr) = ended(program(&folder, &whole));
    assert_eq!((code, whole.lines().count()), (0, 32), "{stderr}");

    // More shards than Slurm has tasks at once, and not a divisor of 32.
    let mut rows = String::new();
    for shard in ["1/5", "2/5", "3/5", "4/5", "5/5"] {
        let arguments = [
            "predict", "tiny", "images", "--format", "json", "--shard", shard,
        ];
        let (code, part, stderr) = ended(program(&folder, &arguments));
        assert_eq!(code, 0, "{stderr}");
        rows += &part;
    }
    assert_eq!(rows, whole);
    // Fewer images than shards.
    let arguments = [
        "predict",
        "tiny",
        "images/test/dark/0.png",
        "--format",
        "csv",
        "--shard",
        "1/2",
    ];
    let (code, part, stderr) = ended(program(&folder, &arguments));
    assert_eq!((code, part.lines().count()), (0, 1), "{stderr}");

    let Some(cluster) = Cluster::start("") else {
        return;
    };
    let line = [
        "predict",
        "tiny",
        "images",
        "--format",
        "json",
        "--output",
        "my answers",
        "--launcher",
        "slurm",
        "--jobs",
        "3",
    ];
    let (code, stdout, stderr) = on(&cluster, &folder, &line);
    assert_eq!(code, 0, "{stderr}");
    let job = job_of(&stdout);
    assert!(stdout.contains(&format!("squeue -j {job}")), "{stdout}");
    let answers = folder.join("my answers");
    let record = fs::read_to_string(answers.join("slurm/submissions.jsonl")).unwrap();
    assert_eq!(record, format!("{{\"job\":\"{job}\",\"jobs\":3}}\n"));
    for task in 0..3 {
        cluster.wait_for(&format!("{job}_{task}"), &["COMPLETED", "FAILED"]);
    }
    let part = |index: u32| fs::read_to_string(answers.join(format!("shard-{index}-of-3.jsonl")));
    let parts: Vec<String> = (1..=3)
        .map(|index| part(index).unwrap_or_else(|_| panic!("{}", logs(&answers))))
        .collect();
    assert_eq!(parts.concat(), whole);

    // The documented line, with this program in the place of the installed one.
    let folder_of_program = Path::new(env!("CARGO_BIN_EXE_mlestar")).parent().unwrap();
    let path = format!(
        "{}:{}",
        folder_of_program.display(),
        std::env::var("PATH").unwrap()
    );
    let line = documented_line()
        .replace(" NAME ", " tiny ")
        .replace(" DIR ", " images ");
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &line])
        .current_dir(&folder)
        .env("PATH", path)
        .env("SLURM_CONF", cluster.config());
    let (code, stdout, stderr) = ended(shell);
    assert_eq!(code, 0, "{stderr}");
    let job = stdout.trim().rsplit(' ').next().unwrap();
    for task in 1..=8 {
        cluster.wait_for(&format!("{job}_{task}"), &["COMPLETED", "FAILED"]);
    }
    let part =
        |index: u32| fs::read_to_string(folder.join(format!("answers-{index}.jsonl"))).unwrap();
    assert_eq!((1..=8).map(part).collect::<String>(), whole);
}

#[test]
fn what_slurm_refuses_is_said() {
    let folder = tempfile::tempdir().unwrap();
    predict::run(folder.path());
    let line = [
        "predict",
        "tiny",
        "images",
        "--output",
        "answers",
        "--launcher",
        "slurm",
        "--jobs",
        "2",
        "--partition",
        "none",
    ];
    // The script is printed, and nothing is written.
    let (code, stdout, stderr) = ended(program(
        folder.path(),
        &[&line[..], &["--dry-run"]].concat(),
    ));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("#!/bin/bash\n#SBATCH "), "{stdout}");
    assert!(
        stdout.contains("#SBATCH --partition=\"none\"\n"),
        "{stdout}"
    );
    assert!(!folder.path().join("answers").exists());
    let mut command = program(folder.path(), &line);
    command.env("PATH", "");
    let (code, _, stderr) = ended(command);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("there is no sbatch on this machine"),
        "{stderr}"
    );
    for (arguments, part) in [
        (&["--output", "answers", "-"][..], "no standard input"),
        (&["images"], "--output DIR"),
        (
            &["images", "--output", "images/test/dark/0.png"],
            "is a file",
        ),
    ] {
        let line = [
            &["predict", "tiny", "--launcher", "slurm", "--jobs", "2"],
            arguments,
        ]
        .concat();
        let (code, _, stderr) = ended(program(folder.path(), &line));
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
    }

    let Some(cluster) = Cluster::start("") else {
        return;
    };
    let (code, _, stderr) = on(&cluster, folder.path(), &line);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("sbatch refuses the job") && stderr.contains("invalid partition"),
        "{stderr}"
    );
    assert!(
        !folder
            .path()
            .join("answers/slurm/submissions.jsonl")
            .exists()
    );
}

/// What a task said, and how often it began.
fn log(project: &Project, job: &str, task: u32) -> String {
    let log = project.study().join(format!("slurm/{job}_{task}.log"));
    fs::read_to_string(log).unwrap_or_default()
}

/// Submits the study; the number of the job.
fn submit(cluster: &Cluster, project: &Project, arguments: &[&str]) -> String {
    let mut command = project.tune(&[arguments, &["--launcher", "slurm", "--cpus", "1"]].concat());
    command.env("SLURM_CONF", cluster.config());
    let (code, stdout, stderr) = ended(command);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(
        stdout.contains("mlestar tune status studies/tiny"),
        "{stdout}"
    );
    job_of(&stdout)
}

#[test]
fn a_study_of_many_tasks_is_the_study_of_one_process() {
    let Some(cluster) = Cluster::start("") else {
        return;
    };
    let project = Project::new();
    let job = submit(&cluster, &project, &["--jobs", "3"]);
    for task in 0..3 {
        let name = format!("{job}_{task}");
        cluster.wait_for(&name, &["COMPLETED", "FAILED"]);
        assert_eq!(
            cluster.field(&name, "JobState"),
            "COMPLETED",
            "{}",
            log(&project, &job, task)
        );
    }
    let alone = Project::new();
    alone.ends(&["--threads", "1"], 0);
    assert_eq!(project.table(), alone.table());
    // A complete study needs no job, and a dry run begins no study.
    let told = project.ends(&["--launcher", "slurm", "--jobs", "3"], 0);
    assert!(!told.contains("submitted"), "{told}");
    let new = Project::new();
    let told = new.ends(&["--launcher", "slurm", "--jobs", "3", "--dry-run"], 0);
    assert!(
        told.contains("#SBATCH --array=0-2\n") && !new.study().exists(),
        "{told}"
    );
}

#[test]
fn a_trial_outlives_its_task() {
    let Some(cluster) = Cluster::start("") else {
        return;
    };
    let project = Project::new();
    let long = [
        "--set",
        "refinement.epochs_per_trial=400",
        "--set",
        "refinement.pruner='none'",
    ];
    let job = submit(
        &cluster,
        &project,
        &[&long[..], &["--trials", "3", "--jobs", "2"]].concat(),
    );
    let [first, second] = [0, 1].map(|task| format!("{job}_{task}"));
    // Each of two processes is in the middle of a trial.
    let both_at_work = || {
        let running = project.status()["running"].as_array().unwrap().clone();
        let in_the_middle = |trial: &&Value| {
            trial["is_at_work"] == true && trial["last"]["step"].as_u64() >= Some(2)
        };
        running.iter().filter(in_the_middle).count() == 2
    };
    let starts = |task: u32| log(&project, &job, task).matches("begins, start").count();

    cluster.wait("both tasks train", both_at_work);
    let began = Instant::now();
    assert!(
        cluster
            .command("scontrol", &["requeue", &second])
            .status
            .success()
    );
    cluster.wait("the second task begins again", || starts(1) == 2);
    assert!(
        log(&project, &job, 1).contains("the command ended with exit code 6"),
        "{}",
        log(&project, &job, 1)
    );
    assert_eq!(starts(0), 1, "only one task was put back");

    // What a time limit does two minutes before. A task that began a moment ago would not go back.
    let least = Duration::from_secs(12).saturating_sub(began.elapsed());
    std::thread::sleep(least);
    cluster.wait("both tasks train", both_at_work);
    assert!(
        cluster
            .command("scancel", &["--signal=USR1", "--batch", &first])
            .status
            .success()
    );
    cluster.wait("the first task begins again", || starts(0) == 2);
    assert!(
        log(&project, &job, 0).contains("goes back into the queue"),
        "{}",
        log(&project, &job, 0)
    );
    assert_eq!(starts(1), 2, "only one task was put back");

    cluster.wait("both tasks train", both_at_work);
    assert!(cluster.command("scancel", &[&first]).status.success());
    cluster.wait_for(&first, &["CANCELLED"]);
    assert_eq!(project.status()["is_complete"], false, "cancelled too late");
    cluster.wait_for(&second, &["COMPLETED", "FAILED"]);
    assert_eq!(
        cluster.field(&second, "JobState"),
        "COMPLETED",
        "{}",
        log(&project, &job, 1)
    );
    assert_eq!(starts(0), 2, "a cancelled task stays away");
    assert!(
        log(&project, &job, 1).contains("resumes after epoch"),
        "{}",
        log(&project, &job, 1)
    );

    // To the last digit what it is without interruptions.
    let alone = Project::new();
    alone.ends(
        &[&long[..], &["--trials", "1", "--threads", "1"]].concat(),
        0,
    );
    assert_eq!(project.table()[0], alone.table()[0]);
}

#[test]
fn splits_of_many_tasks_are_those_of_one_process() {
    let Some(cluster) = Cluster::start("") else {
        return;
    };
    let project = splits::Project::new();
    let long = ["--repeats", "3", "--set", "training.epochs=150"];
    let launcher = ["--launcher", "slurm", "--jobs", "2", "--cpus", "1"];
    let mut command = project.command(&[&long[..], &launcher].concat());
    command.env("SLURM_CONF", cluster.config());
    let (code, stdout, stderr) = ended(command);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(
        stdout.contains("mlestar splits status splits/tiny"),
        "{stdout}"
    );
    let job = job_of(&stdout);
    let [first, second] = [0, 1].map(|task| format!("{job}_{task}"));
    let trains = |split: u64| {
        let training = project.splits().join(format!("trainings/{split}"));
        training.join("checkpoints/last").exists()
    };
    cluster.wait("both tasks train", || trains(1) && trains(2));
    // Preempted, a task saves its training; whoever is free goes on with it, and the task comes back.
    let requeue = cluster.command("scontrol", &["requeue", &second]);
    assert!(requeue.status.success());
    for name in [&first, &second] {
        cluster.wait_for(name, &["COMPLETED", "FAILED"]);
        let state = cluster.field(name, "JobState");
        assert_eq!(state, "COMPLETED", "{}", logs(&project.splits()));
    }
    let logs = logs(&project.splits());
    assert!(
        logs.contains("the command ended with exit code 6"),
        "{logs}"
    );
    assert!(logs.contains("resumes after epoch"), "{logs}");
    let alone = splits::Project::new();
    alone.ends(&[&long[..], &["--threads", "1"]].concat(), 0);
    assert_eq!(project.table(), alone.table());
    assert!(project.splits().join("splits.json").is_file());
}
