//! The text of the batch script.

use super::quoting::{directive, log_folder, shell, text_of};
use super::time_limit::TimeLimit;
use super::{OnStop, SlurmJob};
use mlestar_workflow::WorkflowError;
use std::fmt::Write;
use std::num::NonZeroU32;
use std::path::Path;

/// What follows the command if it continues after a stop.
const CONTINUING: &str = include_str!("continuing.sh");

/// What follows if it begins anew.
const BEGINNING_ANEW: &str = "\
# Signals reach the command itself. Slurm starts a task again that it had to stop for others.
exec \"${command[@]}\"
";

impl SlurmJob<'_> {
    /// The batch script: what the array needs, and what a task does.
    ///
    /// # Errors
    /// Names that a batch script cannot hold.
    pub(super) fn script(&self) -> Result<String, WorkflowError> {
        let program = std::env::current_exe().map_err(|error| {
            WorkflowError::Usage(format!("the path of this program is unknown: {error}"))
        })?;
        self.script_for(&program)
    }

    /// The script with another program in the place of this one.
    fn script_for(&self, program: &Path) -> Result<String, WorkflowError> {
        let mut words = vec![text_of(program)?.as_str().into()];
        words.extend(self.command.iter().cloned());
        let words: Vec<String> = words.iter().map(shell).collect();
        let mut script = String::from("#!/bin/bash\n");
        for line in self.directives()? {
            // Writing to a string never fails.
            let _ = writeln!(script, "#SBATCH {line}");
        }
        let _ = write!(
            script,
            "\n\
             printf -v task '%0{width}d' $((SLURM_ARRAY_TASK_ID + 1))\n\
             me=\"${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID\"\n\
             say() {{ echo \"$(date '+%F %T') job $me on ${{SLURMD_NODENAME:-}}: $*\"; }}\n\
             command=({})\n\n",
            words.join(" "),
            width = self.jobs.to_string().len()
        );
        script.push_str(match self.on_stop {
            OnStop::Continues => CONTINUING,
            OnStop::BeginsAnew => BEGINNING_ANEW,
        });
        Ok(script)
    }

    /// The options of `sbatch`, each without `#SBATCH`. Of equal ones the last holds, so the user's come last.
    fn directives(&self) -> Result<Vec<String>, WorkflowError> {
        let arguments = self.arguments;
        let here = std::env::current_dir().map_err(|error| {
            WorkflowError::Usage(format!("the working folder cannot be found: {error}"))
        })?;
        let logs = log_folder(&text_of(&self.slurm_folder()?)?)?;
        let mut lines = vec![
            format!("--job-name={}", directive(&self.name)?),
            format!("--array=0-{}", self.jobs.get() - 1),
            format!("--chdir={}", directive(&text_of(&here)?)?),
            format!("--output={}", directive(&format!("{logs}/%A_%a.log"))?),
            "--open-mode=append".to_owned(),
            "--requeue".to_owned(),
        ];
        if self.on_stop == OnStop::Continues {
            let notice = TimeLimit::notice(arguments.time.as_ref());
            lines.push(format!("--signal=B:USR1@{notice}"));
        }
        if let Some(partition) = &arguments.partition {
            lines.push(format!("--partition={}", directive(partition)?));
        }
        let count = |count: Option<NonZeroU32>| count.map(|count| count.to_string());
        let needs = [
            ("--time", arguments.time.as_ref().map(TimeLimit::to_string)),
            ("--cpus-per-task", count(arguments.cpus)),
            ("--mem", arguments.mem.clone()),
            ("--gres", count(arguments.gpus).map(|n| format!("gpu:{n}"))),
        ];
        for (option, value) in needs {
            lines.extend(value.map(|value| format!("{option}={value}")));
        }
        for option in &arguments.sbatch_option {
            lines.push(match option.split_once('=') {
                Some((name, value)) => format!("{name}={}", directive(value)?),
                None => option.clone(),
            });
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SlurmArguments, Word};
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        slurm: SlurmArguments,
    }

    fn script(on_stop: OnStop, arguments: &[&str]) -> String {
        let words = ["test", "--launcher", "slurm"].iter().chain(arguments);
        let arguments = Line::try_parse_from(words).unwrap().slurm;
        let job = SlurmJob {
            name: "tune my study".into(),
            folder: Path::new("/shared/my study's 50%"),
            command: vec!["work".into(), Word::Task("part ".into(), "/8".into())],
            on_stop,
            jobs: NonZeroU32::new(8).unwrap(),
            arguments: &arguments,
        };
        job.script().unwrap()
    }

    fn directives(script: &str) -> String {
        let here = std::env::current_dir().unwrap();
        let lines: Vec<String> = script
            .lines()
            .filter_map(|line| line.strip_prefix("#SBATCH "))
            .map(|line| line.replace(here.to_str().unwrap(), "HERE"))
            .collect();
        lines.join("\n")
    }

    #[test]
    fn every_argument_has_its_line() {
        let arguments = [
            "--partition=cpu",
            "--time=04:00:00",
            "--cpus=4",
            "--mem=16G",
            "--gpus=1",
            "--sbatch-option=--account=my project",
            "--sbatch-option",
            "--exclusive",
        ];
        insta::assert_snapshot!(directives(&script(OnStop::Continues, &arguments)), @r#"
        --job-name="tune my study"
        --array=0-7
        --chdir="HERE"
        --output="/shared/my study's 50%%/slurm/%A_%a.log"
        --open-mode=append
        --requeue
        --signal=B:USR1@120
        --partition="cpu"
        --time=04:00:00
        --cpus-per-task=4
        --mem=16G
        --gres=gpu:1
        --account="my project"
        --exclusive
        "#);
    }

    #[test]
    fn little_is_asked_for_by_itself() {
        let script = script(OnStop::BeginsAnew, &[]);
        insta::assert_snapshot!(directives(&script), @r#"
        --job-name="tune my study"
        --array=0-7
        --chdir="HERE"
        --output="/shared/my study's 50%%/slurm/%A_%a.log"
        --open-mode=append
        --requeue
        "#);
        assert!(
            script.contains("'work' 'part '\"$task\"'/8')\n"),
            "{script}"
        );
        assert!(script.ends_with("exec \"${command[@]}\"\n"), "{script}");
    }

    #[test]
    fn an_argument_for_slurm_needs_slurm() {
        for argument in ["--dry-run", "--time=1", "--sbatch-option=--account=x"] {
            let error = Line::try_parse_from(["test", argument]).err().unwrap();
            assert!(
                error.to_string().contains("--launcher"),
                "{argument}: {error}"
            );
        }
    }

    /// What the script does with signals and exit codes, with scripts in the place of `mlestar` and of Slurm's
    /// commands.
    #[cfg(unix)]
    mod behaviour {
        use super::*;
        use std::fs;
        use std::os::unix::fs::PermissionsExt;
        use std::path::PathBuf;
        use std::process::{Child, Command, Stdio};
        use std::thread::sleep;
        use std::time::{Duration, Instant};
        use tempfile::TempDir;

        struct Task {
            folder: TempDir,
            child: Child,
        }

        impl Task {
            /// The task of an array whose program is a shell script, and what `squeue` says of it.
            fn start(program: &str, state: &str) -> Option<Self> {
                let folder = tempfile::tempdir().unwrap();
                let write = |name: &str, text: &str| -> PathBuf {
                    let path = folder.path().join(name);
                    fs::write(&path, text).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
                    path
                };
                write("scontrol", "#!/bin/bash\necho \"$@\" >> \"$0.calls\"\n");
                write("squeue", &format!("#!/bin/bash\necho {state}\n"));
                let program = write(
                    "the program",
                    &format!("#!/bin/bash\ncd \"${{0%/*}}\"\n{program}"),
                );
                let arguments = SlurmArguments::default();
                let job = SlurmJob {
                    name: "x".into(),
                    folder: folder.path(),
                    command: vec!["one word".into()],
                    on_stop: OnStop::Continues,
                    jobs: NonZeroU32::MIN,
                    arguments: &arguments,
                };
                // Nothing here works for ten seconds.
                let script = job
                    .script_for(&program)
                    .unwrap()
                    .replace("-lt 10 ]", "-lt 0 ]");
                let script = write("job", &script);
                let path = format!(
                    "{}:{}",
                    folder.path().display(),
                    std::env::var("PATH").unwrap()
                );
                let mut command = Command::new("bash");
                command
                    .arg(script)
                    .env("PATH", path)
                    .env("SLURM_ARRAY_JOB_ID", "7")
                    .env("SLURM_ARRAY_TASK_ID", "2")
                    .stdout(Stdio::piped());
                match command.spawn() {
                    Ok(child) => Some(Self { folder, child }),
                    Err(_) => {
                        eprintln!("skipped: no bash");
                        None
                    }
                }
            }

            fn has(&self, file: &str) -> bool {
                self.folder.path().join(file).exists()
            }

            fn wait_for(&self, file: &str) {
                let started = Instant::now();
                while !self.has(file) {
                    assert!(started.elapsed() < Duration::from_secs(60), "no {file}");
                    sleep(Duration::from_millis(10));
                }
            }

            fn signal(&self, signal: &str) {
                let sent = Command::new("kill")
                    .args([signal, &self.child.id().to_string()])
                    .status();
                assert!(sent.unwrap().success());
            }

            /// Exit code, output, and what `scontrol` was asked for.
            fn end(self) -> (i32, String, String) {
                let output = self.child.wait_with_output().unwrap();
                let calls = fs::read_to_string(self.folder.path().join("scontrol.calls"));
                let text = String::from_utf8(output.stdout).unwrap();
                (
                    output.status.code().unwrap(),
                    text,
                    calls.unwrap_or_default(),
                )
            }
        }

        /// Ends on a signal as a worker does, but takes its time; a second signal ends it at once.
        const WORKER: &str = "n=0; trap 'n=$((n + 1)); echo heard $n; [ $n = 2 ] && exit 130' TERM\n\
                              echo $$ > pid; mv pid begun; while [ $n = 0 ]; do sleep 0.05; done; sleep 0.3; exit 6\n";

        #[test]
        fn a_complete_study_ends_the_task_and_a_failure_too() {
            let Some(task) = Task::start("[ \"$*\" = 'one word' ] && exit 0", "RUNNING") else {
                return;
            };
            let (code, text, calls) = task.end();
            assert_eq!((code, calls.as_str()), (0, ""), "{text}");
            let (code, text, calls) = Task::start("exit 1", "RUNNING").unwrap().end();
            assert_eq!((code, calls.as_str()), (1, ""), "{text}");
            assert_eq!(text.matches("the command ended").count(), 1, "{text}");
        }

        #[test]
        fn near_its_limit_a_task_hands_its_trial_on_and_goes_back_into_the_queue() {
            let Some(task) = Task::start(WORKER, "RUNNING") else {
                return;
            };
            task.wait_for("begun");
            task.signal("-USR1");
            let (code, text, calls) = task.end();
            assert_eq!((code, calls.as_str()), (0, "requeue 7_2\n"), "{text}");
            assert!(
                text.contains("heard 1") && text.contains("exit code 6"),
                "{text}"
            );
        }

        /// SIGTERM as Slurm sends it: to the script, and to the command.
        fn told_to_end(state: &str) -> Option<(i32, String, String)> {
            let task = Task::start(WORKER, state)?;
            task.wait_for("begun");
            let command = fs::read_to_string(task.folder.path().join("begun")).unwrap();
            task.signal("-TERM");
            let sent = Command::new("kill")
                .args(["-TERM", command.trim()])
                .status();
            assert!(sent.unwrap().success());
            Some(task.end())
        }

        #[test]
        fn a_task_that_must_end_waits_for_its_command() {
            // Cancelled, or already put back by Slurm.
            let Some((code, text, calls)) = told_to_end("COMPLETING") else {
                return;
            };
            assert_eq!((code, calls.as_str()), (6, ""), "{text}");
            assert!(
                text.contains("heard 1") && !text.contains("heard 2"),
                "{text}"
            );
            // Asked to make room.
            let (code, text, calls) = told_to_end("RUNNING").unwrap();
            assert_eq!((code, calls.as_str()), (0, "requeue 7_2\n"), "{text}");
        }

        #[test]
        fn a_killed_command_is_replaced_ten_times_at_most() {
            let program = "echo \"process $$ replaces ${MLESTAR_REPLACES:-none}\"; echo x >> begun; [ $(wc -l < begun) = 3 ] || kill -9 $$\n";
            let Some(task) = Task::start(program, "RUNNING") else {
                return;
            };
            let (code, text, _) = task.end();
            assert_eq!(
                (code, text.matches("exit code 137").count()),
                (0, 2),
                "{text}"
            );
            // Each one knows which process it replaces.
            let mut ended = "none";
            for line in text
                .lines()
                .filter_map(|line| line.strip_prefix("process "))
            {
                let (process, replaced) = line.split_once(" replaces ").unwrap();
                assert_eq!(replaced, ended, "{text}");
                ended = process;
            }
            let (code, text, _) = Task::start("kill -9 $$", "RUNNING").unwrap().end();
            assert_eq!(code, 137);
            assert!(text.contains("killed 10 times"), "{text}");
        }
    }
}
