//! Printing in Erlang syntax.

use std::fmt::{self, Display, Formatter};

use crate::{Atom, Term};

impl Display for Atom {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = self.as_str();
        let mut chars = text.chars();
        let bare = chars.next().is_some_and(|first| first.is_ascii_lowercase())
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '@');
        if bare { f.write_str(text) } else { write!(f, "'{}'", text.escape_debug()) }
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atom(value) => Display::fmt(value, f),
            Self::Int(value) => Display::fmt(value, f),
            Self::BigInt(value) => Display::fmt(value, f),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if !text.is_empty() => write!(f, "<<{text:?}>>"),
                _ => write!(
                    f,
                    "<<{}>>",
                    Join(&bytes.iter().map(|b| Self::Int((*b).into())).collect::<Vec<_>>())
                ),
            },
            Self::List(items) => write!(f, "[{}]", Join(items)),
            Self::ImproperList(list) => write!(f, "[{}|{}]", Join(&list.items), list.tail),
            Self::Tuple(items) => write!(f, "{{{}}}", Join(items)),
            Self::Map(map) => {
                f.write_str("#{")?;
                for (at, (key, value)) in map.iter().enumerate() {
                    write!(f, "{}{key} => {value}", if at > 0 { "," } else { "" })?;
                }
                f.write_str("}")
            }
            Self::Pid(pid) => write!(f, "#Pid<{}.{}.{}>", pid.node.as_str(), pid.id, pid.serial),
            Self::Port(port) => write!(f, "#Port<{}.{}>", port.node().as_str(), port.id()),
            Self::Reference(reference) => {
                write!(f, "#Ref<{}", reference.node().as_str())?;
                reference.words().iter().rev().try_for_each(|word| write!(f, ".{word}"))?;
                f.write_str(">")
            }
            other => write!(f, "{other:?}"),
        }
    }
}

struct Join<'a>(&'a [Term]);

impl Display for Join<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}
