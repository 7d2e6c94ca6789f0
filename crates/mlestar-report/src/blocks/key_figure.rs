use maud::{Markup, html};

use super::Badge;

/// A card with one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFigure {
    /// The name of the figure.
    pub label: String,
    /// The number as text, see [`format`](crate::format).
    pub value: String,
    /// Its unit; may be empty.
    pub unit: String,
    /// Its interval, limit or basis, in small print; may be empty.
    pub interval: String,
    /// Its rating.
    pub badge: Option<Badge>,
}

impl KeyFigure {
    /// A card with a label and a value.
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            value: value.into(),
            unit: String::new(),
            interval: String::new(),
            badge: None,
        }
    }

    /// The unit of the value.
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = unit.into();
        self
    }

    /// The interval of the value, or its limit or basis.
    pub fn interval(mut self, interval: impl Into<String>) -> Self {
        self.interval = interval.into();
        self
    }

    /// The rating of the value.
    pub fn badge(mut self, badge: impl Into<Badge>) -> Self {
        self.badge = Some(badge.into());
        self
    }
}

pub(crate) fn render(figures: &[KeyFigure]) -> Markup {
    html! {
        ul class="figures" {
            @for figure in figures {
                @let tone = figure.badge.as_ref().map_or("", |badge| badge.tone.class());
                li class={ "card figure " (tone) } {
                    p class="label" { (figure.label) }
                    p class="value" {
                        (figure.value)
                        @if !figure.unit.is_empty() { " " span class="unit" { (figure.unit) } }
                    }
                    @if !figure.interval.is_empty() { p class="interval" { (figure.interval) } }
                    @if let Some(badge) = &figure.badge { (badge.render()) }
                }
            }
        }
    }
}
