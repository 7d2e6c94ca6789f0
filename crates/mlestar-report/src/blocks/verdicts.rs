use maud::{Markup, html};
use mlestar_gates::{Evidence, Limit, StageVerdict, Status, Unit, Verdict};

use super::Badge;
use crate::format;

/// One table for each stage: what was measured, what was asked for, and what to do about it.
pub(crate) fn render(stages: &[StageVerdict]) -> Markup {
    html! {
        @if stages.is_empty() { p class="muted" { "No gates were judged." } }
        @for stage in stages { (stage_table(stage)) }
    }
}

fn stage_table(stage: &StageVerdict) -> Markup {
    html! {
        div class="card table verdicts" {
            div class="scroll" tabindex="0" role="region" aria-label={ "Gate of " (stage.stage) } {
                table {
                    caption { "Gate: " (stage.stage) " " (Badge::from(stage.status()).render()) }
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
                    tbody {
                        @for verdict in &stage.verdicts { (verdict_row(verdict)) }
                        @if stage.verdicts.is_empty() {
                            tr { td class="muted" colspan="6" { "This stage has no criteria." } }
                        }
                    }
                }
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
            td { (badge.render()) }
            td class="criterion" {
                (verdict.criterion.title)
                span class="small" { code { (verdict.criterion.id) } }
            }
            td class="number" { (measured(&verdict.evidence, unit)) }
            td class="number nowrap" { (limit_text(&verdict.criterion.limit, unit)) }
            td class="number nowrap" { (margin_text(verdict.margin, unit)) }
            td class="finding" { (finding(verdict)) }
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
                @for (index, file) in files.iter().enumerate() {
                    @if index > 0 { ", " }
                    code { (file) }
                }
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
        // Whether a condition holds is no matter of degree.
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
