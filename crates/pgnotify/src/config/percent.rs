//! Percent-encoding in URLs.

use super::ConfigError;

/// Replaces each `%xx` by its byte. A plus sign stands for itself, as in libpq.
pub(super) fn decode(text: &str) -> Result<String, ConfigError> {
    let bytes = decode_bytes(text)?;
    String::from_utf8(bytes)
        .map_err(|_| ConfigError::Malformed("percent-encoded text is not UTF-8"))
}

pub(super) fn decode_bytes(text: &str) -> Result<Vec<u8>, ConfigError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = if byte == b'%' {
            let high = rest.next().and_then(hex);
            let low = rest.next().and_then(hex);
            let (Some(high), Some(low)) = (high, low) else {
                return Err(ConfigError::Malformed("% is not followed by two hexadecimal digits"));
            };
            high << 4 | low
        } else {
            byte
        };
        if byte == 0 {
            return Err(ConfigError::Malformed("NUL is not allowed"));
        }
        decoded.push(byte);
    }
    Ok(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_bytes_and_leaves_plus_alone() {
        assert_eq!(decode("a%2Fb%20c+d%c3%A9").unwrap(), "a/b c+dé");
        assert_eq!(decode_bytes("%ff").unwrap(), [0xff]);
    }

    #[test]
    fn refuses_what_is_cut_not_text_or_nul() {
        for bad in ["%", "%2", "%zz", "%ff", "a%00"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
