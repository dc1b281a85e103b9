//! The certificates with which we speak TLS to other nodes.

#[cfg(feature = "tls")]
use dist::TlsConfig;
use dist::{NodeBuilder, Probe};

use super::{Key, Layers};
use crate::cli::exit::Failure;

/// What `--tls-cert`, `--tls-key` and `--tls-ca` name; without them there is no TLS.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    #[cfg(feature = "tls")]
    config: Option<TlsConfig>,
}

impl Tls {
    pub(crate) fn read(layers: &Layers) -> Result<Self, Failure> {
        let keys = [&Key::TLS_CERT, &Key::TLS_KEY, &Key::TLS_CA];
        let mut paths = Vec::new();
        let mut missing = Vec::new();
        for key in keys {
            match layers.get(key)? {
                Some(setting) => paths.push(setting.text),
                None => missing.push(key.flag()),
            }
        }
        match paths.as_slice() {
            [] => Ok(Self::none()),
            [cert, key, ca] => Self::from_files(cert, key, ca),
            _ => {
                let [cert, key, ca] = keys.map(Key::flag);
                let missing = missing.join(" and ");
                Err(Failure::config(format!(
                    "TLS takes {cert}, {key} and {ca}, and {missing} is missing"
                )))
            }
        }
    }

    #[cfg(feature = "tls")]
    fn none() -> Self {
        Self { config: None }
    }

    #[cfg(feature = "tls")]
    fn from_files(cert: &str, key: &str, ca: &str) -> Result<Self, Failure> {
        let config = TlsConfig::from_files(cert, key, ca).map_err(Failure::config)?;
        Ok(Self { config: Some(config) })
    }

    /// Whether TLS is spoken.
    #[cfg(feature = "tls")]
    pub(crate) fn is_on(&self) -> bool {
        self.config.is_some()
    }

    #[cfg(not(feature = "tls"))]
    fn none() -> Self {
        Self {}
    }

    #[cfg(not(feature = "tls"))]
    fn from_files(_: &str, _: &str, _: &str) -> Result<Self, Failure> {
        Err(Failure::config("this beamjoin was built without TLS"))
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn is_on(&self) -> bool {
        false
    }

    pub(crate) fn of_node(&self, builder: NodeBuilder) -> NodeBuilder {
        #[cfg(feature = "tls")]
        if let Some(config) = &self.config {
            return builder.tls(config.clone());
        }
        builder
    }

    pub(crate) fn of_probe(&self, probe: Probe) -> Probe {
        #[cfg(feature = "tls")]
        if let Some(config) = &self.config {
            return probe.tls(config.clone());
        }
        probe
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;
    use crate::cli::exit::CONFIG;

    fn read(flags: &[(&'static Key, &str)]) -> Result<Tls, Failure> {
        Tls::read(&Layers::new(
            flags.iter().map(|(key, text)| (*key, Some((*text).to_owned()))),
            [],
        ))
    }

    #[test]
    fn all_or_none() {
        assert!(!read(&[]).unwrap().is_on());
        let error = read(&[(&Key::TLS_CERT, "a.pem"), (&Key::TLS_CA, "ca.pem")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "TLS takes --tls-cert, --tls-key and --tls-ca, and --tls-key is missing"
        );
        assert_eq!(error.code, CONFIG);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let flags = [
            (&Key::TLS_CERT, "/no/cert.pem"),
            (&Key::TLS_KEY, "/no/key"),
            (&Key::TLS_CA, "/no/ca"),
        ];
        let error = read(&flags).unwrap_err().to_string();
        assert!(error.starts_with("failed to read the certificate /no/cert.pem: "), "{error}");
    }
}
