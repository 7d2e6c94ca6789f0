//! The mistakes worth looking at.

use super::Mistake;
use mlestar_eval::Predictions;

/// How many mistakes are kept.
const MISTAKES: usize = 48;

/// The mistakes that the model was surest of, surest first; ties in the order of the pictures.
pub(super) fn most_confident(
    predictions: &Predictions,
    classes: &[String],
    origin: impl Fn(usize) -> String,
) -> Vec<Mistake> {
    let mut wrong: Vec<usize> = (0..predictions.len())
        .filter(|index| predictions.predicted(*index) != predictions.label(*index))
        .collect();
    wrong.sort_by(|a, b| {
        predictions
            .confidence(*b)
            .total_cmp(&predictions.confidence(*a))
            .then(a.cmp(b))
    });
    wrong.truncate(MISTAKES);
    let class = |index: u32| classes[index as usize].clone();
    wrong
        .into_iter()
        .map(|index| Mistake {
            index,
            origin: origin(index),
            truth: class(predictions.label(index)),
            predicted: class(predictions.predicted(index)),
            confidence: predictions.confidence(index),
            probability_of_truth: predictions.row(index)[predictions.label(index) as usize],
        })
        .collect()
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
    }
}
