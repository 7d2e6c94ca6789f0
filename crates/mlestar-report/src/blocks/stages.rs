use maud::{Markup, html};

use super::{Badge, link};

/// One step of the stage strip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageStep {
    /// Its number, from 1.
    pub number: usize,
    /// Its name in full.
    pub name: String,
    /// Its status.
    pub badge: Badge,
    /// A short note: how long it took, why it did not run; may be empty.
    pub note: String,
    /// Path of its page, relative to this page.
    pub href: Option<String>,
}

impl StageStep {
    /// A step with its status.
    pub fn new(number: usize, name: impl Into<String>, badge: impl Into<Badge>) -> Self {
        Self {
            number,
            name: name.into(),
            badge: badge.into(),
            note: String::new(),
            href: None,
        }
    }

    /// A short note on the step.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Path of the step's page, relative to this page; the rules are those of [`Link`](super::Link).
    pub fn href(mut self, path: impl Into<String>) -> Self {
        self.href = Some(path.into());
        self
    }
}

pub(crate) fn render(steps: &[StageStep]) -> Markup {
    html! {
        ol class="stages" aria-label="Stages" {
            @for step in steps {
                li class={ "stage " (step.badge.tone.class()) } {
                    span class="number" aria-hidden="true" { (step.number) }
                    @match step.href.as_deref().and_then(link::href) {
                        Some(href) => { a class="name" href=(href) { (step.name) } },
                        None => { span class="name" { (step.name) } },
                    }
                    (step.badge.render())
                    @if !step.note.is_empty() { span class="small" { (step.note) } }
                }
            }
        }
    }
}
