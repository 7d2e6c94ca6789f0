//! What the server counts, for Prometheus.

use mlestar_export::Prediction;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of times in seconds: from a millisecond in steps of about two.
const SECONDS: [f64; 15] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
];

type Labels = Vec<(&'static str, String)>;
type Real = Gauge<f64, AtomicU64>;

/// The phases of a request whose times are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Receiving the body.
    Receive,
    /// Parsing, decoding and resizing, with the wait for a thread.
    Decode,
    /// The wait for the network.
    Queue,
    /// In the network.
    Compute,
    /// From the header to the answer.
    Total,
}

impl Phase {
    /// Its name in labels and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Decode => "decode",
            Self::Queue => "queue",
            Self::Compute => "compute",
            Self::Total => "total",
        }
    }
}

/// Every metric of a server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    phases: Family<Labels, Histogram, fn() -> Histogram>,
    batches: Histogram,
    queued: Gauge,
    connections: Gauge,
    rejected: Family<Labels, Counter>,
    classes: Family<Labels, Counter>,
    confidences: Histogram,
    none_of_these: Counter,
    reloads: Family<Labels, Counter>,
    model: Family<Labels, Gauge>,
    drift: Family<Labels, Real>,
    drift_images: Gauge,
    drift_least: Family<Labels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("mlestar"),
            requests: Family::default(),
            phases: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            batches: Histogram::new((0..=16).map(|power| f64::from(1_u32 << power))),
            queued: Gauge::default(),
            connections: Gauge::default(),
            rejected: Family::default(),
            classes: Family::default(),
            confidences: Histogram::new((1..=10).map(|tenth| f64::from(tenth) / 10.0)),
            none_of_these: Counter::default(),
            reloads: Family::default(),
            model: Family::default(),
            drift: Family::default(),
            drift_images: Gauge::default(),
            drift_least: Family::default(),
        };
        metrics.register_traffic();
        metrics.register_answers();
        metrics
    }
}

impl Metrics {
    fn register_traffic(&mut self) {
        let registry = &mut self.registry;
        let requests = self.requests.clone();
        registry.register("requests", "Requests by route and status", requests);
        let help = "Seconds of a request by phase: receive, decode, queue, compute, total";
        registry.register("phase_seconds", help, self.phases.clone());
        let batches = self.batches.clone();
        registry.register("batch_images", "Images in a batch", batches);
        let help = "Images accepted and not yet answered";
        registry.register("queue_images", help, self.queued.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        let help =
            "Requests and connections refused for overload, by reason: queue, bodies, connections";
        registry.register("rejected", help, self.rejected.clone());
    }

    fn register_answers(&mut self) {
        let registry = &mut self.registry;
        let classes = self.classes.clone();
        registry.register("predictions", "Predicted images by class", classes);
        let help = "Probability of the predicted class";
        registry.register("confidence", help, self.confidences.clone());
        let help = "Images that resemble no class of the training data";
        registry.register("none_of_these", help, self.none_of_these.clone());
        let help = "Attempts to load another package, by result: loaded, failed";
        registry.register("reloads", help, self.reloads.clone());
        let help = "1 for the model that is served";
        registry.register("model", help, self.model.clone());
        let help =
            "Population stability index against the training data; absent below drift_least_images";
        registry.register("drift_psi", help, self.drift.clone());
        let help = "Latest images that drift is computed from";
        registry.register("drift_images", help, self.drift_images.clone());
        let help = "Images from which on chance alone stays below a drift_psi of 0.1 in 95 % of cases; 0 for never";
        registry.register("drift_least_images", help, self.drift_least.clone());
    }

    /// A request was answered.
    pub fn request(&self, method: &str, route: &str, status: u16) {
        let labels = vec![
            ("method", method.to_owned()),
            ("route", route.to_owned()),
            ("status", status.to_string()),
        ];
        self.requests.get_or_create(&labels).inc();
    }

    /// A phase of a request took this long.
    pub fn phase(&self, phase: Phase, time: Duration) {
        let labels = vec![("phase", phase.name().to_owned())];
        self.phases
            .get_or_create(&labels)
            .observe(time.as_secs_f64());
    }

    /// A batch of `n` images was computed.
    pub fn batch(&self, n: usize) {
        self.batches.observe(n as f64);
    }

    /// Something was refused for overload.
    pub fn rejected(&self, reason: &'static str) {
        self.rejected
            .get_or_create(&vec![("reason", reason.to_owned())])
            .inc();
    }

    /// A connection was opened (+1) or closed (-1).
    pub fn connection(&self, change: i64) {
        self.connections.inc_by(change);
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        usize::try_from(self.connections.get()).unwrap_or(0)
    }

    /// An image was predicted.
    pub fn prediction(&self, prediction: &Prediction) {
        let labels = vec![("class", prediction.class.clone())];
        self.classes.get_or_create(&labels).inc();
        self.confidences.observe(prediction.probability);
        if prediction.none_of_these {
            self.none_of_these.inc();
        }
    }

    /// A package was loaded beside the old one, or was not.
    pub fn reload(&self, is_loaded: bool) {
        let result = if is_loaded { "loaded" } else { "failed" };
        self.reloads
            .get_or_create(&vec![("result", result.to_owned())])
            .inc();
    }

    /// The model that is served from now on.
    pub fn model(&self, name: &str, version: &str) {
        self.model.clear();
        let labels = vec![("name", name.to_owned()), ("version", version.to_owned())];
        self.model.get_or_create(&labels).set(1);
    }

    /// The population stability index of one property, `None` while there are too few images, and the least number
    /// of images.
    pub fn drift(&self, of: &'static str, psi: Option<f64>, least_images: Option<u64>) {
        let labels = vec![("of", of.to_owned())];
        match psi {
            Some(psi) => {
                self.drift.get_or_create(&labels).set(psi);
            }
            None => {
                self.drift.remove(&labels);
            }
        }
        let least = i64::try_from(least_images.unwrap_or(0)).unwrap_or(i64::MAX);
        self.drift_least.get_or_create(&labels).set(least);
    }

    /// Everything as text, with the numbers of now for the queue and for drift.
    pub fn text(&self, queued: usize, drift_images: u64) -> String {
        self.queued.set(i64::try_from(queued).unwrap_or(i64::MAX));
        self.drift_images
            .set(i64::try_from(drift_images).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_every_kind_of_metric() {
        let metrics = Metrics::default();
        metrics.request("POST", "/v1/classify", 200);
        metrics.phase(Phase::Queue, Duration::from_millis(3));
        metrics.batch(3);
        metrics.prediction(&Prediction {
            class_index: 0,
            class: "a \"b\"".to_owned(),
            probability: 0.75,
            none_of_these: true,
            familiarity: 1.0,
            probabilities: vec![0.75, 0.25],
        });
        metrics.drift("contrast", Some(0.25), Some(170));
        metrics.drift("classes", None, None);
        let text = metrics.text(7, 200);
        for line in [
            r#"mlestar_requests_total{method="POST",route="/v1/classify",status="200"} 1"#,
            r#"mlestar_phase_seconds_bucket{le="0.005",phase="queue"} 1"#,
            r#"mlestar_batch_images_bucket{le="4.0"} 1"#,
            r#"mlestar_predictions_total{class="a \"b\""} 1"#,
            r#"mlestar_none_of_these_total 1"#,
            r#"mlestar_drift_psi{of="contrast"} 0.25"#,
            r#"mlestar_drift_least_images{of="classes"} 0"#,
            r#"mlestar_queue_images 7"#,
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains(r#"psi{of="classes"}"#));
    }
}
