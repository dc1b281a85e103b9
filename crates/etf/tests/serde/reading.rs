//! What is read: more forms than are written, and errors that say what was wrong and where.

use std::collections::{BTreeMap, HashMap};

use etf::{Atom, Bytes, Limits, Pid, Reference, Term, from_bytes, from_term, term};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::kinds::{Event, Options, Rec, User};

fn error<T: DeserializeOwned + std::fmt::Debug>(term: Term) -> String {
    from_term::<T>(&term).unwrap_err().to_string()
}

#[test]
fn keys_of_a_struct_are_atoms_or_binaries() {
    let expected = Options { timeout: Some(1), trace: true };
    for term in [
        term!(#{timeout => 1, trace => true}),
        term!(#{"timeout" => 1, "trace" => true}),
        term!(#{7 => 8, trace => true, other => {a, [b]}, "timeout" => 1, {} => {}}),
        term!(#{0 => no, 1 => no, timeout => 1, trace => true}),
        term!(#{"__struct__" => other, timeout => 1, trace => true}),
    ] {
        assert_eq!(from_term::<Options>(&term).unwrap(), expected, "{term}");
    }
    assert!(error::<Options>(term!(#{timeout => 1, "timeout" => 2})).contains("duplicate field"));
}

#[test]
fn an_elixir_struct_is_no_other() {
    let user = |name: Term| {
        let mut map = term!(#{name => "Ada", role => admin, tags => []});
        if let Term::Map(map) = &mut map {
            map.insert(term!(__struct__), name);
        }
        map
    };
    assert_eq!(from_term::<User>(&user(Term::atom("Elixir.MyApp.User"))).unwrap().name, "Ada");
    assert_eq!(
        error::<User>(user(Term::atom("Elixir.MyApp.Group"))),
        "invalid type: the atom 'Elixir.MyApp.Group', expected the struct `Elixir.MyApp.User`, at __struct__"
    );
    let plain = term!(#{name => "Ada", role => admin, tags => []});
    assert_eq!(from_term::<User>(&plain).unwrap().name, "Ada");
    assert_eq!(from_term::<Options>(&user(Term::atom("Elixir.X"))).unwrap(), Options::default());

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        name: String,
    }
    let strict: Strict =
        from_term(&term!(#{__struct__ => (Term::atom("Elixir.X")), name => "Ada"})).unwrap();
    assert_eq!(strict.name, "Ada");

    // Who asks for the name gets it, whatever it is.
    #[derive(Debug, Deserialize)]
    #[serde(rename = "Elixir.Any")]
    struct Any {
        #[serde(rename = "__struct__")]
        module: Atom,
    }
    assert_eq!(from_term::<Any>(&user(Term::atom("Elixir.X"))).unwrap().module, "Elixir.X");
}

#[test]
fn lenient_where_peers_differ() {
    assert_eq!(from_term::<Option<u8>>(&term!(undefined)).unwrap(), None);
    from_term::<()>(&term!(ok)).unwrap();
    from_term::<()>(&term!({})).unwrap();
    assert_eq!(error::<()>(term!({ 1 })), "invalid type: a tuple of 1 elements, expected unit");
    assert_eq!(from_term::<f64>(&term!(3)).unwrap(), 3.0);
    assert_eq!(from_term::<[u8; 2]>(&term!([1, 2])).unwrap(), [1, 2]);
    assert_eq!(from_term::<(u16, u16)>(&term!([300, 2])).unwrap(), (300, 2));
    assert_eq!(from_term::<Event>(&term!("started")).unwrap(), Event::Started);
    assert_eq!(from_term::<char>(&term!("é")).unwrap(), 'é');
    let by_text: HashMap<String, u8> = from_term(&term!(#{a => 1, "b" => 2})).unwrap();
    assert_eq!(by_text, HashMap::from([("a".into(), 1), ("b".into(), 2)]));
    let result = from_term::<Result<(), Atom>>;
    assert_eq!(result(&term!({ok, nil})).unwrap(), Ok(()));
    assert_eq!(result(&term!({error, why})).unwrap(), Err(Atom::from_static("why")));
}

#[test]
fn lists_of_bytes_are_lists() {
    let text = term!([97, 98]);
    assert_eq!(from_term::<Vec<u64>>(&text).unwrap(), [97, 98]);
    assert_eq!(from_term::<Vec<char>>(&text).unwrap(), ['a', 'b']);
    assert_eq!(from_term::<Vec<Option<f32>>>(&text).unwrap(), [Some(97.0), Some(98.0)]);
    assert_eq!(from_term::<Vec<Term>>(&text).unwrap(), [term!(97), term!(98)]);
    assert_eq!(from_term::<(u8, Term)>(&text).unwrap(), (97, term!(98)));
    // A list that goes on in its tail.
    let tail = Bytes::from_static(&[131, 108, 0, 0, 0, 1, 97, 7, 107, 0, 2, 8, 9]);
    assert_eq!(from_bytes::<Vec<u8>>(&tail, &Limits::default()).unwrap(), [7, 8, 9]);
    let list = Bytes::from_static(&[131, 108, 0, 0, 0, 1, 97, 7, 108, 0, 0, 0, 1, 97, 8, 106]);
    assert_eq!(from_bytes::<(u8, u8)>(&list, &Limits::default()).unwrap(), (7, 8));
    assert_eq!(
        error::<Vec<u8>>(term!([1 | 2])),
        "invalid type: the integer 2, expected the end of a proper list"
    );
}

#[derive(Debug, PartialEq, Deserialize)]
struct Asked {
    #[serde(with = "etf::charlist", default)]
    path: Option<String>,
    #[serde(with = "etf::keyword", default)]
    options: Options,
    #[serde(with = "etf::keyword", default)]
    any: BTreeMap<Atom, Term>,
    #[serde(with = "etf::binary", default)]
    bytes: Vec<u8>,
}

#[test]
fn on_request() {
    let asked: Asked = from_term(&term!(#{
        path => [26085, 97],
        options => [trace, {timeout, 7}, {1, 2}, {a, b, c}, 300, "x", {"other", 1}],
        any => [a, {b, {}}],
        bytes => "xyz"
    }))
    .unwrap();
    assert_eq!(asked.path.as_deref(), Some("日a"));
    assert_eq!(asked.options, Options { timeout: Some(7), trace: true });
    assert_eq!(asked.any[&Atom::from_static("b")], term!({}));
    assert_eq!(asked.bytes, b"xyz");
    // Only an atom stands for itself and `true`.
    let asked: Asked = from_term(&term!(#{options => ["trace"]})).unwrap();
    assert_eq!(asked.options, Options::default());
    assert_eq!(from_term::<Asked>(&term!(#{path => "x"})).unwrap().path.as_deref(), Some("x"));
    assert_eq!(from_term::<Asked>(&term!(#{path => []})).unwrap().path.as_deref(), Some(""));
    assert_eq!(from_term::<Asked>(&term!(#{path => nil})).unwrap().path, None);
    assert_eq!(
        error::<Asked>(term!(#{path => [a]})),
        "invalid type: a list of 1 elements, expected a charlist, at path"
    );
    assert_eq!(
        error::<Asked>(term!(#{options => [{timeout, x}]})),
        "invalid type: the atom x, expected u32, at options.timeout"
    );
}

#[test]
fn records() {
    #[derive(Debug, Deserialize)]
    struct Holder(#[serde(with = "etf::record")] Rec, u8);
    let holder: Holder = from_term(&term!({{rec, 1, [2]}, 3})).unwrap();
    assert_eq!((holder.0, holder.1), (Rec { a: 1, b: vec![2] }, 3));
    assert_eq!(
        error::<Holder>(term!({{other, 1, [2]}, 3})),
        "invalid type: a tuple of 3 elements, expected a record `rec`, at [0]"
    );
    assert!(error::<Holder>(term!({{rec, 1, [2], 4}, 3})).contains("invalid length"));
    assert!(error::<Holder>(term!({{rec, 1}, 3})).contains("invalid length"));
}

#[test]
fn errors_say_what_and_where() {
    #[derive(Debug, Deserialize)]
    struct Users {
        #[expect(dead_code, reason = "only read")]
        users: Vec<User>,
    }
    let users = term!(#{users => [#{name => "a", role => b, tags => []}, #{name => nil}]});
    assert_eq!(
        error::<Users>(users),
        "invalid type: the atom nil, expected a string, at users[1].name"
    );
    assert_eq!(error::<Users>(term!(#{users => [#{}]})), "missing field `name`, at users[0]");
    assert_eq!(error::<u8>(term!(300)), "invalid value: integer `300`, expected u8");
    assert_eq!(error::<u8>(term!(-1)), "invalid value: integer `-1`, expected u8");
    let huge = Term::from(etf::BigInt::from(1) << 200);
    assert_eq!(error::<u128>(huge), "invalid value: an integer of 26 bytes, expected u128");
    assert_eq!(error::<(u8, u8)>(term!({1, 2, 3})), "invalid length 3, expected a tuple of size 2");
    assert!(error::<(u8, u8)>(term!([1, 2, 3])).starts_with("invalid length 3"));
    assert_eq!(error::<String>(term!(ok)), "invalid type: the atom ok, expected a string");
    assert_eq!(error::<Atom>(term!("ok")), "invalid type: the string \"ok\", expected an atom");
    assert_eq!(error::<Pid>(term!("x")), "invalid type: a binary of 1 bytes, expected a pid");
    assert_eq!(error::<Vec<u8>>(term!("x")), "invalid type: the string \"x\", expected a sequence");
    assert_eq!(
        error::<Event>(term!(gone)),
        "unknown variant `gone`, expected one of `started`, `renamed`, `moved`, `set`, `both`, `many`"
    );
    assert_eq!(
        error::<Event>(term!({moved, 1})),
        "invalid type: a tuple of 2 elements, expected a tuple of the name and 2 values"
    );
    assert_eq!(
        error::<Event>(term!({moved, 1, {x, 2.5}})),
        "invalid type: the atom x, expected f64, at [2][0]"
    );
    assert_eq!(
        error::<HashMap<String, u8>>(term!(#{{} => 1})),
        "invalid type: a tuple of 0 elements, expected a string, at {}"
    );
    let long = Term::from("é".repeat(1000));
    let error = from_term::<HashMap<String, u8>>(&term!(#{(long) => x})).unwrap_err();
    assert_eq!(error.path(), format!("{}…", "é".repeat(64)));
    let bytes = etf::encode(&term!({1, [2, x]})).unwrap().into_bytes();
    let error = from_bytes::<(u8, Vec<u8>)>(&bytes, &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "invalid type: the atom x, expected u8, at [1][1] (byte 12)");
    assert_eq!((error.path().as_str(), error.offset()), ("[1][1]", Some(12)));
    let bytes = etf::to_bytes(&(300, 301)).unwrap();
    let error = from_bytes::<(u16, u8)>(&bytes, &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "invalid value: integer `301`, expected u8, at [1] (byte 8)");
}

#[test]
fn text_and_bytes_are_borrowed_and_large_binaries_shared() {
    let text = "x".repeat(1000);
    let bytes = etf::to_bytes(&("short", &text)).unwrap();
    let within = |part: *const u8| bytes.as_ptr_range().contains(&part);
    let (short, long): (&str, &str) = from_bytes(&bytes, &Limits::default()).unwrap();
    assert!(within(short.as_ptr()) && within(long.as_ptr()));
    let (_, term): (&str, Term) = from_bytes(&bytes, &Limits::default()).unwrap();
    assert!(within(term.as_binary().unwrap().as_ptr()));
    let raw: serde_bytes::ByteBuf =
        from_bytes(&etf::to_bytes(&text).unwrap(), &Limits::default()).unwrap();
    assert_eq!(raw.as_slice(), text.as_bytes());
}

/// What serde keeps in a form of its own before it knows the type.
#[test]
fn flattened_and_untagged_types() {
    #[derive(Debug, PartialEq, serde::Serialize, Deserialize)]
    struct Flat {
        id: u8,
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Debug, PartialEq, serde::Serialize, Deserialize)]
    struct Inner {
        pid: Pid,
        reference: Option<Reference>,
        role: Atom,
        term: Term,
    }
    let node = Atom::from_static("n@h");
    let pid = Pid { node: node.clone(), id: 1, serial: 2, creation: 3 };
    let reference = Some(Reference::new(node, 3, &[1, 2, 3]).unwrap());
    let role = Atom::from_static("admin");
    let inner = Inner { pid: pid.clone(), reference, role, term: term!([1, "x", (&pid)]) };
    let flat = Flat { id: 7, inner };
    let term = etf::to_term(&flat).unwrap();
    assert_eq!(from_term::<Flat>(&term).unwrap(), flat);

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
        Process(Pid),
        Nothing,
    }
    for (term, expected) in [
        (term!(-1), Either::Number(-1)),
        (term!("x"), Either::Text("x".into())),
        (term!((&pid)), Either::Process(pid)),
        (term!(nil), Either::Nothing),
    ] {
        assert_eq!(from_term::<Either>(&term).unwrap(), expected);
    }
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Tagged {
        Circle { radius: f64 },
    }
    let circle = term!(#{type => circle, radius => 2});
    assert_eq!(from_term::<Tagged>(&circle).unwrap(), Tagged::Circle { radius: 2.0 });
}
