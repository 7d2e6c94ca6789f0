//! One queue of images, and a thread that takes them through the network in batches.
//!
//! A batch begins as soon as there is an image. While it is computed the next one gathers, so batches grow with the load
//! by themselves.

use crate::metrics::Metrics;
use crate::model::ServedModel;
use crate::refusal::Refusal;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Images of one request, at most a batch of them.
#[derive(Debug)]
struct Job {
    model: Arc<ServedModel>,
    pixels: Vec<u8>,
    n: usize,
    queued_at: Instant,
    deadline: Instant,
    reply: oneshot::Sender<Result<Computed, Refusal>>,
}

/// What became of the images of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Computed {
    /// Row-major `[n, classes]`.
    pub logits: Vec<f32>,
    /// The wait of the images that waited longest.
    pub queue: Duration,
    /// The time in the network, added up over the batches that held images of the request.
    pub compute: Duration,
}

#[derive(Debug)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// Hands images to the thread that computes.
#[derive(Debug)]
pub struct Batcher {
    queue: Mutex<Queue>,
    changed: Condvar,
    max_batch: usize,
    metrics: Arc<Metrics>,
}

impl Batcher {
    /// Starts the thread. It runs until [`Batcher::close`], on the threads of `pool`.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start(
        pool: Arc<rayon::ThreadPool>,
        max_batch: usize,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Arc<Self>> {
        let batcher = Arc::new(Self {
            queue: Mutex::new(Queue {
                jobs: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
            max_batch,
            metrics,
        });
        let its = Arc::clone(&batcher);
        std::thread::Builder::new()
            .name("batcher".to_owned())
            .spawn(move || its.work(&pool))?;
        Ok(batcher)
    }

    /// Computes the logits of `n` images of the model's size, in one batch or, for many, in several. Images whose
    /// turn has not come at `deadline` are refused, and so are those whose caller is gone.
    ///
    /// # Errors
    /// A refusal: late, stopping, or a fault of the network.
    pub async fn compute(
        &self,
        model: &Arc<ServedModel>,
        pixels: Vec<u8>,
        n: usize,
        deadline: Instant,
    ) -> Result<Computed, Refusal> {
        let mut replies = Vec::new();
        for (pixels, n) in self.parts(model, pixels, n) {
            replies.push(self.submit(Arc::clone(model), pixels, n, deadline)?);
        }
        let mut all = Computed {
            logits: Vec::with_capacity(n * model.n_classes()),
            queue: Duration::ZERO,
            compute: Duration::ZERO,
        };
        for reply in replies {
            let part = reply.await.map_err(|_| Refusal::stopping())??;
            all.logits.extend(part.logits);
            all.queue = all.queue.max(part.queue);
            all.compute += part.compute;
        }
        Ok(all)
    }

    /// No more images; those in the queue are still computed.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn parts(&self, model: &ServedModel, pixels: Vec<u8>, n: usize) -> Vec<(Vec<u8>, usize)> {
        if n <= self.max_batch {
            return vec![(pixels, n)];
        }
        let image = model.image_bytes();
        let parts = pixels.chunks(self.max_batch * image);
        parts
            .map(|part| (part.to_vec(), part.len() / image))
            .collect()
    }

    fn submit(
        &self,
        model: Arc<ServedModel>,
        pixels: Vec<u8>,
        n: usize,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<Result<Computed, Refusal>>, Refusal> {
        let (reply, receiver) = oneshot::channel();
        let queued_at = Instant::now();
        let mut queue = self.lock();
        if queue.closed {
            return Err(Refusal::stopping());
        }
        queue.jobs.push_back(Job {
            model,
            pixels,
            n,
            queued_at,
            deadline,
            reply,
        });
        drop(queue);
        self.changed.notify_one();
        Ok(receiver)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, pool: &rayon::ThreadPool) {
        while let Some(batch) = self.next_batch() {
            self.run(batch, pool);
        }
    }

    /// The jobs of the next batch; `None` when there will be no more.
    fn next_batch(&self) -> Option<Vec<Job>> {
        let mut queue = self.lock();
        loop {
            drop_lost(&mut queue.jobs);
            let batch = take_batch(&mut queue.jobs, self.max_batch);
            if !batch.is_empty() {
                return Some(batch);
            } else if queue.closed {
                return None;
            } else {
                queue = (self.changed.wait(queue)).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn run(&self, jobs: Vec<Job>, pool: &rayon::ThreadPool) {
        let Some(model) = jobs.first().map(|job| Arc::clone(&job.model)) else {
            return;
        };
        let n: usize = jobs.iter().map(|job| job.n).sum();
        let begun = Instant::now();
        let logits = match jobs.as_slice() {
            [job] => compute(&model, &job.pixels, n, pool),
            _ => {
                let mut pixels = Vec::with_capacity(n * model.image_bytes());
                jobs.iter().for_each(|job| pixels.extend(&job.pixels));
                compute(&model, &pixels, n, pool)
            }
        };
        let compute = begun.elapsed();
        self.metrics.batch(n);
        let mut at = 0;
        for job in jobs {
            let end = at + job.n * model.n_classes();
            let answer = logits
                .as_ref()
                .map_err(Clone::clone)
                .map(|logits| Computed {
                    logits: logits.get(at..end).unwrap_or_default().to_vec(),
                    queue: begun - job.queued_at,
                    compute,
                });
            at = end;
            // The caller may be gone.
            let _ = job.reply.send(answer);
        }
    }
}

/// A panic in the network is a fault of one batch, not the end of the thread.
fn compute(
    model: &ServedModel,
    pixels: &[u8],
    n: usize,
    pool: &rayon::ThreadPool,
) -> Result<Vec<f32>, Refusal> {
    let result = catch_unwind(AssertUnwindSafe(|| {
        pool.install(|| model.predictor.logits(pixels, n))
    }));
    match result {
        Ok(Ok(logits)) => Ok(logits),
        Ok(Err(error)) => Err(Refusal::fault(error.to_string())),
        Err(_) => Err(Refusal::fault(
            "the network failed on this batch; the log says where",
        )),
    }
}

/// Removes the jobs that nobody waits for any more or whose time is over.
fn drop_lost(jobs: &mut VecDeque<Job>) {
    let now = Instant::now();
    let mut kept = VecDeque::with_capacity(jobs.len());
    for job in jobs.drain(..) {
        if job.reply.is_closed() {
            continue;
        }
        match job.deadline <= now {
            true => {
                let message = "the images waited too long for the network; try again later";
                let _ = job.reply.send(Err(Refusal::late(message)));
            }
            false => kept.push_back(job),
        }
    }
    *jobs = kept;
}

/// The first jobs of the same model that fit in a batch.
fn take_batch(jobs: &mut VecDeque<Job>, max_batch: usize) -> Vec<Job> {
    let mut batch: Vec<Job> = Vec::new();
    let mut n = 0;
    while let Some(job) = jobs.front() {
        let is_same = batch
            .first()
            .is_none_or(|first| Arc::ptr_eq(&first.model, &job.model));
        if !is_same || (n > 0 && n + job.n > max_batch) {
            break;
        }
        n += job.n;
        batch.extend(jobs.pop_front());
    }
    batch
}
