//! Training pictures of every class.

use super::thumbnails;
use crate::WorkflowError;
use mlestar_data::ImageSet;
use mlestar_report::{Picture, PictureGrid, Section, format};

/// Pictures on the page, all classes together.
const MOST_PICTURES: usize = 400;
/// Pictures of one class.
const MOST_A_CLASS: usize = 8;

/// The classes of which the page shows at least one picture.
pub(in super::super) fn classes_with_samples(train: &ImageSet) -> Vec<String> {
    let counts = train.class_counts();
    let present = train
        .classes()
        .iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0);
    present.map(|(name, _)| name.clone()).collect()
}

/// The section, one row of pictures a class.
pub(super) fn section(train: &ImageSet) -> Result<Section, WorkflowError> {
    let per_class = (MOST_PICTURES / train.n_classes()).clamp(1, MOST_A_CLASS);
    let mut section = Section::new("Samples of every class")
        .intro("Training pictures, spread evenly over each class.");
    for (class, name) in train.classes().iter().enumerate() {
        let members: Vec<usize> = (0..train.len())
            .filter(|index| train.label(*index) as usize == class)
            .collect();
        let n_shown = per_class.min(members.len());
        let mut grid = PictureGrid::new(format!(
            "{name}: {n_shown} of {} training pictures",
            format::count(members.len() as u64)
        ));
        for place in 0..n_shown {
            let index = members[place * members.len() / n_shown];
            let picture = Picture::new(thumbnails::of_set(train, index)?, sample_text(class, name));
            grid = grid.picture(picture.caption(train.origin(index).to_string()));
        }
        section = section.block(grid);
    }
    Ok(section)
}

/// The alternative text of a sample; its beginning tells the gate which class it is of.
fn sample_text(class: usize, name: &str) -> String {
    format!("{}{name}", sample_mark(class))
}

fn sample_mark(class: usize) -> String {
    format!("Sample of class {class}: ")
}

/// How many pictures of a class a rendered page shows.
pub(crate) fn n_samples_shown(html: &str, class: usize) -> usize {
    let mark = format!("alt=\"{}", sample_mark(class));
    let images = html.split("<img ").skip(1);
    // Attributes are escaped: the first > ends the tag.
    let tags = images.filter_map(|rest| rest.split('>').next());
    tags.filter(|tag| tag.contains("src=\"data:image/png;base64,") && tag.contains(&mark))
        .count()
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
        for class in 0..3 {
            assert_eq!(n_samples_shown(&html, class), MOST_A_CLASS);
        }
        assert_eq!(n_samples_shown(&html, 3), 0);
        assert!(!html.contains("<script>alert") && !html.contains("<img src=x>"));
        assert!(html.contains("&lt;script&gt;alert(1)"));
    }

    #[test]
    fn a_class_without_pictures_is_not_explored() {
        let train = named_set(&["cat", "dog"], 3, 1);
        let cats = train.select(&[0, 2]).unwrap();
        assert_eq!(classes_with_samples(&cats), ["cat"]);
        let html = Page::new("t").section(section(&cats).unwrap()).render();
        assert_eq!(
            (n_samples_shown(&html, 0), n_samples_shown(&html, 1)),
            (2, 0)
        );
    }
}
