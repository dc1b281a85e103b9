//! What processes on a BEAM node print that were started from Rust. What is printed is compared
//! with what the same code prints to a group leader of a BEAM node.

use anyhow::{Context, Result, ensure};
use dist::etf::{Atom, Term, term};
use dist::{GroupLeader, Mfa, Node, NodeName, Output, OutputBuffer, RpcError, RpcOptions};
use integration::{Beam, SOON, World, eventually, name_of};

struct Printing {
    _world: World,
    beam: Beam,
    node: Node,
    target: NodeName,
    leader: GroupLeader,
    buffer: OutputBuffer,
}

impl Printing {
    async fn start(elixir: bool) -> Result<Self> {
        let world = World::new().await?;
        let mut options = world.beam_options("printer");
        options.elixir = elixir;
        let beam = Beam::start(options).await?;
        let node = world.node("rust")?.start().await?;
        let target = name_of(&beam)?;
        let (output, buffer) = Output::buffer();
        let leader = node.group_leader(output).context("a group leader")?;
        Ok(Self { _world: world, beam, node, target, leader, buffer })
    }

    async fn rpc(&self, module: &str, function: &str, args: Vec<Term>) -> Result<Term, RpcError> {
        let options = RpcOptions::new().timeout(SOON).group_leader(self.leader.pid());
        let mfa = Mfa::new(module, function, args)?;
        self.node.rpc_with(&self.target, mfa, &options).await
    }

    /// Runs expressions there and yields their value and what they printed.
    async fn erlang(&self, code: &str) -> Result<(Result<Term, RpcError>, String)> {
        let code = format!(
            "fun() -> {{ok, T, _}} = erl_scan:string({code:?}), {{ok, E}} = erl_parse:parse_exprs(T),
             E end()"
        );
        let parsed = self.beam.eval(format!("persistent_term:put(code, {code})")).await?;
        ensure!(parsed == "ok", "{parsed}");
        let exprs = self.node.rpc(&self.target, "persistent_term", "get", vec![term!(code)], SOON);
        let value = self.rpc("erl_eval", "exprs", vec![exprs.await?, term!([])]).await;
        Ok((value, self.buffer.take()))
    }
}

#[tokio::test]
async fn formats_print_as_on_a_beam_node() -> Result<()> {
    let printing = Printing::start(false).await?;
    for (format, args) in [
        ("plain ~~ text~n", "[]"),
        ("~p ~p ~p~n", "[{a, 'B c', \"text\", <<\"bin\">>}, [1, 2.5, -3], #{k => [v]}]"),
        ("~w ~w~n", "[\"text\", {<<\"bin\">>, [], #{a => \"b\"}, [x | y]}]"),
        ("~s|~s|~s~n", "[\"list\", <<\"binary\">>, atom]"),
        ("~ts|~ts~n", "[[233, 8364], <<\"h\\303\\251\">>]"),
        ("~s~n", "[<<\"h\\303\\251\">>]"),
        ("~tp ~tw~n", "[[233], 'h\\x{e9}']"),
        (
            "~10s|~-10s|~10.3s|~-10.3.*s|~3s~n",
            "[\"abcd\", \"abcd\", \"abcd\", $+, \"abcd\", \"abcd\"]",
        ),
        ("~c~3c~10.2c|~tc~n", "[$a, $b, $c, 8364]"),
        ("~b ~B ~.16b ~.16B ~.2b ~b~n", "[12, -12, 255, 255, -5, 123456789012345678901234567890]"),
        ("~16.16.0b|~5b|~-5b|~2b~n", "[48879, 42, 42, 12345]"),
        ("~.16# ~.16+ ~.10# ~.16x ~.16X~n", "[255, 255, -10, 255, \"0x\", -255, pre]"),
        (
            "~f ~.2f ~10.3f|~-10.1f|~e ~.3e ~g ~g ~g~n",
            "[1.5, 2.345, 3.14159, 2.5, 123.456, 0.00012345, 1.5, 123456.789, 0.001]",
        ),
        ("~f ~e ~g~n", "[3.0, 0.0, 0.0]"),
        ("~i~w ~5w|~-5w|~3w~n", "[ignored, shown, ab, ab, toolong]"),
        ("~*s|~.*f~n", "[6, \"ab\", 1, 2.26]"),
        ("~P ~W~n", "[{a, b}, 10, {a, b}, 10]"),
        ("~0p~n", "[{x, 1}]"),
        ("~2n~p", "[end_]"),
    ] {
        let code = format!("io:format({format:?}, {args})");
        let expected = printing
            .beam
            .eval(format!(
                "binary_to_list(unicode:characters_to_binary(io_lib:format({format:?}, {args})))"
            ))
            .await?;
        let (value, printed) = printing.erlang(&format!("{code}.")).await?;
        let value = value.context(code.clone())?;
        assert_eq!(value.to_string(), "{value,ok,[]}", "{code}");
        let bytes: Vec<String> = printed.bytes().map(|byte| byte.to_string()).collect();
        let printed_there = printing.beam.eval(format!("[{}]", bytes.join(","))).await?;
        assert_eq!(printed_there, expected, "{code}: {printed:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_other_way_to_print() -> Result<()> {
    let printing = Printing::start(false).await?;
    for (code, expected) in [
        ("io:put_chars(\"list\")", "list"),
        ("io:put_chars(<<\"binary\">>)", "binary"),
        ("io:put_chars([\"h\", [233], <<\"llo\"/utf8>>, 8364])", "héllo€"),
        ("io:nl()", "\n"),
        ("io:write({a, \"b\", 1.0})", "{a,[98],1.0}"),
        ("io:fwrite(\"~w\", [x])", "x"),
        ("io:fwrite(<<\"~w~n\">>, [x])", "x\n"),
        ("io:format(\"no arguments\")", "no arguments"),
        (
            "io:requests([{put_chars, unicode, <<\"a\">>}, nl, {write, b}, {format, \"~p\", [c]}])",
            "a\nbc",
        ),
        (
            "lists:foreach(fun(N) -> io:format(\"~b,\", [N]) end, lists:seq(1, 10))",
            "1,2,3,4,5,6,7,8,9,10,",
        ),
        (
            "begin P = self(), spawn(fun() -> io:format(\"child\"), P ! done end), receive done -> ok end end",
            "child",
        ),
    ] {
        let (value, printed) = printing.erlang(&format!("{code}.")).await?;
        let value = value.context(code)?;
        assert_eq!(value.as_tuple().context("a value")?[1].to_string(), "ok", "{code}");
        assert_eq!(printed, expected, "{code}");
    }
    // What is wrong is an error where it is made, as it is with a BEAM's group leader.
    for code in ["io:format(\"~p\", [])", "io:format(\"~p\", [1, 2])", "io:format(\"~y\", [1])"] {
        let (value, printed) = printing.erlang(&format!("{code}.")).await?;
        match value {
            Err(RpcError::Error { reason, .. }) => assert_eq!(reason, term!(badarg), "{code}"),
            other => panic!("{code}: {other:?}"),
        }
        assert_eq!(printed, "");
    }
    Ok(())
}

#[tokio::test]
async fn there_is_no_input_and_nobody_hangs() -> Result<()> {
    let printing = Printing::start(false).await?;
    for (code, expected) in [
        ("io:get_line(\"? \")", "eof"),
        ("io:get_chars(\"? \", 3)", "eof"),
        ("io:fread(\"? \", \"~d\")", "eof"),
        ("io:read(\"? \")", "eof"),
        ("io:columns()", "{error,enotsup}"),
        ("io:rows()", "{error,enotsup}"),
        ("io:getopts()", "[{binary,true},{encoding,unicode}]"),
        ("io:setopts([binary])", "{error,enotsup}"),
        ("io:get_password()", "eof"),
        ("io:printable_range()", "latin1"),
    ] {
        let (value, _) = printing.erlang(&format!("{code}.")).await?;
        let value = value.context(code)?.as_tuple().context("a value")?[1].to_string();
        // A newer OTP first asks that a password is not shown.
        let refused = code == "io:get_password()" && value == "{error,enotsup}";
        assert!(refused || value == expected, "{code}: {value}");
    }
    Ok(())
}

#[tokio::test]
async fn elixir_prints_as_to_a_device_of_its_own() -> Result<()> {
    let printing = Printing::start(true).await?;
    for code in [
        "IO.puts(\"héllo\")",
        "IO.write([\"a\", ?b, \"c\"])",
        "IO.inspect(%{a: [1, 2], b: \"text\"}, label: \"map\")",
        "IO.inspect(Enum.to_list(1..200))",
        "IO.puts(:atom); IO.puts(42); IO.puts('charlist')",
        "IO.gets(\"? \")",
        "IO.read(:line)",
        "IO.binwrite(\"raw\")",
        ":io.format(\"~ts ~p~n\", [\"é\", %{a: 1}])",
    ] {
        let expected = printing
            .beam
            .elixir(format!(
                "me = self()
                 spawn(fn ->
                   {{:ok, device}} = StringIO.open(\"\")
                   Process.group_leader(self(), device)
                   Code.eval_string(~S|{code}|)
                   send(me, {{:said, elem(StringIO.contents(device), 1)}})
                 end)
                 receive do {{:said, said}} -> Base.encode64(said) end"
            ))
            .await?;
        let value = printing.rpc("Elixir.Code", "eval_string", vec![Term::from(code)]).await;
        let value = value.context(code)?;
        let printed = printing.buffer.take();
        let encode = vec![Term::from(printed.as_str())];
        let encoded =
            printing.node.rpc(&printing.target, "Elixir.Base", "encode64", encode, SOON).await?;
        // A `StringIO` echoes the prompt of what it reads.
        if !code.contains("gets") {
            assert_eq!(encoded.as_str().context("text")?, expected.trim_matches('"'), "{code}");
        }
        if code.contains("gets") || code.contains("read") {
            assert!(value.as_tuple().context("a pair")?[0].is_atom("eof"), "{code}: {value}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_leader_that_is_gone_and_the_nodes_own() -> Result<()> {
    let printing = Printing::start(false).await?;
    // Without a leader of its own it goes to the log, and nothing waits.
    let printed =
        printing.node.rpc(&printing.target, "io", "format", vec![term!("logged~n")], SOON).await?;
    assert_eq!(printed, term!(ok));
    let (leaderless, buffer) = Output::buffer();
    let leader = printing.node.group_leader(leaderless).context("a group leader")?;
    let options = RpcOptions::new().timeout(SOON).group_leader(leader.pid());
    drop(leader);
    let mfa = Mfa::new("io", "put_chars", vec![term!("lost")])?;
    match printing.node.rpc_with(&printing.target, mfa, &options).await {
        Err(RpcError::Error { reason, .. }) => assert_eq!(reason, term!(terminated)),
        other => panic!("{other:?}"),
    }
    assert_eq!(buffer.take(), "");
    // A crash there is logged to our logger_proxy, which takes it.
    let skipped = || printing.node.link_counters(&printing.target).map(|counters| counters.skipped);
    let before = skipped();
    let crash = Mfa::new("erlang", "error", vec![Term::Atom(Atom::new("on_purpose")?)])?;
    printing.node.rpc_cast(&printing.target, crash).await?;
    let (value, _) = printing.erlang("logger:error(\"said ~p\", [here]).").await?;
    assert_eq!(value?.to_string(), "{value,ok,[]}");
    eventually(SOON, "only the leader", async || printing.node.counts().processes == 1).await?;
    assert_eq!(skipped(), before);
    Ok(())
}
