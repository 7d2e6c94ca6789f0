//! The log: a line of JSON for each event, on standard error.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait to be written.
const WAITING: usize = 4096;

/// Installs the log for this process, unless it has one.
pub fn install() {
    let (lines, receiver) = sync_channel(WAITING);
    let writer = std::thread::Builder::new().name("log".to_owned());
    let Ok(_) = writer.spawn(move || write(&receiver)) else {
        // Without a thread, without a log.
        return;
    };
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_writer(Lines { lines })
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Lines that found no place.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Hands lines to the thread that writes. A reader of the log that stops reading must not stop the server: when too many
/// lines wait, further ones are lost, and a line says how many.
struct Lines {
    lines: SyncSender<Vec<u8>>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line {
            lines: self.lines.clone(),
        }
    }
}

struct Line {
    lines: SyncSender<Vec<u8>>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.lines.try_send(bytes.to_vec()) {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(lines: &Receiver<Vec<u8>>) {
    while let Ok(line) = lines.recv() {
        // Nothing is left to do when standard error is gone.
        let _ = io::stderr().lock().write_all(&line);
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let line =
                format!("{{\"level\":\"WARN\",\"message\":\"log lines lost\",\"lines\":{lost}}}\n");
            let _ = io::stderr().lock().write_all(line.as_bytes());
        }
    }
}
