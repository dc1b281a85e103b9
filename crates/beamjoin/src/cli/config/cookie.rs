//! The cookie, never from the command line, and the channel.

use beamjoin::ChannelName;
use dist::{Cookie, CookieError, CookieWarning};
use tracing::warn;

use super::{Key, Layers};
use crate::cli::exit::Failure;

/// From `--cookie-file`, `BEAMJOIN_COOKIE`, `RELEASE_COOKIE`, `cookie_file` in the file, or else `~/.erlang.cookie`.
pub(crate) fn cookie(layers: &Layers) -> Result<Cookie, Failure> {
    let (cookie, warning) = cookie_and_warning(layers)?;
    if let Some(warning) = warning {
        warn!("{warning}");
    }
    Ok(cookie)
}

/// As [`cookie`], for a caller that tells the warning itself.
pub(crate) fn cookie_and_warning(
    layers: &Layers,
) -> Result<(Cookie, Option<CookieWarning>), Failure> {
    // A value in the environment comes before the file's cookie_file, and not before the flag.
    let file = layers.get(&Key::COOKIE_FILE)?;
    if !file.as_ref().is_some_and(|setting| setting.source.is_flag()) {
        for name in ["BEAMJOIN_COOKIE", "RELEASE_COOKIE"] {
            if let Some(value) = layers.variable_text(name)? {
                let cookie = Cookie::new(&value)
                    .map_err(|error| Failure::config(format!("invalid {name}: {error}")))?;
                return Ok((cookie, None));
            }
        }
    }
    match &file {
        Some(setting) => Cookie::from_file(&setting.text).map_err(|error| setting.invalid(error)),
        None => Cookie::from_home().map_err(none_at_all),
    }
}

fn none_at_all(error: CookieError) -> Failure {
    Failure::config(format!(
        "no cookie: {error}; give --cookie-file, or set BEAMJOIN_COOKIE or RELEASE_COOKIE, to the cookie of the \
         Elixir nodes"
    ))
}

/// The channel: `channel_name`, or else as libcluster_postgres derives it from the cookie, which is asked for only then.
pub(crate) fn channel(
    layers: &Layers,
    cookie: impl FnOnce() -> Result<Cookie, Failure>,
) -> Result<ChannelName, Failure> {
    let channel = match layers.parse(&Key::CHANNEL_NAME, ChannelName::explicit)? {
        Some(channel) => channel,
        None => ChannelName::from_cookie(cookie()?.expose()).map_err(Failure::config)?,
    };
    for warning in channel.warnings() {
        warn!("{warning}");
    }
    Ok(channel)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::cli::exit::{CONFIG, USAGE};

    fn written(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn layers(flag: Option<&str>, environment: &[(&str, &str)], file: &str) -> Layers {
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        Layers::new([(&Key::COOKIE_FILE, flag.map(str::to_owned))], environment)
            .with_file(Some(written(file).path()))
            .unwrap()
    }

    #[test]
    fn the_flag_then_our_variable_then_the_releases_then_the_file() {
        let (from_flag, from_file) = (written("flag\n"), written("file\n"));
        let flag = from_flag.path().to_str().unwrap();
        let file = format!("cookie_file = {:?}", from_file.path());
        let both = [("RELEASE_COOKIE", "release"), ("BEAMJOIN_COOKIE", "ours")];
        let text = |layers: Layers| cookie(&layers).unwrap().expose().to_owned();
        assert_eq!(text(layers(Some(flag), &both, &file)), "flag");
        assert_eq!(text(layers(None, &both, &file)), "ours");
        assert_eq!(text(layers(None, &both[..1], &file)), "release");
        assert_eq!(text(layers(None, &[], &file)), "file");
    }

    #[test]
    fn a_bad_cookie_says_where_it_came_from() {
        let error = cookie(&layers(Some("/nowhere/cookie"), &[], "")).unwrap_err();
        assert_eq!(error.code, USAGE);
        assert!(
            error.to_string().starts_with("invalid --cookie-file \"/nowhere/cookie\": "),
            "{error}"
        );
        let long = "hush".repeat(100);
        let error = cookie(&layers(None, &[("BEAMJOIN_COOKIE", &long)], "")).unwrap_err();
        assert_eq!((error.code, error.to_string().contains("hush")), (CONFIG, false));
    }

    #[test]
    fn the_channel_is_given_or_derived() {
        let derived =
            channel(&layers(None, &[], ""), || Ok(Cookie::new("my-cookie").unwrap())).unwrap();
        assert_eq!(derived.as_str(), "my_cookie");
        let given = [("BEAMJOIN_CHANNEL_NAME", "cluster")];
        let given = channel(&layers(None, &given, ""), || panic!("not needed")).unwrap();
        assert_eq!(given.as_str(), "cluster");
        let error =
            channel(&layers(None, &[], ""), || Ok(Cookie::new("gehäim").unwrap())).unwrap_err();
        assert_eq!(error.code, CONFIG);
        assert!(error.to_string().contains("set channel_name"), "{error}");
    }
}
