use std::fmt;

use maud::html;

use crate::drawing::{HALF_WIDTH, clean};

/// Minimum size of shown text in a chart, in pixels, however narrow the page is.
pub(crate) const SMALLEST_TEXT: f64 = 9.05;

/// A chart: the markup of one `<svg>` element, with a title and a description for readers who cannot see it.
///
/// It can be part of an HTML page and is also a valid SVG file. Only the functions of [`charts`](crate::charts)
/// create one, so unescaped markup in a page always comes from this crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svg {
    title: String,
    markup: String,
}

impl Svg {
    /// `size` and `smallest_text`, the size of the smallest text in `content`, are in pixels.
    pub(crate) fn new(
        title: &str,
        description: &str,
        size: (f64, f64),
        smallest_text: f64,
        content: String,
    ) -> Self {
        let title = clean(title);
        let class = if size.0 <= 1.4 * HALF_WIDTH {
            "half"
        } else {
            "wide"
        };
        // A narrow chart alone on a wide page may grow, but not without limit.
        let largest = size.0.max((1.3 * size.0).min(1.3 * HALF_WIDTH)).round();
        // A chart that does not fit scrolls in its own box, so that it stays readable.
        let smallest = (size.0 * SMALLEST_TEXT / smallest_text).ceil();
        let markup = html! {
            svg xmlns="http://www.w3.org/2000/svg" class=(class) role="img" aria-label=(title)
                style={ "min-width:" (smallest) "px;max-width:" (largest) "px" }
                width=(size.0.round()) height=(size.1.round())
                viewBox={ "0 0 " (size.0.round()) " " (size.1.round()) }
                font-family="system-ui, sans-serif" stroke-linejoin="round" {
                title { (title) }
                desc { (clean(description)) }
                (maud::PreEscaped(content))
            }
        };
        Self {
            title,
            markup: markup.into_string(),
        }
    }

    /// The title of the chart.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The `<svg>` element.
    pub fn as_str(&self) -> &str {
        &self.markup
    }

    /// The `<svg>` element, by value.
    pub fn into_string(self) -> String {
        self.markup
    }
}

impl fmt::Display for Svg {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.markup)
    }
}
