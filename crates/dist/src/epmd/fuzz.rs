//! EPMD, on both sides.

use futures::FutureExt;

use super::client;
use super::protocol::{self, MAX_REQUEST, Request};
use super::registry::Registry;
use crate::fuzz::parts;

/// What an EPMD answers: the first byte says what it was asked.
pub fn answer(data: &[u8]) {
    let Some((&request, answer)) = data.split_first() else { return };
    let taken = client::take_answer(request, answer).now_or_never();
    assert!(taken.is_some(), "there is nothing to wait for");
}

/// Requests of the clients of our own EPMD, one after the other.
pub fn request(data: &[u8]) {
    let registry = Registry::new(4);
    let mut registered = Vec::new();
    for request in parts(data) {
        match Request::parse(request.get(..MAX_REQUEST).unwrap_or(request)) {
            Some(Request::Alive2(node)) => {
                let (name, highest) = (node.name.clone(), node.highest);
                let new = registry.register(node);
                protocol::alive2_answer(highest, new.as_ref().map(|new| new.creation));
                assert_eq!(registry.port2(&name).get(..2), Some([119, 0].as_slice()));
                registered.extend(new);
            }
            Some(Request::BadAlive2 { highest }) => drop(protocol::alive2_answer(highest, None)),
            Some(Request::Port2(name)) => drop(registry.port2(&name)),
            Some(Request::Stop) => drop(registered.pop()),
            Some(Request::Names | Request::Dump | Request::Kill) | None => {}
        }
    }
    for answer in [registry.names(4369), registry.dump(4369)] {
        let lines = answer.iter().skip(4).filter(|byte| **byte == b'\n').count();
        assert_eq!(lines, registered.len(), "a name broke a line");
    }
}
