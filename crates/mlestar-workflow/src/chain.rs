//! The chain: runs stale stages, judges every gate, and acts on gates that are not met.

use crate::audit::{self, AuditEvent, AuditMark};
use crate::config::{Config, OnFailure, ReturnTo, differences};
use crate::context::DataCache;
use crate::freshness::{
    Surroundings, altered_outputs, changes, current_inputs, goes_on, staleness,
};
use crate::inputs::{InputChange, Inputs};
use crate::machine::MachineInfo;
use crate::manifest::{RunManifest, StageRecord, hash_folder};
use crate::model_benchmark::ModelMeasurer;
use crate::remedies::Remedies;
use crate::run_info::RunInfo;
use crate::validation::ValidationReport;
use crate::words::counted;
use crate::{CODE_VERSION, Reporter, RunFolder, Stage, StageContext, WorkflowError};
use crate::{gates, page_headers, stages, summary};
use burn::tensor::Device;
use mlestar_artifact::{ContentHash, remove_leftovers, write_artifact, write_atomically};
use mlestar_gates::{ExitCode, StageVerdict, Status};
use mlestar_train::{StopSignal, TrainError, check_initial_weights};
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

/// What to run, where, and with which settings.
pub struct RunRequest<'a> {
    /// The checked config.
    pub config: &'a Config,
    /// The run's folder.
    pub run: &'a RunFolder,
    /// The device that computes.
    pub device: &'a Device,
    /// Its name, such as `cpu`.
    pub device_name: &'a str,
    /// Worker threads for loading and augmenting.
    pub threads: usize,
    /// The stages to look at.
    pub stages: StageRange,
    /// Run stages even when they are fresh.
    pub force: bool,
    /// Fail where there is no run to resume, and where an interrupted stage would restart because something that it
    /// depends on has changed. Without it, such a stage restarts and its earlier work is set aside.
    pub must_resume: bool,
    /// Asks the run to stop at its next safe point.
    pub stop: &'a StopSignal,
    /// Measures the package of stage 7 in a process of its own, so that its memory and time are those of the model
    /// alone. Without one, stage 7 measures in this process and says so.
    pub measurer: Option<&'a dyn ModelMeasurer>,
}

/// The outcome of one stage.
#[derive(Clone, Debug)]
pub struct StageOutcome {
    /// The stage.
    pub stage: Stage,
    /// Whether it ran; false when its inputs were unchanged.
    pub ran: bool,
    /// Its gate.
    pub verdict: StageVerdict,
}

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The stages that the run covered, in order. A stage that the chain returned to appears once, with its last
    /// outcome.
    pub stages: Vec<StageOutcome>,
    /// The stage at which an unmet gate stopped the chain.
    pub stopped_at: Option<Stage>,
    /// The exit code of the whole run.
    pub exit_code: ExitCode,
}

/// One stage or several in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageRange {
    first: Stage,
    last: Stage,
}

impl StageRange {
    /// All stages.
    pub const ALL: Self = Self {
        first: Stage::SituationAnalysis,
        last: Stage::Deployment,
    };

    /// The stages from `first` to `last`, both included.
    ///
    /// # Errors
    /// [`WorkflowError::Usage`] where the last one comes before the first.
    ///
    /// ```
    /// use mlestar_workflow::{Stage, chain::StageRange};
    /// assert!(StageRange::new(Stage::Evaluation, Stage::Evaluation).is_ok());
    /// assert_eq!(
    ///     StageRange::new(Stage::Evaluation, Stage::ActionPlanning).unwrap_err().to_string(),
    ///     "--from 5 comes after --to 3; swap them"
    /// );
    /// ```
    pub fn new(first: Stage, last: Stage) -> Result<Self, WorkflowError> {
        if first > last {
            return Err(WorkflowError::Usage(format!(
                "--from {} comes after --to {}; swap them",
                first.number(),
                last.number()
            )));
        }
        Ok(Self { first, last })
    }

    /// The stages in order.
    fn iter(self) -> impl Iterator<Item = Stage> {
        Stage::ALL
            .into_iter()
            .filter(move |stage| (self.first..=self.last).contains(stage))
    }
}

/// Runs the stages from `from` to `to` that are stale and judges their gates.
///
/// # Errors
/// Any failure that keeps a stage from writing its artifacts. An unmet gate is not an error: the report and its exit
/// code show it.
pub fn run(
    request: &RunRequest<'_>,
    reporter: &mut dyn Reporter,
) -> Result<RunReport, WorkflowError> {
    // Before taking the lock, which creates the folder.
    if request.must_resume && RunManifest::read(request.run)?.stages.is_empty() {
        return Err(WorkflowError::NothingToResume {
            path: request.run.root().to_owned(),
        });
    }
    if (request.stages.first..=request.stages.last).contains(&Stage::Refinement)
        && request.config.refinement.enabled
    {
        request.config.check_search_in_one_process()?;
    }
    check_given_files(request)?;
    let _lock = request.run.lock()?;
    remove_leftovers(request.run.root())?;
    let mut remedies = Remedies::read(request.run, request.config)?;
    let mut chain = Chain {
        config: remedies.apply(request.config)?,
        manifest: RunManifest::read(request.run)?,
        data: None,
        fingerprint: mlestar_data::fingerprint(
            &request.config.data,
            Some(&request.run.fingerprints_path()),
        )?,
        request,
        reporter,
    };
    if request.must_resume {
        chain.check_that_it_resumes()?;
    }
    chain.tell_what_changed();
    chain.write_run_info()?;
    let report = chain.run_stages(&mut remedies)?;
    let surroundings = chain.surroundings();
    let judged = ValidationReport::judge(&Stage::ALL, &surroundings, request.run, &chain.manifest);
    stages::deployment::record_verdicts(request.run, &mut chain.manifest, &judged.verdict)?;
    judged.write(request.run)?;
    page_headers::refresh(request.run, &chain.manifest, &judged.verdict)?;
    summary::write(
        &surroundings.config,
        &judged.verdict,
        request.run,
        &chain.manifest,
    )?;
    Ok(report)
}

/// The weights that the config names must be there and fit the network before any stage runs, even if the first stages do
/// not need them.
fn check_given_files(request: &RunRequest<'_>) -> Result<(), WorkflowError> {
    let training = &request.config.training;
    if request.stages.last >= Stage::TaskDefinition
        && let Some(teaching) = training.teaching()
    {
        teaching.hashes()?;
    }
    let weights = training.initial_weights.as_deref();
    let Some(path) = weights.filter(|_| request.stages.last >= Stage::ActionPlanning) else {
        return Ok(());
    };
    let unusable = |reason: &str| {
        WorkflowError::Train(TrainError::InitialWeights {
            path: path.to_owned(),
            reason: reason.into(),
        })
    };
    if path.is_dir() {
        return Err(unusable(
            "it is a folder; the command line chooses one of its files (--weights), a program must name one",
        ));
    }
    if !path.is_file() {
        return Err(unusable("this file does not exist"));
    }
    // The tensors before the head depend neither on the classes nor on the size of images, and a head for other classes is
    // left out. A network that cannot be built is reported with the size of the data.
    if let Ok(spec) = request.config.model.check(2, 224, 224) {
        check_initial_weights(path, &spec.description().tensors())?;
    }
    Ok(())
}

struct Chain<'a> {
    request: &'a RunRequest<'a>,
    config: Config,
    manifest: RunManifest,
    data: Option<DataCache>,
    fingerprint: ContentHash,
    reporter: &'a mut dyn Reporter,
}

impl Chain<'_> {
    fn surroundings(&self) -> Surroundings {
        Surroundings {
            config: self.config.clone(),
            data: Ok(self.fingerprint.clone()),
            device: self.request.device_name.into(),
        }
    }

    /// Whether every interrupted stage can resume.
    fn check_that_it_resumes(&self) -> Result<(), WorkflowError> {
        let run = self.request.run;
        for stage in self.request.stages.iter() {
            let record = self.manifest.stage(stage);
            let Some(record) = record.filter(|record| !record.complete) else {
                continue;
            };
            let inputs = current_inputs(stage, &self.surroundings(), run, &self.manifest)?;
            let changed = changes(stage, record, &inputs, run);
            if !goes_on(stage, record, &inputs, &changed) {
                let changed: Vec<String> = changed.iter().map(InputChange::to_string).collect();
                return Err(WorkflowError::CannotResume {
                    stage,
                    changed: changed.join(", "),
                });
            }
        }
        Ok(())
    }

    /// Reports the keys in which the config differs from the one that it replaces.
    fn tell_what_changed(&mut self) {
        let path = self.request.run.config_path();
        if self.manifest.stages.is_empty() || !path.exists() {
            return;
        }
        match Config::load_recorded(&path, &[]) {
            Ok(recorded) => {
                let changes = differences(&recorded, &self.config);
                if !changes.is_empty() {
                    self.reporter.config_changed(&changes);
                }
            }
            Err(_) => self.reporter.note(&format!(
                "{} could not be read; it is written again",
                path.display()
            )),
        }
    }

    fn write_run_info(&self) -> Result<(), WorkflowError> {
        let run = self.request.run;
        let info = RunInfo {
            project: self.config.project.name.clone(),
            seed: self.config.seed,
            code_version: CODE_VERSION.into(),
            device: self.request.device_name.into(),
            threads: self.request.threads,
            machine: MachineInfo::detect(),
        };
        write_artifact(&run.run_info_path(), &info)?;
        Ok(write_atomically(
            &run.config_path(),
            self.config.to_toml()?.as_bytes(),
        )?)
    }

    fn run_stages(&mut self, remedies: &mut Remedies) -> Result<RunReport, WorkflowError> {
        let mut outcomes: Vec<StageOutcome> = Vec::new();
        let mut stopped_at = None;
        let mut stage = self.request.stages.first;
        loop {
            let outcome = self.look_at(stage)?;
            let status = outcome.verdict.status();
            outcomes.retain(|earlier| earlier.stage != stage);
            outcomes.push(outcome);
            if status != Status::Pass {
                match self.after_failure(stage, remedies)? {
                    Next::Continue => {}
                    Next::Stop => {
                        stopped_at = Some(stage);
                        break;
                    }
                    // The remedy may also have made earlier stages stale.
                    Next::ReturnTo(earlier) => {
                        stage = self.request.stages.first.min(earlier);
                        continue;
                    }
                }
            }
            match Stage::ALL.get(stage.number()) {
                Some(next) if *next <= self.request.stages.last => stage = *next,
                _ => break,
            }
        }
        outcomes.sort_by_key(|outcome| outcome.stage);
        let verdicts = outcomes.iter().map(|outcome| outcome.verdict.clone());
        let exit_code = mlestar_gates::RunVerdict {
            stages: verdicts.collect(),
        }
        .exit_code();
        Ok(RunReport {
            stages: outcomes,
            stopped_at,
            exit_code,
        })
    }

    /// Runs one stage if it is stale and judges its gate.
    fn look_at(&mut self, stage: Stage) -> Result<StageOutcome, WorkflowError> {
        let run = self.request.run;
        let inputs = current_inputs(stage, &self.surroundings(), run, &self.manifest)?;
        let mut reasons = staleness(stage, &inputs, run, &self.manifest)?.reasons;
        if reasons.is_empty() && self.request.force {
            reasons.push("--force".into());
        }
        let ran = !reasons.is_empty();
        if ran {
            self.run_stage(stage, inputs, &reasons)?;
        } else {
            self.reporter.stage_fresh(stage);
        }
        let verdict = gates::judge_stage(stage, &self.surroundings(), run, &self.manifest);
        if ran {
            let status = verdict.status().to_string();
            audit::record(run, AuditEvent::GateJudged { stage, status })?;
        }
        self.reporter.gate_judged(stage, &verdict);
        Ok(StageOutcome {
            stage,
            ran,
            verdict,
        })
    }

    fn run_stage(
        &mut self,
        stage: Stage,
        inputs: Inputs,
        reasons: &[String],
    ) -> Result<(), WorkflowError> {
        let run = self.request.run;
        let resume = !self.request.force && self.can_go_on(stage, &inputs)?;
        let before = self.manifest.stage(stage).cloned();
        let is_set_aside = !resume && set_aside(run, stage)?;
        self.manifest.set(stage, StageRecord::begun(inputs.clone()));
        self.manifest.write(run)?;
        let started = AuditEvent::StageStarted {
            stage,
            reasons: reasons.to_vec(),
            code_version: CODE_VERSION.into(),
            device: self.request.device_name.into(),
        };
        audit::record(run, started)?;
        self.reporter.stage_started(stage, reasons);
        let clock = Instant::now();
        if let Err(error) = self.call_stage(stage, resume) {
            let message = error.to_string();
            let event = AuditEvent::StageFailed {
                stage,
                error: message,
            };
            audit::record(run, event)?;
            if is_set_aside {
                self.bring_back(stage, before)?;
            }
            return Err(error);
        }
        let seconds = clock.elapsed().as_secs_f64();
        let record = StageRecord {
            complete: true,
            inputs,
            outputs: hash_folder(&run.stage_folder(stage))?,
            audit: Some(AuditMark::set(run, stage)?),
        };
        self.manifest.set(stage, record);
        self.manifest.write(run)?;
        audit::record(run, AuditEvent::StageFinished { stage, seconds })?;
        self.reporter.stage_finished(stage, seconds);
        Ok(())
    }

    /// Whether the stage's folder holds the beginning of the work that it would do now.
    fn can_go_on(&self, stage: Stage, inputs: &Inputs) -> Result<bool, WorkflowError> {
        let run = self.request.run;
        let Some(record) = self.manifest.stage(stage) else {
            return Ok(false);
        };
        let changed = changes(stage, record, inputs, run);
        // A finished stage with unchanged inputs runs because one of its files was altered: it restarts.
        let is_whole = match record.complete {
            true => !changed.is_empty() && altered_outputs(stage, record, run)?.is_empty(),
            false => true,
        };
        Ok(is_whole && goes_on(stage, record, inputs, &changed))
    }

    /// Restores the finished result `before`, unless the failed stage left work to resume. A refused or broken rerun
    /// thus loses no good result.
    fn bring_back(
        &mut self,
        stage: Stage,
        before: Option<StageRecord>,
    ) -> Result<(), WorkflowError> {
        let run = self.request.run;
        let Some(record) = before.filter(|record| record.complete) else {
            return Ok(());
        };
        let folder = run.stage_folder(stage);
        let previous = previous_folder(run, stage);
        if leaves_something_to_go_on_with(stage, run) {
            return Ok(());
        }
        let fail = |source| WorkflowError::RunFolder {
            path: folder.clone(),
            source,
        };
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(fail)?;
        }
        fs::rename(&previous, &folder).map_err(fail)?;
        self.manifest.set(stage, record);
        self.manifest.write(run)
    }

    fn call_stage(&mut self, stage: Stage, resume: bool) -> Result<(), WorkflowError> {
        let surroundings = self.surroundings();
        let mut context = StageContext {
            stage,
            config: &self.config,
            run: self.request.run,
            device: self.request.device,
            device_name: self.request.device_name,
            threads: self.request.threads,
            stop: self.request.stop,
            reporter: self.reporter,
            measurer: self.request.measurer,
            resume,
            force: self.request.force,
            manifest: &self.manifest,
            judge: gates::judge_stages,
            surroundings: &surroundings,
            data: &mut self.data,
        };
        context.check_stop()?;
        stages::run(&mut context)
    }

    fn after_failure(
        &mut self,
        stage: Stage,
        remedies: &mut Remedies,
    ) -> Result<Next, WorkflowError> {
        match self.config.gates.on_failure(stage) {
            OnFailure::Stop => Ok(Next::Stop),
            OnFailure::Continue => Ok(Next::Continue),
            OnFailure::Return(ReturnTo {
                return_to: to,
                max_returns,
                set,
            }) => {
                if remedies.returns_from(stage) >= max_returns as usize {
                    let text = format!(
                        "the gate of stage {stage} is still not met after {}",
                        counted(max_returns as usize, "return")
                    );
                    self.reporter.note(&text);
                    return Ok(Next::Continue);
                }
                let settings = remedies.add(stage, to, &set);
                self.config = remedies.apply(self.request.config)?;
                remedies.write(self.request.run)?;
                self.write_run_info()?;
                self.reporter.note(&format!(
                    "the gate of stage {stage} is not met: returning to stage {to} with {}",
                    settings.join(", ")
                ));
                let event = AuditEvent::ReturnedToStage {
                    from: stage,
                    to,
                    settings,
                };
                audit::record(self.request.run, event)?;
                Ok(Next::ReturnTo(to))
            }
        }
    }
}

enum Next {
    Continue,
    Stop,
    ReturnTo(Stage),
}

/// Whether an interrupted stage has saved work that took long.
fn leaves_something_to_go_on_with(stage: Stage, run: &RunFolder) -> bool {
    let saved: &[&str] = match stage {
        Stage::Implementation => &["checkpoints/last"],
        Stage::Refinement => &["trials.jsonl", "training/checkpoints/last"],
        _ => &[],
    };
    saved.iter().any(|name| run.artifact(stage, name).exists())
}

/// The folder for the previous result of a stage.
fn previous_folder(run: &RunFolder, stage: Stage) -> PathBuf {
    run.root().join(".previous").join(stage.folder())
}

/// Moves a stage's earlier files into `.previous/`, so a rerun starts clean and loses nothing. Returns false when
/// there was nothing to move.
fn set_aside(run: &RunFolder, stage: Stage) -> Result<bool, WorkflowError> {
    let folder = run.stage_folder(stage);
    if !folder.exists() {
        return Ok(false);
    }
    let previous = previous_folder(run, stage);
    let fail = |source| WorkflowError::RunFolder {
        path: folder.clone(),
        source,
    };
    if previous.exists() {
        fs::remove_dir_all(&previous).map_err(fail)?;
    }
    if let Some(parent) = previous.parent() {
        fs::create_dir_all(parent).map_err(fail)?;
    }
    fs::rename(&folder, &previous).map_err(fail)?;
    Ok(true)
}
