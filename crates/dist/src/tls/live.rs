//! A node's certificates while it runs.

use std::sync::{Arc, Mutex, PoisonError};

use super::load::Stamp;
use super::{Files, Material, TlsConfig, TlsConfigError};
use crate::work;

/// What a node has of TLS. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Tls(Arc<Mutex<TlsConfig>>);

impl Tls {
    pub(crate) fn new(config: TlsConfig) -> Self {
        Self(Arc::new(Mutex::new(config)))
    }

    /// What a new connection takes. Files that have changed are read; while they cannot be used, it is
    /// what was there before, and that is said once.
    pub(crate) async fn material(&self) -> Arc<Material> {
        let (files, seen) = {
            let config = self.lock();
            let Some(files) = config.files.clone() else { return config.material.clone() };
            (files, config.stamp.clone())
        };
        let tls = self.clone();
        let changed = work::away(move || {
            let now = Stamp::of(&files);
            (seen.as_ref() != Some(&now)).then(|| (TlsConfig::read(files), now))
        });
        if let Some((read, stamp)) = changed.await {
            match read {
                Ok(config) => {
                    tracing::info!(
                        "the certificates have changed: new connections take the new ones"
                    );
                    tls.set(config);
                }
                Err(error) => {
                    tracing::warn!(%error, "the certificates have changed: those from before are kept");
                    tls.lock().stamp = Some(stamp);
                }
            }
        }
        self.lock().material.clone()
    }

    /// Takes other certificates for new connections.
    pub(crate) fn set(&self, config: TlsConfig) {
        *self.lock() = config;
    }

    /// Reads the files again, changed or not.
    pub(crate) async fn reload(&self) -> Result<(), TlsConfigError> {
        let files: Option<Files> = self.lock().files.clone();
        let files = files.ok_or(TlsConfigError::NoFiles)?;
        self.set(work::away(move || TlsConfig::read(files)).await?);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, TlsConfig> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
