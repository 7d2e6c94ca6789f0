//! The messages for people, for every outcome of a gate.

use mlestar_gates::{
    Criterion, Evidence, Limit, Measurement, RunVerdict, StageVerdict, Status, Unit, judge,
};

fn criterion(title: &str, limit: Limit, unit: Unit) -> Criterion {
    Criterion {
        id: title.replace(' ', "_"),
        title: title.to_string(),
        limit,
        unit,
        remedy: "do better".to_string(),
    }
}

/// The verdict on a measurement, as `STATUS message (margin)`.
fn check(title: &str, limit: Limit, unit: Unit, measurement: Measurement) -> String {
    let verdict = judge(
        &criterion(title, limit, unit),
        Evidence::measured(measurement, ["figures.json"]),
    );
    match verdict.margin {
        Some(margin) => format!("{verdict} ({margin:+.4})"),
        None => format!("{verdict} (no margin)"),
    }
}

fn accuracy(value: f64, interval: [f64; 2]) -> String {
    check(
        "accuracy",
        Limit::AtLeast(0.85),
        Unit::Fraction,
        Measurement::proportion(value, interval, 10_000),
    )
}

#[test]
fn proportions_with_intervals() {
    insta::assert_snapshot!(accuracy(0.8312, [0.8237, 0.8384]), @"FAIL accuracy 0.8312 [0.8237, 0.8384] is below the limit 0.85 by 0.0188 (-0.0188)");
    insta::assert_snapshot!(accuracy(0.8712, [0.8645, 0.8776]), @"PASS accuracy 0.8712 [0.8645, 0.8776] is above the limit 0.85 by 0.0212 (+0.0212)");
    insta::assert_snapshot!(accuracy(0.8531, [0.846029, 0.859906]), @"INCONCLUSIVE accuracy 0.8531 [0.8460, 0.8599] cannot be told from the limit 0.85: about 41,000 more samples (now 10,000) would decide it if the value stayed the same (+0.0031)");
    insta::assert_snapshot!(accuracy(0.85, [0.842866, 0.856867]), @"INCONCLUSIVE accuracy 0.8500 [0.8429, 0.8569] cannot be told from the limit 0.85 (+0.0000)");
}

#[test]
fn other_intervals() {
    let gap = |measurement| {
        check(
            "overfitting gap",
            Limit::AtMost(0.05),
            Unit::Fraction,
            measurement,
        )
    };
    insta::assert_snapshot!(gap(Measurement::with_interval(0.031, [0.022, 0.040])), @"PASS overfitting gap 0.0310 [0.0220, 0.0400] is below the limit 0.05 by 0.0190 (+0.0190)");
    insta::assert_snapshot!(gap(Measurement::with_interval(0.047, [0.036, 0.058])), @"INCONCLUSIVE overfitting gap 0.0470 [0.0360, 0.0580] cannot be told from the limit 0.05 (+0.0030)");
    insta::assert_snapshot!(gap(Measurement::with_interval(0.090, [0.080, 0.100])), @"FAIL overfitting gap 0.0900 [0.0800, 0.1000] is above the limit 0.05 by 0.0400 (-0.0400)");
    insta::assert_snapshot!(gap(Measurement::with_interval(-0.01, [-0.02, 0.0])), @"PASS overfitting gap -0.0100 [-0.0200, 0.0000] is below the limit 0.05 by 0.0600 (+0.0600)");
}

#[test]
fn strictly_above() {
    let gain = |limit, measurement| check("gain", limit, Unit::Fraction, measurement);
    let better = Limit::Above(0.0);
    let no_worse = Limit::AtLeast(0.0);
    insta::assert_snapshot!(gain(better, Measurement::exact(0.0)), @"FAIL gain 0.0000 is exactly on the limit 0, which it must be above (+0.0000)");
    insta::assert_snapshot!(gain(no_worse, Measurement::exact(0.0)), @"PASS gain 0.0000 is exactly on the limit 0 (+0.0000)");
    insta::assert_snapshot!(gain(better, Measurement::with_interval(0.01, [0.0, 0.02])), @"INCONCLUSIVE gain 0.0100 [0.0000, 0.0200] cannot be told from the limit 0 (+0.0100)");
    insta::assert_snapshot!(gain(no_worse, Measurement::with_interval(0.01, [0.0, 0.02])), @"PASS gain 0.0100 [0.0000, 0.0200] is above the limit 0 by 0.0100 (+0.0100)");
    insta::assert_snapshot!(gain(better, Measurement::with_interval(0.01, [0.004, 0.02])), @"PASS gain 0.0100 [0.0040, 0.0200] is above the limit 0 by 0.0100 (+0.0100)");
    insta::assert_snapshot!(gain(better, Measurement::with_interval(-0.01, [-0.02, 0.0])), @"FAIL gain -0.0100 [-0.0200, 0.0000] is below the limit 0 by 0.0100 (-0.0100)");
    insta::assert_snapshot!(gain(no_worse, Measurement::with_interval(-0.01, [-0.02, 0.0])), @"INCONCLUSIVE gain -0.0100 [-0.0200, 0.0000] cannot be told from the limit 0 (-0.0100)");
    insta::assert_snapshot!(gain(Limit::AtLeast(-0.01), Measurement::with_interval(-0.001, [-0.008, 0.006])), @"PASS gain -0.0010 [-0.0080, 0.0060] is above the limit -0.01 by 0.0090 (+0.0090)");
    insta::assert_snapshot!(check("documented", Limit::Above(0.0), Unit::Flag, Measurement::flag(false)), @"FAIL documented: no, but more than no is required (+0.0000)");
}

#[test]
fn points_without_interval() {
    insta::assert_snapshot!(check("model size", Limit::AtMost(50e6), Unit::Bytes, Measurement::exact(11_146_024.0)), @"PASS model size 11.1 MB is below the limit 50 MB by 38.9 MB (+38853976.0000)");
    insta::assert_snapshot!(check("model size", Limit::AtMost(50e6), Unit::Bytes, Measurement::exact(50_000_001.0)), @"FAIL model size 50,000,001 bytes is above the limit 50,000,000 bytes by 1 byte (-1.0000)");
    insta::assert_snapshot!(check("latency", Limit::AtMost(100.0), Unit::Milliseconds, Measurement::exact(120.4)), @"FAIL latency 120 ms is above the limit 100 ms by 20.4 ms (-20.4000)");
    insta::assert_snapshot!(check("training time", Limit::AtMost(3600.0), Unit::Seconds, Measurement::exact(5025.0)), @"FAIL training time 1 h 24 min is above the limit 1 h 00 min by 23 min 45 s (-1425.0000)");
    insta::assert_snapshot!(check("derived challenges", Limit::AtLeast(3.0), Unit::Count, Measurement::exact(2.0)), @"FAIL derived challenges 2 is below the limit 3 by 1 (-1.0000)");
    insta::assert_snapshot!(check("derived challenges", Limit::AtLeast(3.0), Unit::Count, Measurement::exact(3.0)), @"PASS derived challenges 3 is exactly on the limit 3 (+0.0000)");
    insta::assert_snapshot!(check("disagreements", Limit::Equals(0.0), Unit::Count, Measurement::exact(0.0)), @"PASS disagreements 0 equals the required 0 (+0.0000)");
    insta::assert_snapshot!(check("disagreements", Limit::Equals(0.0), Unit::Count, Measurement::exact(7.0)), @"FAIL disagreements 7 differs from the required 0 by 7 (-7.0000)");
    insta::assert_snapshot!(check("throughput", Limit::AtLeast(500.0), "images/s".into(), Measurement::exact(412.4)), @"FAIL throughput 412 images/s is below the limit 500 images/s by 87.6 images/s (-87.6000)");
}

#[test]
fn flags_read_as_yes_and_no() {
    let documentation = |holds| {
        check(
            "documentation present",
            Limit::Equals(1.0),
            Unit::Flag,
            Measurement::flag(holds),
        )
    };
    insta::assert_snapshot!(documentation(true), @"PASS documentation present: yes (+0.0000)");
    insta::assert_snapshot!(documentation(false), @"FAIL documentation present: no, but yes is required (-1.0000)");
}

#[test]
fn rounding_never_hides_why_a_gate_failed() {
    insta::assert_snapshot!(check("gap", Limit::AtMost(0.23264), Unit::Fraction, Measurement::exact(0.23267)), @"FAIL gap 0.23267 is above the limit 0.23264 by 0.00003 (-0.0000)");
    insta::assert_snapshot!(check("accuracy", Limit::AtLeast(0.85), Unit::Fraction, Measurement::exact(0.849996)), @"FAIL accuracy 0.849996 is below the limit 0.85 by 0.000004 (-0.0000)");
    insta::assert_snapshot!(check("latency", Limit::AtMost(100.0), Unit::Milliseconds, Measurement::exact(100.002)), @"FAIL latency 100.002 ms is above the limit 100 ms by 0.002 ms (-0.0020)");
}

#[test]
fn broken_figures_fail_with_the_reason() {
    insta::assert_snapshot!(accuracy(f64::NAN, [0.8, 0.9]), @"FAIL accuracy: the measured value is NaN, not a number that can be compared (no margin)");
    insta::assert_snapshot!(accuracy(f64::INFINITY, [0.8, 0.9]), @"FAIL accuracy: the measured value is inf, not a number that can be compared (no margin)");
    insta::assert_snapshot!(accuracy(0.86, [0.9, 0.8]), @"FAIL accuracy: the interval [0.9, 0.8] of the measured value is malformed (no margin)");
    insta::assert_snapshot!(accuracy(0.86, [0.9, f64::NAN]), @"FAIL accuracy: the interval [0.9, NaN] of the measured value is malformed (no margin)");
    insta::assert_snapshot!(check("accuracy", Limit::AtLeast(f64::NAN), Unit::Fraction, Measurement::exact(0.9)), @"FAIL accuracy: limit at_least = NaN is not a finite number; write a number such as 0.85 (no margin)");
}

#[test]
fn evidence_that_cannot_be_trusted_names_the_file() {
    let criterion = criterion("accuracy", Limit::AtLeast(0.85), Unit::Fraction);
    let altered = judge(
        &criterion,
        Evidence::Altered {
            file: "5-evaluation/predictions.csv".into(),
            recorded: "9f86d081884c7d659a2feaa0c55ad015".into(),
            found: "60303ae22b998861bce3b28f33eec1be".into(),
        },
    );
    insta::assert_snapshot!(altered, @"FAIL accuracy: 5-evaluation/predictions.csv was altered after it was written (its hash is 60303ae22b99..., recorded was 9f86d081884c...); restore it or rerun the stage that writes it");
    let contradiction = |claimed, recomputed| {
        judge(
            &criterion,
            Evidence::Contradiction {
                file: "5-evaluation/evaluation.json".into(),
                claimed,
                recomputed,
                what: "accuracy".into(),
            },
        )
    };
    insta::assert_snapshot!(contradiction(0.91, 0.8312), @"FAIL accuracy: 5-evaluation/evaluation.json claims accuracy 0.9100, but recomputing it gives 0.8312; rerun the stage that writes it");
    insta::assert_snapshot!(contradiction(0.83120001, 0.8312), @"FAIL accuracy: 5-evaluation/evaluation.json claims accuracy 0.83120001, but recomputing it gives 0.8312; rerun the stage that writes it");
    insta::assert_snapshot!(judge(&criterion, Evidence::missing("5-evaluation/predictions.csv", "the evaluation stage has not run")), @"MISSING accuracy: 5-evaluation/predictions.csv: the evaluation stage has not run");
    insta::assert_snapshot!(judge(&criterion, Evidence::missing("5-evaluation/predictions.csv", "")), @"MISSING accuracy: 5-evaluation/predictions.csv is missing");
    let stale = |reasons: &[&str]| {
        let reasons = reasons.iter().map(|&reason| reason.into()).collect();
        judge(&criterion, Evidence::Stale { reasons })
    };
    insta::assert_snapshot!(stale(&["training.epochs 6 -> 7"]), @"STALE accuracy: no, training.epochs 6 -> 7");
    insta::assert_snapshot!(stale(&["a", "b", "c", "d", "e", "f"]), @"STALE accuracy: no, a; b; c; d; and 2 more");
}

#[test]
fn stages_and_runs_add_up() {
    let good = judge(
        &criterion("size", Limit::AtMost(50e6), Unit::Bytes),
        Evidence::measured(Measurement::exact(1e6), ["model.onnx"]),
    );
    let thin = judge(
        &criterion("accuracy", Limit::AtLeast(0.85), Unit::Fraction),
        Evidence::measured(
            Measurement::with_interval(0.86, [0.8, 0.9]),
            ["predictions.csv"],
        ),
    );
    let missing = judge(
        &criterion("latency", Limit::AtMost(100.0), Unit::Milliseconds),
        Evidence::missing("benchmark.json", ""),
    );
    let stage = |stage: &str, verdicts: &[&_]| StageVerdict {
        stage: stage.into(),
        verdicts: verdicts
            .iter()
            .map(|&verdict: &&_| Clone::clone(verdict))
            .collect(),
    };
    let evaluation = stage("evaluation", &[&good, &thin]);
    let deployment = stage("deployment", &[&good, &missing]);
    insta::assert_snapshot!(evaluation, @"evaluation: INCONCLUSIVE (1 passed, 1 inconclusive)");
    insta::assert_snapshot!(deployment, @"deployment: MISSING (1 passed, 1 missing)");
    insta::assert_snapshot!(stage("planning", &[]), @"planning: PASS (no criteria)");
    assert_eq!(evaluation.unmet().count(), 1);
    let run = RunVerdict {
        stages: vec![evaluation, deployment],
    };
    assert_eq!(run.status(), Status::Missing);
    assert_eq!(run.exit_code().code(), 3);
    assert_eq!(run.counts().total(), 4);
    insta::assert_snapshot!(run.counts(), @"2 passed, 1 inconclusive, 1 missing");
}
