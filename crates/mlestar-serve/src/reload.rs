//! Loads another package beside the one that is served, and switches once it is known to be good.

use crate::app::App;
use crate::error::ServeError;
use crate::model::ServedModel;
use crate::stop;
use crate::tls::Tls;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// How often the package's files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What can be read again while the server runs.
#[derive(Debug)]
pub struct Reloader {
    app: Arc<App>,
    package: PathBuf,
    tls: Option<Arc<Tls>>,
    pool: Arc<rayon::ThreadPool>,
    /// One at a time.
    busy: Mutex<()>,
}

/// Size and time of each file: what changes when a file does.
type Fingerprint = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

impl Reloader {
    /// Reloads `package` into `app`.
    pub fn new(
        app: Arc<App>,
        package: PathBuf,
        tls: Option<Arc<Tls>>,
        pool: Arc<rayon::ThreadPool>,
    ) -> Self {
        Self {
            app,
            package,
            tls,
            pool,
            busy: Mutex::new(()),
        }
    }

    /// Reads token, certificate and package again. Requests that run keep the model that they began with. What cannot
    /// be read stays as it was; the log and the metrics say so.
    ///
    /// # Errors
    /// The first of the failures.
    pub fn reload(&self) -> Result<(), ServeError> {
        let _busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let token = self
            .app
            .token
            .renew(self.app.settings.token_file.as_deref());
        let tls = self.tls.as_ref().map_or(Ok(()), |tls| tls.renew());
        for failure in [&token, &tls]
            .into_iter()
            .filter_map(|result| result.as_ref().err())
        {
            tracing::error!(error = %failure, "the old one stays in use");
        }
        self.reload_package().and(token).and(tls)
    }

    fn reload_package(&self) -> Result<(), ServeError> {
        let old = self.app.models.get();
        let settings = &self.app.settings;
        let loaded = self
            .pool
            .install(|| ServedModel::load(&self.package, Some(&old.name), settings));
        self.app.metrics.reload(loaded.is_ok());
        match loaded {
            Ok(model) => {
                let model = self.app.models.set(model);
                self.app.metrics.model(&model.name, &model.version);
                tracing::info!(
                    from = old.version,
                    to = model.version,
                    precision = model.predictor.precision().name(),
                    "package loaded"
                );
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, version = old.version, "package not loaded; the old one stays in use");
                Err(error)
            }
        }
    }

    /// Reloads when the package's files have changed and then stayed the same between two looks, until `stop`.
    pub async fn watch(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut loaded = fingerprint(&self.package);
        let mut before = loaded.clone();
        loop {
            tokio::select! {
                _ = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop::requested(&mut stop) => return,
            }
            let package = self.package.clone();
            let looked = tokio::task::spawn_blocking(move || fingerprint(&package)).await;
            let now = looked.unwrap_or_default();
            if now != loaded && now == before {
                loaded = now.clone();
                let reloader = Arc::clone(&self);
                // The log has the result.
                let _ = tokio::task::spawn_blocking(move || reloader.reload()).await;
            }
            before = now;
        }
    }
}

fn fingerprint(package: &Path) -> Fingerprint {
    let mut files = Fingerprint::new();
    let mut folders = vec![package.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            // Follows links: some deployments switch a link to the new folder.
            match std::fs::metadata(&path) {
                Ok(found) if found.is_dir() => folders.push(path),
                Ok(found) => {
                    files.insert(path, (found.len(), found.modified().ok()));
                }
                Err(_) => {}
            }
        }
    }
    files
}
