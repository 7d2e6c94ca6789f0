//! What Ctrl-C, SIGTERM and SIGHUP do.
//!
//! A scheduler sends SIGTERM, a closing terminal sends SIGHUP. The program treats both like Ctrl-C. A long command
//! asks for a [`StopSignal`]: the first signal stops it at its next safe point. Any other command ends at once, and a
//! second signal ends every command at once. Every file is written whole or not at all.

use mlestar_gates::ExitCode;
use mlestar_train::StopSignal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What shells report for a program that SIGINT ended.
const ENDED_AT_ONCE: i32 = 130;

struct SafeStop {
    stop: StopSignal,
    announcement: &'static str,
}

/// Whether the command handles all signals itself.
static LEFT_TO_THE_COMMAND: AtomicBool = AtomicBool::new(false);

static SAFE_STOP: OnceLock<SafeStop> = OnceLock::new();

/// Installs the handler. Call it once, before any command.
pub fn install() {
    let installed = keeping_an_ignored_hangup(|| ctrlc::set_handler(handle));
    if let Err(error) = installed {
        eprintln!("warning: Ctrl-C and SIGTERM will end the program at once: {error}");
    }
}

/// From now on the first signal asks for a stop instead of ending the program, and says so.
pub fn stop_signal() -> StopSignal {
    with_announcement("stopping at the next safe point; a second Ctrl-C stops at once")
}

/// As [`stop_signal`], for a command that stops so soon that no message is needed.
pub fn silent_stop_signal() -> StopSignal {
    with_announcement("")
}

/// From now on signals do nothing here: the command has handlers of its own.
#[cfg(feature = "serve")]
pub fn leave_to_the_command() {
    LEFT_TO_THE_COMMAND.store(true, Ordering::Release);
}

fn with_announcement(announcement: &'static str) -> StopSignal {
    let safe_stop = SAFE_STOP.get_or_init(|| SafeStop {
        stop: StopSignal::default(),
        announcement,
    });
    safe_stop.stop.clone()
}

fn handle() {
    if LEFT_TO_THE_COMMAND.load(Ordering::Acquire) {
        return;
    }
    match SAFE_STOP.get() {
        None => std::process::exit(ExitCode::Stopped.code().into()),
        Some(safe_stop) if safe_stop.stop.is_requested() => std::process::exit(ENDED_AT_ONCE),
        Some(safe_stop) => {
            safe_stop.stop.request();
            if !safe_stop.announcement.is_empty() {
                eprintln!("{}", safe_stop.announcement);
            }
        }
    }
}

/// `nohup` has a program ignore SIGHUP, and `ctrlc` would undo that.
#[cfg(unix)]
fn keeping_an_ignored_hangup<T>(install: impl FnOnce() -> T) -> T {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: neither action is a function that a signal would call, and no other thread runs yet.
    let before = unsafe { sigaction(Signal::SIGHUP, &ignore) };
    let result = install();
    if matches!(
        before.map(|action| action.handler()),
        Ok(SigHandler::SigIgn)
    ) {
        // SAFETY: as above; `ctrlc` has only a thread that waits for its handler to be called.
        let _ = unsafe { sigaction(Signal::SIGHUP, &ignore) };
    }
    result
}

#[cfg(not(unix))]
fn keeping_an_ignored_hangup<T>(install: impl FnOnce() -> T) -> T {
    install()
}
