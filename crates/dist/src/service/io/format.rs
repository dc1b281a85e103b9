//! `io_lib:format/2`, as far as anybody prints with it across nodes: every directive but the exact
//! places where `~p` breaks long terms into lines (here each stays on one) and
//! the rounding of exact halves.

use etf::Term;

/// How deep character lists may nest.
const DEPTH: usize = 512;

/// The widest that a field may be: nobody reads more, and it is memory.
const WIDEST: usize = 4096;

/// Adds `unicode:chardata()`: a binary or a list of characters, binaries and such lists. `None`
/// when it is something else.
pub(super) fn chars(chars: &Term, latin1: bool, out: &mut String) -> Option<()> {
    add(chars, latin1, DEPTH, out)
}

fn add(chars: &Term, latin1: bool, depth: usize, out: &mut String) -> Option<()> {
    match chars {
        Term::Binary(bytes) if latin1 => out.extend(bytes.iter().map(|byte| char::from(*byte))),
        Term::Binary(bytes) => out.push_str(std::str::from_utf8(bytes).ok()?),
        Term::List(items) => {
            let depth = depth.checked_sub(1)?;
            items.iter().try_for_each(|item| element(item, latin1, depth, out))?;
        }
        Term::ImproperList(list) => {
            let depth = depth.checked_sub(1)?;
            list.items().iter().try_for_each(|item| element(item, latin1, depth, out))?;
            add(list.tail(), latin1, depth, out)?;
        }
        _ => return None,
    }
    Some(())
}

fn element(item: &Term, latin1: bool, depth: usize, out: &mut String) -> Option<()> {
    match item {
        Term::Int(code) => {
            let code = u32::try_from(*code).ok()?;
            out.push(char::from_u32(code).filter(|_| !latin1 || code < 256)?);
            Some(())
        }
        nested => add(nested, latin1, depth, out),
    }
}

/// `io_lib:format(Format, Arguments)`; `None` where that raises `badarg`.
pub(super) fn format(format: &Term, args: &Term) -> Option<String> {
    let mut directives = String::new();
    match format {
        Term::Atom(format) => directives.push_str(format.as_str()),
        format => {
            if add(format, false, DEPTH, &mut directives).is_none() {
                directives.clear();
                add(format, true, DEPTH, &mut directives)?;
            }
        }
    }
    let mut args = args.as_list()?.iter();
    let mut out = String::new();
    let mut rest = directives.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '~' {
            let directive = Directive::parse(&mut rest, &mut args)?;
            directive.print(&mut args, &mut out)?;
        } else {
            out.push(c);
        }
    }
    // Arguments that nothing asked for are an error.
    args.next().is_none().then_some(out)
}

type Args<'a> = std::slice::Iter<'a, Term>;

/// `~F.P.PadModC`
#[derive(Debug)]
struct Directive {
    width: Option<i64>,
    precision: Option<i64>,
    pad: char,
    unicode: bool,
    control: char,
}

impl Directive {
    fn parse(
        rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
        args: &mut Args<'_>,
    ) -> Option<Self> {
        let width = number(rest, args)?;
        let (mut precision, mut pad) = (None, ' ');
        if rest.next_if_eq(&'.').is_some() {
            precision = number(rest, args)?;
            if rest.next_if_eq(&'.').is_some() {
                pad = match rest.next()? {
                    '*' => char::from_u32(u32::try_from(args.next()?.as_int()?).ok()?)?,
                    pad => pad,
                };
            }
        }
        let mut unicode = false;
        let control = loop {
            match rest.next()? {
                't' => unicode = true,
                // How maps are ordered, and that lists are no strings.
                'k' | 'K' | 'l' => {}
                control => break control,
            }
        };
        Some(Self { width, precision, pad, unicode, control })
    }

    fn print(&self, args: &mut Args<'_>, out: &mut String) -> Option<()> {
        let text = match self.control {
            '~' => {
                out.push('~');
                return Some(());
            }
            'n' => {
                let times = usize::try_from(self.width.unwrap_or(1)).ok()?.min(WIDEST);
                out.extend(std::iter::repeat_n('\n', times));
                return Some(());
            }
            'i' => {
                args.next()?;
                return Some(());
            }
            // The width of these is the line's, which is never broken here.
            'p' | 'P' => {
                let term = args.next()?;
                if self.control == 'P' {
                    args.next()?.as_int()?;
                }
                out.push_str(&term.to_string());
                return Some(());
            }
            'w' => write(args.next()?),
            'W' => {
                let term = args.next()?;
                args.next()?.as_int()?;
                write(term)
            }
            's' => {
                let text = text(args.next()?, self.unicode)?;
                match self.precision {
                    Some(most) => text.chars().take(usize::try_from(most).ok()?).collect(),
                    None => text,
                }
            }
            'c' => {
                let c = char::from_u32(u32::try_from(args.next()?.as_int()?).ok()?)?;
                let times = usize::try_from(self.precision.or(self.width).unwrap_or(1)).ok()?;
                std::iter::repeat_n(c, times.min(WIDEST)).collect()
            }
            'b' | 'B' | '+' | '#' | 'x' | 'X' => self.integer(args)?,
            'e' | 'f' | 'g' => self.float(args.next()?)?,
            _ => return None,
        };
        self.pad(&text, out);
        Some(())
    }

    fn integer(&self, args: &mut Args<'_>) -> Option<String> {
        let value = args.next()?;
        let base = u32::try_from(self.precision.unwrap_or(10)).ok()?;
        if !(2..=36).contains(&base) {
            return None;
        }
        let digits = match value {
            Term::Int(value) => num_bigint(*value, base),
            Term::BigInt(value) => value.to_str_radix(base),
            _ => return None,
        };
        let lower = matches!(self.control, 'b' | '+' | 'x');
        let digits = if lower { digits } else { digits.to_uppercase() };
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", digits.as_str()),
        };
        let prefix = match self.control {
            '+' | '#' => format!("{base}#"),
            'x' | 'X' => match args.next()? {
                Term::Atom(prefix) => prefix.to_string(),
                prefix => text(prefix, true)?,
            },
            _ => String::new(),
        };
        Some(format!("{sign}{prefix}{digits}"))
    }

    fn float(&self, value: &Term) -> Option<String> {
        let value = value.as_float()?;
        let precision = usize::try_from(self.precision.unwrap_or(6)).ok()?.min(WIDEST);
        Some(match self.control {
            'f' => format!("{value:.precision$}"),
            'e' => exponent(value, precision),
            // `io_lib_format:fwrite_g/5`: as many digits as the precision, fixed where they suffice.
            _ => {
                let magnitude = match value.abs() {
                    small if small < 0.1 => None,
                    fraction if fraction < 1.0 => Some(0),
                    value => [10.0, 100.0, 1000.0, 10_000.0]
                        .iter()
                        .position(|bound| value < *bound)
                        .map(|at| at + 1),
                };
                match magnitude {
                    Some(whole) if whole < precision || whole == 0 => {
                        format!("{value:.*}", precision - whole)
                    }
                    _ => exponent(value, precision.max(2)),
                }
            }
        })
    }

    /// In a field: to the right, or to the left when the width is negative; stars when it does not
    /// fit.
    fn pad(&self, text: &str, out: &mut String) {
        let Some(width) = self.width.filter(|_| self.control != 'c' || self.precision.is_some())
        else {
            out.push_str(text);
            return;
        };
        let room = usize::try_from(width.unsigned_abs()).unwrap_or(WIDEST).min(WIDEST);
        let length = text.chars().count();
        let fill = |out: &mut String, count| out.extend(std::iter::repeat_n(self.pad, count));
        if length > room {
            match self.control {
                's' => out.extend(text.chars().take(room)),
                _ => out.extend(std::iter::repeat_n('*', room)),
            }
        } else if width < 0 {
            out.push_str(text);
            fill(out, room - length);
        } else {
            fill(out, room - length);
            out.push_str(text);
        }
    }
}

/// A number of a directive: digits, or `*` for an argument. The outer `None` is an error.
#[expect(clippy::option_option, reason = "an error differs from a number that is not there")]
fn number(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    args: &mut Args<'_>,
) -> Option<Option<i64>> {
    if rest.next_if_eq(&'*').is_some() {
        return Some(Some(args.next()?.as_int()?));
    }
    let mut digits = String::new();
    digits.extend(rest.next_if_eq(&'-'));
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    if digits.is_empty() { Some(None) } else { Some(Some(digits.parse().ok()?)) }
}

/// What `~s` prints: characters, or an atom.
fn text(term: &Term, unicode: bool) -> Option<String> {
    let mut text = String::new();
    match term {
        Term::Atom(atom) => text.push_str(atom.as_str()),
        // Binaries without `t` are Latin-1.
        term => add(term, !unicode, DEPTH, &mut text)?,
    }
    Some(text)
}

fn num_bigint(value: i64, base: u32) -> String {
    match base {
        10 => value.to_string(),
        base => {
            let mut left = value.unsigned_abs();
            let mut digits = Vec::new();
            while left > 0 || digits.is_empty() {
                let digit = u32::try_from(left % u64::from(base)).unwrap_or_default();
                digits.extend(char::from_digit(digit, base));
                left /= u64::from(base);
            }
            let sign = if value < 0 { "-" } else { "" };
            sign.chars().chain(digits.into_iter().rev()).collect()
        }
    }
}

/// `1.50000e+0`, where the precision is that of all digits.
fn exponent(value: f64, precision: usize) -> String {
    let printed = format!("{value:.*e}", precision.saturating_sub(1));
    match printed.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => printed,
    }
}

/// What `~w` prints: Erlang syntax in which nothing is text.
pub(super) fn write(term: &Term) -> String {
    let mut out = String::new();
    write_to(term, &mut out);
    out
}

fn write_to(term: &Term, out: &mut String) {
    let sequence = |items: &[Term], out: &mut String| {
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write_to(item, out);
        }
    };
    match term {
        Term::List(items) => {
            out.push('[');
            sequence(items, out);
            out.push(']');
        }
        Term::ImproperList(list) => {
            out.push('[');
            sequence(list.items(), out);
            out.push('|');
            write_to(list.tail(), out);
            out.push(']');
        }
        Term::Tuple(items) => {
            out.push('{');
            sequence(items, out);
            out.push('}');
        }
        Term::Binary(bytes) => {
            let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
            out.push_str(&format!("<<{}>>", bytes.join(",")));
        }
        Term::Map(map) => {
            out.push_str("#{");
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_to(key, out);
                out.push_str(" => ");
                write_to(value, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}
