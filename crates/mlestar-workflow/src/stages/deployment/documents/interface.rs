//! How programs ask the model.

use super::Facts;
use super::markdown::escaped;
use crate::stages::deployment::verdicts;
use std::fmt::Write;

/// The core of `examples/package.rs`.
const RUST: &str = r#"let predictor = mlestar_export::Predictor::open(package)?;
let prediction = predictor.predict_file(photograph)?;
match prediction.none_of_these {
    true => println!("none of these"),
    false => println!("{} {:.3}", prediction.class, prediction.probability),
}
"#;

pub(super) fn text(facts: &Facts<'_>) -> String {
    let manifest = facts.manifest;
    let input = &manifest.input;
    let mut text = format!(
        "# Interface\n\n{place}\n## Image files\n\n\
         {rule} Transparent images are laid on the colour {background:?} (red, green, blue). EXIF orientation is \
         applied.\n\n\
         ```sh\n\
         mlestar predict . photograph.jpg                 # a table; --format json or csv for programs\n\
         mlestar serve .                                  # http://127.0.0.1:8080: a page, and the two interfaces below\n\
         curl --data-binary @photograph.jpg http://127.0.0.1:8080/v1/classify\n\
         ```\n\n\
         ## Tensors\n\n\
         `{name}`: {element}, layout {layout}, {channels}; {height} x {width} pixels. Values are raw 8-bit \
         intensities: normalisation (mean {mean:?}, standard deviation {std:?} of values scaled to 0-1) is \
         part of the model.\n\n| output | type | layout | meaning |\n|---|---|---|---|\n",
        place = verdicts::place(),
        rule = sentence(&manifest.preparation.resize.describe()),
        background = manifest.preparation.background,
        name = input.name,
        element = input.element_type,
        layout = input.layout,
        channels = input.channels,
        height = input.height,
        width = input.width,
        mean = facts.chosen.normalization.mean,
        std = facts.chosen.normalization.std,
    );
    for output in &manifest.outputs {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            output.name, output.element_type, output.layout, output.meaning
        );
    }
    text.push_str("\n## Classes\n\n| index | class |\n|---|---|\n");
    for (index, class) in manifest.classes.iter().enumerate() {
        let _ = writeln!(text, "| {index} | {} |", escaped(class));
    }
    text.push_str(&programs(facts));
    text
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    let text: String = first.into_iter().chain(characters).collect();
    format!("{}.", text.trim_end_matches('.'))
}

fn programs(facts: &Facts<'_>) -> String {
    let input = &facts.manifest.input;
    let (height, width, name) = (input.height, input.width, &input.name);
    let run = facts.served_name();
    format!(
        "\n## Rust\n\n\
         ```rust\n{RUST}```\n\n\
         ## Anything that runs ONNX\n\n\
         ```python\nimport numpy, onnxruntime\n\n\
         session = onnxruntime.InferenceSession(\"model.onnx\")\n\
         images = numpy.zeros((1, {height}, {width}, 3), numpy.uint8)\n\
         outputs = session.run([\"logits\", \"probabilities\", \"familiarity\"], {{\"{name}\": images}})\n```\n\n\
         ## Open Inference Protocol\n\n\
         `mlestar serve .` answers version 2 of the protocol, so clients of Triton and KServe can ask it. \
         `openapi.json` describes every path:\n\n\
         ```python\nimport numpy, tritonclient.http as http\n\n\
         client = http.InferenceServerClient(\"127.0.0.1:8080\")\n\
         images = numpy.zeros((1, {height}, {width}, 3), numpy.uint8)\n\
         tensor = http.InferInput(\"{name}\", images.shape, \"UINT8\")\n\
         tensor.set_data_from_numpy(images)\n\
         print(client.infer(\"{run}\", [tensor]).as_numpy(\"probabilities\"))\n```\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snippet_is_that_of_an_example_which_is_compiled() {
        let example = include_str!("../../../../../../examples/package.rs");
        let plain: String = example
            .lines()
            .map(|line| line.trim().to_owned() + "\n")
            .collect();
        let snippet: String = RUST
            .lines()
            .map(|line| line.trim().to_owned() + "\n")
            .collect();
        assert!(plain.contains(&snippet));
    }

    #[test]
    fn a_rule_becomes_a_sentence() {
        assert_eq!(sentence("scaled, then cropped"), "Scaled, then cropped.");
    }
}
