/// The width of a text in pixels, estimated from the letter widths of wide sans-serif fonts.
///
/// Charts are laid out without knowing the reader's font, so the estimate is for a wide one (DejaVu Sans,
/// Verdana); other fonts leave some space.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(letter_width).sum::<f64>() * size
}

/// The width of a letter as a fraction of the font size.
fn letter_width(letter: char) -> f64 {
    match letter {
        'i' | 'j' | 'l' | '\'' | '|' | '.' | ',' | ':' | ';' | '!' | ' ' => 0.31,
        'f' | 't' | 'r' | 'I' | '(' | ')' | '[' | ']' | '/' | '-' | '`' => 0.39,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.95,
        'A'..='Z' | '&' | '<' | '>' | '+' | '=' | '~' | '√' | '≥' | '≤' => 0.72,
        '\u{300}'..='\u{36F}' => 0.0,
        '\0'..='\u{24F}' => 0.61,
        // Chinese, Japanese, Korean letters and pictographs are as wide as they are high.
        '\u{1100}'..='\u{11FF}' | '\u{2E80}'..='\u{D7FF}' | '\u{F900}'..='\u{FAFF}' => 1.0,
        '\u{FF00}'..='\u{FF60}' | '\u{10000}'.. => 1.05,
        _ => 0.65,
    }
}

/// `text`, shortened with an ellipsis so that it fits in `width` pixels.
pub(crate) fn truncate(text: &str, width: f64, size: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_string();
    }
    let mut room = width - letter_width('…') * size;
    let mut kept = String::new();
    for letter in text.chars() {
        room -= letter_width(letter) * size;
        if room < 0.0 {
            break;
        }
        kept.push(letter);
    }
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    kept
}

/// `text` without characters that do not fit into one line of a chart: line breaks and tabs become spaces,
/// other control characters (which XML forbids) and marks that reverse the text direction become U+FFFD.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' | '\r' | '\t' => ' ',
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => '\u{FFFD}',
            '\u{FFFE}' | '\u{FFFF}' => '\u{FFFD}',
            control if control.is_control() => '\u{FFFD}',
            other => other,
        })
        .collect()
}

/// A number in as few characters as possible: `0.87`, `12`, `3,400`, `1.2e7`, `2.5e-5`.
pub(crate) fn short_number(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() {
        crate::format::MISSING.to_string()
    } else if magnitude == 0.0 {
        "0".to_string()
    } else if !(1e-3..1e7).contains(&magnitude) {
        let text = format!("{value:.1e}");
        text.replace(".0e", "e")
    } else if value.fract() == 0.0 || magnitude >= 1000.0 {
        crate::format::number(value, 0)
    } else {
        // Three significant digits.
        let decimals = (2 - magnitude.log10().floor() as i32).clamp(0, 6) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        } else {
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_stay_and_long_ones_fit() {
        assert_eq!(truncate("cat", 100.0, 12.0), "cat");
        let long = "a very long class name that nobody would choose";
        let short = truncate(long, 80.0, 12.0);
        assert!(
            short.ends_with('…') && text_width(&short, 12.0) <= 80.0,
            "{short}"
        );
        assert_eq!(truncate("cat", 0.0, 12.0), "…");
        assert!(truncate("漢字漢字漢字", 30.0, 12.0).starts_with('漢'));
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(clean("a\nb\0c\u{202E}d"), "a b\u{FFFD}c\u{FFFD}d");
    }

    #[test]
    fn numbers_are_short() {
        let check = |value: f64, expected: &str| assert_eq!(short_number(value), expected);
        check(0.0, "0");
        check(0.8734, "0.873");
        check(0.5, "0.5");
        check(12.0, "12");
        check(12.3456, "12.3");
        check(3400.0, "3,400");
        check(1.2e7, "1.2e7");
        check(1e-5, "1e-5");
        check(-0.25, "-0.25");
        check(f64::NAN, "–");
    }
}
