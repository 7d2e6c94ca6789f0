//! Accepts connections and serves each, until the server stops.

use crate::app::App;
use crate::io::WriteTimeout;
use crate::stop;
use crate::tls::Tls;
use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

/// The largest header of a request in bytes; beyond, 431.
const MAX_HEADER: usize = 32 << 10;

/// The pause after the system refuses a connection, as for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// When the server stops, a new connection has this long to send the beginning of its first request.
const FIRST_REQUEST: Duration = Duration::from_millis(250);

/// What all connections share.
#[derive(Debug)]
struct Shared {
    app: Arc<App>,
    router: Router,
    tls: Option<Arc<Tls>>,
    stop: watch::Receiver<bool>,
}

/// Serves until `stop` turns true; then stops accepting and answers what was accepted, for at most the time to stop.
/// Returns the number of connections that it had to break off.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    router: Router,
    tls: Option<Arc<Tls>>,
    mut stop: watch::Receiver<bool>,
) -> usize {
    let most = app.settings.max_connections;
    let places = Arc::new(Semaphore::new(most));
    let shared = Arc::new(Shared {
        app: Arc::clone(&app),
        router,
        tls,
        stop: stop.clone(),
    });
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => begin(&shared, &places, stream),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(PAUSE).await;
                }
            },
            () = stop::requested(&mut stop) => break,
        }
    }
    // Those that the system has taken already.
    while let Ok(Ok((stream, _))) = timeout(Duration::ZERO, listener.accept()).await {
        begin(&shared, &places, stream);
    }
    drop(listener);
    let all = u32::try_from(most).unwrap_or(u32::MAX);
    let ended = timeout(app.settings.timeouts.stop, places.acquire_many(all)).await;
    match ended {
        Ok(_) => 0,
        Err(_) => most - places.available_permits(),
    }
}

fn begin(shared: &Arc<Shared>, places: &Arc<Semaphore>, stream: TcpStream) {
    let shared = Arc::clone(shared);
    match Arc::clone(places).try_acquire_owned() {
        Ok(place) => {
            tokio::spawn(connection(shared, stream, place));
        }
        Err(_) => {
            shared.app.metrics.rejected("connections");
            tokio::spawn(turn_away(stream, shared.tls.is_some()));
        }
    }
}

/// Says why, where that is possible without a handshake.
async fn turn_away(mut stream: TcpStream, is_tls: bool) {
    const BODY: &str = r#"{"error":"the server has no connection left"}"#;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {}\r\nRetry-After: 1\r\n\
         Connection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    if !is_tls {
        let _ = timeout(PAUSE, stream.write_all(answer.as_bytes())).await;
    }
}

/// Counts an open connection.
struct Open(Arc<App>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connection(-1);
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, _place: OwnedSemaphorePermit) {
    shared.app.metrics.connection(1);
    let _open = Open(Arc::clone(&shared.app));
    // Answers are written whole: waiting for more only delays them.
    let _ = stream.set_nodelay(true);
    let timeouts = shared.app.settings.timeouts;
    let Some(tls) = &shared.tls else {
        return requests(&shared, WriteTimeout::new(stream, timeouts.write)).await;
    };
    match timeout(timeouts.header, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => requests(&shared, WriteTimeout::new(stream, timeouts.write)).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(shared: &Shared, stream: S) {
    let has_begun = AtomicBool::new(false);
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        has_begun.store(true, Ordering::Relaxed);
        let request: Request = request.map(axum::body::Body::new);
        let mut router = shared.router.clone();
        async move { Ok::<_, Infallible>(call(&mut router, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.app.settings.timeouts.header)
        .max_buf_size(MAX_HEADER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut stop = shared.stop.clone();
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stop::requested(&mut stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            let first = (!has_begun.load(Ordering::Relaxed)).then_some(FIRST_REQUEST);
            let early = timeout(first.unwrap_or_default(), connection.as_mut()).await;
            match early {
                Ok(ended) => ended,
                Err(_) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn call(router: &mut Router, request: Request) -> axum::response::Response {
    use hyper_util::service::TowerToHyperService;
    match hyper::service::Service::call(&TowerToHyperService::new(router.clone()), request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
