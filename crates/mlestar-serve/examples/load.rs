//! Sends requests at a rate of its own to a server on this machine and prints how it fares, as JSON.
//!
//! `cargo run --release -p mlestar-serve --example load -- --port PORT --file IMAGE [--path /v1/classify] [--rate 100]
//! [--seconds 10] [--constant] [--seed 1]`
//!
//! An open loop: requests are sent when they are due, whether or not earlier ones are answered, as independent clients
//! would. The times between them are exponential (Poisson arrivals), or all the same with --constant. A latency counts
//! from when its request was due, so a server that stalls cannot hide it.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Plan {
    address: SocketAddr,
    request: Vec<u8>,
    rate: f64,
    seconds: f64,
    is_constant: bool,
    seed: u64,
}

/// Open connections that wait for a request.
type Connections = Arc<Mutex<Vec<TcpStream>>>;

fn main() -> Result<(), Box<dyn Error>> {
    let plan = plan()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    println!("{}", runtime.block_on(run(plan)));
    Ok(())
}

fn plan() -> Result<Plan, Box<dyn Error>> {
    let mut values = BTreeMap::from([
        ("--path", "/v1/classify".to_owned()),
        ("--rate", "100".into()),
        ("--seconds", "10".into()),
        ("--seed", "1".into()),
        ("--port", String::new()),
        ("--file", String::new()),
        ("--type", "application/octet-stream".into()),
    ]);
    let mut is_constant = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        match values.get_mut(name.as_str()) {
            Some(value) => *value = arguments.next().ok_or(format!("{name} needs a value"))?,
            None if name == "--constant" => is_constant = true,
            None => return Err(format!("there is no option {name}").into()),
        }
    }
    let port: u16 = values["--port"]
        .parse()
        .map_err(|_| "name the server's --port")?;
    let body = std::fs::read(&values["--file"])
        .map_err(|error| format!("--file {:?}: {error}", values["--file"]))?;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        values["--path"],
        values["--type"],
        body.len()
    );
    Ok(Plan {
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        request: [head.as_bytes(), &body].concat(),
        rate: values["--rate"].parse()?,
        seconds: values["--seconds"].parse()?,
        is_constant,
        seed: values["--seed"].parse()?,
    })
}

async fn run(plan: Plan) -> String {
    let connections = Connections::default();
    let request: Arc<[u8]> = plan.request.into();
    let mut draws = plan.seed;
    let begun = Instant::now();
    let (mut due, mut tasks) = (0.0, Vec::new());
    while due < plan.seconds {
        let at = begun + Duration::from_secs_f64(due);
        tokio::time::sleep_until(at.into()).await;
        let (connections, request) = (Arc::clone(&connections), Arc::clone(&request));
        tasks.push(tokio::spawn(async move {
            let status = ask(plan.address, &connections, &request).await;
            (status, at.elapsed().as_secs_f64() * 1000.0)
        }));
        due += match plan.is_constant {
            true => 1.0 / plan.rate,
            false => -uniform(&mut draws).ln() / plan.rate,
        };
    }
    let (mut statuses, mut latencies) = (BTreeMap::<String, u64>::new(), Vec::new());
    for task in tasks {
        let (status, latency) = task.await.unwrap_or(("task failed".to_owned(), 0.0));
        if status == "200" {
            latencies.push(latency);
        }
        *statuses.entry(status).or_default() += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        latencies
            .get(((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1)))
    };
    serde_json::json!({
        "rate": plan.rate, "answered_per_second": latencies.len() as f64 / seconds, "statuses": statuses,
        "p50_ms": quantile(0.5), "p90_ms": quantile(0.9), "p99_ms": quantile(0.99), "max_ms": latencies.last(),
    })
    .to_string()
}

/// In (0, 1].
fn uniform(state: &mut u64) -> f64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 11) as f64 + 1.0) / (1_u64 << 53) as f64
}

/// The status of the answer, or what went wrong.
async fn ask(address: SocketAddr, connections: &Connections, request: &[u8]) -> String {
    let stream = match kept(connections) {
        Some(stream) => Ok(stream),
        None => TcpStream::connect(address).await,
    };
    let asked = match stream {
        Ok(stream) => exchange(stream, request).await,
        Err(error) => Err(error),
    };
    match asked {
        Ok((status, stream)) => {
            if let Ok(mut kept) = connections.lock() {
                kept.push(stream);
            }
            status
        }
        Err(error) => error.to_string(),
    }
}

/// A connection that waits for a request, and that the server has not closed since its last answer: it closes those that
/// pause for long, as any server does.
fn kept(connections: &Connections) -> Option<TcpStream> {
    let mut kept = connections.lock().ok()?;
    let is_open = |stream: &TcpStream| {
        let unasked = stream.try_read(&mut [0]);
        unasked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    while let Some(stream) = kept.pop() {
        if is_open(&stream) {
            return Some(stream);
        }
    }
    None
}

async fn exchange(mut stream: TcpStream, request: &[u8]) -> std::io::Result<(String, TcpStream)> {
    stream.set_nodelay(true)?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    loop {
        let found = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        if let Some(end) = found {
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
            if answer.len() >= end + 4 + length {
                let status = head.split(' ').nth(1).unwrap_or("no status").to_owned();
                return Ok((status, stream));
            }
        }
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
