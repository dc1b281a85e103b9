//! Why TLS failed, in words that say what to do.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use crate::handshake::HandshakeError;

/// How much of what a peer's certificate says is repeated.
const SAID: usize = 200;

/// Why no TLS connection came about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The peer's certificate is not of an authority that we trust.
    #[error("the peer's certificate is not signed by an authority that this node trusts")]
    UnknownAuthority,
    /// The peer's certificate has expired.
    #[error("the peer's certificate has expired")]
    Expired,
    /// The peer's certificate is not valid yet.
    #[error("the peer's certificate is not valid yet; compare the clocks")]
    NotYetValid,
    /// The peer's certificate is another host's.
    #[error("the peer's certificate is for {found}, and not for {host}")]
    WrongHost {
        /// The host in the name of the node that was dialled.
        host: String,
        /// Whom the certificate is for.
        found: String,
    },
    /// The host in a node's name is not one that a certificate can be for.
    #[error("no certificate can be for the host {host:?}")]
    HostName {
        /// The host.
        host: String,
    },
    /// The peer has shown no certificate.
    #[error("the peer has no certificate to show, or none that it would show this node")]
    NoCertificate,
    /// The peer refused us; mostly it does not like our certificate.
    #[error("the peer refused this node: {0}")]
    Refused(String),
    /// Something else, in the words of rustls.
    #[error("{0}")]
    Other(String),
}

/// What an I/O error of a TLS connection means, if it is TLS' own.
pub(crate) fn of(error: &io::Error) -> Option<HandshakeError> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        // What a plain peer says does not look like a record.
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            HandshakeError::PeerSpeaksNoTls
        }
        error => of_certificate(error).into(),
    })
}

pub(super) fn of_certificate(error: &Error) -> TlsFailure {
    match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer => TlsFailure::UnknownAuthority,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                TlsFailure::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsFailure::NotYetValid
            }
            CertificateError::NotValidForNameContext { expected, presented } => {
                TlsFailure::WrongHost {
                    host: expected.to_str().into_owned(),
                    found: listed(presented),
                }
            }
            error => TlsFailure::Other(format!("the peer's certificate: {}", short(error))),
        },
        Error::NoCertificatesPresented => TlsFailure::NoCertificate,
        Error::AlertReceived(alert) => TlsFailure::Refused(words(*alert)),
        error => TlsFailure::Other(short(error)),
    }
}

/// What a peer's alert means to us (RFC 8446, section 6.2).
fn words(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::UnknownCA => "it does not trust the authority of our certificate",
        AlertDescription::CertificateExpired => "our certificate has expired",
        AlertDescription::CertificateRevoked => "our certificate was revoked",
        AlertDescription::BadCertificate => "our certificate is bad",
        AlertDescription::UnsupportedCertificate => {
            "our certificate is of a kind that it does not take"
        }
        AlertDescription::CertificateRequired => "it wants a certificate",
        AlertDescription::CertificateUnknown => "it does not take our certificate",
        AlertDescription::ProtocolVersion => "it speaks another version of TLS",
        AlertDescription::HandshakeFailure => {
            "it does not take our certificate for our host, or has no cipher in common with us"
        }
        alert => return format!("{alert:?}"),
    };
    why.to_owned()
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { short(&names.join(", ")) }
}

fn short(text: &impl ToString) -> String {
    let text = text.to_string();
    let mut said: String = text.chars().take(SAID).flat_map(char::escape_debug).collect();
    if text.chars().nth(SAID).is_some() {
        said.push('…');
    }
    said
}
