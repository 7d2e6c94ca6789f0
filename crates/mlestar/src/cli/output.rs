//! `println!` and its kin for closed output, as after `mlestar status | head -1`. The macros of std then panic, even
//! in the middle of a training. These ignore it: the work and the exit code stay the same.
//!
//! Texts name commands as `mlestar run`. If the program has another name, the user reads commands with that name.

use super::wrap;
use console::Term;
use std::fmt::Arguments;
use std::io::Write;
use std::sync::OnceLock;

/// How the program is called in messages.
static NAME: OnceLock<&'static str> = OnceLock::new();

/// The name in texts.
const NAME_IN_TEXTS: &str = "mlestar";

/// Sets how the program is called.
pub(super) fn set_name(name: &'static str) {
    NAME.get_or_init(|| name);
}

/// How the program is called.
pub(super) fn name() -> &'static str {
    NAME.get().copied().unwrap_or(NAME_IN_TEXTS)
}

/// Writes to standard output.
pub fn write_out(text: Arguments<'_>) {
    let text = as_typed(text.to_string(), name(), is_command);
    write_raw(fitted(text, &Term::stdout()).as_bytes());
}

/// Writes to standard output unchanged: for text that is not ours, where a name may look like a command.
pub(super) fn write_raw(bytes: &[u8]) {
    let _ = std::io::stdout().lock().write_all(bytes);
}

/// Writes to standard error.
pub fn write_err(text: Arguments<'_>) {
    let text = as_typed(text.to_string(), name(), is_command);
    let text = fitted(text, &Term::stderr());
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// `text` in lines that fit the terminal, if it is one; elsewhere a line stays whole, so that tools can search it.
fn fitted(text: String, terminal: &Term) -> String {
    match terminal.size_checked() {
        Some((_, columns)) if terminal.is_term() => wrap::wrapped(&text, columns.into()),
        _ => text,
    }
}

fn is_command(word: &str) -> bool {
    let commands = super::COMMANDS.get();
    commands.is_some_and(|commands| commands.find_subcommand(word).is_some())
}

/// `text` with the commands in it named after the program `name`.
fn as_typed(text: String, name: &str, is_command: impl Fn(&str) -> bool) -> String {
    if name == NAME_IN_TEXTS || !text.contains(NAME_IN_TEXTS) {
        return text;
    }
    let mut typed = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find(NAME_IN_TEXTS) {
        let (before, from) = rest.split_at(start);
        let after = &from[NAME_IN_TEXTS.len()..];
        typed.push_str(before);
        let begins = !typed.ends_with(|c: char| c.is_ascii_alphanumeric() || "-_/.".contains(c));
        let word = after.strip_prefix(' ').map(|after| {
            let end = after.find(|c: char| !c.is_ascii_lowercase() && c != '-');
            &after[..end.unwrap_or(after.len())]
        });
        let is_command = begins && word.is_some_and(&is_command);
        typed.push_str(if is_command { name } else { NAME_IN_TEXTS });
        rest = after;
    }
    typed + rest
}

macro_rules! print {
    ($($part:tt)*) => { $crate::cli::output::write_out(format_args!($($part)*)) };
}

macro_rules! println {
    () => { $crate::cli::output::write_out(format_args!("\n")) };
    ($($part:tt)*) => { $crate::cli::output::write_out(format_args!("{}\n", format_args!($($part)*))) };
}

macro_rules! eprintln {
    () => { $crate::cli::output::write_err(format_args!("\n")) };
    ($($part:tt)*) => { $crate::cli::output::write_err(format_args!("{}\n", format_args!($($part)*))) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_named_as_they_are_typed() {
        let is_command = |word: &str| ["run", "stage"].contains(&word);
        let text = "`mlestar run --to 4` trains: mlestar stage 5, crates/mlestar run, mlestar_data, mlestar ran";
        assert_eq!(as_typed(text.into(), "mlestar", is_command), text);
        assert_eq!(
            as_typed(text.into(), "cargo xtask", is_command),
            "`cargo xtask run --to 4` trains: cargo xtask stage 5, crates/mlestar run, mlestar_data, mlestar ran"
        );
    }
}
