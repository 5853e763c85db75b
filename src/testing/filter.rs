//! Which cases are run: globs over names and files.

use std::convert::Infallible;
use std::str::FromStr;

use super::suite::Suite;

/// A pattern for whole texts: `*` stands for any characters, `?` for one, and
/// `\` takes the next one as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Just(char),
    Any,
    Many,
}

impl FromStr for Glob {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let mut pieces = Vec::new();
        let mut chars = text.chars();
        while let Some(next) = chars.next() {
            let piece = match next {
                '*' => Piece::Many,
                '?' => Piece::Any,
                '\\' => Piece::Just(chars.next().unwrap_or('\\')),
                other => Piece::Just(other),
            };
            // Several in a row are one, which keeps matching cheap.
            if piece != Piece::Many || pieces.last() != Some(&Piece::Many) {
                pieces.push(piece);
            }
        }
        Ok(Self { pieces })
    }
}

impl Glob {
    /// Whether the pattern matches the whole text.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut piece, mut at) = (0, 0);
        // The last `*`, and where what comes after it was last tried.
        let mut star: Option<(usize, usize)> = None;
        while let Some(char) = text.get(at) {
            match self.pieces.get(piece) {
                Some(Piece::Many) => {
                    star = Some((piece, at));
                    piece += 1;
                }
                Some(Piece::Any) => (piece, at) = (piece + 1, at + 1),
                Some(Piece::Just(wanted)) if wanted == char => (piece, at) = (piece + 1, at + 1),
                _ => {
                    let Some((many, tried)) = star else {
                        return false;
                    };
                    star = Some((many, tried + 1));
                    (piece, at) = (many + 1, tried + 1);
                }
            }
        }
        let rest = self.pieces.get(piece..).unwrap_or_default();
        rest.iter().all(|piece| *piece == Piece::Many)
    }
}

/// A text as the pattern that matches it alone.
pub fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for char in text.chars() {
        if matches!(char, '*' | '?' | '\\') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}

/// Takes out every case that no pattern matches by its name, or by the name or
/// file of its suite, and the suites that this leaves empty; without a pattern
/// nothing. What stands for cases whose names are not known stays. Returns how many cases were taken out.
pub fn retain(suites: &mut Vec<Suite>, patterns: &[Glob]) -> usize {
    if patterns.is_empty() {
        return 0;
    }
    let is_wanted = |text: &str| patterns.iter().any(|pattern| pattern.matches(text));
    let mut left_out = 0;
    for suite in suites.iter_mut() {
        if is_wanted(&suite.name) || is_wanted(&suite.file) {
            continue;
        }
        let number = |suite: &Suite| suite.cases.len() + suite.broken.len();
        let before = number(suite);
        suite.cases.retain(|case| is_wanted(&case.name));
        suite
            .broken
            .retain(|broken| broken.is_of_many || is_wanted(&broken.name));
        left_out += before - number(suite);
    }
    suites.retain(|suite| !(suite.cases.is_empty() && suite.broken.is_empty()));
    left_out
}

#[cfg(test)]
mod tests {
    use proptest::prop_assert;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::Glob;
    use super::escaped;

    fn glob(text: &str) -> Glob {
        text.parse().unwrap()
    }

    /// The definition, in exponential time.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|skipped| naive(rest, &text[skipped..])),
            ['?', rest @ ..] => text
                .split_first()
                .is_some_and(|(_, text)| naive(rest, text)),
            ['\\', wanted, rest @ ..] | [wanted, rest @ ..] => text
                .split_first()
                .is_some_and(|(char, text)| char == wanted && naive(rest, text)),
        }
    }

    proptest! {
        #[test]
        fn globs_match_as_they_are_defined(pattern in r"[ab?*\\]{0,8}", text in r"[ab?*\\]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                glob(&pattern).matches(&text),
                naive(&chars(&pattern), &chars(&text)),
                "{} {}", pattern, text
            );
        }

        #[test]
        fn what_is_escaped_matches_itself_alone(text in r"[ab?*\\]{0,6}", other in r"[ab?*\\]{0,6}") {
            let pattern = glob(&escaped(&text));
            prop_assert!(pattern.matches(&text));
            prop_assert_eq!(pattern.matches(&other), text == other);
        }
    }

    #[test]
    fn many_stars_do_not_take_long() {
        assert!(!glob(&("*a".repeat(100) + "b")).matches(&"a".repeat(5_000)));
    }
}
