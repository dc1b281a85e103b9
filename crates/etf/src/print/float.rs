use std::fmt::{self, Display, Formatter};

/// A float as `float_to_list(F, [short])` prints it: the fewest digits that read back as the same number, in the shorter of
/// the two notations.
pub(super) struct Short(pub(super) f64);

/// From 2^53 on not every integer is a float, and OTP always uses the scientific notation.
const SCIENTIFIC: f64 = 9_007_199_254_740_992.0;

impl Display for Short {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if !value.is_finite() || value == 0.0 {
            return write!(f, "{value:?}");
        }
        // "d.ddde-dd" or "de-dd"
        let scientific = format!("{:e}", value.abs());
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        let digits = round_to_even(value.abs(), digits, exponent);
        let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
        // The point stands after so many digits.
        let place = exponent.parse::<i32>().unwrap_or(0) + 1;
        f.write_str(if value.is_sign_negative() { "-" } else { "" })?;

        let (first, rest) = digits.split_at_checked(1).unwrap_or_default();
        let scientific_cost =
            i32::try_from(exponent.len()).unwrap_or(0) + if length == 1 { 3 } else { 2 };
        let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
        if value.abs() < SCIENTIFIC {
            if place <= 0 && 2 - place <= scientific_cost {
                return write!(f, "0.{}{digits}", zeros(-place));
            }
            if place >= length && place - length + 2 <= scientific_cost {
                return write!(f, "{digits}{}.0", zeros(place - length));
            }
            if (1..length).contains(&place) {
                let (whole, fraction) = digits
                    .split_at_checked(usize::try_from(place).unwrap_or(0))
                    .unwrap_or_default();
                return write!(f, "{whole}.{fraction}");
            }
        }
        write!(f, "{first}.{}e{exponent}", if rest.is_empty() { "0" } else { rest })
    }
}

/// Where the number lies exactly between two shortest forms, OTP takes the even digit and Rust the greater.
fn round_to_even(value: f64, digits: String, exponent: &str) -> String {
    let Some(odd @ b'1' | odd @ b'3' | odd @ b'5' | odd @ b'7' | odd @ b'9') =
        digits.bytes().last()
    else {
        return digits;
    };
    let mut lower = digits.clone();
    lower.pop();
    lower.push(char::from(odd - 1));
    let (first, rest) = lower.split_at_checked(1).unwrap_or_default();
    if format!("{first}.{rest}e{exponent}").parse() != Ok(value) {
        return digits;
    }
    // No float has more than 767 digits.
    let exact = format!("{value:.767e}");
    let exact = exact
        .split_once('e')
        .map_or("", |(mantissa, _)| mantissa)
        .chars()
        .filter(char::is_ascii_digit);
    let halfway = lower.chars().chain(['5']).chain(std::iter::repeat('0')).take(768);
    if exact.eq(halfway) { lower } else { digits }
}

#[cfg(test)]
mod tests {
    use super::Short;

    /// Printed by OTP 25.
    #[test]
    fn chooses_the_notation_as_otp_does() {
        let printed = "1.0 1.0e5 1.5e3 12345.0 0.1 0.001 0.0001 1.23e-4 0.001234 123456789.0 1234567890123.0 \
                       1.0e15 1.0e16 9.007199254740992e15 9007199254740991.0 1.0e21 1.0e22 1.0e23 123456.7 \
                       1000000.5 2.9802322387695312e-8 5.0e-324 1.7976931348623157e308 -0.0 0.0 100.0 1.0e3 1.0e4 0.01 0.02 0.012";
        for text in printed.split_whitespace() {
            let value: f64 = text.parse().unwrap();
            assert_eq!(Short(value).to_string(), text);
        }
    }
}
