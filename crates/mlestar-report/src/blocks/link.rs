use maud::{Markup, html};

/// A link to another file of the run, by a path relative to the page.
///
/// The path is percent-encoded. `http://` and `https://` addresses are kept; any other scheme
/// (`javascript:`, `data:`) is shown as text instead of becoming a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The words to click on.
    pub text: String,
    /// Path relative to the page, with `/` between folders; or a web address.
    pub path: String,
    /// What the file is; may be empty.
    pub note: String,
}

impl Link {
    /// A link to `path`.
    pub fn new(text: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            path: path.into(),
            note: String::new(),
        }
    }

    /// Says what the file is.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub(crate) fn render(&self) -> Markup {
        match href(&self.path) {
            Some(href) => html! { a href=(href) { (self.text) } },
            None => html! { span { (self.text) " (" (self.path) ")" } },
        }
    }
}

pub(crate) fn render_list(links: &[Link]) -> Markup {
    html! {
        ul class="links" {
            @for link in links {
                li {
                    (link.render())
                    @if !link.note.is_empty() { span class="note" { (link.note) } }
                }
            }
        }
    }
}

/// The value of `href` for a path or a web address; `None` for anything that must not become a link.
pub(crate) fn href(path: &str) -> Option<String> {
    if path.is_empty() || path.starts_with("//") {
        return None;
    }
    if path.starts_with("https://") || path.starts_with("http://") {
        return Some(path.to_string());
    }
    if let Some(anchor) = path.strip_prefix('#') {
        return Some(format!("#{}", percent_encode(anchor)));
    }
    // A colon in the first segment would make it a scheme; a leading "./" prevents that.
    let first_segment = path.split('/').next().unwrap_or_default();
    if let Some((scheme, _)) = first_segment.split_once(':') {
        let is_scheme = scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c) || c.is_control() || c == ' ');
        if is_scheme {
            return None;
        }
    }
    Some(percent_encode(path))
}

fn percent_encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_and_schemes_refused() {
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(href(path).as_deref(), expected, "{path:?}");
        };
        check("5-evaluation/report.html", Some("5-evaluation/report.html"));
        check("a b/é#1?.png", Some("a%20b/%C3%A9%231%3F.png"));
        check("../run 2/x.json", Some("../run%202/x.json"));
        check(
            "https://example.org/a?b=c",
            Some("https://example.org/a?b=c"),
        );
        check("#stage-1", Some("#stage-1"));
        check("javascript:alert(1)", None);
        check("java\tscript:alert(1)", None);
        check("data:text/html,x", None);
        check("//host/x", None);
        check("", None);
    }
}
