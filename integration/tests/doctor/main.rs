//! `beamjoin doctor` against real servers, each time with one thing broken: it must name that, say what to do, and end with the
//! right code. And with nothing broken.

mod nodes;
mod own;
mod settings;
mod to_postgres;

use std::time::Duration;

use anyhow::{Context, Result};
use integration::{Exit, JoinOptions, RustNode};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;

/// How long the command may take: it listens, and a node that hangs has its seven seconds.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two announcements of [`announce`].
const HEARTBEAT: Duration = Duration::from_millis(100);

/// What `beamjoin doctor --json` found.
#[derive(Debug)]
struct Findings {
    exit: Exit,
    checks: Vec<Value>,
}

/// Runs it, listening for that long.
async fn doctor(options: JoinOptions, wait: &str) -> Result<Findings> {
    let exit = run(&options, &["--json", "--wait", wait]).await?;
    let answer: Value = serde_json::from_str(&exit.stdout).with_context(|| format!("{exit:?}"))?;
    assert_eq!(answer["exit"], exit.code.unwrap_or(-1), "{answer}");
    assert_eq!(answer["ok"], exit.code == Some(0), "{answer}");
    assert_eq!(exit.stderr, "");
    let checks = answer["checks"].as_array().context("no checks")?.clone();
    Ok(Findings { exit, checks })
}

async fn run(options: &JoinOptions, more: &[&str]) -> Result<Exit> {
    let port = options.epmd_port.to_string();
    let environment =
        [("BEAMJOIN_COOKIE", options.cookie.as_str()), ("ERL_EPMD_PORT", port.as_str())];
    let JoinOptions { name, url, channel, args, .. } = options;
    let mut all = vec!["doctor", "--name", name, "--url", url, "--channel-name", channel];
    all.extend(args.iter().map(String::as_str));
    all.extend(more);
    RustNode::run(all, &environment, DEADLINE).await
}

impl Findings {
    /// Every check of that name and status.
    fn all(&self, name: &str, status: &str) -> Vec<&Value> {
        let wanted = |check: &&Value| check["check"] == name && check["status"] == status;
        self.checks.iter().filter(wanted).collect()
    }

    /// The exit code, and that nothing but these checks failed.
    #[track_caller]
    fn ended(&self, code: i32, failed: &[&str]) {
        let status = |check: &&Value| check["status"] == "failed";
        let found: Vec<&str> =
            self.checks.iter().filter(status).filter_map(|check| check["check"].as_str()).collect();
        assert_eq!((self.exit.code, found.as_slice()), (Some(code), failed), "{:#?}", self.checks);
    }

    /// That the check went well.
    #[track_caller]
    fn ok(&self, name: &str) -> String {
        let [check] = self.all(name, "ok")[..] else { panic!("{name}: {:#?}", self.checks) };
        check["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// That the one check of that name and status says this and advises that.
    #[track_caller]
    fn says(&self, name: &str, status: &str, detail: &str, advice: &str) {
        let [check] = self.all(name, status)[..] else {
            panic!("{name} {status}: {:#?}", self.checks)
        };
        let has = |field: &str, part: &str| check[field].as_str().is_some_and(|t| t.contains(part));
        assert!(has("detail", detail) && has("advice", advice), "{check:#}");
    }

    /// That these were not checked, because of that one.
    #[track_caller]
    fn skipped(&self, names: &[&str], because: &str) {
        for name in names {
            let [check] = self.all(name, "not_checked")[..] else {
                panic!("{name}: {:#?}", self.checks)
            };
            assert_eq!(check["because"], because, "{check}");
        }
    }
}

/// Runs this SQL again and again until the handle is dropped.
async fn announce(url: &str, notify: String) -> Result<Announcer> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(&notify).await?;
    Ok(Announcer(tokio::spawn(async move {
        while client.batch_execute(&notify).await.is_ok() {
            tokio::time::sleep(HEARTBEAT).await;
        }
    })))
}

/// Ends with this value.
struct Announcer(JoinHandle<()>);

impl Drop for Announcer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// `NOTIFY` as libcluster_postgres writes it since 0.2.
fn quoted(channel: &str, payload: &str) -> String {
    format!("NOTIFY \"{channel}\", '{payload}'")
}
