//! A server from settings and a package.

use crate::app::App;
use crate::batcher::Batcher;
use crate::budget::Budget;
use crate::connections;
use crate::error::ServeError;
use crate::metrics::Metrics;
use crate::model::{CurrentModel, ServedModel};
use crate::reload::Reloader;
use crate::routes::router;
use crate::settings::Settings;
use crate::tls::Tls;
use crate::token::Token;
use mlestar_export::Precision;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Connections that the system may hold until they are accepted.
const BACKLOG: u32 = 4096;

/// A server with its package loaded, listening, not yet serving.
///
/// ```
/// use mlestar_serve::{Server, Settings};
/// # use mlestar_export::{Preparation, package};
#[doc = include_str!("../../mlestar-export/src/doc_model.in")]
/// # let folder = tempfile::tempdir()?;
/// # let dir = folder.path().join("package");
/// # package::write_package(&dir, &model, &Preparation::new(2, 2), &package::Contents::default())?;
/// let settings = Settings { port: 0, ..Settings::default() };
/// let server = Server::start(&dir, settings)?;
/// println!("http://{}", server.address());
/// server.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server {
    runtime: tokio::runtime::Runtime,
    serving: tokio::task::JoinHandle<usize>,
    address: SocketAddr,
    app: Arc<App>,
    reloader: Arc<Reloader>,
    stop: watch::Sender<bool>,
}

/// Threads for connections. They never decode or compute, so few serve many connections.
const CONNECTION_THREADS: usize = 2;

impl Server {
    /// Loads the package in `folder`, listens, and serves on threads of its own.
    ///
    /// # Errors
    /// Settings outside their ranges, a package, certificate or token that cannot be used, an address that is taken,
    /// or a system without threads left.
    pub fn start(folder: &Path, settings: Settings) -> Result<Self, ServeError> {
        settings.check()?;
        let start = |what| {
            move |error: String| ServeError::Start {
                what,
                reason: error,
            }
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(settings.threads)
            .thread_name(|index| format!("network-{index}"))
            .build()
            .map_err(|error| start("the threads of the network")(error.to_string()))?;
        let pool = Arc::new(pool);
        let name = settings.name.as_deref();
        let model = pool.install(|| ServedModel::load(folder, name, &settings))?;
        let tls = settings
            .tls
            .clone()
            .map(Tls::read)
            .transpose()?
            .map(Arc::new);
        let app = app(settings, model, &pool)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(CONNECTION_THREADS)
            .max_blocking_threads(app.settings.threads + 2)
            .thread_name("connections")
            .enable_all()
            .build()
            .map_err(|error| start("the threads of the connections")(error.to_string()))?;
        let listener = listen(&runtime, &app.settings.host, app.settings.port)?;
        let address = listener.local_addr().map_err(|source| ServeError::Listen {
            address: app.settings.host.clone(),
            source,
        })?;
        let (stop, stopped) = watch::channel(false);
        let package = folder.to_owned();
        let reloader = Reloader::new(Arc::clone(&app), package, tls.clone(), pool);
        let reloader = Arc::new(reloader);
        if app.settings.watch {
            runtime.spawn(Arc::clone(&reloader).watch(stopped.clone()));
        }
        let router = router(Arc::clone(&app));
        let serving = connections::serve(listener, Arc::clone(&app), router, tls, stopped);
        Ok(Self {
            serving: runtime.spawn(serving),
            runtime,
            address,
            app,
            reloader,
            stop,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The numbers that the network multiplies in.
    pub fn precision(&self) -> Precision {
        self.app.models.get().predictor.precision()
    }

    /// Name and version of the model of now.
    pub fn model(&self) -> (String, String) {
        let model = self.app.models.get();
        (model.name.clone(), model.version.clone())
    }

    /// Loads the package again, beside the one that is served, and switches if it is good; token and certificate too.
    ///
    /// # Errors
    /// What is wrong with the new one; the old one then stays.
    pub fn reload(&self) -> Result<(), ServeError> {
        self.reloader.reload()
    }

    /// The metrics as text.
    pub fn metrics(&self) -> String {
        self.app.metrics.text(self.app.images.used(), 0)
    }

    /// Accepts no more, answers every request that was accepted, and ends. Returns the number of connections that were
    /// still open when the time to stop was over.
    pub fn stop(self) -> usize {
        self.stop_unless(std::future::pending())
    }

    /// Serves until the program gets SIGTERM or Ctrl-C, then stops as [`Server::stop`] does, or at once at the second
    /// signal; reloads at SIGHUP. Returns as [`Server::stop`] does.
    ///
    /// # Errors
    /// [`ServeError::Start`] if the signals cannot be handled.
    pub fn run(self) -> Result<usize, ServeError> {
        let signals = {
            let _entered = self.runtime.enter();
            Signals::new()
        };
        let mut signals = signals.map_err(|error| ServeError::Start {
            what: "the handling of signals",
            reason: error.to_string(),
        })?;
        self.runtime.block_on(signals.stop(&self.reloader));
        tracing::info!("stopping: answering what was accepted");
        let reloader = Arc::clone(&self.reloader);
        Ok(self.stop_unless(async move { signals.stop(&reloader).await }))
    }

    fn stop_unless(self, hurry: impl Future<Output = ()>) -> usize {
        self.app.stopping.store(true, Ordering::Release);
        // There is a receiver as long as it serves.
        let _ = self.stop.send(true);
        let app = &self.app;
        let broken_off = self.runtime.block_on(async {
            tokio::select! {
                ended = self.serving => ended.unwrap_or(0),
                () = hurry => app.metrics.open_connections(),
            }
        });
        self.app.batcher.close();
        self.runtime.shutdown_background();
        broken_off
    }
}

fn app(
    settings: Settings,
    model: ServedModel,
    pool: &Arc<rayon::ThreadPool>,
) -> Result<Arc<App>, ServeError> {
    let metrics = Arc::new(Metrics::default());
    metrics.model(&model.name, &model.version);
    let batcher = Batcher::start(Arc::clone(pool), settings.max_batch, Arc::clone(&metrics));
    let batcher = batcher.map_err(|error| ServeError::Start {
        what: "the thread for batches",
        reason: error.to_string(),
    })?;
    Ok(Arc::new(App {
        models: CurrentModel::new(model),
        batcher,
        images: Budget::new(settings.queue),
        bodies: Budget::new(settings.bodies_bytes()),
        workers: Arc::new(Semaphore::new(settings.threads)),
        metrics,
        token: Token::read(settings.token_file.as_deref())?,
        stopping: AtomicBool::new(false),
        settings,
    }))
}

fn listen(
    runtime: &tokio::runtime::Runtime,
    host: &str,
    port: u16,
) -> Result<TcpListener, ServeError> {
    let address = || format!("{host}:{port}");
    let error = |source| ServeError::Listen {
        address: address(),
        source,
    };
    let found = (host, port).to_socket_addrs().map_err(error)?.next();
    let found = found.ok_or_else(|| error(std::io::ErrorKind::NotFound.into()))?;
    let _entered = runtime.enter();
    let socket = match found {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    };
    let socket = socket.map_err(error)?;
    // A server that restarts need not wait for old connections to be forgotten.
    #[cfg(unix)]
    socket.set_reuseaddr(true).map_err(error)?;
    socket.bind(found).map_err(error)?;
    socket.listen(BACKLOG).map_err(error)
}

/// The signals that the program handles itself.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop; reloads at others.
    async fn stop(&mut self, reloader: &Arc<Reloader>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    let reloader = Arc::clone(reloader);
                    // The log has the result.
                    let _ = tokio::task::spawn_blocking(move || reloader.reload()).await;
                }
            }
        }
    }
}

/// Ctrl-C, which is all that there is here.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn stop(&mut self, _reloader: &Arc<Reloader>) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
