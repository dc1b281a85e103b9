//! What `sys` asks of every server (`sys.erl`, `do_cmd/6` and `debug_cmd/2`): answered as a
//! `gen_server` does, or refused in the form that `sys` turns into an error for its caller.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use etf::{Atom, Term, term};

use super::message::GenFrom;
use super::server::{Next, Server};
use super::{Caller, GenServer};
use crate::process::Exit;

/// How many events `sys:log` keeps unless told otherwise.
const LOG_LENGTH: usize = 10;

/// How many it keeps at most, whatever it is told.
const MOST_LOGGED: usize = 10_000;

/// What `sys` has made of a server.
#[derive(Debug, Default)]
pub(super) struct Sys {
    /// Nothing but `sys` is heard.
    pub(super) suspended: bool,
    /// Made when it is first asked for: most servers are never watched.
    watch: Option<Box<Watch>>,
}

#[derive(Debug, Default)]
struct Watch {
    trace: bool,
    log: Option<Log>,
    statistics: Option<Statistics>,
}

#[derive(Debug)]
struct Log {
    length: usize,
    events: VecDeque<Term>,
}

#[derive(Debug)]
struct Statistics {
    since: SystemTime,
    messages_in: u64,
    messages_out: u64,
}

/// Answers a question of `sys`.
pub(super) async fn handle<S: GenServer>(
    server: &mut Server<S>,
    from: GenFrom,
    request: Term,
) -> Result<Next, Exit> {
    let shared = server.process.parts().0.clone();
    let (reply, exit) = answer(server, request, takes_tagged_state(&from));
    let caller = Caller::new(from, server.process.pid().clone(), shared);
    caller.reply(reply).await?;
    Ok(exit.map_or(Next::Receive, Next::Stop))
}

fn answer<S: GenServer>(
    server: &mut Server<S>,
    request: Term,
    tagged: bool,
) -> (Term, Option<Exit>) {
    let reply = match &request {
        Term::Atom(request) if *request == "suspend" => {
            server.sys.suspended = true;
            term!(ok)
        }
        Term::Atom(request) if *request == "resume" => {
            server.sys.suspended = false;
            term!(ok)
        }
        Term::Atom(request) if *request == "get_state" => match server.state.state() {
            Some(state) if tagged => term!({ok, (state)}),
            Some(state) => state,
            None => refused(term!({gen_server, system_get_state})),
        },
        Term::Atom(request) if *request == "get_status" => status(server),
        Term::Tuple(fields) => match fields.as_slice() {
            [Term::Atom(what), function] if *what == "replace_state" => refused(function.clone()),
            [Term::Atom(what), debug] if *what == "debug" => server.sys.debug(debug),
            [Term::Atom(what), reason] if *what == "terminate" => {
                return (term!(ok), Some(Exit(reason.clone())));
            }
            [Term::Atom(what), _, _, _] if *what == "change_code" && server.sys.suspended => {
                term!({error, notsup})
            }
            _ => unknown(&request),
        },
        _ => unknown(&request),
    };
    (reply, None)
}

/// Whether the caller's `sys` takes `{ok, State}` for the state. That of OTP 26.1 and later takes nothing else, an earlier one
/// takes all but an error for the state itself. Neither says which it is, but the references of newer calls have five words
/// (seen with 27 and 29), the older ones three (23 and 25).
fn takes_tagged_state(from: &GenFrom) -> bool {
    from.alias().is_some_and(|alias| alias.words().len() > 3)
}

/// There is no BEAM here that could run a function, and a state may have no term.
fn refused(function: Term) -> Term {
    term!({error, {callback_failed, (function), {error, notsup}}})
}

fn unknown(request: &Term) -> Term {
    term!({error, {unknown_system_msg, (request)}})
}

/// `{status, Pid, {module, Module}, [PDict, SysState, Parent, Debug, Misc]}`, where `Misc` is what
/// `gen_server:format_status/2` makes.
fn status<S: GenServer>(server: &Server<S>) -> Term {
    let Server { state, process, parent, name, sys } = server;
    let module = module::<S>();
    let condition = if sys.suspended { term!(suspended) } else { term!(running) };
    let header = string(&format!("Status for generic server {name}"));
    let dictionary = term!([
        {(Term::atom("$initial_call")), {(module), init, 1}},
        {(Term::atom("$ancestors")), [(parent)]}
    ]);
    let shown = state.state().unwrap_or_else(|| term!(unavailable));
    let misc = term!([
        {header, (header)},
        {data, [
            {(string("Status")), (condition.clone())},
            {(string("Parent")), (parent)},
            {(string("Logged events")), (sys.logged())}
        ]},
        {data, [{(string("State")), (shown)}]}
    ]);
    let debug = sys.options();
    term!({status, (process.pid()), {module, gen_server}, [
        (dictionary), (condition), (parent), (debug), (misc)
    ]})
}

/// The server's type, as the module of its callbacks.
pub(super) fn module<S>() -> Term {
    Atom::new(std::any::type_name::<S>()).map_or_else(|_| term!(rust), Term::Atom)
}

/// Text as Erlang has it, a list of code points.
fn string(text: &str) -> Term {
    text.chars().map(|character| Term::from(u32::from(character))).collect()
}

impl Sys {
    /// Whether anything wants to know of messages.
    pub(super) fn is_watching(&self) -> bool {
        self.watch.is_some()
    }

    /// A message that is about to be handled.
    pub(super) fn saw_in(&mut self, message: &Term) {
        if let Some(statistics) = self.statistics() {
            statistics.messages_in += 1;
        }
        self.saw(term!({in, (message)}));
    }

    /// A reply that is about to be sent.
    pub(super) fn saw_out(&mut self, reply: &Term, caller: &Caller, state: Option<Term>) {
        if let Some(statistics) = self.statistics() {
            statistics.messages_out += 1;
        }
        let state = state.unwrap_or_else(|| term!(unavailable));
        self.saw(term!({out, (reply), (caller.to_term()), (state)}));
    }

    /// A message was handled that had no reply.
    pub(super) fn saw_no_reply(&mut self, state: Option<Term>) {
        self.saw(term!({noreply, (state.unwrap_or_else(|| term!(unavailable)))}));
    }

    fn saw(&mut self, event: Term) {
        let Some(watch) = &mut self.watch else { return };
        if watch.trace {
            tracing::info!(%event, "traced");
        }
        if let Some(log) = &mut watch.log {
            log.add(event);
        }
    }

    fn debug(&mut self, what: &Term) -> Term {
        let what = match what {
            Term::Atom(what) if *what == "no_debug" => {
                self.watch = None;
                return term!(ok);
            }
            what => what.as_tuple(),
        };
        let Some([Term::Atom(what), how]) = what else { return term!(unknown_debug) };
        let watch = self.watch.get_or_insert_default();
        let reply = match (what.as_str(), how) {
            ("trace", how) if how.as_bool().is_some() => {
                watch.trace = how.is_atom("true");
                term!(ok)
            }
            ("log", how) => watch.log(how),
            ("statistics", how) => watch.statistics(how),
            // A file of ours is no business of another node.
            ("log_to_file", how) if !how.is_atom("false") => term!({error, open_file}),
            ("log_to_file" | "remove", _) => term!(ok),
            _ => term!(unknown_debug),
        };
        self.watch.take_if(|watch| watch.is_idle());
        reply
    }

    fn statistics(&mut self) -> Option<&mut Statistics> {
        self.watch.as_mut()?.statistics.as_mut()
    }

    fn logged(&self) -> Term {
        let log = self.watch.as_ref().and_then(|watch| watch.log.as_ref());
        log.map_or(Term::NIL, |log| log.events.iter().cloned().collect())
    }

    fn options(&self) -> Term {
        let mut options = Vec::new();
        if let Some(watch) = &self.watch {
            if watch.trace {
                options.push(term!({trace, true}));
            }
            if let Some(log) = &watch.log {
                options.push(term!({log, (int(log.length))}));
            }
            if watch.statistics.is_some() {
                options.push(term!({statistics, true}));
            }
        }
        Term::List(options)
    }
}

impl Watch {
    fn is_idle(&self) -> bool {
        !self.trace && self.log.is_none() && self.statistics.is_none()
    }

    fn log(&mut self, how: &Term) -> Term {
        match how {
            Term::Atom(how) if *how == "true" => {
                let length = self.log.as_ref().map_or(LOG_LENGTH, |log| log.length);
                self.keep(length);
                term!(ok)
            }
            Term::Atom(how) if *how == "false" => {
                self.log = None;
                term!(ok)
            }
            Term::Atom(how) if *how == "get" => {
                let events = self.log.iter().flat_map(|log| log.events.iter().cloned()).collect();
                term!({ok, (Term::List(events))})
            }
            Term::Atom(how) if *how == "print" => {
                for event in self.log.iter().flat_map(|log| &log.events) {
                    tracing::info!(%event, "logged");
                }
                term!(ok)
            }
            Term::Tuple(fields) => match fields.as_slice() {
                [Term::Atom(on), Term::Int(length @ 1..)] if *on == "true" => {
                    self.keep(usize::try_from(*length).map_or(MOST_LOGGED, |n| n.min(MOST_LOGGED)));
                    term!(ok)
                }
                _ => term!(unknown_debug),
            },
            _ => term!(unknown_debug),
        }
    }

    fn keep(&mut self, length: usize) {
        let log = self.log.get_or_insert_with(|| Log { length, events: VecDeque::new() });
        log.length = length;
        while log.events.len() > length {
            log.events.pop_front();
        }
    }

    fn statistics(&mut self, how: &Term) -> Term {
        match how.as_atom().map(Atom::as_str) {
            Some("true") => {
                let new =
                    || Statistics { since: SystemTime::now(), messages_in: 0, messages_out: 0 };
                self.statistics.get_or_insert_with(new);
                term!(ok)
            }
            Some("false") => {
                self.statistics = None;
                term!(ok)
            }
            Some("get") => match &self.statistics {
                None => term!({ok, no_statistics}),
                Some(statistics) => term!({ok, (statistics.to_term())}),
            },
            _ => term!(unknown_debug),
        }
    }
}

impl Log {
    fn add(&mut self, event: Term) {
        if self.events.len() >= self.length {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

impl Statistics {
    /// As `sys:statistics/2` shows them. Times are UTC; nothing here counts reductions.
    fn to_term(&self) -> Term {
        term!([
            {start_time, (date_time(self.since))},
            {current_time, (date_time(SystemTime::now()))},
            {reductions, 0},
            {messages_in, (self.messages_in)},
            {messages_out, (self.messages_out)}
        ])
    }
}

/// `{{Year,Month,Day},{Hour,Minute,Second}}`
fn date_time(time: SystemTime) -> Term {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    term!({{(year), (month), (day)}, {(hour), (minute), (second)}})
}

/// The date of a day since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

fn int(n: usize) -> Term {
    Term::from(u64::try_from(n).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use etf::{Pid, Reference};

    use super::*;

    #[test]
    fn days_are_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_780), (2026, 11, 23));
        assert_eq!(civil(47_540), (2100, 2, 28));
        assert_eq!(civil(47_541), (2100, 3, 1));
    }

    #[test]
    fn a_log_keeps_the_last_events() {
        let mut sys = Sys::default();
        assert_eq!(sys.debug(&term!({log, {true, 2}})), term!(ok));
        for n in 1..=3 {
            sys.saw_in(&Term::Int(n));
        }
        assert_eq!(sys.debug(&term!({log, get})), term!({ok, [{in, 2}, {in, 3}]}));
        assert_eq!(sys.debug(&term!({log, {true, 1}})), term!(ok));
        assert_eq!(sys.debug(&term!({log, get})), term!({ok, [{in, 3}]}));
        assert_eq!(sys.debug(&term!({log, false})), term!(ok));
        assert!(!sys.is_watching());
    }

    #[test]
    fn a_caller_with_longer_references_takes_a_tagged_state() {
        let node = Atom::from_static("iex@127.0.0.1");
        let pid = Pid { node: node.clone(), id: 1, serial: 0, creation: 7 };
        for (words, tagged) in [(&[1, 2, 3][..], false), (&[1, 2, 3, 4, 5], true)] {
            let reference = Reference::new(node.clone(), 7, words).unwrap();
            let tag = Term::list_with_tail(vec![term!(alias)], Term::Reference(reference));
            let from = GenFrom { pid: pid.clone(), tag };
            assert_eq!(takes_tagged_state(&from), tagged);
        }
        let plain = Term::Reference(Reference::new(node, 7, &[1, 2, 3]).unwrap());
        assert!(!takes_tagged_state(&GenFrom { pid, tag: plain }));
    }

    #[test]
    fn what_nobody_knows_is_said_to_be_unknown() {
        let mut sys = Sys::default();
        for odd in [
            term!(what),
            term!({}),
            term!({log, 7}),
            term!({log, {true, 0}}),
            term!({trace, 1}),
            term!({install, {(Term::atom("f")), 0}}),
            term!({statistics, 1}),
        ] {
            assert_eq!(sys.debug(&odd), term!(unknown_debug), "{odd}");
            assert!(!sys.is_watching());
        }
    }
}
