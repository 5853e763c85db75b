//! Changes of a text, and the lines that they change.

use std::ops::Range;

/// What stands in the place of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The bytes.
    pub span: Range<usize>,
    /// What they become.
    pub by: String,
}

/// The lines that edits change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedLines {
    /// How many lines are before them.
    pub above: usize,
    /// As they were, without the indentation that they share.
    pub before: Vec<String>,
    /// As they are.
    pub after: Vec<String>,
}

impl Edit {
    /// Puts a text in the place of these bytes.
    pub fn new(span: Range<usize>, by: impl Into<String>) -> Self {
        Self {
            span,
            by: by.into(),
        }
    }
}

/// The text with the edits made; they are in order and do not overlap. `None` when
/// one is not within the text.
pub fn edited(text: &str, edits: &[Edit]) -> Option<String> {
    let mut made = String::with_capacity(text.len() + 16);
    let mut at = 0;
    for edit in edits {
        made.push_str(text.get(at..edit.span.start)?);
        made.push_str(&edit.by);
        at = edit.span.end;
    }
    made.push_str(text.get(at..)?);
    Some(made)
}

/// The lines that the edits change; `None` as for [`edited`].
pub fn changed_lines(text: &str, edits: &[Edit]) -> Option<ChangedLines> {
    let (first, last) = (edits.first()?.span.start, edits.last()?.span.end);
    let start = text.get(..first)?.rfind('\n').map_or(0, |end| end + 1);
    let end = text
        .get(last..)?
        .find('\n')
        .map_or(text.len(), |end| last + end);
    let within: Vec<Edit> = edits
        .iter()
        .map(|edit| Edit {
            span: edit.span.start - start..edit.span.end - start,
            by: edit.by.clone(),
        })
        .collect();
    let before = text.get(start..end)?;
    let after = edited(before, &within)?;
    let indent = before
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let lines = |text: &str| {
        text.lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| {
                let own = line.len() - line.trim_start().len();
                let line = line.get(indent.min(own)..).unwrap_or(line);
                line.trim_end().to_owned()
            })
            .collect()
    };
    Some(ChangedLines {
        above: text.get(..start)?.matches('\n').count(),
        before: lines(before),
        after: lines(&after),
    })
}

#[cfg(test)]
mod tests {
    use super::Edit;
    use super::changed_lines;
    use super::edited;

    #[test]
    fn edits_change_lines() {
        let text = "one\n  two three\n    four\nfive";
        let edits = [Edit::new(6..9, "2"), Edit::new(20..24, "")];
        assert_eq!(edited(text, &edits).unwrap(), "one\n  2 three\n    \nfive");
        let changed = changed_lines(text, &edits).unwrap();
        assert_eq!(changed.above, 1);
        assert_eq!(changed.before, ["two three", "  four"]);
        assert_eq!(changed.after, ["2 three"]);
        assert_eq!(edited(text, &[Edit::new(20..99, "")]), None);
    }
}
