use maud::{Markup, html};
use mlestar_gates::Status;

/// The meaning of a status. It determines a colour and a sign, so that the meaning does not depend on colour
/// alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Met, finished, as expected.
    Good,
    /// Failed.
    Bad,
    /// Undecided, stale or worth a look.
    Caution,
    /// Running, or for information.
    Info,
    /// Absent or not started.
    Neutral,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Caution => "caution",
            Self::Info => "info",
            Self::Neutral => "neutral",
        }
    }

    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Bad => "✕",
            Self::Caution => "!",
            Self::Info => "i",
            Self::Neutral => "–",
        }
    }
}

/// A short status word with a tone: `PASS`, `stale`, `3 findings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// The word.
    pub text: String,
    /// Its meaning.
    pub tone: Tone,
}

impl Badge {
    /// A badge of any tone.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }

    /// A badge for something that is as expected.
    pub fn good(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Good)
    }

    /// A badge for something that failed.
    pub fn bad(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Bad)
    }

    /// A badge for something worth a look.
    pub fn caution(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Caution)
    }

    /// A badge for information.
    pub fn info(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Info)
    }

    /// A badge for something absent or not started.
    pub fn neutral(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Neutral)
    }

    pub(crate) fn render(&self) -> Markup {
        html! {
            span class={ "badge " (self.tone.class()) } {
                span class="sign" aria-hidden="true" { (self.tone.sign()) }
                (self.text)
            }
        }
    }
}

impl From<Status> for Badge {
    fn from(status: Status) -> Self {
        match status {
            Status::Pass => Self::good("PASS"),
            Status::Fail => Self::bad("FAIL"),
            Status::Inconclusive => Self::caution("INCONCLUSIVE"),
            Status::Stale => Self::caution("STALE"),
            Status::Missing => Self::neutral("MISSING"),
        }
    }
}
