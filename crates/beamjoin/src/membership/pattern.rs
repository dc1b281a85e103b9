//! Which names may be connected with.

use std::str::FromStr;

use dist::NodeName;

/// A pattern for whole node names, in which `*` stands for any characters, none included.
///
/// ```
/// use beamjoin::NamePattern;
///
/// let pattern: NamePattern = "app-*@10.0.*".parse()?;
/// assert!(pattern.matches(&"app-7@10.0.3.4".parse()?));
/// assert!(!pattern.matches(&"app-7@192.168.0.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(String);

impl NamePattern {
    /// Whether one of these matches a name; any name if there are none. For
    /// [`NodeBuilder::allow`](dist::NodeBuilder::allow).
    pub fn any_of(patterns: Vec<Self>) -> impl Fn(&NodeName) -> bool + Send + Sync + 'static {
        move |name| patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether the whole name is as the pattern says; upper and lower case differ, as they do in names.
    pub fn matches(&self, name: &NodeName) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| name.as_str().strip_prefix(first))
        else {
            return false;
        };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            // The first place leaves the most for the parts that follow.
            let Some((_, after)) = rest.split_once(part) else { return false };
            rest = after;
        }
        true
    }
}

impl FromStr for NamePattern {
    type Err = NamePatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits =
            !text.is_empty() && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(NamePatternError) }
    }
}

/// A pattern that no name can match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pattern is 1 to 255 characters of a node name, with * for any of them")]
pub struct NamePatternError;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<NamePattern>().unwrap().matches(&name.parse().unwrap())
    }

    #[test]
    fn stars_stand_for_any_characters() {
        for pattern in ["a@b", "*", "a*", "*b", "*@*", "a*@b", "a@*b*", "**a**@b", "*a@b*"] {
            assert!(matches(pattern, "a@b"), "{pattern}");
        }
        for pattern in ["a", "a@", "@b", "A@b", "a@b@", "*c", "a*a@b", "a@b*b", "c*"] {
            assert!(!matches(pattern, "a@b"), "{pattern}");
        }
        assert!(matches("a*ab@h", "aab@h") && matches("*ab*ab@h", "xababab@h"));
    }

    #[test]
    fn what_no_name_can_match_is_refused() {
        for pattern in ["", "a b@h", "ä*", &"x".repeat(256)] {
            assert_eq!(pattern.parse::<NamePattern>(), Err(NamePatternError));
        }
    }

    proptest! {
        #[test]
        fn a_name_with_parts_replaced_by_stars_matches(
            name in "[a-c]{1,8}@[a-c]{1,8}",
            cuts in prop::collection::vec((0..17_usize, 0..17_usize), 0..3),
        ) {
            let mut pattern = name.clone();
            for (from, to) in cuts {
                let (from, to) = (from.min(to).min(pattern.len()), from.max(to).min(pattern.len()));
                pattern.replace_range(from..to, "*");
            }
            prop_assert!(matches(&pattern, &name), "{} {}", pattern, name);
        }
    }
}
