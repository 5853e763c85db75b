//! Text that looks like other text.

use std::ops::Range;

/// Letters that look like Latin ones: a name, and its ranges. Blocks of the Unicode
/// Character Database, version 16.0 (`Blocks.txt`), but for letterlike forms.
const ALPHABETS: &[(&str, &[(char, char)])] = &[
    (
        "Cyrillic",
        &[
            ('\u{0400}', '\u{052f}'),
            ('\u{1c80}', '\u{1c8f}'),
            ('\u{2de0}', '\u{2dff}'),
            ('\u{a640}', '\u{a69f}'),
        ],
    ),
    // The micro sign and others for units are not letters of a word in Greek.
    (
        "Greek",
        &[('\u{0370}', '\u{03ff}'), ('\u{1f00}', '\u{1fff}')],
    ),
    ("Armenian", &[('\u{0530}', '\u{058f}')]),
    (
        "Cherokee",
        &[('\u{13a0}', '\u{13ff}'), ('\u{ab70}', '\u{abbf}')],
    ),
    ("Lisu", &[('\u{a4d0}', '\u{a4ff}')]),
    (
        "phonetic",
        &[('\u{0250}', '\u{02af}'), ('\u{1d00}', '\u{1dbf}')],
    ),
    ("numeral", &[('\u{2160}', '\u{2188}')]),
    (
        "mathematical",
        &[('\u{212a}', '\u{212b}'), ('\u{1d400}', '\u{1d7ff}')],
    ),
    (
        "full-width",
        &[('\u{ff21}', '\u{ff3a}'), ('\u{ff41}', '\u{ff5a}')],
    ),
];

/// Letters of other alphabets that are drawn as Latin ones are.
const DRAWN_AS_LATIN: &str = "\
аеорсухіјѕһԁԛԝӏАВЕКМНОРСТУХІЈЅνοΑΒΕΖΗΙΚΜΝΟΡΤΥΧօսո";

/// What cannot be seen: `Default_Ignorable_Code_Point` of the Unicode Character Database,
/// version 16.0 (`DerivedCoreProperties.txt`), and blanks that are no ASCII space, line
/// ends that are no line feed.
const INVISIBLE: &[(char, char)] = &[
    ('\u{0085}', '\u{0085}'),
    ('\u{00a0}', '\u{00a0}'),
    ('\u{00ad}', '\u{00ad}'),
    ('\u{034f}', '\u{034f}'),
    ('\u{061c}', '\u{061c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{2000}', '\u{200f}'),
    ('\u{2028}', '\u{202f}'),
    ('\u{205f}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fff8}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Where a text has characters that cannot be seen, or words of letters of two
/// alphabets that look alike, and which. A byte order mark at the start of a file is
/// refused by Cedar's parser.
pub fn deceptive(text: &str) -> Vec<(Range<usize>, String)> {
    let mut found: Vec<_> = text
        .match_indices('\r')
        .filter(|(at, _)| {
            !text
                .get(at + 1..)
                .is_some_and(|rest| rest.starts_with('\n'))
        })
        .map(|(at, end)| {
            let message = "a carriage return alone, which ends a comment, U+000D";
            (at..at + end.len(), message.to_owned())
        })
        .collect();
    let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r' | '\u{85}');
    let control = text.char_indices().filter(|(_, c)| is_control(*c));
    found.extend(control.map(|(at, c)| {
        let message = format!("a control character, U+{:04X}", u32::from(c));
        (at..at + c.len_utf8(), message)
    }));
    if text.is_ascii() {
        found.sort_by_key(|(span, _)| span.start);
        return found;
    }
    let mut last = ' ';
    let invisible = text.char_indices().filter(|(_, c)| {
        let before = std::mem::replace(&mut last, *c);
        is_in(INVISIBLE, *c) && !is_style(before, *c)
    });
    found.extend(invisible.map(|(at, c)| {
        let message = format!("a character that cannot be seen, U+{:04X}", u32::from(c));
        (at..at + c.len_utf8(), message)
    }));
    let mut start = 0;
    for word in text.split_inclusive(|c: char| !is_of_name(c)) {
        let name = word.trim_end_matches(|c: char| !is_of_name(c));
        if let Some(alphabet) = other_alphabet(name) {
            let message = format!("`{name}` has Latin and {alphabet} letters");
            found.push((start..start + name.len(), message));
        }
        start += word.len();
    }
    found.sort_by_key(|(span, _)| span.start);
    found
}

/// Whether this only says how the sign before it is drawn: as text, or in colours.
fn is_style(before: char, c: char) -> bool {
    matches!(c, '\u{fe0e}' | '\u{fe0f}')
        && matches!(before, '\u{2100}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}')
}

/// Whether a name may have this character.
fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// The alphabet that a name has letters of besides Latin ones. A word of another one is
/// nothing bad behind a hyphen, unless it could be taken for one in Latin.
fn other_alphabet(name: &str) -> Option<&'static str> {
    if !name.chars().any(is_latin) {
        return None;
    }
    let mut words = name.split(['_', '-']);
    words.find_map(|word| {
        let has = |ranges| word.chars().any(|c| is_in(ranges, c));
        let (alphabet, _) = ALPHABETS.iter().find(|(_, ranges)| has(ranges))?;
        let could_be_latin = |c: char| c.is_ascii_digit() || DRAWN_AS_LATIN.contains(c);
        let is_deceptive = word.chars().any(is_latin) || word.chars().all(could_be_latin);
        is_deceptive.then_some(*alphabet)
    })
}

fn is_in(ranges: &[(char, char)], c: char) -> bool {
    ranges
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&c))
}

fn is_latin(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '\u{00c0}'..='\u{024f}')
}

#[cfg(test)]
mod tests {
    use super::deceptive;

    #[test]
    fn what_cannot_be_seen_is_found() {
        assert_eq!(deceptive("\u{0430}dmin x\u{202e}y").len(), 2);
        let found = deceptive("ä \u{0430}dmin");
        assert_eq!(found.first().map(|(span, _)| span.clone()), Some(3..9));
        for invisible in [
            '\u{3164}',
            '\u{115f}',
            '\u{034f}',
            '\u{2028}',
            '\u{e0041}',
            '\u{fe0f}',
            '\u{180e}',
            '\u{2800}',
            '\u{00a0}',
            '\u{200b}',
        ] {
            assert_eq!(
                deceptive(&format!("ab{invisible}c")).len(),
                1,
                "{invisible:?}"
            );
        }
        for mixed in [
            "\u{0430}_dmin",
            "admin-\u{0430}",
            "\u{0585}perator",
            "\u{ff41}dmin",
            "\u{0251}dmin",
            "\u{217f}anage",
            "2\u{0430}b",
        ] {
            assert_eq!(deceptive(mixed).len(), 1, "{mixed}");
        }
        // What moves the cursor of a terminal.
        assert_eq!(deceptive("// never \u{1b}[2K\u{8} seen").len(), 2);
        assert_eq!(deceptive("ä \u{9b}2K").len(), 1);
        let found = deceptive("// nothing\rpermit (..);\r\n");
        assert_eq!(found.first().map(|(span, _)| span.clone()), Some(10..11));
        assert_eq!(found.len(), 1);
        for text in [
            "admin",
            "Größe",
            "админ",
            "дом-house",
            "β-version",
            "α-meter",
            "⚠\u{fe0f} night",
            "☑\u{fe0f} done",
            "ελ",
            "日本 go",
            "a\r\nb",
            "5 µs",
            "дом house",
            "naïve – “so”",
        ] {
            assert_eq!(deceptive(text), [], "{text}");
        }
    }
}
