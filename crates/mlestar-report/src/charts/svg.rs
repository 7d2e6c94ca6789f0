use std::fmt;

use maud::html;

use crate::drawing::{HALF_WIDTH, clean};

/// No text of a chart is shown smaller than this, in pixels, however narrow the page is.
pub(crate) const SMALLEST_TEXT: f64 = 9.05;

/// A chart: the markup of one `<svg>` element, with a title and a description for readers who do
/// not see it.
///
/// It can stand in an HTML page and is a valid SVG file of its own. Only the functions of
/// [`charts`](crate::charts) make one, so that what a page takes in unescaped is always drawn by
/// this crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svg {
    title: String,
    markup: String,
}

impl Svg {
    /// `size` and `smallest_text`, the size of the smallest letters in `content`, are in pixels.
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
        // A narrow chart alone on a wide page may grow, but not to the size of a poster.
        let largest = size.0.max((1.3 * size.0).min(1.3 * HALF_WIDTH)).round();
        // A chart that does not fit scrolls in its own box rather than become illegible.
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
