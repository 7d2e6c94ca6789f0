use maud::{Markup, PreEscaped, html};

use crate::charts::Svg;

/// A chart on a card, with a caption below it.
#[derive(Debug, Clone)]
pub struct ChartFigure {
    /// The chart.
    pub svg: Svg,
    /// What the chart shows; may be empty.
    pub caption: String,
}

impl ChartFigure {
    /// A chart without a caption.
    pub fn new(svg: Svg) -> Self {
        Self {
            svg,
            caption: String::new(),
        }
    }

    /// Sets the caption: what the chart shows.
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    pub(crate) fn render(&self) -> Markup {
        html! {
            figure class="card chart" {
                div class="scroll" { (PreEscaped(self.svg.as_str())) }
                @if !self.caption.is_empty() { figcaption { (self.caption) } }
            }
        }
    }
}
