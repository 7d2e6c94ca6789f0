//! Properties of every measurement and every limit.

use mlestar_gates::{
    Criterion, Evidence, ExitCode, Limit, Measurement, StageVerdict, Status, Unit, Verdict, judge,
};
use proptest::prelude::*;

fn any_limit() -> impl Strategy<Value = Limit> {
    (-2.0..2.0f64, 0..4).prop_map(|(value, kind)| match kind {
        0 => Limit::AtLeast(value),
        1 => Limit::AtMost(value),
        2 => Limit::Above(value),
        _ => Limit::Equals(value),
    })
}

fn any_unit() -> impl Strategy<Value = Unit> {
    prop::sample::select(vec![
        Unit::Fraction,
        Unit::Bytes,
        Unit::Milliseconds,
        Unit::Seconds,
        Unit::Count,
        Unit::Flag,
        Unit::Other("images/s".into()),
        Unit::Other(String::new()),
    ])
}

fn any_status() -> impl Strategy<Value = Status> {
    prop::sample::select(Status::ALL.to_vec())
}

fn verdict(limit: Limit, unit: Unit, measurement: Measurement) -> Verdict {
    let criterion = Criterion {
        id: "x".into(),
        title: "x".into(),
        limit,
        unit,
        remedy: String::new(),
    };
    judge(&criterion, Evidence::measured(measurement, ["file"]))
}

fn status(limit: Limit, measurement: Measurement) -> Status {
    verdict(limit, Unit::Fraction, measurement).status
}

/// From hopeless to fine.
fn rank(status: Status) -> u8 {
    match status {
        Status::Fail => 0,
        Status::Missing => 1,
        Status::Stale => 2,
        Status::Inconclusive => 3,
        Status::Pass => 4,
    }
}

proptest! {
    #[test]
    fn an_interval_wholly_inside_passes_and_wholly_outside_fails(
        limit in -1.0..1.0f64, gap in 1e-9..1.0f64, below in 0.0..1.0f64, above in 0.0..1.0f64,
    ) {
        let value = limit + gap + below;
        let inside = Measurement::with_interval(value, [limit + gap, value + above]);
        prop_assert_eq!(status(Limit::AtLeast(limit), inside.clone()), Status::Pass);
        prop_assert_eq!(status(Limit::AtMost(limit), inside.clone()), Status::Fail);
        prop_assert_eq!(status(Limit::Equals(limit), inside), Status::Fail);
    }

    #[test]
    fn an_interval_around_the_limit_is_inconclusive(
        limit in -1.0..1.0f64, below in 1e-9..1.0f64, above in 1e-9..1.0f64, place in 0.0..1.0f64,
    ) {
        let (low, high) = (limit - below, limit + above);
        let measurement = Measurement::with_interval(low + place * (high - low), [low, high]);
        for limit in [Limit::AtLeast(limit), Limit::AtMost(limit), Limit::Equals(limit)] {
            prop_assert_eq!(status(limit, measurement.clone()), Status::Inconclusive);
        }
    }

    #[test]
    fn a_point_is_never_inconclusive_and_its_margin_has_the_sign_of_the_status(
        limit in any_limit(), value in -2.0..2.0f64, unit in any_unit(),
    ) {
        let verdict = verdict(limit, unit, Measurement::exact(value));
        let margin = verdict.margin.unwrap();
        prop_assert_eq!(verdict.status, if margin >= 0.0 { Status::Pass } else { Status::Fail });
    }

    #[test]
    fn a_higher_measurement_is_never_worse_for_at_least_nor_better_for_at_most(
        limit in -1.0..1.0f64, value in -1.0..1.0f64, half in 0.0..0.5f64, rise in 0.0..1.0f64,
    ) {
        let around = |value: f64| Measurement::with_interval(value, [value - half, value + half]);
        let (before, after) = (around(value), around(value + rise));
        prop_assert!(
            rank(status(Limit::AtLeast(limit), before.clone()))
                <= rank(status(Limit::AtLeast(limit), after.clone()))
        );
        prop_assert!(
            rank(status(Limit::AtMost(limit), before)) >= rank(status(Limit::AtMost(limit), after))
        );
    }

    #[test]
    fn above_and_at_least_differ_on_the_limit_alone(
        limit in -1.0..1.0f64, value in -1.0..1.0f64, half in 0.0..0.5f64,
    ) {
        let measurement = Measurement::with_interval(value, [value - half, value + half]);
        let ends_on_it = value - half == limit || value + half == limit;
        prop_assert!(ends_on_it || status(Limit::Above(limit), measurement.clone())
            == status(Limit::AtLeast(limit), measurement));
        let on_it = Measurement::exact(limit);
        prop_assert_eq!(status(Limit::Above(limit), on_it.clone()), Status::Fail);
        prop_assert_eq!(status(Limit::AtLeast(limit), on_it), Status::Pass);
    }

    #[test]
    fn narrowing_an_interval_never_turns_a_decision_around(
        limit in any_limit(), value in -2.0..2.0f64, half in 0.0..1.0f64, share in 0.0..1.0f64,
    ) {
        let wide = status(limit, Measurement::with_interval(value, [value - half, value + half]));
        let narrow = half * share;
        let narrowed = status(limit, Measurement::with_interval(value, [value - narrow, value + narrow]));
        prop_assert!(wide == Status::Inconclusive || wide == narrowed);
    }

    #[test]
    fn whatever_is_measured_gives_one_line_that_begins_with_the_title(
        limit in prop_oneof![any_limit(), any::<f64>().prop_map(Limit::AtLeast)],
        unit in any_unit(),
        value in any::<f64>(),
        interval in prop::option::of([any::<f64>(), any::<f64>()]),
        samples in prop::option::of(any::<u64>()),
    ) {
        let measurement = Measurement { value, interval, samples, note: String::new() };
        let verdict = verdict(limit, unit, measurement);
        prop_assert!(verdict.message.starts_with('x'));
        prop_assert!(!verdict.message.contains('\n'));
        if !value.is_finite() || !limit.value().is_finite() {
            prop_assert_eq!(verdict.status, Status::Fail);
            prop_assert_eq!(verdict.margin, None);
        }
    }

    #[test]
    fn the_message_shows_how_value_and_limit_differ(
        limit in 0.0..1.0f64, value in 0.0..1.0f64, zoom in 0..12i32, unit in any_unit(),
    ) {
        let value = limit + (value - limit) * 10f64.powi(-zoom);
        prop_assume!(value != limit);
        let message = verdict(Limit::AtLeast(limit), unit.clone(), Measurement::exact(value)).message;
        let shown = [unit.format(value), unit.format_exact(value)];
        prop_assert!(shown.iter().any(|shown| message.contains(shown.as_str())), "{}", message);
        if unit != Unit::Flag {
            let (_, distance) = message.rsplit_once(" by ").unwrap();
            prop_assert!(distance.chars().any(|c| ('1'..='9').contains(&c)), "{}", message);
        }
    }

    #[test]
    fn a_stage_is_as_bad_as_its_worst_verdict(statuses in prop::collection::vec(any_status(), 0..8)) {
        let verdicts = statuses.iter().map(|&status| Verdict {
            status,
            ..verdict(Limit::AtLeast(0.0), Unit::Count, Measurement::exact(0.0))
        });
        let stage = StageVerdict { stage: "s".into(), verdicts: verdicts.collect() };
        let expected = [Status::Fail, Status::Missing, Status::Stale, Status::Inconclusive]
            .into_iter()
            .find(|status| statuses.contains(status))
            .unwrap_or(Status::Pass);
        prop_assert_eq!(stage.status(), expected);
        prop_assert_eq!(stage.exit_code(), ExitCode::from(expected));
        prop_assert_eq!(stage.counts().total(), statuses.len());
        prop_assert_eq!(stage.exit_code() == ExitCode::Pass, stage.unmet().next().is_none());
    }
}
