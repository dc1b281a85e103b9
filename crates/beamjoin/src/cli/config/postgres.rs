//! The way to Postgres, in libcluster_postgres' words, as a URL, or in libpq's variables.

use pgnotify::{Config, ConfigError, SslMode};

use super::{Key, Layers, Port, layers::Setting};
use crate::cli::exit::Failure;

/// Puts together what is given as words and as a URL.
///
/// A word counts before a URL that was given in the same place or in a later one, and after a URL that was given in an
/// earlier one: with `--url` on the command line, `BEAMJOIN_PASSWORD` fills in a password that the URL lacks. Last come
/// those of libpq's variables that have no word here.
pub(crate) fn postgres(layers: &Layers) -> Result<Config, Failure> {
    let url = layers.get(&Key::URL)?;
    let counts_first = |setting: &Setting| {
        url.as_ref().is_none_or(|url| setting.source.precedence() <= url.source.precedence())
    };
    let (mut before, mut after) = (Config::new(), Config::new());
    let mut add = |setting: &Setting, apply: Apply| {
        let config = if counts_first(setting) { &mut before } else { &mut after };
        *config = apply(std::mem::take(config), setting)?;
        Ok::<_, Failure>(())
    };
    if let Some(place) = place(layers)? {
        add(&place, at_place)?;
    }
    for (key, apply) in WORDS {
        if let Some(setting) = layers.get(key)? {
            add(&setting, apply)?;
        }
    }
    let url = match &url {
        Some(url) => Config::from_url(&url.text).map_err(|error| url.invalid(error))?,
        None => Config::new(),
    };
    let libpq = Config::from_env().map_err(Failure::config)?;
    Ok(before.or(url).or(after).or(libpq))
}

/// A host or the folder of a socket; both in one place means the socket, as in Postgrex.
fn place(layers: &Layers) -> Result<Option<Setting>, Failure> {
    let both = [layers.get(&Key::SOCKET_DIR)?, layers.get(&Key::HOSTNAME)?];
    Ok(both.into_iter().flatten().min_by_key(|setting| setting.source.precedence()))
}

fn at_place(config: Config, setting: &Setting) -> Result<Config, Failure> {
    if setting.key.name == Key::SOCKET_DIR.name {
        return Ok(config.socket_dir(&setting.text));
    }
    Ok(setting.text.split(',').fold(config, Config::host))
}

type Apply = fn(Config, &Setting) -> Result<Config, Failure>;

const WORDS: [(&Key, Apply); 7] = [
    (&Key::PORT, |config, setting| {
        setting.text.split(',').try_fold(config, |config, port| {
            let Port(port) = port.trim().parse().map_err(|error| setting.invalid(error))?;
            Ok(config.port(port))
        })
    }),
    (&Key::USERNAME, |config, setting| Ok(config.username(&setting.text))),
    (&Key::PASSWORD, |config, setting| Ok(config.password(&setting.text))),
    (&Key::DATABASE, |config, setting| Ok(config.database(&setting.text))),
    (&Key::SSL, |config, setting| {
        let mode = ssl_mode(&setting.text).map_err(|error| setting.invalid(error))?;
        Ok(config.ssl_mode(mode))
    }),
    (&Key::SSL_ROOT_CERT, |config, setting| match setting.text.as_str() {
        // libpq's word for the certificates of the operating system.
        "system" => Config::from_url("sslrootcert=system")
            .map(|system| system.or(config))
            .map_err(|error| setting.invalid(error)),
        path => Ok(config.ssl_root_cert(path)),
    }),
    (&Key::PARAMETERS, |config, setting| {
        let pairs = setting.text.lines();
        pairs.map(str::trim).filter(|pair| !pair.is_empty()).try_fold(config, |config, pair| {
            match pair.split_once('=') {
                Some((name, value)) if !name.trim().is_empty() => {
                    Ok(config.parameter(name.trim(), value.trim()))
                }
                _ => Err(setting.invalid("a parameter is NAME=VALUE")),
            }
        })
    }),
];

/// libpq's modes, and the `true` and `false` of Elixir's `ssl:`.
fn ssl_mode(text: &str) -> Result<SslMode, String> {
    match text {
        "true" => Ok(SslMode::Require),
        "false" => Ok(SslMode::Disable),
        mode => mode.parse().map_err(|_: ConfigError| {
            "it must be disable, prefer, require, verify-ca, verify-full, true (require) or false (disable)".to_owned()
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use pgnotify::Host;

    use super::*;

    fn layers(flags: &[(&'static Key, &str)], environment: &[(&str, &str)], file: &str) -> Layers {
        let mut written = tempfile::NamedTempFile::new().unwrap();
        written.write_all(file.as_bytes()).unwrap();
        let flags = flags.iter().map(|(key, text)| (*key, Some((*text).to_owned())));
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        Layers::new(flags, environment).with_file(Some(written.path())).unwrap()
    }

    fn server(layers: &Layers) -> (Vec<Host>, Vec<u16>) {
        let config = postgres(layers).unwrap();
        (config.hosts().to_vec(), config.ports().to_vec())
    }

    fn tcp(host: &str) -> Vec<Host> {
        vec![Host::Tcp(host.to_owned())]
    }

    #[test]
    fn words_from_different_places_make_one_server() {
        let words = layers(&[(&Key::PORT, "5433")], &[("PGHOST", "db")], "hostname = 'other'");
        assert_eq!(server(&words), (tcp("db"), vec![5433]));
    }

    #[test]
    fn a_url_counts_before_words_of_later_places_and_after_others() {
        let url = (&Key::URL, "postgres://u@db:6000/x");
        assert_eq!(
            server(&layers(&[url], &[("PGHOST", "pg"), ("PGPORT", "1")], "")),
            (tcp("db"), vec![6000])
        );
        assert_eq!(server(&layers(&[url, (&Key::PORT, "7000")], &[], "")), (tcp("db"), vec![7000]));
        let in_file = layers(&[], &[("PGHOST", "pg")], "url = 'postgres://u@db:6000/x'");
        assert_eq!(server(&in_file).0, tcp("pg"));
    }

    #[test]
    fn a_socket_counts_before_a_host_of_the_same_place() {
        let socket = vec![Host::Unix("/run/pg".into())];
        assert_eq!(server(&layers(&[], &[], "hostname = 'db'\nsocket_dir = '/run/pg'")).0, socket);
        assert_eq!(
            server(&layers(&[(&Key::HOSTNAME, "db")], &[], "socket_dir = '/run/pg'")).0,
            tcp("db")
        );
    }

    #[test]
    fn ssl_takes_both_vocabularies() {
        let mode =
            |text: &str| postgres(&layers(&[(&Key::SSL, text)], &[], "")).map(|c| c.get_ssl_mode());
        assert_eq!(mode("true").unwrap(), SslMode::Require);
        assert_eq!(mode("false").unwrap(), SslMode::Disable);
        assert_eq!(mode("verify-full").unwrap(), SslMode::VerifyFull);
        let error = mode("maybe").unwrap_err().to_string();
        assert!(
            error.starts_with("invalid --ssl \"maybe\": it must be disable, prefer"),
            "{error}"
        );
    }

    #[test]
    fn nothing_secret_is_in_an_error() {
        let flags = [(&Key::URL, "postgres://u:hu sh@db:port/x")];
        let error = postgres(&layers(&flags, &[], "")).unwrap_err().to_string();
        assert!(error.starts_with("invalid --url: ") && !error.contains("sh"), "{error}");
    }

    #[test]
    fn parameters_are_pairs() {
        assert!(postgres(&layers(&[], &[], "[parameters]\nsearch_path = 'a,b'")).is_ok());
        let error = postgres(&layers(&[(&Key::PARAMETERS, "work_mem\n")], &[], "")).unwrap_err();
        assert!(error.to_string().ends_with("a parameter is NAME=VALUE"), "{error}");
    }
}
