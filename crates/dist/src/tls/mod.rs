//! Distribution over TLS, as `inet_tls_dist` of OTP has it (`-proto_dist inet_tls`).
//!
//! Both sides show a certificate. Who dials checks that the certificate is for the host in the name
//! that it dials; who accepts checks no name, as OTP does unless it is told otherwise: who has a
//! certificate of the authority and the cookie may call itself as it likes. Whether a certificate was
//! revoked is not looked at.

mod failure;
mod host;
mod live;
mod load;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};

pub use failure::TlsFailure;
pub(crate) use failure::of as failure_of;
pub(crate) use live::Tls;
pub use load::TlsConfigError;

/// A node's certificate, its key, and the authorities whose certificates it takes from others.
///
/// Everything is in PEM format. The certificate may be followed by those between it and the
/// authority; the key is PKCS #8, PKCS #1 or SEC 1, not encrypted. TLS 1.3 and 1.2 are spoken.
///
/// ```no_run
/// use dist::{Cookie, Node, TlsConfig};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = TlsConfig::from_files("node.pem", "node.key", "ca.pem")?;
/// let node = Node::builder("rust@host.example".parse()?, Cookie::new("secret")?);
/// let node = node.tls(tls).start().await?;
/// // Later, when the files have changed; new connections notice it by themselves, too.
/// node.reload_tls().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TlsConfig {
    files: Option<Files>,
    /// What the files were when they were read.
    stamp: Option<load::Stamp>,
    material: Arc<Material>,
}

/// Where a configuration was read from.
#[derive(Debug, Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    ca: PathBuf,
}

/// What the two roles need.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

impl TlsConfig {
    /// Reads the files. A node that has this looks at them on every new connection, and takes what
    /// is new.
    ///
    /// # Errors
    /// [`TlsConfigError`] when a file cannot be read or used, or the key is another certificate's.
    pub fn from_files(
        cert: impl AsRef<Path>,
        key: impl AsRef<Path>,
        ca: impl AsRef<Path>,
    ) -> Result<Self, TlsConfigError> {
        Self::read(Files {
            cert: cert.as_ref().to_owned(),
            key: key.as_ref().to_owned(),
            ca: ca.as_ref().to_owned(),
        })
    }

    /// Takes what such files contain.
    ///
    /// # Errors
    /// [`TlsConfigError`] when something cannot be used, or the key is another certificate's.
    pub fn from_pem(cert: &[u8], key: &[u8], ca: &[u8]) -> Result<Self, TlsConfigError> {
        let material = load::Pems::new(cert, key, ca).material()?;
        Ok(Self { files: None, stamp: None, material: Arc::new(material) })
    }

    fn read(files: Files) -> Result<Self, TlsConfigError> {
        // Before they are read: what changes meanwhile is noticed the next time.
        let stamp = load::Stamp::of(&files);
        let material = Arc::new(load::read(&files)?);
        Ok(Self { files: Some(files), stamp: Some(stamp), material })
    }
}
