//! What types look like in Erlang.

use std::collections::BTreeMap;

use etf::{Atom, SerializeError, Term, term, to_term};
use serde::Serialize;

use crate::kinds::{Empty, Event, Id, Marker, Options, Point, Rec, User};

fn shown<T: Serialize>(value: T) -> String {
    to_term(&value).unwrap().to_string()
}

#[test]
fn scalars() {
    assert_eq!(shown((true, -1, 1.5_f32, 'a', "é", ())), "{true,-1,1.5,97,<<\"é\"/utf8>>,nil}");
    assert_eq!(shown(u64::MAX), "18446744073709551615");
    assert_eq!(shown((i128::MIN, u128::MAX)), format!("{{{},{}}}", i128::MIN, u128::MAX));
    assert_eq!(shown((None::<u8>, Some(1))), "{nil,1}");
}

#[test]
fn sequences_and_tuples() {
    assert_eq!(shown(vec![1, 300]), "[1,300]");
    assert_eq!(shown(vec!['a', 'b']), "\"ab\"");
    assert_eq!(shown(Vec::<u8>::new()), "[]");
    assert_eq!(shown([1, 2]), "{1,2}");
    assert_eq!(shown((Point(1.0, 2.0), Id(7))), "{{1.0,2.0},7}");
}

#[test]
fn structs_and_enums() {
    assert_eq!(shown(Options { timeout: None, trace: true }), "#{timeout => nil,trace => true}");
    assert_eq!(shown((Empty {}, Marker)), "{#{},marker}");
    assert_eq!(shown(Event::Started), "started");
    assert_eq!(shown(Event::Renamed("x".into())), "{renamed,<<\"x\">>}");
    assert_eq!(shown(Event::Moved(1, Point(0.0, 0.5))), "{moved,1,{0.0,0.5}}");
    let set = Event::Set { key: "k".into(), value: Some(1) };
    assert_eq!(shown(set), "{set,#{key => <<\"k\">>,value => 1}}");
    let user = User { name: "Ada".into(), role: Atom::from_static("admin"), tags: vec![] };
    assert_eq!(
        to_term(&user).unwrap().elixir().to_string(),
        "%MyApp.User{name: \"Ada\", role: :admin, tags: []}"
    );
}

#[test]
fn results_are_ok_and_error() {
    assert_eq!(shown(Ok::<_, ()>(1)), "{ok,1}");
    assert_eq!(shown(Ok::<_, ()>(())), "ok");
    assert_eq!(shown(Ok::<_, ()>(None::<u8>)), "{ok,nil}");
    assert_eq!(shown(Err::<u8, _>("why")), "{error,<<\"why\">>}");
}

#[derive(Serialize)]
struct Asked<T: Serialize>(#[serde(with = "etf::charlist")] T, u8);

#[derive(Serialize)]
struct Pairs<T: Serialize>(#[serde(with = "etf::keyword")] T, u8);

#[derive(Serialize)]
struct Recorded<T: Serialize>(#[serde(with = "etf::record")] T, u8);

#[test]
fn on_request() {
    assert_eq!(shown(Asked("ab", 1)), "{\"ab\",1}");
    assert_eq!(shown(Asked(Some("日"), 1)), "{\"日\",1}");
    assert_eq!(shown(Asked(None::<&str>, 1)), "{nil,1}");
    let options = Options { timeout: Some(5), trace: false };
    assert_eq!(shown(Pairs(options, 1)), "{[{timeout,5},{trace,false}],1}");
    assert_eq!(shown(Pairs(BTreeMap::from([("a", 1)]), 1)), "{[{a,1}],1}");
    assert_eq!(shown(Pairs(BTreeMap::<u8, u8>::new(), 1)), "{[],1}");
    assert_eq!(shown(Recorded(Rec { a: -1, b: vec![0] }, 1)), "{{rec,-1,[0]},1}");
}

#[test]
fn a_request_that_makes_no_sense_is_an_error() {
    let misplaced = |error: SerializeError| matches!(error, SerializeError::Misplaced { .. });
    assert!(misplaced(to_term(&Asked(7, 1)).unwrap_err()));
    assert!(misplaced(to_term(&Asked(vec!["a", "b"], 1)).unwrap_err()));
    assert!(misplaced(to_term(&Asked(Empty {}, 1)).unwrap_err()));
    assert!(misplaced(to_term(&Pairs("a", 1)).unwrap_err()));
    assert!(misplaced(to_term(&Recorded((1, 2), 1)).unwrap_err()));
    #[derive(Serialize)]
    struct Skipping {
        #[serde(skip_serializing_if = "Option::is_none")]
        a: Option<u8>,
        b: u8,
    }
    assert!(misplaced(to_term(&Recorded(Skipping { a: None, b: 2 }, 1)).unwrap_err()));
    assert_eq!(shown(Recorded(Skipping { a: Some(1), b: 2 }, 1)), "{{'Skipping',1,2},1}");
    assert_eq!(shown(Pairs(Skipping { a: None, b: 2 }, 1)), "{[{b,2}],1}");
}

#[derive(Serialize)]
struct Mixed {
    a: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

#[test]
fn what_has_no_external_form_is_an_error() {
    let error = to_term(&[1.0, f64::NAN]).unwrap_err();
    assert_eq!(error.to_string(), "the float NaN is not finite");
    #[derive(Serialize)]
    struct Flat {
        a: u8,
        #[serde(flatten)]
        rest: BTreeMap<Atom, u8>,
    }
    let flat = |key| Flat { a: 1, rest: BTreeMap::from([(Atom::from_static(key), 2)]) };
    assert_eq!(to_term(&flat("a")).unwrap_err(), SerializeError::DuplicateKey);
    assert_eq!(shown(flat("b")), "#{a => 1,b => 2}");
    // A struct with flattened parts is a struct: its keys are atoms, too.
    let more = Mixed { a: 1, rest: BTreeMap::from([("b".into(), 2)]) };
    assert_eq!(shown(more), "#{a => 1,b => 2}");
}

#[test]
fn the_parts_of_a_term_are_what_they_are() {
    let node = Atom::from_static("n@h");
    let pid = etf::Pid { node: node.clone(), id: 1, serial: 2, creation: 3 };
    let reference = etf::Reference::new(node.clone(), 3, &[1, 2, 3]).unwrap();
    let export = etf::Export::new(&node, &node, 1);
    let bits = etf::BitBinary::new(&[0xe0], 3).unwrap();
    let improper = term!([1 | 2]);
    let value = (&node, &pid, &reference, &export, &bits, &improper);
    let expected = Term::Tuple(vec![
        node.clone().into(),
        pid.clone().into(),
        reference.clone().into(),
        export.clone().into(),
        bits.clone().into(),
        improper.clone(),
    ]);
    assert_eq!(to_term(&value).unwrap(), expected);
}

#[test]
fn people_read_terms_as_json() {
    let term = term!({ok, #{name => "Ada", 1 => [nil, true, 1.5]}, {}});
    assert_eq!(
        serde_json::to_string(&term).unwrap(),
        r#"["ok",{"name":"Ada","1":[null,true,1.5]},[]]"#
    );
    let back: Term = serde_json::from_str(r#"{"a":[1,null,"x",2.5,-1]}"#).unwrap();
    assert_eq!(back.to_string(), r#"#{<<"a">> => [1,nil,<<"x">>,2.5,-1]}"#);
    assert_eq!(serde_json::to_string(&Atom::from_static("ok")).unwrap(), r#""ok""#);
    assert_eq!(serde_json::from_str::<Atom>(r#""ok""#).unwrap(), "ok");
}
