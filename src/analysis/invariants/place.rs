//! Where in a YAML file a text within it stands.

use std::ops::Range;
use std::sync::Arc;

use miette::SourceSpan;
use serde_saphyr::Location;

use crate::engine::Fault;

/// The text of a YAML file.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: Arc<str>,
}

impl Source<'_> {
    /// A fault at a node.
    pub(super) fn fault(&self, at: Location, message: impl Into<String>) -> Fault {
        Fault::at(self.file, &self.text, self.span(at), message)
    }

    /// The node in the text, as far as its first line.
    pub(super) fn span(&self, at: Location) -> SourceSpan {
        let start = self.offset(at);
        let rest = self.text.get(start..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default().trim_end();
        let known = at
            .span()
            .byte_len()
            .and_then(|length| usize::try_from(length).ok());
        let length = known
            .filter(|length| (1..=line.len()).contains(length) && line.is_char_boundary(*length))
            .unwrap_or(line.len());
        (start, length).into()
    }

    /// A fault at a byte range of a scalar's value: at its place in the file where
    /// the lines of the value stand there as they are, else at the scalar.
    pub(super) fn fault_within(
        &self,
        scalar: Location,
        value: &str,
        range: Range<usize>,
        message: impl Into<String>,
    ) -> Fault {
        match self.place_within(scalar, value, range) {
            Some(place) => Fault::at(self.file, &self.text, place.into(), message),
            None => self.fault(scalar, message),
        }
    }

    fn place_within(
        &self,
        scalar: Location,
        value: &str,
        range: Range<usize>,
    ) -> Option<Range<usize>> {
        let before = value.get(..range.start)?;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let (row, column) = (before.matches('\n').count(), range.start - line_start);
        let line = value.get(line_start..)?.lines().next()?;
        let wanted = value.get(range)?.lines().next().unwrap_or_default();
        let start = self.offset(scalar);
        let head = self.text.get(start..)?.lines().next()?;
        // The value of a block begins on the line after its sign.
        let is_block = head.trim_start().starts_with(['|', '>']);
        let first_row = self.text.get(..start)?.matches('\n').count();
        let row = first_row + row + usize::from(is_block);
        let row_start = row_start(&self.text, row)?;
        let in_file = self.text.get(row_start..)?.lines().next()?;
        let at = row_start + in_file.find(line)? + column;
        let place = at..at + wanted.len();
        (self.text.get(place.clone())? == wanted).then_some(place)
    }

    fn offset(&self, at: Location) -> usize {
        let line = usize::try_from(at.line()).unwrap_or(1);
        let column = usize::try_from(at.column()).unwrap_or(1);
        let Some(start) = row_start(&self.text, line.saturating_sub(1)) else {
            return 0;
        };
        let rest = self.text.get(start..).unwrap_or_default();
        let within = rest.char_indices().nth(column.saturating_sub(1));
        start + within.map_or(0, |(at, _)| at)
    }
}

/// The offset at which a line starts, from 0.
fn row_start(text: &str, row: usize) -> Option<usize> {
    if row == 0 {
        return Some(0);
    }
    text.match_indices('\n').nth(row - 1).map(|(at, _)| at + 1)
}
