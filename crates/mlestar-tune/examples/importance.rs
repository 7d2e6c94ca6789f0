//! The importances of the parameters of studies that others ran: reads one study a line from standard input, prints one line each.
//!
//!     echo '{"space": {"x": {"type": "float", "low": 0.0, "high": 1.0}}, "trials": []}' \
//!         | cargo run -p mlestar-tune --example importance
//!
//! `benches/peers/importance.py` compares the result with Optuna's.

use std::error::Error;
use std::io::{BufRead, stdin};
use std::time::Instant;

use mlestar_tune::{SearchSpace, TrialRecord, importances};
use serde::Deserialize;

#[derive(Deserialize)]
struct Study {
    space: SearchSpace,
    trials: Vec<TrialRecord>,
}

fn main() -> Result<(), Box<dyn Error>> {
    for line in stdin().lock().lines() {
        let study: Study = serde_json::from_str(&line?)?;
        let begin = Instant::now();
        let found = importances(&study.space, &study.trials, 0);
        let seconds = begin.elapsed().as_secs_f64();
        println!(
            "{}",
            serde_json::json!({ "importance": found, "seconds": seconds })
        );
    }
    Ok(())
}
