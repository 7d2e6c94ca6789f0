//! What can go wrong, and what to do.

use super::Facts;
use crate::stages::deployment::verdicts;

pub(super) fn text(facts: &Facts<'_>) -> String {
    let input = &facts.manifest.input;
    format!(
        "# Troubleshooting\n\n{place}\n\
         | symptom | cause | remedy |\n|---|---|---|\n\
         | the package is refused: a file was altered | a copy was cut short or edited | copy the package again; `mlestar package verify .` names the file |\n\
         | a tensor is refused for its size | it is not {height} x {width} | send image files instead, or resize as interface.md says |\n\
         | nonsense for every image | channels in another order, or values already scaled | pass red, green, blue as raw bytes, rows from the top |\n\
         | every image is \"none of these\" | other images than in training: another camera, crop or subject | compare them with the training images; train on such images |\n\
         | slower than in requirements.md | fewer cores, or another process uses them | set --threads to the cores that are free; send larger batches |\n\
         | other predictions than in training | another runtime, or a damaged file | `mlestar package verify .` predicts the golden images again |\n",
        place = verdicts::place(),
        height = input.height,
        width = input.width,
    )
}
