//! What `beamjoin completions` and `beamjoin man` print, in the hands of the programs it is for.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

use std::process::{Command, Output};

fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).env("MANWIDTH", "100").output().unwrap()
}

fn beamjoin(args: &[&str]) -> String {
    let output = run(env!("CARGO_BIN_EXE_beamjoin"), args);
    assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn written(text: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

#[test]
fn bash_completes_commands_and_options() {
    let (_file, script) = written(&beamjoin(&["completions", "bash"]));
    let checked = run("bash", &["-n", &script]);
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    for (line, expected) in [
        ("beamjoin doc", "doctor"),
        ("beamjoin doctor --wai", "--wait"),
        ("beamjoin pubsub t", "tail"),
    ] {
        let complete = format!(
            "source {script}; COMP_WORDS=({line}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); \
             _beamjoin beamjoin \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let completed = run("bash", &["-c", &complete]);
        assert_eq!(String::from_utf8_lossy(&completed.stdout).trim(), expected, "{completed:?}");
    }
}

#[test]
fn other_shells_have_theirs() {
    for (shell, first) in [("zsh", "#compdef beamjoin"), ("fish", "# Print"), ("elvish", "")] {
        let script = beamjoin(&["completions", shell]);
        assert!(script.starts_with(first) && script.contains("doctor"), "{shell}: {script}");
    }
}

#[test]
fn man_shows_a_page_for_each_command() {
    let commands: [&[&str]; 14] = [
        &[],
        &["join"],
        &["doctor"],
        &["watch"],
        &["names"],
        &["ping"],
        &["call"],
        &["eval"],
        &["send"],
        &["gen-call"],
        &["pubsub"],
        &["pubsub", "tail"],
        &["completions"],
        &["man"],
    ];
    for command in commands {
        let (_file, page) = written(&beamjoin(&[&["man"], command].concat()));
        let shown = run("man", &["--warnings", "--no-justification", "--local-file", &page]);
        assert!(shown.status.success() && shown.stderr.is_empty(), "{command:?}: {shown:?}");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        let name = [&["beamjoin"], command].concat().join("-");
        assert!(shown.contains(&format!("{name} - ")), "{shown}");
        assert!(shown.contains("SYNOPSIS") && shown.contains("DESCRIPTION"), "{shown}");
    }
}

#[test]
fn a_page_of_no_command_is_wrong_usage() {
    let output = run(env!("CARGO_BIN_EXE_beamjoin"), &["man", "pubsub", "dance"]);
    assert_eq!(output.status.code(), Some(64));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.starts_with("error: there is no command \"pubsub dance\""), "{message}");
}

/// The commands that a help text lists, each with what is said of it there.
fn listed(help: &str) -> Vec<(String, String)> {
    let list = help.split("\nCommands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap();
    let entries = list.lines().filter_map(|line| line.trim().split_once("  "));
    entries.map(|(name, said)| (name.to_owned(), said.trim().to_owned())).collect()
}

#[test]
fn a_command_says_of_itself_what_the_list_says_of_it() {
    let all = listed(&beamjoin(&["--help"]));
    assert!(all.len() > 10, "{all:?}");
    let of_pubsub = listed(&beamjoin(&["pubsub", "--help"]));
    assert!(of_pubsub.iter().any(|(name, _)| name == "tail"), "{of_pubsub:?}");
    let at_first = all.iter().map(|entry| (vec![], entry));
    let below = of_pubsub.iter().map(|entry| (vec!["pubsub"], entry));
    for (mut words, (name, said)) in at_first.chain(below).filter(|(_, (name, _))| name != "help") {
        words.push(name);
        let help = beamjoin(&[&words[..], &["--help"]].concat());
        assert!(help.starts_with(said), "{words:?} should say {said:?}: {help}");
    }
}
