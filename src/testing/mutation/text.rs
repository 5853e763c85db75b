//! The text of one policy, taken apart: its words, and what they are part of.
//!
//! Only policies that Cedar has parsed come here, so this needs to know no grammar
//! beyond brackets: where it were to be mistaken, what is made with it does not
//! parse and is not counted.

use std::ops::Range;

/// A word, sign or literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// As written; a text with its quotes.
    pub text: &'a str,
    /// Its bytes.
    pub span: Range<usize>,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name, or a word of the language.
    Word,
    /// `"..."`
    Text,
    /// Digits.
    Number,
    /// Everything else, such as `<=`.
    Sign,
}

/// A `when` or `unless` with its braces.
#[derive(Debug, Clone)]
pub struct Condition {
    /// `when` or `unless`.
    pub word: Range<usize>,
    /// From that word to the closing brace.
    pub whole: Range<usize>,
    /// The numbers of the tokens between the braces.
    pub body: Range<usize>,
}

/// The parts of a policy.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    /// The whole text.
    pub text: &'a str,
    /// All tokens.
    pub tokens: Vec<Token<'a>>,
    /// The number of the token `permit` or `forbid`.
    pub effect: usize,
    /// The tokens of the constraints on principal, action and resource.
    pub scope: Vec<Range<usize>>,
    /// The conditions, in order.
    pub conditions: Vec<Condition>,
}

impl<'a> Parts<'a> {
    /// Takes a policy apart; `None` when it is none.
    pub fn of(text: &'a str) -> Option<Self> {
        let tokens = tokens(text);
        let mut at = 0;
        while tokens.get(at)?.text == "@" {
            at += 2;
            if tokens.get(at)?.text == "(" {
                at = closing(&tokens, at)? + 1;
            }
        }
        let effect = at;
        let open = effect + 1;
        let close = closing(&tokens, open)?;
        let scope = items(&tokens, open + 1..close);
        let mut conditions = Vec::new();
        at = close + 1;
        while let Some(word) = tokens.get(at)
            && matches!(word.text, "when" | "unless")
        {
            let close = closing(&tokens, at + 1)?;
            conditions.push(Condition {
                word: word.span.clone(),
                whole: word.span.start..tokens.get(close)?.span.end,
                body: at + 2..close,
            });
            at = close + 1;
        }
        Some(Self {
            text,
            tokens,
            effect,
            scope,
            conditions,
        })
    }

    /// The bytes of these tokens, without what is around them.
    pub fn span(&self, tokens: &Range<usize>) -> Option<Range<usize>> {
        let tokens = self.tokens.get(tokens.clone())?;
        Some(tokens.first()?.span.start..tokens.last()?.span.end)
    }

    /// The text of a token; empty beyond the last.
    pub fn word(&self, number: usize) -> &'a str {
        self.tokens.get(number).map_or("", |token| token.text)
    }

    /// The text of the token before this one; empty before the first.
    pub fn word_before(&self, number: usize) -> &'a str {
        number.checked_sub(1).map_or("", |before| self.word(before))
    }

    /// The items of the list whose bracket is this token, each as its tokens.
    pub fn list(&self, open: usize) -> Option<Vec<Range<usize>>> {
        let close = closing(&self.tokens, open)?;
        Some(items(&self.tokens, open + 1..close))
    }
}

/// The parts between commas, nested brackets kept whole; empty ones are none.
fn items(tokens: &[Token<'_>], within: Range<usize>) -> Vec<Range<usize>> {
    let mut items = Vec::new();
    let (mut depth, mut start) = (0_usize, within.start);
    for number in within.clone() {
        match tokens.get(number).map_or("", |token| token.text) {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                items.push(start..number);
                start = number + 1;
            }
            _ => {}
        }
    }
    items.push(start..within.end);
    items.retain(|item| !item.is_empty());
    items
}

/// The number of the bracket that closes the one of this number.
fn closing(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (number, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return (number > open).then_some(number);
        }
    }
    None
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(first) = rest.chars().next()
    {
        let (kind, length) = if first.is_whitespace() {
            (None, first.len_utf8())
        } else if rest.starts_with("//") {
            (None, rest.find('\n').unwrap_or(rest.len()))
        } else if first == '"' {
            (Some(Kind::Text), text_length(rest))
        } else if first.is_ascii_digit() {
            (Some(Kind::Number), run(rest, |c| c.is_ascii_digit()))
        } else if is_word(first) {
            (Some(Kind::Word), run(rest, is_word))
        } else {
            (Some(Kind::Sign), sign_length(rest, first))
        };
        let span = at..at + length;
        if let Some(kind) = kind
            && let Some(text) = text.get(span.clone())
        {
            tokens.push(Token { kind, text, span });
        }
        at += length;
    }
    tokens
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !belongs(letter)).unwrap_or(text.len())
}

fn sign_length(text: &str, first: char) -> usize {
    let double = ["==", "!=", "<=", ">=", "&&", "||", "::"];
    if double.iter().any(|sign| text.starts_with(sign)) {
        2
    } else {
        first.len_utf8()
    }
}

/// The bytes of a text with both quotes.
fn text_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::Parts;

    #[test]
    fn a_policy_is_taken_apart() {
        let text = "@id(\"a \\\" ) when {\") @flag // permit (\npermit (principal is A in A::\"x,\", action in [B::\"1\", B::\"2\"], resource)\nwhen { {a: [1, 2]}.a == [1] } unless { false };";
        let parts = Parts::of(text).unwrap();
        assert_eq!(parts.word(parts.effect), "permit");
        let shown: Vec<&str> = parts
            .scope
            .iter()
            .map(|part| &text[parts.span(part).unwrap()])
            .collect();
        assert_eq!(
            shown,
            [
                "principal is A in A::\"x,\"",
                "action in [B::\"1\", B::\"2\"]",
                "resource"
            ]
        );
        let bodies: Vec<&str> = parts
            .conditions
            .iter()
            .map(|condition| &text[parts.span(&condition.body).unwrap()])
            .collect();
        assert_eq!(bodies, ["{a: [1, 2]}.a == [1]", "false"]);
        assert_eq!(&text[parts.conditions[1].whole.clone()], "unless { false }");
    }

    #[test]
    fn what_is_no_policy_is_none() {
        for text in ["", "@id", "permit", "permit (", "permit (principal) when {"] {
            assert!(Parts::of(text).is_none(), "{text}");
        }
    }
}
