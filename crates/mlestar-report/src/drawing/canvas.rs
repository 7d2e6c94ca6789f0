use maud::{PreEscaped, html};

use super::palette::{INK, Rgb};
use super::text::clean;
use crate::charts::Svg;

/// Width of a chart that fits beside another one, in pixels. Its text is readable on a phone.
pub(crate) const HALF_WIDTH: f64 = 440.0;
/// Width of a chart that fills the page, in pixels.
pub(crate) const WIDE_WIDTH: f64 = 1040.0;

/// Half the side of a hover area, in pixels: the pointer need not be exact.
const SPOT: f64 = 6.0;

/// How a line is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stroke {
    pub colour: Rgb,
    /// 0 to 1.
    pub opacity: f64,
    /// Pixels.
    pub width: f64,
    /// Pixels on and off, in turn; empty for a full line.
    pub dash: &'static [f64],
}

impl Stroke {
    pub(crate) fn new(colour: Rgb, width: f64) -> Self {
        Self {
            colour,
            opacity: 1.0,
            width,
            dash: &[],
        }
    }

    pub(crate) fn opacity(mut self, opacity: f64) -> Self {
        self.opacity = opacity;
        self
    }

    pub(crate) fn dash(mut self, dash: &'static [f64]) -> Self {
        self.dash = dash;
        self
    }
}

/// Which point of a text its position refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextLook {
    /// Pixels.
    pub size: f64,
    pub colour: Rgb,
    /// 0 to 1.
    pub opacity: f64,
    pub bold: bool,
    pub anchor: Anchor,
    /// Written vertically, from bottom to top.
    pub upwards: bool,
}

impl TextLook {
    pub(crate) fn new(size: f64, anchor: Anchor) -> Self {
        Self {
            size,
            colour: INK,
            opacity: 0.9,
            bold: false,
            anchor,
            upwards: false,
        }
    }

    /// For explanations that should not attract attention.
    pub(crate) fn muted(mut self) -> Self {
        self.opacity = 0.68;
        self
    }

    pub(crate) fn bold(mut self) -> Self {
        self.bold = true;
        self.opacity = 1.0;
        self
    }

    pub(crate) fn upwards(mut self) -> Self {
        self.upwards = true;
        self
    }

    pub(crate) fn colour(mut self, colour: Rgb) -> Self {
        self.colour = colour;
        self.opacity = 1.0;
        self
    }
}

/// Draws shapes at positions in pixels; `y` grows downwards.
pub(crate) struct Canvas {
    markup: String,
    /// The size of the smallest text so far, in pixels.
    smallest_text: f64,
}

/// Runs `draw` on a canvas and wraps the drawing in an SVG with a title and a description.
pub(crate) fn draw_svg(
    title: &str,
    description: &str,
    size: (f64, f64),
    draw: impl FnOnce(&mut Canvas),
) -> Svg {
    let mut canvas = Canvas {
        markup: String::new(),
        smallest_text: f64::INFINITY,
    };
    draw(&mut canvas);
    Svg::new(
        title,
        description,
        size,
        canvas.smallest_text,
        canvas.markup,
    )
}

/// A length or a position with two decimals, which is finer than a screen. Values that are not finite or far
/// outside are clamped, because renderers compute in 32 bits.
fn pixels(value: f64) -> f64 {
    let value = if value.is_nan() { 0.0 } else { value };
    // Adding 0 turns -0 into 0, so that no sign is written.
    (value.clamp(-1e6, 1e6) * 100.0).round() / 100.0 + 0.0
}

fn points(points: &[(f64, f64)]) -> String {
    let pairs = points
        .iter()
        .map(|&(x, y)| format!("{},{}", pixels(x), pixels(y)));
    pairs.collect::<Vec<_>>().join(" ")
}

/// The page's text colour for the ink, so that axes follow the reader's light or dark setting.
fn paint(colour: Rgb) -> String {
    match colour {
        INK => "currentColor".to_owned(),
        (red, green, blue) => format!("#{red:02X}{green:02X}{blue:02X}"),
    }
}

/// ` name="0.5"`; nothing for full opacity.
fn opacity(name: &str, value: f64) -> String {
    match pixels(value) {
        1.0 => String::new(),
        value => format!(" {name}=\"{value}\""),
    }
}

fn fill(colour: Rgb, share: f64) -> String {
    format!(
        "fill=\"{}\"{}",
        paint(colour),
        opacity("fill-opacity", share)
    )
}

impl Stroke {
    fn attributes(&self) -> String {
        let mut text = format!(
            "fill=\"none\" stroke=\"{}\"{} stroke-width=\"{}\"",
            paint(self.colour),
            opacity("stroke-opacity", self.opacity),
            pixels(self.width)
        );
        if !self.dash.is_empty() {
            let dash: Vec<String> = self.dash.iter().map(f64::to_string).collect();
            text.push_str(&format!(" stroke-dasharray=\"{}\"", dash.join(" ")));
        }
        text
    }
}

impl Canvas {
    /// Gives everything drawn by `draw` the tooltip `title`.
    pub(crate) fn titled(&mut self, title: &str, draw: impl FnOnce(&mut Self)) {
        self.add(&html! { (PreEscaped("<g>")) title { (clean(title)) } }.into_string());
        draw(self);
        self.add("</g>");
    }

    /// Draws what stands for the trial of that number. A page with a table of trials ([`TrialTable`](crate::TrialTable)) joins them.
    pub(crate) fn trial(&mut self, number: u64, title: &str, draw: impl FnOnce(&mut Self)) {
        let open = format!("<g data-t=\"{number}\">");
        let title = html! { (PreEscaped(open)) title { (clean(title)) } };
        self.add(&title.into_string());
        draw(self);
        self.add("</g>");
    }

    /// Draws an axis of settings on which a page with a table of trials lets readers choose a range; `attributes` say where it is.
    pub(crate) fn axis(&mut self, attributes: &[(&str, String)], draw: impl FnOnce(&mut Self)) {
        self.add("<g class=\"axis\"");
        for (name, value) in attributes {
            let value = html! { (clean(value)) }.into_string();
            self.add(&format!(
                " data-{name}=\"{}\"",
                value.replace('"', "&quot;")
            ));
        }
        self.add(">");
        draw(self);
        self.add("</g>");
    }

    /// Two crossed lines around a point.
    pub(crate) fn cross(&mut self, (x, y): (f64, f64), size: f64, stroke: Stroke) {
        self.line((x - size, y - size), (x + size, y + size), stroke);
        self.line((x - size, y + size), (x + size, y - size), stroke);
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(pixels);
        let stroke = stroke.attributes();
        self.add(&format!(
            "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" {stroke}/>"
        ));
    }

    pub(crate) fn polyline(&mut self, corners: &[(f64, f64)], stroke: Stroke) {
        if corners.len() > 1 {
            let (points, stroke) = (points(corners), stroke.attributes());
            self.add(&format!("<polyline points=\"{points}\" {stroke}/>"));
        }
    }

    pub(crate) fn rectangle(&mut self, from: (f64, f64), to: (f64, f64), colour: Rgb, share: f64) {
        let (x, y) = (pixels(from.0.min(to.0)), pixels(from.1.min(to.1)));
        let (width, height) = (pixels((to.0 - from.0).abs()), pixels((to.1 - from.1).abs()));
        let fill = fill(colour, share);
        self.add(&format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" {fill}/>"
        ));
    }

    pub(crate) fn polygon(&mut self, corners: &[(f64, f64)], colour: Rgb, share: f64) {
        if corners.len() > 2 {
            let (points, fill) = (points(corners), fill(colour, share));
            self.add(&format!("<polygon points=\"{points}\" {fill}/>"));
        }
    }

    pub(crate) fn disc(&mut self, centre: (f64, f64), radius: f64, colour: Rgb, share: f64) {
        self.circle(centre, radius, &fill(colour, share));
    }

    pub(crate) fn ring(&mut self, centre: (f64, f64), radius: f64, stroke: Stroke) {
        self.circle(centre, radius, &stroke.attributes());
    }

    /// An invisible hover area with the tooltip `title`.
    pub(crate) fn spot(&mut self, centre: (f64, f64), title: &str) {
        let (left, top) = (centre.0 - SPOT, centre.1 - SPOT);
        let (right, bottom) = (centre.0 + SPOT, centre.1 + SPOT);
        self.titled(title, |canvas| {
            canvas.rectangle((left, top), (right, bottom), INK, 0.0);
        });
    }

    fn circle(&mut self, (x, y): (f64, f64), radius: f64, look: &str) {
        let (x, y, radius) = (pixels(x), pixels(y), pixels(radius));
        self.add(&format!(
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" {look}/>"
        ));
    }

    /// A text in one line; `at` is its vertical middle.
    pub(crate) fn text(&mut self, text: &str, at: (f64, f64), look: TextLook) {
        self.smallest_text = self.smallest_text.min(look.size);
        // Half the height of a capital letter.
        let drop = 0.35 * look.size;
        let (x, y) = match look.upwards {
            true => (pixels(at.0 + drop), pixels(at.1)),
            false => (pixels(at.0), pixels(at.1 + drop)),
        };
        let anchor = match look.anchor {
            Anchor::Start => None,
            Anchor::Middle => Some("middle"),
            Anchor::End => Some("end"),
        };
        let share = pixels(look.opacity);
        let markup = html! {
            text x=(x) y=(y) font-size=(pixels(look.size)) text-anchor=[anchor]
                font-weight=[look.bold.then_some("bold")] fill=(paint(look.colour))
                fill-opacity=[(share < 1.0).then_some(share)]
                transform=[look.upwards.then(|| format!("rotate(-90 {x} {y})"))] { (clean(text)) }
        };
        self.add(&markup.into_string());
    }

    fn add(&mut self, markup: &str) {
        self.markup.push_str(markup);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_short_and_in_the_range_of_renderers() {
        assert_eq!(pixels(f64::NAN), 0.0);
        assert_eq!(pixels(f64::INFINITY), 1e6);
        assert_eq!(pixels(-1e300), -1e6);
        assert_eq!(pixels(53.999_99).to_string(), "54");
        assert_eq!(pixels(-0.001).to_string(), "0");
        assert_eq!(pixels(2.0 / 3.0).to_string(), "0.67");
    }

    #[test]
    fn texts_and_titles_are_escaped_and_ink_is_the_text_colour() {
        let svg = draw_svg("t", "d", (100.0, 50.0), |canvas| {
            canvas.titled("a < b", |canvas| {
                canvas.text("<i>", (1.0, 1.0), TextLook::new(10.0, Anchor::Start));
            });
        });
        for part in [
            "<g><title>a &lt; b</title><text ",
            ">&lt;i&gt;</text></g>",
            "fill=\"currentColor\"",
        ] {
            assert!(svg.as_str().contains(part), "{part}: {svg}");
        }
    }

    #[test]
    fn dashes_are_the_renderers_and_full_opacity_is_not_written() {
        let svg = draw_svg("t", "d", (100.0, 50.0), |canvas| {
            let stroke = Stroke::new((0, 0x72, 0xB2), 1.25).dash(&[7.0, 4.0]);
            canvas.line((0.0, 0.1 + 0.2), (10.0, 0.0), stroke);
        });
        assert!(svg.as_str().contains(
            "<line x1=\"0\" y1=\"0.3\" x2=\"10\" y2=\"0\" fill=\"none\" stroke=\"#0072B2\" stroke-width=\"1.25\" \
             stroke-dasharray=\"7 4\"/>"
        ), "{svg}");
    }
}
