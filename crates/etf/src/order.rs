//! Erlang's order of terms.

use std::cmp::Ordering;

use num_bigint::BigInt;

use crate::{Map, Term};

impl Ord for Term {
    /// Erlang's order: number < atom < reference < fun < port < pid < tuple < map < list < bitstring.
    ///
    /// Terms that are `==` in Erlang but not `=:=`, such as `1` and `1.0`, are ordered as the keys of maps are: integers
    /// first. So the order agrees with [`Eq`].
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self, other, Numbers::ByValue).then_with(|| compare(self, other, Numbers::ByType))
    }
}

impl PartialOrd for Term {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Map {
    fn cmp(&self, other: &Self) -> Ordering {
        maps(self, other, Numbers::ByValue).then_with(|| maps(self, other, Numbers::ByType))
    }
}

impl PartialOrd for Map {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How an integer and a float are compared.
#[derive(Clone, Copy)]
enum Numbers {
    /// `1 == 1.0`
    ByValue,
    /// Every integer is before every float, as with the keys of maps.
    ByType,
}

fn compare(a: &Term, b: &Term, mode: Numbers) -> Ordering {
    let by_rank = rank(a).cmp(&rank(b));
    if by_rank.is_ne() {
        return by_rank;
    }
    match (a, b) {
        (Term::Atom(a), Term::Atom(b)) => a.cmp(b),
        (Term::Pid(a), Term::Pid(b)) => a.cmp(b),
        (Term::Port(a), Term::Port(b)) => a.cmp(b),
        (Term::Reference(a), Term::Reference(b)) => a.cmp(b),
        (Term::Fun(a), Term::Fun(b)) => a.cmp(b),
        (Term::Fun(_), Term::Export(_)) => Ordering::Less,
        (Term::Export(_), Term::Fun(_)) => Ordering::Greater,
        (Term::Export(a), Term::Export(b)) => a.cmp(b),
        (Term::Record(a), Term::Record(b)) => a.cmp(b),
        (Term::Tuple(a), Term::Tuple(b)) => a.len().cmp(&b.len()).then_with(|| each(a, b, mode)),
        (Term::Map(a), Term::Map(b)) => maps(a, b, mode),
        (Term::List(_) | Term::ImproperList(_), _) => lists(a, b, mode),
        (Term::Binary(_) | Term::BitBinary(_), _) => bits(a).cmp(&bits(b)),
        _ => numbers(a, b, mode),
    }
}

/// Kinds of terms, in order.
const fn rank(term: &Term) -> u8 {
    match term {
        Term::Int(_) | Term::BigInt(_) | Term::Float(_) => 0,
        Term::Atom(_) => 1,
        Term::Reference(_) => 2,
        Term::Fun(_) | Term::Export(_) => 3,
        Term::Port(_) => 4,
        Term::Pid(_) => 5,
        Term::Tuple(_) => 6,
        Term::Record(_) => 7,
        Term::Map(_) => 8,
        Term::List(items) if items.is_empty() => EMPTY_LIST,
        Term::List(_) | Term::ImproperList(_) => LIST,
        Term::Binary(_) | Term::BitBinary(_) => 11,
    }
}

const EMPTY_LIST: u8 = 9;
const LIST: u8 = 10;

/// The first pair that differs decides.
fn each<'t>(
    a: impl IntoIterator<Item = &'t Term>,
    b: impl IntoIterator<Item = &'t Term>,
    mode: Numbers,
) -> Ordering {
    let orders = a.into_iter().zip(b).map(|(a, b)| compare(a, b, mode));
    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// By size, then by the keys in their order, then by the values in that order.
fn maps(a: &Map, b: &Map, mode: Numbers) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| {
        let ((a_keys, a_values), (b_keys, b_values)) = (sorted(a), sorted(b));
        each(a_keys, b_keys, Numbers::ByType).then_with(|| each(a_values, b_values, mode))
    })
}

fn sorted(map: &Map) -> (Vec<&Term>, Vec<&Term>) {
    let mut pairs: Vec<_> = map.iter().collect();
    pairs.sort_by(|(a, _), (b, _)| compare(a, b, Numbers::ByType));
    pairs.into_iter().unzip()
}

/// Element by element; where one ends, its tail is compared with the rest of the other.
fn lists(a: &Term, b: &Term, mode: Numbers) -> Ordering {
    let ((a_items, a_tail), (b_items, b_tail)) = (parts(a), parts(b));
    let rank_of = |tail: Option<&Term>| tail.map_or(EMPTY_LIST, rank);
    each(a_items, b_items, mode).then_with(|| match a_items.len().cmp(&b_items.len()) {
        Ordering::Less => rank_of(a_tail).cmp(&LIST),
        Ordering::Greater => LIST.cmp(&rank_of(b_tail)),
        Ordering::Equal => match (a_tail, b_tail) {
            (Some(a), Some(b)) => compare(a, b, mode),
            _ => rank_of(a_tail).cmp(&rank_of(b_tail)),
        },
    })
}

/// The elements, and the tail unless that is the empty list.
fn parts(list: &Term) -> (&[Term], Option<&Term>) {
    match list {
        Term::List(items) => (items, None),
        Term::ImproperList(list) => (list.items(), Some(list.tail())),
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

fn numbers(a: &Term, b: &Term, mode: Numbers) -> Ordering {
    match (a, b, mode) {
        (Term::Int(a), Term::Int(b), _) => a.cmp(b),
        (Term::Float(a), Term::Float(b), Numbers::ByValue) => {
            a.partial_cmp(b).unwrap_or_else(|| a.total_cmp(b))
        }
        (Term::Float(a), Term::Float(b), Numbers::ByType) => a.total_cmp(b),
        (Term::Float(_), _, Numbers::ByType) => Ordering::Greater,
        (_, Term::Float(_), Numbers::ByType) => Ordering::Less,
        (Term::Float(a), _, Numbers::ByValue) => integer_and_float(b, *a).reverse(),
        (_, Term::Float(b), Numbers::ByValue) => integer_and_float(a, *b),
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

/// Exactly, without rounding the integer.
fn integer_and_float(a: &Term, b: f64) -> Ordering {
    let Some(whole) = truncate(b) else {
        return if b > 0.0 { Ordering::Less } else { Ordering::Greater };
    };
    integer(a).cmp(&whole).then_with(|| 0.0.partial_cmp(&b.fract()).unwrap_or(Ordering::Equal))
}

/// The integer part, or `None` if the float is not finite.
fn truncate(value: f64) -> Option<BigInt> {
    if !value.is_finite() {
        return None;
    }
    // mantissa * 2^(exponent - 1075), IEEE 754 double precision
    let bits = value.trunc().to_bits();
    let exponent = (bits >> 52) & 0x7ff;
    let fraction = bits & ((1 << 52) - 1);
    let mantissa = BigInt::from(if exponent == 0 { fraction } else { fraction | 1 << 52 });
    let magnitude = if exponent >= 1075 {
        mantissa << (exponent - 1075)
    } else {
        mantissa >> (1075 - exponent)
    };
    Some(if value < 0.0 { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term;

    #[test]
    fn integers_and_floats_are_compared_exactly() {
        let float = |value: f64| Term::Float(value);
        let two_to_53 = 9_007_199_254_740_992_i64;
        let ascending = [
            float(f64::MIN),
            Term::from(i64::MIN),
            float(-1.5),
            Term::from(-1),
            float(-0.5),
            float(0.5),
            Term::from(1),
            float(1.0),
            float(1.5),
            Term::from(two_to_53),
            float(9_007_199_254_740_992.0),
            Term::from(two_to_53 + 1),
            Term::from(u64::MAX),
            float(18_446_744_073_709_551_616.0),
            Term::from(BigInt::from(1) << 200),
            float(f64::MAX),
        ];
        for (at, a) in ascending.iter().enumerate() {
            for (other, b) in ascending.iter().enumerate() {
                assert_eq!(a.cmp(b), at.cmp(&other), "{a} and {b}");
            }
        }
    }

    #[test]
    fn a_number_in_front_that_is_equal_by_value_does_not_decide() {
        assert!(term!([1, 5]) > term!([1.0, 3]));
        assert!(term!([1, 5]) < term!([1.0, 5]));
        assert!(term!(#{1.0 => a}) > term!(#{2 => a}));
    }
}
