//! A process that does what it is told, in Erlang and in Rust.
//!
//! It takes `{From, Ref, Command}` and answers `{Ref, Answer}`; every other message stays in its
//! mailbox until it is asked for.

use std::time::Duration;

use anyhow::{Context, Result};
use dist::etf::{Pid, Reference, Term, term};
use dist::{AliasMode, Destination, Exit, Message, Node, Process};

/// Starts a puppet on the BEAM node that evaluates it.
pub const IN_ERLANG: &str = "
    Drain = fun D() -> receive {F, R, C} when is_pid(F), is_reference(R) -> self() ! {F, R, C}, []; M -> [M | D()] after 0 -> [] end end,
    Loop = fun L(Mon) ->
        receive {From, Ref, Command} when is_pid(From), is_reference(Ref) ->
            Answer = case Command of
                self -> self();
                alive -> true;
                {trap, B} -> process_flag(trap_exit, B), ok;
                {link, P} -> link(P), ok;
                {unlink, P} -> unlink(P), ok;
                {exit, P, Why} -> exit(P, Why), ok;
                {monitor, X} -> {monitor, monitor(process, X)};
                {monitor_alias, X, Mode} -> {alias, monitor(process, X, [{alias, Mode}])};
                demonitor -> demonitor(Mon, [flush]), ok;
                {alias, Mode} -> {alias, alias([Mode])};
                {unalias, A} -> unalias(A), ok;
                {idle, Ms} -> timer:sleep(Ms), ok;
                {monitors, X, Count} -> [monitor(process, X) || _ <- lists:seq(1, Count)], ok;
                {churn, P, Count} ->
                    [case rand:uniform(2) of 1 -> link(P); 2 -> unlink(P) end || _ <- lists:seq(1, Count)], ok;
                {stream, Ways, First, Last} ->
                    [lists:nth(1 + I rem 3, Ways) ! {n, I, binary:copy(<<7>>, 200000 * (1 - min(1, I rem 500)))}
                     || I <- lists:seq(First, Last)], ok;
                mailbox -> Drain();
                {await, {'EXIT', P}} -> receive {'EXIT', P, Why} -> {'EXIT', Why} after 5000 -> timeout end;
                {await, 'DOWN'} -> receive {'DOWN', _, process, _, Why} -> {'DOWN', Why} after 5000 -> timeout end;
                {stop, Why} -> {stop, Why}
            end,
            case Answer of
                {stop, Reason} -> From ! {Ref, ok}, exit(Reason);
                {monitor, M} -> From ! {Ref, ok}, L(M);
                {alias, A2} -> From ! {Ref, A2}, L(Mon);
                _ -> From ! {Ref, Answer}, L(Mon)
            end
        end
    end,
    Puppet = spawn(fun() -> Loop(undefined) end),
    register(puppet, Puppet), ok";

/// What drives a puppet on the node `N`: `P` is its pid, `Do` tells it something.
pub const DRIVER: &str = "
    process_flag(trap_exit, true),
    Ask = fun(Command, Time) ->
        Ref = make_ref(), {puppet, N} ! {self(), Ref, Command},
        receive {Ref, Answer} -> Answer after Time -> dead end end,
    P = Ask(self, 5000),
    Do = fun(Command) -> Ask(Command, 30000) end,
    Wait = fun({'EXIT', Pid}) -> receive {'EXIT', Pid, Why} -> {'EXIT', Why} after 5000 -> timeout end;
              ({'DOWN', Mon}) -> receive {'DOWN', Mon, process, _, Why} -> {'DOWN', Why} after 5000 -> timeout end end,
    Nothing = fun() -> receive Any -> Any after 150 -> nothing end end,";

/// Starts a puppet on a Rust node.
pub fn start(node: &Node) -> Result<Pid> {
    let puppet = node.spawn(|process: Process| run(process));
    let pid = puppet.context("the node is shutting down")?;
    Ok(pid)
}

/// A command: who wants to know, under which reference, and what.
struct Command {
    from: Pid,
    reference: Reference,
    what: Term,
}

fn command(message: Message) -> Result<Command, Message> {
    match message.term.as_tuple() {
        Some([Term::Pid(from), Term::Reference(reference), what]) => {
            Ok(Command { from: from.clone(), reference: reference.clone(), what: what.clone() })
        }
        _ => Err(message),
    }
}

async fn run(mut process: Process) -> Exit {
    if let Err(error) = process.register("puppet") {
        return error.into();
    }
    let mut monitor = None;
    while let Some(Command { from, reference, what }) = process.receive(command).await {
        let answer = match parts(&what) {
            ("self", _) => Term::Pid(process.pid().clone()),
            ("alive", _) => term!(true),
            ("trap", [trap]) => {
                process.trap_exit(trap.is_atom("true"));
                term!(ok)
            }
            ("link", [Term::Pid(pid)]) => {
                process.link(pid).await;
                term!(ok)
            }
            ("unlink", [Term::Pid(pid)]) => {
                process.unlink(pid).await;
                term!(ok)
            }
            ("exit", [Term::Pid(pid), why]) => {
                process.exit(pid, why.clone()).await;
                term!(ok)
            }
            ("monitor", [target]) => {
                monitor = Some(process.monitor(destination(target)).await);
                term!(ok)
            }
            ("monitor_alias", [target, how]) => {
                let alias = process.monitor_with_alias(destination(target), mode(how)).await;
                Term::Reference(alias)
            }
            ("demonitor", _) => {
                if let Some(monitor) = &monitor {
                    process.demonitor_flush(monitor);
                }
                term!(ok)
            }
            ("alias", [how]) => Term::Reference(process.alias(mode(how))),
            ("unalias", [Term::Reference(alias)]) => {
                process.unalias(alias);
                term!(ok)
            }
            ("idle", [Term::Int(time)]) => {
                tokio::time::sleep(Duration::from_millis(time.unsigned_abs())).await;
                term!(ok)
            }
            ("monitors", [target, Term::Int(count)]) => {
                for _ in 0..*count {
                    process.monitor(destination(target)).await;
                }
                term!(ok)
            }
            ("churn", [Term::Pid(pid), Term::Int(count)]) => {
                churn(&process, pid, *count).await;
                term!(ok)
            }
            ("stream", [Term::List(ways), Term::Int(first), Term::Int(last)]) => {
                stream(&process, ways, *first..=*last).await;
                term!(ok)
            }
            ("mailbox", _) => mailbox(&mut process).await,
            ("await", [what]) => wait(&mut process, what).await,
            ("stop", [why]) => {
                let _ = process.send(from, term!({(Term::Reference(reference)), ok})).await;
                return Exit(why.clone());
            }
            _ => term!(unknown),
        };
        // The driver may have cut the connection; it asks again then.
        let _ = process.send(from, term!({(Term::Reference(reference)), (answer)})).await;
    }
    Exit::normal()
}

/// Links and unlinks, in an order that looks random.
async fn churn(process: &Process, pid: &Pid, count: i64) {
    let mut state = u64::from(pid.id) | 1;
    for _ in 0..count {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if state >> 63 == 0 {
            process.link(pid).await;
        } else {
            process.unlink(pid).await;
        }
    }
}

/// Sends numbers in turn to three names of one process; now and then one with a large binary.
async fn stream(process: &Process, ways: &[Term], numbers: std::ops::RangeInclusive<i64>) {
    for n in numbers {
        let way = &ways[usize::try_from(n % 3).unwrap()];
        let size = if n % 500 == 0 { 200_000 } else { 0 };
        let message = term!({n, (n), (vec![7_u8; size].as_slice())});
        process.send(destination(way), message).await.unwrap();
    }
}

fn parts(command: &Term) -> (&str, &[Term]) {
    match (command.as_atom(), command.as_tuple()) {
        (Some(name), _) => (name.as_str(), &[]),
        (_, Some([Term::Atom(name), rest @ ..])) => (name.as_str(), rest),
        _ => ("", &[]),
    }
}

async fn mailbox(process: &mut Process) -> Term {
    let mut messages = Vec::new();
    let other = |message: Message| match command(message.clone()) {
        Ok(_) => Err(message),
        Err(message) => Ok(message.term),
    };
    while let Some(message) = process.receive_within(Duration::ZERO, other).await {
        messages.push(message);
    }
    Term::List(messages)
}

async fn wait(process: &mut Process, what: &Term) -> Term {
    let signal = |message: Message| match (what.as_tuple(), message.term.as_tuple()) {
        (Some([_, pid]), Some([exit, from, why])) if exit.is_atom("EXIT") && from == pid => {
            Ok(Term::Tuple(vec![exit.clone(), why.clone()]))
        }
        (None, Some([down, _, _, _, why])) if down.is_atom("DOWN") => {
            Ok(Term::Tuple(vec![down.clone(), why.clone()]))
        }
        _ => Err(message),
    };
    process.receive_within(Duration::from_secs(5), signal).await.unwrap_or(term!(timeout))
}

fn mode(how: &Term) -> AliasMode {
    match how.as_atom().map(|how| how.as_str()) {
        Some("demonitor") => AliasMode::Demonitor,
        Some("reply_demonitor") => AliasMode::ReplyDemonitor,
        _ => AliasMode::ExplicitUnalias,
    }
}

fn destination(target: &Term) -> Destination {
    match (target, target.as_tuple()) {
        (Term::Pid(pid), _) => pid.into(),
        (Term::Reference(alias), _) => Destination::Alias(alias.clone()),
        (_, Some([Term::Atom(name), Term::Atom(node)])) => {
            Destination::Remote { name: name.clone(), node: node.as_str().parse().unwrap() }
        }
        _ => panic!("no target: {target}"),
    }
}
