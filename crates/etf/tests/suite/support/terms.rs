//! Arbitrary terms.

use etf::{Atom, BigInt, BitBinary, Export, Map, Pid, Port, Reference, Term};
use proptest::prelude::*;

pub(crate) fn atom() -> impl Strategy<Value = Atom> {
    let text = prop_oneof![
        3 => "[a-z][a-zA-Z0-9_@]{0,12}",
        1 => ".{0,255}",
        1 => "[é日😀]{200,255}",
    ];
    text.prop_map(|text| Atom::new(text).unwrap())
}

fn integer() -> impl Strategy<Value = Term> {
    let near_a_power = (0..140_u32, -2..=2_i32, any::<bool>()).prop_map(|(bits, off, negative)| {
        let magnitude = (BigInt::from(1) << bits) + off;
        Term::from(if negative { -magnitude } else { magnitude })
    });
    let long = prop::collection::vec(any::<u8>(), 0..600)
        .prop_map(|bytes| Term::from(BigInt::from_signed_bytes_le(&bytes)));
    prop_oneof![
        any::<u8>().prop_map(Term::from),
        any::<i64>().prop_map(Term::from),
        near_a_power,
        long
    ]
}

fn binary() -> impl Strategy<Value = Term> {
    prop_oneof![
        ".{0,20}".prop_map(Term::from),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Term::from(bytes.as_slice())),
        (200..5000_usize, any::<u8>())
            .prop_map(|(length, byte)| Term::from(vec![byte; length].as_slice())),
    ]
}

fn bits() -> impl Strategy<Value = Term> {
    (prop::collection::vec(any::<u8>(), 1..300), 1..=7_u8)
        .prop_map(|(data, bits)| Term::from(BitBinary::new(&data, bits).unwrap()))
}

fn identifier() -> impl Strategy<Value = Term> {
    prop_oneof![
        (atom(), any::<[u32; 3]>()).prop_map(|(node, [id, serial, creation])| Term::from(Pid {
            node,
            id,
            serial,
            creation
        })),
        (atom(), any::<u64>(), any::<u32>()).prop_map(|(node, id, creation)| Term::from(
            Port::new(node, id >> (id % 64), creation)
        )),
        (atom(), any::<u32>(), prop::collection::vec(any::<u32>(), 1..=5)).prop_map(
            |(node, creation, words)| Term::from(Reference::new(node, creation, &words).unwrap())
        ),
        (atom(), atom(), any::<u8>()).prop_map(|(module, function, arity)| Term::from(
            Export::new(&module, &function, arity.into())
        )),
    ]
}

/// Any term that the format has, but for funs and native records, which only a BEAM makes.
pub(crate) fn any_term() -> impl Strategy<Value = Term> {
    let float = any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Term::from);
    let leaf = prop_oneof![
        atom().prop_map(Term::from),
        integer(),
        float,
        binary(),
        bits(),
        identifier(),
        Just(Term::NIL),
        "[a-zé日]{0,20}".prop_map(|text| text.chars().map(|c| Term::from(u32::from(c))).collect()),
    ];
    leaf.prop_recursive(5, 60, 10, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            items.clone().prop_map(Term::List),
            items.clone().prop_map(Term::Tuple),
            (items, inner.clone()).prop_map(|(items, tail)| Term::list_with_tail(items, tail)),
            prop::collection::vec((inner.clone(), inner), 0..10)
                .prop_map(|pairs| Term::Map(pairs.into_iter().collect::<Map>())),
        ]
    })
}
