//! How the next parameters are chosen: one file for each way.

mod cma_es;
mod gp;
mod grid;
mod sobol;
mod sobol_table;
mod tpe;

use mlestar_random::Stream;
use serde::{Deserialize, Serialize};

use crate::TuneError;
use crate::record::TrialRecord;
use crate::space::{Parameters, SearchSpace};

/// How to choose the next parameters.
///
/// Every sampler is a function of the seed, the number of the trial, and the trials before it. None keeps other state, so
/// a study resumes from its log, and any process that reads the log makes the same suggestion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// Tree-structured Parzen Estimator (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization") with kernels
    /// over all parameters at once (Falkner et al. 2018, "BOHB"). Works with every kind of parameter, with conditions, and
    /// with several objectives.
    #[default]
    Tpe,
    /// Every trial is drawn from the search space, regardless of earlier trials.
    Random,
    /// Every combination of values once, in order. Each parameter needs `choices`, whole numbers, or a `step`.
    Grid,
    /// Sobol's sequence with Owen's scrambling: covers the space more evenly than random draws.
    Sobol,
    /// Covariance matrix adaptation (Hansen 2016, "The CMA Evolution Strategy: A Tutorial"), for numbers that interact and
    /// some hundred trials or more. Categorical parameters come from the estimator of `tpe`.
    CmaEs,
    /// A Gaussian process (Matern 5/2, a length scale for each parameter) and the expected improvement: the fewest trials,
    /// for up to about 20 parameters. Its cost grows with the cube of the number of trials: it uses the best and the
    /// latest 300.
    Gp,
}

/// What a sampler knows.
pub(crate) struct Request<'a> {
    pub(crate) space: &'a SearchSpace,
    /// Trials that are spread over the space before a sampler learns from results.
    pub(crate) startup_trials: usize,
    pub(crate) seed: u64,
    /// The number of the trial.
    pub(crate) number: u64,
    /// Counts the repetitions of a suggestion that was tried before.
    pub(crate) attempt: u64,
    /// The trials with a score, in order.
    pub(crate) history: &'a [Observation],
    /// Where the trials are whose results are not known yet.
    pub(crate) pending: &'a [Vec<Option<f64>>],
}

impl Request<'_> {
    /// The random numbers of this suggestion for one purpose.
    pub(crate) fn stream(&self, purpose: &str) -> Stream {
        Stream::new(
            self.seed,
            &format!("tune/{purpose}"),
            self.number,
            self.attempt,
        )
    }

    /// Whether too few trials have a score to learn from them.
    fn is_start(&self) -> bool {
        self.history.len() < self.startup_trials.max(2)
    }
}

/// A trial with a score, as samplers see it.
#[derive(Debug, Clone)]
pub(crate) struct Observation {
    /// The point of the unit cube, in the order of the space's keys.
    pub(crate) units: Vec<Option<f64>>,
    /// The objectives, lower is better.
    pub(crate) losses: Vec<f64>,
}

/// A way to choose the next point of the unit cube.
pub(crate) trait Propose {
    /// Coordinates in `[0, 1]` in the order of the space's keys; those of parameters that do not exist there are ignored.
    fn propose(&self, request: &Request<'_>) -> Vec<f64>;
}

impl Sampler {
    fn method(self) -> &'static dyn Propose {
        match self {
            Self::Tpe => &tpe::Tpe,
            Self::Random => &Random,
            Self::Grid => &grid::Grid,
            Self::Sobol => &sobol::Sobol,
            Self::CmaEs => &cma_es::CmaEs,
            Self::Gp => &gp::GaussianProcess,
        }
    }

    /// How many trials the sampler has for a space; `None` without a limit.
    pub(crate) fn most_trials(self, space: &SearchSpace) -> Option<u64> {
        (self == Self::Grid).then(|| grid::size(space)).flatten()
    }

    /// Whether the sampler can search this space.
    pub(crate) fn check(self, space: &SearchSpace, n_objectives: usize) -> Result<(), TuneError> {
        if n_objectives > 1 && matches!(self, Self::CmaEs | Self::Gp) {
            return Err(TuneError::OutOfRange {
                key: "directions",
                value: format!("{n_objectives} objectives"),
                limits: "1 objective for the samplers `cma-es` and `gp`; use `tpe` for several",
            });
        }
        match self {
            Self::Grid => grid::check(space),
            _ => Ok(()),
        }
    }
}

/// Draws that depend on the seed and the number of the trial only.
struct Random;

impl Propose for Random {
    fn propose(&self, request: &Request<'_>) -> Vec<f64> {
        let keys = request.space.iter().map(|(key, _)| key);
        keys.map(|key| request.stream(key).uniform()).collect()
    }
}

/// A suggestion that repeats an earlier trial is made again at most this often.
const MAX_ATTEMPTS: u64 = 16;

/// Settings that decide a suggestion, besides the trials.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) sampler: Sampler,
    pub(crate) space: &'a SearchSpace,
    pub(crate) startup_trials: usize,
    pub(crate) seed: u64,
    /// 1 for an objective that is maximised, -1 for one that is minimised.
    pub(crate) signs: &'a [f64],
}

/// Parameters for trial `number`, from the results of `known` trials and the parameters of the `pending` ones after them.
/// A set that was tried before is suggested again only if the space is too small.
pub(crate) fn suggest(
    settings: Settings<'_>,
    number: u64,
    known: &[TrialRecord],
    pending: &[Parameters],
) -> Parameters {
    let space = settings.space;
    let observe = |trial: &TrialRecord| {
        let scores = trial.scores()?;
        let losses = scores
            .iter()
            .zip(settings.signs)
            .map(|(score, sign)| -score * sign);
        Some(Observation {
            units: space.units(&trial.parameters),
            losses: losses.collect(),
        })
    };
    let history: Vec<Observation> = known.iter().filter_map(observe).collect();
    let pending_units: Vec<Vec<Option<f64>>> = pending.iter().map(|p| space.units(p)).collect();
    let mut parameters = Parameters::new();
    for attempt in 0..MAX_ATTEMPTS {
        let request = Request {
            space,
            startup_trials: settings.startup_trials,
            seed: settings.seed,
            number,
            attempt,
            history: &history,
            pending: &pending_units,
        };
        // A method that keeps returning to the same point has nothing to learn there.
        let method: &dyn Propose = match attempt < MAX_ATTEMPTS / 2 {
            true => settings.sampler.method(),
            false => &Random,
        };
        parameters = space.at(&method.propose(&request));
        let tried = known.iter().map(|trial| &trial.parameters).chain(pending);
        if settings.sampler == Sampler::Grid || tried.into_iter().all(|tried| *tried != parameters)
        {
            break;
        }
    }
    parameters
}
