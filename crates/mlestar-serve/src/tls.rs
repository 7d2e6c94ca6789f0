//! TLS from certificate and key in PEM files.

use crate::error::ServeError;
use crate::settings::TlsFiles;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;

/// The certificate of new connections.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`ServeError::File`] if one cannot be read or they do not belong together.
    pub fn read(files: TlsFiles) -> Result<Self, ServeError> {
        let config = RwLock::new(Arc::new(config(&files)?));
        Ok(Self { files, config })
    }

    /// Reads the files again, for connections from now on.
    ///
    /// # Errors
    /// As for [`Tls::read`]; the old certificate then stays.
    pub fn renew(&self) -> Result<(), ServeError> {
        let new = Arc::new(config(&self.files)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// What takes a connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&config))
    }
}

fn config(files: &TlsFiles) -> Result<ServerConfig, ServeError> {
    let error = |path: &Path, reason: String| ServeError::File {
        path: path.to_owned(),
        reason,
    };
    let path = &files.certificate;
    let wrong = |problem: rustls::pki_types::pem::Error| {
        error(path, format!("no certificate in PEM form: {problem}"))
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(wrong)?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|problem| error(&files.key, format!("no private key in PEM form: {problem}")))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|problem| error(path, problem.to_string()))?;
    let config = builder
        .with_no_client_auth()
        .with_single_cert(certificates, key);
    let mut config = config
        .map_err(|problem| error(path, format!("certificate and key do not fit: {problem}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
