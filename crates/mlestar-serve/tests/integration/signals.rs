//! The program `mlestar-serve`, its log and its signals.

use crate::client::{connect, get, post, read, send};
use crate::images::plain;
use crate::models::{colours, write};
use serde_json::Value;
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};

struct Program {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    address: SocketAddr,
}

impl Program {
    fn start(package: &std::path::Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mlestar-serve"))
            .arg(package)
            .args(["--port", "0", "--threads", "2"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = line(&mut log);
        assert_eq!(first["message"], "serving");
        let address = first["url"]
            .as_str()
            .unwrap()
            .trim_start_matches("http://")
            .parse()
            .unwrap();
        Self {
            child,
            log,
            address,
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// The first line from here on with this message.
    fn told(&mut self, message: &str) -> Value {
        loop {
            let line = line(&mut self.log);
            if line["message"] == message {
                return line;
            }
        }
    }
}

fn line(log: &mut Lines<BufReader<ChildStderr>>) -> Value {
    let line = log.next().expect("the log ended").unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn it_logs_reloads_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &colours(1.0));
    let mut program = Program::start(folder.path());
    let mut stream = connect(program.address);
    send(
        &mut stream,
        "POST",
        "/v1/classify",
        &[("X-Request-Id", "mine")],
        &plain([255, 0, 0]),
    );
    assert_eq!(read(&mut stream).status, 200);
    let line = program.told("request");
    assert_eq!(
        (&line["id"], &line["status"], &line["images"]),
        (&"mine".into(), &200.into(), &1.into())
    );
    assert!(line["compute_ms"].as_f64().unwrap() <= line["total_ms"].as_f64().unwrap());

    write(folder.path(), &colours(-1.0));
    program.signal("HUP");
    program.told("package loaded");
    assert_ne!(
        post(program.address, "/v1/classify", &plain([255, 0, 0])).json()["images"][0]["class"],
        "red"
    );
    std::fs::write(folder.path().join("model.onnx"), "").unwrap();
    program.signal("HUP");
    let failure = program.told("package not loaded; the old one stays in use");
    assert!(
        failure["error"]
            .as_str()
            .unwrap()
            .contains("model.onnx: altered"),
        "{failure}"
    );
    assert_eq!(get(program.address, "/v2/health/ready").status, 200);

    program.signal("TERM");
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &colours(1.0));
    let mut program = Program::start(folder.path());
    // A request that never ends.
    let mut stream = connect(program.address);
    let head = crate::client::head("POST", "/v1/classify", &[], 1000);
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    assert_eq!(get(program.address, "/v2").status, 200);
    program.signal("INT");
    program.told("stopping: answering what was accepted");
    program.signal("INT");
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_no_package_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_mlestar-serve"))
        .arg("/nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere: there is no package here"));
}
