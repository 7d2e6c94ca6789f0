//! Serves a package, asks it about an image over HTTP, loads another package into the running server, and stops.
//!
//! `cargo run --release -p mlestar-examples --example serve`. The model tells red from blue without any training.

use image::{ImageFormat, Rgb, RgbImage};
use mlestar_export::{
    FrozenModel, Layer, Linear, Operation, PixelNormalization, Preparation, package,
};
use mlestar_serve::{Server, Settings};
use std::error::Error;
use std::io::{Cursor, Read, Write};
use std::net::{SocketAddr, TcpStream};

const SIDE: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let write = |sharpness| -> Result<(), Box<dyn Error>> {
        let preparation = Preparation::new(SIDE, SIDE);
        package::write_package(
            folder.path(),
            &red_or_blue(sharpness)?,
            &preparation,
            &package::Contents::default(),
        )?;
        Ok(())
    };
    write(2.0)?;
    let settings = Settings {
        port: 0, // a free one
        name: Some("colours".to_owned()),
        ..Settings::default()
    };
    let server = Server::start(folder.path(), settings)?;
    println!(
        "serving {:?} at http://{}",
        server.model(),
        server.address()
    );

    let mut image = Cursor::new(Vec::new());
    RgbImage::from_pixel(640, 480, Rgb([200, 30, 60])).write_to(&mut image, ImageFormat::Jpeg)?;
    println!("{}", ask(server.address(), image.get_ref())?);

    write(9.0)?;
    server.reload()?;
    println!("{}", ask(server.address(), image.get_ref())?);

    let broken_off = server.stop();
    println!("stopped; {broken_off} connections were broken off");
    Ok(())
}

/// A model of the mean colour; `sharpness` sets how sure it is.
fn red_or_blue(sharpness: f32) -> Result<FrozenModel, Box<dyn Error>> {
    let head = Linear {
        weight_shape: [2, 3],
        weight: vec![sharpness, 0.0, 0.0, 0.0, 0.0, sharpness],
        bias: vec![0.0, 0.0],
    };
    let operation = |name: &str, input, layer| Operation {
        name: name.to_owned(),
        input,
        layer,
    };
    let operations = vec![
        operation("pool", 0, Layer::GlobalAveragePool),
        operation("head", 1, Layer::Linear(head)),
    ];
    let classes = vec!["red".to_owned(), "blue".to_owned()];
    let normalization = PixelNormalization {
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    Ok(FrozenModel::new(
        classes,
        normalization,
        SIDE,
        SIDE,
        operations,
    )?)
}

/// The answer of `/v1/classify`; any HTTP client would do.
fn ask(address: SocketAddr, image: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let length = image.len();
    write!(
        stream,
        "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(image)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.lines().last().unwrap_or_default().to_owned())
}
