//! Literals: each form by example, what was printed by property, errors to the letter.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

use etf::literal::{self, Json};
use etf::{Atom, BigInt, BitBinary, Export, Map, Term, term};
use proptest::prelude::*;

fn named(text: &str) -> Term {
    Term::Atom(Atom::new(text).unwrap())
}

fn export(module: &str, function: &str, arity: u32) -> Term {
    Export::new(&Atom::new(module).unwrap(), &Atom::new(function).unwrap(), arity).into()
}

fn bits(data: &[u8], last: u8) -> Term {
    BitBinary::new(data, last).unwrap().into()
}

fn with_struct(name: &str, fields: Term) -> Term {
    let mut map = Map::new();
    map.insert(Term::atom("__struct__"), named(name));
    map.extend(fields.as_map().unwrap().clone());
    Term::Map(map)
}

#[test]
fn elixir_literals() {
    for (text, expected) in [
        ("1", term!(1)),
        (" -1_000 # a comment", term!(-1000)),
        ("+ 1", term!(1)),
        ("0xFf_f", term!(0xfff)),
        ("-0b101", term!(-5)),
        ("0o17", term!(15)),
        (
            "123456789012345678901234567890",
            BigInt::parse_bytes(b"123456789012345678901234567890", 10).unwrap().into(),
        ),
        ("-9223372036854775808", term!((i64::MIN))),
        ("1.5", term!(1.5)),
        ("-1_0.2_5e-1_0", term!((-10.25e-10))),
        ("1.0E3", term!(1000.0)),
        ("?a", term!(97)),
        ("?\\n", term!(10)),
        ("?\\\\", term!(92)),
        ("?\\u00e9", term!(233)),
        ("?日", term!(26085)),
        (":ok", term!(ok)),
        (":a?", named("a?")),
        (":b!", named("b!")),
        (":c@d", named("c@d")),
        (":é", named("é")),
        (":\"a \\\"b\"", named("a \"b")),
        (":'a b'", named("a b")),
        (":+", named("+")),
        (":..//", named("..//")),
        (":{}", named("{}")),
        (":%{}", named("%{}")),
        (":<<>>", named("<<>>")),
        (":Foo", named("Foo")),
        ("nil", term!(nil)),
        ("true", term!(true)),
        ("false", term!(false)),
        ("Enum", named("Elixir.Enum")),
        ("My.App1.Core_x", named("Elixir.My.App1.Core_x")),
        ("Elixir.Foo", named("Elixir.Foo")),
        ("Elixir", named("Elixir")),
        ("Elixir.Elixir", named("Elixir.Elixir")),
        ("Elixir.Elixir.Foo", named("Elixir.Elixir.Foo")),
        ("\"\"", term!("")),
        ("\"a\\n\\t\\s\\e\\0\\\"\\\\é\"", term!("a\n\t \u{1b}\0\"\\é")),
        ("\"\\u{1F600}\\u00e9\\x{e9}\\x41\\q\"", term!("😀éé\u{41}q")),
        ("\"\\xff\\xC3\\xA9\"", Term::from(b"\xff\xc3\xa9".as_slice())),
        ("\"a\\\nb\nc\"", term!("ab\nc")),
        ("\"a\\\r\nb\\\rc\"", term!("ab\rc")),
        ("\"\\#{x}# {\"", term!("#{x}# {")),
        ("'abc'", term!([97, 98, 99])),
        ("~c\"aé\"", term!([97, 233])),
        ("~c'it\"s'", "it\"s".chars().map(|c| Term::from(u32::from(c))).collect()),
        ("~s(a \"b\" \\) \\n)", term!("a \"b\" ) \n")),
        ("~S(a \\) \\n)", term!("a ) \\n")),
        ("~w[a  b]", term!(["a", "b"])),
        ("~w|a b|a", term!([a, b])),
        ("~W<a b>c", term!([[97], [98]])),
        ("[]", term!([])),
        ("[1, 2, ]", term!([1, 2])),
        ("[1,[2],{}]", term!([1, [2], {}])),
        (
            "[a: 1, b?: nil, nil: 2, do: 3]",
            Term::List(vec![
                term!({a, 1}),
                Term::Tuple(vec![named("b?"), term!(nil)]),
                term!({nil, 2}),
                Term::Tuple(vec![named("do"), term!(3)]),
            ]),
        ),
        (
            "[\"b c\": 1, Foo: 2, +: 3]",
            Term::List(vec![
                Term::Tuple(vec![named("b c"), term!(1)]),
                Term::Tuple(vec![named("Foo"), term!(2)]),
                Term::Tuple(vec![named("+"), term!(3)]),
            ]),
        ),
        ("[1, a: 2]", term!([1, {a, 2}])),
        ("[1, 2 | 3]", term!([1, 2 | 3])),
        ("[1 | [2 | []]]", term!([1, 2])),
        ("[{:a, 1} | :b]", term!([{a, 1} | b])),
        ("{}", term!({})),
        ("{:ok, \"x\"}", term!({ok, "x"})),
        ("{1, a: 2}", term!({1, [{a, 2}]})),
        ("(1)", term!(1)),
        ("%{}", term!(#{})),
        ("%{a: 1, \"b\" => [2]}", term!(#{a => 1, "b" => [2]})),
        ("%{1 => %{}, 1.0 => 2, a: 3}", term!(#{1 => #{}, 1.0 => 2, a => 3})),
        ("%{a: 1, a: 2}", term!(#{a => 2})),
        ("%User{name: \"Ada\"}", with_struct("Elixir.User", term!(#{name => "Ada"}))),
        ("%My.User{}", with_struct("Elixir.My.User", term!(#{}))),
        ("1..3", with_struct("Elixir.Range", term!(#{first => 1, last => 3, step => 1}))),
        ("3..1", with_struct("Elixir.Range", term!(#{first => 3, last => 1, step => (-1)}))),
        ("-1..9//2", with_struct("Elixir.Range", term!(#{first => (-1), last => 9, step => 2}))),
        ("?a..?c", with_struct("Elixir.Range", term!(#{first => 97, last => 99, step => 1}))),
        ("1 .. 3", with_struct("Elixir.Range", term!(#{first => 1, last => 3, step => 1}))),
        (
            "[1 .. -9 // -2 | 1 ]",
            Term::list_with_tail(
                vec![with_struct("Elixir.Range", term!(#{first => 1, last => (-9), step => (-2)}))],
                term!(1),
            ),
        ),
        ("&Enum.sum/1", export("Elixir.Enum", "sum", 1)),
        ("& Enum.sum / 1", export("Elixir.Enum", "sum", 1)),
        ("&( Enum.sum/1 )", export("Elixir.Enum", "sum", 1)),
        ("&:lists.\"foo bar\"/0", export("lists", "foo bar", 0)),
        ("&Kernel.+/2", export("Elixir.Kernel", "+", 2)),
        ("<<>>", term!("")),
        ("<<1, 256, -1, ?a>>", Term::from([1, 0, 255, 97].as_slice())),
        ("<<1, 2::size(4)>>", bits(&[1, 0x20], 4)),
        ("<<5::3, 1::5>>", Term::from([0xa1].as_slice())),
        (
            "<<1::16, 1::little-16, 1::size(2)-unit(8), 1::2*8>>",
            Term::from([0, 1, 1, 0, 0, 1, 0, 1].as_slice()),
        ),
        ("<<0xABC::little-size(12)>>", bits(&[0xbc, 0xa0], 4)),
        ("<<-2::24>>", Term::from([255, 255, 254].as_slice())),
        ("<<\"é\", 0>>", Term::from([0xc3, 0xa9, 0].as_slice())),
        ("<<\"é😀\"::utf16>>", Term::from([0, 0xe9, 0xd8, 0x3d, 0xde, 0].as_slice())),
        (
            "<<\"é\"::utf16-little, ?é::utf8, 1::utf32>>",
            Term::from([0xe9, 0, 0xc3, 0xa9, 0, 0, 0, 1].as_slice()),
        ),
        (
            "<<1.5, 1.5::float-32, 1.5::float-little-size(32), 2::float>>",
            Term::from(
                [
                    0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0x3f, 0xc0, 0, 0, 0, 0, 0xc0, 0x3f, 0x40, 0, 0,
                    0, 0, 0, 0, 0,
                ]
                .as_slice(),
            ),
        ),
        ("<<\"a\"::binary, <<1::1>>::bits>>", bits(&[97, 0x80], 1)),
        (
            "~D[2024-02-29]",
            with_struct(
                "Elixir.Date",
                term!(#{calendar => (Atom::from_static("Elixir.Calendar.ISO")), year => 2024, month => 2, day => 29}),
            ),
        ),
        (
            "~T[23:59:59.0120]",
            with_struct(
                "Elixir.Time",
                term!(#{calendar => (Atom::from_static("Elixir.Calendar.ISO")), hour => 23, minute => 59, second => 59, microsecond => {12000, 4}}),
            ),
        ),
    ] {
        assert_eq!(literal::elixir(text), Ok(expected), "{text}");
    }
    let naive = literal::elixir("~N[2024-02-29 01:02:03]").unwrap();
    assert_eq!(naive.as_map().unwrap().len(), 9);
    assert_eq!(literal::elixir("~N[2024-02-29T01:02:03]"), Ok(naive));
    let utc = literal::elixir("~U[2024-02-29 01:02:03.5Z]").unwrap();
    let utc = utc.as_map().unwrap();
    assert_eq!(utc.get_atom("time_zone").unwrap().as_str(), Some("Etc/UTC"));
    assert_eq!(utc.get_atom("microsecond"), Some(&term!({500_000, 1})));
}

#[test]
fn what_is_no_elixir_literal() {
    for (text, message) in [
        ("", "character 1: expected a literal, and the text ends here"),
        (
            "[1, foo]",
            "character 5: foo is no literal; write :foo for the atom, \"foo\" for the string",
        ),
        ("1 + 2", "character 3: expected the end, found `+`"),
        ("1e5", "character 2: a number does not go on like this"),
        ("0x", "character 3: expected a digit of that base, and the text ends here"),
        ("1.0e400", "character 1: the float is too large"),
        ("\"abc", "character 1: there is no \" that ends this"),
        ("\"a#{1}\"", "character 3: interpolation is no literal; write \\#{ for the characters"),
        ("\"\"\"\na\n\"\"\"", "character 1: heredocs are not read here; write \\n in a string"),
        ("\"\\u12\"", "character 3: \\u needs four hexadecimal digits, or some in braces"),
        ("\"\\u{110000}\"", "character 3: 110000 is no code point"),
        ("'\\xff'", "character 1: this is not valid UTF-8"),
        ("Enum.sum", "character 5: expected the end, found `.`"),
        ("[1 2]", "character 4: expected ], found `2`"),
        ("[a: 1, 2]", "character 8: after a key: value only others may follow"),
        ("[a: 1 | 2]", "character 7: expected ], found `|`"),
        ("[| 2]", "character 2: expected a literal, found `|`"),
        ("{a: 1}", "character 1: keys stand in a list or a map, not alone in a tuple"),
        ("%{1}", "character 4: expected => and a value, found `}`"),
        ("%foo{}", "character 2: expected {, found `f`"),
        ("<<:a>>", "character 3: only numbers and binaries stand in a bitstring"),
        ("<<1::what>>", "character 6: this says nothing about a segment"),
        ("<<1::size(99999999999)>>", "character 3: the segment is too long"),
        ("<<1::99999999999999999999999>>", "character 6: the segment is too long"),
        ("<<1.5::24>>", "character 3: a float has 32 or 64 bits"),
        ("~r/a/", "character 1: what ~r makes is no literal"),
        ("~D[2023-02-29]", "character 1: ~D cannot read \"2023-02-29\""),
        ("&foo/1", "character 1: of functions only &Module.function/arity is a literal"),
        ("&Enum.sum/256", "character 1: the arity is at most 255"),
        (
            "{1,\n foo}",
            "line 2, character 2: foo is no literal; write :foo for the atom, \"foo\" for the string",
        ),
        ("#PID<0.1.0>", "character 12: expected a literal, and the text ends here"),
        ("é\u{7}", "character 1: é is no literal; write :é for the atom, \"é\" for the string"),
        ("\u{7}", "character 1: expected a literal, found \\u{7}"),
    ] {
        let error = literal::elixir(text).unwrap_err().to_string();
        assert_eq!(error, message, "{text}");
    }
    let long = format!(":{}", "a".repeat(256));
    let message = "character 1: an atom has at most 255 characters, not 256";
    assert_eq!(literal::elixir(&long).unwrap_err().to_string(), message);
}

#[test]
fn erlang_literals() {
    for (text, expected) in [
        ("ok", term!(ok)),
        ("a_B@1", named("a_B@1")),
        ("'Elixir.Enum'", named("Elixir.Enum")),
        ("'it\\'s'", named("it's")),
        ("'end'", named("end")),
        ("1_000", term!(1000)),
        ("16#fF", term!(255)),
        ("- 2#101", term!(-5)),
        ("36#z", term!(35)),
        ("1.5e+3", term!(1500.0)),
        ("$a", term!(97)),
        ("$\\n", term!(10)),
        ("$\\x{1F600}", term!(0x1f600)),
        ("$\\^A", term!(1)),
        ("$\\101", term!(65)),
        ("\"\"", term!([])),
        ("\"ab\" \"c\"", term!([97, 98, 99])),
        ("\"\\x41\\t\\0\\1234日\"", term!([65, 9, 0, 83, 52, 26085])),
        ("[]", term!([])),
        ("[1,[2]|x]", term!([1, [2] | x])),
        ("{ok, % a comment\n {}}", term!({ok, {}})),
        ("#{}", term!(#{})),
        ("#{a => 1,\"b\"=>#{}}", term!(#{a => 1, [98] => #{}})),
        ("<<>>", term!("")),
        ("<<\"abc\">>", term!("abc")),
        ("<<\"é\">>", Term::from([0xe9].as_slice())),
        ("<<\"é\"/utf8>>", term!("é")),
        ("<<1,2:4>>", bits(&[1, 0x20], 4)),
        (
            "<<1:16/little, 2:2/unit:8, 1.5:32/float, $a, \"a\":16>>",
            Term::from([1, 0, 0, 2, 0x3f, 0xc0, 0, 0, 97, 0, 97].as_slice()),
        ),
        (
            "<<\"ab\"/utf16-little, <<1>>/binary, (-1):8/signed>>",
            Term::from([97, 0, 98, 0, 1, 255].as_slice()),
        ),
        ("~\"é\"", term!("é")),
        ("fun lists:reverse/1", export("lists", "reverse", 1)),
        ("fun 'Elixir.Enum':'sum'/1", export("Elixir.Enum", "sum", 1)),
        ("function", term!(function)),
        ("{a,1}.", term!({a, 1})),
    ] {
        assert_eq!(literal::erlang(text), Ok(expected), "{text}");
    }
    for (text, message) in [
        ("", "character 1: expected a literal, and the text ends here"),
        ("[a, Foo]", "character 5: Foo is a variable, and no literal"),
        ("_", "character 1: _ is a variable, and no literal"),
        ("end", "character 1: end is a reserved word; write 'end'"),
        ("37#1", "character 1: the base of a number is 2 to 36"),
        ("#rec{a=1}", "character 1: a record is no literal; write the tuple that it is"),
        (
            "fun(X) -> X end",
            "character 1: of functions only fun module:function/arity is a literal",
        ),
        ("[1,2", "character 5: expected ], and the text ends here"),
        ("{a,}", "character 4: expected a literal, found `}`"),
        ("'abc", "character 1: there is no ' that ends this"),
        ("lists:sum", "character 6: expected the end, found `:`"),
        ("<<a>>", "character 3: only numbers, strings and binaries stand in a bitstring"),
    ] {
        assert_eq!(literal::erlang(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn json_literals() {
    for (text, expected) in [
        ("null", term!(nil)),
        (" [true, false,1,-0,1.5,1e2] ", term!([true, false, 1, 0, 1.5, 100.0])),
        (
            "123456789012345678901234567890",
            BigInt::parse_bytes(b"123456789012345678901234567890", 10).unwrap().into(),
        ),
        ("{\"a\": {\"b\": []}, \"a\": \"x\"}", term!(#{"a" => "x"})),
        ("\"\\u00e9\\ud83d\\ude00\\n\\/\"", term!("é😀\n/")),
    ] {
        assert_eq!(literal::json(text), Ok(expected), "{text}");
    }
    for (text, message) in [
        ("nul", "character 1: expected a JSON value, found `n`"),
        ("[1,]", "character 4: expected a JSON value, found `]`"),
        ("{a: 1}", "character 2: expected a key in quotes, found `a`"),
        ("01", "character 1: a number does not begin with 0 and another digit"),
        ("1.", "character 3: expected a digit, and the text ends here"),
        ("\"\\ud83d\"", "character 3: half of a surrogate pair is no character"),
        ("\"\\x\"", "character 3: JSON has no such escape"),
        ("\"a\nb\"", "character 3: a control character must be escaped in JSON"),
        ("1 2", "character 3: expected the end, found `2`"),
    ] {
        assert_eq!(literal::json(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn names_of_functions_in_both_forms() {
    for (text, module, name) in [
        ("Enum.sum", "Elixir.Enum", "sum"),
        ("My.App.run!", "Elixir.My.App", "run!"),
        ("Kernel.+", "Elixir.Kernel", "+"),
        ("Foo.\"b c\"", "Elixir.Foo", "b c"),
        (":lists.sum", "lists", "sum"),
        (":\"Elixir.Enum\".sum", "Elixir.Enum", "sum"),
        (":erlang.=:=", "erlang", "="),
        ("lists:sum", "lists", "sum"),
        ("'Elixir.Enum':sum", "Elixir.Enum", "sum"),
        ("m:'F x'", "m", "F x"),
        ("erlang:+", "erlang", "+"),
        ("erlang:and", "erlang", "and"),
    ] {
        if text == ":erlang.=:=" {
            // Not an operator of Elixir: quoted there.
            assert!(literal::function(text).is_err());
            continue;
        }
        let function = literal::function(text).unwrap();
        assert_eq!((function.module.as_str(), function.name.as_str()), (module, name), "{text}");
    }
    for (text, message) in [
        (
            "",
            "character 1: expected the name of a function, such as Enum.sum or lists:sum, and the text ends here",
        ),
        ("Enum", "character 5: expected a dot and the name of a function, and the text ends here"),
        ("Enum:sum", "character 5: a module of Elixir has a dot before the function: Enum.sum"),
        ("lists.sum", "character 6: a module of Erlang is written as lists:sum or :lists.sum"),
        ("lists", "character 6: expected : and the name of a function, and the text ends here"),
        ("Enum.sum/1", "character 9: the arity is not given: it is the number of arguments"),
        ("Enum.sum([1])", "character 9: arguments are given one by one after the name"),
        ("Enum.sum x", "character 9: expected the end, found ` `"),
    ] {
        assert_eq!(literal::function(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn names_of_processes() {
    for (text, name) in [
        ("server", "server"),
        (":server", "server"),
        ("MyApp.Server", "Elixir.MyApp.Server"),
        ("'a server'", "a server"),
        (":\"a server\"", "a server"),
    ] {
        assert_eq!(literal::process_name(text).unwrap().as_str(), name, "{text}");
    }
    for text in ["", "1", "a b", "MyApp.", "{:global, :x}"] {
        assert!(literal::process_name(text).is_err(), "{text}");
    }
}

#[test]
fn json_printed() {
    let term = term!(#{
        name => "Ada \"é\"\n\u{1}", "n" => [1, (-2.5), nil, true, ok, {1, 2}], 1 => (Term::from([255].as_slice())), {a} => []
    });
    let json = Json(&term).to_string();
    assert_eq!(
        json,
        r#"{"name":"Ada \"é\"\n\u0001","n":[1,-2.5,null,true,"ok",[1,2]],"1":"<<255>>","{:a}":[]}"#
    );
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for read in [literal::elixir, literal::erlang, literal::json] {
        assert!(read(&nested(literal::MAX_DEPTH)).is_ok());
        let error = read(&nested(literal::MAX_DEPTH + 1)).unwrap_err();
        assert_eq!(error.to_string(), "character 129: nested deeper than 128");
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&"{".repeat(100_000)).is_err());
    }
    assert!(literal::elixir(&"%{a: ".repeat(100_000)).is_err());
    assert!(literal::elixir(&"\"a\" => ".repeat(10_000)).is_err());
}

fn atom() -> impl Strategy<Value = Atom> {
    let text = prop_oneof![
        3 => "[a-z][a-zA-Z0-9_@]{0,12}[?!]?",
        2 => "Elixir(\\.[A-Z][a-z0-9_]{0,5}){1,3}",
        1 => "[-+*/<>=!&|^~@.%:]{1,4}",
        1 => "(nil|true|do|end|not|fun|Elixir|Foo)",
        // Elixir prints the controls of Latin-1 in a form that it does not read.
        2 => "[^\u{80}-\u{9f}]{0,30}",
    ];
    text.prop_map(|text| Atom::new(text).unwrap())
}

fn term() -> impl Strategy<Value = Term> {
    let integer = prop::collection::vec(any::<u8>(), 0..40)
        .prop_map(|bytes| Term::from(BigInt::from_signed_bytes_le(&bytes)));
    let float = any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Term::from);
    let bits = (prop::collection::vec(any::<u8>(), 1..10), 1..=7_u8)
        .prop_map(|(data, last)| Term::from(BitBinary::new(&data, last).unwrap()));
    let leaf = prop_oneof![
        3 => atom().prop_map(Term::from),
        1 => any::<i64>().prop_map(Term::from),
        1 => integer,
        1 => float,
        2 => "(?s).{0,20}".prop_map(Term::from),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Term::from(bytes.as_slice())),
        1 => bits,
        // `&:..a/0` is what Elixir prints for the function a of the module :., and cannot read.
        1 => ("(Elixir\\.)?[A-Za-z][a-z_]{0,5}", atom(), any::<u8>()).prop_map(|(module, name, arity)| {
            Export::new(&Atom::new(module).unwrap(), &name, arity.into()).into()
        }),
        1 => "(?s).{0,10}".prop_map(|text| text.chars().map(|c| Term::from(u32::from(c))).collect()),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..6);
        let keywords = prop::collection::vec((atom(), inner.clone()), 1..5);
        prop_oneof![
            items.clone().prop_map(Term::List),
            items.clone().prop_map(Term::Tuple),
            (items, inner.clone()).prop_map(|(items, tail)| Term::list_with_tail(items, tail)),
            keywords.prop_map(|pairs| pairs
                .into_iter()
                .map(|(key, value)| Term::Tuple(vec![Term::from(key), value]))
                .collect()),
            prop::collection::vec((inner.clone(), inner.clone()), 0..6)
                .prop_map(|pairs| pairs.into_iter().collect()),
            prop::collection::vec((atom(), inner), 0..6).prop_map(|pairs| pairs
                .into_iter()
                .map(|(key, value)| (Term::from(key), value))
                .collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_read_back(term in term()) {
        let elixir = term.elixir().to_string();
        prop_assert_eq!(literal::elixir(&elixir), Ok(term.clone()), "{}", elixir);
        let erlang = term.to_string();
        prop_assert_eq!(literal::erlang(&erlang), Ok(term.clone()), "{}", erlang);
        let json = Json(&term).to_string();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
    }

    #[test]
    fn json_is_read_as_others_read_it(term in term()) {
        let json = Json(&term).to_string();
        let read = literal::json(&json).unwrap();
        let again: serde_json::Value = serde_json::from_str(&Json(&read).to_string()).unwrap();
        prop_assert_eq!(again, serde_json::from_str::<serde_json::Value>(&json).unwrap(), "{}", json);
    }

    #[test]
    fn nothing_panics(text in "(?s).{0,60}") {
        for read in [literal::elixir, literal::erlang, literal::json] {
            if let Err(error) = read(&text) {
                prop_assert!(error.offset <= text.len());
            }
        }
        let _ = (literal::function(&text), literal::process_name(&text));
    }

    #[test]
    fn nothing_made_of_tokens_panics(tokens in prop::collection::vec(token(), 0..12)) {
        let text = tokens.concat();
        for read in [literal::elixir, literal::erlang, literal::json] {
            if let Ok(term) = read(&text) {
                prop_assert_eq!(literal::elixir(&term.elixir().to_string()), Ok(term));
            }
        }
    }
}

fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "[",
        "]",
        "{",
        "}",
        "%{",
        "#{",
        "<<",
        ">>",
        "(",
        ")",
        "\"",
        "'",
        "~s",
        "~w",
        "~D",
        "~T",
        "a: ",
        "b",
        ":a",
        "=>",
        "|",
        ",",
        " ",
        "::",
        ":4",
        "/utf8",
        "-",
        "..",
        "//",
        "1",
        "0x",
        "16#",
        ".5",
        "e3",
        "?",
        "$",
        "\\",
        "\\x",
        "\\u",
        "\\^",
        "&",
        "Foo",
        ".x",
        "/1",
        "fun ",
        "é",
        "nil",
        "2024-01-01",
        "#",
        "%",
        "\n",
    ])
}
