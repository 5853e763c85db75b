//! How deep a text may nest. Cedar's parser recurses and a stack that overflows
//! takes the process with it, so what is too deep is refused before parsing.

/// Brackets in one another.
const BRACKETS_MAX: usize = 100;
/// Operators in one expression that nest without brackets: `a.b.c`, `1 + 2 + 3`,
/// `if .. then .. else if ..`.
const CHAIN_MAX: usize = 1000;
/// `&&` and `||` of one expression, which nest to the left.
const JOINS_MAX: usize = 1000;
/// Stack for parsing what is just not too deep, in an unoptimised build. Only
/// what is touched is ever taken from the system.
pub(crate) const STACK_BYTES: usize = 64 << 20;

/// What a text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// `*.cedar`: `<` compares.
    Policies,
    /// `*.cedarschema`: `<` is a bracket.
    Schema,
}

/// What has been counted since the last bracket or comma.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    chain: usize,
    joins: usize,
}

/// Where a text nests too deep; `None` when it does not.
pub(crate) fn too_deep(text: &str, language: Language) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().peekable();
    // What had been counted at each open bracket.
    let mut open: Vec<Counted> = Vec::new();
    let mut now = Counted::default();
    while let Some((at, byte)) = bytes.next() {
        let outside = open.last().copied().unwrap_or_default();
        match byte {
            b'"' => skip_string(&mut bytes),
            b'/' if bytes.next_if(|(_, next)| *next == b'/').is_some() => {
                while bytes.next_if(|(_, next)| *next != b'\n').is_some() {}
            }
            b'(' | b'[' | b'{' => open.push(now),
            b'<' if language == Language::Schema => open.push(now),
            b')' | b']' | b'}' => now = open.pop().unwrap_or_default(),
            b'>' if language == Language::Schema => now = open.pop().unwrap_or_default(),
            b',' => now = outside,
            b';' if language == Language::Policies => {
                open.clear();
                now = Counted::default();
            }
            b'&' | b'|' if bytes.next_if(|(_, next)| *next == byte).is_some() => {
                // What is joined nests beside, not in, what came before.
                now.chain = outside.chain;
                now.joins += 1;
            }
            b'.' | b'+' | b'-' | b'*' | b'!' => now.chain += 1,
            b'i' if text.get(at..).is_some_and(|rest| rest.starts_with("if")) => now.chain += 1,
            _ => {}
        }
        if open.len() > BRACKETS_MAX || now.chain > CHAIN_MAX || now.joins > JOINS_MAX {
            return Some(at);
        }
    }
    None
}

fn skip_string(bytes: &mut impl Iterator<Item = (usize, u8)>) {
    while let Some((_, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Language;
    use super::too_deep;

    fn nested(count: usize) -> String {
        format!("{}true{}", "(".repeat(count), ")".repeat(count))
    }

    #[test]
    fn brackets_are_counted_where_they_nest() {
        assert_eq!(too_deep(&nested(100), Language::Policies), None);
        assert_eq!(too_deep(&nested(101), Language::Policies), Some(100));
        let many = nested(60).repeat(1000);
        assert_eq!(too_deep(&many, Language::Policies), None);
    }

    #[test]
    fn chains_are_counted_per_element() {
        let chain = |count: usize| format!("[1{}, 2]", ".a".repeat(count));
        assert_eq!(too_deep(&chain(1000), Language::Policies), None);
        assert!(too_deep(&chain(1001), Language::Policies).is_some());
        let many = format!("{};{}", chain(900), chain(900));
        assert_eq!(too_deep(&many, Language::Policies), None);
    }

    #[test]
    fn joined_conditions_nest_to_the_left() {
        let joined = |count: usize| format!("{}true", "a.b.c == 1 && ".repeat(count));
        assert_eq!(too_deep(&joined(1000), Language::Policies), None);
        assert!(too_deep(&joined(1001), Language::Policies).is_some());
        let many = format!("{};{}", joined(900), joined(900));
        assert_eq!(too_deep(&many, Language::Policies), None);
    }

    #[test]
    fn strings_and_comments_do_not_count() {
        let brackets = "(".repeat(500);
        let text = format!("\"\\\"{brackets}\" // {brackets}\n true");
        assert_eq!(too_deep(&text, Language::Policies), None);
    }

    #[test]
    fn angles_are_brackets_of_schemas_only() {
        let text = "Set<".repeat(101);
        assert!(too_deep(&text, Language::Schema).is_some());
        assert_eq!(too_deep(&text, Language::Policies), None);
    }
}
