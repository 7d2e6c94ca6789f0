//! The machine on which figures were measured.

use mlestar_kernels::Level;
use mlestar_workflow::machine::MachineInfo;
use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
pub struct Hardware {
    pub cpu_model: String,
    pub logical_cores: usize,
    /// The vector instructions that our kernels use.
    pub simd_level: &'static str,
    pub os: String,
    /// The compiler that built this program, if known.
    pub rustc_version: Option<String>,
}

impl Hardware {
    pub fn detect() -> Self {
        let machine = MachineInfo::detect();
        Self {
            cpu_model: machine.cpu_model,
            logical_cores: machine.logical_cores,
            simd_level: Level::current().name(),
            os: machine.os,
            rustc_version: machine.rustc_version,
        }
    }

    /// One line of text.
    pub fn describe(&self) -> String {
        let mut text = format!(
            "{}, {} logical cores, {}, kernels use {}",
            self.cpu_model, self.logical_cores, self.os, self.simd_level
        );
        if let Some(version) = &self.rustc_version {
            text.push_str(&format!(", built by {version}"));
        }
        text
    }
}
