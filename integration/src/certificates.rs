//! Certificates for nodes that speak TLS: authorities, and what they sign.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use dist::TlsConfig;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use tempfile::TempDir;

use crate::unique;

/// An authority, with a folder for what it signs.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer,
    folder: TempDir,
}

struct Issuer(CertifiedIssuer<'static, KeyPair>);

/// Where a node's certificate, its key and the authorities that it trusts are.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whom it trusts.
    pub ca: PathBuf,
}

impl Authority {
    /// An authority of a name and a key of its own.
    ///
    /// # Errors
    /// When there is no temporary folder.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, unique("authority"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("ca.pem"), issuer.pem())?;
        Ok(Self { issuer: Issuer(issuer), folder })
    }

    /// The file with its certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The folder, for files of a test's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A certificate for hosts. An address stands in it as an address and as a name: OTP's clients before
    /// 26 look for a name.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn sign(&self, hosts: &[&str]) -> Result<Identity> {
        let mut params = CertificateParams::new(Vec::new())?;
        for host in hosts {
            if let Ok(ip) = host.parse::<IpAddr>() {
                params.subject_alt_names.push(SanType::IpAddress(ip));
            }
            params.subject_alt_names.push(SanType::DnsName((*host).try_into()?));
        }
        self.sign_params(params)
    }

    /// A certificate for hosts that was valid in the year 2020.
    ///
    /// # Errors
    /// As [`Authority::sign`].
    pub fn sign_expired(&self, host: &str) -> Result<Identity> {
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 12, 31);
        self.sign_params(params)
    }

    /// A certificate of whatever is asked for.
    ///
    /// # Errors
    /// As [`Authority::sign`].
    pub fn sign_params(&self, mut params: CertificateParams) -> Result<Identity> {
        let name = unique("node");
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        self.sign_as(&name, &params)
    }

    /// A certificate with nothing but a common name in it.
    ///
    /// # Errors
    /// As [`Authority::sign`].
    pub fn sign_common_name(&self, host: &str) -> Result<Identity> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, host);
        self.sign_as(&unique("node"), &params)
    }

    fn sign_as(&self, name: &str, params: &CertificateParams) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer.0)?;
        let path = |kind: &str| self.folder.path().join(format!("{name}.{kind}"));
        let identity = Identity { cert: path("pem"), key: path("key"), ca: self.file() };
        std::fs::write(&identity.cert, certificate.pem())?;
        std::fs::write(&identity.key, key.serialize_pem())?;
        Ok(identity)
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuer")
    }
}

impl Identity {
    /// The same, trusting another authority.
    #[must_use]
    pub fn trusting(&self, authority: &Authority) -> Self {
        Self { ca: authority.file(), ..self.clone() }
    }

    /// As a Rust node takes it.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub fn config(&self) -> Result<TlsConfig> {
        Ok(TlsConfig::from_files(&self.cert, &self.key, &self.ca)?)
    }

    /// The arguments of `beamjoin`.
    pub fn flags(&self) -> Vec<String> {
        let file = |path: &Path| path.display().to_string();
        vec![
            "--tls-cert".to_owned(),
            file(&self.cert),
            "--tls-key".to_owned(),
            file(&self.key),
            "--tls-ca".to_owned(),
            file(&self.ca),
        ]
    }

    /// The arguments of `erl`, which checks certificates as we do.
    ///
    /// # Errors
    /// When the file with the options cannot be written.
    pub fn erl(&self) -> Result<Vec<String>> {
        self.erl_with("inet_tls", "")
    }

    /// The same, with more options of both roles, such as `,{versions,['tlsv1.3']}`.
    ///
    /// # Errors
    /// As [`Identity::erl`].
    pub fn erl_with(&self, proto_dist: &str, more: &str) -> Result<Vec<String>> {
        let file = |path: &Path| path.display().to_string();
        let options = format!(
            "{{certfile,{:?}}},{{keyfile,{:?}}},{{cacertfile,{:?}}},{{verify,verify_peer}}{more}",
            file(&self.cert),
            file(&self.key),
            file(&self.ca)
        );
        let all = format!(
            "[{{server,[{options},{{fail_if_no_peer_cert,true}}]}},\n {{client,[{options}]}}].\n"
        );
        erl_options(&self.cert, proto_dist, &all)
    }

    /// The arguments of an `erl` that shows no certificate to those that it dials.
    ///
    /// # Errors
    /// As [`Identity::erl`].
    pub fn erl_without_client_certificate(&self) -> Result<Vec<String>> {
        let file = |path: &Path| path.display().to_string();
        let all = format!(
            "[{{server,[{{certfile,{:?}}},{{keyfile,{:?}}}]}},\n \
             {{client,[{{cacertfile,{:?}}},{{verify,verify_peer}}]}}].\n",
            file(&self.cert),
            file(&self.key),
            file(&self.ca)
        );
        erl_options(&self.cert, "inet_tls", &all)
    }
}

fn erl_options(beside: &Path, proto_dist: &str, options: &str) -> Result<Vec<String>> {
    let file = beside.with_file_name(unique("ssl_dist_optfile"));
    std::fs::write(&file, options)?;
    let file = file.display().to_string();
    Ok(["-proto_dist", proto_dist, "-ssl_dist_optfile", &file].map(str::to_owned).into())
}
