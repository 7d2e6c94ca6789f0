//! Every combination of values.

use super::{Propose, Request};
use crate::TuneError;
use crate::space::SearchSpace;

/// Larger grids are refused.
const LARGEST: u64 = 100_000;

/// Combination `number` of the grid, the last key changing fastest.
pub(super) struct Grid;

impl Propose for Grid {
    fn propose(&self, request: &Request<'_>) -> Vec<f64> {
        let size = size(request.space).unwrap_or(1).max(1);
        combinations(request.space)
            .nth((request.number % size) as usize)
            .unwrap_or_default()
    }
}

/// The points of the grid. Parameters that do not exist somewhere do not multiply the points there.
fn combinations(space: &SearchSpace) -> impl Iterator<Item = Vec<f64>> {
    let counts: Vec<u64> = space
        .iter()
        .map(|(_, space)| space.n_values().unwrap_or(1))
        .collect();
    let n = counts
        .iter()
        .fold(1_u64, |n, count| n.saturating_mul(*count));
    (0..n).filter_map(move |index| {
        let mut rest = index;
        let mut digits = vec![0; counts.len()];
        for (digit, count) in digits.iter_mut().zip(&counts).rev() {
            *digit = rest % count;
            rest /= count;
        }
        let middle = |(digit, count): (&u64, &u64)| (*digit as f64 + 0.5) / *count as f64;
        let units: Vec<f64> = digits.iter().zip(&counts).map(middle).collect();
        let parameters = space.at(&units);
        let is_first = space
            .iter()
            .zip(&digits)
            .all(|((key, _), digit)| *digit == 0 || parameters.contains_key(key));
        is_first.then_some(units)
    })
}

/// How many points the grid has; `None` where a parameter is continuous.
pub(crate) fn size(space: &SearchSpace) -> Option<u64> {
    let finite = space.iter().all(|(_, space)| space.n_values().is_some());
    finite.then(|| combinations(space).count() as u64)
}

/// Refuses continuous parameters and grids with too many points.
pub(super) fn check(space: &SearchSpace) -> Result<(), TuneError> {
    let mut n: u64 = 1;
    for (key, parameter) in space.iter() {
        let Some(values) = parameter.n_values() else {
            let message = "a grid needs a finite number of values: give `step`, or list `choices`";
            return Err(TuneError::bad_parameter(key, message));
        };
        n = n.saturating_mul(values);
        if n > LARGEST {
            let message = format!("the grid has more than {LARGEST} points up to this parameter");
            return Err(TuneError::bad_parameter(key, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{ParameterSpace, ParameterValue};

    #[test]
    fn a_parameter_that_does_not_exist_multiplies_nothing() {
        let text = |names: &[&str]| {
            let values = names
                .iter()
                .map(|name| ParameterValue::Text((*name).into()));
            values.collect::<Vec<_>>()
        };
        let space = SearchSpace::new([
            (
                "kind".to_owned(),
                ParameterSpace::categorical(text(&["sgd", "adam"])),
            ),
            (
                "momentum".to_owned(),
                ParameterSpace::int(1, 3).only_when("kind", text(&["sgd"])),
            ),
        ]);
        let points: Vec<_> = combinations(&space).map(|units| space.at(&units)).collect();
        assert_eq!((points.len(), size(&space)), (4, Some(4)));
        assert!(points.iter().all(|point| space.contains(point)));
        assert!((1..4).all(|at| !points[..at].contains(&points[at])));
    }
}
