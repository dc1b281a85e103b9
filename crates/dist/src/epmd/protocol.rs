//! The server's side of the protocol: requests parsed, answers built.

/// The most characters of a name, and the most bytes of a name or of the extra data
/// (`MAXSYMLEN` in `epmd_int.h`).
const MAX_CHARS: usize = 255;
const MAX_SYMBOL: usize = 4 * MAX_CHARS;

/// The most bytes of a request: an ALIVE2 with the longest name and extra data.
pub(super) const MAX_REQUEST: usize = 13 + 2 * MAX_SYMBOL;

/// What a node tells about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) kind: u8,
    pub(super) protocol: u8,
    pub(super) highest: u16,
    pub(super) lowest: u16,
    pub(super) extra: Vec<u8>,
}

/// A request, without its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// Register.
    Alive2(Node),
    /// A registration with a name that cannot be one.
    BadAlive2 {
        /// Decides the form of the answer.
        highest: u16,
    },
    /// Where does this node listen?
    Port2(String),
    /// Who is there?
    Names,
    /// Who is there, for debugging.
    Dump,
    /// End the server.
    Kill,
    /// End a registration.
    Stop,
}

impl Request {
    /// `None` for what is no request; epmd closes on it.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match (tag, rest) {
            (120, rest) => Self::parse_alive2(rest),
            (122, rest) => {
                let name = rest.strip_suffix(&[0]).unwrap_or(rest);
                parse_name(name).map(Self::Port2)
            }
            (110, _) => Some(Self::Names),
            (100, _) => Some(Self::Dump),
            (107, _) => Some(Self::Kill),
            (115, _) => Some(Self::Stop),
            _ => None,
        }
    }

    /// `port:16 type protocol highest:16 lowest:16 nlen:16 name elen:16 extra`.
    fn parse_alive2(rest: &[u8]) -> Option<Self> {
        let (&[p1, p0, kind, protocol, h1, h0, l1, l0, n1, n0], rest) = rest.split_first_chunk()?;
        let highest = u16::from_be_bytes([h1, h0]);
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([n1, n0])))?;
        let (&extra_len, rest) = rest.split_first_chunk()?;
        let extra = rest.get(..usize::from(u16::from_be_bytes(extra_len)))?;
        let node = parse_name(name).filter(|_| extra.len() <= MAX_SYMBOL).map(|name| Node {
            name,
            port: u16::from_be_bytes([p1, p0]),
            kind,
            protocol,
            highest,
            lowest: u16::from_be_bytes([l1, l0]),
            extra: extra.to_vec(),
        });
        Some(node.map_or(Self::BadAlive2 { highest }, Self::Alive2))
    }
}

/// UTF-8 without control characters, which would break the lines of the answer to NAMES.
fn parse_name(bytes: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(bytes).ok()?;
    let chars = name.chars().count();
    let valid = (1..=MAX_CHARS).contains(&chars) && !name.chars().any(char::is_control);
    valid.then(|| name.to_owned())
}

/// `creation` is `None` when the name is taken. Nodes of version 6 get the answer with 32 bits.
pub(super) fn alive2_answer(highest: u16, creation: Option<u32>) -> Vec<u8> {
    let result = u8::from(creation.is_none());
    let creation = creation.unwrap_or(99);
    if highest >= 6 {
        [&[118, result], creation.to_be_bytes().as_slice()].concat()
    } else {
        // 16 bits, of which such nodes use two: 1 to 3.
        let [_, _, _, low] = (creation % 3 + 1).to_be_bytes();
        vec![121, result, 0, low]
    }
}

pub(super) fn port2_answer(node: Option<&Node>) -> Vec<u8> {
    let Some(node) = node else { return vec![119, 1] };
    let mut out = vec![119, 0];
    out.extend_from_slice(&node.port.to_be_bytes());
    out.extend_from_slice(&[node.kind, node.protocol]);
    out.extend_from_slice(&node.highest.to_be_bytes());
    out.extend_from_slice(&node.lowest.to_be_bytes());
    put_short(&mut out, node.name.as_bytes());
    put_short(&mut out, &node.extra);
    out
}

/// The lines are read by `erl_epmd.erl` and by people.
pub(super) fn names_answer<'a>(port: u16, nodes: impl Iterator<Item = &'a Node>) -> Vec<u8> {
    let mut out = u32::from(port).to_be_bytes().to_vec();
    for node in nodes {
        out.extend_from_slice(format!("name {} at port {}\n", node.name, node.port).as_bytes());
    }
    out
}

/// Instead of a file descriptor there is the number of the registration.
pub(super) fn dump_answer<'a>(port: u16, nodes: impl Iterator<Item = (u64, &'a Node)>) -> Vec<u8> {
    let mut out = u32::from(port).to_be_bytes().to_vec();
    for (id, node) in nodes {
        let line = format!("active name     <{}> at port {}, fd = {id}\n", node.name, node.port);
        out.extend_from_slice(line.as_bytes());
    }
    out
}

/// Both halves were limited to [`MAX_SYMBOL`] when they were parsed.
fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}
