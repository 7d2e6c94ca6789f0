//! Images in a mapped file instead of in memory.

use crate::{ended, program};
use serde_json::Value;
use std::fs;

#[test]
fn mapped_images_are_no_memory_of_the_training() {
    let folder = tempfile::tempdir().unwrap();
    for (class, name) in ["ant", "bee"].into_iter().enumerate() {
        let images = folder.path().join("insects").join(name);
        fs::create_dir_all(&images).unwrap();
        for index in 0..20_u8 {
            let image = image::RgbImage::from_fn(16, 16, |x, y| {
                image::Rgb([index * 9, 200 * class as u8, (x * 3 + y * 5) as u8])
            });
            image.save(images.join(format!("{index}.png"))).unwrap();
        }
    }
    let mut arguments: Vec<String> = ["run", "--data", "insects", "--run", "mapped", "--to", "4"]
        .map(str::to_owned)
        .into();
    let mut set = |setting: String| arguments.extend(["--set".to_owned(), setting]);
    set("data.memory_limit_mib=0".into());
    set("training.epochs=1".into());
    set("model.stem_channels=4".into());
    set("model.stages=[{channels=4,blocks=1,stride=2}]".into());
    for stage in ["situation_analysis", "task_definition", "action_planning"] {
        set(format!("gates.{stage}.on_failure='continue'"));
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (_, stdout, stderr) = ended(program(folder.path(), &words));
    assert!(
        !stdout.contains("recomputing") && !stderr.contains("recomputing"),
        "{stdout}{stderr}"
    );
    let read = |file: &str| -> Value {
        let path = folder.path().join("runs/mapped").join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{file}: {stdout}{stderr}"));
        serde_json::from_str(&text).unwrap()
    };
    let plan = read("3-action-planning/action_plan.json");
    assert_eq!(plan["resources"]["data_bytes"], 0);
    let memory = read("4-implementation/training_memory.json");
    if cfg!(target_os = "linux") {
        assert_eq!(memory["since"], "sampled");
    }
}
