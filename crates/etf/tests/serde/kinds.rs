//! Types of all kinds, and arbitrary values of them.

use std::collections::{BTreeMap, HashMap};

use etf::{Atom, Bytes, Pid, Reference, Term};
use proptest::collection::{btree_map, hash_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Empty {}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "marker")]
pub(crate) struct Marker;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Id(pub(crate) u64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point(pub(crate) f64, pub(crate) f32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    Started,
    Renamed(String),
    Moved(i32, Point),
    Set { key: String, value: Option<i64> },
    Both(Box<Self>, Box<Self>),
    Many(Vec<Self>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Elixir.MyApp.User")]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) role: Atom,
    pub(crate) tags: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Options {
    pub(crate) timeout: Option<u32>,
    pub(crate) trace: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "rec")]
pub(crate) struct Rec {
    pub(crate) a: i8,
    pub(crate) b: Vec<u16>,
}

/// Nearly everything that there is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Everything {
    pub(crate) small: (i8, u8, i16, u16, i32, u32),
    pub(crate) large: (i64, u64, i128, u128),
    pub(crate) flag: bool,
    pub(crate) c: char,
    pub(crate) text: String,
    pub(crate) chars: Vec<char>,
    pub(crate) numbers: Vec<i64>,
    pub(crate) octets: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub(crate) bytes: Vec<u8>,
    #[serde(with = "etf::binary")]
    pub(crate) shared: Bytes,
    #[serde(with = "etf::charlist")]
    pub(crate) charlist: Option<String>,
    #[serde(with = "etf::keyword")]
    pub(crate) options: Options,
    #[serde(with = "etf::keyword")]
    pub(crate) keywords: BTreeMap<String, Term>,
    #[serde(with = "etf::record")]
    pub(crate) record: Rec,
    #[serde(with = "etf::bigint")]
    pub(crate) big: etf::BigInt,
    pub(crate) unit: (),
    pub(crate) marker: Marker,
    pub(crate) empty: Empty,
    pub(crate) id: Id,
    pub(crate) by_text: HashMap<String, u8>,
    pub(crate) by_id: BTreeMap<Id, Option<bool>>,
    pub(crate) by_atom: HashMap<Atom, f64>,
    pub(crate) event: Event,
    pub(crate) user: Option<User>,
    pub(crate) result: Result<Option<u8>, String>,
    pub(crate) done: Result<(), Atom>,
    pub(crate) array: [u8; 3],
    pub(crate) term: Term,
    pub(crate) pid: Pid,
    pub(crate) reference: Reference,
}

fn float() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("finite", |value| value.is_finite())
}

fn event() -> impl Strategy<Value = Event> {
    let leaf = prop_oneof![
        Just(Event::Started),
        ".{0,9}".prop_map(Event::Renamed),
        (any::<i32>(), float(), -1e30_f32..1e30).prop_map(|(a, x, y)| Event::Moved(a, Point(x, y))),
        (".{0,9}", option::of(any::<i64>())).prop_map(|(key, value)| Event::Set { key, value }),
    ];
    leaf.prop_recursive(6, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Event::Both(a.into(), b.into())),
            vec(inner, 0..4).prop_map(Event::Many),
        ]
    })
}

fn pid() -> impl Strategy<Value = Pid> {
    (crate::terms::atom(), any::<[u32; 3]>()).prop_map(|(node, [id, serial, creation])| Pid {
        node,
        id,
        serial,
        creation,
    })
}

fn reference() -> impl Strategy<Value = Reference> {
    (crate::terms::atom(), any::<u32>(), vec(any::<u32>(), 1..=5))
        .prop_map(|(node, creation, words)| Reference::new(node, creation, &words).unwrap())
}

/// A key of a keyword list is an atom, so it is no longer than one.
fn key() -> impl Strategy<Value = String> {
    "[a-z_é]{0,20}"
}

pub(crate) fn everything() -> impl Strategy<Value = Everything> {
    let numbers = (any::<(i8, u8, i16, u16, i32, u32)>(), any::<(i64, u64, i128, u128)>());
    let texts = (
        any::<char>(),
        ".{0,30}",
        vec(any::<char>(), 0..9),
        vec(prop_oneof![0..=255_i64, any::<i64>()], 0..9),
        vec(any::<u8>(), 0..9),
    );
    let bytes = (vec(any::<u8>(), 0..9), vec(any::<u8>(), 0..900), option::of(".{0,9}"));
    let lists = (
        (option::of(any::<u32>()), any::<bool>()),
        btree_map(key(), crate::terms::any_term(), 0..4),
        (any::<i8>(), vec(any::<u16>(), 0..4)),
        vec(any::<u8>(), 0..40),
    );
    let maps = (
        hash_map(".{0,9}", any::<u8>(), 0..40),
        btree_map(any::<u64>().prop_map(Id), option::of(any::<bool>()), 0..9),
        hash_map(crate::terms::atom(), float(), 0..9),
    );
    let rest = (
        event(),
        option::of((".{0,9}", crate::terms::atom(), vec(".{0,9}", 0..3))),
        prop_oneof![option::of(any::<u8>()).prop_map(Ok), ".{0,9}".prop_map(Err)],
        prop_oneof![Just(Ok(())), crate::terms::atom().prop_map(Err)],
        any::<[u8; 3]>(),
    );
    let ids = (crate::terms::any_term(), pid(), reference(), any::<(bool, u64)>());
    (numbers, texts, bytes, lists, maps, rest, ids).prop_map(
        |(numbers, texts, bytes, lists, maps, rest, ids)| Everything {
            small: numbers.0,
            large: numbers.1,
            flag: ids.3.0,
            c: texts.0,
            text: texts.1,
            chars: texts.2,
            numbers: texts.3,
            octets: texts.4,
            bytes: bytes.0,
            shared: bytes.1.into(),
            charlist: bytes.2,
            options: Options { timeout: lists.0.0, trace: lists.0.1 },
            keywords: lists.1,
            record: Rec { a: lists.2.0, b: lists.2.1 },
            big: etf::BigInt::from_signed_bytes_le(&lists.3),
            unit: (),
            marker: Marker,
            empty: Empty {},
            id: Id(ids.3.1),
            by_text: maps.0,
            by_id: maps.1,
            by_atom: maps.2,
            event: rest.0,
            user: rest.1.map(|(name, role, tags)| User { name, role, tags }),
            result: rest.2,
            done: rest.3,
            array: rest.4,
            term: ids.0,
            pid: ids.1,
            reference: ids.2,
        },
    )
}
