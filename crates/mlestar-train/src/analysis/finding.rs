use serde::{Deserialize, Serialize};

/// One observation about a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The kind of finding.
    pub kind: Kind,
    /// How serious it is.
    pub severity: Severity,
    /// What was measured, with values, epochs and steps.
    pub statement: String,
    /// The affected epochs, counted from 1, in order. The list is shortened if there are very many, and empty
    /// if the finding concerns the whole training.
    pub epochs: Vec<usize>,
    /// The affected steps, counted from 1 over the whole training. Shortened like `epochs`.
    pub steps: Vec<u64>,
    /// Config changes that may help, the most promising first.
    pub suggestions: Vec<Suggestion>,
}

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The loss is not finite, or rose and stayed high.
    Divergence,
    /// The loss of single steps jumped and fell again.
    LossSpikes,
    /// The gradient norm grew by orders of magnitude.
    GradientExplosion,
    /// The gradient norm of single steps jumped.
    GradientSpikes,
    /// The gradient norm is so small that the network learns nothing although the loss is high.
    GradientVanishing,
    /// Gradient clipping shortens nearly every gradient.
    GradientClipped,
    /// Loss and accuracy have not changed for long, although the learning rate would still allow it.
    Plateau,
    /// The validation loss is many times the loss of random guessing.
    WildValidation,
    /// The validation loss rises while the training loss falls.
    Overfitting,
    /// The training ended before the network had learned what it could.
    Underfitting,
    /// Epochs ran slower than the epochs before.
    ThroughputDrop,
    /// Steps waited for their images.
    SlowLoader,
    /// The best epoch came long before the end.
    EarlyBest,
}

impl Kind {
    /// A short name, such as `loss spikes`.
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
            Self::SlowLoader => "waiting for images",
            Self::EarlyBest => "early best epoch",
        }
    }
}

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; the result is still good.
    Note,
    /// The result is probably worse, or took longer, than necessary.
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

/// A change of one config key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suggestion {
    /// The dotted key, such as `training.optimizer.learning_rate`.
    pub key: String,
    /// The value to try, as TOML.
    pub value: String,
    /// The value that the training used, as TOML; `None` if the config did not set the key.
    pub configured: Option<String>,
    /// The reason for the change.
    pub reason: String,
}

impl std::fmt::Display for Suggestion {
    /// `key=value`, in the form that `--set` accepts.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}={}", self.key, self.value)
    }
}

/// A finding lists at most this many epochs or steps.
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
