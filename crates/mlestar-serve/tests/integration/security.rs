//! What a hostile client tries.

use crate::client::{connect, get, head, post, read, request, send};
use crate::images::{encoded, gradient, plain};
use crate::models::{quick_settings, serve};
use image::ImageFormat;
use mlestar_serve::{Settings, Timeouts, TlsFiles};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn a_token_guards_all_but_health_and_pages() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "correct horse battery staple\n").unwrap();
    let served = serve(Settings {
        token_file: Some(file.clone()),
        ..quick_settings()
    });
    let address = served.server.address();
    for path in [
        "/",
        "/docs",
        "/openapi.json",
        "/v2/health/live",
        "/v2/health/ready",
    ] {
        assert_eq!(get(address, path).status, 200, "{path}");
    }
    let closed = [
        "/v2",
        "/metrics",
        "/v2/models/colours",
        "/nowhere",
        "//",
        "/./",
        "/v2/health/live/../../models/colours",
    ];
    for path in closed {
        let answer = get(address, path);
        answer.refused(401, "Authorization: Bearer TOKEN");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let bearing = |token: &str| {
        let value = format!("Bearer {token}");
        request(
            address,
            "POST",
            "/v1/classify",
            &[("Authorization", &value)],
            &plain([1, 2, 3]),
        )
        .status
    };
    assert_eq!(bearing("correct horse battery staple"), 200);
    assert_eq!(bearing("correct horse battery stable"), 401);
    // A renewed token counts after a reload.
    std::fs::write(&file, "another token of enough bytes").unwrap();
    served.server.reload().unwrap();
    assert_eq!(bearing("correct horse battery staple"), 401);
    assert_eq!(bearing("another token of enough bytes"), 200);
    served.server.stop();
}

#[test]
fn paths_lead_nowhere_else() {
    let served = serve(quick_settings());
    let address = served.server.address();
    for path in [
        "/v2/models/../../etc/passwd",
        "/v2/models/..%2f..%2fetc%2fpasswd",
        "/v2/models/%2e%2e/infer",
        "/v2/models/colours%00",
        "/v2/models/%ff%fe",
        "/v2/models/colours/versions/..",
        "/v2/models//",
        "/%",
        "/docs/",
        "/V2",
    ] {
        let status = get(address, path).status;
        assert!([400, 404, 405].contains(&status), "{path}: {status}");
    }
    // An encoded name is the same name.
    assert_eq!(get(address, "/v2/models/c%6flours").status, 200);
    served.server.stop();
}

#[test]
fn huge_headers_and_broken_requests_are_refused() {
    let served = serve(quick_settings());
    let address = served.server.address();
    let huge = "x".repeat(100_000);
    assert_eq!(
        request(address, "GET", "/v2", &[("X-Huge", &huge)], b"").status,
        431
    );
    assert!([414, 431].contains(&get(address, &format!("/{huge}")).status));
    for bytes in [
        "garbage\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ] {
        let mut stream = connect(address);
        stream.write_all(bytes.as_bytes()).unwrap();
        assert_eq!(read(&mut stream).status, 400, "{bytes}");
    }
    let answer = request(address, "GET", "/v2", &[("X-Request-Id", "me-1")], b"");
    assert_eq!(answer.header("x-request-id"), Some("me-1"));
    let answer = request(address, "GET", "/v2", &[("X-Request-Id", "a\"b")], b"");
    assert_ne!(answer.header("x-request-id"), Some("a\"b"));
    served.server.stop();
}

#[test]
fn bodies_over_the_limit_are_refused_whether_declared_or_not() {
    let served = serve(Settings {
        max_body_bytes: 10_000,
        ..quick_settings()
    });
    let address = served.server.address();
    post(address, "/v1/classify", &[0; 20_000])
        .refused(413, "the body has 20000 bytes, but the limit is 10000");
    let mut stream = connect(address);
    stream
        .write_all(b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 3000, "a".repeat(3000));
    (0..5).for_each(|_| stream.write_all(chunk.as_bytes()).unwrap());
    stream.write_all(b"0\r\n\r\n").unwrap();
    read(&mut stream).refused(413, "the body has more");
    served.server.stop();
}

/// A small file that claims to be huge is refused by its header.
#[test]
fn decompression_bombs_are_refused() {
    let served = serve(Settings {
        max_pixels: 1_000_000,
        ..quick_settings()
    });
    let address = served.server.address();
    let flat = image::RgbImage::new(4000, 4000);
    let bomb = encoded(&flat, ImageFormat::Png);
    assert!(bomb.len() < 4000 * 4000 * 3 / 100, "{}", bomb.len());
    post(address, "/v1/classify", &bomb).refused(413, "it has 4000 x 4000 pixels");
    let mut claims = encoded(&gradient(10, 10), ImageFormat::Png);
    claims[16..24].copy_from_slice(&[0, 0, 0x7f, 0xff, 0, 0, 0x7f, 0xff]);
    assert!([413, 422].contains(&post(address, "/v1/classify", &claims).status));
    served.server.stop();
}

fn impatient() -> Settings {
    let short = Duration::from_millis(400);
    Settings {
        timeouts: Timeouts {
            header: short,
            body: short,
            ..Timeouts::default()
        },
        ..quick_settings()
    }
}

#[test]
fn slow_clients_are_cut_off() {
    let served = serve(impatient());
    let address = served.server.address();
    let begun = Instant::now();
    // Half a header: the connection is closed.
    let mut stream = connect(address);
    stream.write_all(b"GET /v2 HTTP/1.1\r\nHost").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    // Half a body: 408.
    let mut stream = connect(address);
    let head = head("POST", "/v1/classify", &[], 1000);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&[0; 500]).unwrap();
    read(&mut stream).refused(408, "did not arrive within 0.4 s");
    assert!(begun.elapsed() < Duration::from_secs(20));
    served.server.stop();
}

#[test]
fn a_body_that_ends_early_harms_nobody() {
    let served = serve(quick_settings());
    let address = served.server.address();
    for _ in 0..20 {
        let mut stream = connect(address);
        stream
            .write_all(head("POST", "/v1/classify", &[], 1000).as_bytes())
            .unwrap();
        stream.write_all(&[0; 500]).unwrap();
    }
    assert_eq!(post(address, "/v1/classify", &plain([1, 2, 3])).status, 200);
    served.server.stop();
}

fn certificate(folder: &std::path::Path) -> (TlsFiles, rustls::pki_types::CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    (files, made.cert.der().clone())
}

#[test]
fn tls_protects_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (files, trusted) = certificate(folder.path());
    let served = serve(Settings {
        tls: Some(files.clone()),
        ..quick_settings()
    });
    let address = served.server.address();
    let ask = |trusted: rustls::pki_types::CertificateDer<'static>| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = connect(address);
        client.complete_io(&mut socket)?;
        let mut stream = rustls::StreamOwned::new(client, socket);
        send(
            &mut stream,
            "POST",
            "/v1/classify",
            &[],
            &plain([255, 0, 0]),
        );
        Ok::<_, std::io::Error>(read(&mut stream))
    };
    assert_eq!(
        ask(trusted.clone()).unwrap().json()["images"][0]["class"],
        "red"
    );
    // A plain request gets no answer, and others are still served.
    let mut stream = connect(address);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/"));
    // A new certificate counts after a reload.
    let (_, renewed) = certificate(folder.path());
    served.server.reload().unwrap();
    assert!(ask(trusted).is_err());
    assert_eq!(ask(renewed).unwrap().status, 200);
    served.server.stop();
}

#[test]
fn unusable_files_stop_the_start_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = certificate(folder.path());
    std::fs::write(&files.key, "no key").unwrap();
    let package = folder.path().join("p");
    crate::models::write(&package, &crate::models::colours(1.0));
    let start = |settings: Settings| {
        mlestar_serve::Server::start(&package, settings)
            .unwrap_err()
            .to_string()
    };
    let error = start(Settings {
        tls: Some(files),
        ..quick_settings()
    });
    assert!(
        error.contains("key.pem: no private key in PEM form"),
        "{error}"
    );
    let error = start(Settings {
        token_file: Some("/nowhere".into()),
        ..quick_settings()
    });
    assert!(error.contains("/nowhere: cannot be read"), "{error}");
    let error = start(Settings {
        max_batch: 0,
        ..quick_settings()
    });
    assert!(error.contains("--max-batch is 0"), "{error}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = start(Settings {
        port: taken.local_addr().unwrap().port(),
        ..quick_settings()
    });
    assert!(error.contains("cannot listen at 127.0.0.1:"), "{error}");
}
