//! TLS to the server: what is verified in which `sslmode`.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::config::RootCert;
use crate::{Config, Error, Host, SslMode};

/// What one attempt with TLS needs, read from files anew each time.
pub(crate) struct Settings {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

/// Builds the client's side for a connection to `host` at `ip`. `mode` is not `Disable`.
pub(crate) fn settings(
    config: &Config,
    mode: SslMode,
    host: &Host,
    ip: IpAddr,
    server: &str,
) -> Result<Settings, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let check = match mode {
        SslMode::Disable | SslMode::Prefer | SslMode::Require => Check::Nothing,
        SslMode::VerifyCa => Check::Issuer(Roots::load(config.get_ssl_root_cert())?),
        SslMode::VerifyFull => Check::IssuerAndName(Roots::load(config.get_ssl_root_cert())?),
    };
    let verifier = Arc::new(Verifier { check, provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| invalid(Path::new("TLS"), source))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let client = match config.get_ssl_client_cert()? {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|source| invalid(cert, source))?,
    };
    let name = match server_name(host) {
        Some(name) => name,
        // Only verify-full looks at the name.
        None if mode == SslMode::VerifyFull => {
            let reason = "the host's name cannot stand in a certificate".to_owned();
            let source = rustls::Error::General(reason);
            return Err(Error::Certificate { server: server.to_owned(), source });
        }
        None => ServerName::from(ip),
    };
    Ok(Settings { client: Arc::new(client), name })
}

/// The name that the certificate must bear, and that is sent as SNI if it is a host name.
fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Tcp(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok(),
        Host::Unix(_) => None,
    }
}

/// Trust anchors, and the certificates they were made of.
#[derive(Debug)]
struct Roots {
    store: RootCertStore,
    /// A self-signed certificate that the server uses itself is no trust anchor to webpki. Who
    /// configures exactly that certificate trusts it all the same, as with libpq.
    exact: Vec<CertificateDer<'static>>,
}

impl Roots {
    fn load(configured: Option<&RootCert>) -> Result<Self, Error> {
        let file = match configured {
            Some(RootCert::File(path)) => Some(path.clone()),
            Some(RootCert::System) => None,
            None => default_root_cert().filter(|path| path.exists()),
        };
        match file {
            Some(path) => Self::from_file(&path),
            None => Self::from_system(),
        }
    }

    fn from_file(path: &Path) -> Result<Self, Error> {
        let exact = certificates(path)?;
        let mut store = RootCertStore::empty();
        for certificate in &exact {
            store.add(certificate.clone()).map_err(|source| invalid(path, source))?;
        }
        Ok(Self { store, exact })
    }

    fn from_system() -> Result<Self, Error> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let reason = match found.errors.first() {
                Some(error) => error.to_string(),
                None => "none found; configure sslrootcert".to_owned(),
            };
            let path = PathBuf::from("the system's root certificates");
            return Err(Error::File { path, source: io::Error::other(reason) });
        }
        Ok(Self { store, exact: Vec::new() })
    }
}

/// libpq's place for it.
fn default_root_cert() -> Option<PathBuf> {
    std::env::home_dir().map(|home| home.join(".postgresql/root.crt"))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| invalid(path, source))?;
    if certificates.is_empty() {
        return Err(invalid(path, "no certificate in PEM format in it"));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| invalid(path, source))
}

fn invalid(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::File { path: path.to_owned(), source: io::Error::other(source) }
}

/// Verifies as much as the mode asks for.
#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Check {
    Nothing,
    Issuer(Roots),
    IssuerAndName(Roots),
}

impl Verifier {
    fn verify_issuer(
        &self,
        roots: &Roots,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        if roots.exact.iter().any(|root| root == end_entity) {
            return Ok(());
        }
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &roots.store,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.check {
            Check::Nothing => {}
            Check::Issuer(roots) => self.verify_issuer(roots, end_entity, intermediates, now)?,
            Check::IssuerAndName(roots) => {
                self.verify_issuer(roots, end_entity, intermediates, now)?;
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> Option<String> {
        server_name(&Host::Tcp(host.to_owned())).map(|name| name.to_str().into_owned())
    }

    #[test]
    fn the_name_is_the_hosts() {
        assert_eq!(name("db.example").as_deref(), Some("db.example"));
        assert_eq!(name("db.example.").as_deref(), Some("db.example"));
        assert_eq!(name("::1").as_deref(), Some("::1"));
        assert_eq!(name("not a name"), None);
    }

    #[test]
    fn verify_full_refuses_a_name_that_no_certificate_can_bear() {
        let host = Host::Tcp("not a name".to_owned());
        let root = tempfile::NamedTempFile::new().unwrap();
        let config = Config::new().ssl_root_cert(root.path());
        let ip = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        assert!(settings(&config, SslMode::Require, &host, ip, "s").is_ok());
        assert!(settings(&config, SslMode::VerifyFull, &host, ip, "s").is_err());
    }

    #[test]
    fn a_root_certificate_that_is_missing_or_empty_is_an_error() {
        let missing = Roots::from_file(Path::new("/nonexistent/ca.pem")).unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/ca.pem"), "{missing}");
        assert!(missing.is_permanent());
        let empty = tempfile::NamedTempFile::new().unwrap();
        let error = Roots::from_file(empty.path()).unwrap_err();
        assert!(error.to_string().contains("no certificate"), "{error}");
    }
}
