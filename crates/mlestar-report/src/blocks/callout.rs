use maud::{Markup, html};

use super::Tone;

/// How urgent a [`Callout`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalloutKind {
    /// Worth knowing.
    Info,
    /// Worth a look before relying on the result.
    Warning,
    /// The result cannot be relied on.
    Failure,
}

/// A remark that must not be overlooked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callout {
    /// How urgent it is.
    pub kind: CalloutKind,
    /// A few words in bold.
    pub title: String,
    /// The problem and what to do.
    pub text: String,
}

impl Callout {
    /// A remark worth knowing.
    pub fn info(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(CalloutKind::Info, title, text)
    }

    /// A remark worth a look.
    pub fn warning(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(CalloutKind::Warning, title, text)
    }

    /// A remark about something that failed.
    pub fn failure(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(CalloutKind::Failure, title, text)
    }

    fn new(kind: CalloutKind, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            kind,
            title: title.into(),
            text: text.into(),
        }
    }

    pub(crate) fn render(&self) -> Markup {
        let (tone, word) = match self.kind {
            CalloutKind::Info => (Tone::Info, "Note"),
            CalloutKind::Warning => (Tone::Caution, "Warning"),
            CalloutKind::Failure => (Tone::Bad, "Failure"),
        };
        html! {
            div class={ "callout " (tone.class()) } role="note" {
                p class="callout-title" {
                    span class="sign" aria-hidden="true" { (tone.sign()) }
                    span class="hidden" { (word) ": " }
                    (self.title)
                }
                @if !self.text.is_empty() { p { (self.text) } }
            }
        }
    }
}
