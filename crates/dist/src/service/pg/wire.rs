//! The messages between the scopes of two nodes (`pg.erl` of OTP 23 to 29).
//!
//! Ours are in the forms of OTP 23 to 28. OTP 29 sends other ones to its like, but reads these, and
//! sends these to whoever asks with the `discover` of two elements; the one of three ends the scope
//! of OTP 25.

use etf::{Pid, Term};

use crate::r#gen::message::cast;

/// The processes of one group.
pub(super) type Members = (Term, Vec<Pid>);

/// What another scope says.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// It asks who we are: it is to be told our groups, and asked for its own.
    Discover,
    /// All its groups, instead of what it said before.
    Sync(Vec<Members>),
    /// Processes have joined a group.
    Join(Members),
    /// Processes have left groups: each leaves each group once for each time it stands there.
    Leave(Vec<Pid>, Vec<Term>),
    /// For each group who joined and who left; those that left come first (`pg.erl` of OTP 29,
    /// `update_local_data/2`).
    Update(Vec<(Term, Vec<Pid>, Vec<Pid>)>),
}

/// A `leave` means as many steps as it has processes times groups. One with more is none that a
/// scope sends: it names one process or one group, or is a batch of ours.
const MOST_STEPS: usize = 10_000_000;

/// `{discover, Scope}`
pub(super) fn discover(scope: &Pid) -> Term {
    Term::Tuple(vec![Term::atom("discover"), Term::Pid(scope.clone())])
}

/// `{'$gen_cast', {sync, Scope, [{Group, [Pid]}]}}`
pub(super) fn sync(scope: &Pid, groups: impl Iterator<Item = (Term, Vec<Term>)>) -> Term {
    let groups = groups.map(|(group, pids)| Term::Tuple(vec![group, Term::List(pids)]));
    let groups = Term::List(groups.collect());
    cast(Term::Tuple(vec![Term::atom("sync"), Term::Pid(scope.clone()), groups]))
}

/// `{join, Scope, Group, Pid | [Pid]}`
pub(super) fn join(scope: &Pid, group: &Term, pids: &[Pid]) -> Term {
    Term::Tuple(vec![
        Term::atom("join"),
        Term::Pid(scope.clone()),
        group.clone(),
        one_or_more(pids),
    ])
}

/// `{leave, Scope, Pid | [Pid], [Group]}`: each process leaves each group once for each time it
/// stands there.
pub(super) fn leave(scope: &Pid, pids: &[Pid], groups: Vec<Term>) -> Term {
    Term::Tuple(vec![
        Term::atom("leave"),
        Term::Pid(scope.clone()),
        one_or_more(pids),
        Term::List(groups),
    ])
}

fn one_or_more(pids: &[Pid]) -> Term {
    match pids {
        [pid] => Term::Pid(pid.clone()),
        pids => Term::List(pids.iter().cloned().map(Term::Pid).collect()),
    }
}

impl Message {
    /// Reads a message and who says it; `None` for what no scope sends.
    pub(super) fn parse(message: Term) -> Option<(Pid, Self)> {
        let mut fields = message.into_tuple().ok()?.into_iter();
        let word = fields.next()?;
        let word = word.as_atom()?.as_str();
        if word == "$gen_cast" {
            let (Some(request), None) = (fields.next(), fields.next()) else { return None };
            return all(request);
        }
        let Some(Term::Pid(scope)) = fields.next() else { return None };
        let rest = (fields.next(), fields.next(), fields.next());
        let message = match (word, rest) {
            // The third element is the version of the protocol.
            ("discover", (_, None, _)) => Self::Discover,
            ("join", (Some(group), Some(joined), None)) => Self::Join((group, pids(joined)?)),
            ("leave", (Some(left), Some(Term::List(groups)), None)) => {
                let left = pids(left)?;
                if left.len().saturating_mul(groups.len()) > MOST_STEPS {
                    return None;
                }
                Self::Leave(left, groups)
            }
            ("update", (Some(Term::List(changes)), None, _)) => {
                let changes = changes.into_iter().map(|change| {
                    let [group, joined, left] = change.into_tuple().ok()?.try_into().ok()?;
                    Some((group, pids(joined)?, pids(left)?))
                });
                Self::Update(changes.collect::<Option<_>>()?)
            }
            _ => return None,
        };
        Some((scope, message))
    }
}

/// `{sync, Scope, [{Group, Pids}]}` and `{local_data, Scope, Version, #{Group => Pids}}`.
fn all(request: Term) -> Option<(Pid, Message)> {
    let mut fields = request.into_tuple().ok()?.into_iter();
    let (word, scope) = (fields.next()?, fields.next()?);
    let groups: Option<Vec<Members>> =
        match (word.as_atom()?.as_str(), fields.next()?, fields.next(), fields.next()) {
            ("sync", Term::List(groups), None, None) => groups
                .into_iter()
                .map(|group| {
                    let [group, members] = group.into_tuple().ok()?.try_into().ok()?;
                    Some((group, pids(members)?))
                })
                .collect(),
            ("local_data", _version, Some(Term::Map(groups)), None) => groups
                .iter()
                .map(|(group, members)| Some((group.clone(), pids(members.clone())?)))
                .collect(),
            _ => None,
        };
    Some((scope.as_pid()?.clone(), Message::Sync(groups?)))
}

/// One process, or a list of them.
fn pids(term: Term) -> Option<Vec<Pid>> {
    match term {
        Term::Pid(pid) => Some(vec![pid]),
        Term::List(pids) => pids
            .into_iter()
            .map(|pid| match pid {
                Term::Pid(pid) => Some(pid),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use etf::{Atom, term};

    use super::*;

    fn pid(id: u32) -> Pid {
        Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 4 }
    }

    fn parsed(message: Term) -> Option<Message> {
        let (scope, message) = Message::parse(message)?;
        assert_eq!(scope, pid(1));
        Some(message)
    }

    /// What nodes sent, OTP 23 to 29.
    #[test]
    fn every_form_is_read() {
        let (scope, a, b) = (pid(1), pid(2), pid(3));
        let members = vec![(Term::atom("g"), vec![a.clone(), b.clone()])];
        for (message, meant) in [
            (discover(&scope), Message::Discover),
            (term!({discover, (scope.clone()), 1}), Message::Discover),
            (
                cast(term!({sync, (scope.clone()), [{g, [(a.clone()), (b.clone())]}]})),
                Message::Sync(members.clone()),
            ),
            (cast(term!({sync, (scope.clone()), []})), Message::Sync(Vec::new())),
            (
                cast(term!({local_data, (scope.clone()), 1, #{g => [(a.clone()), (b.clone())]}})),
                Message::Sync(members),
            ),
            (
                join(&scope, &Term::atom("g"), std::slice::from_ref(&a)),
                Message::Join((term!(g), vec![a.clone()])),
            ),
            (
                term!({join, (scope.clone()), g, [(a.clone()), (a.clone())]}),
                Message::Join((term!(g), vec![a.clone(), a.clone()])),
            ),
            (
                leave(&scope, std::slice::from_ref(&a), vec![term!(g), term!({h, 1})]),
                Message::Leave(vec![a.clone()], vec![term!(g), term!({h, 1})]),
            ),
            (
                term!({update, (scope.clone()), [{g, [(a.clone())], [(b.clone())]}]}),
                Message::Update(vec![(term!(g), vec![a], vec![b])]),
            ),
        ] {
            assert_eq!(parsed(message.clone()), Some(meant), "{message}");
        }
    }

    #[test]
    fn what_no_scope_sends_is_refused() {
        let scope = pid(1);
        let pids = Term::list_with_tail(vec![Term::Pid(pid(2))], term!(tail));
        for message in [
            term!(discover),
            term!({}),
            term!({ discover }),
            term!({discover, pg}),
            term!({discover, (scope.clone()), 1, 2}),
            term!({join, (scope.clone()), g}),
            term!({join, (scope.clone()), g, x}),
            term!({join, (scope.clone()), g, [x]}),
            term!({join, (scope.clone()), g, (pids.clone())}),
            term!({leave, (scope.clone()), [], g}),
            term!({update, (scope.clone()), [{g, []}]}),
            term!({update, (scope.clone()), #{}}),
            cast(term!({sync, (scope.clone())})),
            cast(term!({sync, (scope.clone()), [{g, (pids.clone())}]})),
            cast(term!({sync, (scope.clone()), [g]})),
            cast(term!({sync, pg, []})),
            cast(term!({local_data, (scope.clone()), 1, []})),
            Term::Tuple(vec![
                Term::atom("$gen_cast"),
                term!({sync, (scope.clone()), []}),
                term!(more),
            ]),
            term!({(Term::atom("DOWN")), (scope.clone()), process, x, y}),
        ] {
            assert_eq!(parsed(message.clone()), None, "{message}");
        }
        let many = |count: u32| vec![pid(count); 4000];
        let groups = vec![term!(g); 4000];
        assert_eq!(parsed(leave(&scope, &many(2), groups)), None);
    }

    #[test]
    fn what_we_say_is_what_otp_27_says() {
        let (scope, a) = (pid(1), pid(2));
        assert_eq!(discover(&scope).to_string(), "{discover,#Pid<a@h.1.0>}");
        let groups = [(term!(g), vec![Term::Pid(a.clone())])];
        assert_eq!(
            sync(&scope, groups.into_iter()).to_string(),
            "{'$gen_cast',{sync,#Pid<a@h.1.0>,[{g,[#Pid<a@h.2.0>]}]}}"
        );
        assert_eq!(
            leave(&scope, &[a.clone(), pid(3)], vec![term!(g)]).to_string(),
            "{leave,#Pid<a@h.1.0>,[#Pid<a@h.2.0>,#Pid<a@h.3.0>],[g]}"
        );
        assert_eq!(
            join(&scope, &term!(g), &[a]).to_string(),
            "{join,#Pid<a@h.1.0>,g,#Pid<a@h.2.0>}"
        );
    }
}
