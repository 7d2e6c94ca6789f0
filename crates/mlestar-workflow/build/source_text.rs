//! The part of a Rust source that decides what the program does: its tokens, without comments, layout and test items.

/// The tokens of `source`, one per line. Text that is not Rust gives some tokens too; they are only hashed.
pub fn tokens_that_count(source: &str) -> String {
    let tokens = tokens(source);
    let mut kept: Vec<&str> = Vec::with_capacity(tokens.len());
    let mut index = 0;
    while index < tokens.len() {
        match is_test_attribute(&tokens[index..]) {
            true => index = end_of_item(&tokens, index + TEST_ATTRIBUTE.len()),
            false => {
                kept.push(&tokens[index]);
                index += 1;
            }
        }
    }
    kept.join("\n")
}

const TEST_ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

fn is_test_attribute(tokens: &[String]) -> bool {
    tokens.len() >= TEST_ATTRIBUTE.len() && tokens.iter().zip(TEST_ATTRIBUTE).all(|(a, b)| a == b)
}

/// The index after the item that begins at `start`: after its `;` or its last brace.
fn end_of_item(tokens: &[String], start: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, token) in tokens[start..].iter().enumerate() {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(token.as_str(), "}" | ";") {
            return start + offset + 1;
        }
    }
    tokens.len()
}

fn tokens(source: &str) -> Vec<String> {
    let text: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = token_end(&text, at);
        let token: String = text[at..end].iter().collect();
        if !token.starts_with("//") && !token.starts_with("/*") && !text[at].is_whitespace() {
            tokens.push(token);
        }
        at = end;
    }
    tokens
}

/// Where the token, comment or space that begins at `at` ends.
fn token_end(text: &[char], at: usize) -> usize {
    let next = |offset: usize| text.get(at + offset).copied();
    match (text[at], next(1)) {
        ('/', Some('/')) => until(text, at, |c| c == '\n'),
        ('/', Some('*')) => end_of_block_comment(text, at),
        ('"', _) => end_of_string(text, at + 1),
        ('b' | 'c', Some('"')) => end_of_string(text, at + 2),
        ('b', Some('\'')) => end_of_char(text, at + 1),
        ('\'', Some('\\')) => end_of_char(text, at),
        // A lifetime has no quote after its first letter.
        ('\'', _) if next(2) == Some('\'') => at + 3,
        ('\'', _) => until(text, at + 1, |c| !is_word(c)),
        ('r', Some('"' | '#')) => end_of_raw_string(text, at + 1),
        ('b' | 'c', Some('r')) if matches!(next(2), Some('"' | '#')) => {
            end_of_raw_string(text, at + 2)
        }
        (c, _) if is_word(c) => until(text, at, |c| !is_word(c)),
        (c, _) if c.is_whitespace() => until(text, at, |c| !c.is_whitespace()),
        _ => at + 1,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The first index from `at` on where `is_end` holds.
fn until(text: &[char], at: usize, is_end: impl Fn(char) -> bool) -> usize {
    let offset = text[at..].iter().position(|c| is_end(*c));
    offset.map_or(text.len(), |offset| at + offset)
}

fn end_of_block_comment(text: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// `at` is after the opening quote.
fn end_of_string(text: &[char], mut at: usize) -> usize {
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// `at` is the opening quote of a character.
fn end_of_char(text: &[char], at: usize) -> usize {
    let first = if text.get(at + 1) == Some(&'\\') {
        3
    } else {
        2
    };
    let from = (at + first).min(text.len());
    (until(text, from, |c| c == '\'') + 1).min(text.len())
}

/// `at` is the first `#`, or the quote, of a raw string; of a raw identifier it is the `#`.
fn end_of_raw_string(text: &[char], at: usize) -> usize {
    let quote = until(text, at, |c| c != '#');
    if text.get(quote) != Some(&'"') {
        return until(text, quote, |c| !is_word(c));
    }
    let n_hashes = quote - at;
    let closes = |end: usize| {
        text[end] == '"'
            && text.len() > end + n_hashes
            && text[end + 1..=end + n_hashes].iter().all(|c| *c == '#')
            || n_hashes == 0 && text[end] == '"'
    };
    (quote + 1..text.len())
        .find(|end| closes(*end))
        .map_or(text.len(), |end| end + 1 + n_hashes)
}
