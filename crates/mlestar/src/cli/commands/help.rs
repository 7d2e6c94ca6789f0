//! `help`.

use crate::cli::arguments::{HelpOptions, ProjectOptions};
use crate::cli::{COMMANDS, project};
use mlestar_gates::ExitCode;
use mlestar_workflow::{Stage, WorkflowError, guide};

pub fn run(options: &HelpOptions) -> Result<ExitCode, WorkflowError> {
    let mut commands = COMMANDS.get().cloned().unwrap_or_default();
    let words: Vec<&str> = options.topic.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => println!("{}", commands.render_long_help()),
        ["stage"] => {
            for stage in Stage::ALL {
                println!("{stage:<26} {}", guide::guide(stage).purpose);
            }
        }
        ["stage", word] => {
            let project = project::open(&ProjectOptions {
                config: options.config.clone(),
                ..ProjectOptions::default()
            })?;
            print!("{}", guide::help_text(word.parse()?, &project.config));
        }
        [name, ..] => match commands.find_subcommand_mut(name) {
            Some(found) => println!("{}", found.render_long_help()),
            None => {
                return Err(WorkflowError::Usage(format!(
                    "there is no help on \"{name}\"; `help stage 1` to `help stage 7` explain the \
                         stages, and `help` lists the commands"
                )));
            }
        },
    }
    Ok(ExitCode::Pass)
}
