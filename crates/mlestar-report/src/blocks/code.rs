use maud::{Markup, html};

/// Text in a fixed-width font, with its line breaks and spaces kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The text.
    pub text: String,
    /// What the text is; may be empty.
    pub caption: String,
}

impl Code {
    /// A block of code or of program output.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            caption: String::new(),
        }
    }

    /// Says what the text is.
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    pub(crate) fn render(&self) -> Markup {
        html! {
            figure class="code" {
                @if !self.caption.is_empty() { figcaption { (self.caption) } }
                pre tabindex="0" { code { (self.text) } }
            }
        }
    }
}
