//! `beamjoin call`, `eval`, `send` and `gen-call` against a real Elixir node: what is printed where, and with which exit code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use integration::rust_node::Exit;
use integration::{Beam, RustNode, SOON, World, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// A hundred commands at once take a while on two cores.
const LONG: Duration = Duration::from_secs(120);

const SERVER: &str = "
defmodule CliServer do
  use GenServer
  def init(state), do: {:ok, state}
  def handle_call(:slow, _from, state), do: {:noreply, state}
  def handle_call(:boom, _from, _state), do: raise(\"boom\")
  def handle_call(:state, _from, state), do: {:reply, state, state}
  def handle_call(request, _from, state), do: {:reply, {:got, request}, state}
  def handle_info(message, _state), do: {:noreply, message}
end
{:ok, _} = GenServer.start(CliServer, 0, name: CliServer)
{:ok, _} = GenServer.start(CliServer, 0, name: :\"odd name\")
";

struct Target {
    world: World,
    beam: Beam,
}

impl Target {
    async fn new(elixir: bool) -> Result<Self> {
        let world = World::new().await?;
        let options = world.beam_options("target");
        let beam = Beam::start(if elixir { options.elixir() } else { options }).await?;
        if elixir {
            beam.elixir(SERVER).await?;
        }
        Ok(Self { world, beam })
    }

    /// Runs `beamjoin COMMAND NODE ARGS`.
    async fn run(&self, command: &str, args: &[&str]) -> Result<Exit> {
        self.run_as(&self.world.cookie, self.beam.name(), command, args).await
    }

    async fn run_as(&self, cookie: &str, node: &str, command: &str, args: &[&str]) -> Result<Exit> {
        let port = self.world.port.to_string();
        let environment = [("BEAMJOIN_COOKIE", cookie), ("ERL_EPMD_PORT", port.as_str())];
        RustNode::run([&[command, node], args].concat(), &environment, LONG).await
    }

    /// It succeeds and prints exactly this.
    async fn prints(&self, command: &str, args: &[&str], stdout: &str) -> Result<()> {
        let exit = self.run(command, args).await?;
        assert_eq!(
            (exit.stdout.trim_end(), exit.stderr.as_str(), exit.code),
            (stdout, "", Some(0)),
            "{command} {args:?}"
        );
        Ok(())
    }

    /// It ends with a code, prints nothing on stdout, and what begins like this on stderr.
    async fn fails(&self, command: &str, args: &[&str], code: i32, stderr: &str) -> Result<()> {
        let exit = self.run(command, args).await?;
        assert_eq!((exit.stdout.as_str(), exit.code), ("", Some(code)), "{command} {args:?}");
        ensure!(exit.stderr.starts_with(stderr), "{command} {args:?} says {:?}", exit.stderr);
        Ok(())
    }
}

#[tokio::test]
async fn calls_take_arguments_of_every_type() -> Result<()> {
    let target = Target::new(true).await?;
    for (args, stdout) in [
        (&["Enum.sum", "[1, 2, 3]"][..], "6"),
        (&["lists:sum", "[1, 2, 3]"], "6"),
        (&[":lists.sum", "[1, 2, 3]"], "6"),
        (&["'Elixir.Enum':sum", "1..4"], "10"),
        (&["Kernel.+", "1", "2"], "3"),
        (&["erlang:+", "1", "2.5"], "3.5"),
        (&["Kernel.abs", "-5"], "5"),
        (&["Kernel.abs", "--", "-0x10"], "16"),
        (&["Enum.map", "[1, 2]", "&Integer.to_string/1"], "[\"1\", \"2\"]"),
        (&["Map.get", "%{\"b\" => <<1, 2>>, a: 1}", "\"b\""], "<<1, 2>>"),
        (&["String.upcase", "\"é\""], "\"É\""),
        (&["Keyword.get", "[a: 1, b: :x]", ":b"], ":x"),
        (&["List.to_string", "~c\"abc\""], "\"abc\""),
        (&["Date.to_string", "~D[2026-11-23]"], "\"2026-11-23\""),
        (
            &[
                "URI.to_string",
                "%URI{scheme: \"http\", host: \"h\", path: nil, query: nil, fragment: nil, userinfo: nil, port: 80, authority: nil}",
            ],
            "\"http://h\"",
        ),
        (&["Atom.to_string", "My.App"], "\"Elixir.My.App\""),
        (&["erlang:node"], &format!(":\"{}\"", target.beam.name())),
        (&["lists:reverse", "\"abc\"", "--erl"], "~c\"cba\""),
        (&["maps:get", "a", "#{a => <<1:4>>}", "--erl", "--format", "erlang"], "<<1:4>>"),
        (&["Map.get", "{\"a\": [1.5, null]}", "\"a\"", "--json"], "[1.5, nil]"),
        (
            // One key: which comes first is not the same with every OTP.
            &["Map.new", "[a: {1, nil, \"x\"}]", "--format", "json"],
            "{\"a\":[1,null,\"x\"]}",
        ),
    ] {
        target.prints("call", args, stdout).await?;
    }
    let long = "x".repeat(100_000);
    target.prints("call", &["String.length", &format!("\"{long}\"")], "100000").await?;
    let doubled = format!("\"{long}{long}\"");
    target.prints("call", &["String.duplicate", &format!("\"{long}\""), "2"], &doubled).await
}

/// What Elixir itself makes of a literal is what arrives when we read it.
#[tokio::test]
async fn literals_mean_what_they_mean_to_elixir() -> Result<()> {
    let target = Target::new(true).await?;
    for literal in [
        "[1_000, -0xFf, 0b11, 1.5e-3, ?a, ?\\n]",
        "[:a?, :\"b c\", :+, :{}, nil, true, Foo.Bar, Elixir]",
        "{\"a\\x41\\u00e9\\u{1F600}\\s\\e\\0\", \"\\xff\", 'q', ~c(x\\)), ~S(\\n), ~w[a b]a}",
        "[1, [2 | 3], {}, {1, a: 2}, [\"k v\": 1, +: 2, nil: 3]]",
        "%{1 => 1.0, \"b\" => %{}, a: %{}, a: 2}",
        "<<1, -1, 300, 5::3, 2::size(4)-unit(3), 258::little-16, \"é\"::utf16, 1.5::float-32, <<1::1>>::bits>>",
        "[1..3, 3..1, 1..9//2, ~D[2024-02-29], ~T[01:02:03.04], ~N[2024-02-29 01:02:03], ~U[2024-02-29 01:02:03.5Z]]",
        "&Enum.sum/1",
    ] {
        let expected = format!("inspect({literal}, structs: false, limit: :infinity)");
        let options = "[structs: false, limit: :infinity]";
        let exit = target.run("call", &["Kernel.inspect", literal, options]).await?;
        assert_eq!(exit.stdout.trim_end(), target.beam.elixir(expected).await?, "{literal}");
    }
    Ok(())
}

#[tokio::test]
async fn what_the_other_side_raises_is_said_as_elixir_says_it() -> Result<()> {
    let target = Target::new(true).await?;
    for (command, args, stderr) in [
        (
            "call",
            &["Kernel.div", "1", "0"][..],
            "** (ArithmeticError) bad argument in arithmetic expression",
        ),
        ("call", &["Kernel.throw", "{:a, \"b\"}"], "** (throw) {:a, \"b\"}"),
        ("call", &["Kernel.exit", ":because"], "** (exit) :because"),
        ("call", &["Kernel.exit", ":normal"], "** (exit) normal"),
        (
            "call",
            &["Nope.run", "1"],
            "** (UndefinedFunctionError) function Nope.run/1 is undefined (module Nope is not available)",
        ),
        (
            "call",
            &["lists:nope"],
            "** (UndefinedFunctionError) function :lists.nope/0 is undefined or private",
        ),
        (
            "call",
            &["String.upcase", ":a"],
            "** (FunctionClauseError) no function clause matching in String.upcase/2",
        ),
        ("call", &["erlang:error", "{:odd, 1}"], "** (ErlangError) Erlang error: {:odd, 1}"),
        ("eval", &["raise \"boo\""], "** (RuntimeError) boo"),
        ("eval", &["1 +"], "** (TokenMissingError) "),
        (
            "eval",
            &["File.read!(\"/nope\")"],
            "** (File.Error) could not read file \"/nope\": no such file or directory",
        ),
        ("eval", &["Process.exit(self(), :kill)"], "** (exit) killed"),
        ("eval", &["--erl", "X = 1, X +"], "** (SyntaxError) line 2: syntax error before: '.'"),
        (
            "eval",
            &["--erl", "lists:nope(1)."],
            "** (UndefinedFunctionError) function :lists.nope/1 is undefined or private",
        ),
        (
            "gen-call",
            &["CliServer", ":boom"],
            "** (exit) an exception was raised:\n    ** (RuntimeError) boom\n",
        ),
    ] {
        target.fails(command, args, 1, stderr).await?;
    }
    Ok(())
}

#[tokio::test]
async fn without_elixir_it_is_said_in_the_same_words() -> Result<()> {
    let target = Target::new(false).await?;
    target.prints("call", &["lists:sum", "[1, 2]"], "3").await?;
    target.prints("eval", &["--erl", "X = 20, X + 1"], "21").await?;
    target
        .prints("eval", &["--erl", "\n{ok, \"é\"}.\n", "--format", "erlang"], "{ok,\"é\"}")
        .await?;
    let without = format!(
        "error: {} has no Elixir; give --erl and an expression of Erlang",
        target.beam.name()
    );
    target.fails("eval", &["1 + 1"], 69, &without).await?;
    for (args, stderr) in [
        (
            ["lists:nope", "1"],
            "** (UndefinedFunctionError) function :lists.nope/1 is undefined or private",
        ),
        (["lists:sum", "1"], "** (FunctionClauseError) no function clause matching in :lists.sum/"),
        (
            ["erlang:error", "{:badmatch, 2}"],
            "** (MatchError) no match of right hand side value: 2",
        ),
        (["erlang:exit", "{:shutdown, 1}"], "** (exit) shutdown: 1"),
        (["erlang:exit", ":normal"], "** (exit) normal"),
        (["erlang:exit", "{:oops, 1}"], "** (exit) {:oops, 1}"),
        (["erlang:throw", ":x"], "** (throw) :x"),
    ] {
        target.fails("call", &args, 1, stderr).await?;
    }
    Ok(())
}

#[tokio::test]
async fn each_failure_has_its_exit_code() -> Result<()> {
    let target = Target::new(true).await?;
    let name = target.beam.name();
    let slow = format!("error: no answer from {name} within 300ms");
    target.fails("call", &["Process.sleep", "60000", "--timeout", "300"], 75, &slow).await?;
    target.fails("eval", &["Process.sleep(60000)", "--timeout", "300ms"], 75, &slow).await?;
    target.fails("gen-call", &["CliServer", ":slow", "--timeout", "300"], 75, &slow).await?;
    let nobody = format!("error: no process of {name} is registered as Nope");
    target.fails("send", &["Nope", "1"], 69, &nobody).await?;
    target.fails("gen-call", &["Nope", "1"], 69, &nobody).await?;
    let deep = "Enum.reduce(1..1000, [], fn _, deep -> [deep] end)";
    let exit = target.run("eval", &[deep]).await?;
    let expected = "error: the result is over our limits\n";
    assert!(exit.code == Some(65) && exit.stderr.ends_with(expected), "{exit:?}");

    for (command, args) in [
        ("call", &["Enum.sum", "[]"][..]),
        ("eval", &["1"]),
        ("send", &["CliServer", "1"]),
        ("gen-call", &["CliServer", "1"]),
    ] {
        let exit = target.run_as(&target.world.cookie, "nope@127.0.0.1", command, args).await?;
        let expected = format!("error: EPMD at 127.0.0.1:{} knows no node nope", target.world.port);
        assert!(exit.code == Some(69) && exit.stderr.starts_with(&expected), "{exit:?}");
        let exit = target.run_as("wrong", name, command, args).await?;
        let expected = "error: the cookies differ";
        assert!(exit.code == Some(77) && exit.stderr.starts_with(expected), "{exit:?}");
    }
    Ok(())
}

/// OTP 23 closes the connection when it is asked for a name.
#[tokio::test]
async fn a_node_that_gives_no_names_is_called_under_one() -> Result<()> {
    const NAME_ME: u8 = 1 << 1;
    let target = Target::new(true).await?;
    let port = "{port, Port, _} = erl_epmd:port_please(hd(string:split(atom_to_list(node()), \"@\")), {127,0,0,1}), Port";
    let port: u16 = target.beam.eval(port).await?.parse()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let own_port = listener.local_addr()?.port().to_string();
    let refused = Arc::new(AtomicBool::new(false));
    let seen = refused.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            // Length, 'N', and the flags from the highest byte on: NAME_ME is bit 33.
            let mut start = [0; 11];
            if client.read_exact(&mut start).await.is_err() || start[6] & NAME_ME != 0 {
                seen.store(true, Ordering::Relaxed);
                continue;
            }
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            if server.write_all(&start).await.is_ok() {
                tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
            }
        }
    });
    let nodes = ["eval", "Node.list(:connected)", "--peer-port", &own_port];
    let exit = target.run(nodes[0], &nodes[1..]).await?;
    assert!(exit.stdout.starts_with("[:\"beamjoin-") && exit.code == Some(0), "{exit:?}");
    assert!(refused.load(Ordering::Relaxed));
    Ok(())
}

#[tokio::test]
async fn a_node_that_dies_is_said_to_be_lost() -> Result<()> {
    let target = Target::new(true).await?;
    let lost =
        format!("error: the connection to {} was lost before it answered", target.beam.name());
    target.fails("eval", &["System.halt(0); Process.sleep(60000)"], 69, &lost).await
}

#[tokio::test]
async fn what_the_function_prints_comes_before_its_result() -> Result<()> {
    let target = Target::new(true).await?;
    for (command, args, stdout) in [
        ("call", &["IO.puts", "\"hé\""][..], "hé\n:ok"),
        ("call", &["io:format", "~c\"~p ~ts~n\"", "[{:a, 1}, \"日\"]"], "{a,1} 日\n:ok"),
        ("eval", &["IO.inspect([a: 1]); IO.write(\"no newline\"); 1"], "[a: 1]\nno newline\n1"),
        ("eval", &["IO.binwrite(<<233, 10>>); IO.gets(\"name? \")"], "é\n:eof"),
        (
            "eval",
            &["{:io.columns(), IO.read(:line), :io.getopts()}"],
            "{{:error, :enotsup}, :eof, [binary: true, encoding: :unicode]}",
        ),
        (
            "eval",
            &[
                "--erl",
                "io:put_chars(\"a\\n\"), io:requests([{put_chars, unicode, \"b\\n\"}, {put_chars, unicode, io_lib, format, [\"~w~n\", [c]]}])",
            ],
            "a\nb\nc\n:ok",
        ),
    ] {
        target.prints(command, args, stdout).await?;
    }
    let exit = target.run("eval", &["IO.puts(\"first\"); raise \"boo\""]).await?;
    assert_eq!(
        (exit.stdout.as_str(), exit.stderr.as_str()),
        ("first\n", "** (RuntimeError) boo\n")
    );
    assert_eq!(exit.code, Some(1));
    Ok(())
}

#[tokio::test]
async fn output_comes_as_it_is_printed() -> Result<()> {
    let target = Target::new(true).await?;
    let port = target.world.port.to_string();
    let program =
        "IO.puts(\"waiting\"); Process.register(self(), :cli_waits); receive do x -> x end";
    let mut running = RustNode::start(
        ["eval", target.beam.name(), program],
        &[("BEAMJOIN_COOKIE", &target.world.cookie), ("ERL_EPMD_PORT", &port)],
    )?;
    assert_eq!(running.line(SOON).await?, "waiting");
    eventually(SOON, "the process to be registered", async || {
        let found = target.beam.eval("whereis(cli_waits)").await?;
        ensure!(found != "undefined", "{found}");
        Ok(())
    })
    .await?;
    target.prints("send", &["cli_waits", "{:go, \"on\"}"], "").await?;
    assert_eq!(running.line(SOON).await?, "{:go, \"on\"}");
    assert_eq!(running.exit(SOON).await?.code, Some(0));
    Ok(())
}

#[tokio::test]
async fn messages_and_calls_reach_registered_processes() -> Result<()> {
    let target = Target::new(true).await?;
    target.prints("send", &["CliServer", "%{\"a\" => [1, :b]}"], "").await?;
    // What was sent has arrived once the command has ended.
    let state = target.beam.elixir("GenServer.call(CliServer, :state)").await?;
    assert_eq!(state, "%{\"a\" => [1, :b]}");
    target.prints("gen-call", &["CliServer", ":state"], "%{\"a\" => [1, :b]}").await?;
    target.prints("gen-call", &[":\"odd name\"", "1.5"], "{:got, 1.5}").await?;
    target
        .prints("gen-call", &["'odd name'", "{a, \"b\"}", "--erl"], "{:got, {:a, ~c\"b\"}}")
        .await?;
    target
        .prints(
            "gen-call",
            &["CliServer", "{\"x\": -1}", "--json", "--format", "json"],
            "[\"got\",{\"x\":-1}]",
        )
        .await
}

#[tokio::test]
async fn a_hundred_at_once_each_get_their_answer() -> Result<()> {
    let target = Target::new(true).await?;
    let run = async |number: i32| -> Result<()> {
        let number = number.to_string();
        let exit = target.run("call", &["Function.identity", &number]).await?;
        ensure!(exit.code == Some(0) && exit.stdout.trim_end() == number, "{number}: {exit:?}");
        Ok(())
    };
    try_join_all((0..100).map(&run)).await.map(drop)
}

#[tokio::test]
async fn nothing_is_left_behind() -> Result<()> {
    let target = Target::new(true).await?;
    let commands = [
        ("call", &["Enum.sum", "[1]"][..]),
        ("eval", &["1 + 1"]),
        ("send", &["CliServer", "1"]),
        ("gen-call", &["CliServer", "1"]),
        ("call", &["Kernel.exit", ":because"]),
    ];
    let all = async |times| -> Result<()> {
        for _ in 0..times {
            for (command, args) in commands {
                target.run(command, args).await?;
            }
        }
        Ok(())
    };
    let atoms = async || target.beam.eval("erlang:system_info(atom_count)").await;
    all(2).await?;
    atoms().await?;
    let before = atoms().await?;
    all(10).await?;
    assert_eq!(atoms().await?, before, "atoms were left behind");
    eventually(SOON, "no connection", async || {
        let nodes = target.beam.eval("nodes(connected)").await?;
        ensure!(nodes == "[]", "{nodes}");
        Ok(())
    })
    .await?;
    // No command registered with EPMD: the only name is the node's.
    let names = target.beam.eval("{ok, Names} = net_adm:names(localhost), length(Names)").await?;
    assert_eq!(names, "1");
    Ok(())
}
