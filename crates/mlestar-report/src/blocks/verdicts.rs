use maud::{Markup, html};
use mlestar_gates::{Evidence, Limit, StageVerdict, Status, Unit, Verdict};

use super::Badge;
use crate::format;

/// Files that a finding names; a criterion on everything that a stage left rests on hundreds.
const MOST_FILES: usize = 4;

/// For each stage, the unmet criteria and what to do about them; the met ones are folded below.
pub(crate) fn render(stages: &[StageVerdict]) -> Markup {
    html! {
        @if stages.is_empty() { p class="muted" { "No gates were judged." } }
        @for stage in stages { (stage_block(stage)) }
    }
}

fn stage_block(stage: &StageVerdict) -> Markup {
    let (met, unmet): (Vec<&Verdict>, Vec<&Verdict>) = stage
        .verdicts
        .iter()
        .partition(|verdict| verdict.status == Status::Pass);
    let criteria = if met.len() == 1 {
        "criterion"
    } else {
        "criteria"
    };
    html! {
        div class="card table cards verdicts" {
            p class="gate-name" { "Gate: " (stage.stage) " " (Badge::from(stage.status()).render()) }
            @if stage.verdicts.is_empty() { p class="table-note" { "This stage has no criteria." } }
            @if !unmet.is_empty() { (criteria_table(stage, "Unmet criteria", &unmet)) }
            @if !met.is_empty() {
                details {
                    summary { (met.len()) " " (criteria) " met" }
                    (criteria_table(stage, "Met criteria", &met))
                }
            }
        }
    }
}

fn criteria_table(stage: &StageVerdict, caption: &str, verdicts: &[&Verdict]) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label={ "Gate of " (stage.stage) } {
            table {
                caption class="hidden" { (caption) " of " (stage.stage) }
                thead {
                    tr {
                        th scope="col" { "Status" }
                        th scope="col" { "Criterion" }
                        th scope="col" class="number" { "Measured" }
                        th scope="col" class="number" { "Limit" }
                        th scope="col" class="number" { "Margin" }
                        th scope="col" { "Finding" }
                    }
                }
                tbody { @for verdict in verdicts { (verdict_row(verdict)) } }
            }
        }
    }
}

fn verdict_row(verdict: &Verdict) -> Markup {
    let badge = Badge::from(verdict.status);
    let unit = &verdict.criterion.unit;
    let highlight = (verdict.status == Status::Fail).then_some("bad");
    html! {
        tr class=[highlight] {
            td data-label="Status" { (badge.render()) }
            td class="criterion" data-label="Criterion" {
                (verdict.criterion.title)
                span class="small" { code { (verdict.criterion.id) } }
            }
            td class="number" data-label="Measured" { (measured(&verdict.evidence, unit)) }
            td class="number nowrap" data-label="Limit" { (limit_text(&verdict.criterion.limit, unit)) }
            td class="number nowrap" data-label="Margin" { (margin_text(verdict.margin, unit)) }
            td class="finding" data-label="Finding" { (finding(verdict)) }
        }
    }
}

fn measured(evidence: &Evidence, unit: &Unit) -> Markup {
    html! {
        @match evidence {
            Evidence::Measured { measurement, .. } => {
                span class="nowrap" { (value_text(measurement.value, unit)) }
                @if let Some([low, high]) = measurement.interval {
                    span class="small nowrap" {
                        (value_text(low, unit)) " to " (value_text(high, unit))
                    }
                }
            },
            Evidence::Contradiction { claimed, recomputed, .. } => {
                span class="nowrap" { (value_text(*recomputed, unit)) }
                span class="small nowrap" { "claimed " (value_text(*claimed, unit)) }
            },
            Evidence::Altered { .. } | Evidence::Stale { .. } | Evidence::Missing { .. } => { (format::MISSING) },
        }
    }
}

fn finding(verdict: &Verdict) -> Markup {
    let note = match &verdict.evidence {
        Evidence::Measured { measurement, .. } => measurement.note.as_str(),
        _ => "",
    };
    let files = verdict.evidence.files();
    let unnamed = files
        .iter()
        .filter(|file| !verdict.message.contains(**file));
    let files: Vec<&&str> = unnamed.collect();
    html! {
        (verdict.message)
        @if !note.is_empty() && !verdict.message.contains(note) { span class="small" { (note) } }
        @if verdict.status != Status::Pass
            && !verdict.criterion.remedy.is_empty()
            && !verdict.message.contains(&verdict.criterion.remedy) {
            span class="remedy" { "What to do: " (verdict.criterion.remedy) }
        }
        @if !files.is_empty() {
            span class="small" {
                @for (index, file) in files.iter().take(MOST_FILES).enumerate() {
                    @if index > 0 { ", " }
                    code { (file) }
                }
                @if files.len() > MOST_FILES { " and " (files.len() - MOST_FILES) " more files" }
            }
        }
    }
}

fn limit_text(limit: &Limit, unit: &Unit) -> String {
    let (sign, value) = match limit {
        Limit::AtLeast(value) => ("≥", value),
        Limit::Above(value) => (">", value),
        Limit::AtMost(value) => ("≤", value),
        Limit::Equals(value) => ("=", value),
    };
    format!("{sign} {}", value_text(*value, unit))
}

fn margin_text(margin: Option<f64>, unit: &Unit) -> String {
    match margin {
        // A yes/no figure has no margin.
        _ if *unit == Unit::Flag => format::MISSING.to_string(),
        Some(margin) if margin > 0.0 => format!("+{}", value_text(margin, unit)),
        Some(margin) => value_text(margin, unit),
        None => format::MISSING.to_string(),
    }
}

fn value_text(value: f64, unit: &Unit) -> String {
    if value.is_finite() {
        unit.format(value)
    } else {
        format::MISSING.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(value: f64) -> Verdict {
        use mlestar_gates::{Criterion, Measurement, judge};
        let criterion = Criterion {
            id: format!("id_{value}"),
            title: "accuracy".into(),
            limit: Limit::AtLeast(0.9),
            unit: Unit::Fraction,
            remedy: "train longer".into(),
        };
        judge(
            &criterion,
            Evidence::measured(Measurement::exact(value), ["a.json"]),
        )
    }

    /// Unmet criteria come first and open; met ones are folded.
    #[test]
    fn what_is_met_is_folded_and_what_is_not_stands_on_top() {
        let of = |values: &[f64]| {
            let verdicts = values.iter().map(|value| verdict(*value)).collect();
            let stage = StageVerdict {
                stage: "evaluation".into(),
                verdicts,
            };
            render(&[stage]).into_string()
        };
        let mixed = of(&[0.95, 0.5, 0.99]);
        let (open, folded) = mixed.split_once("<details>").expect("criteria that pass");
        assert!(
            open.contains("id_0.5") && open.contains("train longer") && !open.contains("id_0.9")
        );
        assert!(
            folded.contains("id_0.95") && folded.contains("id_0.99") && !folded.contains("id_0.5")
        );
        assert!(folded.starts_with("<summary>2 criteria met</summary>"));
        let passed = of(&[0.95]);
        let (open, _) = passed.split_once("<details>").expect("criteria that pass");
        assert!(open.contains("PASS") && !open.contains("<table"));
        assert!(!of(&[0.5]).contains("<details"));
        assert!(of(&[]).contains("no criteria"));
    }

    #[test]
    fn of_very_many_files_some_are_named() {
        let names: Vec<String> = (0..40).map(|index| format!("file-{index}.json")).collect();
        let measurement = mlestar_gates::Measurement::exact(0.95);
        let mut verdict = verdict(0.95);
        verdict.evidence = Evidence::measured(measurement, names);
        let html = finding(&verdict).into_string();
        assert_eq!(html.matches("<code>").count(), MOST_FILES);
        assert!(html.contains("and 36 more files"), "{html}");
    }

    #[test]
    fn limits_and_margins_carry_sign_and_unit() {
        let milliseconds = Unit::Milliseconds;
        assert_eq!(limit_text(&Limit::AtMost(100.0), &milliseconds), "≤ 100 ms");
        assert_eq!(
            limit_text(&Limit::AtLeast(0.85), &Unit::Fraction),
            "≥ 0.8500"
        );
        assert_eq!(limit_text(&Limit::Equals(1.0), &Unit::Flag), "= yes");
        assert_eq!(limit_text(&Limit::Above(0.0), &Unit::Fraction), "> 0.0000");
        assert_eq!(margin_text(Some(0.02), &Unit::Fraction), "+0.0200");
        assert_eq!(margin_text(Some(-0.02), &Unit::Fraction), "-0.0200");
        assert_eq!(margin_text(Some(0.0), &Unit::Flag), format::MISSING);
        assert_eq!(margin_text(None, &Unit::Fraction), format::MISSING);
        assert_eq!(value_text(f64::NAN, &Unit::Count), format::MISSING);
    }
}
