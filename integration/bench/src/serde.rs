//! Types of Rust beside erltf_serde: each reads what its own side wrote.

use std::collections::HashMap;
use std::fmt::Debug;

use etf::Limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::contest::Contender;

/// Ten fields, as a record of an application has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Mixed {
    id: u64,
    name: String,
    active: bool,
    score: f64,
    tags: Vec<String>,
    parent: Option<u64>,
    address: Option<String>,
    counts: (i32, i32),
    level: i8,
    positions: Vec<i64>,
}

/// What is done, and who does it, ours first.
pub fn contests() -> Vec<(String, Vec<Contender<'static>>)> {
    let mixed = Mixed {
        id: 1_234_567,
        name: "Ada Lovelace".to_owned(),
        active: true,
        score: 99.5,
        tags: vec!["first".to_owned(), "second".to_owned()],
        parent: Some(42),
        address: None,
        counts: (1, -300),
        level: -3,
        positions: vec![1, 1000, 1_000_000],
    };
    let ints: Vec<i64> = (0..10_000).map(|index| index % 1000).collect();
    let map: HashMap<String, i64> =
        (0..1000).map(|index| (format!("key_{index}"), index)).collect();
    let mut all = pair("a struct of ten fields", mixed);
    all.extend(pair("a Vec of 10,000 ints", ints));
    all.extend(pair("a map of 1,000", map));
    all
}

/// Reading and writing it.
fn pair<T>(what: &str, value: T) -> Vec<(String, Vec<Contender<'static>>)>
where
    T: Debug + Clone + PartialEq + Serialize + DeserializeOwned + 'static,
{
    let ours = etf::to_bytes(&value).unwrap();
    let theirs = erltf_serde::to_bytes(&value).unwrap();
    assert_eq!(etf::from_bytes::<T>(&ours, &Limits::default()).unwrap(), value);
    assert_eq!(erltf_serde::from_bytes::<T>(&theirs).unwrap(), value);
    let (first, second) = (value.clone(), value);
    let reading = vec![
        Contender::new("ours", move || etf::from_bytes::<T>(&ours, &Limits::default()).unwrap()),
        Contender::new("erltf_serde", move || erltf_serde::from_bytes::<T>(&theirs).unwrap()),
    ];
    let writing = vec![
        Contender::new("ours", move || etf::to_bytes(&first).unwrap()),
        Contender::new("erltf_serde", move || erltf_serde::to_bytes(&second).unwrap()),
    ];
    vec![
        (format!("read {what} with serde"), reading),
        (format!("write {what} with serde"), writing),
    ]
}
