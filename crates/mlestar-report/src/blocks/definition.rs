use maud::{Markup, html};

/// A term and what it means or is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The term.
    pub term: String,
    /// Its meaning or value.
    pub text: String,
}

impl Definition {
    /// A term and what it means or is.
    pub fn new(term: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            term: term.into(),
            text: text.into(),
        }
    }
}

pub(crate) fn render(definitions: &[Definition]) -> Markup {
    html! {
        dl class="card definitions" {
            @for definition in definitions {
                div { dt { (definition.term) } dd { (definition.text) } }
            }
        }
    }
}
