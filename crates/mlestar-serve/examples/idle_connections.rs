//! Opens many idle connections to a server on this machine and asks it something meanwhile.
//!
//! `cargo run --release -p mlestar-serve --example idle_connections -- PORT [N]` with a server started apart, because both
//! ends of a connection count against a process's limit on open files. Raise that limit before: `ulimit -n 20000`.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments
        .next()
        .ok_or("name the port of the server")?
        .parse()?;
    let n: usize = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let before = slowest(port)?;
    let begun = Instant::now();
    let mut idle = Vec::with_capacity(n);
    while idle.len() < n {
        let stream = TcpStream::connect(("127.0.0.1", port));
        idle.push(
            stream
                .map_err(|error| format!("connection {}: {error}; see `ulimit -n`", idle.len()))?,
        );
    }
    println!(
        "{n} connections opened in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let with = slowest(port)?;
    println!("the slowest of 100 requests took {before:.1} ms before, {with:.1} ms beside them");
    let pid = server(port);
    println!("{pid}");
    Ok(())
}

/// Milliseconds of the slowest of 100 requests, each over a connection of its own.
fn slowest(port: u16) -> Result<f64, Box<dyn Error>> {
    let mut slowest = 0.0_f64;
    for _ in 0..100 {
        let begun = Instant::now();
        let answer = ask(port, "/v2/health/ready")?;
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(format!("the server answered {answer}").into());
        }
        slowest = slowest.max(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(slowest)
}

/// What the server says of its connections.
fn server(port: u16) -> String {
    let metrics = ask(port, "/metrics").unwrap_or_default();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("mlestar_connections "));
    line.unwrap_or("the server does not tell its connections")
        .to_owned()
}

fn ask(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
