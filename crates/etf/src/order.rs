//! Erlang's order of terms.

use std::cmp::Ordering;

use num_bigint::BigInt;

use crate::{Map, Term};

impl Ord for Term {
    /// Erlang's order: number < atom < reference < fun < port < pid < tuple < map < list < bitstring.
    ///
    /// An integer that equals a float comes before it, so that the order agrees with [`Eq`].
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank()).then_with(|| match (self, other) {
            (Self::Atom(a), Self::Atom(b)) => a.cmp(b),
            (Self::Pid(a), Self::Pid(b)) => a.cmp(b),
            (Self::Port(a), Self::Port(b)) => a.cmp(b),
            (Self::Reference(a), Self::Reference(b)) => a.cmp(b),
            (Self::Fun(a), Self::Fun(b)) => a.cmp(b),
            (Self::Fun(_), Self::Export(_)) => Ordering::Less,
            (Self::Export(_), Self::Fun(_)) => Ordering::Greater,
            (Self::Export(a), Self::Export(b)) => a.cmp(b),
            (Self::Tuple(a), Self::Tuple(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            (Self::Record(a), Self::Record(b)) => a.cmp(b),
            (Self::Map(a), Self::Map(b)) => a.cmp(b),
            (Self::List(_) | Self::ImproperList(_), _) => lists(self, other),
            (Self::Binary(_) | Self::BitBinary(_), _) => bits(self).cmp(&bits(other)),
            _ => numbers(self, other),
        })
    }
}

impl Term {
    const fn rank(&self) -> u8 {
        match self {
            Self::Int(_) | Self::BigInt(_) | Self::Float(_) => 0,
            Self::Atom(_) => 1,
            Self::Reference(_) => 2,
            Self::Fun(_) | Self::Export(_) => 3,
            Self::Port(_) => 4,
            Self::Pid(_) => 5,
            Self::Tuple(_) => 6,
            Self::Record(_) => 7,
            Self::Map(_) => 8,
            Self::List(items) if items.is_empty() => 9,
            Self::List(_) | Self::ImproperList(_) => 10,
            Self::Binary(_) | Self::BitBinary(_) => 11,
        }
    }
}

impl PartialOrd for Term {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Map {
    /// By size, then by the keys in order, then by their values.
    fn cmp(&self, other: &Self) -> Ordering {
        let sorted = |map: &Self| -> (Vec<Term>, Vec<Term>) {
            let mut pairs: Vec<_> = map.clone().into_iter().collect();
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
            pairs.into_iter().unzip()
        };
        self.len().cmp(&other.len()).then_with(|| sorted(self).cmp(&sorted(other)))
    }
}

impl PartialOrd for Map {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Element by element; where one ends, its tail is compared with the rest of the other.
fn lists(a: &Term, b: &Term) -> Ordering {
    let (a_items, a_tail) = parts(a);
    let (b_items, b_tail) = parts(b);
    let common = a_items.len().min(b_items.len());
    let (a_common, a_rest) = a_items.split_at_checked(common).unwrap_or_default();
    let (b_common, b_rest) = b_items.split_at_checked(common).unwrap_or_default();
    let rank = |tail: Option<&Term>| tail.map_or(9, Term::rank);
    a_common.cmp(b_common).then_with(|| match (a_rest, b_rest) {
        ([], []) => match (a_tail, b_tail) {
            (Some(a), Some(b)) => a.cmp(b),
            _ => rank(a_tail).cmp(&rank(b_tail)),
        },
        // What is left of a list is a list that is not empty.
        ([], _) => rank(a_tail).cmp(&10),
        (_, _) => 10.cmp(&rank(b_tail)),
    })
}

/// The elements, and the tail unless that is the empty list.
fn parts(list: &Term) -> (&[Term], Option<&Term>) {
    match list {
        Term::List(items) => (items, None),
        Term::ImproperList(list) => (&list.items, Some(&list.tail)),
        _ => (&[], None),
    }
}

/// The bytes, and the number of bits: Erlang compares bit by bit, and a prefix is less.
fn bits(term: &Term) -> (&[u8], usize) {
    match term {
        Term::Binary(bytes) => (bytes, bytes.len() * 8),
        Term::BitBinary(bits) => (bits.data(), bits.bit_len()),
        _ => (&[], 0),
    }
}

fn numbers(a: &Term, b: &Term) -> Ordering {
    match (a, b) {
        (Term::Int(a), Term::Int(b)) => a.cmp(b),
        (Term::Float(a), Term::Float(b)) => {
            a.partial_cmp(b).unwrap_or(Ordering::Equal).then(a.total_cmp(b))
        }
        (Term::Float(a), _) => integer_and_float(b, *a).reverse(),
        (_, Term::Float(b)) => integer_and_float(a, *b),
        _ => integer(a).cmp(&integer(b)),
    }
}

fn integer(term: &Term) -> BigInt {
    match term {
        Term::Int(value) => (*value).into(),
        Term::BigInt(value) => value.clone(),
        _ => BigInt::ZERO,
    }
}

/// Exactly, without rounding the integer; a float that equals it is greater.
fn integer_and_float(a: &Term, b: f64) -> Ordering {
    match float_floor(b) {
        // The integer is at most the float when it is at most the float's floor.
        Some(floor) if integer(a) <= floor => Ordering::Less,
        Some(_) => Ordering::Greater,
        None if b > 0.0 => Ordering::Less,
        None => Ordering::Greater,
    }
}

/// The greatest integer that is not above the float, or `None` if that is not finite.
fn float_floor(value: f64) -> Option<BigInt> {
    if !value.is_finite() {
        return None;
    }
    let floor = value.floor();
    // mantissa * 2^exponent, IEEE 754 double precision
    let bits = floor.to_bits();
    let raw_exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or_default();
    let fraction = bits & ((1 << 52) - 1);
    let mantissa = BigInt::from(if raw_exponent == 0 { fraction } else { fraction | 1 << 52 });
    let exponent = raw_exponent.max(1) - 1075;
    let magnitude = if exponent >= 0 { mantissa << exponent } else { mantissa >> -exponent };
    Some(if floor < 0.0 { -magnitude } else { magnitude })
}
