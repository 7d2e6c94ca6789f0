//! The mistakes worth looking at.

use super::Mistake;
use crate::csv::csv;
use mlestar_eval::Predictions;
use mlestar_report::format;

/// How many mistakes are kept.
const MISTAKES: usize = 48;

/// The most confident mistakes first; ties in the order of the images.
pub(super) fn most_confident(
    predictions: &Predictions,
    classes: &[String],
    origin: impl Fn(usize) -> String,
) -> Vec<Mistake> {
    let wrong = all(predictions).into_iter().take(MISTAKES);
    wrong
        .map(|index| mistake(index, predictions, classes, &origin))
        .collect()
}

/// Every mistake as a line of CSV, in the same order.
pub(super) fn list(
    predictions: &Predictions,
    classes: &[String],
    origin: impl Fn(usize) -> String,
) -> String {
    let head = [
        "index",
        "file",
        "truth",
        "predicted",
        "confidence",
        "probability_of_truth",
    ];
    let rows = all(predictions).into_iter().map(|index| {
        let mistake = mistake(index, predictions, classes, &origin);
        [
            index.to_string(),
            mistake.origin,
            mistake.truth,
            mistake.predicted,
            format::significant(mistake.confidence, 6),
            format::significant(mistake.probability_of_truth, 6),
        ]
    });
    csv(head, rows)
}

/// The indices of the misclassified images.
fn all(predictions: &Predictions) -> Vec<usize> {
    let mut wrong: Vec<usize> = (0..predictions.len())
        .filter(|index| predictions.predicted(*index) != predictions.label(*index))
        .collect();
    wrong.sort_by(|a, b| {
        predictions
            .confidence(*b)
            .total_cmp(&predictions.confidence(*a))
            .then(a.cmp(b))
    });
    wrong
}

fn mistake(
    index: usize,
    predictions: &Predictions,
    classes: &[String],
    origin: impl Fn(usize) -> String,
) -> Mistake {
    let class = |index: u32| classes[index as usize].clone();
    Mistake {
        index,
        origin: origin(index),
        truth: class(predictions.label(index)),
        predicted: class(predictions.predicted(index)),
        confidence: predictions.confidence(index),
        probability_of_truth: predictions.row(index)[predictions.label(index) as usize],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_mistake_comes_first_and_right_answers_are_left_out() {
        let classes = ["a".to_owned(), "b".to_owned()];
        let probabilities = vec![0.9, 0.1, 0.4, 0.6, 0.8, 0.2, 0.2, 0.8];
        let predictions = Predictions::new(vec![0, 0, 1, 0], probabilities, 2).unwrap();
        let mistakes = most_confident(&predictions, &classes, |index| format!("image {index}"));
        let found: Vec<_> = mistakes.iter().map(|mistake| mistake.index).collect();
        assert_eq!(found, [2, 3, 1]);
        assert_eq!(mistakes[0].origin, "image 2");
        assert_eq!(mistakes[0].truth, "b");
        assert_eq!(mistakes[0].predicted, "a");
        assert_eq!(mistakes[0].probability_of_truth, 0.2);
        let list = list(&predictions, &classes, |index| {
            format!("b/{index}, copy.jpg")
        });
        let lines: Vec<&str> = list.lines().collect();
        assert_eq!(lines.len(), 1 + mistakes.len());
        assert_eq!(lines[1], "2,\"b/2, copy.jpg\",b,a,0.8,0.2");
    }
}
