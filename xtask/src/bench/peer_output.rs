//! Reads the output of a peer script. `benches/peers/README.md` describes the lines.

use super::report::Figures;
use mlestar_export::Precision;
use serde::Serialize;
use std::collections::BTreeMap;

/// A program that ours is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// In `f32`.
    Torch {
        is_compiled: bool,
        layout: Layout,
    },
    /// Compiled, channels last, predictions alone.
    TorchBf16,
    /// In `f32` or int8.
    OnnxRuntime(Precision),
    OpenVino(Precision),
}

/// The order of an image's values in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    Contiguous,
    ChannelsLast,
}

impl Peer {
    /// Every peer, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::torch(false, Layout::Contiguous),
        Self::torch(false, Layout::ChannelsLast),
        Self::torch(true, Layout::Contiguous),
        Self::torch(true, Layout::ChannelsLast),
        Self::TorchBf16,
        Self::OnnxRuntime(Precision::F32),
        Self::OnnxRuntime(Precision::Int8),
        Self::OpenVino(Precision::F32),
        Self::OpenVino(Precision::Bf16),
        Self::OpenVino(Precision::Int8),
    ];

    /// The numbers in which it multiplies.
    pub fn precision(self) -> Precision {
        match self {
            Self::Torch { .. } => Precision::F32,
            Self::TorchBf16 => Precision::Bf16,
            Self::OnnxRuntime(precision) | Self::OpenVino(precision) => precision,
        }
    }

    const fn torch(is_compiled: bool, layout: Layout) -> Self {
        Self::Torch {
            is_compiled,
            layout,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Torch {
                is_compiled,
                layout,
            } => match (is_compiled, layout) {
                (false, Layout::Contiguous) => "PyTorch eager, contiguous",
                (false, Layout::ChannelsLast) => "PyTorch eager, channels last",
                (true, Layout::Contiguous) => "PyTorch compiled, contiguous",
                (true, Layout::ChannelsLast) => "PyTorch compiled, channels last",
            },
            Self::TorchBf16 => "PyTorch compiled, channels last, bf16",
            Self::OnnxRuntime(Precision::Int8) => "ONNX Runtime, int8",
            Self::OnnxRuntime(_) => "ONNX Runtime",
            Self::OpenVino(Precision::Bf16) => "OpenVINO, bf16",
            Self::OpenVino(Precision::Int8) => "OpenVINO, int8",
            Self::OpenVino(_) => "OpenVINO",
        }
    }
}

/// A peer's version, as printed by its script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    pub name: String,
    pub version: String,
}

/// The contents of a script's output.
#[derive(Debug, Default, PartialEq)]
pub struct PeerOutput {
    pub figures: BTreeMap<Peer, Figures>,
    pub versions: Vec<Version>,
    pub peak_memory_bytes: Option<u64>,
    /// Lines that start like a line with figures but are malformed.
    pub malformed: Vec<String>,
    /// Whether a `job` line said that the following lines are compiled.
    is_compiled: bool,
}

impl PeerOutput {
    /// Adds the lines of `bytes`, which has batches of `batch` images. Other lines, such as warnings, are
    /// skipped, and bytes that are not UTF-8 do no harm.
    pub fn read(&mut self, bytes: &[u8], batch: usize) {
        // Without a `job` line, a text belongs to an eager job, whatever came before it.
        self.is_compiled = false;
        for line in String::from_utf8_lossy(bytes).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if self.read_line(&words, batch).is_none() {
                self.malformed.push(line.trim().to_owned());
            }
        }
    }

    /// `None` if a line starts like a line with figures but is malformed.
    fn read_line(&mut self, words: &[&str], batch: usize) -> Option<()> {
        match words {
            ["job", job @ ..] => self.is_compiled = job.contains(&"--compile"),
            ["version", name, version @ ..] if !version.is_empty() => self.versions.push(Version {
                name: (*name).to_owned(),
                version: version.join(" "),
            }),
            ["peak_memory_bytes", rest @ ..] => self.peak_memory_bytes = Some(single(rest)?),
            ["contiguous", rest @ ..] => self.read_torch(Layout::Contiguous, rest)?,
            ["channels_last", rest @ ..] => self.read_torch(Layout::ChannelsLast, rest)?,
            // Earlier outputs name no precision.
            ["onnxruntime", "batch", ..] => {
                self.read_batches(Peer::OnnxRuntime(Precision::F32), &words[1..], batch)?;
            }
            ["onnxruntime", name, rest @ ..] => {
                self.read_batches(Peer::OnnxRuntime(precision(name)?), rest, batch)?;
            }
            ["openvino", name, rest @ ..] => {
                self.read_batches(Peer::OpenVino(precision(name)?), rest, batch)?;
            }
            _ => {}
        }
        Some(())
    }

    /// `f32 train 108.7 img/s infer 444.1 img/s single 4.441 ms`, or `bf16 infer 584.5 img/s single 4.200 ms` of a
    /// compiled network in channels last.
    fn read_torch(&mut self, layout: Layout, words: &[&str]) -> Option<()> {
        if let ["bf16", "infer", infer, "img/s", "single", single, "ms"] = words {
            let figures = Figures {
                inference_images_per_second: Some(positive(infer)?),
                single_picture_ms: Some(positive(single)?),
                ..Figures::default()
            };
            if self.is_compiled && layout == Layout::ChannelsLast {
                self.figures.insert(Peer::TorchBf16, figures);
            }
            return Some(());
        }
        let [
            precision,
            "train",
            train,
            "img/s",
            "infer",
            infer,
            "img/s",
            "single",
            single,
            "ms",
        ] = words
        else {
            return None;
        };
        let figures = Figures {
            training_images_per_second: Some(positive(train)?),
            inference_images_per_second: Some(positive(infer)?),
            single_picture_ms: Some(positive(single)?),
            training_peak_memory_bytes: None,
        };
        if *precision == "f32" {
            let peer = Peer::torch(self.is_compiled, layout);
            self.figures.insert(peer, figures);
        }
        Some(())
    }

    /// `batch 128: 182.867 ms 700.0 img/s`; batch 1 is the single image.
    fn read_batches(&mut self, peer: Peer, words: &[&str], batch: usize) -> Option<()> {
        let ["batch", size, milliseconds, "ms", rate, "img/s"] = words else {
            return None;
        };
        let size: usize = size.strip_suffix(':')?.parse().ok()?;
        let (milliseconds, rate) = (positive(milliseconds)?, positive(rate)?);
        if size == 1 || size == batch {
            let figures = self.figures.entry(peer).or_default();
            if size == 1 {
                figures.single_picture_ms = Some(milliseconds);
            }
            if size == batch {
                figures.inference_images_per_second = Some(rate);
            }
        }
        Some(())
    }
}

/// `None` if there is no precision of this name.
fn precision(name: &str) -> Option<Precision> {
    Precision::ALL
        .into_iter()
        .find(|precision| precision.name() == name)
}

/// The only word, a number above 0.
fn single(words: &[&str]) -> Option<u64> {
    match words {
        [word] => word.parse().ok().filter(|&value| value > 0),
        _ => None,
    }
}

/// Speeds and times must be finite and above 0.
fn positive(word: &str) -> Option<f64> {
    let value: f64 = word.parse().ok()?;
    (value.is_finite() && value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EAGER: &str = "\
contiguous    f32   train     108.7 img/s  infer     444.1 img/s  single   4.441 ms
channels_last f32   train     169.0 img/s  infer     584.5 img/s  single   4.200 ms
";
    const ONNX: &str = "\
onnxruntime batch    1:    2.006 ms      498.6 img/s
onnxruntime batch  128:  182.867 ms      700.0 img/s
";

    fn read(text: impl AsRef<[u8]>) -> PeerOutput {
        let mut output = PeerOutput::default();
        output.read(text.as_ref(), 128);
        output
    }

    fn figures(training: f64, inference: f64, single: f64) -> Figures {
        Figures {
            training_images_per_second: Some(training),
            inference_images_per_second: Some(inference),
            single_picture_ms: Some(single),
            training_peak_memory_bytes: None,
        }
    }

    #[test]
    fn every_kind_of_line_is_read() {
        let text = format!(
            "version torch 2.15.0+cpu\nversion python 3.13 (main)\n{EAGER}{ONNX}peak_memory_bytes 4096\n"
        );
        let output = read(text);
        let onnx = Figures {
            training_images_per_second: None,
            ..figures(0.0, 700.0, 2.006)
        };
        assert_eq!(
            output.figures,
            BTreeMap::from([
                (
                    Peer::torch(false, Layout::Contiguous),
                    figures(108.7, 444.1, 4.441)
                ),
                (
                    Peer::torch(false, Layout::ChannelsLast),
                    figures(169.0, 584.5, 4.2)
                ),
                (Peer::OnnxRuntime(Precision::F32), onnx),
            ])
        );
        assert_eq!(output.peak_memory_bytes, Some(4096));
        assert_eq!(output.versions[0].version, "2.15.0+cpu");
        assert_eq!(output.versions[1].version, "3.13 (main)");
        assert_eq!(output.malformed, [""; 0]);
    }

    #[test]
    fn a_job_line_tells_compiled_from_eager_until_the_next_text() {
        let mut output = read(format!("job throughput --compile\n{EAGER}"));
        assert!(output.figures.keys().all(|peer| matches!(
            peer,
            Peer::Torch {
                is_compiled: true,
                ..
            }
        )));
        output.read(EAGER.as_bytes(), 128);
        assert_eq!(output.figures.len(), 4);
        let one_text = format!("job throughput --compile\n{EAGER}job throughput\n{EAGER}");
        assert_eq!(read(one_text).figures.len(), 4);
    }

    #[test]
    fn lines_of_other_precisions_are_figures_of_their_own() {
        let text = "job throughput --compile --bf16
channels_last bf16 infer 584.5 img/s single 4.200 ms
onnxruntime int8 batch 1: 2.0 ms 500.0 img/s
openvino bf16 batch 128: 64.0 ms 2000.0 img/s
openvino f16 batch 128: 64.0 ms 2000.0 img/s
";
        let output = read(text);
        let part = |inference: Option<f64>, single: Option<f64>| Figures {
            inference_images_per_second: inference,
            single_picture_ms: single,
            ..Figures::default()
        };
        assert_eq!(
            output.figures,
            BTreeMap::from([
                (Peer::TorchBf16, part(Some(584.5), Some(4.2))),
                (Peer::OnnxRuntime(Precision::Int8), part(None, Some(2.0))),
                (Peer::OpenVino(Precision::Bf16), part(Some(2000.0), None)),
            ])
        );
        assert_eq!(output.malformed.len(), 1);
    }

    #[test]
    fn warnings_blank_lines_and_other_types_are_passed_over() {
        let bf16 = EAGER.replace("f32 ", "bf16");
        let output = read(format!("\n  \nUserWarning: slow\nTraceback ...\n{bf16}"));
        assert_eq!(output, PeerOutput::default());
    }

    #[test]
    fn lines_that_are_cut_or_hold_no_measurement_are_told() {
        let whole = EAGER.lines().next().unwrap();
        for length in 1..whole.len() {
            let output = read(&whole[..length]);
            assert!(output.figures.is_empty(), "{}", &whole[..length]);
        }
        for line in [
            "contiguous f32 train 108.7 img/s infer",
            "contiguous f32 train nan img/s infer 444.1 img/s single 4.441 ms",
            "contiguous f32 train 1.0 img/s infer inf img/s single 4.441 ms",
            "channels_last f32 train 1.0 img/s infer -2.0 img/s single 4.441 ms",
            "channels_last f32 train 1.0 img/s infer 2.0 img/s single 0.0 ms",
            "channels_last f32 train 1.0 img/s infer 2.0 img/s single 3.0 ms and more",
            "onnxruntime batch 128: 182.867 ms",
            "onnxruntime batch many: 182.867 ms 700.0 img/s",
            "onnxruntime batch 128 182.867 ms 700.0 img/s",
            "peak_memory_bytes",
            "peak_memory_bytes -5",
            "peak_memory_bytes 1e9",
        ] {
            let output = read(line);
            assert_eq!(output.malformed, [line]);
            assert!(output.figures.is_empty() && output.peak_memory_bytes.is_none());
        }
    }

    #[test]
    fn bytes_that_are_not_text_do_no_harm() {
        let mut bytes = vec![0xff, 0xfe, b'\n', 0, b'\n'];
        bytes.extend(EAGER.replace('\n', "\r\n").as_bytes());
        bytes.extend(b"contiguous f32 train \xff img/s");
        let output = read(&bytes);
        assert_eq!(output.figures.len(), 2);
        assert_eq!(output.malformed.len(), 1);
    }

    #[test]
    fn a_row_that_is_missing_stays_missing() {
        let output = read(ONNX.lines().next().unwrap());
        let onnx = output.figures[&Peer::OnnxRuntime(Precision::F32)];
        assert_eq!(onnx.single_picture_ms, Some(2.006));
        assert_eq!(onnx.inference_images_per_second, None);
        // Batches of another size cannot be compared with ours.
        let other = read("onnxruntime batch 64: 90.0 ms 711.0 img/s");
        assert_eq!(other, PeerOutput::default());
    }
}
