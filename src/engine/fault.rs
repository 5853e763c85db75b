//! Faults in a policy repository: what the policy author has to mend.

use std::ops::Range;
use std::sync::Arc;

use miette::Diagnostic;
use miette::LabeledSpan;
use miette::NamedSource;
use miette::SourceSpan;
use serde::Serialize;

/// One fault of one file, with the place and a hint.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    /// The path of the file, relative to the root of the repository.
    pub file: String,
    /// The line, from 1; 0 when the fault is with the file as a whole.
    pub line: usize,
    /// The column in characters, from 1; 0 as above.
    pub column: usize,
    /// The offending text, cut to its first line.
    pub text: String,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether the repository can be used all the same.
    pub is_warning: bool,
    #[serde(skip)]
    place: Option<(Arc<str>, SourceSpan)>,
}

impl Fault {
    /// A fault with a file as a whole.
    pub fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            text: String::new(),
            message: message.into(),
            hint: None,
            is_warning: false,
            place: None,
        }
    }

    /// A fault at a byte range of a file's text; with the file as a whole when the
    /// text has no such range.
    pub fn at(file: &str, source: &Arc<str>, span: SourceSpan, message: impl Into<String>) -> Self {
        let range = span.offset()..span.offset().saturating_add(span.len());
        let Some(text) = source.get(range) else {
            return Self::of_file(file, message);
        };
        let (line, column) = line_and_column(source, span.offset());
        let text = text.lines().next().unwrap_or_default();
        Self {
            line,
            column,
            text: text.to_owned(),
            place: Some((Arc::clone(source), span)),
            ..Self::of_file(file, message)
        }
    }

    /// A file that is not UTF-8 from this byte on.
    pub fn not_utf8(file: &str, content: &[u8], valid: usize) -> Self {
        let source: Arc<str> = String::from_utf8_lossy(content).into();
        let bad = char::REPLACEMENT_CHARACTER.len_utf8();
        Self::at(
            file,
            &source,
            (valid, bad).into(),
            "not UTF-8 from this byte on",
        )
        .with_hint("save the file as UTF-8")
    }

    /// The same fault with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same fault, but only as a warning.
    #[must_use]
    pub fn as_warning(mut self) -> Self {
        self.is_warning = true;
        self
    }

    /// Turns what Cedar says into a fault of this file.
    ///
    /// Cedar's diagnostics carry labels (byte ranges) and help texts; the first
    /// label gives the place. `related` ones are faults of their own and are
    /// left to the caller.
    pub fn from_cedar(file: &str, source: &Arc<str>, diagnostic: &dyn Diagnostic) -> Self {
        let label = diagnostic.labels().and_then(|mut labels| labels.next());
        let message = match label.as_ref().and_then(|label| label.label()) {
            Some(label) => format!("{diagnostic}: {label}"),
            None => diagnostic.to_string(),
        };
        let fault = match label {
            Some(label) => Self::at(file, source, *label.inner(), message),
            None => Self::of_file(file, message),
        };
        match diagnostic.help() {
            Some(help) => fault.with_hint(help.to_string()),
            None => fault,
        }
    }

    /// A fault about names that the message quotes, within a byte range of a
    /// file's text: at the first of them that is found there, else at the range
    /// itself. For what Cedar says without a place of its own.
    pub fn near(
        file: &str,
        source: &Arc<str>,
        within: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        let message = message.into();
        let text = source.get(within.clone()).unwrap_or_default();
        let found = quoted(&message).find_map(|name| find_word(text, last_part(name)));
        let span = found.map_or_else(
            || within.clone(),
            |word| word.start + within.start..word.end + within.start,
        );
        Self::at(file, source, span.into(), message)
    }

    /// `file:line:column`, as editors and terminals like it.
    pub fn place(&self) -> String {
        if self.line == 0 {
            self.file.clone()
        } else {
            format!("{}:{}:{}", self.file, self.line, self.column)
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)
    }
}

impl std::error::Error for Fault {}

/// Drawn by miette: the message, the source with the place underlined, the hint.
#[derive(Debug)]
pub struct Drawn<'a> {
    fault: &'a Fault,
    source: NamedSource<String>,
}

impl Fault {
    /// The fault as miette draws it.
    pub fn drawn(&self) -> Drawn<'_> {
        let text = self.place.as_ref().map_or("", |(source, _)| source);
        Drawn {
            fault: self,
            source: NamedSource::new(&self.file, text.to_owned()),
        }
    }
}

impl std::fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.fault.place.is_some() {
            f.write_str(&self.fault.message)
        } else {
            self.fault.fmt(f)
        }
    }
}

impl std::error::Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(if self.fault.is_warning {
            miette::Severity::Warning
        } else {
            miette::Severity::Error
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let hint = self.fault.hint.as_ref()?;
        Some(Box::new(hint))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.fault.place.as_ref()?;
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (_, span) = self.fault.place.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(
            None, *span,
        ))))
    }
}

/// The names in backticks.
pub fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| !name.is_empty())
}

/// `Lock` of `Site::Lock`, `l1` of `Site::Lock::"l1"`.
pub fn last_part(name: &str) -> &str {
    let name = name.strip_suffix('"').unwrap_or(name);
    let name = name.rsplit("::").next().unwrap_or(name);
    name.strip_prefix('"').unwrap_or(name)
}

/// Where a name stands in a text by itself, not as part of a longer one.
pub fn find_word(text: &str, word: &str) -> Option<Range<usize>> {
    let is_border =
        |neighbour: Option<char>| neighbour.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    let mut words = text
        .match_indices(word)
        .map(|(start, _)| start..start + word.len());
    words.find(|range| {
        !word.is_empty()
            && is_border(
                text.get(..range.start)
                    .and_then(|before| before.chars().next_back()),
            )
            && is_border(text.get(range.end..).and_then(|after| after.chars().next()))
    })
}

/// The line and column (in characters) of a byte offset, both from 1.
pub fn line_and_column(source: &str, offset: usize) -> (usize, usize) {
    let before = source.get(..offset).unwrap_or(source);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |last| last.chars().count())
        + 1;
    (line, column)
}

/// Where the lines of a text start, to place many offsets of a long text.
#[derive(Debug)]
pub struct Lines {
    ends: Vec<usize>,
}

impl Lines {
    /// Finds the line ends once.
    pub fn new(source: &str) -> Self {
        let ends = source
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n');
        Self {
            ends: ends.map(|(at, _)| at).collect(),
        }
    }

    /// The line of a byte offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.ends.partition_point(|end| *end < offset) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::Fault;
    use super::Lines;
    use super::find_word;
    use super::last_part;
    use super::line_and_column;

    #[test]
    fn line_starts_agree_with_counting() {
        let text = "a\n\nbc\nd";
        let lines = Lines::new(text);
        for offset in 0..=text.len() {
            assert_eq!(
                lines.line(offset),
                line_and_column(text, offset).0,
                "{offset}"
            );
        }
    }

    #[test]
    fn words_stand_by_themselves() {
        assert_eq!(find_word("Users User_ aUser (User)", "User"), Some(19..23));
        assert_eq!(find_word("Users", "User"), None);
        assert_eq!(find_word("a", ""), None);
        assert_eq!(last_part(r#"Site::Lock::"l1""#), "l1");
        assert_eq!(last_part("Site::Lock"), "Lock");
    }

    #[test]
    fn place_outside_of_the_text_is_the_file() {
        let text = "ä".into();
        for span in [(0, 9), (9, 1), (1, 1), (usize::MAX, 2)] {
            assert_eq!(Fault::at("f", &text, span.into(), "bad").place(), "f");
        }
        assert_eq!(Fault::at("f", &text, (2, 0).into(), "bad").place(), "f:1:2");
    }

    #[test]
    fn places_count_characters_from_one() {
        assert_eq!(line_and_column("ab\ncd", 0), (1, 1));
        assert_eq!(line_and_column("ab\ncd", 4), (2, 2));
        assert_eq!(line_and_column("äb\né!", 6), (2, 2));
        assert_eq!(line_and_column("ab", 99), (1, 3));
    }
}
