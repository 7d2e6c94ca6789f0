//! Colours of verdicts, on a terminal that has them.

use std::env;
use std::ffi::OsStr;
use std::io::IsTerminal;

/// A stream that text goes to.
#[derive(Clone, Copy)]
pub enum Stream {
    Out,
    Err,
}

/// `text`, whose first word is a verdict, in the verdict's colour. Only where `stream` is a terminal and neither
/// `NO_COLOR` (<https://no-color.org>) nor `TERM=dumb` forbids it.
pub fn verdict(text: &str, stream: Stream) -> String {
    let is_terminal = match stream {
        Stream::Out => std::io::stdout().is_terminal(),
        Stream::Err => std::io::stderr().is_terminal(),
    };
    let no_color = env::var_os("NO_COLOR");
    let term = env::var_os("TERM");
    match is_terminal && has_colours(no_color.as_deref(), term.as_deref()) {
        true => painted(text),
        false => text.to_owned(),
    }
}

fn has_colours(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

fn painted(text: &str) -> String {
    let end = text
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    // Green, red, yellow, magenta. The word tells them apart too, for those who do not see the colour.
    let code = match word {
        "PASS" => "32",
        "FAIL" => "31",
        "INCONCLUSIVE" => "33",
        "STALE" | "MISSING" => "35",
        _ => return text.to_owned(),
    };
    format!("\x1b[1;{code}m{word}\x1b[0m{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_gates::Status;

    #[test]
    fn every_verdict_has_a_colour_and_nothing_else_has() {
        for status in Status::ALL {
            let word = status.to_string();
            let text = painted(&format!("{word}   and why"));
            assert!(
                text.starts_with("\x1b[1;3") && text.ends_with("\x1b[0m   and why"),
                "{text:?}"
            );
        }
        assert_eq!(painted("unreadable"), "unreadable");
        assert_eq!(painted(""), "");
    }

    #[test]
    fn what_asks_for_none_gets_none() {
        let has = |no_color: Option<&str>, term: Option<&str>| {
            has_colours(no_color.map(OsStr::new), term.map(OsStr::new))
        };
        assert!(has(None, None) && has(Some(""), Some("xterm")));
        assert!(!has(Some("1"), Some("xterm")) && !has(None, Some("dumb")));
    }
}
