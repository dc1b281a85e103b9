//! Work that takes long is done where it holds up no task: a runtime's workers are few, and every
//! link and process shares them.

use std::future::pending;
use std::panic::resume_unwind;

use etf::{DecodeError, RawTerm, Term};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

/// An encoded term of more bytes is decoded away from the runtime's workers.
const LARGE: usize = 1 << 20;

/// A term of more elements is encoded there.
const MANY: usize = 100_000;

/// How many of a term's parts are looked at to find out.
const LOOKED_AT: usize = 256;

/// Runs it on a thread for what blocks.
pub(crate) async fn away<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    finished(spawn_blocking(work)).await
}

/// The same with something large, which is given back on that thread too, once the result is on its
/// way.
pub(crate) async fn away_with<H: Send + 'static, T: Send + 'static>(
    held: H,
    work: impl FnOnce(&H) -> T + Send + 'static,
) -> T {
    let (give, given) = oneshot::channel();
    let work = spawn_blocking(move || {
        // Perhaps nobody waits for it any more.
        let _ = give.send(work(&held));
        drop(held);
    });
    match given.await {
        Ok(done) => done,
        Err(_) => {
            finished(work).await;
            pending().await
        }
    }
}

/// What it results in. Its panic is the caller's.
async fn finished<T>(work: JoinHandle<T>) -> T {
    match work.await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and this task with it.
            Err(_) => pending().await,
        },
    }
}

/// Decodes a payload, on a thread of its own if it is large.
pub(crate) async fn decode(raw: RawTerm, limits: &etf::Limits) -> Result<Term, DecodeError> {
    if !is_long(&raw) {
        return raw.decode(limits);
    }
    let limits = limits.clone();
    away_with(raw, move |raw| raw.decode(&limits)).await
}

/// Whether decoding it takes long.
pub(crate) fn is_long(raw: &RawTerm) -> bool {
    raw.len() > LARGE
}

/// Whether encoding a term takes long: as far as can be told from its outer parts, since to count
/// them all would take as long. Binaries do not matter, they are not copied.
pub(crate) fn is_large(term: &Term) -> bool {
    let (mut elements, mut looked) = (0, 0);
    // One in the hand and the others on a list: most messages need no list.
    let (mut next, mut left) = (Some(term), Vec::new());
    while let Some(term) = next.take() {
        let mut keep = |part| {
            if has_parts(part)
                && let Some(other) = next.replace(part)
            {
                left.push(other);
            }
        };
        elements += match term {
            Term::List(items) | Term::Tuple(items) => {
                items.iter().take(LOOKED_AT).for_each(&mut keep);
                items.len()
            }
            Term::ImproperList(list) => {
                list.items().iter().take(LOOKED_AT).for_each(&mut keep);
                list.items().len()
            }
            Term::Map(map) => {
                map.iter().take(LOOKED_AT).for_each(|(_, value)| keep(value));
                2 * map.len()
            }
            _ => 0,
        };
        looked += 1;
        if elements > MANY {
            return true;
        }
        if looked == LOOKED_AT {
            return false;
        }
        next = next.or_else(|| left.pop());
    }
    false
}

fn has_parts(term: &Term) -> bool {
    matches!(term, Term::List(_) | Term::Tuple(_) | Term::ImproperList(_) | Term::Map(_))
}

#[cfg(test)]
mod tests {
    use etf::term;

    use super::*;

    #[test]
    fn what_has_many_elements_is_large() {
        let many = Term::List(vec![term!(0); MANY + 1]);
        assert!(is_large(&many));
        assert!(is_large(&term!({ok, [(many)]})));
        assert!(!is_large(&Term::List(vec![term!(0); 1000])));
        assert!(!is_large(&Term::from(&[0; 2 * LARGE][..])));
        let rows = Term::List(vec![term!({a, 1, "b"}); MANY + 1]);
        assert!(is_large(&rows));
    }
}
