//! Cookies: the secret that nodes of a cluster share.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most characters a cookie may have: it is an atom.
const MAX_COOKIE: usize = 255;

/// The most bytes read from a cookie file.
const MAX_FILE: u64 = 4096;

/// The shared secret of a cluster.
///
/// A cookie is an atom whose characters are all below U+0100: OTP hashes it as a list of bytes
/// (`gen_digest` in `dist_util.erl`) and fails on any other. It is never printed: `Debug` is
/// redacted and there is no `Display`.
///
/// ```
/// let cookie = dist::Cookie::new("secret")?;
/// assert_eq!(format!("{cookie:?}"), "Cookie(..)");
/// # Ok::<(), dist::CookieError>(())
/// ```
#[derive(Clone)]
pub struct Cookie(Arc<str>);

impl Cookie {
    /// Takes `value` as it is.
    ///
    /// # Errors
    ///
    /// When it is empty, has more than 255 characters, or one above U+00FF.
    pub fn new(value: impl AsRef<str>) -> Result<Self, CookieError> {
        let value = value.as_ref();
        if value.is_empty() {
            return Err(CookieError::Empty);
        }
        if value.chars().count() > MAX_COOKIE {
            return Err(CookieError::TooLong);
        }
        if value.chars().any(|c| u32::from(c) > 0xff) {
            return Err(CookieError::NotLatin1);
        }
        Ok(Self(Arc::from(value)))
    }

    /// Reads the cookie from a file, by the rules of OTP's `auth.erl`: printable ASCII, and after
    /// it nothing but newlines and spaces.
    ///
    /// OTP refuses a file that others than its owner may access; mounted secrets often are such, so
    /// here it is taken with a [`CookieWarning`] for the caller to show. Nothing is created.
    ///
    /// # Errors
    ///
    /// When the file is missing, not a regular file, not readable, empty, or no cookie.
    pub fn from_file(path: impl AsRef<Path>) -> Result<(Self, Option<CookieWarning>), CookieError> {
        let path = path.as_ref();
        read(path).map_err(|source| source.at(path))
    }

    /// Reads the cookie that OTP nodes of this user have: `~/.erlang.cookie`, or else
    /// `$XDG_CONFIG_HOME/erlang/.erlang.cookie` (`~/.config` without the variable).
    ///
    /// OTP creates the file when it is missing; this does not.
    ///
    /// # Errors
    ///
    /// As [`from_file`](Self::from_file); and when `HOME` is not set.
    pub fn from_home() -> Result<(Self, Option<CookieWarning>), CookieError> {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
        let config = std::env::var_os("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty());
        Self::from_dirs(home.map(PathBuf::from).as_deref(), config.map(PathBuf::from).as_deref())
    }

    /// The cookie itself. Do not print it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The bytes that are hashed: one for each character.
    pub(crate) fn latin1(&self) -> impl Iterator<Item = u8> {
        self.0.chars().filter_map(|c| u8::try_from(u32::from(c)).ok())
    }

    fn from_dirs(
        home: Option<&Path>,
        config: Option<&Path>,
    ) -> Result<(Self, Option<CookieWarning>), CookieError> {
        let home = home.ok_or(CookieError::NoHome)?;
        let first = home.join(".erlang.cookie");
        let second = config
            .map_or_else(|| home.join(".config"), Path::to_path_buf)
            .join("erlang")
            .join(".erlang.cookie");
        match Self::from_file(&first) {
            Err(CookieError::Missing { .. }) if second.exists() => Self::from_file(second),
            other => other,
        }
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(..)")
    }
}

/// Something about a cookie file that its owner should know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieWarning {
    /// The file can be accessed by its group or by others.
    Accessible {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl fmt::Display for CookieWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accessible { path, mode } => write!(
                f,
                "the cookie file {} can be accessed by others than its owner (mode {mode:03o}); \
                 chmod 400 it",
                path.display()
            ),
        }
    }
}

/// Why there is no cookie.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// The value is empty.
    #[error("the cookie is empty")]
    Empty,
    /// More than 255 characters.
    #[error("the cookie has more than {MAX_COOKIE} characters")]
    TooLong,
    /// A character that OTP cannot hash.
    #[error("the cookie has a character above U+00FF, which no node can hash")]
    NotLatin1,
    /// There is no such file.
    #[error("there is no cookie file {path}", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("failed to read the cookie file {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The path is a folder, a device or the like.
    #[error("the cookie file {path} is not a regular file", path = path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file holds nothing but line ends.
    #[error("the cookie file {path} is empty", path = path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// The file holds something else than one line of printable ASCII of at most 255 characters.
    #[error("the cookie file {path} does not hold a cookie: one line of printable ASCII, at most {MAX_COOKIE} characters", path = path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
    },
    /// Neither a home folder to look in.
    #[error("HOME is not set, so there is no ~/.erlang.cookie to read")]
    NoHome,
}

/// What can go wrong with a file, before the path is added.
enum FileProblem {
    Io(io::Error),
    NotAFile,
    Empty,
    Bad,
}

impl FileProblem {
    fn at(self, path: &Path) -> CookieError {
        let path = path.to_path_buf();
        match self {
            Self::Io(e) if e.kind() == io::ErrorKind::NotFound => CookieError::Missing { path },
            Self::Io(e) => CookieError::Unreadable { path, source: Arc::new(e) },
            Self::NotAFile => CookieError::NotAFile { path },
            Self::Empty => CookieError::EmptyFile { path },
            Self::Bad => CookieError::BadFile { path },
        }
    }
}

impl From<io::Error> for FileProblem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn read(path: &Path) -> Result<(Cookie, Option<CookieWarning>), FileProblem> {
    // Asked before opening: opening a named pipe would wait for its writer.
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(FileProblem::NotAFile);
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok((parse(&bytes)?, accessible(path, &meta)))
}

/// `check_cookie` of `auth.erl`: spaces count before the line end and are ignored after it.
fn parse(bytes: &[u8]) -> Result<Cookie, FileProblem> {
    let end = bytes.iter().position(|b| !matches!(b, b' '..=b'~')).unwrap_or(bytes.len());
    let (cookie, rest) = bytes.split_at(end);
    if rest.iter().any(|b| !matches!(b, b'\n' | b'\r' | b' ')) {
        return Err(FileProblem::Bad);
    }
    let text = std::str::from_utf8(cookie).map_err(|_| FileProblem::Bad)?;
    if text.is_empty() {
        return Err(FileProblem::Empty);
    }
    Cookie::new(text).map_err(|_| FileProblem::Bad)
}

#[cfg(unix)]
fn accessible(path: &Path, meta: &std::fs::Metadata) -> Option<CookieWarning> {
    use std::os::unix::fs::PermissionsExt;

    let mode = meta.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| CookieWarning::Accessible { path: path.to_path_buf(), mode })
}

#[cfg(not(unix))]
fn accessible(_: &Path, _: &std::fs::Metadata) -> Option<CookieWarning> {
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[cfg(unix)]
    fn chmod(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn values() {
        assert_eq!(Cookie::new("secret").unwrap().expose(), "secret");
        assert!(matches!(Cookie::new(""), Err(CookieError::Empty)));
        assert!(Cookie::new("x".repeat(255)).is_ok());
        assert!(matches!(Cookie::new("x".repeat(256)), Err(CookieError::TooLong)));
        assert!(matches!(Cookie::new("\u{20ac}"), Err(CookieError::NotLatin1)));
        assert_eq!(Cookie::new("a\u{e9}").unwrap().latin1().collect::<Vec<_>>(), [b'a', 0xe9]);
    }

    #[test]
    fn is_never_printed() {
        let cookie = Cookie::new("hush-hush").unwrap();
        assert!(!format!("{cookie:?} {:?}", Some(&cookie)).contains("hush"));
    }

    #[test]
    fn the_end_of_a_file_is_trimmed_as_otp_does() {
        for (content, cookie) in [
            ("abc", "abc"),
            ("abc\n", "abc"),
            ("abc\r\n", "abc"),
            ("abc \n\n \r\n", "abc "),
            ("a b\n", "a b"),
        ] {
            assert_eq!(parse(content.as_bytes()).ok().unwrap().expose(), cookie, "{content:?}");
        }
        for content in ["abc\ndef", "\nabc", "a\tb", "\u{e9}", "a\0"] {
            assert!(matches!(parse(content.as_bytes()), Err(FileProblem::Bad)), "{content:?}");
        }
        for content in ["", "\n", "\r\n  "] {
            assert!(matches!(parse(content.as_bytes()), Err(FileProblem::Empty)), "{content:?}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cookie");
        assert!(matches!(Cookie::from_file(&path), Err(CookieError::Missing { .. })));
        assert!(!path.exists(), "nothing is created");
        assert!(matches!(Cookie::from_file(dir.path()), Err(CookieError::NotAFile { .. })));

        fs::write(&path, "").unwrap();
        assert!(matches!(Cookie::from_file(&path), Err(CookieError::EmptyFile { .. })));
        fs::write(&path, "a\u{e9}").unwrap();
        assert!(matches!(Cookie::from_file(&path), Err(CookieError::BadFile { .. })));
        fs::write(&path, vec![b'a'; 10_000]).unwrap();
        assert!(matches!(Cookie::from_file(&path), Err(CookieError::BadFile { .. })));

        fs::write(&path, "secret\n").unwrap();
        chmod(&path, 0o600);
        let (cookie, warning) = Cookie::from_file(&path).unwrap();
        assert_eq!((cookie.expose(), warning), ("secret", None));
        chmod(&path, 0o640);
        let (_, warning) = Cookie::from_file(&path).unwrap();
        let warning = warning.unwrap();
        assert_eq!(warning, CookieWarning::Accessible { path: path.clone(), mode: 0o640 });
        assert!(warning.to_string().contains("mode 640"), "{warning}");
    }

    #[test]
    fn the_home_file_comes_before_the_configuration_folder() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        assert!(matches!(Cookie::from_dirs(None, None), Err(CookieError::NoHome)));
        let error = Cookie::from_dirs(Some(home), None).unwrap_err();
        assert!(error.to_string().ends_with("/.erlang.cookie"), "{error}");

        fs::create_dir_all(home.join(".config/erlang")).unwrap();
        fs::write(home.join(".config/erlang/.erlang.cookie"), "second").unwrap();
        assert_eq!(Cookie::from_dirs(Some(home), None).unwrap().0.expose(), "second");

        fs::create_dir_all(home.join("xdg/erlang")).unwrap();
        fs::write(home.join("xdg/erlang/.erlang.cookie"), "third").unwrap();
        let xdg = home.join("xdg");
        assert_eq!(Cookie::from_dirs(Some(home), Some(&xdg)).unwrap().0.expose(), "third");

        fs::write(home.join(".erlang.cookie"), "first").unwrap();
        assert_eq!(Cookie::from_dirs(Some(home), Some(&xdg)).unwrap().0.expose(), "first");
    }
}
