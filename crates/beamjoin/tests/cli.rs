//! The command line by itself: exact output and exit code of everything that needs no server.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

use std::{
    io::Write,
    net::TcpListener,
    process::{Command, Output, Stdio},
};

use beamjoin::exit_code::{CONFIG, OK, UNAVAILABLE, USAGE};

const COOKIE: (&str, &str) = ("BEAMJOIN_COOKIE", "hush-hush");

struct Run {
    code: u8,
    stdout: String,
    stderr: String,
}

fn beamjoin(args: &[&str], environment: &[(&str, &str)]) -> Run {
    let home = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_beamjoin"))
        .args(args)
        .env_clear()
        .env("HOME", home.path())
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text =
        |bytes| String::from_utf8(bytes).unwrap().replace(home.path().to_str().unwrap(), "$HOME");
    let run = Run {
        code: u8::try_from(status.code().unwrap()).unwrap(),
        stdout: text(stdout),
        stderr: text(stderr),
    };
    assert!(
        !format!("{}{}", run.stdout, run.stderr).contains("hush"),
        "a secret is shown: {}",
        run.stderr
    );
    run
}

/// Ends with `code`, says `error: ` and `message` on stderr and nothing on stdout.
#[track_caller]
fn fails(args: &[&str], environment: &[(&str, &str)], code: u8, message: &str) {
    let run = beamjoin(args, environment);
    assert_eq!(run.stderr, format!("error: {message}\n"));
    assert_eq!((run.code, run.stdout.as_str()), (code, ""));
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn version() {
    let run = beamjoin(&["--version"], &[]);
    let version = concat!("beamjoin ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (OK, version, ""));
}

#[test]
fn help_has_the_exit_codes_and_no_values_of_the_environment() {
    let environment = [("PGPASSWORD", "hush-pg"), ("BEAMJOIN_PASSWORD", "hush-own"), COOKIE];
    for args in [
        &["--help"][..],
        &["join", "--help"],
        &["watch", "--help"],
        &["names", "--help"],
        &["ping", "--help"],
    ] {
        let run = beamjoin(args, &environment);
        assert_eq!((run.code, run.stderr.as_str()), (OK, ""), "{args:?}");
        for code in [64, 65, 69, 75, 76, 77, 78] {
            assert!(
                run.stdout.contains(&format!("\n  {code}  ")),
                "{args:?} does not explain {code}"
            );
        }
    }
}

#[test]
fn what_clap_finds_is_usage() {
    let run = beamjoin(&[], &[]);
    assert_eq!((run.code, run.stdout.as_str()), (USAGE, ""));
    assert!(run.stderr.contains("Usage: beamjoin [OPTIONS] <COMMAND>"), "{}", run.stderr);

    let more = "\n\nFor more information, try '--help'.";
    fails(
        &["frob"],
        &[],
        USAGE,
        &format!("unrecognized subcommand 'frob'\n\nUsage: beamjoin [OPTIONS] <COMMAND>{more}"),
    );
    fails(
        &["join", "--nope"],
        &[],
        USAGE,
        &format!("unexpected argument '--nope' found\n\nUsage: beamjoin join [OPTIONS]{more}"),
    );
    fails(
        &["join", "--hidden", "--visible"],
        &[],
        USAGE,
        &format!(
            "the argument '--hidden' cannot be used with '--visible'\n\nUsage: beamjoin join --hidden{more}"
        ),
    );
    let missing = "the following required arguments were not provided:\n  <NODE>";
    fails(&["ping"], &[], USAGE, &format!("{missing}\n\nUsage: beamjoin ping <NODE>{more}"));
}

#[test]
fn no_cookie_on_the_command_line() {
    let run = beamjoin(&["join", "--cookie=hush"], &[]);
    assert_eq!(run.code, USAGE);
    assert!(
        run.stderr.starts_with("error: unexpected argument '--cookie' found\n"),
        "{}",
        run.stderr
    );
}

#[test]
fn bad_flags_are_usage_and_bad_variables_are_configuration() {
    let listen =
        "it must be ADDRESS:PORT or ADDRESS:FIRST-LAST, such as 0.0.0.0:9100 or [::]:9100-9109";
    for (name, value, why) in [
        ("listen", "nowhere", listen),
        ("heartbeat-interval", "5", "it must be milliseconds from 100 to 3600000"),
        ("epmd", "maybe", "it must be auto, external, embedded or none"),
        ("advertise-port", "0", "it must be a number from 1 to 65535"),
        ("port", "65536", "it must be a number from 1 to 65535"),
        ("events", "xml", "it must be text or json"),
        ("log-format", "xml", "it must be text or json"),
        (
            "log-level",
            "wran",
            "it must be off, error, warn, info, debug or trace, or RUST_LOG's syntax",
        ),
        ("name", "a@b@c", "the node name has more than one @; it must be base@host"),
        ("channel-name", "", "a channel name has at least one character"),
    ] {
        let flag = format!("--{name}");
        let named = ["--name", "rust@127.0.0.1"];
        let mut args = vec!["join", flag.as_str(), value];
        if name != "name" {
            args.extend(named);
        }
        fails(&args, &[COOKIE], USAGE, &format!("invalid {flag} {value:?}: {why}"));

        let variable = format!("BEAMJOIN_{}", name.to_uppercase().replace('-', "_"));
        // An empty variable counts as one that is not set.
        if !value.is_empty() {
            let message = format!("invalid {variable} {value:?}: {why}");
            fails(&["join"], &[COOKIE, (&variable, value)], CONFIG, &message);
        }
    }
}

#[test]
fn variables_of_other_programs_are_named_too() {
    let port = "it must be a number from 1 to 65535";
    fails(&["join"], &[COOKIE, ("PGPORT", "x")], CONFIG, &format!("invalid PGPORT \"x\": {port}"));
    fails(
        &["join"],
        &[COOKIE, ("RELEASE_NODE", "a@")],
        CONFIG,
        "invalid RELEASE_NODE \"a@\": nothing stands after the @ of the node name",
    );
    fails(
        &["names"],
        &[("ERL_EPMD_PORT", "x")],
        CONFIG,
        "ERL_EPMD_PORT is \"x\", which is not a port",
    );
    fails(
        &["ping", "a@b"],
        &[COOKIE, ("RUST_LOG", "=a=b")],
        CONFIG,
        "invalid RUST_LOG \"=a=b\": invalid filter directive",
    );
}

#[test]
fn an_error_in_the_file_names_the_file_and_the_key() {
    let bad = file("hostname = \"db\"\nhostnme = 1\n");
    let path = bad.path().to_str().unwrap();
    let run = beamjoin(&["join", "--config", path], &[COOKIE]);
    let start =
        format!("error: {path}: line 2: unknown key \"hostnme\"; known are url, hostname, port, ");
    assert!(run.stderr.starts_with(&start), "{}", run.stderr);
    assert_eq!((run.code, run.stdout.as_str()), (CONFIG, ""));

    let bad = file("port = \"x\"\n");
    let path = bad.path().to_str().unwrap();
    let message = format!("invalid port in {path} \"x\": it must be a number from 1 to 65535");
    fails(&["join"], &[COOKIE, ("BEAMJOIN_CONFIG", path)], CONFIG, &message);

    let bad = file("password = \"hush\n");
    let run = beamjoin(&["watch", "--config", bad.path().to_str().unwrap()], &[COOKIE]);
    assert_eq!(run.code, CONFIG);
    assert!(run.stderr.contains(": line 1: "), "{}", run.stderr);

    let missing = "failed to read the configuration file /nowhere.toml: No such file or directory (os error 2)";
    fails(&["join", "--config", "/nowhere.toml"], &[COOKIE], CONFIG, missing);
}

#[test]
fn a_missing_cookie_says_where_it_was_looked_for() {
    let message = "no cookie: there is no cookie file $HOME/.erlang.cookie; give --cookie-file, or set \
                   BEAMJOIN_COOKIE or RELEASE_COOKIE, to the cookie of the Elixir nodes";
    for args in [&["join", "--name", "rust@h"][..], &["watch"], &["ping", "a@b"]] {
        fails(args, &[], CONFIG, message);
    }
    let message = "invalid --cookie-file \"/nowhere\": there is no cookie file /nowhere";
    fails(&["ping", "a@b", "--cookie-file", "/nowhere"], &[], USAGE, message);
}

#[test]
fn a_cookie_that_is_not_ascii_asks_for_a_channel() {
    let message = "no channel can be derived from a cookie that is not ASCII, because OTP releases derive \
                   different ones: set channel_name here and on the Elixir nodes";
    fails(&["join", "--name", "rust@h"], &[("RELEASE_COOKIE", "gehäim")], CONFIG, message);
}

#[test]
fn a_missing_name_says_how_to_give_one() {
    let message = "no name: give --name BASE@HOST, or --name BASE with --host, or set BEAMJOIN_NAME or \
                   RELEASE_NODE, or name in the configuration file";
    fails(&["join"], &[COOKIE], CONFIG, message);
}

#[test]
fn names_that_otp_would_not_start_with() {
    let long = "the name rust@h does not fit: long names have a host with a dot, or an address; give one, or \
                leave --long out";
    fails(&["join", "--name", "rust@h", "--long"], &[COOKIE], USAGE, long);
    let short =
        "the name rust@a.b does not fit: short names have no dot in the host; leave --short out";
    fails(&["join", "--name", "rust@a.b", "--short"], &[COOKIE], USAGE, short);
}

#[test]
fn a_bad_url_is_not_quoted() {
    let args = ["join", "--name", "a@b", "--url", "postgres://u:hush hush@h:99999999/x"];
    fails(&args, &[COOKIE], USAGE, "invalid --url: invalid port: expected 1 to 65535");
}

#[test]
fn a_port_in_use_is_unavailable() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    fails(
        &["join", "--name", "rust@127.0.0.1", "--epmd", "none", "--listen", &addr],
        &[COOKIE],
        UNAVAILABLE,
        &format!(
            "failed to start the node: {addr} cannot be listened on: Address already in use (os error 98)"
        ),
    );
}

#[test]
fn nobody_at_epmds_port_is_unavailable() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let message =
        format!("failed to reach EPMD at 127.0.0.1:{free}: Connection refused (os error 111)");
    fails(&["names", "127.0.0.1"], &[("ERL_EPMD_PORT", &free)], UNAVAILABLE, &message);

    let advice = "; is a node running on 127.0.0.1, and ERL_EPMD_PORT the same as there?";
    let environment = [COOKIE, ("ERL_EPMD_PORT", free.as_str())];
    let failed = format!("ping a@127.0.0.1 failed at step epmd: {message}{advice}");
    fails(&["ping", "a@127.0.0.1"], &environment, UNAVAILABLE, &failed);

    let run = beamjoin(&["ping", "--json", "a@127.0.0.1"], &environment);
    let expected = format!(
        "{{\"error\":\"{message}{advice}\",\"exit\":69,\"node\":\"a@127.0.0.1\",\"ok\":false,\"step\":\"epmd\"}}\n"
    );
    assert_eq!((run.code, run.stdout, run.stderr.as_str()), (UNAVAILABLE, expected, ""));
}

#[test]
fn a_name_that_does_not_parse_is_usage() {
    let message = "ping n1 failed at step name: the node name has no @; it must be base@host";
    fails(&["ping", "n1"], &[COOKIE], USAGE, message);
}

/// The commands that print events, without a Postgres.
fn commands_with_events() -> [Command; 2] {
    let join = ["join", "--name", "a@127.0.0.1", "--epmd", "none", "--listen", "127.0.0.1:0"];
    [join.as_slice(), &["watch"]].map(|args| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_beamjoin"));
        command
            .args(args)
            .args(["--events", "json", "--channel-name", "c", "--hostname", "127.0.0.1"])
            .args(["--port", "1"])
            .env_clear()
            .env("BEAMJOIN_COOKIE", "secret")
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        command
    })
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for mut command in commands_with_events() {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(i32::from(OK)), "{stderr}");
        assert!(!stderr.contains("panicked") && !stderr.contains("error:"), "{stderr}");
    }
}

#[test]
fn events_that_cannot_be_written_are_no_success() {
    for mut command in commands_with_events() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(i32::from(UNAVAILABLE)), "{stderr}");
        assert!(stderr.contains("error: failed to write to stdout: No space left"), "{stderr}");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_no_success() {
    // Answers as EPMD does that knows no node.
    let epmd = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = epmd.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = epmd.accept().unwrap();
        std::io::Read::read_exact(&mut stream, &mut [0; 3]).unwrap();
        stream.write_all(&u32::from(port).to_be_bytes()).unwrap();
    });
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_beamjoin"))
        .args(["names", "127.0.0.1"])
        .env_clear()
        .env("ERL_EPMD_PORT", port.to_string())
        .stdin(Stdio::null())
        .stdout(full)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(i32::from(UNAVAILABLE)), "{stderr}");
    assert!(stderr.contains("failed to write to stdout: No space left"), "{stderr}");
}

#[test]
fn the_readme_knows_every_option_and_exit_code() {
    let readme = include_str!("../../../README.md");
    let help = beamjoin(&["join", "--help"], &[]).stdout;
    let flags = help
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("-h, ").strip_prefix("--"))
        .filter_map(|line| line.split([' ', '<']).next())
        .filter(|flag| *flag != "help");
    let mut known = 0;
    for flag in flags {
        assert!(readme.contains(&format!("`--{flag}")), "--{flag} is not in the README");
        known += 1;
    }
    assert!(known >= 26, "only {known} options were found in the help");
    let codes = help.lines().skip_while(|line| *line != "Exit codes:").skip(1);
    for (code, meaning) in codes.filter_map(|line| line.trim().split_once("  ")) {
        assert!(readme.contains(&format!("| {code} | {meaning} |")), "{code}: {meaning}");
    }
}
