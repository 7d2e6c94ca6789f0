//! Weights of others from files that are written here byte by byte.

use std::fs;
use std::path::PathBuf;

use burn::tensor::Device;
use mlestar_model::pretrained::{Head, Interpolation, Naming, WeightsFile};
use mlestar_model::{
    Activation, Architecture, Description, ImageClassifier, ModelConfig, ModelError, NamedTensor,
    Network,
};
use proptest::prelude::*;
use safetensors::{Dtype, tensor::TensorView};

use crate::{bottlenecks, random_values};

/// A tensor under the name that a file gives it.
#[derive(Clone)]
struct Named {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// A network of few channels, made like EfficientNet-Lite0.
fn tiny() -> Description {
    bottlenecks::padded_bottlenecks(Activation::Relu6, 24)
}

fn random_state(description: &Description) -> Vec<NamedTensor> {
    let tensors = description.tensors().into_iter().enumerate();
    let tensors = tensors.map(|(index, (name, shape))| {
        let mut values = random_values(index as u64, shape.iter().product());
        if name.ends_with("running_var") {
            values.iter_mut().for_each(|value| *value = value.abs());
        }
        NamedTensor {
            name,
            shape,
            values,
        }
    });
    tensors.collect()
}

/// The names of `efficientnet_lite_pytorch` for the tensors of [`tiny`], written down by hand.
fn with_names_of_lite(state: &[NamedTensor]) -> Vec<Named> {
    const LAYERS: [(&str, &str); 22] = [
        ("stem.conv", "_conv_stem"),
        ("stem.bn", "_bn0"),
        ("stages.0.0.conv1", "_blocks.0._depthwise_conv"),
        ("stages.0.0.bn1", "_blocks.0._bn1"),
        ("stages.0.0.conv2", "_blocks.0._project_conv"),
        ("stages.0.0.bn2", "_blocks.0._bn2"),
        ("stages.1.0.conv1", "_blocks.1._expand_conv"),
        ("stages.1.0.bn1", "_blocks.1._bn0"),
        ("stages.1.0.conv2", "_blocks.1._depthwise_conv"),
        ("stages.1.0.bn2", "_blocks.1._bn1"),
        ("stages.1.0.conv3", "_blocks.1._project_conv"),
        ("stages.1.0.bn3", "_blocks.1._bn2"),
        ("stages.1.1.conv1", "_blocks.2._expand_conv"),
        ("stages.1.1.bn1", "_blocks.2._bn0"),
        ("stages.1.1.conv2", "_blocks.2._depthwise_conv"),
        ("stages.1.1.bn2", "_blocks.2._bn1"),
        ("stages.1.1.conv3", "_blocks.2._project_conv"),
        ("stages.1.1.bn3", "_blocks.2._bn2"),
        ("top.conv", "_conv_head"),
        ("top.bn", "_bn1"),
        ("head", "_fc"),
        ("", ""),
    ];
    let renamed = state.iter().map(|tensor| {
        let (layer, field) = tensor.name.rsplit_once('.').unwrap();
        let (_, other) = LAYERS.iter().find(|(own, _)| *own == layer).unwrap();
        Named {
            name: format!("{other}.{field}"),
            shape: tensor.shape.clone(),
            values: tensor.values.clone(),
        }
    });
    renamed.collect()
}

/// How `torch.save` wrote a file.
#[derive(Debug, Clone, Copy)]
enum Format {
    Zip,
    Legacy,
}

const FORMATS: [Format; 2] = [Format::Zip, Format::Legacy];

/// A pickled text.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![b'X'];
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// A pickled integer.
fn int(value: usize) -> Vec<u8> {
    let mut bytes = vec![b'J'];
    bytes.extend((value as i32).to_le_bytes());
    bytes
}

fn ints(values: &[usize]) -> Vec<u8> {
    let mut bytes = vec![b'('];
    bytes.extend(values.iter().flat_map(|&value| int(value)));
    bytes.push(b't');
    bytes
}

/// `_rebuild_tensor_v2(("storage", class, key, "cpu", elements), 0, shape, strides, False, OrderedDict())`.
fn pickled_tensor(class: &str, key: &str, elements: usize, shape: &[usize]) -> Vec<u8> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        format!("ctorch\n{class}\n").into_bytes(),
        text(key),
        text("cpu"),
        int(elements),
        b"tQ".to_vec(),
        int(0),
        ints(shape),
        ints(&strides),
        b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

/// A pickled state dict, with a counter as batch normalisation has it and the attribute `_metadata`.
fn pickled(tensors: &[Named]) -> Vec<u8> {
    let mut bytes = b"\x80\x02ccollections\nOrderedDict\n)Rq\x00(".to_vec();
    for (index, tensor) in tensors.iter().enumerate() {
        bytes.extend(text(&tensor.name));
        let key = index.to_string();
        bytes.extend(pickled_tensor(
            "FloatStorage",
            &key,
            tensor.values.len(),
            &tensor.shape,
        ));
    }
    bytes.extend(text("a.num_batches_tracked"));
    bytes.extend(pickled_tensor("LongStorage", "counter", 1, &[]));
    bytes.push(b'u');
    bytes.extend(b"}");
    bytes.extend(text("_metadata"));
    bytes.extend(b"}sb.");
    bytes
}

/// The storages by their keys.
fn storages(tensors: &[Named]) -> Vec<(String, usize, Vec<u8>)> {
    let values = tensors.iter().enumerate().map(|(index, tensor)| {
        let bytes = tensor.values.iter().flat_map(|value| value.to_le_bytes());
        (index.to_string(), tensor.values.len(), bytes.collect())
    });
    let counter = ("counter".to_owned(), 1, 7_i64.to_le_bytes().to_vec());
    values.chain([counter]).collect()
}

fn torch_file(format: Format, tensors: &[Named]) -> Vec<u8> {
    match format {
        Format::Zip => {
            let data = storages(tensors).into_iter();
            let data = data.map(|(key, _, bytes)| (format!("weights/data/{key}"), bytes));
            let mut entries = vec![("weights/data.pkl".to_owned(), pickled(tensors))];
            entries.push(("weights/byteorder".to_owned(), b"little".to_vec()));
            entries.extend(data);
            zip(&entries)
        }
        Format::Legacy => {
            let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
            bytes.extend(b"\x80\x02M\xe9\x03.");
            bytes.extend(
                [
                    b"\x80\x02}".to_vec(),
                    text("little_endian"),
                    b"\x88s.".to_vec(),
                ]
                .concat(),
            );
            bytes.extend(pickled(tensors));
            bytes.extend(b"\x80\x02](");
            bytes.extend(storages(tensors).iter().flat_map(|(key, ..)| text(key)));
            bytes.extend(b"e.");
            for (_, elements, storage) in storages(tensors) {
                bytes.extend((elements as u64).to_le_bytes());
                bytes.extend(storage);
            }
            bytes
        }
    }
}

/// A zip file of uncompressed entries. The checksum is computed bit by bit.
fn zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let checksum = |bytes: &[u8]| {
        let mut sum = u32::MAX;
        for byte in bytes {
            sum ^= u32::from(*byte);
            for _ in 0..8 {
                sum = if sum & 1 == 1 {
                    sum >> 1 ^ 0xedb8_8320
                } else {
                    sum >> 1
                };
            }
        }
        !sum
    };
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let size = (content.len() as u32).to_le_bytes();
        let begin = (file.len() as u32).to_le_bytes();
        // Version, flags, method, time and date; checksum and sizes; lengths of name and extra field.
        let mut common = vec![0; 10];
        common.extend(checksum(content).to_le_bytes());
        common.extend([size, size].concat());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend(name.as_bytes());
        file.extend(content);
        directory.extend(b"PK\x01\x02\0\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(begin);
        directory.extend(name.as_bytes());
    }
    let (at, length) = (file.len() as u32, directory.len() as u32);
    file.extend(directory);
    let count = (entries.len() as u16).to_le_bytes();
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([count, count].concat());
    file.extend(length.to_le_bytes());
    file.extend(at.to_le_bytes());
    file.extend([0, 0]);
    file
}

fn safetensors_file(dtype: Dtype, tensors: &[(String, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn read(bytes: &[u8]) -> Result<WeightsFile, ModelError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    fs::write(&path, bytes).unwrap();
    WeightsFile::read(&path)
}

fn reason(error: ModelError) -> String {
    match error {
        ModelError::Weights { path, reason } if path.ends_with("weights.pth") => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn files_of_pytorch_become_the_state_of_our_network() {
    let description = tiny();
    let state = random_state(&description);
    let named = with_names_of_lite(&state);
    for format in FORMATS {
        let file = read(&torch_file(format, &named)).unwrap();
        assert_eq!(file.tensors().count(), named.len() + 1);
        let found = file.for_description(&description).unwrap();
        assert_eq!(found.state, state, "{format:?}");
        assert_eq!(found.record.naming, Naming::EfficientnetLitePytorch);
        assert_eq!(
            (found.record.head, found.record.architecture),
            (Head::Kept, None)
        );
        assert_eq!(&found.record.file, file.hash());
        let network = ImageClassifier::new(&description, 1, &Device::flex());
        let network = network.load_state(&found.state, &Device::flex()).unwrap();
        assert_eq!(network.state(), state);
    }
}

#[test]
fn our_own_states_and_a_dict_around_the_state_are_read() {
    let description = tiny();
    let state = random_state(&description);
    let bytes = |tensor: &NamedTensor| tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let tensors: Vec<_> = (state.iter())
        .map(|tensor| (tensor.name.clone(), tensor.shape.clone(), bytes(tensor)))
        .collect();
    let file = read(&safetensors_file(Dtype::F32, &tensors)).unwrap();
    let found = file.for_description(&description).unwrap();
    assert_eq!(
        (found.state, found.record.naming),
        (state.clone(), Naming::Mlestar)
    );
    assert_eq!(found.record.preprocessing, None);

    // As programs for training save it: {"epoch": 3, "state_dict": {"module.…": …}}.
    let parallel: Vec<Named> = (state.iter())
        .map(|tensor| Named {
            name: format!("module.{}", tensor.name),
            shape: tensor.shape.clone(),
            values: tensor.values.clone(),
        })
        .collect();
    let mut inner = pickled(&parallel);
    inner.pop();
    // The counter has the prefix too.
    let counter = text("a.num_batches_tracked");
    let at = inner
        .windows(counter.len())
        .position(|part| part == counter)
        .unwrap();
    inner.splice(at..at + counter.len(), text("module.a.num_batches_tracked"));
    let outer = [
        b"\x80\x02}(".to_vec(),
        text("epoch"),
        int(3),
        text("state_dict"),
        inner[2..].to_vec(),
        b"u.".to_vec(),
    ];
    let mut entries = vec![("a/data.pkl".to_owned(), outer.concat())];
    entries.extend(
        (storages(&parallel).into_iter()).map(|(key, _, bytes)| (format!("a/data/{key}"), bytes)),
    );
    let found = read(&zip(&entries))
        .unwrap()
        .for_description(&description)
        .unwrap();
    assert_eq!(found.state, state);
}

#[test]
fn a_head_for_other_classes_is_left_out() {
    let description = tiny();
    let state = random_state(&description);
    let file = read(&torch_file(Format::Zip, &with_names_of_lite(&state))).unwrap();
    let other = Description {
        n_classes: 7,
        ..description
    };
    let found = file.for_description(&other).unwrap();
    assert_eq!(found.record.head, Head::Dropped { n_classes: Some(3) });
    assert_eq!(found.state, state[..state.len() - 2]);
    let mut headless = with_names_of_lite(&state);
    headless.truncate(state.len() - 2);
    let file = read(&torch_file(Format::Zip, &headless)).unwrap();
    let found = file.for_description(&other).unwrap();
    assert_eq!(found.record.head, Head::Dropped { n_classes: None });
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let description = tiny();
    let named = with_names_of_lite(&random_state(&description));
    let refused = |change: &dyn Fn(&mut Vec<Named>)| {
        let mut named = named.clone();
        change(&mut named);
        let file = read(&torch_file(Format::Zip, &named)).unwrap();
        reason(file.for_description(&description).unwrap_err())
    };
    assert_eq!(
        refused(&|named| named.retain(|tensor| !tensor.name.starts_with("_bn1."))),
        "the file has no `_bn1.weight`, `_bn1.bias`, `_bn1.running_mean`, `_bn1.running_var`"
    );
    let error = refused(&|named| named.retain(|tensor| !tensor.name.contains("_bn2")));
    assert!(
        error.contains("`_blocks.1._bn2.weight` and 7 more"),
        "{error}"
    );
    assert_eq!(
        refused(&|named| {
            named[0].shape = vec![3, 8, 3, 3];
            named[1].name = "other".into();
        }),
        "the file has no `_bn0.weight`; this network has no `other`; `_conv_stem.weight` has the shape [3, 8, 3, 3] in \
         the file and [8, 3, 3, 3] in this network"
    );
    let error = refused(&|named| named[4].values[0] = -1.0);
    assert!(
        error.contains("stem.bn.running_var") && error.contains("negative"),
        "{error}"
    );
    let error = refused(&|named| named[0].values[5] = f32::NAN);
    assert!(error.contains("position 5: it must be finite"), "{error}");
    let file = read(&torch_file(Format::Zip, &named[..1])).unwrap();
    let error = file.for_description(&ModelConfig::small().check(3, 24, 26).unwrap().description());
    let error = reason(error.unwrap_err());
    assert!(
        error.contains("the file has no `stem.conv.weight`"),
        "{error}"
    );
    assert!(
        error.contains("this network has no `_conv_stem.weight`"),
        "{error}"
    );
}

/// The tensors of an architecture with 16-bit zeros.
fn published(architecture: Architecture, names: impl Fn(&str) -> String) -> Vec<u8> {
    let spec = ModelConfig::of(architecture).check(1000, 224, 224).unwrap();
    let tensors = spec.description().tensors().into_iter();
    let tensors: Vec<_> = tensors
        .map(|(name, shape)| {
            let n: usize = shape.iter().product();
            (names(&name), shape, vec![0; 2 * n])
        })
        .collect();
    safetensors_file(Dtype::BF16, &tensors)
}

#[test]
fn published_networks_are_recognised_with_their_preprocessing() {
    let own = |name: &str| name.to_owned();
    let recognised = |bytes: &[u8]| read(bytes).unwrap().recognise().unwrap();
    let lite0 = recognised(&published(Architecture::EfficientnetLite0, own));
    assert_eq!(
        (lite0.architecture, lite0.naming, lite0.n_classes),
        (Architecture::EfficientnetLite0, Naming::Mlestar, Some(1000))
    );
    let torchvision = |name: &str| {
        let name = name.replace("stem.conv", "conv1").replace("stem.bn", "bn1");
        let name = name
            .replace("shortcut.conv", "downsample.0")
            .replace("head", "fc");
        let name = name.replace("shortcut.bn", "downsample.1");
        match name.strip_prefix("stages.") {
            Some(rest) => {
                let (stage, rest) = rest.split_once('.').unwrap();
                format!("layer{}.{rest}", stage.parse::<usize>().unwrap() + 1)
            }
            None => name,
        }
    };
    let file = read(&published(Architecture::Resnet18, torchvision)).unwrap();
    let found = file.recognise().unwrap();
    assert_eq!(
        (found.architecture, found.naming),
        (Architecture::Resnet18, Naming::Torchvision)
    );
    let description = ModelConfig::of(Architecture::Resnet18)
        .check(2, 64, 64)
        .unwrap()
        .description();
    let record = file.for_description(&description).unwrap().record;
    let preprocessing = record.preprocessing.unwrap();
    assert_eq!(preprocessing.mean, [0.485, 0.456, 0.406]);
    assert_eq!((preprocessing.shorter_side, preprocessing.crop), (256, 224));
    assert_eq!(preprocessing.interpolation, Interpolation::Bilinear);
    // The message says what the file is.
    let error = reason(file.for_description(&tiny()).unwrap_err());
    assert!(error.ends_with("; the file is of ResNet-18"), "{error}");
    assert!(
        read(&torch_file(
            Format::Zip,
            &with_names_of_lite(&random_state(&tiny()))
        ))
        .unwrap()
        .recognise()
        .is_none()
    );
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let refused = |bytes: &[u8]| reason(read(bytes).unwrap_err());
    assert!(refused(b"").contains("neither a file of PyTorch nor of safetensors"));
    assert!(refused(b"hello, this is no file of weights").contains("neither"));
    let missing = WeightsFile::read(&PathBuf::from("nowhere/weights.pth")).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("nowhere/weights.pth: it cannot be read")
    );
    let zip_of = |pickle: &[u8]| zip(&[("a/data.pkl".to_owned(), pickle.to_vec())]);
    assert!(refused(&zip(&[("a".to_owned(), vec![])])).contains("without data.pkl"));
    assert!(refused(&zip_of(b"\x80\x02}.")).contains("no state dict"));
    assert!(refused(&zip_of(b"cposix\nsystem\n.")).contains("`posix.system`"));
    let tensor = pickled_tensor("FloatStorage", "0", 4, &[2, 2]);
    let dict = |tensor: &[u8]| [b"}", &text("a")[..], tensor, b"s."].concat();
    assert!(refused(&zip_of(&dict(&tensor))).contains("no entry `a/data/0`"));
    let with_data = |pickle: &[u8], bytes: usize, order: &[u8]| {
        zip(&[
            ("a/data.pkl".to_owned(), pickle.to_vec()),
            ("a/byteorder".to_owned(), order.to_vec()),
            ("a/data/0".to_owned(), vec![0; bytes]),
        ])
    };
    let error = refused(&with_data(&dict(&tensor), 12, b"little"));
    assert!(
        error.contains("has 12 bytes, which is not 4 numbers of 4"),
        "{error}"
    );
    assert!(refused(&with_data(&dict(&tensor), 16, b"big")).contains("little-endian"));
    read(&with_data(&dict(&tensor), 16, b"little")).unwrap();
    let large = pickled_tensor("FloatStorage", "0", 4, &[2, 3]);
    assert!(refused(&with_data(&dict(&large), 16, b"little")).contains("more elements"));
    let twice = [
        b"}",
        &text("a")[..],
        &tensor,
        b"s",
        &text("a")[..],
        &tensor,
        b"s.",
    ]
    .concat();
    assert!(refused(&with_data(&twice, 16, b"little")).contains("`a` twice"));
}

/// Whatever a file holds, reading it ends with a result.
fn ends(bytes: &[u8]) {
    if let Ok(file) = read(bytes) {
        let _ = file.recognise();
        let _ = file.for_description(&tiny());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_files_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        legacy in any::<bool>(),
    ) {
        let named = with_names_of_lite(&random_state(&tiny()));
        let format = if legacy { Format::Legacy } else { Format::Zip };
        let mut bytes = torch_file(format, &named);
        let length = bytes.len();
        for (at, value) in changes {
            bytes[at.index(length)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(length));
        }
        ends(&bytes);
    }

    /// The pickle is a small part of a file, so it is damaged alone too, behind a right checksum.
    #[test]
    fn damaged_pickles_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..9),
    ) {
        let named = with_names_of_lite(&random_state(&tiny()));
        let mut pickle = pickled(&named);
        let length = pickle.len();
        for (at, value) in changes {
            pickle[at.index(length)] = value;
        }
        let mut entries = vec![("a/data.pkl".to_owned(), pickle)];
        entries.extend((storages(&named).into_iter()).map(|(key, _, bytes)| (format!("a/data/{key}"), bytes)));
        ends(&zip(&entries));
    }

    #[test]
    fn any_bytes_after_a_right_beginning_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        ends(&[b"PK\x03\x04", &bytes[..]].concat());
        ends(&[b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", &bytes[..]].concat());
        ends(&zip(&[("a/data.pkl".to_owned(), bytes.clone())]));
        ends(&bytes);
    }
}
