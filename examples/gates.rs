//! Judges a deployment gate from four pieces of evidence and prints the verdicts as a program would report
//! them.
//!
//! `cargo run --release -p mlestar-examples --example gates`

use mlestar_gates::{
    Criterion, Evidence, GateError, Limit, Measurement, RunVerdict, StageVerdict, Unit, judge,
};

fn main() -> Result<(), GateError> {
    let accuracy = criterion("test accuracy", Limit::at_least(0.85)?, Unit::Fraction)?;
    let size = criterion("model size", Limit::at_most(50e6)?, Unit::Bytes)?;
    let parity = criterion(
        "predictions changed by the export",
        Limit::equals(0.0)?,
        Unit::Count,
    )?;
    let latency = criterion("latency", Limit::at_most(100.0)?, Unit::Milliseconds)?;

    // 861 of 1,000 images correct: above the limit, but 1,000 are too few to be sure.
    let accuracy_measured = Measurement::proportion(0.861, [0.8382, 0.8811], 1_000);
    let gate = StageVerdict {
        stage: "deployment".to_string(),
        verdicts: vec![
            judge(
                &accuracy,
                Evidence::measured(accuracy_measured, ["predictions.csv"]),
            ),
            judge(
                &size,
                Evidence::measured(Measurement::exact(11_146_024.0), ["model.onnx"]),
            ),
            judge(
                &parity,
                Evidence::Contradiction {
                    file: "parity.json".to_string(),
                    claimed: 0.0,
                    recomputed: 3.0,
                    what: "a number of changed predictions of".to_string(),
                },
            ),
            judge(
                &latency,
                Evidence::missing("benchmark.json", "the benchmark has not run"),
            ),
        ],
    };
    for verdict in &gate.verdicts {
        println!("{:<12}  {}", verdict.status, verdict.message);
    }
    println!("{gate}");
    for verdict in gate.unmet() {
        println!("{}: {}", verdict.criterion.title, verdict.criterion.remedy);
    }
    let run = RunVerdict { stages: vec![gate] };
    println!("a program would exit with {}", run.exit_code());
    Ok(())
}

fn criterion(title: &str, limit: Limit, unit: Unit) -> Result<Criterion, GateError> {
    let criterion = Criterion {
        id: title.replace(' ', "_"),
        title: title.to_string(),
        limit,
        unit,
        remedy: format!("see the chapter on {title} of the guide"),
    };
    criterion.check()?;
    Ok(criterion)
}
