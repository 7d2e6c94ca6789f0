use std::path::{Path, PathBuf};

use mlestar_train::OptimizerKind;
use mlestar_tune::ParameterSpace;
use proptest::prelude::*;

use super::*;
use crate::Stage;

fn error(text: &str) -> String {
    Config::parse(text, "project.toml", &[])
        .unwrap_err()
        .to_string()
}

fn error_of_set(set: &str) -> String {
    match Override::parse(set) {
        Ok(set) => Config::parse("seed = 1\n", "project.toml", &[set])
            .unwrap_err()
            .to_string(),
        Err(error) => error.to_string(),
    }
}

fn parsed(text: &str) -> Config {
    Config::parse(text, "project.toml", &[]).unwrap()
}

#[test]
fn unknown_keys_name_line_path_and_nearest_key() {
    insta::assert_snapshot!(error("sede = 1"), @"project.toml, line 1: unknown key `sede`; did you mean `seed`?");
    insta::assert_snapshot!(error("[trainign]\nepochs = 1"), @"project.toml, line 1: unknown key `trainign`; did you mean `training`?");
    insta::assert_snapshot!(error("seed = 1\n\n[training]\nbatchsize = 1"), @"project.toml, line 4: unknown key `training.batchsize`; did you mean `training.batch_size`?");
    insta::assert_snapshot!(error("[training.optimizer]\nlr = 0.1"), @"project.toml, line 2: unknown key `training.optimizer.lr`; valid here: kind, learning_rate, weight_decay, decay, momentum, nesterov, beta1, beta2, epsilon, auxiliary_learning_rate");
    insta::assert_snapshot!(error("training = { optimizer = { learning_rates = 0.1 } }"), @"project.toml, line 1: unknown key `training.optimizer.learning_rates`; did you mean `training.optimizer.learning_rate`?");
    insta::assert_snapshot!(error("[[model.stages]]\nchannels = 8\nblocks = 1\nstride = 1\nkernel = 3"), @"project.toml, line 5: unknown key `model.stages.0.kernel`; valid here: channels, blocks, stride");
    insta::assert_snapshot!(error("[refinement.space.\"model.dropout\"]\ntype = 'float'\nlow = 0.1\nhihg = 0.2"), @r#"project.toml, line 4: unknown key `refinement.space."model.dropout".hihg`; did you mean `refinement.space."model.dropout".high`?"#);
    insta::assert_snapshot!(error("[gates.evaluatoin]\non_failure = 'stop'"), @"project.toml, line 1: unknown key `gates.evaluatoin`; did you mean `gates.evaluation`?");
    insta::assert_snapshot!(error("[gates.evaluation.criteria]\nacuracy = false"), @"project.toml, line 2: unknown key `gates.evaluation.criteria.acuracy`; did you mean `gates.evaluation.criteria.accuracy`?");
    insta::assert_snapshot!(error("[gates.evaluation]\non_failure = { return_to = 'evaluation', times = 3 }"), @"project.toml, line 2: unknown key `gates.evaluation.on_failure.times`; valid here: return_to, max_returns, set");
}

#[test]
fn wrong_types_name_what_was_expected() {
    insta::assert_snapshot!(error("[training]\nepochs = 'many'"), @r#"project.toml, line 2: `training.epochs`: invalid type: string "many", expected a whole number, at least 0"#);
    insta::assert_snapshot!(error("[training]\nepochs = -1"), @"project.toml, line 2: `training.epochs`: invalid value: integer `-1`, expected a whole number, at least 0");
    insta::assert_snapshot!(error("training = 3"), @"project.toml, line 1: `training`: invalid type: integer `3`, expected a table");
    insta::assert_snapshot!(error("seed = -1"), @"project.toml, line 1: `seed`: invalid value: integer `-1`, expected a whole number, at least 0");
    insta::assert_snapshot!(error("[training.optimizer]\nkind = 'adm'"), @r#"project.toml, line 2: `training.optimizer.kind`: "adm" is not valid; did you mean `adam`?"#);
    insta::assert_snapshot!(error("[refinement]\nsampler = 'gird'"), @r#"project.toml, line 2: `refinement.sampler`: "gird" is not valid; did you mean `grid`?"#);
    insta::assert_snapshot!(error("[data]\nsource = 'imagenet'"), @r#"project.toml, line 2: `data.source`: "imagenet" is not valid; valid here: synthetic, cifar10, cifar100, folder, manifest"#);
    insta::assert_snapshot!(error("[gates.evaluation]\non_failure = 'contineu'"), @r#"project.toml, line 2: `gates.evaluation.on_failure`: "contineu" is not valid; did you mean `continue`?"#);
    insta::assert_snapshot!(error("[gates.evaluation]\non_failure = 3"), @r#"project.toml, line 2: `gates.evaluation.on_failure`: invalid type: integer `3`, expected "stop", "continue" or a table such as { return_to = "implementation" }"#);
    insta::assert_snapshot!(error("[gates.evaluation.criteria]\naccuracy = true"), @"project.toml, line 2: `gates.evaluation.criteria.accuracy`: true has no meaning here: leave the criterion out to keep its default, or give a limit such as { at_least = 0.8 }");
    insta::assert_snapshot!(error("[gates.evaluation.criteria]\naccuracy = 0.8"), @"project.toml, line 2: `gates.evaluation.criteria.accuracy`: invalid type: floating point `0.8`, expected a limit such as { at_least = 0.8 }, or false to switch the criterion off");
    insta::assert_snapshot!(error("[gates.evaluation.criteria]\naccuracy = { at_least = 0.8, at_most = 0.9 }"), @"project.toml, line 2: `gates.evaluation.criteria.accuracy`: a limit needs exactly one of at_least, above, at_most and equals, but 2 were given; write for example { at_least = 0.85 }");
    insta::assert_snapshot!(error("[refinement.space.\"model.dropout\"]\ntype = 'flaot'\nlow = 0.1\nhigh = 0.2"), @r#"project.toml, line 2: `refinement.space."model.dropout".type`: "flaot" is not valid; did you mean `float`?"#);
}

#[test]
fn values_out_of_range_name_value_and_limits() {
    insta::assert_snapshot!(error("[evaluation]\nconfidence = 95"), @"project.toml, line 2: `evaluation.confidence` is 95; it must be above 0 and below 1");
    insta::assert_snapshot!(error("[evaluation]\nbatch_size = 0"), @"project.toml, line 2: `evaluation.batch_size` is 0; it must be 1 to 65536");
    insta::assert_snapshot!(error("[task.primary]\ntarget = 85"), @"project.toml, line 2: `task.primary.target` is 85; it must be 0 to 1; write 85% as 0.85");
    insta::assert_snapshot!(error("[task.secondary]\nf1_weighted = nan"), @"project.toml, line 2: `task.secondary.f1_weighted` is NaN; it must be 0 to 1; write 85% as 0.85");
    insta::assert_snapshot!(error("[task.quality]\noverfitting_gap_max = -0.1"), @"project.toml, line 2: `task.quality.overfitting_gap_max` is -0.1; it must be 0 to 1; write 85% as 0.85");
    insta::assert_snapshot!(error("[task.constraints]\nmodel_bytes_max = 0"), @"project.toml, line 2: `task.constraints.model_bytes_max` is 0; it must be at least 1");
    insta::assert_snapshot!(error("[task.constraints]\ntraining_time_seconds_max = inf"), @"project.toml, line 2: `task.constraints.training_time_seconds_max` is inf; it must be above 0 and finite");
    insta::assert_snapshot!(error("[deployment.benchmark]\nlatency_runs = 1"), @"project.toml, line 2: `deployment.benchmark.latency_runs` is 1; it must be 10 to 100000");
    insta::assert_snapshot!(error("[deployment.benchmark]\nthroughput_batch_sizes = []"), @"project.toml, line 2: `deployment.benchmark.throughput_batch_sizes` is []; it must be 1 to 16 sizes, each 1 to 4096");
    insta::assert_snapshot!(error("[deployment.parity]\nmax_abs_difference = 0.0"), @"project.toml, line 2: `deployment.parity.max_abs_difference` is 0; it must be above 0 and at most 1");
    insta::assert_snapshot!(error("[refinement]\ntrials = 0"), @"project.toml, line 2: `refinement.trials` is 0; it must be 1 to 100000");
    insta::assert_snapshot!(error("[refinement]\ntrain_fraction_per_trial = 1.5"), @"project.toml, line 2: `refinement.train_fraction_per_trial` is 1.5; it must be above 0 and at most 1");
    insta::assert_snapshot!(error("[project]\nname = ' '"), @r#"project.toml, line 2: `project.name` is " "; it must be the name of one folder, since the run is written to runs/NAME: 1 to 100 characters and at most 200 bytes, none of / \ : * ? " < > | or a control character; no space at either end, no dot at the end; not . or .. or a name that Windows keeps for devices, such as CON. To write a run somewhere else use --run"#);
    insta::assert_snapshot!(error("[data]\nvalidation_fraction = 10"), @"project.toml, line 2: data.validation_fraction is 10, but must be above 0 and below 1; write 10% as 0.1");
    insta::assert_snapshot!(error("[data]\nsource = 'cifar10'"), @"project.toml, line 1: data.path is not set; the source cifar10 needs the folder of its files; name it with --data FOLDER");
    insta::assert_snapshot!(error("[model]\ndropout = 1.0"), @"project.toml, line 2: model.dropout = 1 is out of range: it must be at least 0 and below 1");
    insta::assert_snapshot!(error("[augmentation]\nrandom_crop_padding = 40"), @"project.toml, line 2: augmentation.random_crop_padding is 40, but must be less than 32, the smaller side of the images; 4 is usual for 32 x 32");
    insta::assert_snapshot!(error("[training]\nepochs = 0"), @"project.toml, line 2: training.epochs = 0 is out of range: it must be 1 to 100000");
}

#[test]
fn searches_and_returns_are_tried_out() {
    insta::assert_snapshot!(error("[refinement.space]\n'training.optimizer.learning_rates' = { type = 'float', low = 0.1, high = 0.2 }"), @"project.toml, line 2: `refinement.space` may set training.optimizer.learning_rates = 0.1: unknown key `training.optimizer.learning_rates`; did you mean `training.optimizer.learning_rate`?");
    insta::assert_snapshot!(error("[refinement.space]\n'model.dropout' = { type = 'float', low = 0.1, high = 1.2 }"), @"project.toml, line 2: `refinement.space` may set model.dropout = 1.2: model.dropout = 1.2 is out of range: it must be at least 0 and below 1");
    insta::assert_snapshot!(error("[refinement.space]\n'training.epochs' = { type = 'float', low = 1, high = 2 }"), @"project.toml, line 2: `refinement.space` may set training.epochs = 1.0: `training.epochs`: invalid type: floating point `1.0`, expected a whole number, at least 0");
    insta::assert_snapshot!(error("[refinement.space]\n'task.primary.target' = { type = 'float', low = 0.1, high = 0.2 }"), @"project.toml, line 2: `refinement.space` searches `task.primary.target`, but only keys of data, model, augmentation, training can be searched");
    insta::assert_snapshot!(error("[refinement.space]\n'model.dropout' = { type = 'float', low = 0.5, high = 0.2 }"), @"project.toml, line 2: refinement.space: search space, `model.dropout`: low = 0.5 must be below high = 0.2");
    insta::assert_snapshot!(error("[refinement]\nspace = {}"), @"project.toml, line 2: refinement.space: search space is empty: give at least one parameter to search");
    insta::assert_snapshot!(error("[gates.evaluation]\non_failure = { return_to = 'deployment' }"), @r#"project.toml, line 2: `gates.evaluation.on_failure.return_to` is "deployment"; it must be evaluation or a stage before it"#);
    insta::assert_snapshot!(error("[gates.evaluation]\non_failure = { return_to = 'evaluating' }"), @r#"project.toml, line 2: `gates.evaluation.on_failure.return_to`: "evaluating" is not valid; did you mean `evaluation`?"#);
    insta::assert_snapshot!(error("[gates.evaluation]\non_failure = { return_to = 'implementation', max_returns = 11 }"), @"project.toml, line 2: `gates.evaluation.on_failure.max_returns` is 11; it must be 1 to 10");
    insta::assert_snapshot!(error("[gates.evaluation]\non_failure = { return_to = 'implementation', set = { 'training.epoch' = 3 } }"), @"project.toml, line 2: `gates.evaluation.on_failure` sets training.epoch = 3: unknown key `training.epoch`; did you mean `training.epochs`?");
}

#[test]
fn overrides_are_checked_like_the_file() {
    insta::assert_snapshot!(error_of_set("training.epoch=3"), @"--set training.epoch=3: unknown key `training.epoch`; did you mean `training.epochs`?");
    insta::assert_snapshot!(error_of_set("trainings.epochs=3"), @"--set trainings.epochs=3: unknown key `trainings`; did you mean `training`?");
    insta::assert_snapshot!(error_of_set("training.epochs=many"), @r#"--set training.epochs=many: `training.epochs`: invalid type: string "many", expected a whole number, at least 0"#);
    insta::assert_snapshot!(error_of_set("training.epochs=0"), @"--set training.epochs=0: training.epochs = 0 is out of range: it must be 1 to 100000");
    insta::assert_snapshot!(error_of_set("seed.of.all=3"), @"--set seed.of.all=3: `of` cannot be set inside a value of type integer");
    insta::assert_snapshot!(error_of_set("training.epochs"), @"--set training.epochs: write it as key=value, for example training.epochs=3");
    insta::assert_snapshot!(error_of_set("=3"), @"--set =3: the part before = is not a key, such as training.epochs");
    insta::assert_snapshot!(error_of_set("training..epochs=3"), @"--set training..epochs=3: the part before = is not a key, such as training.epochs");
}

#[test]
fn overrides_take_toml_and_bare_words() {
    let text = "[model]\nstages = [{ channels = 8, blocks = 1, stride = 2 }]\n";
    let config = |sets: &[&str]| {
        let overrides: Vec<Override> = sets
            .iter()
            .map(|set| Override::parse(set).unwrap())
            .collect();
        Config::parse(text, "project.toml", &overrides)
    };
    let set = config(&[
        "training.epochs = 3",
        "training.optimizer.kind=sgd",
        "data.source=folder",
        "data.path=some folder/images",
        "project.description=\"quoted\"",
        "model.stages.0.channels=16",
        "refinement.space.\"model.dropout\".low=0.25",
        "refinement.space.\"model.dropout\".high=0.5",
        "refinement.space.\"model.dropout\".type=float",
        "deployment.benchmark.throughput_batch_sizes=[1, 2]",
        "gates.evaluation.criteria.accuracy={ at_least = 0.5 }",
        "training.epochs=4",
    ])
    .unwrap();
    assert_eq!(set.training.epochs, 4, "the last one counts");
    assert_eq!(
        set.data.path.as_deref(),
        Some(Path::new("some folder/images"))
    );
    assert_eq!(set.project.description, "quoted");
    assert_eq!(set.model.stages[0].channels, 16);
    assert_eq!(set.refinement.space.len(), 1);
    assert_eq!(set.deployment.benchmark.throughput_batch_sizes, [1, 2]);
    let criteria = &set.gates.section(Stage::Evaluation).criteria;
    assert_eq!(
        criteria["accuracy"],
        CriterionSetting::Limit(mlestar_gates::Limit::AtLeast(0.5))
    );
    insta::assert_snapshot!(config(&["model.stages.1.channels=16"]).unwrap_err(), @"--set model.stages.1.channels=16: `1` is not an index into a list of 1");
}

#[test]
fn bad_files_are_named() {
    insta::assert_snapshot!(error("seed = 1\nseed = 2"), @"project.toml, line 2: not valid TOML: duplicate key");
    insta::assert_snapshot!(error("seed = "), @"project.toml, line 1: not valid TOML: string values must be quoted, expected literal string");
    let folder = tempfile::tempdir().unwrap();
    let message = Config::load(&folder.path().join("none.toml"), &[])
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("cannot read the config ") && message.contains("none.toml"),
        "{message}"
    );
}

#[test]
fn criteria_may_be_switched_off_or_limited_anew() {
    let config = parsed(
        "[gates.evaluation]\non_failure = 'continue'\ncriteria = { accuracy = { at_least = 0.5 } }\n\
         [gates.implementation]\non_failure = { return_to = 'implementation', set = { 'training.epochs' = 20 } }\n",
    );
    let evaluation = config.gates.section(Stage::Evaluation);
    assert_eq!(evaluation.on_failure, Some(OnFailure::Continue));
    let Some(OnFailure::Return(to)) = &config.gates.section(Stage::Implementation).on_failure
    else {
        panic!("{config:?}");
    };
    assert_eq!((to.return_to, to.max_returns), (Stage::Implementation, 1));
    assert_eq!(to.set["training.epochs"], toml::Value::Integer(20));
    assert_eq!(
        config.gates.section(Stage::Deployment),
        &GateSection {
            on_failure: Some(OnFailure::Continue),
            ..GateSection::default()
        }
    );
    assert_eq!(
        config.gates.on_failure(Stage::TaskDefinition),
        OnFailure::Stop
    );
    assert_eq!(parsed(&config.to_toml().unwrap()), config);

    let off = parsed("[gates.evaluation.criteria]\naccuracy = false\n");
    assert_eq!(
        off.gates.section(Stage::Evaluation).criteria["accuracy"],
        CriterionSetting::Off
    );
    assert_eq!(parsed(&off.to_toml().unwrap()), off);
}

#[test]
fn an_empty_file_is_the_default_and_reads_back() {
    let config = parsed("");
    assert_eq!(config, Config::default());
    assert_eq!(Config::check(RawConfig::default()).unwrap(), config);
    assert_eq!(parsed(&config.to_toml().unwrap()), config);
}

#[test]
fn the_hash_input_changes_with_its_section_only() {
    let default = parsed("[data]\nsource = 'folder'\npath = 'here'\n");
    let longer = parsed("[training]\nepochs = 3\n[data]\nsource = 'folder'\npath = 'elsewhere'\n");
    assert_ne!(
        default.section_hash_input("training"),
        longer.section_hash_input("training")
    );
    for section in ["data", "model", "seed", "project", "task", "augmentation"] {
        assert_eq!(
            default.section_hash_input(section),
            longer.section_hash_input(section),
            "{section}"
        );
        assert!(!default.section_hash_input(section).is_null(), "{section}");
    }
    assert!(default.section_hash_input("nothing").is_null());
    let keys: Vec<String> = default
        .section_hash_input("task")
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert!(keys.is_sorted(), "{keys:?}");
}

#[test]
fn trials_set_their_parameters() {
    let config = Config::default();
    let baseline = config.baseline_parameters();
    assert_eq!(
        baseline.len(),
        config.refinement.space.len(),
        "{baseline:?}"
    );
    assert_eq!(config.with_parameters(&baseline).unwrap(), config);
    let parameters = Parameters::from([
        ("training.batch_size".to_owned(), ParameterValue::Int(64)),
        ("model.dropout".to_owned(), ParameterValue::Float(0.25)),
    ]);
    let changed = config.with_parameters(&parameters).unwrap();
    assert_eq!(
        (changed.training.batch_size, changed.model.dropout),
        (64, 0.25)
    );
    let study = config.refinement.study();
    study.check().unwrap();
    assert_eq!(study.warmup_steps, 3, "epochs 1 and 2 are warm-up");
}

#[test]
fn the_space_follows_the_optimizer_unless_it_is_named() {
    let space = |text: &str, sets: &[&str]| {
        let overrides: Vec<Override> = sets
            .iter()
            .map(|set| Override::parse(set).unwrap())
            .collect();
        let config = Config::parse(text, "project.toml", &overrides).unwrap();
        assert_eq!(parsed(&config.to_toml().unwrap()), config);
        config.refinement.space.clone()
    };
    for (name, kind, rate, decay) in [
        ("adam", OptimizerKind::Adam, [1e-4, 1e-2], [1e-5, 1e-3]),
        ("adamw", OptimizerKind::AdamW, [1e-4, 1e-2], [1e-3, 0.1]),
        ("sgd", OptimizerKind::Sgd, [0.01, 1.0], [1e-5, 1e-3]),
        ("lion", OptimizerKind::Lion, [3e-5, 3e-3], [0.01, 1.0]),
        ("muon", OptimizerKind::Muon, [0.01, 0.5], [0.005, 0.5]),
    ] {
        let expected = RefinementConfig::space_for(kind);
        for (key, [low, high]) in [("learning_rate", rate), ("weight_decay", decay)] {
            assert_eq!(
                expected.get(&format!("training.optimizer.{key}")),
                Some(&ParameterSpace::log_float(low, high)),
                "{name}"
            );
        }
        let text = format!("[training.optimizer]\nkind = '{name}'");
        assert_eq!(space(&text, &[]), expected);
        let set = format!("training.optimizer.kind={name}");
        assert_eq!(space("[refinement]\ntrials = 3", &[&set]), expected);
        let named =
            "[refinement.space]\n'model.dropout' = { type = 'float', low = 0.1, high = 0.2 }";
        assert_eq!(space(named, &[&set]).len(), 1);
    }
    assert_eq!(space("", &[]), Config::default().refinement.space);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_accepted_config_reads_back_equal(
        seed in 0..=i64::MAX as u64,
        rate in 1e-8..1.0_f64,
        target in 0.0..=1.0_f64,
        name in "[a-z\"'\\\\ é]{1,20}",
        bytes in 1..=i64::MAX as u64,
        sizes in prop::collection::vec(1..4096_usize, 1..16),
    ) {
        let mut raw = RawConfig { seed, ..RawConfig::default() };
        raw.training.optimizer.learning_rate = rate;
        raw.task.primary.target = target;
        raw.project.name = format!("n{}n", name.replace(['"', '\\'], "'"));
        raw.project.description = name;
        raw.task.constraints.model_bytes_max = bytes;
        raw.deployment.benchmark.throughput_batch_sizes = sizes;
        let config = Config::check(raw).unwrap();
        prop_assert_eq!(parsed(&config.to_toml().unwrap()), config);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}", set in "[a-z.=0-9\"\\[\\]{} -]{0,40}") {
        if let Ok(set) = Override::parse(&set) {
            let _ = Config::parse(&text, "project.toml", std::slice::from_ref(&set));
            let _ = Config::parse("", "project.toml", &[set]);
        }
    }
}

fn configs_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

#[test]
fn every_shipped_config_is_accepted() {
    let mut n = 0;
    for entry in std::fs::read_dir(configs_folder()).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let config = Config::load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(parsed(&config.to_toml().unwrap()), config);
            n += 1;
        }
    }
    assert!(n >= 5, "{n} configs");
}

#[test]
fn cifar10_is_the_reference_recipe() {
    let config = Config::load(&configs_folder().join("cifar10.toml"), &[]).unwrap();
    assert_eq!(config.model, ModelConfig::reference());
    let training = &config.training;
    assert_eq!((training.epochs, training.batch_size), (100, 128));
    assert_eq!(
        (
            training.optimizer.learning_rate,
            training.optimizer.weight_decay
        ),
        (1e-3, 1e-4)
    );
    assert_eq!(training.early_stopping.as_ref().unwrap().patience, 10);
    let augmentation = &config.augmentation;
    assert_eq!(
        (
            augmentation.random_crop_padding,
            augmentation.horizontal_flip_probability
        ),
        (4, 0.5)
    );
    assert_eq!(
        (
            augmentation.brightness,
            augmentation.contrast,
            augmentation.saturation
        ),
        (0.2, 0.2, 0.0)
    );
    assert_eq!(config.task, TaskConfig::default());
    assert_eq!(config.refinement, RefinementConfig::default());
}

/// The reference config with its optional settings switched on: lines that begin with `#` and no space.
fn uncommented(reference: &str) -> String {
    let lines = reference.lines().map(|line| {
        let setting = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| !c.is_whitespace()));
        setting.unwrap_or(line)
    });
    // The path is of a source that has one.
    let text = lines.collect::<Vec<_>>().join("\n");
    text.replacen("source = \"synthetic\"", "source = \"folder\"", 1)
}

/// Dotted keys of all leaves. Lists and what users may name freely count as leaves.
fn leaves(value: &serde_json::Value, prefix: &str, found: &mut std::collections::BTreeSet<String>) {
    match value.as_object() {
        Some(table) if !prefix.ends_with(".criteria") && prefix != "refinement.space" => {
            for (key, inner) in table {
                let key = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                leaves(inner, &key, found);
            }
        }
        _ => {
            found.insert(prefix.to_owned());
        }
    }
}

#[test]
fn the_reference_documents_every_key_with_its_default() {
    let reference = std::fs::read_to_string(configs_folder().join("reference.toml")).unwrap();
    assert_eq!(parsed(&reference), Config::default(), "a default differs");

    // With the optional settings on, what the types know and what the file says must be the same keys.
    let everything = uncommented(&reference);
    let config = parsed(&everything);
    let mut known = std::collections::BTreeSet::new();
    leaves(&serde_json::to_value(&*config).unwrap(), "", &mut known);
    let mut documented = std::collections::BTreeSet::new();
    let table: toml::Table = toml::from_str(&everything).unwrap();
    leaves(&serde_json::to_value(table).unwrap(), "", &mut documented);
    assert_eq!(known, documented);
    let absent = leaves_that_are_null(&serde_json::to_value(&*config).unwrap());
    assert!(
        absent.is_empty(),
        "optional keys without an example: {absent:?}"
    );
}

fn leaves_that_are_null(value: &serde_json::Value) -> Vec<String> {
    let mut all = std::collections::BTreeSet::new();
    leaves(value, "", &mut all);
    all.into_iter()
        .filter(|key| {
            value
                .pointer(&format!("/{}", key.replace('.', "/")))
                .is_some_and(serde_json::Value::is_null)
        })
        .collect()
}

#[test]
fn every_setting_of_the_reference_is_explained() {
    let reference = std::fs::read_to_string(configs_folder().join("reference.toml")).unwrap();
    let lines: Vec<&str> = reference.lines().collect();
    let is_setting = |line: &str| {
        line.trim_start_matches('#')
            .starts_with(|c: char| c.is_ascii_lowercase())
    };
    for (index, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| is_setting(line) && line.contains(" = "))
    {
        let section = lines[..index]
            .iter()
            .rfind(|line| line.trim_start_matches('#').starts_with('['));
        // Stages and gates explain their keys once, above the first of them.
        let explained_together =
            section.is_some_and(|name| name.contains("model.stages") || name.contains("gates."));
        assert!(
            explained_together || lines[index - 1].starts_with("# "),
            "line {}: {line}",
            index + 1
        );
    }
}

#[test]
fn the_reference_documents_every_criterion_with_its_limit() {
    let reference = std::fs::read_to_string(configs_folder().join("reference.toml")).unwrap();
    let everything = parsed(&uncommented(&reference));
    for stage in Stage::ALL {
        let limits: std::collections::BTreeMap<String, CriterionSetting> = Config::default()
            .criteria(stage)
            .into_iter()
            .map(|criterion| (criterion.id, CriterionSetting::Limit(criterion.limit)))
            .collect();
        assert_eq!(everything.gates.section(stage).criteria, limits, "{stage}");
    }
}
