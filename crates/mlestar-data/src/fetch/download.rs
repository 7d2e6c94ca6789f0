//! Downloads a file of known size and hash, and resumes after an interruption.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};
use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::{ArchiveManifest, FetchOptions, FetchProgress, FetchStage};
use crate::error::{DataError, Result};

/// A file to download.
pub(super) struct Wanted<'a> {
    pub url: &'a str,
    /// Its size; `None` if only the server knows it.
    pub bytes: Option<u64>,
    /// Its SHA-256 in lower-case hexadecimal, or the first digits of it.
    pub sha256: &'a str,
}

impl<'a> From<&'a ArchiveManifest> for Wanted<'a> {
    fn from(archive: &'a ArchiveManifest) -> Self {
        Self {
            url: &archive.url,
            bytes: Some(archive.bytes),
            sha256: &archive.sha256,
        }
    }
}

impl Wanted<'_> {
    /// Size and hash in words.
    fn in_words(&self) -> String {
        match self.bytes {
            Some(bytes) => format!("{bytes} bytes, SHA-256 {}", self.sha256),
            None => format!("SHA-256 beginning with {}", self.sha256),
        }
    }
}

/// Downloads a file to `place`. Until it is complete and verified, it is named `place` with `.part`
/// appended; an existing file of that name is resumed.
///
/// # Errors
/// [`DataError::Download`] if the address cannot be reached or does not have the file, and
/// [`DataError::Verification`] if the downloaded file has another size or hash.
pub(super) fn download(
    wanted: &Wanted<'_>,
    place: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<()> {
    let url = options.url.as_deref().unwrap_or(wanted.url);
    let part = part_of(place);
    let failed = |reason: String| DataError::Download {
        url: url.to_string(),
        reason,
        expected: wanted.in_words(),
        place: place.to_owned(),
    };
    let agent = agent(url, options.certificates.as_deref())?;
    let mut is_resumed = length(&part) > 0;
    let (mut n_failures, mut furthest) = (0, length(&part));
    // Known from the beginning, or from the first answer.
    let mut total = wanted.bytes;
    loop {
        options.check_stop("downloading")?;
        let have = length(&part);
        if total.is_some_and(|total| have >= total) {
            match verify(wanted, &part, options, progress) {
                Ok(()) => return fs::rename(&part, place).map_err(|e| DataError::write(place, e)),
                // The partial file may have been damaged or of another version: try once more from the start.
                Err(DataError::Verification { .. }) if is_resumed => {
                    remove(&part)?;
                    (is_resumed, furthest) = (false, 0);
                    continue;
                }
                Err(error) => {
                    if matches!(error, DataError::Verification { .. }) {
                        remove(&part)?;
                    }
                    return Err(error);
                }
            }
        }
        let reason = match transfer(&agent, url, &mut total, &part, options, progress) {
            Ok(total) if length(&part) >= total => continue,
            Ok(total) => format!(
                "the connection ended after {} of {total} bytes",
                length(&part)
            ),
            Err(Failure::Disk(error) | Failure::Stopped(error)) => return Err(error),
            Err(Failure::Final(reason)) => return Err(failed(reason)),
            Err(Failure::Passing(reason)) => reason,
        };
        let now = length(&part);
        n_failures = if now > furthest { 0 } else { n_failures + 1 };
        furthest = furthest.max(now);
        is_resumed |= now > 0;
        if n_failures >= options.attempts.max(1) {
            return Err(failed(reason));
        }
        thread::sleep(options.retry_wait);
    }
}

/// Checks a file's size, if it is known, and SHA-256.
pub(super) fn verify(
    wanted: &Wanted<'_>,
    path: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<()> {
    let different = |what, expected: String, found: String| {
        Err(DataError::Verification {
            path: path.to_owned(),
            what,
            expected,
            found,
        })
    };
    let bytes = fs::metadata(path)
        .map_err(|e| DataError::read(path, e))?
        .len();
    if let Some(expected) = wanted.bytes.filter(|&expected| expected != bytes) {
        return different("size in bytes", expected.to_string(), bytes.to_string());
    }
    let file = File::open(path).map_err(|e| DataError::read(path, e))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        options.check_stop("verifying")?;
        let n = reader
            .read(&mut buffer)
            .map_err(|e| DataError::read(path, e))?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        done += n as u64;
        progress(FetchProgress {
            stage: FetchStage::Verifying,
            bytes_done: done,
            bytes_total: bytes,
        });
    }
    let found: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if !found.starts_with(wanted.sha256) {
        let expected = match wanted.sha256.len() {
            64 => wanted.sha256.to_owned(),
            digits => format!("{} in its first {digits} digits", wanted.sha256),
        };
        return different("SHA-256", expected, found);
    }
    Ok(())
}

enum Failure {
    /// Trying again may help.
    Passing(String),
    /// Trying again will not help.
    Final(String),
    /// The file cannot be written.
    Disk(DataError),
    /// A stop was requested.
    Stopped(DataError),
}

/// One request: continues `part` until the connection ends. Returns the size of the file; if `known` is `None`, the answer
/// must tell it.
fn transfer(
    agent: &Agent,
    url: &str,
    known: &mut Option<u64>,
    part: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<u64, Failure> {
    let have = length(part);
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("range", format!("bytes={have}-"));
    }
    let mut response = request.call().map_err(|e| match e {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::TooManyRedirects => {
            Failure::Final(e.to_string())
        }
        other => Failure::Passing(other.to_string()),
    })?;
    let status = response.status();
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(String::from)
    };
    let have = match status {
        StatusCode::PARTIAL_CONTENT
            if header("content-range")
                .is_some_and(|r| r.starts_with(&format!("bytes {have}-"))) =>
        {
            have
        }
        // The server sends everything: restart.
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            remove(part).map_err(Failure::Disk)?;
            return Err(Failure::Passing(format!(
                "the server cannot continue at byte {have}"
            )));
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Failure::Passing(format!("the server answered {status}")));
        }
        status => return Err(Failure::Final(format!("the server answered {status}"))),
    };
    let offered = header("content-length").and_then(|v| v.parse::<u64>().ok());
    let offered = offered.map(|offered| have.saturating_add(offered));
    let total = match (*known, offered) {
        (Some(total), Some(offered)) if offered != total => {
            return Err(Failure::Final(format!(
                "the server offers {offered} bytes, but the file has {total}; it is another file, or an error page"
            )));
        }
        (Some(total), _) | (None, Some(total)) => total,
        (None, None) => {
            let reason = "the server does not say how large the file is";
            return Err(Failure::Final(reason.to_owned()));
        }
    };
    *known = Some(total);
    // One byte too many is enough to know that it is another file.
    let body = response.body_mut().as_reader().take(total + 1 - have);
    append(body, part, have, total, options, progress)?;
    Ok(total)
}

fn append(
    mut body: impl Read,
    part: &Path,
    have: u64,
    total: u64,
    options: &FetchOptions,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<(), Failure> {
    let disk = |e| Failure::Disk(DataError::write(part, e));
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(part)
        .map_err(disk)?;
    file.set_len(have).map_err(disk)?;
    let mut buffer = vec![0; 1 << 17];
    let mut done = have;
    progress(FetchProgress {
        stage: FetchStage::Downloading,
        bytes_done: done,
        bytes_total: total,
    });
    loop {
        options
            .check_stop("downloading")
            .map_err(Failure::Stopped)?;
        let n = body
            .read(&mut buffer)
            .map_err(|e| Failure::Passing(e.to_string()))?;
        if n == 0 {
            return file.sync_all().map_err(disk);
        }
        file.write_all(&buffer[..n]).map_err(disk)?;
        done += n as u64;
        progress(FetchProgress {
            stage: FetchStage::Downloading,
            bytes_done: done,
            bytes_total: total,
        });
    }
}

fn agent(url: &str, certificates: Option<&Path>) -> Result<Agent> {
    let mut builder = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_resolve(Some(Duration::from_secs(20)))
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        // A stalled connection is closed and resumed.
        .timeout_per_read(Some(Duration::from_secs(60)));
    if is_local(url) {
        // A proxy from the environment cannot reach servers on this machine.
        builder = builder.proxy(None);
    }
    if let Some(path) = certificates {
        builder = builder.tls_config(
            TlsConfig::builder()
                .root_certs(read_certificates(path)?)
                .build(),
        );
    }
    Ok(builder.build().into())
}

fn read_certificates(path: &Path) -> Result<RootCerts> {
    let pem = fs::read(path).map_err(|e| DataError::read(path, e))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(DataError::Layout {
            path: path.to_owned(),
            problem: "it holds no certificate in PEM form".to_string(),
            remedy:
                "name a file of trusted certificate authorities, or none to use the built-in ones"
                    .to_string(),
        });
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

fn is_local(url: &str) -> bool {
    ["http://127.0.0.1", "http://localhost", "http://[::1]"]
        .iter()
        .any(|start| url.starts_with(start))
}

fn part_of(place: &Path) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |m| m.len())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(DataError::write(path, e)),
        _ => Ok(()),
    }
}
