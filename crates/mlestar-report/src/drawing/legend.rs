use super::canvas::{Anchor, Canvas, Stroke, TextLook};
use super::palette::Rgb;
use super::text::{text_width, truncate};

const TITLE_SIZE: f64 = 14.5;
const TITLE_LINE: f64 = 18.0;
const LABEL_SIZE: f64 = 12.0;
const ROW_HEIGHT: f64 = 19.0;
const MARK_GAP: f64 = 6.0;
const ENTRY_GAP: f64 = 16.0;
const SIDE: f64 = 12.0;

/// The symbol before the words of a legend entry.
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

/// The title of a chart, in at most two lines, and its legend below it, in as many rows as needed.
pub(crate) struct Header {
    title: Vec<String>,
    placed: Vec<(LegendEntry, f64, usize)>,
    rows: usize,
}

impl Header {
    pub(crate) fn new(title: &str, entries: Vec<LegendEntry>, width: f64) -> Self {
        let title = two_lines(title, width - 2.0 * SIDE);
        let mut placed = Vec::with_capacity(entries.len());
        let (mut x, mut row) = (SIDE, 0);
        let longest = (width - 2.0 * SIDE) * 0.85;
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
        self.title_height() + self.rows as f64 * ROW_HEIGHT
    }

    fn title_height(&self) -> f64 {
        32.0 + self.title.len().saturating_sub(1) as f64 * TITLE_LINE
    }

    pub(crate) fn draw(&self, canvas: &mut Canvas) {
        let look = TextLook::new(TITLE_SIZE, Anchor::Start).bold();
        for (line, text) in self.title.iter().enumerate() {
            canvas.text(text, (SIDE, 15.0 + line as f64 * TITLE_LINE), look);
        }
        for (entry, x, row) in &self.placed {
            let y = self.title_height() + 6.0 + *row as f64 * ROW_HEIGHT;
            draw_mark(canvas, entry.mark, *x, y);
            let at = (x + entry.mark.width() + MARK_GAP, y);
            canvas.text(&entry.label, at, TextLook::new(LABEL_SIZE, Anchor::Start));
        }
    }
}

/// A title in one line, or in two if it is too long; the rest is cut off.
fn two_lines(title: &str, width: f64) -> Vec<String> {
    // Bold letters are wider.
    let size = TITLE_SIZE * 1.06;
    if text_width(title, size) <= width {
        return vec![title.to_owned()];
    }
    let blanks = title.match_indices(' ').map(|(place, _)| place);
    let mut fitting = blanks.filter(|place| text_width(&title[..*place], size) <= width);
    match fitting.next_back() {
        Some(place) => vec![
            title[..place].to_owned(),
            truncate(&title[place + 1..], width, size),
        ],
        None => vec![truncate(title, width, size)],
    }
}

fn draw_mark(canvas: &mut Canvas, mark: Mark, x: f64, y: f64) {
    let right = x + mark.width();
    let middle = (x + right) / 2.0;
    match mark {
        Mark::None => {}
        Mark::Line(stroke) => canvas.line((x, y), (right, y), stroke),
        Mark::Square(colour) => canvas.rectangle((x, y - 5.5), (right, y + 5.5), colour, 1.0),
        Mark::Disc(colour) => canvas.disc((middle, y), 4.0, colour, 1.0),
        Mark::Ring(stroke) => canvas.ring((middle, y), 4.0, stroke),
        Mark::Cross(stroke) => {
            canvas.line((middle - 4.0, y - 4.0), (middle + 4.0, y + 4.0), stroke);
            canvas.line((middle - 4.0, y + 4.0), (middle + 4.0, y - 4.0), stroke)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drawing::INK;

    #[test]
    fn long_titles_take_two_lines_and_no_more() {
        assert_eq!(two_lines("Recall", 400.0), ["Recall"]);
        let long = "Reliability: is the model as right as it is sure?";
        let lines = two_lines(long, 300.0);
        assert_eq!(lines.join(" "), long);
        let lines = two_lines(&long.repeat(5), 300.0);
        assert!(lines.len() == 2 && lines[1].ends_with('…'), "{lines:?}");
        assert_eq!(two_lines(&"x".repeat(200), 300.0).len(), 1);
        let header = |title| Header::new(title, Vec::new(), 300.0).height();
        assert_eq!(header(long) - header("Recall"), TITLE_LINE);
    }

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
