//! Reads image files as a network would: upright, on a background, in one size; prints the reason if a file
//! cannot be read.
//!
//! `cargo run --release -p mlestar-examples --example image [FILE...]`; without files it creates some.

use std::error::Error;
use std::path::PathBuf;

use mlestar_image::Preparation;
use mlestar_image::picture::read_file;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        let landscape = folder.path().join("landscape.png");
        image::RgbImage::from_fn(640, 480, |x, y| {
            image::Rgb([(x / 3) as u8, (y / 2) as u8, 90])
        })
        .save(&landscape)?;
        let broken = folder.path().join("broken.jpg");
        std::fs::write(&broken, b"<html>no image</html>")?;
        files = vec![landscape, broken];
    }
    let preparation = Preparation::new(224, 224);
    println!("{}", preparation.resize.describe());
    for file in files {
        // The steps that `Preparation::read` combines in one call.
        let prepared = read_file(&file)
            .and_then(|content| preparation.decode(&content))
            .and_then(|picture| {
                let [height, width] = picture.size;
                Ok((height, width, preparation.finish(picture)?))
            });
        match prepared {
            Ok((height, width, pixels)) => println!(
                "{}: {height} x {width} became {} x {}",
                file.display(),
                pixels.height(),
                pixels.width()
            ),
            Err(reason) => println!("{}: {reason}", file.display()),
        }
    }
    Ok(())
}
