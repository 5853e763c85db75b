//! Markdown for comments on pull requests: whatever a name holds, it stays a name.

/// Code within a line or a cell of a table.
pub fn code(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
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

/// Lines as a block of code in a language.
pub fn block(language: &str, text: &str) -> String {
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

fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::block;
    use super::code;

    #[test]
    fn no_name_ends_its_code() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a|b\nc"), "`a\\|b c`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("``"), "``` `` ```");
        assert_eq!(block("diff", "a\n```\n"), "````diff\na\n```\n````\n");
    }
}
