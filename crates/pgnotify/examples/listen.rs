//! Prints what is notified on channels, and what happens to the connection:
//! `cargo run --example listen -- 'postgres://postgres@localhost/postgres' channel...`
//!
//! The `PG*` environment variables fill in what the URL leaves out.

use std::error::Error;

use pgnotify::{Channel, Config, Event, Listener};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: listen URL CHANNEL...")?;
    let channels: Vec<Channel> = arguments.map(Channel::new).collect::<Result<_, _>>()?;
    let config = Config::from_url(&url)?.or(Config::from_env()?);

    let (mut listener, driver) = Listener::new(config, channels);
    tokio::spawn(driver);
    while let Some(event) = listener.next().await {
        match event {
            Event::Connected { server, generation, may_have_missed, .. } => {
                println!("connected to {server} ({generation}; missed some: {may_have_missed})");
            }
            Event::Notification { channel, payload, pid, .. } => {
                println!("{channel} from {pid}: {payload}");
            }
            Event::Lost { reason, retry_in, .. } => println!("{reason}; again in {retry_in:?}"),
            Event::Failed { error, .. } => return Err(error.into()),
            other => println!("{other:?}"),
        }
    }
    Ok(())
}
