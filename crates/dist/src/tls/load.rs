//! From files to what rustls wants.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, ServerConfig, SupportedCipherSuite};

use super::host::HostVerifier;
use super::{Files, Material, failure};

/// Why certificates cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// A file cannot be read.
    #[error("failed to read {what}: {source}")]
    Read {
        /// What it was to contain, and where it is.
        what: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// There is nothing of the kind in it.
    #[error("there is {lacks} in {what}")]
    Empty {
        /// What is not there.
        lacks: &'static str,
        /// What it was to contain, and where it is.
        what: String,
    },
    /// What is in it cannot be used.
    #[error("{what} cannot be used: {problem}")]
    Invalid {
        /// What it was to contain, and where it is.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The key and the certificate do not belong together.
    #[error("{key} does not belong to {cert}")]
    KeyMismatch {
        /// The certificate.
        cert: String,
        /// The key.
        key: String,
    },
    /// The node was started without TLS.
    #[error("this node was started without TLS")]
    NoTls,
    /// The certificates were not read from files.
    #[error("the certificates of this node are not from files")]
    NoFiles,
}

/// By which it is seen that files were changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp([Option<(SystemTime, u64)>; 3]);

impl Stamp {
    pub(super) fn of(files: &Files) -> Self {
        Self([&files.cert, &files.key, &files.ca].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        }))
    }
}

pub(super) fn read(files: &Files) -> Result<Material, TlsConfigError> {
    let read = |kind: &'static str, path: &Path| {
        let what = format!("{kind} {}", path.display());
        match std::fs::read(path) {
            Ok(bytes) => Ok(Pem { bytes, what }),
            Err(error) => Err(TlsConfigError::Read { what, source: Arc::new(error) }),
        }
    };
    let cert = read(CERT, &files.cert)?;
    let key = read(KEY, &files.key)?;
    Pems { cert, key, ca: read(CA, &files.ca)? }.material()
}

const CERT: &str = "the certificate";
const KEY: &str = "the key";
const CA: &str = "the authority's certificate";

/// PEM and what it is, in the words of an error.
struct Pem {
    bytes: Vec<u8>,
    what: String,
}

/// The three together.
pub(super) struct Pems {
    cert: Pem,
    key: Pem,
    ca: Pem,
}

impl Pems {
    pub(super) fn new(cert: &[u8], key: &[u8], ca: &[u8]) -> Self {
        let pem = |bytes: &[u8], what: &str| Pem { bytes: bytes.to_vec(), what: what.to_owned() };
        Self { cert: pem(cert, CERT), key: pem(key, KEY), ca: pem(ca, CA) }
    }

    pub(super) fn material(&self) -> Result<Material, TlsConfigError> {
        let provider = Arc::new(provider());
        let chain = self.cert.certificates()?;
        let key = self.key.private_key()?;
        let mut roots = RootCertStore::empty();
        for root in self.ca.certificates()? {
            roots.add(root).map_err(|error| self.ca.invalid(error))?;
        }
        let roots = Arc::new(roots);
        Ok(Material {
            client: Arc::new(self.client(&provider, &roots, chain.clone(), key.clone_key())?),
            server: Arc::new(self.server(&provider, &roots, chain, key)?),
        })
    }

    fn client(
        &self,
        provider: &Arc<CryptoProvider>,
        roots: &Arc<RootCertStore>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<ClientConfig, TlsConfigError> {
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| self.cert.invalid(error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(HostVerifier::new(roots, provider)))
            .with_client_auth_cert(chain, key)
            .map_err(|error| self.unusable(&error))?;
        // A link lasts long, and nobody is let in whose certificate has not been looked at.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn server(
        &self,
        provider: &Arc<CryptoProvider>,
        roots: &Arc<RootCertStore>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<ServerConfig, TlsConfigError> {
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            // A client that has no certificate of these would send none, and nobody could be
            // told whose it has.
            .clear_root_hint_subjects()
            .build()
            .map_err(|error| self.ca.invalid(error))?;
        if let Some((own, between)) = chain.split_first()
            && let Err(error) = verifier.verify_client_cert(own, between, UnixTime::now())
        {
            let what = &self.cert.what;
            let why = failure::of_certificate(&error);
            tracing::warn!("nodes that trust the same authority will refuse {what}: {why}");
        }
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| self.cert.invalid(error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| self.unusable(&error))?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.ignore_client_order = true;
        Ok(config)
    }

    fn unusable(&self, error: &rustls::Error) -> TlsConfigError {
        match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsConfigError::KeyMismatch {
                    cert: self.cert.what.clone(),
                    key: self.key.what.clone(),
                }
            }
            rustls::Error::InvalidCertificate(_) => self.cert.invalid(error),
            error => self.key.invalid(error),
        }
    }
}

impl Pem {
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            Ok(_) => Err(TlsConfigError::Empty {
                lacks: "no certificate in PEM format",
                what: self.what.clone(),
            }),
            Err(error) => Err(self.invalid(error)),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsConfigError::Empty {
                lacks: "no key in PEM format (one that is encrypted cannot be used)",
                what: self.what.clone(),
            },
            error => self.invalid(error),
        })
    }

    fn invalid(&self, problem: impl ToString) -> TlsConfigError {
        TlsConfigError::Invalid { what: self.what.clone(), problem: problem.to_string() }
    }
}

/// Ring, but with ChaCha20 first where there is TLS 1.2: with AES, rustls ends such a connection after
/// 2^24 records, which a busy link has sent within hours. TLS 1.3 takes a new key instead.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| match suite {
        SupportedCipherSuite::Tls13(_) => 0,
        SupportedCipherSuite::Tls12(suite) if suite.common.confidentiality_limit == u64::MAX => 1,
        SupportedCipherSuite::Tls12(_) => 2,
    });
    provider
}

#[cfg(test)]
mod tests {
    use rustls::CipherSuite;

    use super::*;

    #[test]
    fn no_suite_with_a_limit_comes_before_one_without_in_tls_1_2() {
        let suites = provider().cipher_suites;
        let first = suites.iter().find(|suite| suite.tls13().is_none()).unwrap().suite();
        assert_eq!(first, CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256);
        assert!(suites.first().unwrap().tls13().is_some());
        assert_eq!(suites.len(), rustls::crypto::ring::default_provider().cipher_suites.len());
    }

    #[test]
    fn what_lacks_is_said() {
        let error = Pems::new(b"", b"", b"").material().unwrap_err().to_string();
        assert_eq!(error, "there is no certificate in PEM format in the certificate");
    }
}
