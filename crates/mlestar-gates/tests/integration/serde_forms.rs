//! The forms in configs and artifacts, and the survival of broken figures in them.

use mlestar_gates::{Criterion, Evidence, Limit, Measurement, Status, Unit, Verdict, judge};

const CRITERION: &str = r#"{
    "id": "test_accuracy",
    "title": "test accuracy",
    "limit": {"at_least": 0.85},
    "unit": "fraction",
    "remedy": "train longer"
}"#;

fn read_criterion(json: &str) -> Result<Criterion, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn a_criterion_reads_as_documented() {
    let criterion = read_criterion(CRITERION).unwrap();
    assert_eq!(criterion.limit, Limit::AtLeast(0.85));
    assert_eq!(criterion.unit, Unit::Fraction);
    let written = serde_json::to_string(&criterion).unwrap();
    assert_eq!(read_criterion(&written), Ok(criterion));
}

#[test]
fn mistakes_in_a_criterion_are_refused() {
    for (from, to, reason) in [
        ("\"remedy\"", "\"remdy\"", "unknown field `remdy`"),
        ("\"id\"", "\"name\"", "unknown field `name`"),
        ("\"unit\": \"fraction\",", "", "missing field `unit`"),
        ("0.85", "\"0.85\"", "invalid type"),
        ("at_least", "minimum", "unknown field `minimum`"),
        ("\"at_least\": 0.85", "", "exactly one of"),
    ] {
        let error = read_criterion(&CRITERION.replace(from, to)).unwrap_err();
        assert!(error.contains(reason), "{to}: {error}");
    }
}

#[test]
fn every_verdict_survives_a_round_trip() {
    let criterion = read_criterion(CRITERION).unwrap();
    let contradiction = |claimed| Evidence::Contradiction {
        file: "evaluation.json".into(),
        claimed,
        recomputed: 0.8,
        what: "accuracy".into(),
    };
    let files = ["predictions.csv"];
    for evidence in [
        Evidence::measured(
            Measurement::proportion(0.86, [0.8, 0.9], 200).noted("Wilson 95%"),
            files,
        ),
        Evidence::measured(Measurement::exact(0.9), files),
        Evidence::measured(
            Measurement::with_interval(0.9, [f64::NEG_INFINITY, f64::INFINITY]),
            files,
        ),
        Evidence::measured(Measurement::exact(f64::NEG_INFINITY), files),
        contradiction(0.9),
        contradiction(f64::INFINITY),
        Evidence::Altered {
            file: "a".into(),
            recorded: "b".into(),
            found: "c".into(),
        },
        Evidence::missing("a", "b"),
    ] {
        let verdict = judge(&criterion, evidence);
        let json = serde_json::to_string_pretty(&verdict).unwrap();
        assert_eq!(
            serde_json::from_str::<Verdict>(&json).unwrap(),
            verdict,
            "{json}"
        );
    }
}

#[test]
fn nan_is_written_as_text_and_read_back() {
    let json = serde_json::to_string(&Measurement::exact(f64::NAN)).unwrap();
    assert!(json.contains(r#""value":"NaN""#), "{json}");
    let measurement: Measurement = serde_json::from_str(&json).unwrap();
    assert!(measurement.value.is_nan());
    let error = serde_json::from_str::<Measurement>(r#"{"value": "high"}"#).unwrap_err();
    assert!(error.to_string().contains("expected a number"), "{error}");
}

#[test]
fn optional_parts_of_a_measurement_may_be_left_out() {
    let measurement: Measurement = serde_json::from_str(r#"{"value": 3}"#).unwrap();
    assert_eq!(measurement, Measurement::exact(3.0));
}

#[test]
fn statuses_are_upper_case() {
    for status in Status::ALL {
        let json = serde_json::to_string(&status).unwrap();
        assert_eq!(json, format!("\"{status}\""));
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
    }
}
