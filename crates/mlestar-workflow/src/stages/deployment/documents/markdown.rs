//! Arbitrary text in Markdown.

/// `text` as Markdown that shows it as it is: on one line, with every character escaped that Markdown or HTML reads.
pub(in crate::stages::deployment) fn escaped(text: &str) -> String {
    let mut markdown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => markdown.push_str("&lt;"),
            '>' => markdown.push_str("&gt;"),
            '&' => markdown.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '-' | '.'
            | '!' | '|' | '~' | '$' | '=' | ':' => {
                markdown.push('\\');
                markdown.push(character);
            }
            character if character.is_control() => markdown.push(' '),
            character => markdown.push(character),
        }
    }
    markdown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_name_is_read_as_markdown_or_html() {
        insta::assert_snapshot!(escaped("cat"), @"cat");
        insta::assert_snapshot!(escaped("a|b *c* _d_ `e`"), @r"a\|b \*c\* \_d\_ \`e\`");
        insta::assert_snapshot!(escaped("<img src=x onerror=alert(1)>"), @r"&lt;img src\=x onerror\=alert\(1\)&gt;");
        insta::assert_snapshot!(escaped("[x](javascript:y) & z"), @r"\[x\]\(javascript\:y\) &amp; z");
        insta::assert_snapshot!(escaped("two\nlines\tand\\"), @r"two lines and\\");
        insta::assert_snapshot!(escaped("- item, 1. item, # title"), @r"\- item, 1\. item, \# title");
    }
}
