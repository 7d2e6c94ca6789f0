//! Stopping.

use crate::client::{connect, post, read, send};
use crate::images::{encoded, gradient};
use crate::models::{quick_settings, serve, serve_model, slow_colours};
use image::ImageFormat;
use mlestar_serve::{Settings, Timeouts};
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn everything_accepted_is_answered_before_the_end() {
    let served = serve_model(
        &slow_colours(),
        Settings {
            max_batch: 1,
            ..quick_settings()
        },
    );
    let address = served.server.address();
    let file = encoded(&gradient(90, 120), ImageFormat::Jpeg);
    assert_eq!(post(address, "/v1/classify", &file).status, 200);
    let mut streams: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = connect(address);
            send(&mut stream, "POST", "/v1/classify", &[], &file);
            stream
        })
        .collect();
    let idle = connect(address);
    let stopping = std::thread::spawn(move || served.server.stop());
    for stream in &mut streams {
        let answer = read(stream);
        assert_eq!(answer.status, 200);
        // The connection then ends.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    assert_eq!(stopping.join().unwrap(), 0);
    drop(idle);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn stopping_has_an_end_even_if_a_client_does_not() {
    let timeouts = Timeouts {
        stop: Duration::from_millis(500),
        ..Timeouts::default()
    };
    let served = serve(Settings {
        timeouts,
        ..quick_settings()
    });
    let address = served.server.address();
    let mut stream = connect(address);
    let head = crate::client::head("POST", "/v1/classify", &[], 1000);
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    assert_eq!(served.server.stop(), 1);
    assert!(begun.elapsed() < Duration::from_secs(10));
}
