//! The figures of each scenario in columns, for the table and for the page.

use super::{BenchmarkRow, ColdStarts, Outcome, ScenarioKind};
use mlestar_export::benchmark::{
    Measured, ModelMemory, OfflineResult, Quantile, ScenarioResult, ServerResult, StreamResult,
};
use mlestar_report::format;

/// Marks a figure that is not stable.
pub(super) const UNSTABLE: &str = "*";

/// What a scenario measures, in a sentence.
pub(super) fn about(scenario: ScenarioKind) -> &'static str {
    match scenario {
        ScenarioKind::ColdStart => {
            "New processes: from their start, and from opening the package, to the first answer. Median, shortest and \
            longest."
        }
        ScenarioKind::SingleStream => "One image after the other.",
        ScenarioKind::MultiStream => "Several images at once, one query after the other.",
        ScenarioKind::Server => {
            "Images arrive at random (Poisson), and latency counts from the arrival: the highest rate whose 99th \
            percentile is within the limit, or the given rate. Images that wait are answered together."
        }
        ScenarioKind::Offline => {
            "All images are there: the batch size with the most images per second."
        }
    }
}

/// The names of the columns after format, precision and threads.
pub(super) fn names(scenario: ScenarioKind) -> &'static [&'static str] {
    match scenario {
        ScenarioKind::ColdStart => &[
            "n",
            "process",
            "shortest",
            "longest",
            "open",
            "to answer",
            "memory",
            "before",
        ],
        ScenarioKind::SingleStream => &[
            "n", "p50", "p90", "p99", "p99.9", "images/s", "cores", "memory", "before",
        ],
        ScenarioKind::MultiStream => &[
            "images", "n", "p50", "p90", "p99", "p99.9", "images/s", "cores", "memory", "before",
        ],
        ScenarioKind::Server => &[
            "limit p99",
            "rate/s",
            "n",
            "p50",
            "p99",
            "together",
            "cores",
            "memory",
            "before",
        ],
        ScenarioKind::Offline => &["batch", "images/s", "interval", "cores", "memory", "before"],
    }
}

/// The figures of a row, one for each name; the reason if it has none.
pub(super) fn cells(row: &BenchmarkRow) -> Result<Vec<String>, &str> {
    match &row.outcome {
        Outcome::Failed(reason) => Err(reason),
        Outcome::Started(starts) => Ok(cold_start(starts)),
        Outcome::Measured(measured) => of_measured(measured).ok_or("nothing was measured"),
    }
}

fn of_measured(measured: &Measured) -> Option<Vec<String>> {
    let mut cells = match measured.results.first()? {
        ScenarioResult::SingleStream(result) => stream(result, result.latency.p90),
        ScenarioResult::MultiStream(result) => {
            let mut cells = stream(result, result.latency.p99);
            cells.insert(0, result.images_per_query.to_string());
            cells
        }
        ScenarioResult::Server(result) => server(result),
        ScenarioResult::Offline(result) => offline(result),
    };
    cells.extend(memory(&measured.memory));
    Some(cells)
}

fn cold_start(starts: &ColdStarts) -> Vec<String> {
    let sorted = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values
    };
    let all = &starts.starts;
    let process = sorted(
        all.iter()
            .filter_map(|start| start.process_to_answer_ms)
            .collect(),
    );
    let open = sorted(all.iter().map(|start| start.open_ms).collect());
    let to_answer = sorted(all.iter().map(|start| start.open_to_answer_ms).collect());
    let median = |values: &[f64]| mlestar_export::benchmark::quantile(values, 0.5);
    let ms = |value: Option<f64>| format::milliseconds(value.unwrap_or(f64::NAN));
    let mut cells = vec![
        all.len().to_string(),
        ms(Some(median(&process))),
        ms(process.first().copied()),
        ms(process.last().copied()),
        ms(Some(median(&open))),
        ms(Some(median(&to_answer))),
    ];
    cells.extend(memory(&starts.memory));
    cells
}

fn stream(result: &StreamResult, decisive: Quantile) -> Vec<String> {
    let latency = &result.latency;
    let ms = |quantile: Option<Quantile>| {
        let text = format::milliseconds(quantile.map_or(f64::NAN, |quantile| quantile.ms));
        match quantile == Some(decisive) {
            true => text + mark(result.stability.is_stable),
            false => text,
        }
    };
    vec![
        format::count(latency.n as u64),
        ms(Some(latency.p50)),
        ms(Some(latency.p90)),
        ms(Some(latency.p99)),
        ms(latency.p99_9),
        format::number(result.images_per_second, 0),
        format::optional(result.cpu_cores, 2),
    ]
}

fn server(result: &ServerResult) -> Vec<String> {
    let latency = result.latency.as_ref();
    let ms = |quantile: fn(&mlestar_export::benchmark::Latency) -> f64| {
        format::milliseconds(latency.map_or(f64::NAN, quantile))
    };
    let is_stable = result.stability.is_none_or(|stability| stability.is_stable);
    let rate = match (result.rate, result.is_within_limit) {
        (None, _) => "none".to_owned(),
        (Some(rate), true) => format::number(rate, 1),
        (Some(rate), false) => format!("{} (above)", format::number(rate, 1)),
    };
    vec![
        format::milliseconds(result.limit_ms),
        rate,
        format::count(latency.map_or(0, |latency| latency.n as u64)),
        ms(|latency| latency.p50.ms),
        ms(|latency| latency.p99.ms) + mark(is_stable),
        format::optional(result.mean_batch, 2),
        format::optional(result.cpu_cores, 2),
    ]
}

fn offline(result: &OfflineResult) -> Vec<String> {
    let Some(best) = result.best() else {
        return vec![format::MISSING.into(); 4];
    };
    let interval = best.interval.map_or_else(
        || format::MISSING.to_owned(),
        |[low, high]| format::interval(low, high, 0),
    );
    vec![
        best.batch_size.to_string(),
        format::number(best.images_per_second, 0) + mark(best.stability.is_stable),
        interval,
        format::optional(result.cpu_cores, 2),
    ]
}

fn memory(memory: &ModelMemory) -> [String; 2] {
    [memory.peak_bytes, memory.baseline_bytes]
        .map(|bytes| bytes.map_or_else(|| format::MISSING.to_owned(), format::bytes))
}

fn mark(is_stable: bool) -> &'static str {
    match is_stable {
        true => "",
        false => UNSTABLE,
    }
}

/// What the mark and the last columns mean.
pub(super) const NOTES: [&str; 2] = [
    "memory: the largest resident memory of the whole process; before: the same before it opened the package.",
    "* not stable within the time: its interval (95 %) is wider than the rule allows (half-width 2 % of the figure; \
    10 % for a server), or the machine became slower or faster meanwhile. Measure longer (--seconds) or on an idle \
    machine.",
];
