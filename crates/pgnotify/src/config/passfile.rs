//! `~/.pgpass` (PostgreSQL manual, 34.16 "The Password File").

use std::path::Path;

/// A password file is small; more than this is not read.
const MAX_BYTES: u64 = 1 << 20;

/// Whose password is looked for.
pub(super) struct Key<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) username: &'a str,
}

/// The password of the first line that fits. A file that is missing has none; one that others can
/// read is not used, with a warning, as in libpq.
pub(super) fn look_up(path: &Path, key: &Key<'_>) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        tracing::warn!(path = %path.display(), "password file is not a plain, small file: not used");
        return None;
    }
    if open_to_others(&metadata) {
        tracing::warn!(path = %path.display(), "password file can be read by others: not used (chmod 0600)");
        return None;
    }
    find(&std::fs::read_to_string(path).ok()?, key)
}

#[cfg(unix)]
fn open_to_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

/// Lines are `host:port:database:user:password`; `*` fits everything, a backslash escapes.
fn find(text: &str, key: &Key<'_>) -> Option<String> {
    let port = key.port.to_string();
    let wanted = [key.host, &port, key.database, key.username];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let (fields, password) = split(line)?;
        let fits = fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        fits.then_some(password)
    })
}

/// The four fields before the password, and the password.
fn split(line: &str) -> Option<(Vec<String>, String)> {
    let mut fields = vec![String::new()];
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == ':' && fields.len() < 5 {
            fields.push(String::new());
        } else {
            let c = if c == '\\' { rest.next()? } else { c };
            fields.last_mut()?.push(c);
        }
    }
    let password = fields.pop()?;
    (fields.len() == 4).then_some((fields, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key<'_> = Key { host: "db", port: 5432, database: "prod", username: "app" };

    #[test]
    fn the_first_line_that_fits() {
        let text =
            "# db:5432:prod:app:comment\nother:*:*:*:a\ndb:5432:*:app:b:c\\:d\\\\\n*:*:*:*:e";
        assert_eq!(find(text, &KEY).as_deref(), Some("b:c:d\\"));
        assert_eq!(find("db:1:prod:app:x", &KEY), None);
        assert_eq!(find("db:5432:prod", &KEY), None);
        assert_eq!(find("*:*:*:*:e", &KEY).as_deref(), Some("e"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "*:*:*:*:secret\n").unwrap();
        let mode = |mode| std::fs::set_permissions(file.path(), PermissionsExt::from_mode(mode));
        mode(0o600).unwrap();
        assert_eq!(look_up(file.path(), &KEY).as_deref(), Some("secret"));
        mode(0o640).unwrap();
        assert_eq!(look_up(file.path(), &KEY), None);
    }

    #[test]
    fn a_missing_file_has_no_password() {
        assert_eq!(look_up(Path::new("/nonexistent/pgpass"), &KEY), None);
    }
}
