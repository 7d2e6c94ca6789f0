//! Serves a package of MLE-Star over HTTP.
//!
//! [`Server`] loads a package, listens and serves: the [Open Inference Protocol](protocol) with binary tensors, plain
//! image files, an occlusion map, a page for people, metrics and drift. `docs/serving.md` describes it from outside.
//!
//! An image goes through a request's phases in order: its body is received within limits, a worker thread decodes and
//! resizes it as training did, a bounded queue holds it, and one thread takes what is there through the network as a
//! batch. The threads of the connections never decode or compute.
//!
//! ```
//! use std::io::{Read, Write};
//! use mlestar_export::{Preparation, package};
//! use mlestar_serve::{Server, Settings};
#![doc = include_str!("../../mlestar-export/src/doc_model.in")]
//! # let folder = tempfile::tempdir()?;
//! # let dir = folder.path().join("package");
//! package::write_package(&dir, &model, &Preparation::new(2, 2), &package::Contents::default())?;
//! let server = Server::start(&dir, Settings { port: 0, ..Settings::default() })?;
//!
//! let mut image = std::io::Cursor::new(Vec::new());
//! image::RgbImage::from_pixel(640, 480, image::Rgb([0, 0, 250])).write_to(&mut image, image::ImageFormat::Png)?;
//! let mut stream = std::net::TcpStream::connect(server.address())?;
//! let length = image.get_ref().len();
//! write!(stream, "POST /v1/classify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")?;
//! stream.write_all(image.get_ref())?;
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer)?;
//! assert!(answer.contains(r#""class":"blue""#));
//!
//! server.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod app;
mod batcher;
mod budget;
#[cfg(feature = "cli")]
pub mod cli;
mod connections;
mod drift;
mod error;
mod images;
mod io;
mod json;
mod metrics;
mod model;
mod occlusion;
mod output;
pub mod protocol;
mod refusal;
mod reload;
mod routes;
mod server;
mod settings;
mod stop;
mod tls;
mod token;
mod trace;

pub use error::ServeError;
pub use model::package_of;
pub use refusal::Refusal;
pub use routes::served;
pub use server::Server;
pub use settings::{Settings, Timeouts, TlsFiles};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
