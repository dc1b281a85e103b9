//! `beamjoin watch`

use std::{process::ExitCode, time::Duration};

use beamjoin::{DiscoveryEvent, Postgres, parse_announcement};
use futures::StreamExt;

use super::{
    config::{Format, Key, Layers, channel, cookie, postgres},
    exit::Failure,
    join::discovery_line,
    output::{Line, Printer},
    signals::Signals,
};

/// How long what was printed may take to be written at the end.
const FLUSH: Duration = Duration::from_secs(1);

pub(crate) async fn watch(layers: Layers) -> Result<ExitCode, Failure> {
    let mut signals = Signals::watch()?;
    let format: Option<Format> = layers.parse(&Key::EVENTS, str::parse)?;
    let postgres = postgres(&layers)?;
    let channel = channel(&layers, || cookie(&layers))?;
    let mut printer = Printer::start(format.unwrap_or_default());
    let mut events = Postgres::new(postgres, channel).watch();
    let result = loop {
        tokio::select! {
            event = events.next() => match event {
                Some(DiscoveryEvent::Failed(error)) => break Err(Failure::config(error)),
                Some(DiscoveryEvent::Heard(payload)) => printer.print(&heard(&payload)),
                Some(event) => {
                    if let Some(line) = discovery_line(&event) {
                        printer.print(&line);
                    }
                }
                None => break Ok(ExitCode::SUCCESS),
            },
            () = printer.closed() => break Ok(ExitCode::SUCCESS),
            () = signals.stop() => break Ok(ExitCode::SUCCESS),
        }
    };
    let written = printer.finish(FLUSH).await;
    result.and_then(|code| written.map(|()| code))
}

fn heard(payload: &[u8]) -> Line {
    match parse_announcement(payload) {
        Ok(node) => Line::new("heard", node.as_str()).with("node", node.as_str()),
        Err(why) => {
            // For the eyes of a terminal: no control characters.
            let shown = payload.escape_ascii().to_string();
            Line::new("heard", format!("\"{shown}\", which is ignored because {why}"))
                .with("payload", String::from_utf8_lossy(payload))
                .with("ignored", why.to_string())
        }
    }
}
