/// Builds a [`Term`](crate::Term) from something close to Erlang syntax.
///
/// A bare word is an atom; a string is a binary; `{…}`, `[…]`, `[… | tail]` and `#{key => value}` are what they are in Erlang;
/// anything else stands in parentheses and goes through `Term::from`.
///
/// ```
/// use etf::{Term, term};
/// let user = 7;
/// let message = term!({user_created, (user), #{name => "Ada", tags => [admin, -1, 2.5]}, [a, b | c]});
/// assert_eq!(
///     message.to_string(),
///     r#"{user_created,7,#{name => <<"Ada">>,tags => [admin,-1,2.5]},[a,b|c]}"#
/// );
/// assert_eq!(term!([]), Term::NIL);
/// ```
#[macro_export]
macro_rules! term {
    // Sequences: the elements that are done, then what is left of the input.
    (@list [$($done:tt)*]) => { $crate::Term::List(::std::vec![$($done)*]) };
    (@list [$($done:tt)*] | $tail:tt) => {
        $crate::Term::list_with_tail(::std::vec![$($done)*], $crate::term!($tail))
    };
    (@list [$($done:tt)*] | #$tail:tt) => {
        $crate::Term::list_with_tail(::std::vec![$($done)*], $crate::term!(#$tail))
    };
    (@tuple [$($done:tt)*]) => { $crate::Term::Tuple(::std::vec![$($done)*]) };
    (@$kind:ident [$($done:tt)*] #$item:tt $(, $($rest:tt)*)?) => {
        $crate::term!(@$kind [$($done)* $crate::term!(#$item),] $($($rest)*)?)
    };
    (@$kind:ident [$($done:tt)*] #$item:tt | $($rest:tt)*) => {
        $crate::term!(@$kind [$($done)* $crate::term!(#$item),] | $($rest)*)
    };
    (@$kind:ident [$($done:tt)*] -$item:literal $(, $($rest:tt)*)?) => {
        $crate::term!(@$kind [$($done)* $crate::term!(-$item),] $($($rest)*)?)
    };
    (@$kind:ident [$($done:tt)*] -$item:literal | $($rest:tt)*) => {
        $crate::term!(@$kind [$($done)* $crate::term!(-$item),] | $($rest)*)
    };
    (@$kind:ident [$($done:tt)*] $item:tt $(, $($rest:tt)*)?) => {
        $crate::term!(@$kind [$($done)* $crate::term!($item),] $($($rest)*)?)
    };
    (@$kind:ident [$($done:tt)*] $item:tt | $($rest:tt)*) => {
        $crate::term!(@$kind [$($done)* $crate::term!($item),] | $($rest)*)
    };
    ({ $($items:tt)* }) => { $crate::term!(@tuple [] $($items)*) };
    ([ $($items:tt)* ]) => { $crate::term!(@list [] $($items)*) };
    (#{ $($pairs:tt)* }) => { $crate::Term::Map($crate::term_map!([] $($pairs)*)) };
    (( $value:expr )) => { $crate::Term::from($value) };
    (-$value:literal) => { $crate::Term::from(-$value) };
    ($atom:ident) => { $crate::Term::atom(::std::stringify!($atom)) };
    ($value:literal) => { $crate::Term::from($value) };
}

/// The pairs of a map within [`term!`].
#[doc(hidden)]
#[macro_export]
macro_rules! term_map {
    ([$($done:tt)*]) => {
        <$crate::Map as ::std::iter::FromIterator<($crate::Term, $crate::Term)>>::from_iter([$($done)*])
    };
    ([$($done:tt)*] #$key:tt => $($rest:tt)*) => {
        $crate::term_map!(@value [$($done)*] [$crate::term!(#$key)] $($rest)*)
    };
    ([$($done:tt)*] -$key:literal => $($rest:tt)*) => {
        $crate::term_map!(@value [$($done)*] [$crate::term!(-$key)] $($rest)*)
    };
    ([$($done:tt)*] $key:tt => $($rest:tt)*) => {
        $crate::term_map!(@value [$($done)*] [$crate::term!($key)] $($rest)*)
    };
    (@value [$($done:tt)*] [$key:expr] #$value:tt $(, $($rest:tt)*)?) => {
        $crate::term_map!([$($done)* ($key, $crate::term!(#$value)),] $($($rest)*)?)
    };
    (@value [$($done:tt)*] [$key:expr] -$value:literal $(, $($rest:tt)*)?) => {
        $crate::term_map!([$($done)* ($key, $crate::term!(-$value)),] $($($rest)*)?)
    };
    (@value [$($done:tt)*] [$key:expr] $value:tt $(, $($rest:tt)*)?) => {
        $crate::term_map!([$($done)* ($key, $crate::term!($value)),] $($($rest)*)?)
    };
}

#[cfg(test)]
mod tests {
    use crate::{Atom, Term};

    #[test]
    fn everything_can_stand_everywhere() {
        let value = Term::from(7);
        let node = Atom::from_static("n@h");
        assert_eq!(term!(-5), Term::Int(-5));
        assert_eq!(term!(-2.5), Term::Float(-2.5));
        assert_eq!(term!([(&value), -1, #{}, {}, [],]).to_string(), "[7,-1,#{},{},[]]");
        assert_eq!(term!({(value.clone()), -1, #{a => -1}}).to_string(), "{7,-1,#{a => -1}}");
        assert_eq!(
            term!(#{{a, 1} => [], -1 => {}, #{} => #{b => c}, (&node) => (value)}).to_string(),
            "#{{a,1} => [],-1 => {},#{} => #{b => c},n@h => 7}"
        );
        assert_eq!(term!([1 | [2, 3]]), term!([1, 2, 3]));
        assert_eq!(term!([1, -2 | #{}]).to_string(), "[1,-2|#{}]");
        assert_eq!(term!([{} | tail]).to_string(), "[{}|tail]");
        assert_eq!(term!([true, type, fn]).to_string(), "[true,type,fn]");
    }

    #[test]
    fn a_list_with_a_tail_has_the_simplest_form() {
        assert_eq!(Term::list_with_tail(vec![], Term::from(1)), Term::from(1));
        assert_eq!(Term::list_with_tail(vec![Term::from(1)], Term::NIL), term!([1]));
        assert_eq!(Term::list_with_tail(vec![Term::from(1)], term!([2 | 3])), term!([1, 2 | 3]));
    }
}
