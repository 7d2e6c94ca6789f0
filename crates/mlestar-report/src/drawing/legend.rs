use super::canvas::{Anchor, Canvas, Stroke, TextLook};
use super::palette::Rgb;
use super::text::{text_width, truncate};
use crate::ReportError;

const TITLE_SIZE: f64 = 14.5;
const LABEL_SIZE: f64 = 12.0;
const ROW_HEIGHT: f64 = 19.0;
const MARK_GAP: f64 = 6.0;
const ENTRY_GAP: f64 = 16.0;
const SIDE: f64 = 12.0;

/// What stands before the words of a legend entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mark {
    None,
    Line(Stroke),
    Square(Rgb),
    Disc(Rgb),
    Ring(Stroke),
    Cross(Stroke),
}

impl Mark {
    fn width(self) -> f64 {
        match self {
            Self::None => -MARK_GAP,
            Self::Line(_) => 18.0,
            Self::Square(_) => 11.0,
            Self::Disc(_) | Self::Ring(_) | Self::Cross(_) => 9.0,
        }
    }
}

/// One entry of a legend.
#[derive(Debug, Clone)]
pub(crate) struct LegendEntry {
    pub label: String,
    pub mark: Mark,
}

impl LegendEntry {
    pub(crate) fn new(label: impl Into<String>, mark: Mark) -> Self {
        Self {
            label: label.into(),
            mark,
        }
    }
}

/// The title of a chart and its legend below it, in as many rows as it needs.
pub(crate) struct Header {
    title: String,
    placed: Vec<(LegendEntry, f64, usize)>,
    rows: usize,
}

impl Header {
    pub(crate) fn new(title: &str, entries: Vec<LegendEntry>, width: f64) -> Self {
        let title = truncate(title, width - 2.0 * SIDE, TITLE_SIZE * 1.06);
        let mut placed = Vec::with_capacity(entries.len());
        let (mut x, mut row) = (SIDE, 0);
        let longest = (width - 2.0 * SIDE) * 0.6;
        for mut entry in entries {
            entry.label = truncate(&entry.label, longest, LABEL_SIZE);
            let entry_width = entry.mark.width() + MARK_GAP + text_width(&entry.label, LABEL_SIZE);
            if x > SIDE && x + entry_width > width - SIDE {
                x = SIDE;
                row += 1;
            }
            placed.push((entry, x, row));
            x += entry_width + ENTRY_GAP;
        }
        let rows = if placed.is_empty() { 0 } else { row + 1 };
        Self {
            title,
            placed,
            rows,
        }
    }

    pub(crate) fn height(&self) -> f64 {
        32.0 + self.rows as f64 * ROW_HEIGHT
    }

    pub(crate) fn draw(&self, canvas: &mut Canvas<'_>) -> Result<(), ReportError> {
        let look = TextLook::new(TITLE_SIZE, Anchor::Start).bold();
        canvas.text(&self.title, (SIDE, 15.0), look)?;
        for (entry, x, row) in &self.placed {
            let y = 38.0 + *row as f64 * ROW_HEIGHT;
            draw_mark(canvas, entry.mark, *x, y)?;
            let at = (x + entry.mark.width() + MARK_GAP, y);
            canvas.text(&entry.label, at, TextLook::new(LABEL_SIZE, Anchor::Start))?;
        }
        Ok(())
    }
}

fn draw_mark(canvas: &mut Canvas<'_>, mark: Mark, x: f64, y: f64) -> Result<(), ReportError> {
    let right = x + mark.width();
    let middle = (x + right) / 2.0;
    match mark {
        Mark::None => Ok(()),
        Mark::Line(stroke) => canvas.line((x, y), (right, y), stroke),
        Mark::Square(colour) => canvas.rectangle((x, y - 5.5), (right, y + 5.5), colour, 1.0),
        Mark::Disc(colour) => canvas.disc((middle, y), 4.0, colour, 1.0),
        Mark::Ring(stroke) => canvas.ring((middle, y), 4.0, stroke),
        Mark::Cross(stroke) => {
            canvas.line((middle - 4.0, y - 4.0), (middle + 4.0, y + 4.0), stroke)?;
            canvas.line((middle - 4.0, y + 4.0), (middle + 4.0, y - 4.0), stroke)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drawing::INK;

    #[test]
    fn long_legends_wrap_within_the_width() {
        let entries = (0..30)
            .map(|index| LegendEntry::new(format!("class {index}"), Mark::Disc(INK)))
            .collect();
        let header = Header::new("title", entries, 400.0);
        assert!(header.rows > 3);
        for (entry, x, _) in &header.placed {
            let end = x + entry.mark.width() + MARK_GAP + text_width(&entry.label, LABEL_SIZE);
            assert!(end <= 400.0, "{}", entry.label);
        }
    }
}
