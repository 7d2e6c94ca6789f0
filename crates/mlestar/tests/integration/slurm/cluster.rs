//! A Slurm of one machine, with daemons of its own in a temporary folder.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// For a state that must come: much more than it takes, also on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(240);

/// The daemons; dropping it ends them, and what they started.
pub struct Cluster {
    folder: TempDir,
    daemons: Vec<Child>,
}

impl Cluster {
    /// Starts the daemons, or says why they cannot run here. `options` are more lines for `slurm.conf`.
    pub fn start(options: &str) -> Option<Self> {
        for daemon in ["slurmctld", "slurmd", "sbatch"] {
            if path_of(daemon).is_none() {
                eprintln!("skipped: no {daemon} on this machine (Debian: slurm-wlm)");
                return None;
            }
        }
        match Self::try_start(options) {
            Ok(cluster) => Some(cluster),
            Err(reason) => {
                eprintln!("skipped: Slurm's daemons cannot run here: {reason}");
                None
            }
        }
    }

    fn try_start(options: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        fs::create_dir_all(folder.path().join("state")).map_err(|error| error.to_string())?;
        let host = output_of("hostname", &["-s"])?;
        let user = output_of("id", &["-un"])?;
        let mut cluster = Self {
            folder,
            daemons: Vec::new(),
        };
        let config = config(cluster.folder(), &host, &user, options)?;
        fs::write(cluster.config(), config).map_err(|error| error.to_string())?;
        for daemon in ["slurmctld", "slurmd"] {
            cluster.start_daemon(daemon)?;
        }
        let started = Instant::now();
        while !cluster.text("sinfo", &["-h", "-o", "%t"]).contains("idle") {
            if started.elapsed() > Duration::from_secs(30) {
                return Err(format!("the node does not become idle: {}", cluster.logs()));
            }
            for index in 0..cluster.daemons.len() {
                if let Ok(Some(status)) = cluster.daemons[index].try_wait() {
                    return Err(format!("a daemon ended with {status}: {}", cluster.logs()));
                }
            }
            sleep(Duration::from_millis(100));
        }
        Ok(cluster)
    }

    fn start_daemon(&mut self, name: &str) -> Result<(), String> {
        let path = path_of(name).ok_or("gone")?;
        let log = fs::File::create(self.folder().join(name).with_extension("out"));
        let log = log.map_err(|error| error.to_string())?;
        let mut command = Command::new(path);
        command
            .args(["-D", "-f"])
            .arg(self.config())
            .env("SLURM_CONF", self.config())
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.daemons.push(
            command
                .spawn()
                .map_err(|error| format!("{name}: {error}"))?,
        );
        Ok(())
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> PathBuf {
        self.folder().join("slurm.conf")
    }

    /// Runs one of Slurm's commands.
    pub fn command<S: AsRef<OsStr>>(&self, name: &str, arguments: &[S]) -> Output {
        let mut command = Command::new(name);
        command.args(arguments).env("SLURM_CONF", self.config());
        command.output().unwrap()
    }

    /// What it prints.
    pub fn text(&self, name: &str, arguments: &[&str]) -> String {
        String::from_utf8_lossy(&self.command(name, arguments).stdout).into_owned()
    }

    /// One field of `scontrol show job`, such as `JobState`, for a job or a task of an array.
    pub fn field(&self, job: &str, name: &str) -> String {
        let text = self.text("scontrol", &["show", "job", job]);
        let value = text
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().to_owned()
    }

    /// Waits until the task has one of the states.
    pub fn wait_for(&self, job: &str, states: &[&str]) {
        let there = || states.contains(&self.field(job, "JobState").as_str());
        self.wait(&format!("{job} is {states:?}"), there);
    }

    /// Waits until `is_due`.
    pub fn wait(&self, what: &str, is_due: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_due() {
            assert!(
                started.elapsed() < LIMIT,
                "not after {LIMIT:?}: {what}\n{}\n{}",
                self.text("squeue", &["-r"]),
                self.logs()
            );
            sleep(Duration::from_millis(50));
        }
    }

    /// The ends of the daemons' logs.
    fn logs(&self) -> String {
        let end = |name: &str| {
            let text = fs::read_to_string(self.folder().join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(8)..].join("\n")
        };
        ["slurmctld.out", "slurmctld.log", "slurmd.out", "slurmd.log"]
            .map(end)
            .join("\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Without a daemon there is no job either, and the commands only fail.
        if self.daemons.len() == 2 {
            self.command(
                "scancel",
                &["--user", &output_of("id", &["-un"]).unwrap_or_default()],
            );
            let started = Instant::now();
            while !self.text("squeue", &["-h"]).is_empty()
                && started.elapsed() < Duration::from_secs(30)
            {
                sleep(Duration::from_millis(100));
            }
        }
        for daemon in self.daemons.iter_mut().rev() {
            let _ = Command::new("kill").arg(daemon.id().to_string()).status();
            let started = Instant::now();
            while matches!(daemon.try_wait(), Ok(None)) {
                if started.elapsed() > Duration::from_secs(10) {
                    let _ = daemon.kill();
                }
                sleep(Duration::from_millis(20));
            }
        }
    }
}

/// No accounting, no authentication, and jobs that begin at once.
fn config(folder: &Path, host: &str, user: &str, options: &str) -> Result<String, String> {
    let folder = folder
        .to_str()
        .ok_or("the temporary folder has no name in Unicode")?;
    let (one, two) = (free_port()?, free_port()?);
    Ok(format!(
        "ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={one}
SlurmdPort={two}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
KillWait=20
NodeName={host} NodeAddr=127.0.0.1 CPUs=2
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
{options}
"
    ))
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    Ok(listener
        .local_addr()
        .map_err(|error| error.to_string())?
        .port())
}

/// Where a program is; daemons are often not on a user's path.
fn path_of(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), "/usr/local/sbin".into()]);
    folders
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn output_of(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
