//! `beamjoin eval`

use std::process::ExitCode;

use dist::etf::literal;
use dist::etf::{Atom, Term, term};

use super::{EvalArgs, Problem, Remote, exception::Exception, within};
use crate::cli::{
    config::Layers,
    exit::{Failure, UNAVAILABLE},
};

/// Evaluates another program and gives only its value: what it binds stays there, however large it is.
const ELIXIR: &str = "elem(Code.eval_string(program), 0)";

/// The same in Erlang, as `erl_parse` gives it: `element(2, erl_eval:exprs(Program, []))`.
const ERLANG: &str = "[{call,1,{remote,1,{atom,1,erlang},{atom,1,element}},[{integer,1,2},\
                      {call,1,{remote,1,{atom,1,erl_eval},{atom,1,exprs}},[{var,1,'Program'},{nil,1}]}]}]";

pub(crate) async fn eval(layers: Layers, args: EvalArgs) -> Result<ExitCode, Failure> {
    within(&layers, &args.node, args.timeout, async |remote| {
        let value = match args.erl {
            true => erlang(remote, &args.expression).await?,
            false => elixir(remote, &args.expression).await?,
        };
        Ok(args.output.print(&value))
    })
    .await
}

async fn elixir(remote: &Remote, program: &str) -> Result<Term, Problem> {
    let binding = term!([{program, (program)}]);
    let (module, function) = (Atom::from_static("Elixir.Code"), Atom::from_static("eval_string"));
    match remote.rpc(module, function, vec![ELIXIR.into(), binding]).await {
        Ok(result) => Ok(first(result)),
        Err(Problem::Raised(exception)) if exception.is_undefined("Elixir.Code", "eval_string") => {
            let why =
                format!("{} has no Elixir; give --erl and an expression of Erlang", remote.peer);
            Err(Problem::Failed(Failure::new(UNAVAILABLE, why)))
        }
        Err(problem) => Err(problem),
    }
}

async fn erlang(remote: &Remote, program: &str) -> Result<Term, Problem> {
    let stop = if program.trim_end().ends_with('.') { "" } else { "\n." };
    let text: Term = format!("{program}{stop}").chars().map(|c| Term::from(u32::from(c))).collect();
    let function = Atom::from_static;
    let tokens = remote.rpc(function("erl_scan"), function("string"), vec![text]).await?;
    let tokens = understood(remote, tokens).await?;
    let forms = remote.rpc(function("erl_parse"), function("parse_exprs"), vec![tokens]).await?;
    let forms = understood(remote, forms).await?;
    let outer = literal::erlang(ERLANG).unwrap_or(Term::NIL);
    let binding = Term::List(vec![Term::Tuple(vec![Term::atom("Program"), forms])]);
    let result = remote.rpc(function("erl_eval"), function("exprs"), vec![outer, binding]).await?;
    // `{value, Value, Bindings}`
    match result.into_tuple() {
        Ok(fields) => Ok(fields.into_iter().nth(1).unwrap_or(Term::NIL)),
        Err(other) => Ok(other),
    }
}

/// What the scanner or the parser made of the program, or what is wrong with it.
async fn understood(remote: &Remote, answer: Term) -> Result<Term, Problem> {
    let (place, module, what) = match answer.as_tuple() {
        Some([ok, made, ..]) if ok.is_atom("ok") => return Ok(made.clone()),
        Some([_, Term::Tuple(error), ..]) => match error.as_slice() {
            [place, Term::Atom(module), what] => (place, module, what),
            _ => return Err(Problem::Raised(Exception::error(answer.clone(), Term::NIL))),
        },
        _ => return Err(Problem::Raised(Exception::error(answer, Term::NIL))),
    };
    let format_error = Atom::from_static("format_error");
    let described = remote.rpc(module.clone(), format_error, vec![what.clone()]).await?;
    let flat = Atom::from_static("flatten");
    let described = remote.rpc(Atom::from_static("lists"), flat, vec![described]).await?;
    let described: String = described
        .as_list()
        .unwrap_or_default()
        .iter()
        .filter_map(|c| char::from_u32(u32::try_from(c.as_int()?).ok()?))
        .collect();
    Err(Problem::Raised(Exception::in_words(format!("** (SyntaxError) line {place}: {described}"))))
}

/// `{Value, Binding}`
fn first(result: Term) -> Term {
    match result.into_tuple() {
        Ok(fields) => fields.into_iter().next().unwrap_or(Term::NIL),
        Err(other) => other,
    }
}
