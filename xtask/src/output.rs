//! `println!` and its kin for when nobody reads any more, as after `cargo xtask status | head -1`: std's end the
//! program with a panic then, also a training in its midst. These go on without a word, and the work and the exit
//! code are what they would have been.

use std::fmt::Arguments;
use std::io::Write;

pub fn write_out(text: Arguments<'_>) {
    let _ = std::io::stdout().lock().write_fmt(text);
}

pub fn write_err(text: Arguments<'_>) {
    let _ = std::io::stderr().lock().write_fmt(text);
}

macro_rules! print {
    ($($part:tt)*) => { $crate::output::write_out(format_args!($($part)*)) };
}

macro_rules! println {
    () => { $crate::output::write_out(format_args!("\n")) };
    ($($part:tt)*) => { $crate::output::write_out(format_args!("{}\n", format_args!($($part)*))) };
}

macro_rules! eprintln {
    () => { $crate::output::write_err(format_args!("\n")) };
    ($($part:tt)*) => { $crate::output::write_err(format_args!("{}\n", format_args!($($part)*))) };
}
