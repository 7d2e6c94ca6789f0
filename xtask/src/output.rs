//! `println!` and similar macros of `mlestar`'s commands: they do not panic if the reader has closed the pipe.

macro_rules! println {
    () => { mlestar::cli::write_out(format_args!("\n")) };
    ($($part:tt)*) => { mlestar::cli::write_out(format_args!("{}\n", format_args!($($part)*))) };
}

macro_rules! print {
    ($($part:tt)*) => { mlestar::cli::write_out(format_args!($($part)*)) };
}

macro_rules! eprintln {
    () => { mlestar::cli::write_err(format_args!("\n")) };
    ($($part:tt)*) => { mlestar::cli::write_err(format_args!("{}\n", format_args!($($part)*))) };
}
