//! Markdown for comments on pull requests: whatever a name holds, it stays a name.

/// Characters that a comment on GitHub may have.
const COMMENT_MAX: usize = 65_536;
/// Characters that turn the direction of what follows, also outside of the code.
const TURNING: [char; 9] = [
    '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}',
    '\u{2069}',
];
/// Characters to close what is open, and to say that it was cut.
const ROOM_FOR_END: usize = 512;

/// Code within a line or a cell of a table.
pub fn code(text: &str) -> String {
    let text = shown(text, &[]);
    if text.is_empty() {
        return "` `".to_owned();
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    // A backtick at an end would be taken for the fence.
    let gap = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    // In a table even code must not hold a bar.
    let text = text.replace('|', "\\|");
    format!("{fence}{gap}{text}{gap}{fence}")
}

/// The text without what does not show itself, but for some characters.
fn shown(text: &str, kept: &[char]) -> String {
    let is_unseen = |c: char| c.is_control() || TURNING.contains(&c);
    let chars = text.chars();
    chars
        .map(|c| {
            if is_unseen(c) && !kept.contains(&c) {
                ' '
            } else {
                c
            }
        })
        .collect()
}

/// A sentence with names between backticks, which are code. A word of it that could be
/// more than a word is code, too.
pub fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        // One is left over, so it cannot be told what is a name.
        return code(text);
    }
    let parts = parts.iter().enumerate().map(|(number, part)| {
        if number % 2 == 1 {
            code(part)
        } else {
            let words: Vec<String> = part.split(' ').map(word).collect();
            words.join(" ")
        }
    });
    parts.collect()
}

fn word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || ",.;:()'-/\"=".contains(c);
    let is_address = word.contains("//") || word.contains("www.");
    if word.chars().all(is_plain) && !is_address {
        word.to_owned()
    } else {
        code(word)
    }
}

/// Lines as a block of code in a language.
pub fn block(language: &str, text: &str) -> String {
    let text = &shown(text, &['\n', '\t']);
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{fence}{language}\n{text}{end}{fence}\n")
}

/// What is shown on demand. The summary is no name.
pub fn details(summary: &str, content: &str) -> String {
    format!("<details>\n<summary>{summary}</summary>\n\n{content}\n</details>\n\n")
}

/// A table with its head.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&head.map(str::to_owned));
    text.push_str(&line(&head.map(|_| "---".to_owned())));
    for row in rows {
        text.push_str(&line(row));
    }
    text.push('\n');
    text
}

/// Ids as code, one after the other.
pub fn codes<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let ids: Vec<String> = ids.into_iter().map(code).collect();
    ids.join(", ")
}

/// The text as far as a comment may be long, with all that is open closed.
pub fn bounded(text: &str) -> String {
    if text.chars().count() <= COMMENT_MAX {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut room = COMMENT_MAX - ROOM_FOR_END;
    let mut fence: Option<&str> = None;
    let mut details = 0_usize;
    for line in text.split_inclusive('\n') {
        let length = line.chars().count();
        // A fence has to be closed as it was opened.
        if length + fence.map_or(0, str::len) > room {
            break;
        }
        room -= length;
        kept.push_str(line);
        let run = line.len() - line.trim_start_matches('`').len();
        match fence {
            Some(open) if line.trim_end() == open => fence = None,
            None if run >= 3 => fence = line.get(..run),
            None if line.starts_with("<details>") => details += 1,
            None if line.starts_with("</details>") => details = details.saturating_sub(1),
            Some(_) | None => {}
        }
    }
    if let Some(fence) = fence {
        kept.push_str(fence);
        kept.push('\n');
    }
    kept.push_str(&"\n</details>\n".repeat(details));
    kept.push_str(
        "\n**Cut here**: a comment takes no more. The rest is in the report of the same command \
         without `--format markdown`.\n",
    );
    kept
}

fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::COMMENT_MAX;
    use super::block;
    use super::bounded;
    use super::code;
    use super::details;
    use super::prose;

    #[test]
    fn no_name_ends_its_code() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a|b\nc"), "`a\\|b c`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("``"), "``` `` ```");
        assert_eq!(code("<b>@all</b> a\\|b"), r"`<b>@all</b> a\\|b`");
        assert_eq!(code(""), "` `");
        assert_eq!(code("a\u{202e}b"), "`a b`");
        assert_eq!(block("diff", "a\n```\n"), "````diff\na\n```\n````\n");
        let block = block("diff", "a\u{202e}\tb\r\nc");
        assert_eq!(block, "```diff\na \tb \nc\n```\n");
    }

    #[test]
    fn a_sentence_is_no_markup() {
        let cases = [
            (
                "`a|b`: left out 2 (see `c`)",
                "`a\\|b`: left out 2 (see `c`)",
            ),
            (
                "the *first* of <b> @all [a](b)",
                "the `*first*` of `<b>` `@all` `[a](b)`",
            ),
            (
                "see https://example.org and\nno",
                "see `https://example.org` `and no`",
            ),
            ("a ` b", "``a ` b``"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(prose(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_closed() {
        let whole = "a\n".repeat(COMMENT_MAX / 2);
        assert_eq!(bounded(&whole), whole);
        // Letters of several bytes count once; what looks like an end within a block is
        // none.
        let lines = "ä</details>\n".repeat(COMMENT_MAX);
        for inner in [
            block("diff", &lines),
            lines.clone(),
            block("diff", &format!("```\n{lines}")),
        ] {
            let cut = bounded(&format!("head\n\n{}", details("some", &inner)));
            assert!(cut.starts_with("head\n") && cut.contains("**Cut here**"));
            assert!(cut.chars().count() <= COMMENT_MAX);
            assert!(cut.chars().count() > COMMENT_MAX - 1024);
            assert_eq!(cut.matches("\n</details>\n").count(), 1);
            let fences = cut.lines().filter(|line| line.starts_with("````"));
            assert!(matches!(fences.count(), 0 | 2));
            let closed = cut.lines().filter(|line| line.starts_with("```"));
            assert!(matches!(closed.count(), 0 | 2 | 3));
        }
    }
}
