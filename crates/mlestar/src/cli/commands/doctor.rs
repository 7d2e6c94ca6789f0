//! `doctor`.

use crate::cli::arguments::ProjectOptions;
use crate::cli::project;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;
use mlestar_workflow::doctor::{CheckStatus, data_problem, doctor, doctor_in};

pub fn run(options: &ProjectOptions) -> Result<ExitCode, WorkflowError> {
    let checks = match project::open(options) {
        Ok(project) => doctor_in(Some(&project.config), project.run.root()),
        Err(WorkflowError::Data(error)) => {
            let mut checks = doctor(None);
            checks.push(data_problem(&error));
            checks
        }
        Err(error) => return Err(error),
    };
    let mut all_well = true;
    for check in checks {
        let mark = match check.status {
            CheckStatus::Ok => "ok  ",
            CheckStatus::Warn => "warn",
            CheckStatus::Fail => "FAIL",
        };
        println!("{mark}  {:<22} {}", check.name, check.found);
        if check.status != CheckStatus::Ok {
            println!("      {:<22} {}", "", check.advice);
        }
        all_well &= check.status != CheckStatus::Fail;
    }
    Ok(match all_well {
        true => ExitCode::Pass,
        false => ExitCode::ProgramFailure,
    })
}
