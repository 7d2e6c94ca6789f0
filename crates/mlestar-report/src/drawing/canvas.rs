use plotters::prelude::{
    DrawingBackend, FontDesc, FontFamily, FontStyle, FontTransform, RGBAColor, SVGBackend,
    ShapeStyle, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::palette::{INK, Rgb};
use super::text::clean;
use crate::ReportError;
use crate::charts::Svg;

/// Width of a chart that fits beside another one, in pixels.
pub(crate) const HALF_WIDTH: f64 = 560.0;
/// Width of a chart that takes the whole page, in pixels.
pub(crate) const WIDE_WIDTH: f64 = 1040.0;

/// The backend takes whole pixels only. Drawing four times as large and letting the view box
/// scale it back keeps curves smooth and lines as thin as a quarter of a pixel.
const SUBPIXELS: f64 = 4.0;

/// plotters divides the size of a font by this before it writes it.
const FONT_SIZE_FACTOR: f64 = 1.24;

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

    fn shape_style(&self) -> ShapeStyle {
        ShapeStyle {
            color: rgba(self.colour, self.opacity),
            filled: false,
            stroke_width: (self.width * SUBPIXELS).round().max(1.0) as u32,
        }
    }
}

/// Which point of a text its position names.
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
    /// Reads from the bottom up.
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

    /// For what explains and should not draw the eye.
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
pub(crate) struct Canvas<'a> {
    backend: SVGBackend<'a>,
    chart: &'static str,
}

/// Runs `draw` on a canvas and wraps what it drew into an SVG with a title and a description.
pub(crate) fn draw_svg(
    chart: &'static str,
    title: &str,
    description: &str,
    (width, height): (f64, f64),
    draw: impl FnOnce(&mut Canvas<'_>) -> Result<(), ReportError>,
) -> Result<Svg, ReportError> {
    let mut markup = String::new();
    let size = (to_pixels(width) as u32, to_pixels(height) as u32);
    {
        let mut canvas = Canvas {
            backend: SVGBackend::with_string(&mut markup, size),
            chart,
        };
        draw(&mut canvas)?;
        let result = canvas.backend.present();
        canvas.check(result)?;
    }
    Ok(Svg::new(
        title,
        description,
        (width, height),
        size,
        inner_markup(&markup),
    ))
}

/// What stands between the backend's own `<svg>` tags, with the page's text colour for the ink.
fn inner_markup(markup: &str) -> String {
    let start = markup.find('>').map_or(0, |index| index + 1);
    let end = markup.rfind("</svg>").unwrap_or(markup.len());
    let ink = format!("\"#{:02X}{:02X}{:02X}\"", INK.0, INK.1, INK.2);
    // Quotation marks in texts are escaped, so this meets attribute values only.
    markup
        .get(start..end)
        .unwrap_or_default()
        .replace(&ink, "\"currentColor\"")
        .replace(" opacity=\"1\"", "")
        .replace(" stroke=\"none\"", "")
}

/// Positions that are not finite or far outside are pulled in: the backend's are 32-bit.
fn to_pixels(position: f64) -> i32 {
    if position.is_nan() {
        0
    } else {
        (position * SUBPIXELS).round().clamp(-1e6, 1e6) as i32
    }
}

fn point((x, y): (f64, f64)) -> (i32, i32) {
    (to_pixels(x), to_pixels(y))
}

fn rgba((red, green, blue): Rgb, opacity: f64) -> RGBAColor {
    // Three decimals are more than the eye tells, and keep the markup short.
    RGBAColor(red, green, blue, (opacity * 1000.0).round() / 1000.0)
}

fn fill_style(colour: Rgb, opacity: f64) -> ShapeStyle {
    ShapeStyle {
        color: rgba(colour, opacity),
        filled: true,
        stroke_width: 0,
    }
}

impl Canvas<'_> {
    fn check<E: std::fmt::Display>(&self, result: Result<(), E>) -> Result<(), ReportError> {
        result.map_err(|error| ReportError::Drawing {
            chart: self.chart,
            message: error.to_string(),
        })
    }

    pub(crate) fn line(
        &mut self,
        from: (f64, f64),
        to: (f64, f64),
        stroke: Stroke,
    ) -> Result<(), ReportError> {
        if stroke.dash.is_empty() {
            let result = self
                .backend
                .draw_line(point(from), point(to), &stroke.shape_style());
            return self.check(result);
        }
        self.polyline(&[from, to], stroke)
    }

    pub(crate) fn polyline(
        &mut self,
        points: &[(f64, f64)],
        stroke: Stroke,
    ) -> Result<(), ReportError> {
        if points.len() < 2 {
            return Ok(());
        }
        let style = stroke.shape_style();
        if stroke.dash.is_empty() {
            let result = self
                .backend
                .draw_path(points.iter().copied().map(point), &style);
            return self.check(result);
        }
        for piece in dashes(points, stroke.dash) {
            let result = self.backend.draw_path(piece.into_iter().map(point), &style);
            self.check(result)?;
        }
        Ok(())
    }

    pub(crate) fn rectangle(
        &mut self,
        from: (f64, f64),
        to: (f64, f64),
        colour: Rgb,
        opacity: f64,
    ) -> Result<(), ReportError> {
        let (a, b) = (point(from), point(to));
        // The backend writes b - a as the size, which must not be negative.
        let upper_left = (a.0.min(b.0), a.1.min(b.1));
        let lower_right = (a.0.max(b.0), a.1.max(b.1));
        let style = fill_style(colour, opacity);
        let result = self
            .backend
            .draw_rect(upper_left, lower_right, &style, true);
        self.check(result)
    }

    pub(crate) fn polygon(
        &mut self,
        points: &[(f64, f64)],
        colour: Rgb,
        opacity: f64,
    ) -> Result<(), ReportError> {
        if points.len() < 3 {
            return Ok(());
        }
        let style = fill_style(colour, opacity);
        let result = self
            .backend
            .fill_polygon(points.iter().copied().map(point), &style);
        self.check(result)
    }

    pub(crate) fn disc(
        &mut self,
        centre: (f64, f64),
        radius: f64,
        colour: Rgb,
        opacity: f64,
    ) -> Result<(), ReportError> {
        let style = fill_style(colour, opacity);
        let radius = to_pixels(radius).max(1) as u32;
        let result = self
            .backend
            .draw_circle(point(centre), radius, &style, true);
        self.check(result)
    }

    pub(crate) fn ring(
        &mut self,
        centre: (f64, f64),
        radius: f64,
        stroke: Stroke,
    ) -> Result<(), ReportError> {
        let radius = to_pixels(radius).max(1) as u32;
        let result = self
            .backend
            .draw_circle(point(centre), radius, &stroke.shape_style(), false);
        self.check(result)
    }

    /// A text in one line; `at` is its middle in the vertical direction.
    pub(crate) fn text(
        &mut self,
        text: &str,
        at: (f64, f64),
        look: TextLook,
    ) -> Result<(), ReportError> {
        let horizontal = match look.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let weight = if look.bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        let size = look.size * SUBPIXELS * FONT_SIZE_FACTOR;
        let mut font = FontDesc::new(FontFamily::SansSerif, size, weight);
        if look.upwards {
            font = font.transform(FontTransform::Rotate270);
        }
        let colour = rgba(look.colour, look.opacity);
        let style = TextStyle::from(font)
            .color(&colour)
            .pos(Pos::new(horizontal, VPos::Center));
        let result = self.backend.draw_text(&clean(text), &style, point(at));
        self.check(result)
    }
}

/// The pieces of a polyline that are "on"; the SVG backend has no dashes of its own.
fn dashes(points: &[(f64, f64)], pattern: &[f64]) -> Vec<Vec<(f64, f64)>> {
    let mut pieces = Vec::new();
    let mut piece = vec![points[0]];
    let mut index = 0;
    let mut left = pattern[0];
    for pair in points.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            // Also false for lengths that are not finite.
            let splits = length > left && left > 0.0 && length.is_finite();
            if !splits {
                if length.is_finite() {
                    left = (left - length).max(1e-6);
                }
                if index % 2 == 0 {
                    piece.push(to);
                }
                break;
            }
            let share = left / length;
            from = (
                from.0 + (to.0 - from.0) * share,
                from.1 + (to.1 - from.1) * share,
            );
            if index % 2 == 0 {
                piece.push(from);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![from];
            }
            index += 1;
            left = pattern[index % pattern.len()];
        }
    }
    if piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_cover_their_share_of_the_line() {
        let pieces = dashes(&[(0.0, 0.0), (60.0, 0.0), (60.0, 60.0)], &[7.0, 3.0]);
        let on: f64 = pieces
            .iter()
            .flat_map(|piece| piece.windows(2))
            .map(|pair| (pair[1].0 - pair[0].0).hypot(pair[1].1 - pair[0].1))
            .sum();
        assert!((on - 84.0).abs() < 1e-6, "{on}");
        assert_eq!(pieces.len(), 12);
    }

    #[test]
    fn positions_stay_in_the_range_of_the_backend() {
        assert_eq!(to_pixels(f64::NAN), 0);
        assert_eq!(to_pixels(f64::INFINITY), 1_000_000);
        assert_eq!(to_pixels(-1e300), -1_000_000);
        assert_eq!(to_pixels(2.25), 9);
    }

    #[test]
    fn ink_becomes_the_text_colour_but_not_in_texts() {
        let svg = draw_svg("test", "t", "d", (100.0, 50.0), |canvas| {
            canvas.text(
                "\"#010203\"",
                (1.0, 1.0),
                TextLook::new(10.0, Anchor::Start),
            )
        })
        .unwrap();
        assert!(svg.as_str().contains("&quot;#010203&quot;"));
        assert!(svg.as_str().contains("fill=\"currentColor\""));
    }
}
