//! A node's certificates while it runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::Instrument;

use super::load::Stamp;
use super::{Files, Material, TlsConfig, TlsConfigError};
use crate::work;

/// How long a new connection waits to hear whether the files have changed.
const LOOK: Duration = Duration::from_secs(1);

/// What a node has of TLS. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    config: Arc<Mutex<TlsConfig>>,
    /// One looks at the files at a time, and the others take what is there: where a file system hangs,
    /// that holds up one thread, and not one for each connection.
    looking: Arc<Semaphore>,
}

impl Tls {
    pub(crate) fn new(config: TlsConfig) -> Self {
        Self { config: Arc::new(Mutex::new(config)), looking: Arc::new(Semaphore::new(1)) }
    }

    /// What a new connection takes. Files that have changed are read; while they cannot be used, it is
    /// what was there before, and that is said once.
    pub(crate) async fn material(&self) -> Arc<Material> {
        let (files, seen) = {
            let config = self.lock();
            (config.files.clone(), config.stamp.clone())
        };
        if let Some(files) = files
            && let Ok(turn) = self.looking.clone().try_acquire_owned()
        {
            // A task of its own, which goes on for those who come later.
            let look = tokio::spawn(self.clone().look(files, seen, turn).in_current_span());
            let _ = timeout(LOOK, look).await;
        }
        self.lock().material.clone()
    }

    async fn look(self, files: Files, seen: Option<Stamp>, _turn: OwnedSemaphorePermit) {
        let before = seen.clone();
        let changed = work::away(move || {
            let now = Stamp::of(&files);
            (before.as_ref() != Some(&now)).then(|| (TlsConfig::read(files), now))
        });
        let Some((read, now)) = changed.await else { return };
        let mut config = self.lock();
        if config.stamp != seen {
            // Somebody has given others meanwhile, or had them read.
            return;
        }
        match read {
            Ok(read) => {
                *config = read;
                tracing::info!("the certificates have changed: new connections take the new ones");
            }
            Err(error) => {
                config.stamp = Some(now);
                tracing::warn!(%error, "the certificates have changed: those from before are kept");
            }
        }
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
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
