//! Types of Rust, as a real Elixir sees them, and what Elixir makes, as types of Rust.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::Result;
use dist::etf::{Atom, BigInt, Pid, Reference, Term, from_term};
use dist::{CallError, Caller, Exit, Exports, GenServer, Node, Process, Raise, Reply, RpcError};
use integration::{Beam, World, name_of};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, date, time};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const SOON: Duration = Duration::from_secs(10);

const ELIXIR: &str = "
defmodule MyApp.User do
  defstruct [:name, :role, :born, tags: []]
end
defmodule Adder do
  use GenServer
  def init(n), do: {:ok, n}
  def handle_call({:add, %{by: by}}, _from, n), do: {:reply, {:ok, n + by}, n + by}
  def handle_call({:greet, %MyApp.User{name: name} = user}, _from, n),
    do: {:reply, %{user | name: \"Dr. \" <> name}, n}
  def handle_call(:odd, _from, n), do: {:reply, {:ok, :odd}, n}
  def handle_cast({:set, n}, _), do: {:noreply, n}
end
{:ok, _} = GenServer.start(Adder, 1, name: :adder)
";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Elixir.MyApp.User")]
struct User {
    name: String,
    role: Role,
    #[serde(with = "etf::date")]
    born: Option<Date>,
    tags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Admin,
    MemberOf(String),
    Guest { since: u16 },
    Pair(u8, u8),
}

struct Pair {
    beam: Beam,
    node: Node,
    exports: Exports,
    _world: World,
}

/// What `Code.eval_string/2` takes.
#[derive(Serialize)]
struct Eval<'a, T: Serialize>(&'a str, #[serde(with = "etf::keyword")] Binding<'a, T>);

#[derive(Serialize)]
struct Binding<'a, T> {
    x: &'a T,
}

impl Pair {
    async fn new() -> Result<Self> {
        let world = World::new().await?;
        let beam = Beam::start(world.beam_options("iex").elixir()).await?;
        let exports = Exports::new();
        let node = world.node("rust")?.exports(exports.clone()).start().await?;
        beam.elixir(ELIXIR).await?;
        Ok(Self { beam, node, exports, _world: world })
    }

    /// What Elixir makes of an expression in which `x` is a value of Rust's.
    async fn eval<T: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        code: &str,
        x: &T,
    ) -> Result<R> {
        let args = Eval(code, Binding { x });
        let name = name_of(&self.beam)?;
        let (value, _binding): (R, Term) =
            self.node.rpc_as(&name, "Elixir.Code", "eval_string", &args, SOON).await?;
        Ok(value)
    }

    /// The value is what Elixir writes so, and what Elixir writes so is the value.
    async fn same<T>(&self, value: T, elixir: &str) -> Result<()>
    where
        T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug + Send + 'static,
    {
        let same: (bool, String) =
            self.eval(&format!("{{x === ({elixir}), inspect(x)}}"), &value).await?;
        assert!(same.0, "{value:?} is {} and not {elixir}", same.1);
        let read: T = self.eval(elixir, &()).await?;
        assert_eq!(read, value, "{elixir}");
        Ok(())
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Asked {
    #[serde(with = "etf::charlist")]
    path: String,
    #[serde(with = "etf::keyword")]
    options: BTreeMap<Atom, u8>,
    #[serde(with = "etf::record")]
    record: Record,
    #[serde(with = "etf::bigint")]
    big: BigInt,
    #[serde(with = "etf::binary")]
    bytes: Vec<u8>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "rec")]
struct Record {
    a: u8,
    b: Option<u8>,
}

#[tokio::test]
async fn elixir_and_rust_mean_the_same() -> Result<()> {
    let pair = Pair::new().await?;
    pair.same((true, -1, 1.5, "é".to_owned(), 'a'), "{true, -1, 1.5, \"é\", ?a}").await?;
    pair.same(u128::MAX, "2 ** 128 - 1").await?;
    pair.same(i128::MIN, "-(2 ** 127)").await?;
    pair.same(vec![1_i64, 300], "[1, 300]").await?;
    pair.same((0..=255_u8).collect::<Vec<_>>(), "Enum.to_list(0..255)").await?;
    pair.same(
        (0..70_000_u32).map(|n| n % 3).collect::<Vec<_>>(),
        "for n <- 0..69_999, do: rem(n, 3)",
    )
    .await?;
    pair.same(
        HashMap::from([("a".to_owned(), None), ("b".into(), Some(1))]),
        "%{\"a\" => nil, \"b\" => 1}",
    )
    .await?;
    pair.same(
        (0..100_u32).map(|n| (n, n.to_string())).collect::<HashMap<_, _>>(),
        "Map.new(0..99, &{&1, Integer.to_string(&1)})",
    )
    .await?;
    pair.same(
        vec![
            Role::Admin,
            Role::MemberOf("x".into()),
            Role::Guest { since: 1999 },
            Role::Pair(1, 2),
        ],
        "[:admin, {:member_of, \"x\"}, {:guest, %{since: 1999}}, {:pair, 1, 2}]",
    )
    .await?;
    pair.same(
        vec![Ok(Some(1)), Ok(None), Err(Atom::from_static("why"))],
        "[{:ok, 1}, {:ok, nil}, {:error, :why}]",
    )
    .await?;
    pair.same(Ok::<(), String>(()), ":ok").await?;
    let ada = User {
        name: "Ada".into(),
        role: Role::Admin,
        born: Some(date(1815, 12, 10)),
        tags: vec!["math".into()],
    };
    let elixir = "%{struct!(MyApp.User) | name: \"Ada\", role: :admin, born: ~D[1815-12-10], tags: [\"math\"]}";
    pair.same(ada, elixir).await?;
    let asked = Asked {
        path: "/tmp/é".into(),
        options: BTreeMap::from([(Atom::from_static("a"), 1), (Atom::from_static("b"), 2)]),
        record: Record { a: 7, b: None },
        big: BigInt::from(-1) << 300,
        bytes: vec![0, 255],
    };
    let elixir = "%{path: '/tmp/é', options: [a: 1, b: 2], record: {:rec, 7, nil}, \
                  big: -(2 ** 300), bytes: <<0, 255>>}";
    pair.same(asked, elixir).await
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Times {
    #[serde(with = "etf::date")]
    date: Date,
    #[serde(with = "etf::time")]
    time: Time,
    #[serde(with = "etf::naive_date_time")]
    naive: DateTime,
    #[serde(with = "etf::date_time")]
    stamp: Timestamp,
}

#[tokio::test]
async fn dates_are_elixirs() -> Result<()> {
    let pair = Pair::new().await?;
    let times = Times {
        date: date(-44, 3, 15),
        time: time(23, 59, 59, 120_000_000),
        naive: date(2024, 2, 29).at(1, 2, 3, 0),
        stamp: "2026-07-01T10:00:00.123456Z".parse()?,
    };
    let elixir = "%{date: ~D[-0044-03-15], time: ~T[23:59:59.12], naive: ~N[2024-02-29 01:02:03], \
                  stamp: ~U[2026-07-01 10:00:00.123456Z]}";
    pair.same(times, elixir).await?;
    // One of another zone, as libraries of time zones make it, is the same moment.
    let berlin = "%DateTime{calendar: Calendar.ISO, year: 2026, month: 7, day: 1, hour: 12, minute: 0, second: 0, \
                  microsecond: {0, 0}, time_zone: \"Europe/Berlin\", zone_abbr: \"CEST\", utc_offset: 3600, std_offset: 3600}";
    #[derive(Deserialize)]
    struct Stamp(#[serde(with = "etf::date_time")] Timestamp);
    let stamp: Stamp = pair.eval(berlin, &()).await?;
    assert_eq!(stamp.0, "2026-07-01T10:00:00Z".parse()?);
    let later: String = pair.eval(&format!("DateTime.to_iso8601({berlin})"), &()).await?;
    assert_eq!(later, "2026-07-01T12:00:00+02:00");
    Ok(())
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Ids {
    pid: Pid,
    reference: Reference,
    node: Atom,
    fun: Term,
    rest: Term,
}

#[tokio::test]
async fn pids_references_and_funs_come_back_alive() -> Result<()> {
    let pair = Pair::new().await?;
    let code = "pid = spawn(fn -> receive do {:say, from} -> send(from, {:hello, self()}) end end)
                %{pid: pid, reference: make_ref(), node: node(), fun: fn x -> x + 1 end, rest: {[1 | 2], <<1::3>>}}";
    let ids: Ids = pair.eval(code, &()).await?;
    assert_eq!(ids.node.as_str(), pair.beam.name());
    let back: (bool, i64, String) =
        pair.eval("{Process.alive?(x.pid), x.fun.(6), inspect(x.rest)}", &ids).await?;
    assert_eq!(back, (true, 7, "{[1 | 2], <<1::size(3)>>}".to_owned()));
    let mut process = pair.node.process()?;
    process.send_as(ids.pid.clone(), &(Atom::from_static("say"), process.pid())).await?;
    let said = tokio::time::timeout(SOON, process.recv()).await?.expect("a message");
    let (hello, from): (Atom, Pid) = said.read_as()?;
    assert_eq!((hello.as_str(), from), ("hello", ids.pid));
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum ToAdder<'a> {
    Add { by: i64 },
    Greet(&'a User),
    Set(i64),
    Odd,
}

#[tokio::test]
async fn rust_calls_an_elixir_server_with_its_own_types() -> Result<()> {
    let pair = Pair::new().await?;
    let adder = ("adder", &name_of(&pair.beam)?);
    let sum: Result<i64, Atom> =
        pair.node.call_as(adder, &ToAdder::Add { by: 41 }, Some(SOON)).await?;
    assert_eq!(sum, Ok(42));
    pair.node.cast_as(adder, &ToAdder::Set(100)).await?;
    let process = pair.node.process()?;
    let sum: Result<i64, Atom> =
        process.call_as(adder, &ToAdder::Add { by: 1 }, Some(SOON)).await?;
    assert_eq!(sum, Ok(101));
    let ada = User { name: "Ada".into(), role: Role::Admin, born: None, tags: vec![] };
    let greeted: User = pair.node.call_as(adder, &ToAdder::Greet(&ada), Some(SOON)).await?;
    assert_eq!(greeted, User { name: "Dr. Ada".into(), ..ada });

    let odd = pair.node.call_as::<Result<i64, Atom>>(adder, &ToAdder::Odd, Some(SOON)).await;
    let error = odd.unwrap_err();
    assert!(matches!(error, CallError::Deserialize(_)), "{error}");
    assert!(error.to_string().contains("the atom odd, expected i64, at [1][1]"), "{error}");
    let nan = pair.node.call_as::<Term>(adder, &f64::NAN, None).await.unwrap_err();
    assert!(matches!(nan, CallError::Serialize(_)), "{nan}");
    // The link has taken no harm.
    let sum: Result<i64, Atom> =
        pair.node.call_as(adder, &ToAdder::Add { by: 1 }, Some(SOON)).await?;
    assert_eq!(sum, Ok(102));
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    Score { text: String },
    Later(u64),
}

#[derive(Serialize)]
struct Score {
    words: usize,
}

/// Replies with what it makes of a text, or why it could not.
struct Scorer;

impl GenServer for Scorer {
    type Init = ();

    async fn init((): (), _: &mut Process) -> Result<Self, Exit> {
        Ok(Self)
    }

    async fn handle_call(
        &mut self,
        request: Term,
        caller: &Caller,
        _: &mut Process,
    ) -> Result<Reply, Exit> {
        match from_term(&request) {
            Ok(Request::Score { text }) => {
                Ok(Reply::of(&Score { words: text.split_whitespace().count() })?)
            }
            Ok(Request::Later(value)) => {
                let caller = caller.clone();
                tokio::spawn(async move { caller.reply_as(&Ok::<_, ()>(value)).await });
                Ok(Reply::Later)
            }
            Err(error) => Ok(Reply::of(&Err::<(), _>(error.to_string()))?),
        }
    }
}

#[tokio::test]
async fn elixir_calls_a_rust_server_and_functions_with_types_of_their_own() -> Result<()> {
    let pair = Pair::new().await?;
    pair.exports.add_as("scorer", "score", |(user, most): (User, usize)| async move {
        if most == 0 {
            return Err(Raise::Throw(Term::atom("nothing")));
        }
        Ok(User { tags: user.tags.into_iter().take(most).collect(), ..user })
    });
    pair.exports.add_as("scorer", "nothing", |(): ()| async { Ok::<_, Raise>(()) });
    pair.exports.add_as("scorer", "nan", |(x,): (f64,)| async move { Ok::<_, Raise>(x / 0.0) });
    Scorer::start_named(&pair.node, "scorer", ()).await?;
    let name = pair.node.name();
    for (code, result) in [
        ("GenServer.call({:scorer, rust}, {:score, %{text: \"a b c\"}})", "%{words: 3}"),
        ("GenServer.call({:scorer, rust}, {:score, %{\"text\" => \"a b\"}})", "%{words: 2}"),
        ("GenServer.call({:scorer, rust}, {:later, 7})", "{:ok, 7}"),
        (
            "GenServer.call({:scorer, rust}, {:score, %{text: :no}})",
            "{:error, \"invalid type: the atom no, expected a string, at [1].text\"}",
        ),
        (
            "user = struct!(MyApp.User, name: \"Ada\", role: :admin, tags: [\"a\", \"b\"])
             :erpc.call(rust, :scorer, :score, [user, 1]).tags",
            "[\"a\"]",
        ),
        (
            "try do :erpc.call(rust, :scorer, :score, [%{}, 0]) rescue e in ErlangError -> e.original end",
            "{:exception, {:badarg, \"missing field `name`, at [0]\"}, [{:scorer, :score, 2, []}]}",
        ),
        (
            "user = struct!(MyApp.User, name: \"Ada\", role: {:member_of, \"x\"})
             try do :erpc.call(rust, :scorer, :score, [user, 0]) catch :throw, x -> x end",
            ":nothing",
        ),
        (":erpc.call(rust, :scorer, :nothing, [])", "nil"),
        (":erpc.call(rust, :scorer, :nan, [0]) |> is_float()", "error"),
        (
            "try do :erpc.call(rust, :scorer, :nan, [1]) rescue e in ErlangError -> e.original end",
            "{:exception, {:rust_error, \"the float inf is not finite\"}, [{:scorer, :nan, 1, []}]}",
        ),
    ] {
        if result == "error" {
            assert!(pair.beam.elixir(format!("rust = :\"{name}\"; {code}")).await.is_err());
            continue;
        }
        let shown = pair.beam.elixir(format!("rust = :\"{name}\"; {code}")).await?;
        assert_eq!(shown, result, "{code}");
    }
    Ok(())
}

#[tokio::test]
async fn rpc_has_errors_of_its_own_for_other_types() -> Result<()> {
    let pair = Pair::new().await?;
    let beam = name_of(&pair.beam)?;
    let sum: i64 = pair.node.rpc_as(&beam, "Elixir.Enum", "sum", &(vec![1, 2, 3],), SOON).await?;
    assert_eq!(sum, 6);
    let node: Atom = pair.node.rpc_as(&beam, "erlang", "node", &(), SOON).await?;
    assert_eq!(node.as_str(), beam.as_str());
    let error = pair.node.rpc_as::<String>(&beam, "erlang", "node", &(), SOON).await.unwrap_err();
    assert!(matches!(error, RpcError::Deserialize(_)), "{error}");
    let error = pair.node.rpc_as::<Term>(&beam, "erlang", "abs", &1, SOON).await.unwrap_err();
    assert!(error.to_string().contains("the arguments are a tuple or list"), "{error}");
    let error = pair.node.rpc_as::<Term>(&beam, "erlang", "abs", &("x",), SOON).await.unwrap_err();
    assert!(matches!(error, RpcError::Error { .. }), "{error}");
    Ok(())
}
