//! How deep a text may nest. Cedar's parser recurses and a stack that overflows
//! takes the process with it, so what is too deep is refused before parsing.

/// Brackets in one another.
const BRACKETS_MAX: usize = 100;
/// Operators in one another, brackets between them or not: `a.b.c`, `!!a`, `1 + 2 + 3`,
/// `if .. then .. else if ..`, and `&&` and `||`, which nest to the left.
const LEVELS_MAX: usize = 1000;
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

/// The levels of an expression, as far as it was looked at: never fewer than it has.
#[derive(Debug, Clone, Copy, Default)]
struct Levels {
    /// Of the elements before the last comma.
    before: usize,
    /// `if`s, each in the one before or beside it.
    ifs: usize,
    /// Of what is joined by `&&` and `||` so far.
    joined: usize,
    /// Of what comes after the last of these.
    operand: usize,
}

impl Levels {
    fn all(self) -> usize {
        self.before.max(self.ifs + self.joined.max(self.operand))
    }

    /// What is joined nests in the join, beside what comes next.
    fn join(&mut self) {
        self.joined = self.joined.max(self.operand) + 1;
        self.operand = 0;
    }

    fn next_element(&mut self) {
        *self = Self {
            before: self.all(),
            ..Self::default()
        };
    }
}

/// Where a text nests too deep; `None` when it does not.
pub(crate) fn too_deep(text: &str, language: Language) -> Option<usize> {
    deeper_than(LEVELS_MAX, text, language)
}

/// Where a text nests deeper than so many levels, or in too many brackets.
pub(super) fn deeper_than(levels_max: usize, text: &str, language: Language) -> Option<usize> {
    let is_schema = language == Language::Schema;
    let mut bytes = text.bytes().enumerate().peekable();
    // What was counted outside each open bracket.
    let mut open: Vec<Levels> = Vec::new();
    let mut now = Levels::default();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            // Cedar ends a comment at either.
            b'/' if bytes.next_if(|(_, next)| *next == b'/').is_some() => {
                while bytes
                    .next_if(|(_, next)| !matches!(next, b'\n' | b'\r'))
                    .is_some()
                {}
            }
            b'(' | b'[' | b'{' => open.push(std::mem::take(&mut now)),
            b'<' if is_schema => open.push(std::mem::take(&mut now)),
            // A schema nests in brackets only.
            b')' | b']' | b'}' | b'>' if is_schema => drop(open.pop()),
            _ if is_schema => {}
            b')' | b']' | b'}' => close(&mut now, &mut open, byte),
            b',' => now.next_element(),
            b';' => {
                open.clear();
                now = Levels::default();
            }
            b'&' | b'|' if bytes.next_if(|(_, next)| *next == byte).is_some() => now.join(),
            b'.' | b'+' | b'-' | b'*' | b'!' => now.operand += 1,
            b'i' if is_if(text.as_bytes(), at) => now.ifs += 1,
            _ => {}
        }
        if open.len() > BRACKETS_MAX || now.all() > levels_max {
            return Some(at);
        }
    }
    None
}

fn close(now: &mut Levels, open: &mut Vec<Levels>, bracket: u8) {
    let inner = now.all();
    *now = open.pop().unwrap_or_default();
    now.operand += inner + usize::from(bracket == b']');
    // The clauses of a policy are joined.
    if open.is_empty() {
        now.join();
    }
}

/// Whether the word `if` is here.
fn is_if(text: &[u8], at: usize) -> bool {
    let is_part =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    text.get(at + 1) == Some(&b'f')
        && !is_part(text.get(at + 2))
        && !at
            .checked_sub(1)
            .is_some_and(|before| is_part(text.get(before)))
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
        assert_eq!(too_deep(&chain(998), Language::Policies), None);
        assert!(too_deep(&chain(1001), Language::Policies).is_some());
        let many = format!("{};{}", chain(900), chain(900));
        assert_eq!(too_deep(&many, Language::Policies), None);
    }

    #[test]
    fn joined_conditions_nest_to_the_left() {
        let joined = |count: usize| format!("{}true", "a.b.c == 1 && ".repeat(count));
        assert_eq!(too_deep(&joined(990), Language::Policies), None);
        assert!(too_deep(&joined(1001), Language::Policies).is_some());
        let many = format!("{};{}", joined(900), joined(900));
        assert_eq!(too_deep(&many, Language::Policies), None);
    }

    #[test]
    fn what_nests_in_brackets_counts_outside_them() {
        let grown = |times: usize, grow: fn(&str) -> String| {
            (0..times).fold("a".to_owned(), |text, _| grow(&text))
        };
        let grow: [fn(&str) -> String; 5] = [
            |text| format!("({text}{})", " && a".repeat(300)),
            |text| format!("{}({text})", "!".repeat(300)),
            |text| format!("({text}){}", "[\"a\"]".repeat(300)),
            |text| format!("(1{} + {text})", " + 1".repeat(300)),
            |text| format!("{}({text})", "if a then b else ".repeat(300)),
        ];
        for grow in grow {
            assert_eq!(too_deep(&grown(3, grow), Language::Policies), None);
            let text = grown(4, grow);
            assert!(too_deep(&text, Language::Policies).is_some(), "{text}");
        }
        // Beside one another they do not nest.
        let beside = vec![grown(3, grow[0]); 50].join(" || ");
        assert_eq!(too_deep(&beside, Language::Policies), None);
    }

    #[test]
    fn strings_comments_and_names_do_not_count() {
        let brackets = "(".repeat(500);
        let text = format!("\"\\\"{brackets}\" // {brackets}\n true");
        assert_eq!(too_deep(&text, Language::Policies), None);
        let names = "verified iffy if_ _if ".repeat(500);
        assert_eq!(too_deep(&names, Language::Policies), None);
    }

    #[test]
    fn a_comment_ends_where_cedar_ends_it() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("// {end}{}", "(".repeat(101));
            assert!(too_deep(&text, Language::Policies).is_some(), "{end:?}");
        }
    }

    #[test]
    fn a_schema_may_be_long() {
        let text = "entity if { a: Set<Set<A>>, b: [A] };\naction a in [b] appliesTo { principal: [A.b] };\n";
        assert_eq!(too_deep(&text.repeat(2000), Language::Schema), None);
        let text = format!("namespace A {{ {} }}", text.repeat(2000));
        assert_eq!(too_deep(&text, Language::Schema), None);
    }

    #[test]
    fn angles_are_brackets_of_schemas_only() {
        let text = "Set<".repeat(101);
        assert!(too_deep(&text, Language::Schema).is_some());
        assert_eq!(too_deep(&text, Language::Policies), None);
    }
}
