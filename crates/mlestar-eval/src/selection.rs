use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::bootstrap::SplitMix64;
use crate::error::{check_not_empty, check_same_length};

/// Candidates that are compared: those with the highest scores. The others hardly ever win a resample.
const MOST_CANDIDATES: usize = 64;

/// The score of the best of several candidates, corrected for having been chosen by it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectedScore {
    /// The candidate with the highest accuracy; of equal ones the first.
    pub selected: usize,
    /// How many candidates there were.
    pub candidates: usize,
    /// Its accuracy on the samples that chose it, 0-1.
    pub apparent: f64,
    /// What its accuracy would be on other samples, 0-1: the mean over resamples of the accuracy that the winner of a
    /// resample has on the samples outside it. Never above `apparent`.
    pub corrected: f64,
}

impl SelectedScore {
    /// How much choosing by the score raised it: `apparent - corrected`, at least 0.
    pub fn optimism(&self) -> f64 {
        self.apparent - self.corrected
    }
}

/// Corrects the accuracy of the best of several candidates for the winner's curse: the highest of several noisy scores is
/// too high on average.
///
/// `correct[c][i]` says whether candidate c classified sample i correctly; all candidates have the same samples. Each of
/// `resamples` bootstrap samples chooses its own winner, which is then scored on the samples that were not drawn
/// (Tsamardinos, Greasidou and Borboudakis 2018, "Bootstrapping the out-of-sample predictions for efficient and accurate
/// cross-validation", <https://doi.org/10.1007/s10994-018-5714-4>). The draws depend only on `seed`. Of more than 64
/// candidates those with the highest accuracies take part.
///
/// # Errors
/// [`EvalError::Empty`] without candidates or samples; [`EvalError::LengthMismatch`];
/// [`EvalError::ParameterOutOfRange`] for 0 resamples.
///
/// ```
/// use mlestar_eval::selected_score;
/// let good = vec![true, true, true, false, true, true, false, true];
/// let poor = vec![false, true, false, false, true, false, false, true];
/// let score = selected_score(&[poor, good], 1_000, 42)?;
/// assert_eq!((score.selected, score.apparent), (1, 0.75));
/// assert!(score.corrected <= score.apparent);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn selected_score(
    correct: &[Vec<bool>],
    resamples: usize,
    seed: u64,
) -> Result<SelectedScore, EvalError> {
    check_not_empty("candidates", correct.len())?;
    let n = correct[0].len();
    check_not_empty("samples", n)?;
    for candidate in correct {
        check_same_length("a candidate", candidate.len(), "the first", n)?;
    }
    if resamples == 0 {
        return Err(EvalError::ParameterOutOfRange {
            name: "resamples",
            value: 0.0,
            range: "1 or more; 1000 is usual".to_string(),
        });
    }
    let mut order: Vec<usize> = (0..correct.len()).collect();
    let scores: Vec<f64> = correct.iter().map(|row| share_right(row)).collect();
    // Stable: of equal ones the first stays first.
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let selected = order[0];
    order.truncate(MOST_CANDIDATES);
    // As the choice sees them.
    order.sort_unstable();
    let compared: Vec<&[bool]> = order
        .iter()
        .map(|&index| correct[index].as_slice())
        .collect();
    let apparent = scores[selected];
    let corrected = match compared.len() {
        1 => apparent,
        _ => out_of_bag(&compared, resamples, seed).unwrap_or(apparent),
    };
    Ok(SelectedScore {
        selected,
        candidates: correct.len(),
        apparent,
        corrected: corrected.min(apparent),
    })
}

/// The mean accuracy of the winners of resamples on the samples that were not drawn; `None` where every resample drew all.
fn out_of_bag(correct: &[&[bool]], resamples: usize, seed: u64) -> Option<f64> {
    let n = correct[0].len();
    let mut generator = SplitMix64(seed);
    let mut drawn = vec![0_u32; n];
    let (mut sum, mut scored) = (0.0, 0_usize);
    for _ in 0..resamples {
        drawn.fill(0);
        for _ in 0..n {
            // Exact for sets below 2^32 samples, and larger ones do not fit in memory as candidates.
            drawn[generator.below(n as u32) as usize] += 1;
        }
        let in_bag = |row: &[bool]| -> u64 {
            let weighted = row.iter().zip(&drawn);
            weighted
                .map(|(&right, &times)| u64::from(right) * u64::from(times))
                .sum()
        };
        let mut winner = correct[0];
        let mut best = in_bag(winner);
        for row in &correct[1..] {
            let score = in_bag(row);
            if score > best {
                (winner, best) = (row, score);
            }
        }
        let outside: Vec<bool> = winner
            .iter()
            .zip(&drawn)
            .filter_map(|(&right, &times)| (times == 0).then_some(right))
            .collect();
        if !outside.is_empty() {
            sum += share_right(&outside);
            scored += 1;
        }
    }
    (scored > 0).then(|| sum / scored as f64)
}

fn share_right(row: &[bool]) -> f64 {
    row.iter().filter(|&&right| right).count() as f64 / row.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n_candidates` classifiers of equal true accuracy; the best looks better than it is, and the correction takes most
    /// of that back.
    #[test]
    fn the_correction_removes_what_choosing_added() {
        let (n, n_candidates, truth) = (400, 20, 0.7);
        let mut generator = SplitMix64(5);
        let [mut apparent, mut corrected] = [0.0, 0.0];
        let n_repeats = 40;
        for repeat in 0..n_repeats {
            let candidates: Vec<Vec<bool>> = (0..n_candidates)
                .map(|_| (0..n).map(|_| generator.below(1000) < 700).collect())
                .collect();
            let score = selected_score(&candidates, 200, repeat).unwrap();
            apparent += score.apparent / n_repeats as f64;
            corrected += score.corrected / n_repeats as f64;
        }
        assert!(apparent - truth > 0.03, "{apparent}");
        assert!((corrected - truth).abs() < 0.008, "{corrected}");
    }

    #[test]
    fn a_clear_winner_keeps_its_score() {
        let row = |right: usize| (0..1000).map(|index| index % 100 < right).collect();
        let score = selected_score(&[row(60), row(95), row(70)], 300, 1).unwrap();
        assert_eq!((score.selected, score.candidates), (1, 3));
        assert!(score.optimism() < 0.003, "{score:?}");
        let alone = selected_score(&[row(60)], 300, 1).unwrap();
        assert_eq!((alone.apparent, alone.optimism()), (0.6, 0.0));
    }

    #[test]
    fn equal_candidates_give_the_first() {
        let row = vec![true, false, true, true];
        let score = selected_score(&vec![row; 100], 50, 3).unwrap();
        assert_eq!((score.selected, score.candidates), (0, 100));
        // One sample drawn alone leaves nothing outside.
        let one = selected_score(&[vec![true], vec![false]], 10, 3).unwrap();
        assert_eq!((one.apparent, one.corrected), (1.0, 1.0));
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |correct: &[Vec<bool>], resamples| {
            selected_score(correct, resamples, 1)
                .unwrap_err()
                .to_string()
        };
        for (correct, resamples) in [
            (vec![], 10),
            (vec![vec![]], 10),
            (vec![vec![true], vec![true, false]], 10),
            (vec![vec![true]], 0),
        ] {
            assert!(!refused(&correct, resamples).is_empty());
        }
    }
}
