//! The text of a file, and places in it that are found without counting from its
//! start each time: a file may hold thousands of policies.

use std::ops::Range;
use std::sync::Arc;

use crate::engine::fault::Lines;

/// A file.
#[derive(Debug)]
pub struct Source {
    /// Its path, relative to the root of the repository.
    pub file: Arc<str>,
    /// What is in it.
    pub text: Arc<str>,
    lines: Lines,
}

/// Where something begins or ends: line and column in characters, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Source {
    /// Finds the lines of a text.
    pub fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.into(),
            lines: Lines::new(text),
            text: text.into(),
        }
    }

    /// The text of a range; empty where there is none.
    pub fn slice(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// Where a byte is.
    pub fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(start..).map_or(0, |line| line.chars().count());
        Place {
            line: self.lines.line(offset),
            column: column + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Source;
    use crate::engine::fault::line_and_column;

    #[test]
    fn places_are_those_of_faults() {
        let text = "a\n\nbä c\nd";
        let source = Source::new("f", text);
        for offset in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            let place = source.place(offset);
            assert_eq!((place.line, place.column), line_and_column(text, offset));
        }
    }
}
