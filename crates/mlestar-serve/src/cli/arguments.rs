//! The arguments.

use crate::settings::{Settings, TlsFiles};
use clap::Args;
use mlestar_export::Precision;
use std::path::PathBuf;

/// The arguments of `mlestar serve` and `mlestar-serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// A run, or the folder of a package; a plain name stands for runs/NAME
    #[arg(value_name = "RUN|PACKAGE")]
    pub package: PathBuf,
    /// The address or name to listen at; 0.0.0.0 opens the server to the network
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// The model's name in /v2/models/NAME [default: that of its run or folder]
    #[arg(long)]
    pub name: Option<String>,
    /// Threads of the network; as many images are decoded at a time [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// The numbers that the network multiplies in: f32, bf16 or int8 [default: the fastest here of those that kept
    /// the accuracy when the package was made]
    #[arg(long, value_name = "PRECISION", value_parser = precision)]
    pub precision: Option<Precision>,
    /// Most images that go through the network together [default: 16 a thread, beyond which nothing is gained]
    #[arg(long, value_name = "N")]
    pub max_batch: Option<usize>,
    /// Most images accepted and not yet answered; beyond, requests get 429
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub queue: usize,
    /// Largest body of a request in MiB; beyond, 413
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    pub max_body_mb: usize,
    /// Largest image in pixels, by its header; beyond, 413
    #[arg(long, value_name = "N", default_value_t = 50_000_000)]
    pub max_pixels: u64,
    /// Require the token in the first line of this file: `Authorization: Bearer TOKEN`
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Serve HTTPS with this certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Load the package again when its files change, as SIGHUP does
    #[arg(long)]
    pub watch: bool,
}

impl ServeArguments {
    /// The settings that they mean.
    pub fn settings(&self) -> Settings {
        let default = self
            .threads
            .map_or_else(Settings::default, Settings::with_threads);
        let tls = self.tls_cert.clone().zip(self.tls_key.clone());
        Settings {
            host: self.host.clone(),
            port: self.port,
            name: self.name.clone(),
            precision: self.precision,
            max_batch: self.max_batch.unwrap_or(default.max_batch),
            queue: self.queue,
            max_body_bytes: self.max_body_mb.saturating_mul(1 << 20),
            max_pixels: self.max_pixels,
            token_file: self.token_file.clone(),
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
            watch: self.watch,
            ..default
        }
    }
}

fn precision(name: &str) -> Result<Precision, String> {
    let found = Precision::ALL.into_iter().find(|one| one.name() == name);
    found.ok_or_else(|| "f32, bf16 and int8 are possible".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        arguments: ServeArguments,
    }

    /// The defaults stand in two places: here for `--help`, there for programs.
    #[test]
    fn the_defaults_are_those_of_the_settings() {
        let program = Program::try_parse_from(["serve", "folder"]).unwrap();
        assert_eq!(program.arguments.settings(), Settings::default());
    }

    #[test]
    fn options_become_settings() {
        let words =
            "serve x --threads 3 --precision int8 --max-body-mb 2 --tls-cert a --tls-key b --watch";
        let program = Program::try_parse_from(words.split(' ')).unwrap();
        let settings = program.arguments.settings();
        assert_eq!((settings.threads, settings.max_batch), (3, 48));
        assert_eq!(settings.precision, Some(Precision::Int8));
        assert!(Program::try_parse_from(["serve", "x", "--precision", "f64"]).is_err());
        assert_eq!(settings.max_body_bytes, 2 << 20);
        assert!(settings.watch && settings.tls.is_some());
        assert!(Program::try_parse_from(["serve", "x", "--tls-cert", "a"]).is_err());
    }
}
