//! Training images of every class.

use super::thumbnail_of;
use crate::WorkflowError;
use mlestar_data::ImageSet;
use mlestar_report::{Picture, PictureGrid, Section, format};

/// Images on the page, all classes together.
const MOST_PICTURES: usize = 400;
/// Images of one class.
const MOST_A_CLASS: usize = 8;

/// The most classes that are shown; of more, the shown ones are spread evenly.
const MOST_CLASSES: usize = 400;

/// The classes of which the page shows at least one image.
pub(in super::super) fn classes_with_samples(train: &ImageSet) -> Vec<String> {
    let counts = train.class_counts();
    shown_classes(train.n_classes())
        .filter(|class| counts[*class] > 0)
        .map(|class| train.classes()[class].clone())
        .collect()
}

/// The classes that have a row on the page: all, or [`MOST_CLASSES`] of them, spread evenly.
pub(crate) fn shown_classes(n_classes: usize) -> impl Iterator<Item = usize> {
    let n_shown = n_classes.min(MOST_CLASSES);
    (0..n_shown).map(move |place| place * n_classes / n_shown)
}

/// The section, one row of images per class.
pub(super) fn section(train: &ImageSet) -> Result<Section, WorkflowError> {
    let n_classes = train.n_classes();
    let per_class = (MOST_PICTURES / n_classes.max(1)).clamp(1, MOST_A_CLASS);
    let intro = "Training images, spread evenly over each class.";
    let mut section = Section::new("Samples of every class").intro(match n_classes {
        0..=MOST_CLASSES => intro.to_owned(),
        _ => format!("{intro} {MOST_CLASSES} of {n_classes} classes are shown."),
    });
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); n_classes];
    for (index, label) in train.labels().iter().enumerate() {
        members[*label as usize].push(index);
    }
    for class in shown_classes(n_classes) {
        let (name, members) = (&train.classes()[class], &members[class]);
        let n_shown = per_class.min(members.len());
        let mut grid = PictureGrid::new(format!(
            "{name}: {n_shown} of {} training images",
            format::count(members.len() as u64)
        ));
        for place in 0..n_shown {
            let index = members[place * members.len() / n_shown];
            let picture = Picture::new(thumbnail_of(train, index)?, sample_text(class, name));
            grid = grid.picture(picture.caption(train.origin(index).to_string()));
        }
        section = section.block(grid);
    }
    Ok(section)
}

/// The alternative text of a sample; its beginning names the class for the gate.
fn sample_text(class: usize, name: &str) -> String {
    format!("{}{name}", sample_mark(class))
}

fn sample_mark(class: usize) -> String {
    format!("{SAMPLE_MARK}{class}: ")
}

const SAMPLE_MARK: &str = "Sample of class ";

/// How many images a rendered page shows of each of `n_classes` classes, in one pass over the page.
pub(crate) fn n_samples_shown(html: &str, n_classes: usize) -> Vec<usize> {
    let mark = format!("alt=\"{SAMPLE_MARK}");
    let mut shown = vec![0; n_classes];
    // Attributes are escaped: the first > ends the tag.
    let tags = html
        .split("<img ")
        .skip(1)
        .filter_map(|rest| rest.split('>').next());
    for tag in tags.filter(|tag| tag.contains("src=\"data:image/")) {
        let class = tag
            .split_once(&mark)
            .and_then(|(_, rest)| rest.split_once(':'));
        if let Some(class) = class.and_then(|(number, _)| number.parse::<usize>().ok())
            && let Some(count) = shown.get_mut(class)
        {
            *count += 1;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::named_set;
    use super::*;
    use mlestar_report::Page;

    #[test]
    fn every_class_has_its_samples_and_names_are_escaped() {
        let train = named_set(
            &["cat", "<script>alert(1)</script>", "\"><img src=x>"],
            20,
            1,
        );
        let html = Page::new("t").section(section(&train).unwrap()).render();
        assert_eq!(
            n_samples_shown(&html, 4),
            [MOST_A_CLASS, MOST_A_CLASS, MOST_A_CLASS, 0]
        );
        assert!(!html.contains("<script>alert") && !html.contains("<img src=x>"));
        assert!(html.contains("&lt;script&gt;alert(1)"));
    }

    #[test]
    fn a_class_without_pictures_is_not_explored() {
        let train = named_set(&["cat", "dog"], 3, 1);
        let cats = train.select(&[0, 2]).unwrap();
        assert_eq!(classes_with_samples(&cats), ["cat"]);
        let html = Page::new("t").section(section(&cats).unwrap()).render();
        assert_eq!(n_samples_shown(&html, 2), [2, 0]);
    }
}
