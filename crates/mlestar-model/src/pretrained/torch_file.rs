//! Files that `torch.save` wrote: a zip file since PyTorch 1.6, before that a sequence of pickles and storages.

use std::collections::HashMap;
use std::ops::Range;

use super::archive;
use super::pickle::{self, Item, Pickle, PickledStorage};
use super::stored::StoredTensor;

/// A pickle of the number 0x1950a86a20f9469cfc6c, without the byte of its protocol: how files before PyTorch 1.6 begin.
const LEGACY_MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// Keys under which programs for training keep a state dict beside other things.
const STATE_KEYS: [&str; 2] = ["state_dict", "model"];
/// What several GPUs put before every name.
const PARALLEL: &str = "module.";

/// Whether the file is one of PyTorch's.
pub(super) fn is_torch(file: &[u8]) -> bool {
    file.starts_with(archive::MAGIC) || is_legacy(file)
}

fn is_legacy(file: &[u8]) -> bool {
    file.first() == Some(&0x80)
        && file
            .get(2..)
            .is_some_and(|file| file.starts_with(LEGACY_MAGIC))
}

/// The tensors of a file, in their order.
pub(super) fn tensors(file: &[u8]) -> Result<Vec<StoredTensor>, String> {
    match is_legacy(file) {
        true => of_legacy(file),
        false => of_archive(file),
    }
}

fn of_archive(file: &[u8]) -> Result<Vec<StoredTensor>, String> {
    let entries = archive::entries(file)?;
    // All entries lie in a folder, whose name depends on that of the file.
    let described = entries.iter().find(|(name, _)| name.ends_with("/data.pkl"));
    let Some((name, range)) = described else {
        return Err("it is a zip file without data.pkl, so not of PyTorch".to_owned());
    };
    let folder = name.trim_end_matches("data.pkl");
    let order = entries.get(format!("{folder}byteorder").as_str());
    if order.is_some_and(|range| &file[range.clone()] != b"little") {
        return Err("its numbers are not little-endian".to_owned());
    }
    let (values, root, _) = pickle::read(&file[range.clone()])?;
    state_dict(&values, root, |storage| {
        let entry = format!("{folder}data/{}", storage.key);
        let found = entries.get(entry.as_str());
        found
            .cloned()
            .ok_or_else(|| format!("it has no entry `{entry}`"))
    })
}

/// Magic number, version, system, values, keys of the storages; then each storage with its length.
fn of_legacy(file: &[u8]) -> Result<Vec<StoredTensor>, String> {
    let mut at = 2 + LEGACY_MAGIC.len();
    for _ in ["version", "system"] {
        at += pickle::read(&file[at..])?.2;
    }
    let (values, root, length) = pickle::read(&file[at..])?;
    at += length;
    let (keys, list, length) = pickle::read(&file[at..])?;
    at += length;
    let Item::List(list) = list else {
        return Err("it has no list of storages".to_owned());
    };
    let numbers: HashMap<&str, PickledStorage> = (values.storages.iter())
        .map(|storage| (storage.key, *storage))
        .collect();
    let mut places: HashMap<&str, Range<usize>> = HashMap::new();
    for key in &keys.lists[list] {
        let storage = match key {
            Item::Text(key) => numbers.get(key),
            _ => None,
        };
        let storage = storage.ok_or("its list of storages names one that no tensor uses")?;
        let length = file.get(at..at + 8).ok_or("it ends within its storages")?;
        let length = length
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u64::from(byte));
        if usize::try_from(length) != Ok(storage.elements) {
            let (key, expected) = (storage.key, storage.elements);
            return Err(format!(
                "its storage {key} has {length} numbers, not {expected}"
            ));
        }
        let begin = at + 8;
        let bytes = storage.elements.checked_mul(storage.numbers.bytes());
        let end = bytes.and_then(|bytes| begin.checked_add(bytes));
        let end = end
            .filter(|&end| end <= file.len())
            .ok_or("it ends within its storages")?;
        places.insert(storage.key, begin..end);
        at = end;
    }
    state_dict(&values, root, |storage| {
        let key = storage.key;
        places
            .get(key)
            .cloned()
            .ok_or_else(|| format!("it has no storage {key}"))
    })
}

/// The tensors of the state dict, whose storages `place` finds in the file.
fn state_dict(
    values: &Pickle<'_>,
    root: Item<'_>,
    place: impl Fn(&PickledStorage) -> Result<Range<usize>, String>,
) -> Result<Vec<StoredTensor>, String> {
    let Some(entries) = tensors_of(values, root) else {
        return Err(
            "it holds no state dict: in Python, load it and save it again with \
             `torch.save(network.state_dict(), \"weights.pth\")`"
                .to_owned(),
        );
    };
    let is_parallel = entries.iter().all(|(name, _)| name.starts_with(PARALLEL));
    let mut tensors = Vec::with_capacity(entries.len());
    for (name, tensor) in entries {
        let tensor = &values.tensors[tensor];
        let range = place(&tensor.storage)?;
        let bytes = tensor
            .storage
            .elements
            .checked_mul(tensor.storage.numbers.bytes());
        if bytes != Some(range.len()) {
            return Err(format!(
                "the storage of `{name}` has {} bytes, which is not {} numbers of {}",
                range.len(),
                tensor.storage.elements,
                tensor.storage.numbers.bytes()
            ));
        }
        let name = match is_parallel {
            true => name.trim_start_matches(PARALLEL),
            false => name,
        };
        let tensor = StoredTensor {
            name: name.to_owned(),
            shape: tensor.shape.clone(),
            strides: tensor.strides.clone(),
            numbers: tensor.storage.numbers,
            storage: range,
            offset: tensor.offset,
        };
        tensor.check()?;
        tensors.push(tensor);
    }
    Ok(tensors)
}

/// Names and tensors of the dict itself, or of the state dict in it.
fn tensors_of<'a>(values: &Pickle<'a>, root: Item<'a>) -> Option<Vec<(&'a str, usize)>> {
    let Item::Dict(root) = root else {
        return None;
    };
    let root = &values.dicts[root];
    let inner = root.iter().find_map(|entry| match *entry {
        (Item::Text(key), Item::Dict(dict)) if STATE_KEYS.contains(&key) => Some(dict),
        _ => None,
    });
    let entries = inner.map_or(root, |dict| &values.dicts[dict]);
    let tensors = entries.iter().filter_map(|entry| match *entry {
        (Item::Text(name), Item::Tensor(tensor)) => Some((name, tensor)),
        _ => None,
    });
    let tensors: Vec<_> = tensors.collect();
    (!tensors.is_empty()).then_some(tensors)
}
