use serde::{Deserialize, Serialize};

/// What was found about a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What kind of thing it is.
    pub kind: Kind,
    /// How grave it is.
    pub severity: Severity,
    /// What was measured, with the values, the epochs and the steps.
    pub statement: String,
    /// The epochs (from 1) at which it shows, the first of them first; some of them when there are very
    /// many, none when it is about the whole training.
    pub epochs: Vec<usize>,
    /// The steps (from 1, over the whole training) at which it shows; as `epochs`.
    pub steps: Vec<u64>,
    /// Changes of the config that speak to it, the most promising first.
    pub suggestions: Vec<Suggestion>,
}

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The loss is not finite, or rose and stayed high.
    Divergence,
    /// The loss of single steps jumped and came back.
    LossSpikes,
    /// The gradient norm grew by orders of magnitude.
    GradientExplosion,
    /// The gradient norm of single steps jumped.
    GradientSpikes,
    /// The gradient norm is so small that nothing is learned, while the loss is high.
    GradientVanishing,
    /// Clipping shortens nearly every gradient.
    GradientClipped,
    /// Neither loss nor accuracy has changed for long, at a rate that still allows change.
    Plateau,
    /// The validation loss is many times what guessing costs.
    WildValidation,
    /// The validation loss rises while the training loss falls.
    Overfitting,
    /// The training ended before it had learned what it could.
    Underfitting,
    /// Epochs trained slower than those before.
    ThroughputDrop,
    /// Steps waited for their pictures.
    SlowLoader,
    /// The best epoch came long before the end.
    EarlyBest,
}

impl Kind {
    /// Its name in a few words, such as `loss spikes`.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Divergence => "divergence",
            Self::LossSpikes => "loss spikes",
            Self::GradientExplosion => "growing gradients",
            Self::GradientSpikes => "gradient spikes",
            Self::GradientVanishing => "vanishing gradients",
            Self::GradientClipped => "constant clipping",
            Self::Plateau => "plateau",
            Self::WildValidation => "wild validation loss",
            Self::Overfitting => "overfitting",
            Self::Underfitting => "underfitting",
            Self::ThroughputDrop => "throughput drop",
            Self::SlowLoader => "waiting for pictures",
            Self::EarlyBest => "early best epoch",
        }
    }
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; the result is good all the same.
    Note,
    /// The result is probably worse, or took longer, than it had to.
    Warning,
    /// The result cannot be relied on.
    Problem,
}

impl Severity {
    /// `note`, `warning` or `problem`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// A change of one key of the config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suggestion {
    /// The dotted key, such as `training.optimizer.learning_rate`.
    pub key: String,
    /// The value to try, as TOML.
    pub value: String,
    /// The value that the training ran with, as TOML; `None` where the key was left out.
    pub configured: Option<String>,
    /// Why.
    pub reason: String,
}

impl std::fmt::Display for Suggestion {
    /// `key=value`, as `--set` takes it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}={}", self.key, self.value)
    }
}

/// Findings name at most so many places.
const MOST_PLACES: usize = 20;

impl Finding {
    pub(super) fn new(kind: Kind, severity: Severity, statement: String) -> Self {
        Self {
            kind,
            severity,
            statement,
            epochs: Vec::new(),
            steps: Vec::new(),
            suggestions: Vec::new(),
        }
    }

    pub(super) fn at_epochs(mut self, epochs: impl IntoIterator<Item = usize>) -> Self {
        self.epochs = epochs.into_iter().take(MOST_PLACES).collect();
        self
    }

    pub(super) fn at_steps(mut self, steps: impl IntoIterator<Item = u64>) -> Self {
        self.steps = steps.into_iter().take(MOST_PLACES).collect();
        self
    }

    pub(super) fn suggest(mut self, suggestions: impl IntoIterator<Item = Suggestion>) -> Self {
        self.suggestions.extend(suggestions);
        self
    }
}
