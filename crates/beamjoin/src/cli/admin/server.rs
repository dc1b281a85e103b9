//! The HTTP server around the [`Door`]. Whoever is slow, says too much or comes with too many costs the others nothing.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::respond::Door;

/// Connections at one time; with one more the oldest is closed, since an honest one takes milliseconds.
const CONNECTIONS: usize = 64;
/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a connection may take as a whole: it carries one request.
const TIME: Duration = Duration::from_secs(10);
/// The most bytes and lines of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
const HEAD_LINES: usize = 64;
/// How long to wait when the system has no socket to give (too many open files).
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Answers until it is dropped, and every connection with it.
pub(super) async fn run(listener: TcpListener, door: Door) {
    let door = Arc::new(door);
    let mut connections = JoinSet::new();
    let mut oldest: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "a connection to the admin port could not be accepted");
                sleep(EXHAUSTED).await;
                continue;
            }
        };
        oldest.retain(|connection| !connection.is_finished());
        if oldest.len() >= CONNECTIONS
            && let Some(dropped) = oldest.pop_front()
        {
            debug!("too many connections to the admin port: the oldest is closed");
            dropped.abort();
        }
        oldest.push_back(connections.spawn(serve(stream, door.clone())));
    }
}

async fn serve(stream: TcpStream, door: Arc<Door>) {
    let service = service_fn(move |request| {
        let response = door.respond(&request);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_LINES)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(TIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a request to the admin port failed"),
        Err(_) => debug!("a request to the admin port took too long"),
    }
}
