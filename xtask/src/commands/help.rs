//! `help`.

use crate::arguments::{Arguments, HelpOptions, ProjectOptions};
use crate::project;
use clap::CommandFactory;
use mlestar_gates::ExitCode;
use mlestar_workflow::{Stage, WorkflowError, guide};

pub fn run(options: &HelpOptions) -> Result<ExitCode, WorkflowError> {
    let words: Vec<&str> = options.topic.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => println!("{}", Arguments::command().render_long_help()),
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
        [name, ..] => {
            let mut command = Arguments::command();
            match command.find_subcommand_mut(name) {
                Some(found) => println!("{}", found.render_long_help()),
                None => {
                    return Err(WorkflowError::Usage(format!(
                        "there is no help on \"{name}\"; `help stage 1` to `help stage 7` explain the \
                         stages, and `help` lists the commands"
                    )));
                }
            }
        }
    }
    Ok(ExitCode::Pass)
}
