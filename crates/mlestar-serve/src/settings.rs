//! The settings of a server.

use crate::error::ServeError;
use mlestar_export::Precision;
use std::path::PathBuf;
use std::time::Duration;

/// Everything about a server except its model.
///
/// | field | default | range | purpose |
/// |---|---|---|---|
/// | `host`, `port` | 127.0.0.1, 8080 | port 0 takes a free one | where it listens |
/// | `name` | from the package | | the model's name in `/v2/models/NAME` |
/// | `threads` | all cores | 1-1024 | threads for the network, and images decoded at a time |
/// | `precision` | the fastest that the package allows | f32, bf16, int8 | the numbers that the network multiplies in |
/// | `max_batch` | 16 a thread | 1-65536 | most images that pass through the network together |
/// | `queue` | 512 | 1-1000000 | most images accepted and not answered; beyond, 429 |
/// | `max_body_bytes` | 16 MiB | 1 KiB-1 GiB | largest body; beyond, 413 |
/// | `max_pixels` | 50 million | 1-1 billion | largest image before resizing; beyond, 413 |
/// | `token_file` | none | | a file with the token that requests must bear |
/// | `tls` | none | | certificate and key |
/// | `watch` | false | | reload when the package changes |
/// | `max_connections` | 16384 | 1-1000000 | open connections; beyond, 503 |
/// | `timeouts` | [`Timeouts`] | | |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A name or address of this machine.
    pub host: String,
    /// The port; 0 for a free one.
    pub port: u16,
    /// The model's name in paths; `None` for that of its run or folder.
    pub name: Option<String>,
    /// Threads that run the network; as many images are decoded at a time.
    pub threads: usize,
    /// The numbers that the network multiplies in; `None` for the fastest on this machine that the package allows.
    pub precision: Option<Precision>,
    /// Most images in a batch.
    pub max_batch: usize,
    /// Most images that are accepted and not yet answered.
    pub queue: usize,
    /// Largest body of a request in bytes.
    pub max_body_bytes: usize,
    /// Largest image in pixels, by its header, before it is decoded.
    pub max_pixels: u64,
    /// A file with the token that every request must bear, except those for health and for the page.
    pub token_file: Option<PathBuf>,
    /// The files for TLS.
    pub tls: Option<TlsFiles>,
    /// Whether the package is loaded again when its files change.
    pub watch: bool,
    /// Most connections that are open at a time.
    pub max_connections: usize,
    /// How long each part of a request may take.
    pub timeouts: Timeouts,
}

/// Certificate and key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by the intermediate ones.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How long each part of a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the opening of a connection, or its last answer, to the end of a request's header; also the TLS
    /// handshake. Then the connection is closed. Default 30 s.
    pub header: Duration,
    /// The whole body of a request; beyond, 408. Default 30 s.
    pub body: Duration,
    /// From the end of the body to the answer: decoding, waiting and computing; beyond, 504. Default 30 s.
    pub answer: Duration,
    /// A pause while the client takes the answer; then the connection is closed. Default 30 s.
    pub write: Duration,
    /// From the signal to stop to the end of the program, whatever is unanswered. Default 30 s.
    pub stop: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let half_a_minute = Duration::from_secs(30);
        Self {
            header: half_a_minute,
            body: half_a_minute,
            answer: half_a_minute,
            write: half_a_minute,
            stop: half_a_minute,
        }
    }
}

/// Images of a batch for each thread. The executor takes 16 images a thread through the network at a time, so larger
/// batches are no faster.
const BATCH_PER_THREAD: usize = 16;

impl Default for Settings {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8080,
            name: None,
            threads,
            precision: None,
            max_batch: BATCH_PER_THREAD * threads,
            queue: 512,
            max_body_bytes: 16 << 20,
            max_pixels: 50_000_000,
            token_file: None,
            tls: None,
            watch: false,
            max_connections: 16_384,
            timeouts: Timeouts::default(),
        }
    }
}

impl Settings {
    /// The default settings for this number of threads.
    #[must_use]
    pub fn with_threads(threads: usize) -> Self {
        Self {
            threads,
            max_batch: BATCH_PER_THREAD * threads,
            ..Self::default()
        }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`ServeError::Setting`] with the option, its value and its range.
    pub fn check(&self) -> Result<(), ServeError> {
        let sizes = [
            ("--threads", self.threads, 1, 1024),
            ("--max-batch", self.max_batch, 1, 65_536),
            ("--queue", self.queue, 1, 1_000_000),
            (
                "--max-body-mb in bytes",
                self.max_body_bytes,
                1 << 10,
                1 << 30,
            ),
            ("--max-connections", self.max_connections, 1, 1_000_000),
        ];
        for (name, value, least, most) in sizes {
            within(name, value as u64, least as u64, most as u64)?;
        }
        within("--max-pixels", self.max_pixels, 1, 1_000_000_000)?;
        match &self.name {
            Some(name) if !is_name(name) => Err(ServeError::Setting {
                name: "--name",
                value: format!("{name:?}"),
                range: "1 to 128 letters, digits, `-`, `_` or `.`".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Bytes of bodies that may be in memory together: 32 of the largest.
    pub(crate) fn bodies_bytes(&self) -> usize {
        32 * self.max_body_bytes
    }
}

fn within(name: &'static str, value: u64, least: u64, most: u64) -> Result<(), ServeError> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(ServeError::Setting {
            name,
            value: value.to_string(),
            range: format!("{least} to {most}"),
        }),
    }
}

/// Whether a name can stand in a path as it is.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && name.chars().any(|c| c != '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_outside_its_range_is_named() {
        Settings::default().check().unwrap();
        let error = |settings: Settings| settings.check().unwrap_err().to_string();
        assert_eq!(
            error(Settings {
                max_batch: 0,
                ..Settings::default()
            }),
            "--max-batch is 0, but must be 1 to 65536"
        );
        assert_eq!(
            error(Settings {
                max_pixels: 0,
                ..Settings::default()
            }),
            "--max-pixels is 0, but must be 1 to 1000000000"
        );
        let name = Some("a/b".to_owned());
        assert!(
            error(Settings {
                name,
                ..Settings::default()
            })
            .contains("--name is \"a/b\"")
        );
    }

    #[test]
    fn names_cannot_lead_out_of_their_path() {
        assert!(is_name("folder-2_b.1"));
        for name in ["", "..", "a/b", "a b", "ä"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
