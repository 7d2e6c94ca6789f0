//! The outputs of a model.

/// An output of a model, as the protocol names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Scores before the softmax, FP32 `[n, classes]`.
    Logits,
    /// Calibrated probabilities, FP32 `[n, classes]`.
    Probabilities,
    /// How much an image resembles the training images, FP32 `[n]`.
    Familiarity,
    /// Whether an image is none of the classes, BOOL `[n]`; only of models with a limit.
    NoneOfThese,
}

impl Output {
    /// Every output, in the order of an answer.
    pub const ALL: [Self; 4] = [
        Self::Logits,
        Self::Probabilities,
        Self::Familiarity,
        Self::NoneOfThese,
    ];

    /// Its name in requests and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Familiarity => "familiarity",
            Self::NoneOfThese => "none_of_these",
        }
    }

    /// Its type in the protocol.
    pub fn datatype(self) -> &'static str {
        match self {
            Self::Logits | Self::Probabilities | Self::Familiarity => "FP32",
            Self::NoneOfThese => "BOOL",
        }
    }

    /// Its shape for `n` images (-1 stands for any number) and `n_classes`.
    pub fn shape(self, n: i64, n_classes: usize) -> Vec<i64> {
        match self.is_by_class() {
            true => vec![n, n_classes as i64],
            false => vec![n],
        }
    }

    /// Whether it has a value for each class.
    pub fn is_by_class(self) -> bool {
        matches!(self, Self::Logits | Self::Probabilities)
    }
}
