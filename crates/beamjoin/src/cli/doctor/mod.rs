//! `beamjoin doctor`: what a join needs, looked at piece by piece.
//!
//! It leaves no trace in the cluster. It registers nothing with EPMD and announces nothing: whatever is sent to the channel,
//! every Elixir node takes for the name of a node. That LISTEN works is tried by pgnotify, on a channel of its own.

mod own;
mod peer;
mod postgres;
mod report;

use std::{net::IpAddr, process::ExitCode, time::Duration};

use beamjoin::{ChannelName, Ignored, Postgres};
use clap::Args;
use dist::{Cookie, Listen, NodeName, epmd};
use futures::{StreamExt, stream};

use self::{
    peer::Visit,
    postgres::{Ear, Heard, Stage},
    report::{Outcome, Report, Style},
};
use super::{
    args::JoinArgs,
    config::{self, Key, Layers, Port},
    exit::{self, Failure, UNAVAILABLE},
    join::Settings,
    remote::Way,
    remote::{Time, time},
};

/// How long our address on the way to Postgres may take to be found.
const ROUTE: Duration = Duration::from_secs(5);
/// Nodes that are looked at, and how many at once.
const MAX_VISITS: usize = 256;
const AT_ONCE: usize = 16;
/// Names that one line lists.
const LISTED: usize = 10;

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) join: JoinArgs,
    /// How long to listen for other nodes: milliseconds, or with a unit, such as 500ms, 2s or 1m [default: a heartbeat
    /// interval and a second]
    #[arg(long, value_name = "TIME", value_parser = wait)]
    wait: Option<Duration>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

fn wait(text: &str) -> Result<Duration, &'static str> {
    match time(text) {
        Ok(Time(Some(time))) => Ok(time),
        _ => Err("it must be milliseconds, or a time such as 500ms, 2s or 1m"),
    }
}

/// What is set, as far as it makes sense.
struct Options {
    settings: Option<Settings>,
    cookie: Option<Cookie>,
    channel: Option<ChannelName>,
    postgres: Option<pgnotify::Config>,
    epmd_port: Option<u16>,
    wait: Duration,
}

/// What is known of this node.
struct Own {
    name: NodeName,
    addresses: Vec<IpAddr>,
}

pub(crate) async fn doctor(layers: Layers, args: DoctorArgs) -> Result<ExitCode, Failure> {
    let terminal = layers.variable("TERM").is_some_and(|term| term != "dumb");
    let colour = terminal && layers.variable("NO_COLOR").is_none();
    let style = Style::choose(args.json, colour);
    let mut report = Report::new(style);
    let options = read(&mut report, &layers, args.wait)?;
    let ear = reach(&mut report, &options).await?;
    let own = own(&mut report, &layers, &options, ear.is_ok()).await?;
    match ear {
        Ok(ear) => {
            let heard = ear.listen(options.wait).await;
            let names = announced(&mut report, &options, own.as_ref(), heard)?;
            visit(&mut report, &options, own.as_ref(), names).await?;
        }
        Err(because) => report.skip(&["heard"], because)?,
    }
    report.finish()
}

/// Reads the settings as `join` does, and goes on with those that make sense.
fn read(report: &mut Report, layers: &Layers, wait: Option<Duration>) -> Result<Options, Failure> {
    let mut problems: Vec<Failure> = Vec::new();
    let mut note = |problem: Failure| {
        if problems.iter().all(|known| known.to_string() != problem.to_string()) {
            problems.push(problem);
        }
    };
    let postgres = config::postgres(layers).map_err(&mut note).ok();
    let cookie = config::cookie_and_warning(layers).map_err(&mut note).ok();
    let (cookie, warning) =
        cookie.map_or((None, None), |(cookie, warning)| (Some(cookie), warning));
    let channel = config::channel(layers, || config::cookie(layers)).map_err(&mut note).ok();
    let settings = Settings::read(layers).map_err(&mut note).ok();
    let epmd = epmd::Config::from_env().map_err(|error| note(Failure::config(error))).ok();
    let heartbeat =
        layers.parse(&Key::HEARTBEAT_INTERVAL, config::heartbeat_interval).ok().flatten();

    for problem in &problems {
        let advice = "correct it; `beamjoin join --help` has them all";
        report.add("settings", Outcome::failed(problem.code, problem, advice))?;
    }
    match warning {
        Some(warning) => {
            let advice = "OTP takes no such file";
            report.add("settings", Outcome::warning(warning, advice))?;
        }
        None if problems.is_empty() => report.add("settings", Outcome::ok("they make sense"))?,
        None => {}
    }
    match &channel {
        Some(channel) => report.add("channel", postgres::channel_outcome(channel))?,
        None => report.skip(&["channel"], "settings")?,
    }
    let interval = heartbeat.unwrap_or(Postgres::HEARTBEAT_INTERVAL);
    Ok(Options {
        settings,
        cookie,
        channel,
        postgres,
        epmd_port: epmd.map(|epmd| epmd.port),
        wait: wait.unwrap_or(interval + Duration::from_secs(1)),
    })
}

/// Connects to Postgres and listens; or which check failed.
async fn reach(
    report: &mut Report,
    options: &Options,
) -> Result<Result<Ear, &'static str>, Failure> {
    const STAGES: [Stage; 3] = [Stage::Postgres, Stage::Login, Stage::Listen];
    let (Some(config), Some(channel)) = (&options.postgres, &options.channel) else {
        report.skip(&STAGES.map(Stage::check), "settings")?;
        return Ok(Err("settings"));
    };
    let error = match Ear::open(config.clone(), channel).await {
        Ok(ear) => {
            report.add("postgres", Outcome::ok(format!("{} answers", ear.server)))?;
            report.add("login", Outcome::ok("it lets us in"))?;
            let outcome = if ear.proved {
                Outcome::ok("a notification of our own came back")
            } else {
                Outcome::warning(
                    "it is a pooler, and had no second connection to try with whether it supports LISTEN",
                    "give the port of Postgres itself, or make the pool larger",
                )
            };
            report.add("listen", outcome)?;
            return Ok(Ok(ear));
        }
        Err(error) => error,
    };
    let (stage, finding, code) = postgres::explain(&error);
    for passed in STAGES.into_iter().filter(|passed| *passed < stage) {
        let detail = if passed == Stage::Postgres { "it answers" } else { "it lets us in" };
        report.add(passed.check(), Outcome::ok(detail))?;
    }
    report.add(stage.check(), Outcome::Failed(finding, code))?;
    for skipped in STAGES.into_iter().filter(|skipped| *skipped > stage) {
        report.skip(&[skipped.check()], stage.check())?;
    }
    Ok(Err(stage.check()))
}

/// What others need to find this node.
async fn own(
    report: &mut Report,
    layers: &Layers,
    options: &Options,
    postgres: bool,
) -> Result<Option<Own>, Failure> {
    const CHECKS: [&str; 4] = ["name", "host", "port", "epmd"];
    let (Some(settings), Some(config), Some(epmd_port)) =
        (&options.settings, &options.postgres, options.epmd_port)
    else {
        report.skip(&CHECKS, "settings")?;
        return Ok(None);
    };
    let found = tokio::time::timeout(ROUTE, config::node_name(layers, config)).await;
    let name = match found {
        Ok(Ok(name)) => name,
        Ok(Err(failure)) => {
            let advice = "correct it; `beamjoin join --help` says what a name is made of";
            report.add("name", Outcome::failed(failure.code, failure, advice))?;
            report.skip(&["host", "port", "epmd"], "name")?;
            return Ok(None);
        }
        // It waits for a way to Postgres, to see which of our addresses that begins at.
        Err(_) if !postgres => {
            report.skip(&CHECKS, "postgres")?;
            return Ok(None);
        }
        Err(_) => {
            let what = "our address on the way to Postgres was not found in time";
            let advice = "give it with --host, or in the name: --name BASE@HOST";
            report.add("name", Outcome::failed(UNAVAILABLE, what, advice))?;
            report.skip(&["host", "port", "epmd"], "name")?;
            return Ok(None);
        }
    };
    let (host, addresses) = own::host(&name).await;
    // What is forwarded here is not asked from here.
    let local: &[IpAddr] = if matches!(host, Outcome::Ok(_)) { &addresses } else { &[] };
    let here = own::here(&name, settings.epmd, epmd_port, local).await;
    report.add("name", here.name)?;
    report.add("host", host)?;
    let listen = settings.listen.clone().unwrap_or_else(|| Listen::any_port(&name));
    report.add("port", own::port(&listen))?;
    report.add("epmd", here.epmd)?;
    Ok(Some(Own { name, addresses }))
}

/// Says who was heard, and returns the nodes that a join would dial.
fn announced(
    report: &mut Report,
    options: &Options,
    own: Option<&Own>,
    mut heard: Heard,
) -> Result<Vec<NodeName>, Failure> {
    let mut names = std::mem::take(&mut heard.names);
    if let Some(own) = own {
        if names.remove(&own.name) {
            let what = format!("a node announces itself as {}, which is our name", own.name);
            let advice =
                "give another --name, or end that node; it may be this one, running already";
            report.add("heard", Outcome::failed(UNAVAILABLE, what, advice))?;
        }
        let like = |name: &NodeName| name.as_str().eq_ignore_ascii_case(own.name.as_str());
        for name in names.iter().filter(|name| like(name)) {
            heard.ignore(Ignored::OwnNameInOtherCase, name.as_str().as_bytes());
        }
        names.retain(|name| !like(name));
    }
    for (why, first, count) in &heard.ignored {
        let more = if *count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        let advice = "find who announces it: it must be the node's bare name, base@host, of at most 255 bytes";
        report.add(
            "heard",
            Outcome::warning(format!("{first}{more} is ignored because {why}"), advice),
        )?;
    }
    let (allowed, refused): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| {
        let patterns = options.settings.as_ref().map_or(&[][..], |settings| &settings.allowed);
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
    });
    if !refused.is_empty() {
        let what = format!("no pattern allows {}", list(&refused));
        report.add("heard", Outcome::warning(what, "add an --allow if they are to be dialled"))?;
    }
    let unquoted: Vec<_> =
        heard.folded.into_iter().filter(|name| !allowed.contains(name)).collect();
    if !unquoted.is_empty() {
        let what = format!(
            "{} announce on this channel in lower case, where Postgres puts a name without quotes, and so are not heard",
            list(&unquoted)
        );
        let advice =
            "give all nodes a channel_name in lower case; libcluster_postgres quotes it since 0.2";
        report.add("heard", Outcome::warning(what, advice))?;
    }
    let outcome = match (allowed.is_empty(), heard.lost) {
        (_, Some(lost)) => {
            let advice = "try again; if it stays so, see the server's log";
            Outcome::failed(
                UNAVAILABLE,
                format!("the connection to Postgres was lost: {lost}"),
                advice,
            )
        }
        (true, None) => Outcome::failed(
            UNAVAILABLE,
            format!("nobody to dial within {:?}", options.wait),
            "do the Elixir nodes run, with the same database and channel_name? a longer --wait hears rarer announcements",
        ),
        (false, None) => Outcome::ok(format!("{} within {:?}", list(&allowed), options.wait)),
    };
    report.add("heard", outcome)?;
    Ok(allowed)
}

/// Looks at each node that a join would dial.
async fn visit(
    report: &mut Report,
    options: &Options,
    own: Option<&Own>,
    mut names: Vec<NodeName>,
) -> Result<(), Failure> {
    let (Some(cookie), Some(settings), Some(epmd_port)) =
        (&options.cookie, &options.settings, options.epmd_port)
    else {
        return report.skip(&["nodes"], "settings");
    };
    if names.len() > MAX_VISITS {
        let what = format!("only {MAX_VISITS} of {} nodes are looked at", names.len());
        let advice = "look at others with `beamjoin ping`, or with --allow";
        report.add("nodes", Outcome::warning(what, advice))?;
        names.truncate(MAX_VISITS);
    }
    let peer_port = settings.peer_port.map(|Port(port)| port);
    let tls = settings.tls.clone();
    let way = Way {
        cookie: cookie.clone(),
        epmd_port,
        peer_port,
        tls,
        private_only: settings.private_only,
        setup_time: settings.setup_time,
    };
    let mut visits = stream::iter(names)
        .map(|name| {
            let way = way.clone();
            async move { (name.clone(), peer::visit(name, way).await) }
        })
        // In the order of the names.
        .buffered(AT_ONCE);
    let mut ticks: Vec<(i64, NodeName)> = Vec::new();
    let mut elsewhere = None;
    while let Some((name, Visit { checks, address, tick_time })) = visits.next().await {
        checks.into_iter().try_for_each(|check| report.push(check))?;
        if let Some(own) = own
            && own.name.is_long_host() != name.is_long_host()
        {
            let what =
                format!("{name} will not dial {}: one host has a dot, the other none", own.name);
            let advice =
                "start all nodes with long names, or all with short ones (--long, --short)";
            report.add("name", Outcome::warning(what, advice))?;
        }
        if address.is_some_and(|address| !address.is_loopback()) {
            elsewhere.get_or_insert(name.clone());
        }
        ticks.extend(tick_time.map(|seconds| (seconds, name)));
    }
    if let (Some(elsewhere), Some(own)) = (elsewhere, own)
        && !own.addresses.is_empty()
        && own.addresses.iter().all(IpAddr::is_loopback)
    {
        let what = format!("{elsewhere} looks for {} on its own host", own.name);
        let advice = "give an address of this host that others reach (--host)";
        report.add("host", Outcome::failed(UNAVAILABLE, what, advice))?;
    }
    ticks.sort();
    if let [(least, one), .., (most, other)] = ticks.as_slice()
        && least != most
    {
        let what = format!("net_ticktime is {least} s on {one} and {most} s on {other}");
        report.add(
            "ticks",
            Outcome::warning(what, "give all BEAM nodes the same (-kernel net_ticktime)"),
        )?;
    }
    Ok(())
}

fn list(names: &[NodeName]) -> String {
    let shown: Vec<&str> = names.iter().take(LISTED).map(NodeName::as_str).collect();
    match names.len().saturating_sub(LISTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
