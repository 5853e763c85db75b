//! Text that looks like other text.

use std::ops::Range;

/// Where a text has characters that cannot be seen, or words of letters of two
/// alphabets that look alike, and which.
pub fn deceptive(text: &str) -> Vec<(Range<usize>, String)> {
    if text.is_ascii() {
        return Vec::new();
    }
    let mut found: Vec<_> = text
        .char_indices()
        .filter(|(_, c)| is_invisible(*c))
        .map(|(at, c)| {
            let message = format!("an invisible character, U+{:04X}", u32::from(c));
            (at..at + c.len_utf8(), message)
        })
        .collect();
    let mut start = 0;
    for word in text.split_inclusive(|c: char| !c.is_alphabetic()) {
        let letters = word.trim_end_matches(|c: char| !c.is_alphabetic());
        let is_in = |alphabet: fn(char) -> bool| letters.chars().any(alphabet);
        let other = [
            ("Cyrillic", is_cyrillic as fn(char) -> bool),
            ("Greek", is_greek),
        ]
        .into_iter()
        .find(|(_, alphabet)| is_in(*alphabet));
        if let Some((name, _)) = other.filter(|_| is_in(is_latin)) {
            let message = format!("`{letters}` has Latin and {name} letters");
            found.push((start..start + letters.len(), message));
        }
        start += word.len();
    }
    found.sort_by_key(|(span, _)| span.start);
    found
}

/// Marks that reorder a line, and spaces without width. A byte order mark at the
/// start of a file is refused by Cedar's parser.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{00ad}' | '\u{061c}')
}

fn is_latin(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '\u{00c0}'..='\u{024f}')
}

fn is_cyrillic(c: char) -> bool {
    matches!(c, '\u{0400}'..='\u{052f}')
}

fn is_greek(c: char) -> bool {
    // The micro sign and others for units are not letters of a word in Greek.
    matches!(c, '\u{0370}'..='\u{03ff}')
}

#[cfg(test)]
mod tests {
    use super::deceptive;

    #[test]
    fn what_cannot_be_seen_is_found() {
        assert_eq!(deceptive("\u{0430}dmin x\u{202e}y").len(), 2);
        let found = deceptive("ä \u{0430}dmin");
        assert_eq!(found.first().map(|(span, _)| span.clone()), Some(3..9));
        for text in ["admin", "Größe", "админ", "дом-house", "ελ", "日本 go"] {
            assert_eq!(deceptive(text), [], "{text}");
        }
    }
}
