//! `call`, `eval`, `send` and `gen-call` by themselves: exact output and exit code of what needs no node.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

use std::{
    net::TcpListener,
    process::{Command, Stdio},
};

use beamjoin::exit_code::{CONFIG, DATA, TIMED_OUT, UNAVAILABLE, USAGE};

/// Ends with `code`, says `error: ` and `message` on stderr and nothing on stdout.
#[track_caller]
fn fails(args: &[&str], environment: &[(&str, &str)], code: u8, message: &str) {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_beamjoin"))
        .args(args)
        .env_clear()
        .env("HOME", home.path())
        .env("BEAMJOIN_COOKIE", "hush-hush")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, format!("error: {message}\n"), "{args:?}");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(code.into()), &[][..]));
}

#[test]
fn help_has_the_exit_codes() {
    for command in ["call", "eval", "send", "gen-call"] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_beamjoin")).args([command, "--help"]).output();
        let help = String::from_utf8(output.unwrap().stdout).unwrap();
        for code in [1, 64, 65, 69, 75, 76, 77, 78] {
            assert!(help.contains(&format!("\n{code:>4}  ")), "{command} does not explain {code}");
        }
    }
}

#[test]
fn what_clap_finds_is_usage() {
    let more = "\n\nFor more information, try '--help'.";
    let missing = "the following required arguments were not provided:";
    for (args, needed, usage) in [
        (&["call"][..], "<NODE>\n  <FUNCTION>", "call <NODE> <FUNCTION> [ARGUMENTS]..."),
        (&["eval", "a@b"], "<EXPRESSION>", "eval <NODE> <EXPRESSION>"),
        (&["send", "a@b", "x"], "<MESSAGE>", "send <NODE> <NAME> <MESSAGE>"),
        (&["gen-call", "a@b", "x"], "<REQUEST>", "gen-call <NODE> <NAME> <REQUEST>"),
    ] {
        let message = format!("{missing}\n  {needed}\n\nUsage: beamjoin {usage}{more}");
        fails(args, &[], USAGE, &message);
    }
    let time = "it must be milliseconds, a time such as 500ms, 2s or 1m, or infinity";
    let message = format!("invalid value 'soon' for '--timeout <TIME>': {time}{more}");
    fails(&["call", "a@b", "m:f", "--timeout", "soon"], &[], USAGE, &message);
    let message = format!(
        "invalid value 'xml' for '--format <LANGUAGE>'\n  [possible values: elixir, erlang, json]{more}"
    );
    fails(&["eval", "a@b", "1", "--format", "xml"], &[], USAGE, &message);
    let both = format!(
        "the argument '--erl' cannot be used with '--json'\n\nUsage: beamjoin send --erl <NODE> <NAME> <MESSAGE>{more}"
    );
    fails(&["send", "a@b", "x", "1", "--erl", "--json"], &[], USAGE, &both);
}

#[test]
fn names_that_are_none_are_usage() {
    let function = "Enum.sum/1 is no name of a function: character 9: the arity is not given: it is the number of \
                    arguments";
    fails(&["call", "a@b", "Enum.sum/1"], &[], USAGE, function);
    let process = "a b is no name of a process: character 2: expected the end, found ` `";
    fails(&["send", "a@b", "a b", "1"], &[], USAGE, process);
    fails(&["gen-call", "a@b", "a b", "1"], &[], USAGE, process);
    let node = "invalid node \"ab\": the node name has no @; it must be base@host";
    for args in [
        &["call", "ab", "Enum.sum"][..],
        &["eval", "ab", "1"],
        &["send", "ab", "x", "1"],
        &["gen-call", "ab", "x", "1"],
    ] {
        fails(args, &[], USAGE, node);
    }
}

#[test]
fn terms_that_are_no_literals_are_bad_data() {
    let message = "argument 2 is no Elixir literal: character 5: foo is no literal; write :foo for the atom, \
                   \"foo\" for the string\n  [1, foo]";
    fails(&["call", "a@b", "lists:member", "1", "[1, foo]"], &[], DATA, message);
    let message =
        "argument 1 is no Erlang literal: character 1: Foo is a variable, and no literal\n  Foo";
    fails(&["call", "a@b", "m:f", "Foo", "--erl"], &[], DATA, message);
    let message =
        "the message is no JSON literal: character 2: expected a key in quotes, found `a`\n  {a}";
    fails(&["send", "a@b", "x", "{a}", "--json"], &[], DATA, message);
    let message = "the request is no Elixir literal: line 2, character 1: there is no \" that ends this\n  \
                   [1,\\n\"\\u{1b}]";
    fails(&["gen-call", "a@b", "x", "[1,\n\"\u{1b}]"], &[], DATA, message);
}

#[test]
fn no_cookie_is_configuration() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("nothing");
    let file = file.to_str().unwrap();
    let message = format!("invalid --cookie-file {file:?}: there is no cookie file {file}");
    fails(&["call", "a@b", "Enum.sum", "--cookie-file", file], &[], USAGE, &message);
    let message = format!(
        "failed to read the configuration file {file}: No such file or directory (os error 2)"
    );
    fails(&["eval", "a@b", "1"], &[("BEAMJOIN_CONFIG", file)], CONFIG, &message);
}

#[test]
fn nobody_at_epmds_port_is_unavailable() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let message = format!(
        "failed to reach EPMD at 127.0.0.1:{free}: Connection refused (os error 111); is a node running on 127.0.0.1, \
         and ERL_EPMD_PORT the same as there?"
    );
    let environment = [("ERL_EPMD_PORT", free.as_str())];
    for args in [
        &["call", "a@127.0.0.1", "Enum.sum", "[1]"][..],
        &["eval", "a@127.0.0.1", "1"],
        &["send", "a@127.0.0.1", "x", "1"],
        &["gen-call", "a@127.0.0.1", "x", "1"],
    ] {
        fails(args, &environment, UNAVAILABLE, &message);
    }
}

#[test]
fn an_epmd_that_is_silent_is_a_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let message = "no answer from a@127.0.0.1 within 200ms";
    let args = ["call", "a@127.0.0.1", "Enum.sum", "[1]", "--timeout", "200"];
    fails(&args, &[("ERL_EPMD_PORT", &port)], TIMED_OUT, message);
}
