//! Lines that fit a terminal.

/// Narrower terminals are left to break lines themselves.
const NARROWEST: usize = 40;

/// `text` with every line broken at spaces, so that none is wider than `columns` unless one of its words is. What follows
/// a break has the indentation of its line.
pub(super) fn wrapped(text: &str, columns: usize) -> String {
    if columns < NARROWEST {
        return text.to_owned();
    }
    let mut fitted = String::with_capacity(text.len() + text.len() / columns);
    for line in text.split_inclusive('\n') {
        match console::measure_text_width(line.trim_end()) <= columns {
            true => fitted.push_str(line),
            false => wrap_line(line, columns, &mut fitted),
        }
    }
    fitted
}

fn wrap_line(line: &str, columns: usize, fitted: &mut String) {
    let indent = &line[..line.len() - line.trim_start_matches(' ').len()];
    fitted.push_str(indent);
    let mut used = indent.len();
    // Spaces within the line are kept: they align columns.
    for word in line[indent.len()..].split_inclusive(' ') {
        let width = console::measure_text_width(word.trim_end());
        if used > indent.len() && used + width > columns {
            fitted.truncate(fitted.trim_end_matches(' ').len());
            fitted.push('\n');
            fitted.push_str(indent);
            used = indent.len();
        }
        fitted.push_str(word);
        used += console::measure_text_width(word.trim_end_matches('\n'));
    }
}

#[cfg(test)]
mod tests {
    use super::wrapped;
    use proptest::prelude::*;

    #[test]
    fn a_line_breaks_at_spaces_and_keeps_its_indentation() {
        let text = "short\n    a line of words that is longer than forty columns\nend";
        assert_eq!(
            wrapped(text, 40),
            "short\n    a line of words that is longer than\n    forty columns\nend"
        );
    }

    #[test]
    fn colours_take_no_room() {
        let text = format!("\u{1b}[31mFAIL\u{1b}[0m {}\n", "x".repeat(35));
        assert_eq!(wrapped(&text, 40), text);
    }

    #[test]
    fn a_word_wider_than_the_terminal_stays_whole() {
        let word = "x".repeat(50);
        assert_eq!(
            wrapped(&format!("see {word} now"), 40),
            format!("see\n{word}\nnow")
        );
        assert_eq!(wrapped(&word, 10), word);
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_lines_fit(text in "( {0,6}([a-z]{1,12} {1,3}){0,30}\n){0,4}", columns in 40_usize..100) {
            let fitted = wrapped(&text, columns);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&text), words(&fitted));
            prop_assert!(fitted.lines().all(|line| line.trim_end().len() <= columns));
        }
    }
}
