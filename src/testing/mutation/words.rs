//! Changes of single words of a condition: operators and constants.

use super::Change;
use super::constants;
use super::edit::Edit;
use super::operator::Operator;
use super::scope::without_each;
use super::text::Kind;
use super::text::Parts;

/// All of them.
pub fn changes(parts: &Parts<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    for condition in &parts.conditions {
        for number in condition.body.clone() {
            changes.extend(changes_of(parts, number));
        }
    }
    changes
}

fn changes_of(parts: &Parts<'_>, number: usize) -> Vec<Change> {
    let Some(token) = parts.tokens.get(number) else {
        return Vec::new();
    };
    let one = |operator, by: &str| vec![Change::new(operator, Edit::new(token.span.clone(), by))];
    let is_attribute = parts.word_before(number) == ".";
    match (token.kind, token.text) {
        (Kind::Sign, "&&") => one(Operator::Connective, "||"),
        (Kind::Sign, "||") => one(Operator::Connective, "&&"),
        (Kind::Sign, "[") => set(parts, number),
        (Kind::Sign, sign) => neighbours(sign)
            .iter()
            .flat_map(|by| one(Operator::Compare, by))
            .collect(),
        (Kind::Number, text) => constants::numbers(text)
            .iter()
            .flat_map(|by| one(Operator::Integer, by))
            .collect(),
        (Kind::Word, "true") if !is_attribute => one(Operator::Bool, "false"),
        (Kind::Word, "false") if !is_attribute => one(Operator::Bool, "true"),
        (Kind::Word, "containsAll") if is_attribute => one(Operator::Contains, "containsAny"),
        (Kind::Word, "containsAny") if is_attribute => one(Operator::Contains, "containsAll"),
        (Kind::Word, _) => Vec::new(),
        (Kind::Text, text) => texts(parts, number, text)
            .into_iter()
            .flat_map(|(operator, by)| one(operator, &by))
            .collect(),
    }
}

/// The neighbour that differs where both sides are equal, and the contrary.
fn neighbours(sign: &str) -> &'static [&'static str] {
    match sign {
        "<" => &["<=", ">="],
        "<=" => &["<", ">"],
        ">" => &[">=", "<="],
        ">=" => &[">", "<"],
        "==" => &["!="],
        "!=" => &["=="],
        _ => &[],
    }
}

fn set(parts: &Parts<'_>, open: usize) -> Vec<Change> {
    let items = parts.list(open).filter(|_| !is_index(parts, open));
    without_each(parts, &items.unwrap_or_default())
        .into_iter()
        .map(|edit| Change::new(Operator::Set, edit))
        .collect()
}

/// A bracket after a value is no set but an attribute.
fn is_index(parts: &Parts<'_>, open: usize) -> bool {
    let before = open
        .checked_sub(1)
        .and_then(|before| parts.tokens.get(before));
    before.is_some_and(|before| match before.kind {
        Kind::Word => !matches!(before.text, "in" | "then" | "else" | "if"),
        Kind::Sign => matches!(before.text, ")" | "]" | "}"),
        Kind::Text => true,
        Kind::Number => false,
    })
}

/// What a text becomes depends on what it is for; the id of an entity and the
/// name of an attribute stay.
fn texts(parts: &Parts<'_>, number: usize, text: &str) -> Vec<(Operator, String)> {
    let inner = text.strip_prefix('"').unwrap_or(text);
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let (before, after) = (parts.word_before(number), parts.word(number + 1));
    let constructor = number
        .checked_sub(2)
        .map_or("", |before| parts.word(before));
    match (before, after) {
        // An element of a set is taken out of it, unless it is the only one.
        ("::" | "has", _) | (_, ":") | ("[", ",") | (",", "," | "]") => Vec::new(),
        ("[", "]")
            if number
                .checked_sub(1)
                .is_some_and(|open| is_index(parts, open)) =>
        {
            Vec::new()
        }
        ("like", _) if inner == "*" => Vec::new(),
        ("like", _) => vec![(Operator::Like, "\"*\"".to_owned())],
        ("(", ")") if matches!(constructor, "duration" | "datetime" | "decimal" | "ip") => {
            constants::neighbours(constructor, inner)
                .into_iter()
                .map(|by| (Operator::Constant, format!("\"{by}\"")))
                .collect()
        }
        _ => vec![(Operator::Text, format!("\"{inner}_\""))],
    }
}
