//! Checks whether every parameter receives a gradient.

use mlestar_model::{ImageClassifier, NamedTensor, Network, StateKind};
use serde::{Deserialize, Serialize};

/// The gradient of one parameter after the first backward pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientFigure {
    /// The parameter.
    pub name: String,
    /// Its values.
    pub n_values: usize,
    /// Whether the backward pass reached it.
    pub is_present: bool,
    /// Values that are not finite.
    pub n_not_finite: usize,
    /// Values that are exactly 0.
    pub n_zero: usize,
    /// Euclidean norm of the finite values.
    pub norm: f64,
}

impl GradientFigure {
    /// Whether the parameter can learn: its gradient is there, finite, and not all 0.
    pub fn is_sound(&self) -> bool {
        self.is_present && self.n_not_finite == 0 && self.n_zero < self.n_values
    }
}

/// The gradient of every trainable parameter of `model`, from the gradients that a step kept.
pub(super) fn figures(model: &ImageClassifier, gradients: &[NamedTensor]) -> Vec<GradientFigure> {
    let fixed = model.fixed_parameters();
    let trained = model.state().into_iter().filter(|tensor| {
        StateKind::of(&tensor.name) == StateKind::Parameter && !fixed.contains(&tensor.name)
    });
    trained
        .map(|parameter| {
            let gradient = gradients
                .iter()
                .find(|gradient| gradient.name == parameter.name);
            figure_of(
                parameter.name,
                parameter.values.len(),
                gradient.map(|gradient| &gradient.values[..]),
            )
        })
        .collect()
}

fn figure_of(name: String, n_values: usize, gradient: Option<&[f32]>) -> GradientFigure {
    let is_present = gradient.is_some();
    let values = gradient.unwrap_or_default();
    let finite = values.iter().filter(|value| value.is_finite());
    let squares: f64 = finite.map(|value| f64::from(*value).powi(2)).sum();
    GradientFigure {
        name,
        n_values,
        is_present,
        n_not_finite: values.iter().filter(|value| !value.is_finite()).count(),
        n_zero: values.iter().filter(|value| **value == 0.0).count(),
        norm: squares.sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsound_gradients_are_recognised() {
        let figure = |values: Option<&[f32]>| figure_of("w".into(), 2, values);
        assert!(figure(Some(&[0.0, 3.0])).is_sound());
        assert_eq!(figure(Some(&[4.0, 3.0])).norm, 5.0);
        assert!(!figure(Some(&[0.0, 0.0])).is_sound());
        assert!(!figure(Some(&[f32::NAN, 3.0])).is_sound());
        assert!(!figure(None).is_sound());
    }
}
