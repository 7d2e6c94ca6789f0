//! Functions that the samplers were never tuned on. The constants are those of `benches/peers/tune_unseen.py`.

use std::f64::consts::PI;

use mlestar_tune::{ParameterSpace, ParameterValue, Parameters, SearchSpace};

use crate::{Function, number, numbers};

pub fn functions() -> Vec<Function> {
    let cube = |n: usize, low, high| {
        SearchSpace::new((0..n).map(|at| (format!("x{at}"), ParameterSpace::float(low, high))))
    };
    let function = |name, space, regret| Function {
        name,
        space,
        regret,
    };
    vec![
        function("camel2", plane([-3.0, 3.0], [-2.0, 2.0]), |parameters| {
            camel(pair(parameters)) + 1.031_628_453_489_877
        }),
        function("levy4", cube(4, -10.0, 10.0), levy),
        function("shekel4", cube(4, 0.0, 10.0), shekel),
        // Not symmetric, so that the optimum is not the centre of the space.
        function("griewank5", cube(5, -300.0, 600.0), griewank),
        function("michalewicz5", cube(5, 0.0, PI), michalewicz),
        function("styblinski6", cube(6, -5.0, 5.0), styblinski),
        function("dixon8", cube(8, -10.0, 10.0), dixon_price),
        function("zakharov10", cube(10, -5.0, 10.0), zakharov),
        function("choices", choices_space(), choices),
        function("tree", tree_space(), tree),
    ]
}

fn plane(x: [f64; 2], y: [f64; 2]) -> SearchSpace {
    SearchSpace::new([
        ("x0".to_owned(), ParameterSpace::float(x[0], x[1])),
        ("x1".to_owned(), ParameterSpace::float(y[0], y[1])),
    ])
}

fn pair(parameters: &Parameters) -> [f64; 2] {
    ["x0", "x1"].map(|key| number(parameters, key))
}

/// The six-hump camel function.
fn camel([x, y]: [f64; 2]) -> f64 {
    let x2 = x * x;
    (4.0 - 2.1 * x2 + x2 * x2 / 3.0) * x2 + x * y + (4.0 * y * y - 4.0) * y * y
}

fn levy(parameters: &Parameters) -> f64 {
    let w: Vec<f64> = numbers(parameters)
        .iter()
        .map(|x| 1.0 + (x - 1.0) / 4.0)
        .collect();
    let last = w[w.len() - 1];
    let inner = |w: &f64| (w - 1.0).powi(2) * (1.0 + 10.0 * (PI * w + 1.0).sin().powi(2));
    (PI * w[0]).sin().powi(2)
        + w[..w.len() - 1].iter().map(inner).sum::<f64>()
        + (last - 1.0).powi(2) * (1.0 + (2.0 * PI * last).sin().powi(2))
}

/// Ten minima.
fn shekel(parameters: &Parameters) -> f64 {
    const BETA: [f64; 10] = [0.1, 0.2, 0.2, 0.4, 0.4, 0.6, 0.3, 0.7, 0.5, 0.5];
    const PLACES: [[f64; 10]; 4] = [
        [4.0, 1.0, 8.0, 6.0, 3.0, 2.0, 5.0, 8.0, 6.0, 7.0],
        [4.0, 1.0, 8.0, 6.0, 7.0, 9.0, 3.0, 1.0, 2.0, 3.6],
        [4.0, 1.0, 8.0, 6.0, 3.0, 2.0, 5.0, 8.0, 6.0, 7.0],
        [4.0, 1.0, 8.0, 6.0, 7.0, 9.0, 3.0, 1.0, 2.0, 3.6],
    ];
    let x = numbers(parameters);
    let wells = (0..10).map(|at| {
        let far: f64 = x
            .iter()
            .zip(&PLACES)
            .map(|(x, place)| (x - place[at]).powi(2))
            .sum();
        1.0 / (far + BETA[at])
    });
    10.536_443_153_483_528 - wells.sum::<f64>()
}

fn griewank(parameters: &Parameters) -> f64 {
    let x = numbers(parameters);
    let squares: f64 = x.iter().map(|x| x * x / 4000.0).sum();
    let waves = x.iter().enumerate().map(|(at, x)| {
        let n = at as f64 + 1.0;
        (x / n.sqrt()).cos()
    });
    squares - waves.product::<f64>() + 1.0
}

fn michalewicz(parameters: &Parameters) -> f64 {
    let terms = numbers(parameters)
        .into_iter()
        .enumerate()
        .map(|(at, x)| x.sin() * ((at as f64 + 1.0) * x * x / PI).sin().powi(20));
    4.687_658_179_088_148 - terms.sum::<f64>()
}

fn styblinski(parameters: &Parameters) -> f64 {
    let term = |x: f64| x.powi(4) - 16.0 * x * x + 5.0 * x;
    let x = numbers(parameters);
    x.iter()
        .map(|x| 0.5 * term(*x) + 39.166_165_703_771_42)
        .sum()
}

fn dixon_price(parameters: &Parameters) -> f64 {
    let x = numbers(parameters);
    let terms = x.windows(2).enumerate().map(|(at, pair)| {
        let n = at as f64 + 2.0;
        n * (2.0 * pair[1] * pair[1] - pair[0]).powi(2)
    });
    (x[0] - 1.0).powi(2) + terms.sum::<f64>()
}

fn zakharov(parameters: &Parameters) -> f64 {
    let x = numbers(parameters);
    let sum: f64 = (1..).zip(&x).map(|(n, x)| 0.5 * f64::from(n) * x).sum();
    x.iter().map(|x| x * x).sum::<f64>() + sum.powi(2) + sum.powi(4)
}

fn texts<const N: usize>(choices: [&str; N]) -> ParameterSpace {
    ParameterSpace::categorical(choices.map(|choice| ParameterValue::Text(choice.into())))
}

fn chosen(parameters: &Parameters, key: &str) -> usize {
    crate::text(parameters, key).parse().unwrap_or(0)
}

fn choices_space() -> SearchSpace {
    SearchSpace::new([
        ("first".to_owned(), texts(["0", "1", "2"])),
        ("second".to_owned(), texts(["0", "1", "2", "3", "4"])),
        ("x0".to_owned(), ParameterSpace::float(-1.0, 1.0)),
        ("x1".to_owned(), ParameterSpace::float(-1.0, 1.0)),
    ])
}

/// Two choices of a function each, of two real numbers; after Func2C of Ru et al. 2020, "Bayesian Optimisation over Multiple
/// Continuous and Categorical Inputs".
fn choices(parameters: &Parameters) -> f64 {
    let [x, y] = pair(parameters).map(|x| 2.0 * x);
    let rosenbrock = (100.0 * (y - x * x).powi(2) + (1.0 - x).powi(2)) / 300.0;
    let beale = ((1.5 - x + x * y).powi(2)
        + (2.25 - x + x * y * y).powi(2)
        + (2.625 - x + x * y * y * y).powi(2))
        / 50.0;
    let of = [rosenbrock, camel([x, y]) / 10.0, beale];
    let (first, second) = (chosen(parameters, "first"), chosen(parameters, "second"));
    let second = [of[0], of[1], 2.0 * of[1], 2.0 * of[2], 3.0 * of[2]][second];
    of[first] + second + 3.0 * 0.103_162_845_348_987_7
}

fn tree_space() -> SearchSpace {
    let bit = || texts(["0", "1"]);
    let when = |space: ParameterSpace, key: &str, value: &str| {
        space.only_when(key, [ParameterValue::Text(value.into())])
    };
    let leaf = || ParameterSpace::float(-1.0, 1.0);
    let shift = || ParameterSpace::float(0.0, 1.0);
    SearchSpace::new(
        [
            ("b1", bit()),
            ("b2", when(bit(), "b1", "0")),
            ("b3", when(bit(), "b1", "1")),
            ("leaf4", when(leaf(), "b2", "0")),
            ("leaf5", when(leaf(), "b2", "1")),
            ("leaf6", when(leaf(), "b3", "0")),
            ("leaf7", when(leaf(), "b3", "1")),
            ("shift8", when(shift(), "b1", "0")),
            ("shift9", when(shift(), "b1", "1")),
        ]
        .map(|(key, space)| (key.to_owned(), space)),
    )
}

/// A tree of parameters of which each exists only beside some values of others: Jenatton et al. 2017, "Bayesian Optimization with
/// Tree-structured Dependencies". The four leaves are at 0.1, 0.2, 0.3 and 0.4.
fn tree(parameters: &Parameters) -> f64 {
    let (leaf, shift, depth) = match (
        chosen(parameters, "b1"),
        chosen(parameters, "b2"),
        chosen(parameters, "b3"),
    ) {
        (0, 0, _) => ("leaf4", "shift8", 0.0),
        (0, _, _) => ("leaf5", "shift8", 0.1),
        (_, _, 0) => ("leaf6", "shift9", 0.2),
        _ => ("leaf7", "shift9", 0.3),
    };
    number(parameters, leaf).powi(2) + number(parameters, shift) + depth
}
