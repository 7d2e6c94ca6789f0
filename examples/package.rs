//! Asks a package about an image file: `cargo run --release -p mlestar-examples --example package -- PACKAGE FILE`.
//! Without arguments it makes a package of an untrained network and an image first.

use std::error::Error;
use std::path::Path;

use burn::tensor::Device;
use mlestar_export::{FrozenModel, Preparation, package};
use mlestar_model::ModelConfig;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [package, photograph] => ask(package.as_ref(), photograph.as_ref()),
        _ => {
            let folder = tempfile::tempdir()?;
            let photograph = folder.path().join("photograph.png");
            image::RgbImage::from_pixel(640, 480, image::Rgb([20, 90, 200])).save(&photograph)?;
            write(folder.path())?;
            ask(folder.path(), &photograph)
        }
    }
}

fn ask(package: &Path, photograph: &Path) -> Result<(), Box<dyn Error>> {
    // The documents of a package show these lines.
    let predictor = mlestar_export::Predictor::open(package)?;
    let prediction = predictor.predict_file(photograph)?;
    match prediction.none_of_these {
        true => println!("none of these"),
        false => println!("{} {:.3}", prediction.class, prediction.probability),
    }
    Ok(())
}

fn write(folder: &Path) -> Result<(), Box<dyn Error>> {
    let spec = ModelConfig::small().check(2, 32, 32)?;
    let network = spec.init(0, &Device::flex());
    let classes = ["cat".to_owned(), "dog".to_owned()];
    let frozen = FrozenModel::freeze(&network, &spec, ([0.5; 3], [0.25; 3]), &classes)?;
    let contents = package::Contents::default();
    package::write_package(folder, &frozen, &Preparation::new(32, 32), &contents)?;
    Ok(())
}
