//! The running program, to start it again.

use std::path::PathBuf;

/// Its file. `None` where `command` is no command at the top level of this program, or its file is unknown.
pub fn own_program(command: &str) -> Option<PathBuf> {
    super::COMMANDS.get()?.find_subcommand(command)?;
    // The link leads to the running program even if its file was replaced meanwhile.
    let link = PathBuf::from("/proc/self/exe");
    match link.exists() {
        true => Some(link),
        false => std::env::current_exe().ok(),
    }
}
