//! The lines of a segment, one after the other, with a limit on their length.

use std::fmt;
use std::io;
use std::io::BufRead;
use std::io::Read as _;

use super::line::LINE_BYTES_MAX;

/// Reads a segment line by line.
pub(super) struct Lines {
    source: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    is_whole: bool,
    /// Where the line that was read last begins, in uncompressed bytes.
    pub(super) offset: u64,
    /// The number of the line that was read last: the first is 1.
    pub(super) number: u64,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A line, in [`Lines::line`].
    Line,
    /// A line without its end: it may still be written.
    Partial,
    /// A line over [`LINE_BYTES_MAX`].
    TooLong,
    /// Nothing, for now.
    End,
}

impl Lines {
    pub(super) fn new(source: Box<dyn BufRead + Send>) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            is_whole: false,
            offset: 0,
            number: 0,
        }
    }

    /// Goes on to the next line. After anything but a line it may be asked
    /// again, and goes on if the file has grown.
    pub(super) fn advance(&mut self) -> io::Result<Next> {
        if self.is_whole {
            self.offset += self.buffer.len() as u64;
            self.buffer.clear();
            self.is_whole = false;
        }
        if self.buffer.is_empty() {
            self.number += 1;
        }
        let room = (LINE_BYTES_MAX + 1).saturating_sub(self.buffer.len());
        let read = (&mut self.source)
            .take(room as u64)
            .read_until(b'\n', &mut self.buffer);
        if self.buffer.is_empty() {
            self.number -= 1;
        }
        read?;
        if self.buffer.len() > LINE_BYTES_MAX {
            return Ok(Next::TooLong);
        }
        self.is_whole = self.buffer.ends_with(b"\n");
        Ok(match (self.is_whole, self.buffer.is_empty()) {
            (true, _) => Next::Line,
            (false, true) => Next::End,
            (false, false) => Next::Partial,
        })
    }

    /// The line that was read last, without its newline.
    pub(super) fn line(&self) -> &[u8] {
        self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer)
    }

    /// Goes past the rest of a line that is too long.
    pub(super) fn skip(&mut self) -> io::Result<()> {
        while !self.buffer.ends_with(b"\n") {
            self.offset += self.buffer.len() as u64;
            self.buffer.clear();
            let mut part = (&mut self.source).take(LINE_BYTES_MAX as u64);
            if part.read_until(b'\n', &mut self.buffer)? == 0 {
                return Ok(());
            }
        }
        self.is_whole = true;
        Ok(())
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("offset", &self.offset)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::LINE_BYTES_MAX;
    use super::Lines;
    use super::Next;

    #[test]
    fn lines_know_where_they_are() {
        let mut lines = Lines::new(Box::new(Cursor::new("ab\n\ncde\nf")));
        let mut places = Vec::new();
        loop {
            let next = lines.advance().unwrap();
            places.push((next, lines.line().to_vec(), lines.number, lines.offset));
            if next != Next::Line {
                break;
            }
        }
        let line = |text: &str, number, offset| (Next::Line, text.into(), number, offset);
        let partial = (Next::Partial, b"f".to_vec(), 4, 8);
        assert_eq!(
            places,
            [line("ab", 1, 0), line("", 2, 3), line("cde", 3, 4), partial]
        );
    }

    #[test]
    fn a_line_has_a_limit() {
        for (length, next) in [
            (LINE_BYTES_MAX - 1, Next::Line),
            (LINE_BYTES_MAX, Next::TooLong),
            (3 * LINE_BYTES_MAX, Next::TooLong),
        ] {
            let text = [vec![b'a'; length], b"\nb\n".to_vec()].concat();
            let mut lines = Lines::new(Box::new(Cursor::new(text)));
            assert_eq!(lines.advance().unwrap(), next, "{length}");
            if next == Next::TooLong {
                lines.skip().unwrap();
            }
            assert_eq!(lines.advance().unwrap(), Next::Line);
            assert_eq!((lines.line(), lines.number), (&b"b"[..], 2));
            assert_eq!(lines.offset, length as u64 + 1);
        }
    }
}
