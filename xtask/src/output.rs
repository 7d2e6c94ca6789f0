//! `println!` and its kin as the commands of `mlestar` have them: they do not panic when nobody reads any more.

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
