use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};
use serde_json::{Value, json};

use crate::charts::{SettingScale, TrialSet, TrialState};
use crate::format;

/// What the page does with the table and the charts of trials: sorting, filtering, pointing at a trial, choosing a range on an axis.
const SCRIPT: &str = include_str!("trial_table.js");

/// How that looks.
pub(crate) const STYLE: &str = include_str!("trial_table.css");

/// Rows of the table for readers without scripts.
const MOST_ROWS: usize = 300;

/// The table of all trials of a search.
///
/// Without scripts, its first 300 rows are there. With scripts, a page has all of them: sorted by any column, filtered by state.
/// Pointing at a row marks its trial in every chart of trials on the page and the other way round, and a range on an axis of
/// [`parallel_coordinates`](crate::charts::parallel_coordinates) chooses trials in all of them. The script is part of the page and asks for
/// nothing. A page has room for one such table.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialTable {
    /// The trials. Lists that do not have one entry for each trial are cut or filled up.
    pub trials: TrialSet,
    /// The numbers of the trials that stand out: the best one, or the front.
    pub best: Vec<u64>,
}

impl TrialTable {
    pub(crate) fn render(&self) -> Markup {
        let trials = &self.trials;
        let n = trials.numbers.len();
        let is_remarked = trials.remarks.iter().any(|remark| !remark.is_empty());
        html! {
            div class="card table trials" id="trial-table" {
                div class="trial-controls" hidden {}
                div class="scroll" tabindex="0" role="region" aria-label="All trials" {
                    table {
                        caption { "All trials" }
                        thead { tr {
                            th scope="col" class="number" { "trial" }
                            th scope="col" { "state" }
                            @for objective in &trials.objectives { th scope="col" class="number" { (objective.label) } }
                            @for setting in &trials.settings { th scope="col" { (setting.label) } }
                            @if is_remarked { th scope="col" { "remark" } }
                        } }
                        tbody {
                            @for trial in 0..n.min(MOST_ROWS) { (self.row(trial, is_remarked)) }
                            @if n == 0 { tr { td class="muted" { "None." } } }
                        }
                    }
                }
                @if n > MOST_ROWS {
                    p class="table-note" id="trial-cut" {
                        "The first " (MOST_ROWS) " of " (format::count(n as u64)) " trials. With scripts, this page shows all of them."
                    }
                }
            }
            script type="application/json" id="trial-data" { (PreEscaped(self.data())) }
            script { (PreEscaped(SCRIPT)) }
        }
    }

    fn row(&self, trial: usize, is_remarked: bool) -> Markup {
        let trials = &self.trials;
        let number = trials.numbers[trial];
        html! {
            tr data-t=(number) class=[self.best.contains(&number).then_some("good")] {
                td class="number" { (number) }
                td { (state_name(trials.states.get(trial))) }
                @for objective in &trials.objectives {
                    td class="number" { (shown(objective.values.get(trial))) }
                }
                @for setting in &trials.settings {
                    td { @if trial < setting.values.len() { (setting.shown(trial)) } }
                }
                @if is_remarked { td { (trials.remarks.get(trial).map_or("", String::as_str)) } }
            }
        }
    }

    /// All trials, by columns: `number`, `state` (a letter each), `columns` of objectives and settings, `remarks`, `best`.
    fn data(&self) -> String {
        let trials = &self.trials;
        let state = |state: &TrialState| state_name(Some(state)).chars().next();
        let states: String = trials.states.iter().filter_map(state).collect();
        let objectives = trials.objectives.iter().map(
            |objective| json!({ "label": objective.label, "values": column(&objective.values) }),
        );
        let settings = trials.settings.iter().map(|setting| {
            let values = column(&setting.values);
            match &setting.scale {
                SettingScale::Words(words) => {
                    json!({ "label": setting.label, "values": values, "words": words })
                }
                _ => json!({ "label": setting.label, "values": values }),
            }
        });
        let remarks = trials.numbers.iter().zip(&trials.remarks);
        let remarks: BTreeMap<String, &String> = remarks
            .filter(|(_, remark)| !remark.is_empty())
            .map(|(number, remark)| (number.to_string(), remark))
            .collect();
        let data = json!({
            "number": trials.numbers,
            "state": states,
            "columns": objectives.chain(settings).collect::<Vec<Value>>(),
            "remarks": remarks,
            "best": self.best,
        });
        // These occur in strings only. Escaped, nothing can end the script.
        data.to_string()
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
    }
}

fn state_name(state: Option<&TrialState>) -> &'static str {
    match state {
        Some(TrialState::Complete) => "complete",
        Some(TrialState::Pruned) => "pruned",
        Some(TrialState::Failed) => "failed",
        None => "",
    }
}

fn shown(value: Option<&f64>) -> String {
    value.map_or_else(String::new, |value| format::significant(*value, 5))
}

/// The values of a column; `null` where they are not finite.
fn column(values: &[f64]) -> Vec<Value> {
    values.iter().map(|value| number(*value)).collect()
}

/// A whole number without a decimal point, because there are many of them.
fn number(value: f64) -> Value {
    let rounded = format::six_digits(value);
    match rounded.fract() == 0.0 && rounded.abs() < 1e15 {
        true => json!(rounded as i64),
        false => json!(rounded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::{TrialObjective, TrialSetting};

    fn table(n: usize) -> TrialTable {
        TrialTable {
            trials: TrialSet {
                numbers: (0..n as u64).collect(),
                states: vec![TrialState::Complete; n],
                objectives: vec![TrialObjective {
                    label: "accuracy".into(),
                    maximize: true,
                    values: (0..n).map(|i| i as f64 / 3.0).collect(),
                }],
                settings: vec![TrialSetting {
                    label: "</script><b>".into(),
                    scale: SettingScale::Words(vec!["a\"\n".into()]),
                    values: vec![0.0; n],
                }],
                remarks: vec![String::new(); n],
            },
            best: vec![1],
        }
    }

    #[test]
    fn rows_are_there_without_scripts_and_the_best_stands_out() {
        let page = table(2).render().into_string();
        assert_eq!(page.matches("<tr data-t=").count(), 2);
        assert!(page.contains("<tr data-t=\"1\" class=\"good\">") && page.contains(">0.33333<"));
        assert!(!page.contains("remark</th>") && !page.contains("id=\"trial-cut\""));
        let page = table(301).render().into_string();
        assert_eq!(page.matches("<tr data-t=").count(), MOST_ROWS);
        assert!(page.contains("The first 300 of 301 trials"));
        assert!(table(0).render().into_string().contains("None."));
    }

    #[test]
    fn nothing_in_the_data_ends_the_script() {
        let page = table(2).render().into_string();
        assert_eq!(page.matches("</script>").count(), 2);
        let data = table(2).data();
        assert_eq!(
            data,
            "{\"number\":[0,1],\"state\":\"cc\",\"columns\":[{\"label\":\"accuracy\",\"values\":[0,0.333333]},\
             {\"label\":\"\\u003c/script\\u003e\\u003cb\\u003e\",\"values\":[0,0],\"words\":[\"a\\\"\\n\"]}],\
             \"remarks\":{},\"best\":[1]}"
        );
    }

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (f64::NAN, "null"),
            (1e-5, "0.00001"),
            (1.234_567_8e-12, "1.23457e-12"),
            (128.0, "128"),
            (0.1 + 0.2, "0.3"),
        ] {
            assert_eq!(number(value).to_string(), expected);
        }
    }
}
