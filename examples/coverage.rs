//! Prints how often intervals contain the true value, and how wide they are: the table of `docs/intervals.md`.
//!
//! `cargo run --release -p mlestar-examples --example coverage`; it takes minutes.

// The simulated input is valid by construction.
#[allow(clippy::unwrap_used)]
#[path = "../crates/mlestar-eval/tests/integration/simulation.rs"]
mod simulation;

use simulation::*;

fn main() {
    let mut scenarios = Vec::new();
    for recall in [0.9, 0.97, 0.99, 0.999] {
        for (k, n) in [
            (3, 1),
            (2, 5),
            (2, 50),
            (2, 5_000),
            (10, 3),
            (10, 30),
            (100, 1),
            (100, 10),
        ] {
            scenarios.push(alike(k, n, recall));
        }
        for n in [3, 10, 90] {
            scenarios.push(rare(n, recall, recall));
            scenarios.push(rare(n, recall, 1.0));
        }
        scenarios.push(falling(recall, recall));
        scenarios.push(falling(recall, 1.0));
    }
    scenarios.push(rare(10, 0.0, 1.0));
    scenarios.push(rare(10, 0.3, 0.99));
    scenarios.push(alike(10, 30, 0.5));
    print!("| images a class |");
    for (_, name) in METRICS {
        print!(" {name} |");
    }
    println!(" worst recall |");
    for scenario in scenarios {
        let n: u64 = scenario.supports.iter().sum();
        let rounds = match n * scenario.supports.len() as u64 {
            0..2_000 => 2_000,
            2_000..20_000 => 1_000,
            _ => 200,
        };
        print!("| {} |", scenario.name);
        for (held, width) in scenario.coverage(rounds) {
            print!(" {held:.3} ({width:.3}) |");
        }
        println!();
    }
}
