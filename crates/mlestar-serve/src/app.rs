//! What all requests share, and the way of images through it: receive, decode, wait, compute.

use crate::batcher::{Batcher, Computed};
use crate::budget::{Budget, Share};
use crate::metrics::{Metrics, Phase};
use crate::model::{CurrentModel, ServedModel};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::token::Token;
use crate::trace::Trace;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header;
use axum::http::request::Parts;
use http_body_util::BodyExt;
use mlestar_export::Prediction;
use mlestar_export::package::ImageStatistics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

/// What all requests share.
#[derive(Debug)]
pub struct App {
    /// The settings.
    pub settings: Settings,
    /// The model of now.
    pub models: CurrentModel,
    /// The way to the network.
    pub batcher: Arc<Batcher>,
    /// Images that are accepted and not answered.
    pub images: Arc<Budget>,
    /// Bytes of bodies in memory.
    pub bodies: Arc<Budget>,
    /// Threads for parsing and decoding.
    pub workers: Arc<Semaphore>,
    /// Everything counted.
    pub metrics: Arc<Metrics>,
    /// The token that requests must bear, if any.
    pub token: Token,
    /// Whether the server is about to end.
    pub stopping: AtomicBool,
}

/// A request with its whole body.
#[derive(Debug)]
pub struct Received {
    /// Method, path and headers.
    pub parts: Parts,
    /// The body.
    pub body: Bytes,
    /// When the answer must be there.
    pub deadline: Instant,
    /// Name and times.
    pub trace: Arc<Trace>,
    /// The images that it may have in the server; one at first.
    images: Share,
    /// The bytes that it holds.
    _bytes: Share,
}

impl Received {
    /// Makes room for `n` images.
    ///
    /// # Errors
    /// 413 if there can never be room for so many, 429 if there is none now.
    pub fn admit(&mut self, app: &App, n: usize) -> Result<(), Refusal> {
        self.trace.images(n);
        if n > app.images.limit() {
            return Err(Refusal::too_large(format!(
                "the request has {n} images, but the limit is {} (--queue)",
                app.images.limit()
            )));
        }
        match self.images.grow(n.saturating_sub(1)) {
            true => Ok(()),
            false => Err(app.overloaded("queue")),
        }
    }
}

/// Images of the model's size, ready for the network.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Interleaved RGB, one image after the other.
    pub pixels: Vec<u8>,
    /// How each looks, for drift.
    pub appearances: Vec<ImageStatistics>,
}

impl Prepared {
    /// Adds one image.
    pub fn push(&mut self, pixels: &[u8]) {
        self.appearances.push(ImageStatistics::of(pixels));
        self.pixels.extend(pixels);
    }
}

impl App {
    /// A refusal for lack of room, with the time after which there may be some.
    pub fn overloaded(&self, reason: &'static str) -> Refusal {
        self.metrics.rejected(reason);
        let model = self.models.get();
        let seconds = self.images.used() as f64 * (model.costs.image + model.costs.fixed);
        let message = match reason {
            "bodies" => "the server holds as many bodies as it can; try again later",
            _ => "the queue is full; try again later",
        };
        Refusal::overloaded(message, seconds.ceil().clamp(1.0, 60.0) as u64)
    }

    /// Receives the body of a request for images, within the limits on bytes and time.
    ///
    /// # Errors
    /// 413, 415, 408, 429, or 400 if the body ends early.
    pub async fn receive(&self, request: Request) -> Result<Received, Refusal> {
        let begun = Instant::now();
        let trace = request.extensions().get::<Arc<Trace>>().cloned();
        let trace = trace.unwrap_or_else(|| Arc::new(Trace::begin(None)));
        let (parts, body) = request.into_parts();
        let mut bytes = self.bodies.share();
        let body = self.receive_body(&parts, body, &mut bytes).await?;
        trace.phase(Phase::Receive, begun.elapsed());
        trace.bytes(body.len());
        // Only now: slow clients must not hold places in the queue.
        let mut images = self.images.share();
        if !images.grow(1) {
            return Err(self.overloaded("queue"));
        }
        Ok(Received {
            parts,
            body,
            deadline: Instant::now() + self.settings.timeouts.answer,
            trace,
            images,
            _bytes: bytes,
        })
    }

    async fn receive_body(
        &self,
        parts: &Parts,
        mut body: axum::body::Body,
        share: &mut Share,
    ) -> Result<Bytes, Refusal> {
        let header = |name| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        if let Some(encoding) = header(header::CONTENT_ENCODING).filter(|name| *name != "identity")
        {
            return Err(Refusal::encoding(format!(
                "the body has the Content-Encoding {encoding:?}; send it uncompressed"
            )));
        }
        let limit = self.settings.max_body_bytes;
        let declared =
            header(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
        let deadline = Instant::now() + self.settings.timeouts.body;
        let mut all = Vec::with_capacity(declared.unwrap_or(0).min(64 << 10));
        let mut is_too_large = declared.is_some_and(|length| length > limit);
        while !is_too_large {
            let frame = match timeout_at(deadline.into(), body.frame()).await {
                Err(_) => {
                    return Err(Refusal::slow(format!(
                        "the body did not arrive within {} s",
                        self.settings.timeouts.body.as_secs_f64()
                    )));
                }
                Ok(None) => return Ok(all.into()),
                Ok(Some(Err(error))) => {
                    return Err(Refusal::invalid(format!("the body ended early: {error}")));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            if let Ok(data) = frame.into_data() {
                is_too_large = all.len() + data.len() > limit;
                if !is_too_large && !share.grow(data.len()) {
                    drop(all);
                    discard(body, limit).await;
                    return Err(self.overloaded("bodies"));
                }
                all.extend_from_slice(&data);
            }
        }
        drop(all);
        discard(body, limit).await;
        let found = declared.map_or("more".to_owned(), |length| format!("{length} bytes"));
        Err(Refusal::too_large(format!(
            "the body has {found}, but the limit is {limit} bytes (--max-body-mb)"
        )))
    }

    /// Runs `work` on a thread for computations. At most as many run as there are threads.
    ///
    /// # Errors
    /// 504 if no thread is free, or it does not end, before `deadline`; 500 if it panics; else its own.
    pub async fn on_worker<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let late = |_| Refusal::late("the images waited too long for a thread; try again later");
        let permit = timeout_at(deadline.into(), Arc::clone(&self.workers).acquire_owned()).await;
        // The semaphore is never closed.
        let permit = permit.map_err(late)?.map_err(|_| Refusal::stopping())?;
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        match timeout_at(deadline.into(), task).await {
            Err(_) => Err(Refusal::late("parsing and decoding took too long")),
            Ok(Err(_)) => Err(Refusal::fault("decoding failed; the log says where")),
            Ok(Ok(result)) => result,
        }
    }

    /// Computes the logits of prepared images.
    ///
    /// # Errors
    /// As for [`Batcher::compute`], and 504 at the deadline.
    pub async fn compute(
        &self,
        model: &Arc<ServedModel>,
        pixels: Vec<u8>,
        n: usize,
        received: &Received,
    ) -> Result<Computed, Refusal> {
        if n == 0 {
            return Ok(Computed {
                logits: Vec::new(),
                queue: Duration::ZERO,
                compute: Duration::ZERO,
            });
        }
        let deadline = received.deadline;
        let computing = self.batcher.compute(model, pixels, n, deadline);
        let computed = timeout_at(deadline.into(), computing).await;
        let late = |_| Refusal::late("the answer was not ready in time; try again later");
        let computed = computed.map_err(late)??;
        received.trace.phase(Phase::Queue, computed.queue);
        received.trace.phase(Phase::Compute, computed.compute);
        Ok(computed)
    }

    /// Counts the predictions of images that a client asked about.
    pub fn record(
        &self,
        model: &ServedModel,
        appearances: &[ImageStatistics],
        predictions: &[Prediction],
    ) {
        for (appearance, prediction) in appearances.iter().zip(predictions) {
            model.drift.add(*appearance, prediction.class_index);
            self.metrics.prediction(prediction);
        }
    }

    /// Whether new requests are welcome.
    pub fn is_ready(&self) -> bool {
        !self.stopping.load(Ordering::Acquire)
    }
}

/// Takes the rest of a body that is refused and forgets it, for a while: most clients read an answer only after they
/// sent their body.
async fn discard(mut body: axum::body::Body, limit: usize) {
    let until = Instant::now() + Duration::from_secs(2);
    let most = limit.saturating_mul(4);
    let mut n = 0;
    while let Ok(Some(Ok(frame))) = timeout_at(until.into(), body.frame()).await {
        n += frame.into_data().map_or(0, |data| data.len());
        if n > most {
            return;
        }
    }
}
