//! Functions of Rust called from a BEAM node. The same code first calls the same functions on
//! another BEAM node, where they are written in Erlang, and both results are compared.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dist::etf::{Term, term};
use dist::{Exports, Node, Process, Raise, Visibility};
use integration::{Beam, SOON, World, eventually, name_of};

/// The functions in Erlang.
///
/// `wait` is no `timer:sleep`: with that, the VM of OTP 29.1.1 ended with a segmentation fault in one run of two, with no Rust node
/// among its peers as well, and without it in none of 46.
const SCORER: &str = "
-module(scorer).
-compile([export_all, nowarn_export_all]).
score(Text) -> {ok, byte_size(Text)}.
pair(A, B) -> {B, A}.
raise(Reason) -> erlang:error(Reason).
leave(Reason) -> exit(Reason).
toss(Value) -> throw(Value).
wait(Time) -> receive after Time -> waited end.
large(Size) -> binary:copy(<<1>>, Size).
me() -> self().
loop() -> receive stop -> ok; {From, Text} -> From ! {self(), score(Text)}, loop() end.
";

/// The functions in Rust.
fn exports() -> Exports {
    let exports = Exports::new();
    exports.add("scorer", "score", |[text]: [Term; 1]| async move {
        let text = text.as_binary().ok_or_else(Raise::badarg)?;
        Ok::<_, Raise>(term!({ok, (i64::try_from(text.len())?)}))
    });
    exports.add("scorer", "pair", |[a, b]: [Term; 2]| async move { term!({(b), (a)}) });
    exports.add("scorer", "raise", |[reason]: [Term; 1]| async move {
        Err::<Term, _>(Raise::Error(reason))
    });
    exports.add("scorer", "leave", |[reason]: [Term; 1]| async move {
        Err::<Term, _>(Raise::Exit(reason))
    });
    exports.add("scorer", "toss", |[value]: [Term; 1]| async move {
        Err::<Term, _>(Raise::Throw(value))
    });
    exports.add("scorer", "wait", |[time]: [Term; 1]| async move {
        match time.as_u64() {
            Some(time) => tokio::time::sleep(Duration::from_millis(time)).await,
            None => std::future::pending().await,
        }
        term!(waited)
    });
    exports.add("scorer", "large", |[size]: [Term; 1]| async move {
        let size = usize::try_from(size.as_u64().ok_or_else(Raise::badarg)?)?;
        Ok::<_, Raise>(Term::from(vec![1_u8; size].as_slice()))
    });
    exports.add_process("scorer", "me", |process: Process, []: [Term; 0]| async move {
        Term::Pid(process.pid().clone())
    });
    exports.add_process("scorer", "loop", |mut process: Process, []: [Term; 0]| async move {
        while let Some(message) = process.recv().await {
            let Some([from, text]) = message.term.as_tuple() else { break };
            let from = from.as_pid().ok_or_else(Raise::badarg)?;
            let size = i64::try_from(text.as_binary().ok_or_else(Raise::badarg)?.len())?;
            process.send(from, term!({(process.pid()), {ok, (size)}})).await?;
        }
        Ok::<_, Raise>(term!(ok))
    });
    exports.add("rust", "fails", |[]: [Term; 0]| async move {
        let number: i64 = "twelve".parse()?;
        Ok::<_, Raise>(number)
    });
    exports.add("rust", "panics", |[]: [Term; 0]| async move {
        match std::hint::black_box(None::<Term>) {
            Some(term) => term,
            None => panic!("there is nothing"),
        }
    });
    exports
}

/// Two BEAM nodes and a Rust node with the same functions.
struct Three {
    _world: World,
    asker: Beam,
    server: Beam,
    node: Node,
}

impl Three {
    async fn start() -> Result<Self> {
        let world = World::new().await?;
        let (asker, server) = (world.beam("asker").await?, world.beam("server").await?);
        let dir = tempfile::tempdir()?;
        let source = dir.path().join("scorer.erl");
        std::fs::write(&source, SCORER)?;
        let source = source.to_str().context("a path of Unicode")?;
        let load = format!(
            "{{ok, scorer, Code}} = compile:file(\"{source}\", [binary]), \
             code:load_binary(scorer, \"scorer.erl\", Code)"
        );
        assert_eq!(server.eval(load).await?, "{module,scorer}");
        let node = world.node("rust")?.visibility(Visibility::Visible).exports(exports());
        // Without `global`, which is a process of its own: those counted are those called.
        let node = node.global(false).start().await?;
        node.connect(&name_of(&asker)?).await?;
        // The BEAM nodes first know what the Rust node can do when it has told them.
        asker.sees(node.name().as_str(), true, SOON).await?;
        Ok(Self { _world: world, asker, server, node })
    }

    /// Runs code twice, with `N` bound to either node, and compares: all but the names of the
    /// nodes must be the same. `Bare` takes the locations out of a stack.
    async fn same(&self, code: &str) -> Result<String> {
        let beam = self.run(self.server.name(), code).await?;
        let rust = self.run(self.node.name().as_str(), code).await?;
        let said = || format!("asker: {}\nserver: {}", self.asker.output(), self.server.output());
        ensure!(beam == rust, "{code}\n BEAM: {beam}\n Rust: {rust}\n{}", said());
        Ok(rust)
    }

    async fn run(&self, node: &str, code: &str) -> Result<String> {
        let prelude = "Bare = fun F({M, Fn, A, _}) when is_atom(M), is_atom(Fn) -> {M, Fn, A};
                                 F(T) when is_tuple(T) -> list_to_tuple(F(tuple_to_list(T)));
                                 F([H | T]) -> [F(H) | F(T)];
                                 F(X) -> X end,
                       Try = fun(Run) -> Bare(try {value, Run()} catch C:R -> {C, R} end) end";
        let result = self.asker.eval(format!("N = '{node}', {prelude}, {code}")).await?;
        Ok(result.replace(node, "N"))
    }
}

#[tokio::test]
async fn every_way_to_call_and_every_way_to_end() -> Result<()> {
    let three = Three::start().await?;
    let functions = [
        "score, [<<\"abc\">>]",
        "pair, [1, #{a => [b]}]",
        "raise, [{odd, 1}]",
        "raise, [badarg]",
        "leave, [{because, x}]",
        "leave, [normal]",
        "toss, [{ball, 1}]",
        "toss, [{'EXIT', x}]",
        "nosuch, [1, <<2>>]",
        "score, []",
        "large, [20000]",
        "raise, lists:seq(1, 1023)",
        "raise, lists:seq(1, 1024)",
    ];
    for function in functions {
        for call in [
            format!("Try(fun() -> erpc:call(N, scorer, {function}, 10000) end)"),
            format!("Try(fun() -> erpc:call(N, scorer, {function}) end)"),
            format!("Try(fun() -> rpc:call(N, scorer, {function}) end)"),
            format!("Try(fun() -> rpc:block_call(N, scorer, {function}) end)"),
            format!("Try(fun() -> rpc:yield(rpc:async_call(N, scorer, {function})) end)"),
            format!(
                "Try(fun() -> erpc:receive_response(erpc:send_request(N, scorer, {function})) end)"
            ),
            format!("Try(fun() -> rpc:multicall([N, N], scorer, {function}) end)"),
            format!("Try(fun() -> erpc:multicall([N, N], scorer, {function}) end)"),
            format!(
                "Try(fun() -> gen_server:call({{rex, N}}, {{call, scorer, {function}, self()}}) end)"
            ),
            format!(
                "{{P, M}} = spawn_monitor(N, scorer, {function}), \
                     receive {{'DOWN', M, process, P, {{system_limit, _}}}} -> system_limit; \
                     {{'DOWN', M, process, P, R}} -> Bare(R) end"
            ),
        ] {
            three.same(&call).await?;
        }
    }
    eventually(SOON, "no process", async || three.node.counts().processes == 0).await?;
    assert_eq!(three.node.counts().relations, 0);
    Ok(())
}

#[tokio::test]
async fn an_error_and_a_panic_of_rust_are_readable() -> Result<()> {
    let three = Three::start().await?;
    let call = |function| format!("Try(fun() -> erpc:call(N, rust, {function}, []) end)");
    let rust = three.node.name().as_str();
    assert_eq!(
        three.run(rust, &call("fails")).await?,
        "{error,{exception,{rust_error,<<\"invalid digit found in string\">>},[{rust,fails,0}]}}"
    );
    assert_eq!(
        three.run(rust, &call("panics")).await?,
        "{error,{exception,{rust_panic,<<\"there is nothing\">>},[{rust,panics,0}]}}"
    );
    // What is exported may change while the node runs.
    assert!(three.node.exports().remove("rust", "fails", 0));
    assert_eq!(
        three.run(rust, &call("fails")).await?,
        "{error,{exception,undef,[{rust,fails,[]}]}}"
    );
    Ok(())
}

#[tokio::test]
async fn what_reveals_nothing_is_always_answered() -> Result<()> {
    let three = Three::start().await?;
    for call in [
        "erpc:call(N, erlang, node, []) =:= N",
        "erpc:call(N, erlang, is_alive, [])",
        "erpc:call(N, erlang, nodes, [this]) =:= [N]",
        "lists:member(node(), erpc:call(N, erlang, nodes, []))",
        "lists:member(node(), erpc:call(N, erlang, nodes, [[this, hidden, visible]]))",
        "erpc:call(N, erlang, nodes, [hidden])",
        "Try(fun() -> erpc:call(N, erlang, nodes, [nonsense]) end)",
        "Try(fun() -> erpc:call(N, erlang, nodes, [17]) end)",
        "erpc:call(N, erlang, whereis, [nobody])",
        "Try(fun() -> erpc:call(N, erlang, whereis, [<<>>]) end)",
        "is_list(erpc:call(N, erlang, registered, []))",
        "node(erpc:call(N, erlang, self, [])) =:= N",
        "P = erpc:call(N, erlang, self, []), erpc:call(N, erlang, is_process_alive, [P])",
        "try erpc:call(N, erlang, is_process_alive, [self()])
         catch error:{exception, R, [{M, F, _, _}]} -> {R, M, F} end",
        "is_integer(list_to_integer(erpc:call(N, erlang, system_info, [otp_release])))",
        "Try(fun() -> erpc:call(N, erlang, system_info, [nonsense]) end)",
        "Try(fun() -> erpc:call(N, erlang, nosuch, []) end)",
    ] {
        three.same(call).await.context(call)?;
    }
    let mut named = three.node.register("board")?;
    let pid = three
        .run(three.node.name().as_str(), "erpc:call(N, erlang, whereis, [board]) ! hello")
        .await?;
    assert_eq!(pid, "hello");
    assert_eq!(named.recv().await.context("a message")?.term, term!(hello));
    Ok(())
}

#[tokio::test]
async fn spawned_processes_are_processes() -> Result<()> {
    let three = Three::start().await?;
    for code in [
        // spawn and spawn_link, messages both ways, and the end.
        "P = spawn(N, scorer, loop, []), M = monitor(process, P), P ! {self(), <<\"abcd\">>},
         A = receive {P, X} -> X end, P ! stop, B = receive {'DOWN', M, _, P, R} -> R end, {A, B}",
        "process_flag(trap_exit, true), P = spawn_link(N, scorer, loop, []), P ! {self(), <<1>>},
         A = receive {P, X} -> X end, P ! stop, B = receive {'EXIT', P, R} -> R end, {A, B}",
        "process_flag(trap_exit, true), P = spawn_link(N, scorer, leave, [{gone, 1}]),
         receive {'EXIT', P, R} -> R end",
        "process_flag(trap_exit, true), P = spawn_link(N, scorer, nosuch, [1]),
         receive {'EXIT', P, R} -> Bare(R) end",
        // A kill from outside.
        "{P, M} = spawn_monitor(N, scorer, wait, [infinity]), exit(P, kill),
         receive {'DOWN', M, _, P, R} -> R end",
        "{P, M} = spawn_monitor(N, scorer, wait, [infinity]), exit(P, {stop, 1}),
         receive {'DOWN', M, _, P, R} -> R end",
        // Both relations, and an error in the process.
        "process_flag(trap_exit, true), {P, M} = spawn_opt(N, scorer, leave, [why], [link, monitor]),
         A = receive {'DOWN', M, _, P, R} -> R end, B = receive {'EXIT', P, S} -> S end, {A, B}",
        // spawn_request with its options.
        "Id = spawn_request(N, scorer, leave, [why], [monitor, {priority, low}, {reply_tag, tag}]),
         A = receive {tag, Id, ok, P} -> node(P) =:= N end,
         B = receive {'DOWN', Id, process, _, R} -> R end, {A, B}",
        "Id = spawn_request(N, scorer, score, [<<>>], [nonsense]),
         receive {spawn_reply, Id, What, Why} -> {What, Why} end",
        "Id = spawn_request(N, scorer, score, [<<>>], [{priority, 17}]),
         receive {spawn_reply, Id, What, Why} -> {What, Why} end",
        "[begin Id = spawn_request(N, scorer, score, [<<>>], [Option]),
                receive {spawn_reply, Id, What, P} -> {What, is_pid(P)} end end
          || Option <- [{priority, K} || K <- [low, normal, high, max, highest]]
                       ++ [{message_queue_data, K} || K <- [on_heap, off_heap, mixed]]
                       ++ [{max_heap_size, M} || M <- [0, x, #{}, #{size => 0}, #{size => x}, #{size => -1},
                              #{size => 0, kill => true, error_logger => false, more => 1},
                              #{size => 0, kill => 1}, #{size => 0, error_logger => 1}]]]",
        "Id = spawn_request(N, scorer, score, [<<>>], [{monitor, [{alias, explicit_unalias}]}, link]),
         receive {spawn_reply, Id, What, P} -> {What, is_pid(P)} end",
        "Id = spawn_request(N, scorer, wait, [50], [monitor]),
         A = receive {spawn_reply, Id, ok, P} -> is_pid(P) end,
         B = receive {'DOWN', Id, process, P2, R} -> {node(P2) =:= N, R} end, {A, B}",
        // The spawner's death takes a linked process with it, and no other.
        "Me = self(), Start = fun(Options) ->
            spawn(fun() -> Id = spawn_request(N, scorer, wait, [infinity], Options),
                           receive {spawn_reply, Id, ok, P} -> Me ! {started, P} end,
                           exit(over) end),
            receive {started, P} -> P end end,
         Linked = Start([link, monitor]), Alone = Start([monitor]),
         M = monitor(process, Linked), A = receive {'DOWN', M, _, _, R} -> R end,
         B = erpc:call(N, erlang, is_process_alive, [Alone]), exit(Alone, kill), {A, B}",
        // A call that is given up runs on.
        "A = Try(fun() -> erpc:call(N, scorer, wait, [infinity], 50) end), A",
        "rpc:call(N, scorer, wait, [infinity], 50)",
        "{rpc:cast(N, scorer, score, [<<>>]), erpc:cast(N, scorer, raise, [x]),
          erpc:multicast([N], scorer, nosuch, []), rpc:eval_everywhere([N], scorer, score, [<<>>])}",
        "gen_server:cast({rex, N}, {cast, scorer, score, [<<>>], self()})",
        // As a C node asks.
        "{rex, N} ! {self(), {call, scorer, score, [<<\"ab\">>], self()}},
         receive {rex, Result} -> Result end",
        // The server that rex works with is killed.
        "Parent = self(), spawn(fun() -> Parent ! {result,
            gen_server:call({rex, N}, {call, scorer, wait, [100], self()})} end),
         receive {result, R} -> R end",
    ] {
        let code = format!("spawn(fun() -> ok end), {code}");
        // A process of its own, so that nothing is left over from one to the next.
        let code = format!(
            "Root = self(), {{Pid, Mon}} = spawn_monitor(fun() -> Root ! {{done, self(), (fun() -> {code} end)()}} end),
             receive {{done, Pid, Done}} -> Done; {{'DOWN', Mon, _, _, Died}} -> {{died, Died}} end"
        );
        three.same(&code).await?;
    }
    Ok(())
}

#[tokio::test]
async fn block_calls_take_turns() -> Result<()> {
    let three = Three::start().await?;
    let code = "Me = self(), {Time, _} = timer:tc(fun() ->
        [spawn(fun() -> Me ! {done, rpc:block_call(N, scorer, wait, [100])} end) || _ <- [1, 2, 3]],
        [receive {done, W} -> W end || _ <- [1, 2, 3]] end), Time >= 300000";
    assert_eq!(three.same(code).await?, "true");
    Ok(())
}

#[tokio::test]
async fn many_large_results_at_once_cost_no_link() -> Result<()> {
    let three = Three::start().await?;
    let code = "Ids = [erpc:send_request(N, scorer, large, [1000000]) || _ <- lists:seq(1, 60)],
                lists:sum([byte_size(erpc:receive_response(Id)) || Id <- Ids])";
    assert_eq!(three.same(code).await?, "60000000");
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_when_the_caller_is_gone() -> Result<()> {
    let mut three = Three::start().await?;
    let rust = three.node.name().to_string();
    let code =
        "[spawn_opt(N, scorer, wait, [infinity], [link, monitor]) || _ <- lists:seq(1, 500)],
                [erpc:send_request(N, scorer, wait, [3000]) || _ <- lists:seq(1, 500)], ok";
    // In a session, whose process lives on.
    let session = three.asker.session();
    assert_eq!(session.eval(format!("N = '{rust}', {code}")).await?, "ok");
    eventually(SOON, "a thousand", async || three.node.counts().processes == 1000).await?;
    assert_eq!(three.node.counts().relations, 1500);
    three.asker.kill9().await?;
    eventually(SOON, "the linked ones to be gone", async || {
        let counts = three.node.counts();
        ensure!(counts.held == 0 && counts.processes <= 500, "{counts:?}");
        Ok(())
    })
    .await?;
    // Who was only called goes on, and then ends.
    eventually(SOON, "no process", async || three.node.counts().processes == 0).await?;
    Ok(())
}
