//! The samplers on standard functions: one JSON line for each function, sampler and seed.
//!
//!     cargo run --release -p mlestar-tune --example regret -- --seeds 20 --samplers tpe gp
//!
//! `benches/peers/tune.py` prints the same for Optuna and compares both. With `--unseen`, the functions are those that the samplers
//! were never tuned on; their peer is `benches/peers/tune_unseen.py`.

mod unseen;

use std::collections::BTreeMap;
use std::error::Error;
use std::f64::consts::{E, PI};
use std::time::Instant;

use mlestar_tune::{
    Direction, ParameterSpace, ParameterValue, Parameters, Sampler, SearchSpace, StudyConfig,
    TrialRecord, TrialState,
};

/// Trials after which the regret is noted.
const CHECKPOINTS: [usize; 4] = [30, 60, 100, 200];

struct Function {
    name: &'static str,
    space: SearchSpace,
    /// The value above the minimum.
    regret: fn(&Parameters) -> f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options();
    let number = |key: &str, default: usize| -> Result<usize, Box<dyn Error>> {
        match options.get(key).and_then(|values| values.first()) {
            Some(value) => Ok(value.parse()?),
            None => Ok(default),
        }
    };
    let (seeds, trials, window) = (
        number("seeds", 20)?,
        number("trials", 200)?,
        number("window", 1)?,
    );
    let all = || {
        ["random", "sobol", "tpe", "cma-es"]
            .map(str::to_owned)
            .to_vec()
    };
    let samplers = options.get("samplers").cloned().unwrap_or_else(all);
    let functions = match options.contains_key("unseen") {
        true => unseen::functions(),
        false => functions(),
    };
    for function in functions {
        let wanted = options.get("functions");
        if wanted.is_some_and(|wanted| !wanted.iter().any(|name| name == function.name)) {
            continue;
        }
        for sampler in &samplers {
            let config = StudyConfig {
                sampler: sampler_named(sampler)?,
                space: function.space.clone(),
                directions: vec![Direction::Minimize],
                startup_trials: 10,
                window,
                ..StudyConfig::default()
            };
            for seed in 0..seeds {
                measure(&function, sampler, &config, seed as u64, trials);
            }
        }
    }
    Ok(())
}

fn measure(function: &Function, sampler: &str, config: &StudyConfig, seed: u64, n: usize) {
    let begin = Instant::now();
    let mut trials: Vec<TrialRecord> = Vec::new();
    let mut best = f64::INFINITY;
    let mut noted = Vec::new();
    for number in 0..n {
        let parameters = config.suggest(seed, &trials);
        let regret = (function.regret)(&parameters);
        best = best.min(regret);
        trials.push(TrialRecord {
            number: number as u64,
            state: TrialState::Complete,
            parameters,
            value: Some(regret),
            values: Vec::new(),
            intermediate: Vec::new(),
            message: None,
        });
        if CHECKPOINTS.contains(&trials.len()) {
            noted.push(format!("\"{}\":{best:e}", trials.len()));
        }
    }
    println!(
        "{{\"function\":\"{}\",\"sampler\":\"{sampler}\",\"seed\":{seed},\"regret\":{{{}}},\"seconds\":{:.3}}}",
        function.name,
        noted.join(","),
        begin.elapsed().as_secs_f64()
    );
}

/// The values after each `--name`.
fn options() -> BTreeMap<String, Vec<String>> {
    let mut options: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut name = String::new();
    for argument in std::env::args().skip(1) {
        match argument.strip_prefix("--") {
            Some(next) => {
                name = next.to_owned();
                options.entry(name.clone()).or_default();
            }
            None => options.entry(name.clone()).or_default().push(argument),
        }
    }
    options
}

fn sampler_named(name: &str) -> Result<Sampler, Box<dyn Error>> {
    Ok(serde_json::from_value(serde_json::Value::String(
        name.into(),
    ))?)
}

fn functions() -> Vec<Function> {
    let cube = |n: usize, low, high| {
        SearchSpace::new((0..n).map(|at| (format!("x{at}"), ParameterSpace::float(low, high))))
    };
    let space = |parameters: Vec<(&str, ParameterSpace)>| {
        SearchSpace::new(
            parameters
                .into_iter()
                .map(|(key, space)| (key.to_owned(), space)),
        )
    };
    let float = ParameterSpace::float;
    let digits = || ["0", "1", "2", "3"].map(|digit| ParameterValue::Text(digit.into()));
    let optimizers = ["sgd", "adam", "adamw"].map(|name| ParameterValue::Text(name.into()));
    let mut categories: Vec<(&str, ParameterSpace)> = ["c0", "c1", "c2", "c3", "c4"]
        .map(|key| (key, ParameterSpace::categorical(digits())))
        .to_vec();
    categories.extend([("x", float(0.0, 1.0)), ("y", float(0.0, 1.0))]);
    let function = |name, space, regret| Function {
        name,
        space,
        regret,
    };
    vec![
        function(
            "branin",
            space(vec![("x0", float(-5.0, 10.0)), ("x1", float(0.0, 15.0))]),
            branin,
        ),
        function("hartmann3", cube(3, 0.0, 1.0), hartmann3),
        function("hartmann6", cube(6, 0.0, 1.0), hartmann6),
        function("ackley5", cube(5, -32.768, 32.768), ackley),
        function("rosenbrock4", cube(4, -5.0, 10.0), rosenbrock),
        function(
            "mixed",
            space(vec![
                ("optimizer", ParameterSpace::categorical(optimizers)),
                ("rate", ParameterSpace::log_float(1e-5, 1.0)),
                ("layers", ParameterSpace::int(1, 8)),
                ("dropout", float(0.0, 0.9)),
            ]),
            mixed,
        ),
        function("categories", space(categories), categorical),
    ]
}

fn numbers(parameters: &Parameters) -> Vec<f64> {
    parameters
        .values()
        .filter_map(ParameterValue::as_f64)
        .collect()
}

fn number(parameters: &Parameters, key: &str) -> f64 {
    parameters
        .get(key)
        .and_then(ParameterValue::as_f64)
        .unwrap_or(f64::NAN)
}

fn text<'a>(parameters: &'a Parameters, key: &str) -> &'a str {
    parameters
        .get(key)
        .and_then(ParameterValue::as_str)
        .unwrap_or("")
}

fn branin(parameters: &Parameters) -> f64 {
    let (x, y) = (number(parameters, "x0"), number(parameters, "x1"));
    let (b, c) = (5.1 / (4.0 * PI * PI), 5.0 / PI);
    let valley = (y - b * x * x + c * x - 6.0).powi(2);
    valley + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0 - 0.397_887_357_729_738_16
}

fn hartmann<const N: usize>(x: &[f64], a: [[f64; N]; 4], p: [[f64; N]; 4]) -> f64 {
    let terms = [1.0, 1.2, 3.0, 3.2].iter().zip(a.iter().zip(&p));
    -terms
        .map(|(weight, (a, p))| {
            let sum: f64 = (0..N).map(|at| a[at] * (x[at] - p[at]).powi(2)).sum();
            weight * (-sum).exp()
        })
        .sum::<f64>()
}

fn hartmann3(parameters: &Parameters) -> f64 {
    let a = [
        [3.0, 10.0, 30.0],
        [0.1, 10.0, 35.0],
        [3.0, 10.0, 30.0],
        [0.1, 10.0, 35.0],
    ];
    let p = [
        [0.3689, 0.1170, 0.2673],
        [0.4699, 0.4387, 0.7470],
        [0.1091, 0.8732, 0.5547],
        [0.0381, 0.5743, 0.8828],
    ];
    hartmann(&numbers(parameters), a, p) + 3.862_779_786_949_336_5
}

fn hartmann6(parameters: &Parameters) -> f64 {
    let a = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    let p = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    hartmann(&numbers(parameters), a, p) + 3.322_368_011_415_514_7
}

/// Shifted, so that the optimum is not the centre of the space.
fn ackley(parameters: &Parameters) -> f64 {
    let shifts = [7.3, -11.1, 3.7, 15.2, -5.9];
    let x: Vec<f64> = numbers(parameters)
        .iter()
        .zip(shifts)
        .map(|(x, s)| x - s)
        .collect();
    let squares = x.iter().map(|x| x * x).sum::<f64>() / 5.0;
    let waves = x.iter().map(|x| (2.0 * PI * x).cos()).sum::<f64>() / 5.0;
    -20.0 * (-0.2 * squares.sqrt()).exp() - waves.exp() + 20.0 + E
}

fn rosenbrock(parameters: &Parameters) -> f64 {
    let x = numbers(parameters);
    let pairs = x.windows(2);
    pairs
        .map(|pair| 100.0 * (pair[1] - pair[0] * pair[0]).powi(2) + (1.0 - pair[0]).powi(2))
        .sum()
}

/// A training: the best rate depends on the optimizer.
fn mixed(parameters: &Parameters) -> f64 {
    let (best_rate, penalty) = match text(parameters, "optimizer") {
        "sgd" => (-1.0, 0.05),
        "adam" => (-3.0, 0.0),
        _ => (-2.7, 0.02),
    };
    let rate = number(parameters, "rate").log10() - best_rate;
    let layers = number(parameters, "layers") - 5.0;
    let dropout = number(parameters, "dropout") - 0.3;
    penalty + rate * rate / 4.0 + 0.02 * layers * layers + dropout * dropout
}

/// Five categorical parameters whose effects interact in pairs, and two real ones.
fn categorical(parameters: &Parameters) -> f64 {
    let digit = |key: &str| text(parameters, key).parse().unwrap_or(0.0);
    let chosen = ["c0", "c1", "c2", "c3", "c4"].map(digit);
    let wrong: Vec<f64> = chosen
        .iter()
        .zip([2.0, 0.0, 3.0, 1.0, 2.0])
        .map(|(chosen, right)| f64::from(u8::from(*chosen != right)))
        .collect();
    let pairs: f64 = wrong.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let x = number(parameters, "x") - 0.2 - 0.1 * chosen[0];
    let y = number(parameters, "y") - 0.7;
    wrong.iter().sum::<f64>() * 0.5 + 0.25 * pairs + x * x + y * y
}
