use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use thiserror::Error;

use crate::Term;

/// A map, in the order of the wire (or of insertion).
///
/// Keys are told apart as by Erlang's `=:=`: `1` and `1.0` are two keys. Beyond 32 keys they are indexed by a hash with a
/// random seed, so that a peer cannot choose keys that collide. Equality does not depend on the order.
///
/// ```
/// use etf::{Map, Term};
/// let mut map = Map::new();
/// map.insert(Term::atom("a"), Term::from(1));
/// assert_eq!(map.get(&Term::atom("a")), Some(&Term::from(1)));
/// assert_eq!(map.len(), 1);
/// ```
#[derive(Clone, Default)]
pub struct Map {
    /// Key, value, key, value.
    items: Vec<Term>,
    index: Option<Box<Index>>,
}

/// Positions of keys, by hash.
#[derive(Clone)]
struct Index {
    seed: RandomState,
    positions: HashTable<usize>,
}

/// Two keys of a map are the same.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a map has the same key twice")]
pub struct DuplicateKey;

impl Map {
    /// The greatest number of keys that are looked up one by one, as OTP does it for its small maps.
    const FLAT: usize = 32;

    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self { items: Vec::new(), index: None }
    }

    /// A map of keys and values in turn.
    pub(crate) fn from_items(items: Vec<Term>) -> Result<Self, DuplicateKey> {
        let mut map = Self { items, index: None };
        let keys = map.pairs();
        if keys.len() > Self::FLAT {
            map.index = Some(Box::new(Index::build(keys)?));
        } else {
            for (at, [key, _]) in keys.iter().enumerate() {
                if keys.iter().skip(at + 1).any(|[other, _]| other == key) {
                    return Err(DuplicateKey);
                }
            }
        }
        Ok(map)
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len() / 2
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &Term) -> Option<&Term> {
        let [_, value] = self.pairs().get(self.position(key)?)?;
        Some(value)
    }

    /// The value of an atom key, the usual kind.
    ///
    /// ```
    /// let user = etf::term!(#{name => "Ada"});
    /// assert_eq!(user.as_map().unwrap().get_atom("name").unwrap().as_str(), Some("Ada"));
    /// ```
    #[must_use]
    pub fn get_atom(&self, key: &str) -> Option<&Term> {
        if self.index.is_some() {
            return self.get(&Term::Atom(crate::Atom::new(key).ok()?));
        }
        self.iter().find(|(candidate, _)| candidate.is_atom(key)).map(|(_, value)| value)
    }

    /// Whether the key is there.
    #[must_use]
    pub fn contains_key(&self, key: &Term) -> bool {
        self.position(key).is_some()
    }

    /// Sets the value of a key; the old value, if there was one, is returned and its place kept.
    pub fn insert(&mut self, key: Term, value: Term) -> Option<Term> {
        if let Some(position) = self.position(&key) {
            return self.items.get_mut(2 * position + 1).map(|old| std::mem::replace(old, value));
        }
        let position = self.len();
        self.items.extend([key, value]);
        match &mut self.index {
            Some(index) => index.add(self.items.as_chunks().0, position),
            None if position >= Self::FLAT => {
                self.index = Index::build(self.pairs()).ok().map(Box::new);
            }
            None => {}
        }
        None
    }

    /// Takes a key out, and keeps the order of the others.
    pub fn remove(&mut self, key: &Term) -> Option<Term> {
        let position = self.position(key)?;
        let value = self.items.drain(2 * position..2 * position + 2).nth(1);
        // Every later position has moved.
        self.index = None;
        if self.len() > Self::FLAT {
            self.index = Index::build(self.pairs()).ok().map(Box::new);
        }
        value
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Term, &Term)> + DoubleEndedIterator {
        self.pairs().iter().map(|[key, value]| (key, value))
    }

    /// Keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Term> + DoubleEndedIterator {
        self.pairs().iter().map(|[key, _]| key)
    }

    /// Values, in order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Term> + DoubleEndedIterator {
        self.pairs().iter().map(|[_, value]| value)
    }

    /// Keys and values in turn.
    pub(crate) fn items(&self) -> &[Term] {
        &self.items
    }

    /// Keys and values in turn; the keys must stay equal to what they are.
    pub(crate) fn items_mut(&mut self) -> &mut [Term] {
        &mut self.items
    }

    fn pairs(&self) -> &[[Term; 2]] {
        self.items.as_chunks().0
    }

    fn position(&self, key: &Term) -> Option<usize> {
        match &self.index {
            Some(index) => index.find(self.pairs(), key),
            None => self.keys().position(|candidate| candidate == key),
        }
    }
}

/// Whether no two of these keys are the same.
pub(crate) fn distinct(keys: &[Term]) -> bool {
    let pairs: Vec<Term> = keys.iter().flat_map(|key| [key.clone(), Term::NIL]).collect();
    Map::from_items(pairs).is_ok()
}

impl Index {
    fn build(pairs: &[[Term; 2]]) -> Result<Self, DuplicateKey> {
        let seed = RandomState::new();
        let mut index =
            Self { seed: seed.clone(), positions: HashTable::with_capacity(pairs.len()) };
        for (position, [key, _]) in pairs.iter().enumerate() {
            let same = |other: &usize| pairs.get(*other).is_some_and(|[other, _]| other == key);
            let rehash =
                |other: &usize| pairs.get(*other).map_or(0, |[other, _]| hash(&seed, other));
            match index.positions.entry(hash(&seed, key), same, rehash) {
                Entry::Occupied(_) => return Err(DuplicateKey),
                Entry::Vacant(place) => place.insert(position),
            };
        }
        Ok(index)
    }

    fn find(&self, pairs: &[[Term; 2]], key: &Term) -> Option<usize> {
        let is_key =
            |position: &usize| pairs.get(*position).is_some_and(|[candidate, _]| candidate == key);
        self.positions.find(hash(&self.seed, key), is_key).copied()
    }

    fn add(&mut self, pairs: &[[Term; 2]], position: usize) {
        let hash =
            |position: &usize| pairs.get(*position).map_or(0, |[key, _]| hash(&self.seed, key));
        self.positions.insert_unique(hash(&position), position, hash);
    }
}

/// Of a key; the usual kinds go straight to their bytes, which is half of the work of `Hash`.
fn hash(seed: &RandomState, key: &Term) -> u64 {
    let mut hasher = seed.build_hasher();
    match key {
        Term::Atom(text) => hasher.write(text.as_bytes()),
        Term::Binary(bytes) => hasher.write(bytes),
        Term::Int(value) => hasher.write_i64(*value),
        key => match key.as_int() {
            Some(value) => hasher.write_i64(value),
            None => key.hash(&mut hasher),
        },
    }
    hasher.finish()
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl Eq for Map {}

impl Hash for Map {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The order must not matter: equal maps may differ in it.
        let mut sorted: Vec<_> = self.iter().collect();
        sorted.sort_by_key(|(key, _)| *key);
        sorted.hash(state);
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl FromIterator<(Term, Term)> for Map {
    /// As with `maps:from_list/1`, a later value of a key replaces an earlier one.
    fn from_iter<I: IntoIterator<Item = (Term, Term)>>(pairs: I) -> Self {
        let mut map = Self::new();
        map.extend(pairs);
        map
    }
}

impl Extend<(Term, Term)> for Map {
    fn extend<I: IntoIterator<Item = (Term, Term)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.insert(key, value);
        }
    }
}

impl IntoIterator for Map {
    type Item = (Term, Term);
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter(self.items.into_iter())
    }
}

/// Keys and values of a map, taken out of it in order.
#[derive(Debug)]
pub struct IntoIter(std::vec::IntoIter<Term>);

impl Iterator for IntoIter {
    type Item = (Term, Term);

    fn next(&mut self) -> Option<(Term, Term)> {
        Some((self.0.next()?, self.0.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len() / 2, Some(self.0.len() / 2))
    }
}
