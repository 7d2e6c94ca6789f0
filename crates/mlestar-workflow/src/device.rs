//! The device that computes, chosen at run time among the backends that were compiled in.
//!
//! ```
//! use mlestar_workflow::device::{Backend, DeviceChoice};
//!
//! assert_eq!("cuda:1".parse::<DeviceChoice>()?, DeviceChoice::Cuda(1));
//! let opened = DeviceChoice::Auto.open()?;
//! println!("computing on {}", opened.name);
//!
//! if !Backend::Cuda.is_compiled() {
//!     let error = DeviceChoice::Cuda(0).open().unwrap_err();
//!     assert!(error.to_string().contains("cargo xtask-cuda"));
//! }
//! # Ok::<(), mlestar_workflow::device::DeviceError>(())
//! ```

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::Mutex;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// What `--device` says. As text: `auto`, `cpu`, `cuda`, `cuda:1`, `wgpu`, `wgpu:1`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The first of CUDA, wgpu and CPU that is compiled in and works. wgpu counts only with a graphics card; a
    /// software emulation is used only if asked for.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The NVIDIA GPU of that index, from 0.
    Cuda(usize),
    /// The GPU of that index, from 0; 0 is the one that the graphics system prefers.
    Wgpu(usize),
}

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// NVIDIA GPUs.
    Cuda,
    /// Any GPU, through Vulkan, Metal or DirectX 12.
    Wgpu,
    /// The CPU, in pure Rust.
    Cpu,
}

/// Why there is no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The text names no device.
    #[error("\"{text}\" is not a device; use auto, cpu, cuda, cuda:N, wgpu or wgpu:N, N from 0")]
    Unknown {
        /// The text.
        text: String,
    },
    /// The program was built without that backend.
    #[error("this program was built without {backend}; {how}")]
    NotCompiled {
        /// The backend.
        backend: Backend,
        /// What to do.
        how: &'static str,
    },
    /// The backend is there but does not work.
    #[error("the device {choice} cannot be used: {reason}; `mlestar doctor` shows what works here")]
    Unusable {
        /// What was asked for.
        choice: DeviceChoice,
        /// What the backend said.
        reason: String,
    },
}

/// A device that has computed a test sum.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// The device, without autodiff.
    pub device: Device,
    /// What was chosen; never [`DeviceChoice::Auto`].
    pub choice: DeviceChoice,
    /// The name for messages and records, such as `cpu` or `cuda:0`.
    pub name: String,
}

impl Backend {
    /// All backends, in the order in which they are preferred.
    pub const ALL: [Self; 3] = [Self::Cuda, Self::Wgpu, Self::Cpu];

    /// Whether the program was built with it.
    pub fn is_compiled(self) -> bool {
        match self {
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Cpu => cfg!(feature = "flex"),
        }
    }

    /// How to get a program with this backend.
    pub fn how_to_get(self) -> &'static str {
        match self {
            Self::Cuda => "build it with `--features cuda` (in a clone: `cargo xtask-cuda`)",
            Self::Wgpu => "build it with `--features wgpu` (in a clone: `cargo xtask-wgpu`)",
            Self::Cpu => "build with the feature `flex`, which is on by default",
        }
    }

    /// The first device of this backend.
    pub fn first(self) -> DeviceChoice {
        match self {
            Self::Cuda => DeviceChoice::Cuda(0),
            Self::Wgpu => DeviceChoice::Wgpu(0),
            Self::Cpu => DeviceChoice::Cpu,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Cuda => "CUDA",
            Self::Wgpu => "wgpu",
            Self::Cpu => "the CPU backend",
        })
    }
}

impl DeviceChoice {
    /// Opens the device and tests it by adding some numbers.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NotCompiled`] and [`DeviceError::Unusable`], for [`DeviceChoice::Auto`] those of the
    /// CPU.
    pub fn open(self) -> Result<OpenDevice, DeviceError> {
        match self {
            Self::Auto => Self::automatic(),
            Self::Cpu => Self::checked(self, Backend::Cpu),
            Self::Cuda(_) => Self::checked(self, Backend::Cuda),
            Self::Wgpu(_) => Self::checked(self, Backend::Wgpu),
        }
    }

    fn automatic() -> Result<OpenDevice, DeviceError> {
        for backend in [Backend::Cuda, Backend::Wgpu] {
            if backend.is_compiled()
                && has_hardware(backend)
                && let Ok(opened) = Self::checked(backend.first(), backend)
            {
                return Ok(opened);
            }
        }
        Self::checked(Self::Cpu, Backend::Cpu)
    }

    fn checked(choice: Self, backend: Backend) -> Result<OpenDevice, DeviceError> {
        if !backend.is_compiled() {
            return Err(DeviceError::NotCompiled {
                backend,
                how: backend.how_to_get(),
            });
        }
        let unusable = |reason| DeviceError::Unusable { choice, reason };
        let device = quietly(|| device_of(choice))
            .and_then(|device| device.ok_or_else(|| "no such device".to_owned()))
            .map_err(unusable)?;
        let sum = quietly(|| {
            Tensor::<1>::from_floats([1.0, 2.0, 4.0], &device)
                .sum()
                .try_into_scalar::<f32>()
        })
        .and_then(|read| read.map_err(|error| error.to_string()))
        .map_err(unusable)?;
        if sum != 7.0 {
            return Err(unusable(format!("it computes 1 + 2 + 4 = {sum}")));
        }
        Ok(OpenDevice {
            device,
            choice,
            name: choice.to_string(),
        })
    }
}

/// Whether there is something better than the CPU behind the backend.
fn has_hardware(backend: Backend) -> bool {
    match backend {
        Backend::Cuda | Backend::Cpu => true,
        // Without a graphics card wgpu may offer an emulation on the CPU, far slower than the CPU backend.
        #[cfg(feature = "wgpu")]
        Backend::Wgpu => {
            use burn::tensor::DeviceKind;
            let identity =
                |kind: DeviceKind| quietly(|| Device::wgpu(kind).identity()).ok().flatten();
            [
                DeviceKind::DiscreteGpu(0),
                DeviceKind::IntegratedGpu(0),
                DeviceKind::VirtualGpu(0),
            ]
            .into_iter()
            .any(|kind| identity(kind).is_some())
        }
        #[cfg(not(feature = "wgpu"))]
        Backend::Wgpu => false,
    }
}

/// The device; `None` when its backend is not compiled in or it has no such index.
fn device_of(choice: DeviceChoice) -> Option<Device> {
    match choice {
        #[cfg(feature = "flex")]
        DeviceChoice::Cpu => Some(Device::flex()),
        #[cfg(feature = "cuda")]
        DeviceChoice::Cuda(index) => Some(Device::cuda(index)),
        #[cfg(feature = "wgpu")]
        DeviceChoice::Wgpu(0) => Some(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "wgpu")]
        DeviceChoice::Wgpu(index) => Device::enumerate(burn::tensor::DeviceType::Wgpu)
            .into_vec()
            .into_iter()
            .nth(index),
        _ => None,
    }
}

/// Runs code that may panic, as backends do when a driver is missing, and returns the panic's message instead of
/// printing it.
fn quietly<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    // The hook belongs to the whole process: one probe at a time.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(run));
    std::panic::set_hook(hook);
    outcome.map_err(|payload| panic_message(payload.as_ref()))
}

/// The first line of a panic's message.
fn panic_message(payload: &(dyn Any + Send)) -> String {
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("the backend gave no reason");
    message.lines().next().unwrap_or_default().trim().to_owned()
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown {
            text: text.to_owned(),
        };
        let word = text.trim().to_ascii_lowercase();
        let (name, index) = match word.split_once(':') {
            Some((name, index)) => (name, Some(index.parse::<usize>().map_err(|_| unknown())?)),
            None => (word.as_str(), None),
        };
        match (name, index) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            ("wgpu", index) => Ok(Self::Wgpu(index.unwrap_or(0))),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(index) => write!(formatter, "cuda:{index}"),
            Self::Wgpu(index) => write!(formatter, "wgpu:{index}"),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = DeviceError;

    fn try_from(text: String) -> Result<Self, DeviceError> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_reads_back() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda", DeviceChoice::Cuda(0)),
            ("cuda:3", DeviceChoice::Cuda(3)),
            ("WGPU:1", DeviceChoice::Wgpu(1)),
        ] {
            assert_eq!(text.parse(), Ok(choice));
            assert_eq!(choice.to_string().parse(), Ok(choice));
            let json = serde_json::to_string(&choice).unwrap();
            assert_eq!(serde_json::from_str::<DeviceChoice>(&json).unwrap(), choice);
        }
        for text in [
            "",
            "gpu",
            "cpu:0",
            "auto:1",
            "cuda:",
            "cuda:-1",
            "cuda:x",
            "cuda:99999999999999999999999",
        ] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
        insta::assert_snapshot!(
            "gpu".parse::<DeviceChoice>().unwrap_err(),
            @r#""gpu" is not a device; use auto, cpu, cuda, cuda:N, wgpu or wgpu:N, N from 0"#
        );
    }

    #[test]
    #[cfg(feature = "flex")]
    fn the_cpu_works_and_auto_finds_something() {
        let opened = DeviceChoice::Cpu.open().unwrap();
        assert_eq!(
            (opened.name.as_str(), opened.choice),
            ("cpu", DeviceChoice::Cpu)
        );
        assert_ne!(
            DeviceChoice::Auto.open().unwrap().choice,
            DeviceChoice::Auto
        );
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_backend_that_is_not_compiled_in_says_how_to_get_it() {
        insta::assert_snapshot!(
            DeviceChoice::Cuda(0).open().unwrap_err(),
            @"this program was built without CUDA; build it with `--features cuda` (in a clone: `cargo xtask-cuda`)"
        );
    }

    #[test]
    fn a_panic_becomes_its_first_line() {
        let caught = quietly(|| -> u8 { panic!("no driver {}\nsecond line", 7) });
        assert_eq!(caught, Err("no driver 7".to_owned()));
        let caught = quietly(|| -> u8 { panic!("plain") });
        assert_eq!(caught, Err("plain".to_owned()));
        assert_eq!(quietly(|| 3), Ok(3));
    }
}
