//! Fetching from a server on this machine: complete, interrupted, wrong and hostile.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use mlestar_data::fetch::{
    ArchiveFile, ArchiveManifest, FetchOptions, FetchStage, PublishedWeights, UnpackLimits, fetch,
    fetch_weights, unpack,
};
use mlestar_data::readers::cifar::CifarKind;
use mlestar_data::{DataConfig, SourceKind, load};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::support::{cifar, refused};

/// The behaviour of the server.
#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    Normal,
    /// Sends everything, whatever range is requested.
    IgnoresRange,
    /// Ends each connection after this many bytes.
    Breaks(usize),
    /// Answers with a status and a short page.
    Status(u16),
    /// Fails this many times, then works.
    FailsFirst(usize),
    /// Accepts connections and closes them.
    Silent,
}

struct Server {
    url: String,
    ranges: Arc<Mutex<Vec<Option<usize>>>>,
}

impl Server {
    fn start(content: Vec<u8>, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/archive.tar.gz", listener.local_addr().unwrap());
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let log = ranges.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that disconnects is one of the tests.
                let _ = answer(stream, &content, behaviour, &log);
            }
        });
        Self { url, ranges }
    }

    fn options(&self) -> FetchOptions {
        FetchOptions {
            url: Some(self.url.clone()),
            retry_wait: Duration::ZERO,
            ..FetchOptions::default()
        }
    }

    /// The requested start of each request.
    fn ranges(&self) -> Vec<Option<usize>> {
        self.ranges.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    content: &[u8],
    behaviour: Behaviour,
    log: &Mutex<Vec<Option<usize>>>,
) -> std::io::Result<()> {
    let mut range = None;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?.to_ascii_lowercase();
        if let Some(from) = line.strip_prefix("range: bytes=") {
            range = from.trim_end_matches('-').parse::<usize>().ok();
        }
        if line.is_empty() {
            break;
        }
    }
    let n_requests = {
        let mut log = log.lock().unwrap();
        log.push(range);
        log.len()
    };
    let status = match behaviour {
        Behaviour::Silent => return Ok(()),
        Behaviour::Status(status) => Some(status),
        Behaviour::FailsFirst(n) if n_requests <= n => Some(503),
        _ => None,
    };
    if let Some(status) = status {
        return write!(
            stream,
            "HTTP/1.1 {status} x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nsorry"
        );
    }
    let from = if behaviour == Behaviour::IgnoresRange {
        0
    } else {
        range.unwrap_or(0)
    };
    if from > 0 {
        let last = content.len() - 1;
        write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {from}-{last}/{}\r\n",
            content.len()
        )?;
    } else {
        write!(stream, "HTTP/1.1 200 OK\r\n")?;
    }
    write!(
        stream,
        "content-length: {}\r\nconnection: close\r\n\r\n",
        content.len() - from
    )?;
    let rest = &content[from..];
    stream.write_all(match behaviour {
        Behaviour::Breaks(n) => &rest[..n.min(rest.len())],
        _ => rest,
    })
}

fn gzip(tar: tar::Builder<Vec<u8>>) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&tar.into_inner().unwrap()).unwrap();
    gzip.finish().unwrap()
}

/// A small CIFAR-10 in an archive like the official one, with its manifest.
fn archive() -> (Vec<u8>, ArchiveManifest) {
    let folder = tempfile::tempdir().unwrap();
    cifar(folder.path(), CifarKind::Cifar10, 20, 20);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all("cifar-10-batches-bin", folder.path())
        .unwrap();
    let bytes = gzip(tar);
    let known = ArchiveManifest::known("cifar10").unwrap();
    let files = known
        .files
        .iter()
        .map(|f| ArchiveFile {
            bytes: f.bytes.map(|_| 20 * 3073),
            ..f.clone()
        })
        .collect();
    let manifest = ArchiveManifest {
        bytes: bytes.len() as u64,
        sha256: sha256(&bytes),
        files,
        ..known
    };
    (bytes, manifest)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_archive_is_downloaded_verified_and_unpacked() {
    let (bytes, manifest) = archive();
    let server = Server::start(bytes, Behaviour::Normal);
    let into = tempfile::tempdir().unwrap();
    let mut stages = Vec::new();
    let mut progress = |p: mlestar_data::fetch::FetchProgress| {
        assert!(p.bytes_done <= p.bytes_total || p.stage == FetchStage::Unpacking);
        if stages.last() != Some(&p.stage) {
            stages.push(p.stage);
        }
    };
    let folder = fetch(&manifest, into.path(), &server.options(), &mut progress).unwrap();
    assert_eq!(
        stages,
        [
            FetchStage::Downloading,
            FetchStage::Verifying,
            FetchStage::Unpacking
        ]
    );
    assert_eq!(
        names_in(into.path()),
        ["cifar-10-batches-bin"],
        "nothing else stays"
    );
    let loaded = load(&DataConfig::new(SourceKind::Cifar10, &folder), 1).unwrap();
    assert_eq!(loaded.splits.test.len(), 20);

    // An existing dataset is not fetched again.
    fetch(&manifest, into.path(), &server.options(), &mut |_| {}).unwrap();
    assert_eq!(server.ranges(), [None]);
    fs::remove_file(folder.join("test_batch.bin")).unwrap();
    let again = fetch(&manifest, into.path(), &server.options(), &mut |_| {});
    refused(
        again,
        &[
            "is not a complete CIFAR-10",
            "test_batch.bin is missing",
            "delete or rename it",
        ],
    );
}

#[test]
fn an_interrupted_download_is_continued() {
    let (bytes, manifest) = archive();
    let n = bytes.len();
    let into = tempfile::tempdir().unwrap();
    fs::write(
        into.path().join("cifar-10-binary.tar.gz.part"),
        &bytes[..n / 2],
    )
    .unwrap();
    let server = Server::start(bytes, Behaviour::Normal);
    let options = FetchOptions {
        keep_archive: true,
        ..server.options()
    };
    fetch(&manifest, into.path(), &options, &mut |_| {}).unwrap();
    assert_eq!(server.ranges(), [Some(n / 2)]);
    assert_eq!(
        names_in(into.path()),
        ["cifar-10-batches-bin", "cifar-10-binary.tar.gz"]
    );
}

/// The stop comes with the first bytes; the next call requests the rest.
#[test]
fn a_download_that_is_stopped_goes_on_where_it_was() {
    let (bytes, manifest) = archive();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(bytes.clone(), Behaviour::Normal);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let options = FetchOptions {
        stop: Some(Arc::clone(&stop)),
        ..server.options()
    };
    let mut seen = 0;
    let stopped = fetch(&manifest, folder.path(), &options, &mut |progress| {
        seen += 1;
        if progress.stage == FetchStage::Downloading && progress.bytes_done > 0 {
            stop.store(true, std::sync::atomic::Ordering::Release);
        }
    });
    refused(
        stopped,
        &["stopped while", "run the same command again to resume"],
    );
    assert!(seen > 0);
    let left = names_in(folder.path());
    assert!(!left.is_empty(), "what was downloaded is kept");
    stop.store(false, std::sync::atomic::Ordering::Release);
    fetch(&manifest, folder.path(), &options, &mut |_| ()).unwrap();
    assert!(server.ranges().len() <= 2);
}

#[test]
fn a_connection_that_breaks_again_and_again_is_resumed() {
    let (bytes, manifest) = archive();
    let step = bytes.len() / 7;
    let server = Server::start(bytes, Behaviour::Breaks(step));
    let into = tempfile::tempdir().unwrap();
    fetch(&manifest, into.path(), &server.options(), &mut |_| {}).unwrap();
    let ranges = server.ranges();
    assert!(ranges.len() >= 7, "{ranges:?}");
    assert_eq!(ranges[1], Some(step));
}

#[test]
fn a_server_that_ignores_ranges_starts_over() {
    let (bytes, manifest) = archive();
    let into = tempfile::tempdir().unwrap();
    fs::write(
        into.path().join("cifar-10-binary.tar.gz.part"),
        &bytes[..100],
    )
    .unwrap();
    let server = Server::start(bytes, Behaviour::IgnoresRange);
    fetch(&manifest, into.path(), &server.options(), &mut |_| {}).unwrap();
    assert_eq!(server.ranges(), [Some(100)]);
}

#[test]
fn a_damaged_beginning_is_noticed_and_fetched_anew() {
    let (bytes, manifest) = archive();
    let n = bytes.len();
    for length in [n / 2, n, n + 10] {
        let into = tempfile::tempdir().unwrap();
        fs::write(
            into.path().join("cifar-10-binary.tar.gz.part"),
            vec![7; length],
        )
        .unwrap();
        let server = Server::start(bytes.clone(), Behaviour::Normal);
        fetch(&manifest, into.path(), &server.options(), &mut |_| {}).unwrap();
        assert_eq!(server.ranges().last(), Some(&None));
    }
}

#[test]
fn passing_failures_are_tried_again() {
    let (bytes, manifest) = archive();
    let into = tempfile::tempdir().unwrap();
    let server = Server::start(bytes, Behaviour::FailsFirst(2));
    fetch(&manifest, into.path(), &server.options(), &mut |_| {}).unwrap();
    assert_eq!(server.ranges().len(), 3);
}

#[test]
fn offline_the_error_says_what_to_put_where() {
    let (bytes, manifest) = archive();
    let into = tempfile::tempdir().unwrap();
    // A port that was just free and on which nobody listens.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let options = FetchOptions {
        url: Some(format!("http://127.0.0.1:{port}/archive.tar.gz")),
        retry_wait: Duration::ZERO,
        ..FetchOptions::default()
    };
    let place = into.path().join("cifar-10-binary.tar.gz");
    let expect = [
        "cannot download http://127.0.0.1",
        "on another machine",
        &format!("({} bytes, SHA-256 {})", manifest.bytes, manifest.sha256),
        &format!("put it at {}", place.display()),
        "run this again",
    ];
    refused(
        fetch(&manifest, into.path(), &options, &mut |_| {}),
        &expect,
    );
    // Following the message helps.
    fs::write(&place, &bytes).unwrap();
    fetch(&manifest, into.path(), &options, &mut |_| {}).unwrap();
}

#[test]
fn a_file_without_certificates_is_refused() {
    let (_, manifest) = archive();
    let into = tempfile::tempdir().unwrap();
    let path = into.path().join("roots.pem");
    let options = FetchOptions {
        certificates: Some(path.clone()),
        ..FetchOptions::default()
    };
    refused(
        fetch(&manifest, into.path(), &options, &mut |_| {}),
        &["cannot read", "roots.pem"],
    );
    fs::write(&path, b"-----BEGIN NOTHING-----").unwrap();
    let result = fetch(&manifest, into.path(), &options, &mut |_| {});
    refused(result, &["roots.pem: it holds no certificate in PEM form"]);
}

#[test]
fn servers_without_the_file_are_reported() {
    let (bytes, manifest) = archive();
    for (behaviour, n_requests, expect) in [
        (Behaviour::Status(404), 1, "the server answered 404"),
        (Behaviour::Status(500), 3, "the server answered 500"),
        (
            Behaviour::Status(200),
            1,
            "the server offers 5 bytes, but the file has",
        ),
        (Behaviour::Silent, 3, "cannot download"),
    ] {
        let into = tempfile::tempdir().unwrap();
        let server = Server::start(bytes.clone(), behaviour);
        refused(
            fetch(&manifest, into.path(), &server.options(), &mut |_| {}),
            &[expect, "put it at"],
        );
        assert_eq!(server.ranges().len(), n_requests);
        assert!(names_in(into.path()).is_empty());
    }
}

#[test]
fn another_file_is_refused() {
    let (mut bytes, manifest) = archive();
    let n = bytes.len();
    bytes[n / 2] ^= 1;
    let into = tempfile::tempdir().unwrap();
    let server = Server::start(bytes.clone(), Behaviour::Normal);
    let result = fetch(&manifest, into.path(), &server.options(), &mut |_| {});
    refused(
        result,
        &[
            "its SHA-256 is",
            &sha256(&bytes),
            &format!("should be {}", manifest.sha256),
            "delete it",
        ],
    );
    assert!(names_in(into.path()).is_empty());

    let place = into.path().join("cifar-10-binary.tar.gz");
    fs::write(&place, &bytes[..n - 1]).unwrap();
    let result = fetch(&manifest, into.path(), &server.options(), &mut |_| {});
    refused(result, &["its size in bytes is", &format!("should be {n}")]);
    assert!(
        place.exists(),
        "a file that was put there by hand is not deleted"
    );
}

/// A tar entry with any name and kind, including those the tar crate would not write.
fn hostile(name: &str, kind: EntryType, link: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append(&header, content).unwrap();
    gzip(tar)
}

fn unpacked(bytes: &[u8], limits: UnpackLimits) -> Result<Vec<String>, mlestar_data::DataError> {
    let root = tempfile::tempdir().unwrap();
    let (archive, target) = (
        root.path().join("a.tar.gz"),
        root.path().join("inner/target"),
    );
    fs::write(&archive, bytes).unwrap();
    fs::create_dir_all(&target).unwrap();
    let result = unpack(&archive, &target, limits, &mut |_| {});
    assert_eq!(
        names_in(root.path()),
        ["a.tar.gz", "inner"],
        "nothing is written outside"
    );
    assert_eq!(names_in(&root.path().join("inner")), ["target"]);
    result.map(|()| names_in(&target))
}

#[test]
fn archives_cannot_leave_their_folder() {
    let limits = UnpackLimits::default();
    let file = |name| hostile(name, EntryType::Regular, "", b"x");
    assert_eq!(unpacked(&file("./fine"), limits).unwrap(), ["fine"]);
    refused(
        unpacked(&file("../evil"), limits),
        &["\"../evil\" leaves its folder with ..", "was not unpacked"],
    );
    refused(
        unpacked(&file("a/../../../evil"), limits),
        &["leaves its folder"],
    );
    refused(
        unpacked(&file("/tmp/evil"), limits),
        &["\"/tmp/evil\" has an absolute path"],
    );
    refused(
        unpacked(&file("C:\\evil"), limits),
        &["is not allowed in a file name"],
    );
    let special = |kind, link| hostile("x", kind, link, b"");
    refused(
        unpacked(&special(EntryType::Symlink, "/etc"), limits),
        &["\"x\" is a Symlink, but an archive may contain only files and folders"],
    );
    refused(
        unpacked(&special(EntryType::Link, "/etc/passwd"), limits),
        &["is a Link"],
    );
    refused(
        unpacked(&special(EntryType::Char, ""), limits),
        &["is a Char"],
    );
    refused(
        unpacked(&special(EntryType::Block, ""), limits),
        &["is a Block"],
    );
    refused(
        unpacked(&special(EntryType::Fifo, ""), limits),
        &["is a Fifo"],
    );
}

#[test]
fn archives_cannot_fill_the_disk_or_the_memory() {
    let limits = UnpackLimits {
        max_bytes: 1_000_000,
        max_entries: 10,
    };
    let zeros = vec![0; 1_000_001];
    refused(
        unpacked(&hostile("x", EntryType::Regular, "", &zeros), limits),
        &["holds more than 1000000 bytes"],
    );
    // A name of many megabytes is content that is read before any entry is visible.
    let name = vec![b'a'; 5_000_000];
    refused(
        unpacked(&hostile("x", EntryType::GNULongName, "", &name), limits),
        &["unpacked size is far larger"],
    );

    let mut tar = tar::Builder::new(Vec::new());
    for i in 0..11 {
        let mut header = Header::new_gnu();
        header.set_size(1);
        header.set_cksum();
        tar.append_data(&mut header, format!("f{i}"), &b"x"[..])
            .unwrap();
    }
    refused(
        unpacked(&gzip(tar), limits),
        &["holds more than 10 files and folders"],
    );
}

#[test]
fn damaged_archives_are_refused() {
    let (bytes, _) = archive();
    let limits = UnpackLimits::default();
    refused(
        unpacked(&bytes[..bytes.len() / 2], limits),
        &["it is damaged"],
    );
    refused(unpacked(b"not a gzip file", limits), &["it is damaged"]);
    let mut tar = tar::Builder::new(Vec::new());
    for _ in 0..2 {
        let mut header = Header::new_gnu();
        header.set_size(1);
        header.set_cksum();
        tar.append_data(&mut header, "same", &b"x"[..]).unwrap();
    }
    refused(unpacked(&gzip(tar), limits), &["\"same\" occurs twice"]);
}

#[test]
fn an_archive_without_its_files_leaves_no_folder() {
    let (bytes, mut manifest) = archive();
    manifest.files[0].bytes = Some(5);
    let server = Server::start(bytes, Behaviour::Normal);
    let into = tempfile::tempdir().unwrap();
    let result = fetch(&manifest, into.path(), &server.options(), &mut |_| {});
    refused(
        result,
        &[
            "does not hold what its manifest says",
            "data_batch_1.bin has 61460 bytes, but should have 5",
        ],
    );
    assert_eq!(names_in(into.path()), ["cifar-10-binary.tar.gz"]);
}

/// Weights whose name has the hash of their content.
fn weights(content: &[u8]) -> PublishedWeights {
    let url = format!(
        "http://localhost:9/models/net-{}.pth",
        &sha256(content)[..8]
    );
    PublishedWeights {
        url: Box::leak(url.into_boxed_str()),
        ..PublishedWeights::known("resnet-18").unwrap()
    }
}

#[test]
fn weights_are_downloaded_and_checked_by_the_hash_in_their_name() {
    let content: Vec<u8> = (0..200_000_u32)
        .map(|at| (at.wrapping_mul(at) >> 7) as u8)
        .collect();
    let weights = weights(&content);
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("data/weights");
    let server = Server::start(content.clone(), Behaviour::Breaks(70_000));
    let mut totals = Vec::new();
    let mut progress = |p: mlestar_data::fetch::FetchProgress| totals.push(p.bytes_total);
    let place = fetch_weights(&weights, &into, &server.options(), &mut progress).unwrap();
    assert_eq!(place, into.join(weights.file_name()));
    assert_eq!(fs::read(&place).unwrap(), content);
    assert!(totals.iter().all(|&total| total == 200_000));
    assert_eq!(server.ranges(), [None, Some(70_000), Some(140_000)]);
    assert_eq!(names_in(&into), [weights.file_name()]);
    // What is there is checked and used.
    fetch_weights(&weights, &into, &server.options(), &mut |_| {}).unwrap();
    assert_eq!(server.ranges().len(), 3);

    // Begun in an earlier call.
    fs::remove_file(&place).unwrap();
    let part = into.join(format!("{}.part", weights.file_name()));
    fs::write(&part, &content[..50_000]).unwrap();
    let server = Server::start(content.clone(), Behaviour::Normal);
    fetch_weights(&weights, &into, &server.options(), &mut |_| {}).unwrap();
    assert_eq!(server.ranges(), [Some(50_000)]);
    fs::remove_file(&place).unwrap();
    fs::write(&part, vec![9; 50_000]).unwrap();
    fetch_weights(&weights, &into, &server.options(), &mut |_| {}).unwrap();
    assert_eq!(fs::read(&place).unwrap(), content);
}

#[test]
fn other_weights_are_refused_and_offline_the_error_says_what_to_put_where() {
    let content = vec![3; 5000];
    let weights = weights(&content);
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path();
    let server = Server::start(vec![4; 5000], Behaviour::Normal);
    let digits = weights.sha256_start();
    refused(
        fetch_weights(&weights, into, &server.options(), &mut |_| {}),
        &[
            "its SHA-256 is",
            &format!("should be {digits} in its first 8 digits"),
        ],
    );
    assert!(names_in(into).is_empty());
    let server = Server::start(content.clone(), Behaviour::Silent);
    let place = into.join(weights.file_name());
    refused(
        fetch_weights(&weights, into, &server.options(), &mut |_| {}),
        &[
            "on another machine",
            &format!("(SHA-256 beginning with {digits})"),
            &format!("put it at {}", place.display()),
        ],
    );
    // Following the message helps; another file does not.
    fs::write(&place, &content).unwrap();
    fetch_weights(&weights, into, &server.options(), &mut |_| {}).unwrap();
    fs::write(&place, &content[1..]).unwrap();
    refused(
        fetch_weights(&weights, into, &server.options(), &mut |_| {}),
        &["is not the file that was expected"],
    );
    assert_eq!(server.ranges().len(), 3);
}
