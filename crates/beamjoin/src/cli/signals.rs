//! SIGTERM and SIGINT: the first asks for an orderly stop, the second ends the process at once. SIGHUP asks for
//! certificates to be read again.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing::info;

use super::exit::{Failure, UNAVAILABLE};

/// Whether a signal has come. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Signals(watch::Receiver<bool>);

impl Signals {
    /// From here on, signals no longer end the process by themselves.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::new(UNAVAILABLE, format!("failed to wait for signals: {error}"))
        };
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            let name = either(&mut terminate, &mut interrupt).await.0;
            info!("{name}: stopping");
            sender.send_replace(true);
            let number = either(&mut terminate, &mut interrupt).await.1;
            std::process::exit(128 + number);
        });
        Ok(Self(receiver))
    }

    /// Returns once a signal has come.
    pub(crate) async fn stop(&mut self) {
        if self.0.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// SIGHUP, where it means something; elsewhere it ends the process, as ever.
#[derive(Debug)]
pub(crate) struct Hangups(Option<Signal>);

impl Hangups {
    pub(crate) fn watch(wanted: bool) -> Result<Self, Failure> {
        if !wanted {
            return Ok(Self(None));
        }
        let failed = |error: io::Error| {
            Failure::new(UNAVAILABLE, format!("failed to wait for signals: {error}"))
        };
        Ok(Self(Some(signal(SignalKind::hangup()).map_err(failed)?)))
    }

    /// Returns when one comes.
    pub(crate) async fn next(&mut self) {
        let came = match &mut self.0 {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if came.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = terminate.recv() => ("SIGTERM", 15),
        _ = interrupt.recv() => ("SIGINT", 2),
    }
}
