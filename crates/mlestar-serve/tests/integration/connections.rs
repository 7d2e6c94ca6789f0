//! Many connections.

use crate::client::{connect, post, read, send};
use crate::images::plain;
use crate::models::{quick_settings, serve};
use mlestar_serve::Settings;

/// Idle connections cost others nothing. `examples/idle_connections.rs` of this crate opens 10,000.
#[test]
fn idle_connections_do_not_hurt() {
    let served = serve(quick_settings());
    let address = served.server.address();
    // Tests of one process share its limit on open files; both ends of a connection count.
    let idle: Vec<_> = (0..150).map(|_| connect(address)).collect();
    for _ in 0..10 {
        assert_eq!(
            post(address, "/v1/classify", &plain([9, 9, 99])).status,
            200
        );
    }
    assert!(served.server.metrics().contains("mlestar_connections 15"));
    drop(idle);
    served.server.stop();
}

#[test]
fn connections_over_the_limit_are_turned_away_and_told_why() {
    let served = serve(Settings {
        max_connections: 2,
        ..quick_settings()
    });
    let address = served.server.address();
    let mut first = connect(address);
    let _second = connect(address);
    send(&mut first, "GET", "/v2", &[], b"");
    assert_eq!(read(&mut first).status, 200);
    let answer = read(&mut connect(address));
    answer.refused(503, "no connection left");
    // The first one goes on.
    send(&mut first, "GET", "/v2", &[], b"");
    assert_eq!(read(&mut first).status, 200);
    served.server.stop();
}

#[test]
fn a_connection_serves_many_requests_in_turn() {
    let served = serve(quick_settings());
    let mut stream = connect(served.server.address());
    let file = plain([1, 2, 3]);
    for _ in 0..3 {
        send(&mut stream, "POST", "/v1/classify", &[], &file);
    }
    for _ in 0..3 {
        assert_eq!(read(&mut stream).status, 200);
    }
    served.server.stop();
}
