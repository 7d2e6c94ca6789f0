//! The program: arguments, log and signals.

mod arguments;
mod log;

use crate::error::ServeError;
use crate::model::package_of;
use crate::server::Server;

pub use arguments::ServeArguments;

/// Serves until a signal stops it, with a line of JSON on standard error for each request. Returns the number of
/// connections that it had to break off.
///
/// # Errors
/// As for [`Server::start`] and [`Server::run`].
pub fn run(arguments: &ServeArguments) -> Result<usize, ServeError> {
    let settings = arguments.settings();
    settings.check()?;
    let folder = package_of(&arguments.package)?;
    log::install();
    raise_file_limit();
    let scheme = if settings.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let is_public = settings.token_file.is_none() && !is_loopback(&settings.host);
    let server = Server::start(&folder, settings)?;
    let (model, version) = server.model();
    let url = format!("{scheme}://{}", server.address());
    let precision = server.precision().name();
    tracing::info!(url, model, version, precision, package = %folder.display(), "serving");
    if is_public {
        tracing::warn!(
            "everyone who reaches this address may use it: --token-file asks for a token"
        );
    }
    server.run()
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A connection takes a file descriptor, and many systems give a program 1024 unless it asks for more.
#[cfg(unix)]
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
}

#[cfg(not(unix))]
fn raise_file_limit() {}
