//! The part of Python's pickle format that a state dict of PyTorch needs.
//!
//! A pickle is a program for a stack machine. This one builds values and nothing else: a name of a Python object is
//! looked up in [`Global`], and what is not there is an error, so nothing in a file can run code. Values lie in lists
//! and refer to each other by position. So neither depth nor sharing nor circles in a file cost more than its length.
//! (The opcodes: `Lib/pickletools.py` of `CPython`.)

use std::collections::HashMap;

use super::stored::Numbers;

/// The Python objects that a state dict may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2` and its predecessor.
    RebuildTensor,
    RebuildParameter,
    /// `torch.Size`.
    Size,
    /// A class of storages.
    Storage(Numbers),
}

impl Global {
    fn of(module: &str, name: &str) -> Result<Self, String> {
        let found = match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "Size") => Self::Size,
            ("torch", "HalfStorage") => Self::Storage(Numbers::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Numbers::Bf16),
            ("torch", "FloatStorage") => Self::Storage(Numbers::F32),
            ("torch", "DoubleStorage") => Self::Storage(Numbers::F64),
            ("torch", "LongStorage") => Self::Storage(Numbers::Integers(8)),
            ("torch", "IntStorage") => Self::Storage(Numbers::Integers(4)),
            ("torch", "ShortStorage") => Self::Storage(Numbers::Integers(2)),
            ("torch", "CharStorage" | "ByteStorage" | "BoolStorage") => {
                Self::Storage(Numbers::Integers(1))
            }
            _ => {
                return Err(format!(
                    "it asks for the Python object `{module}.{name}`, but only state dicts of tensors are read: in \
                     Python, load it and save it again with `torch.save(network.state_dict(), \"weights.pth\")`"
                ));
            }
        };
        Ok(found)
    }
}

/// A value; `usize` is a position in a list of [`Pickle`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Item<'a> {
    None,
    Bool,
    Float,
    Int(i64),
    Text(&'a str),
    Global(Global),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Storage(usize),
    Tensor(usize),
}

/// A storage as a pickle names it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PickledStorage<'a> {
    pub numbers: Numbers,
    /// Its name among the storages of the file.
    pub key: &'a str,
    /// Number of elements.
    pub elements: usize,
}

/// A tensor as a pickle describes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PickledTensor<'a> {
    pub storage: PickledStorage<'a>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// What a pickle describes.
#[derive(Debug, Default)]
pub(super) struct Pickle<'a> {
    pub tuples: Vec<Vec<Item<'a>>>,
    pub lists: Vec<Vec<Item<'a>>>,
    pub dicts: Vec<Vec<(Item<'a>, Item<'a>)>>,
    pub storages: Vec<PickledStorage<'a>>,
    pub tensors: Vec<PickledTensor<'a>>,
}

/// Reads the pickle at the beginning of `bytes`; returns its values, the last of them and its length.
pub(super) fn read(bytes: &[u8]) -> Result<(Pickle<'_>, Item<'_>, usize), String> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        values: Pickle::default(),
    };
    loop {
        let begin = machine.at;
        match machine.step() {
            Ok(true) => {}
            Ok(false) => break,
            Err(reason) => return Err(format!("{reason} (at byte {begin} of its pickle)")),
        }
    }
    match machine.stack.pop() {
        Some(root) => Ok((machine.values, root, machine.at)),
        None => Err("its pickle is empty".to_owned()),
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Item<'a>>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Item<'a>>,
    values: Pickle<'a>,
}

impl<'a> Machine<'a> {
    /// One instruction; false at the end.
    fn step(&mut self) -> Result<bool, String> {
        match self.take(1)?[0] {
            b'.' => return Ok(false),
            // Protocol and frame: nothing depends on them.
            0x80 => _ = self.take(1)?,
            0x95 => _ = self.take(8)?,
            b'(' => self.marks.push(self.stack.len()),
            b'q' => {
                let key = self.unsigned(1)?;
                self.remember(key)?;
            }
            b'r' => {
                let key = self.unsigned(4)?;
                self.remember(key)?;
            }
            0x94 => {
                let key = self.memo.len() as u64;
                self.remember(key)?;
            }
            b'h' => {
                let key = self.unsigned(1)?;
                self.recall(key)?;
            }
            b'j' => {
                let key = self.unsigned(4)?;
                self.recall(key)?;
            }
            opcode @ (b'u' | b's' | b'e' | b'a') => self.fill(opcode)?,
            b'R' => self.reduce()?,
            b'Q' => self.storage()?,
            // The state of an object, such as the versions of a state dict: nothing is read from it.
            b'b' => {
                self.pop()?;
                match self.stack.last() {
                    Some(Item::Dict(_)) => {}
                    other => return Err(format!("it sets the state of {other:?}")),
                }
            }
            opcode => {
                let item = self.value(opcode)?;
                self.stack.push(item);
            }
        }
        Ok(true)
    }

    /// The value of an instruction that pushes one.
    fn value(&mut self, opcode: u8) -> Result<Item<'a>, String> {
        Ok(match opcode {
            b'N' => Item::None,
            0x88 | 0x89 => Item::Bool,
            b'K' => Item::Int(self.unsigned(1)?.cast_signed()),
            b'M' => Item::Int(self.unsigned(2)?.cast_signed()),
            b'J' => Item::Int(self.signed(4)?),
            0x8a => {
                let length = self.unsigned(1)? as usize;
                Item::Int(self.signed(length)?)
            }
            b'G' => {
                self.take(8)?;
                Item::Float
            }
            // Python 2 writes names as byte strings, with lengths of one or four bytes.
            0x8c | b'U' => self.text(1)?,
            b'X' | b'T' => self.text(4)?,
            b')' => self.tuple(Vec::new()),
            b't' => {
                let items = self.since_mark()?;
                self.tuple(items)
            }
            0x85..=0x87 => {
                let items = self.last(usize::from(opcode - 0x84))?;
                self.tuple(items)
            }
            b']' => {
                self.values.lists.push(Vec::new());
                Item::List(self.values.lists.len() - 1)
            }
            b'}' => self.new_dict(Vec::new()),
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                Item::Global(Global::of(module, name)?)
            }
            0x93 => match self.last(2)?[..] {
                [Item::Text(module), Item::Text(name)] => Item::Global(Global::of(module, name)?),
                _ => return Err("a name of a Python object is no text".to_owned()),
            },
            other => {
                return Err(format!(
                    "the instruction {other:#04x} is not part of a state dict"
                ));
            }
        })
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..n).ok_or("the file ends within its pickle")?;
        self.at += n;
        Ok(taken)
    }

    fn unsigned(&mut self, n: usize) -> Result<u64, String> {
        let bytes = self.take(n)?;
        Ok((bytes.iter().rev()).fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// A little-endian integer of up to eight bytes.
    fn signed(&mut self, n: usize) -> Result<i64, String> {
        if n > 8 {
            return Err(format!("an integer has {n} bytes, more than 8"));
        }
        let bits = 64 - 8 * n as u32;
        let value = self.unsigned(n)?.cast_signed();
        Ok(value.checked_shl(bits).map_or(0, |value| value >> bits))
    }

    fn text(&mut self, bytes_of_length: usize) -> Result<Item<'a>, String> {
        let length = usize::try_from(self.unsigned(bytes_of_length)?).unwrap_or(usize::MAX);
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8")?;
        Ok(Item::Text(text))
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        let line = self.take(length.ok_or("the file ends within its pickle")? + 1)?;
        let line = std::str::from_utf8(&line[..line.len() - 1]);
        line.map_err(|_| "a name is not UTF-8".to_owned())
    }

    fn pop(&mut self) -> Result<Item<'a>, String> {
        // Values below a mark belong to it.
        let floor = self.marks.last().copied().unwrap_or_default();
        match self.stack.len() > floor {
            true => self
                .stack
                .pop()
                .ok_or_else(|| "a value is missing".to_owned()),
            false => Err("a value is missing".to_owned()),
        }
    }

    /// Removes the last `n` values.
    fn last(&mut self, n: usize) -> Result<Vec<Item<'a>>, String> {
        let floor = self.marks.last().copied().unwrap_or_default();
        match self
            .stack
            .len()
            .checked_sub(n)
            .filter(|&begin| begin >= floor)
        {
            Some(begin) => Ok(self.stack.split_off(begin)),
            None => Err("a value is missing".to_owned()),
        }
    }

    fn since_mark(&mut self) -> Result<Vec<Item<'a>>, String> {
        let begin = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.split_off(begin.min(self.stack.len())))
    }

    fn remember(&mut self, key: u64) -> Result<(), String> {
        let item = *self.stack.last().ok_or("a value is missing")?;
        self.memo.insert(key as u32, item);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<(), String> {
        let item = self
            .memo
            .get(&(key as u32))
            .ok_or("a remembered value is missing")?;
        self.stack.push(*item);
        Ok(())
    }

    fn tuple(&mut self, items: Vec<Item<'a>>) -> Item<'a> {
        self.values.tuples.push(items);
        Item::Tuple(self.values.tuples.len() - 1)
    }

    fn new_dict(&mut self, entries: Vec<(Item<'a>, Item<'a>)>) -> Item<'a> {
        self.values.dicts.push(entries);
        Item::Dict(self.values.dicts.len() - 1)
    }

    /// Adds values to the dict or list below them.
    fn fill(&mut self, opcode: u8) -> Result<(), String> {
        let items = match opcode {
            b'u' | b'e' => self.since_mark()?,
            b's' => self.last(2)?,
            _ => self.last(1)?,
        };
        match (opcode, self.stack.last()) {
            (b'u' | b's', Some(&Item::Dict(dict))) if items.len().is_multiple_of(2) => {
                let pairs = items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
                self.values.dicts[dict].extend(pairs);
                Ok(())
            }
            (b'e' | b'a', Some(&Item::List(list))) => {
                self.values.lists[list].extend(items);
                Ok(())
            }
            _ => Err("values are added to neither a dict nor a list".to_owned()),
        }
    }

    /// The elements of a tuple or list.
    fn elements(&self, item: Item<'a>) -> Option<&[Item<'a>]> {
        match item {
            Item::Tuple(tuple) => Some(&self.values.tuples[tuple]),
            Item::List(list) => Some(&self.values.lists[list]),
            _ => None,
        }
    }

    /// A call of one of the known objects.
    fn reduce(&mut self) -> Result<(), String> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Some(arguments) = self.elements(arguments).map(<[_]>::to_vec) else {
            return Err("the arguments of a call are no tuple".to_owned());
        };
        let result = match (callable, &arguments[..]) {
            (Item::Global(Global::OrderedDict), []) => self.new_dict(Vec::new()),
            (Item::Global(Global::OrderedDict), &[pairs]) => self.dict_of_pairs(pairs)?,
            (Item::Global(Global::Size), &[sizes @ Item::Tuple(_)]) => sizes,
            (Item::Global(Global::RebuildParameter), &[tensor @ Item::Tensor(_), ..]) => tensor,
            (Item::Global(Global::RebuildTensor), arguments) => self.tensor(arguments)?,
            (other, _) => return Err(format!("it calls {other:?} with unknown arguments")),
        };
        self.stack.push(result);
        Ok(())
    }

    fn dict_of_pairs(&mut self, pairs: Item<'a>) -> Result<Item<'a>, String> {
        let pairs = self.elements(pairs).ok_or("a dict is made of no list")?;
        let pair = |&pair: &Item<'a>| match self.elements(pair) {
            Some(&[key, value]) => Ok((key, value)),
            _ => Err("a dict is made of no pairs"),
        };
        let entries = pairs.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
        Ok(self.new_dict(entries))
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, ...)`.
    fn tensor(&mut self, arguments: &[Item<'a>]) -> Result<Item<'a>, String> {
        let sizes = |item: Item<'a>| -> Option<Vec<usize>> {
            let size = |item: &Item<'a>| match item {
                Item::Int(value) => usize::try_from(*value).ok(),
                _ => None,
            };
            self.elements(item)?.iter().map(size).collect()
        };
        let tensor = match arguments {
            &[
                Item::Storage(storage),
                Item::Int(offset),
                shape,
                strides,
                ..,
            ] => {
                let parts = (usize::try_from(offset).ok(), sizes(shape), sizes(strides));
                match parts {
                    (Some(offset), Some(shape), Some(strides)) => Some(PickledTensor {
                        storage: self.values.storages[storage],
                        offset,
                        shape,
                        strides,
                    }),
                    _ => None,
                }
            }
            _ => None,
        };
        self.values
            .tensors
            .push(tensor.ok_or("a tensor has no storage, offset, shape and strides")?);
        Ok(Item::Tensor(self.values.tensors.len() - 1))
    }

    /// A persistent id: `("storage", class, key, location, elements)`.
    fn storage(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let storage = match self.elements(id) {
            Some(
                &[
                    Item::Text("storage"),
                    Item::Global(Global::Storage(numbers)),
                    Item::Text(key),
                    _,
                    Item::Int(elements),
                    ..,
                ],
            ) => usize::try_from(elements)
                .ok()
                .map(|elements| PickledStorage {
                    numbers,
                    key,
                    elements,
                }),
            _ => None,
        };
        self.values
            .storages
            .push(storage.ok_or("a storage has no class, key and length")?);
        self.stack
            .push(Item::Storage(self.values.storages.len() - 1));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        read(bytes).unwrap_err()
    }

    #[test]
    fn python_objects_are_named_and_never_run() {
        let error = refused(b"cos\nsystem\nX\x04\0\0\0echo\x85R.");
        assert!(error.contains("`os.system`"), "{error}");
        assert!(error.contains("torch.save(network.state_dict()"), "{error}");
        let error = refused(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.");
        assert!(error.contains("`builtins.eval`"), "{error}");
    }

    #[test]
    fn integers_have_their_sign() {
        let int = |bytes: &'static [u8]| read(bytes).unwrap().1;
        assert_eq!(int(b"K\xff."), Item::Int(255));
        assert_eq!(int(b"M\x01\x02."), Item::Int(0x201));
        assert_eq!(int(b"J\xff\xff\xff\xff."), Item::Int(-1));
        assert_eq!(int(b"\x8a\x01\x80."), Item::Int(-128));
        assert_eq!(int(b"\x8a\x00."), Item::Int(0));
        assert!(refused(b"\x8a\x09123456789.").contains("9 bytes"));
    }

    #[test]
    fn a_dict_may_contain_itself_and_tuples_may_be_deep() {
        let (values, root, length) = read(b"}q\0X\x01\0\0\0ah\0s.more").unwrap();
        assert_eq!((root, length), (Item::Dict(0), 13));
        assert_eq!(values.dicts[0], [(Item::Text("a"), Item::Dict(0))]);
        let mut deep = vec![b')'];
        deep.extend([0x85; 200_000]);
        deep.push(b'.');
        assert_eq!(read(&deep).unwrap().1, Item::Tuple(200_000));
    }

    #[test]
    fn incomplete_programs_are_refused() {
        for (bytes, expected) in [
            (&b""[..], "ends within"),
            (b"X\xff\xff\xff\xffa", "ends within"),
            (b".", "empty"),
            (b"R.", "a value is missing"),
            (b"K\x01(\x85.", "a value is missing"),
            (b"t.", "a mark is missing"),
            (b"h\x05.", "remembered"),
            (b"K\x01K\x02K\x03s.", "neither a dict nor a list"),
            (b"}(K\x01u.", "neither a dict nor a list"),
            (b"K\x01Q.", "a storage has no class"),
            (
                b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
                "a tensor has no storage",
            ),
            (b"K\x01)R.", "unknown arguments"),
            (b"I1\n.", "0x49"),
        ] {
            let error = refused(bytes);
            assert!(error.contains(expected), "{error}");
        }
    }
}
