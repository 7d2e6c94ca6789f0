use super::{Svg, check_count, check_length};
use crate::drawing::{
    Anchor, Area, Canvas, Header, TextLook, contrast_text, draw_no_data, draw_svg, short_number,
    text_width, truncate, viridis,
};
use crate::{ReportError, format};

const CHART: &str = "confusion matrix";
const MAX_CLASSES: usize = 250;
/// Up to this number of classes, cells are large enough for their numbers.
const MAX_CLASSES_WITH_NUMBERS: usize = 20;
/// With more cells than this, cells have no tooltips: the page would be huge.
const MOST_TITLED_CELLS: usize = 4000;
const COLOUR_BAR_ROOM: f64 = 70.0;

/// What a cell of the matrix shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellValue {
    /// Images.
    Counts,
    /// Images divided by the images of the true class (the row), 0 to 1.
    RowFractions,
}

/// A confusion matrix as a heat map.
#[derive(Debug, Clone, Copy)]
pub struct ConfusionMatrixChart<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The names of the classes.
    pub classes: &'a [String],
    /// Counts, row by row: `counts[truth * n_classes + predicted]`.
    pub counts: &'a [u64],
    /// What the cells show.
    pub cells: CellValue,
}

/// Draws the matrix: true classes from top to bottom, predicted classes from left to right.
///
/// The colour follows the square root of the value, so that the few mistakes of a good classifier are visible
/// beside its many hits. Up to 20 classes, the cells show their numbers.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if there is not one count for each pair of classes, [`ReportError::TooMany`]
/// above 250 classes.
///
/// ```
/// use mlestar_report::charts::{CellValue, ConfusionMatrixChart, confusion_matrix};
///
/// let classes = ["cat".to_string(), "dog".to_string()];
/// let svg = confusion_matrix(&ConfusionMatrixChart {
///     title: "Confusion matrix",
///     classes: &classes,
///     counts: &[90, 10, 5, 95],
///     cells: CellValue::RowFractions,
/// })?;
/// assert!(svg.as_str().contains("0.90"));
/// # Ok::<(), mlestar_report::ReportError>(())
/// ```
pub fn confusion_matrix(spec: &ConfusionMatrixChart<'_>) -> Result<Svg, ReportError> {
    let n_classes = spec.classes.len();
    check_count(CHART, "classes", n_classes, MAX_CLASSES)?;
    let expected = (n_classes * n_classes, "one for each pair of classes");
    check_length(CHART, "counts", spec.counts.len(), expected)?;
    let layout = Layout::new(spec);
    let size = (layout.width, layout.area.bottom + 16.0);
    Ok(draw_svg(spec.title, &description(spec), size, |canvas| {
        layout.header.draw(canvas);
        if spec.counts.iter().all(|&count| count == 0) {
            return draw_no_data(canvas, layout.area);
        }
        draw_cells(canvas, spec, &layout);
        draw_class_names(canvas, spec, &layout);
        if !with_numbers(n_classes) {
            draw_colour_bar(canvas, spec, &layout);
        }
    }))
}

/// Whether the cells have room for their numbers.
fn with_numbers(n_classes: usize) -> bool {
    n_classes <= MAX_CLASSES_WITH_NUMBERS
}

struct Layout {
    area: Area,
    cell: f64,
    width: f64,
    header: Header,
    /// The names of the predicted classes are written vertically.
    upright: bool,
    names_height: f64,
    font_size: f64,
    /// Every this many classes, a name is written.
    stride: usize,
}

impl Layout {
    fn new(spec: &ConfusionMatrixChart<'_>) -> Self {
        let n_classes = spec.classes.len().max(1);
        let cell = match n_classes {
            1..=4 => 68.0,
            5..=10 => 34.0,
            11..=20 => 32.0,
            // Multiples of a quarter of a pixel keep the grid even.
            _ => ((800.0 / n_classes as f64) * 4.0).floor().max(10.0) / 4.0,
        };
        let font_size = if n_classes > 20 { 11.5 } else { 12.0 };
        let names = spec.classes.iter().map(|name| text_width(name, font_size));
        let longest = names.fold(0.0, f64::max).min(150.0);
        let upright = longest > cell - 6.0;
        let names_height = if upright { longest + 8.0 } else { 20.0 };
        let left = 12.0 + 22.0 + longest + 10.0;
        let side = cell * n_classes as f64;
        // A small matrix still has room for the title and the names of the axes.
        let side_room = side.max(260.0);
        // With numbers in the cells, no colour bar is needed.
        let bar = if with_numbers(n_classes) {
            12.0
        } else {
            COLOUR_BAR_ROOM
        };
        let width = left + side_room + bar;
        let header = Header::new(spec.title, Vec::new(), width);
        let top = header.height() + 22.0 + names_height;
        Self {
            area: Area {
                left,
                top,
                right: left + side,
                bottom: top + side,
            },
            cell,
            width,
            header,
            upright,
            names_height,
            font_size,
            stride: (font_size * 1.05 / cell).ceil().max(1.0) as usize,
        }
    }
}

/// The value of each cell, 0 to 1 or a count, and the value of the lightest colour.
fn cell_value(spec: &ConfusionMatrixChart<'_>, truth: usize, predicted: usize) -> f64 {
    let n_classes = spec.classes.len();
    let row = &spec.counts[truth * n_classes..(truth + 1) * n_classes];
    let count = row[predicted] as f64;
    match spec.cells {
        CellValue::Counts => count,
        CellValue::RowFractions => {
            let total: f64 = row.iter().map(|&count| count as f64).sum();
            if total > 0.0 { count / total } else { 0.0 }
        }
    }
}

fn largest_value(spec: &ConfusionMatrixChart<'_>) -> f64 {
    match spec.cells {
        CellValue::RowFractions => 1.0,
        CellValue::Counts => spec.counts.iter().copied().max().unwrap_or(0).max(1) as f64,
    }
}

fn draw_cells(canvas: &mut Canvas, spec: &ConfusionMatrixChart<'_>, layout: &Layout) {
    let area = layout.area;
    let n_classes = spec.classes.len();
    let largest = largest_value(spec);
    let with_numbers = with_numbers(n_classes);
    let n_filled = spec.counts.iter().filter(|count| **count > 0).count();
    let titled = with_numbers || n_filled <= MOST_TITLED_CELLS;
    // This rectangle draws the empty cells, which are most of a large matrix.
    canvas.rectangle(
        (area.left, area.top),
        (area.right, area.bottom),
        viridis(0.0),
        1.0,
    );
    for truth in 0..n_classes {
        for predicted in 0..n_classes {
            let value = cell_value(spec, truth, predicted);
            if value == 0.0 && !with_numbers {
                continue;
            }
            let cell = Cell {
                truth,
                predicted,
                value,
                largest,
            };
            match titled {
                true => canvas.titled(&cell.words(spec), |canvas| cell.draw(canvas, spec, layout)),
                false => cell.draw(canvas, spec, layout),
            }
        }
    }
}

/// One cell of the matrix with its value and that of the lightest colour.
struct Cell {
    truth: usize,
    predicted: usize,
    value: f64,
    largest: f64,
}

impl Cell {
    fn words(&self, spec: &ConfusionMatrixChart<'_>) -> String {
        let n_classes = spec.classes.len();
        let row = &spec.counts[self.truth * n_classes..(self.truth + 1) * n_classes];
        let total: u128 = row.iter().map(|&count| u128::from(count)).sum();
        let [truth, predicted] = [self.truth, self.predicted].map(|class| &spec.classes[class]);
        let what = match self.truth == self.predicted {
            true => format!("{truth} recognised"),
            false => format!("{truth} taken for {predicted}"),
        };
        format!("{what}: {} of {total}", row[self.predicted])
    }

    fn draw(&self, canvas: &mut Canvas, spec: &ConfusionMatrixChart<'_>, layout: &Layout) {
        let colour = viridis((self.value / self.largest).sqrt());
        let from = (
            layout.area.left + self.predicted as f64 * layout.cell,
            layout.area.top + self.truth as f64 * layout.cell,
        );
        let with_numbers = with_numbers(spec.classes.len());
        // The lines between the cells show the background, if there is room for lines.
        let line = if with_numbers { 0.5 } else { 0.0 };
        let to = (from.0 + layout.cell - line, from.1 + layout.cell - line);
        canvas.rectangle((from.0 + line, from.1 + line), to, colour, 1.0);
        let is_diagonal = self.truth == self.predicted;
        if with_numbers && (self.value > 0.0 || is_diagonal) {
            let text = cell_text(spec.cells, self.value);
            let size = fitting_size(&text, layout.cell);
            let look = TextLook::new(size, Anchor::Middle).colour(contrast_text(colour));
            let look = if is_diagonal { look.bold() } else { look };
            let middle = (from.0 + layout.cell / 2.0, from.1 + layout.cell / 2.0);
            canvas.text(&text, middle, look);
        }
    }
}

fn cell_text(cells: CellValue, value: f64) -> String {
    match cells {
        CellValue::Counts if value >= 1e6 => short_number(value),
        CellValue::Counts => format::number(value, 0),
        // "0.00" would hide a mistake.
        CellValue::RowFractions if value > 0.0 && value < 0.005 => "<.01".to_string(),
        CellValue::RowFractions => format::number(value, 2),
    }
}

fn fitting_size(text: &str, cell: f64) -> f64 {
    let widest = text_width(text, 1.0).max(0.1);
    ((cell - 8.0) / widest).clamp(9.0, 13.5)
}

fn draw_class_names(canvas: &mut Canvas, spec: &ConfusionMatrixChart<'_>, layout: &Layout) {
    let area = layout.area;
    let size = layout.font_size;
    for (index, name) in spec.classes.iter().enumerate().step_by(layout.stride) {
        let offset = (index as f64 + 0.5) * layout.cell;
        let room = area.left - 12.0 - 22.0 - 8.0;
        let text = truncate(name, room, size);
        let look = TextLook::new(size, Anchor::End);
        canvas.text(&text, (area.left - 8.0, area.top + offset), look);
        if layout.upright {
            let text = truncate(name, layout.names_height - 8.0, size);
            let look = TextLook::new(size, Anchor::Start).upwards();
            canvas.text(&text, (area.left + offset, area.top - 7.0), look);
        } else {
            let look = TextLook::new(size, Anchor::Middle);
            canvas.text(name, (area.left + offset, area.top - 12.0), look);
        }
    }
    let look = TextLook::new(12.0, Anchor::Start).muted();
    let above = area.top - layout.names_height - 10.0;
    canvas.text("predicted class →", (area.left, above), look);
    let look = TextLook::new(12.0, Anchor::End).muted().upwards();
    canvas.text("← true class", (20.0, area.top), look)
}

fn draw_colour_bar(canvas: &mut Canvas, spec: &ConfusionMatrixChart<'_>, layout: &Layout) {
    const STEPS: usize = 64;
    let area = layout.area;
    let height = area.height().min(320.0);
    let left = area.right + 16.0;
    let at = |share: f64| area.top + height * (1.0 - share);
    for step in (0..STEPS).rev() {
        let middle = (step as f64 + 0.5) / STEPS as f64;
        let top = at((step + 1) as f64 / STEPS as f64);
        // Each step reaches to the end and the next one covers it, so there are no seams.
        canvas.rectangle((left, top), (left + 12.0, at(0.0)), viridis(middle), 1.0);
    }
    let largest = largest_value(spec);
    let fractions = [0.0, 0.05, 0.25, 0.5, 1.0];
    for fraction in fractions {
        let value = fraction * largest;
        let y = at(f64::sqrt(fraction));
        let label = match spec.cells {
            CellValue::RowFractions => short_number(value),
            CellValue::Counts => short_number(value.round()),
        };
        let look = TextLook::new(11.5, Anchor::Start).muted();
        canvas.text(
            &label,
            (left + 17.0, y.clamp(area.top + 4.0, at(0.0) - 3.0)),
            look,
        );
    }
    let words = match spec.cells {
        CellValue::Counts => "images",
        CellValue::RowFractions => "of row",
    };
    let look = TextLook::new(11.5, Anchor::Start).muted();
    canvas.text(words, (left, area.top - 11.0), look)
}

fn description(spec: &ConfusionMatrixChart<'_>) -> String {
    let n_classes = spec.classes.len();
    let total: u128 = spec.counts.iter().map(|&count| u128::from(count)).sum();
    let hits: u128 = (0..n_classes)
        .map(|class| u128::from(spec.counts[class * n_classes + class]))
        .sum();
    let worst = (0..n_classes * n_classes)
        .filter(|index| index / n_classes != index % n_classes)
        .max_by_key(|&index| (spec.counts[index], std::cmp::Reverse(index)))
        .filter(|&index| spec.counts[index] > 0)
        .map_or_else(String::new, |index| {
            format!(
                " Most frequent mistake: {} taken for {}, {} times.",
                spec.classes[index / n_classes],
                spec.classes[index % n_classes],
                spec.counts[index]
            )
        });
    format!(
        "Confusion matrix of {n_classes} classes: {hits} of {total} images on the diagonal.{worst}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(n: usize) -> Vec<String> {
        (0..n).map(|index| format!("class {index}")).collect()
    }

    fn draw(n: usize, counts: &[u64], cells: CellValue) -> Result<Svg, ReportError> {
        confusion_matrix(&ConfusionMatrixChart {
            title: "Confusion matrix",
            classes: &classes(n),
            counts,
            cells,
        })
    }

    #[test]
    fn cells_show_counts_or_fractions_of_their_row() {
        let counts = [1990, 10, 500, 1500];
        let svg = draw(2, &counts, CellValue::Counts).unwrap();
        assert!(svg.as_str().contains("1,990"));
        let svg = draw(2, &counts, CellValue::RowFractions).unwrap();
        for text in ["0.99", "0.25", "0.75", "0.01"] {
            assert!(svg.as_str().contains(text), "{text}");
        }
        assert!(
            svg.as_str()
                .contains("class 1 taken for class 0, 500 times")
        );
    }

    #[test]
    fn large_matrices_have_no_numbers_and_stay_small() {
        let counts: Vec<u64> = (0..100 * 100)
            .map(|index| {
                if index / 100 == index % 100 {
                    98_765
                } else {
                    u64::from(index % 7 == 0)
                }
            })
            .collect();
        let svg = draw(100, &counts, CellValue::Counts).unwrap();
        // The colour bar shows the largest count; the hundred cells with that count do not.
        assert_eq!(svg.as_str().matches(">98,765<").count(), 1);
        assert!(svg.as_str().len() < 600_000, "{}", svg.as_str().len());
    }

    #[test]
    fn empty_matrices_say_so_and_wrong_sizes_are_refused() {
        assert!(
            draw(2, &[0; 4], CellValue::Counts)
                .unwrap()
                .as_str()
                .contains("no data")
        );
        assert!(
            draw(0, &[], CellValue::Counts)
                .unwrap()
                .as_str()
                .contains("no data")
        );
        let error = draw(2, &[0; 3], CellValue::Counts).unwrap_err();
        assert!(error.to_string().contains("3 values, but 4"), "{error}");
        assert!(draw(251, &vec![0; 251 * 251], CellValue::Counts).is_err());
    }
}
