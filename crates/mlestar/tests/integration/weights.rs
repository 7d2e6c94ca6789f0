//! Pretrained weights that are named on the command line.

use crate::{ended, program};
use mlestar_model::{Architecture, ModelConfig};
use mlestar_workflow::config::Config;
use safetensors::{Dtype, tensor::TensorView};
use std::fs;
use std::path::Path;

fn mlestar(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    ended(program(folder, arguments))
}

/// A ResNet-18 for seven classes with torchvision's names; every value is 0.
fn resnet_18(file: &Path) {
    let spec = ModelConfig::of(Architecture::Resnet18).check(7, 224, 224);
    let theirs = |name: String| {
        let name = name
            .replace("stem.conv.", "conv1.")
            .replace("stem.bn.", "bn1.");
        let name = name.replace("head.", "fc.");
        let name = name.replace("shortcut.conv.", "downsample.0.");
        let name = name.replace("shortcut.bn.", "downsample.1.");
        match name.strip_prefix("stages.").map(|rest| rest.split_at(1)) {
            Some((stage, rest)) => format!("layer{}{rest}", stage.parse::<usize>().unwrap() + 1),
            None => name,
        }
    };
    let tensors = spec.unwrap().description().tensors();
    let zeros = vec![0; 2 << 23];
    let views = tensors.into_iter().map(|(name, shape)| {
        let bytes = 2 * shape.iter().product::<usize>();
        let view = TensorView::new(Dtype::F16, shape, &zeros[..bytes]);
        (theirs(name), view.unwrap())
    });
    fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn write_images(folder: &Path) {
    for name in ["ant", "bee"] {
        fs::create_dir_all(folder.join(name)).unwrap();
        for index in 0..5 {
            let image = image::RgbImage::from_pixel(24, 20, image::Rgb([index, 7, 9]));
            let file = folder.join(name).join(format!("{index}.png"));
            image.save(file).unwrap();
        }
    }
}

/// What the file says is in `config`.
fn is_of_the_weights(config: &Config) {
    assert_eq!(config.model.architecture, Architecture::Resnet18);
    assert_eq!(
        config.training.initial_weights,
        Some("weights.safetensors".into())
    );
    assert!(config.training.finetune.is_some());
    assert_eq!(config.data.image_size, Some([240, 240]));
    assert_eq!(config.data.resize_side, Some(275));
    let normalization = config.data.normalization.unwrap();
    assert_eq!(normalization.mean, [0.485, 0.456, 0.406]);
}

#[test]
fn weights_bring_their_network_and_the_preparation_of_images() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_images(&folder.join("insects"));
    resnet_18(&folder.join("weights.safetensors"));
    let named = ["--data", "insects", "--weights", "weights.safetensors"];
    let (code, stdout, stderr) = mlestar(folder, &[&["config"], &named[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    is_of_the_weights(&Config::parse(&stdout, "stdout", &[]).unwrap());
    // A setting of one's own counts more.
    let own = ["--set", "data.resize_side=300"];
    let (_, stdout, _) = mlestar(folder, &[&["config"], &named[..], &own].concat());
    let config = Config::parse(&stdout, "stdout", &[]).unwrap();
    assert_eq!(config.data.resize_side, Some(300));

    let arguments = ["init", "insects", "--weights", "weights.safetensors"];
    let (code, _, stderr) = mlestar(folder, &arguments);
    assert_eq!(code, 0, "{stderr}");
    is_of_the_weights(&Config::load(&folder.join("mlestar.toml"), &[]).unwrap());
}

#[test]
fn a_folder_of_weights_is_searched_on_the_command_line_and_in_a_config() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_images(&folder.join("insects"));
    let weights = folder.join("data/weights");
    fs::create_dir_all(&weights).unwrap();
    resnet_18(&weights.join("resnet.safetensors"));
    fs::write(weights.join("broken.pth"), "no weights").unwrap();
    let named = ["--data", "insects", "--weights", "data/weights"];
    let (code, _, stderr) = mlestar(folder, &[&["config"], &named[..]].concat());
    assert_eq!(code, 2, "{stderr}");
    assert!(
        stderr.contains("resnet.safetensors: ResNet-18: parameters")
            && stderr.contains("broken.pth: it"),
        "{stderr}"
    );
    let limits = [
        "--set",
        "gates.action_planning.criteria={ parameters = { at_most = 1e9 }, flops_per_image = { at_most = 1e12 } }",
    ];
    let is_chosen = |text: &str| {
        let config = Config::parse(text, "stdout", &[]).unwrap();
        assert_eq!(config.model.architecture, Architecture::Resnet18);
        let file = Path::new("data/weights").join("resnet.safetensors");
        assert_eq!(config.training.initial_weights, Some(file));
        assert_eq!(config.data.image_size, Some([240, 240]));
    };
    let (code, stdout, stderr) = mlestar(folder, &[&["config"], &named[..], &limits].concat());
    assert_eq!(code, 0, "{stderr}");
    is_chosen(&stdout);

    let text = "[data]\nsource = \"folder\"\npath = \"insects\"\n[training]\ninitial_weights = \"data/weights\"\n";
    fs::write(folder.join("mlestar.toml"), text).unwrap();
    let (code, stdout, stderr) = mlestar(folder, &[&["config"], &limits[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    is_chosen(&stdout);

    // Unasked, nothing is used, and the output says what is there.
    let (_, _, stderr) = mlestar(folder, &["run", "--to", "1", "--data", "insects"]);
    assert!(
        stderr.contains("--weights data/weights (it holds broken.pth, resnet.safetensors)"),
        "{stderr}"
    );
}

#[test]
fn weights_that_cannot_be_used_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_images(&folder.join("insects"));
    resnet_18(&folder.join("weights.safetensors"));
    fs::create_dir(folder.join("cifar")).unwrap();
    fs::write(folder.join("cifar/test_batch.bin"), "").unwrap();
    fs::write(folder.join("cat.jpg"), "no weights").unwrap();
    for (arguments, reason) in [
        (
            &["--weights", "weights.safetensors"][..],
            "--weights needs images to learn from",
        ),
        (
            &["--data", "cifar", "--weights", "weights.safetensors"],
            "cifar is read as \"cifar10\"; name a folder or a manifest",
        ),
        (
            &["--data", "insects", "--weights", "cat.jpg"],
            "cat.jpg: it is neither",
        ),
        (
            &["--data", "insects", "--weights", "gone.pth"],
            "gone.pth: it cannot be read",
        ),
    ] {
        let (code, _, stderr) = mlestar(folder, &[&["config"], arguments].concat());
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
    }
    // Without weights, the output says what they would bring.
    let (_, _, stderr) = mlestar(folder, &["run", "--to", "1", "--data", "insects"]);
    assert!(
        stderr.contains("--weights FILE (docs/photographs.md)"),
        "{stderr}"
    );
}
