//! Objects one by one from JSON that need not fit in memory.
//!
//! The input is an array of objects, or objects one after the other, such as one
//! a line (NDJSON). Only where each begins and ends is found here; whoever parses
//! an object finds what is wrong inside it.

use std::io;
use std::io::Read;

use thiserror::Error;

/// Bytes of one object.
pub const OBJECT_BYTES_MAX: usize = 16 << 20;
const BUFFER_BYTES: usize = 64 << 10;

/// An object of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its text.
    pub text: String,
    /// Which one it is, from 1.
    pub number: u64,
    /// The line that it begins on, from 1.
    pub line: u64,
}

/// Why the input cannot be split.
#[derive(Debug, Error)]
pub enum SplitError {
    /// It cannot be read.
    #[error("cannot read: {0}")]
    Read(#[from] io::Error),
    /// It is no sequence of objects.
    #[error("line {line}: {message}")]
    Malformed {
        /// Where.
        line: u64,
        /// What is wrong.
        message: &'static str,
    },
    /// An object is too long.
    #[error("line {line}: the object that begins here has more than {limit} bytes")]
    TooLong {
        /// Where it begins.
        line: u64,
        /// How long it may be.
        limit: usize,
    },
}

/// Where in the input the splitter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but blanks was seen.
    Start,
    /// Between objects that follow each other.
    Lines,
    /// Behind the `[`.
    ArrayStart,
    /// Behind a comma.
    ArrayNext,
    /// Behind an object of an array.
    ArrayAfter,
    /// Behind the `]`.
    End,
}

/// Splits an input.
#[derive(Debug)]
pub struct Splitter<R> {
    input: R,
    buffer: Vec<u8>,
    /// The part of the buffer that is not used up.
    at: usize,
    filled: usize,
    state: State,
    line: u64,
    number: u64,
    bytes: u64,
}

impl<R: Read> Splitter<R> {
    /// Nothing is read yet.
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER_BYTES],
            at: 0,
            filled: 0,
            state: State::Start,
            line: 1,
            number: 0,
            bytes: 0,
        }
    }

    /// How many bytes were used up.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next object; `None` behind the last.
    ///
    /// # Errors
    /// When the input cannot be read, or what comes is no object.
    pub fn next_element(&mut self) -> Result<Option<Element>, SplitError> {
        loop {
            let Some(byte) = self.peek()? else {
                return match self.state {
                    State::Start | State::Lines | State::End => Ok(None),
                    State::ArrayStart | State::ArrayNext | State::ArrayAfter => {
                        Err(self.malformed("the input ends within the array"))
                    }
                };
            };
            match (self.state, byte) {
                (_, b' ' | b'\t' | b'\r' | b'\n') => self.skip(byte),
                (State::Start, 0xef) => self.skip_mark()?,
                (State::Start, b'[') => {
                    self.skip(byte);
                    self.state = State::ArrayStart;
                }
                (State::Start | State::Lines, b'{') => {
                    self.state = State::Lines;
                    return self.object().map(Some);
                }
                (State::ArrayStart | State::ArrayNext, b'{') => {
                    self.state = State::ArrayAfter;
                    return self.object().map(Some);
                }
                (State::ArrayStart | State::ArrayAfter, b']') => {
                    self.skip(byte);
                    self.state = State::End;
                }
                (State::ArrayAfter, b',') => {
                    self.skip(byte);
                    self.state = State::ArrayNext;
                }
                (state, _) => return Err(self.malformed(expected(state))),
            }
        }
    }

    /// The object that begins here.
    fn object(&mut self) -> Result<Element, SplitError> {
        let line = self.line;
        let mut bytes = Vec::new();
        let mut depth = 0_usize;
        let (mut is_string, mut is_escaped) = (false, false);
        loop {
            if self.peek()?.is_none() {
                return Err(SplitError::Malformed {
                    line,
                    message: "the input ends within the object that begins here",
                });
            }
            let ready = self.buffer.get(self.at..self.filled).unwrap_or_default();
            let mut used = 0;
            let mut is_whole = false;
            for &byte in ready {
                used += 1;
                match byte {
                    b'\n' => self.line += 1,
                    _ if is_escaped => is_escaped = false,
                    b'\\' if is_string => is_escaped = true,
                    b'"' => is_string = !is_string,
                    _ if is_string => {}
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        is_whole = depth == 0;
                    }
                    _ => {}
                }
                if is_whole {
                    break;
                }
            }
            bytes.extend_from_slice(ready.get(..used).unwrap_or_default());
            self.at += used;
            self.bytes += used as u64;
            if bytes.len() > OBJECT_BYTES_MAX {
                let limit = OBJECT_BYTES_MAX;
                return Err(SplitError::TooLong { line, limit });
            }
            if is_whole {
                break;
            }
        }
        let text = String::from_utf8(bytes).map_err(|_| SplitError::Malformed {
            line,
            message: "the object that begins here is not UTF-8",
        })?;
        self.number += 1;
        Ok(Element {
            text,
            number: self.number,
            line,
        })
    }

    fn peek(&mut self) -> Result<Option<u8>, SplitError> {
        while self.at >= self.filled {
            match self.input.read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(filled) => {
                    self.filled = filled;
                    self.at = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.buffer.get(self.at).copied())
    }

    fn skip(&mut self, byte: u8) {
        self.line += u64::from(byte == b'\n');
        self.at += 1;
        self.bytes += 1;
    }

    /// The byte order mark that some editors write first.
    fn skip_mark(&mut self) -> Result<(), SplitError> {
        for expected in [0xef, 0xbb, 0xbf] {
            if self.bytes > 2 || self.peek()? != Some(expected) {
                return Err(self.malformed("this is not UTF-8"));
            }
            self.skip(expected);
        }
        Ok(())
    }

    fn malformed(&self, message: &'static str) -> SplitError {
        let line = self.line;
        SplitError::Malformed { line, message }
    }
}

fn expected(state: State) -> &'static str {
    match state {
        State::Start => "this is neither an array of objects nor an object",
        State::Lines => "an object belongs here",
        State::ArrayStart => "an object or `]` belongs here",
        State::ArrayNext => "an object belongs here, after the comma",
        State::ArrayAfter => "a comma or `]` belongs here, after an object",
        State::End => "nothing belongs here, after the array",
    }
}

#[cfg(test)]
mod tests {
    use super::OBJECT_BYTES_MAX;
    use super::SplitError;
    use super::Splitter;

    fn split(text: &str) -> Result<Vec<(u64, String)>, SplitError> {
        let mut splitter = Splitter::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(element) = splitter.next_element()? {
            found.push((element.line, element.text));
        }
        assert_eq!(splitter.bytes(), text.len() as u64);
        Ok(found)
    }

    #[test]
    fn arrays_and_lines_are_split_alike() {
        let expected = [
            (2, r#"{"a": "}\"{"}"#.to_owned()),
            (3, r#"{"b": [{}]}"#.to_owned()),
        ];
        for text in [
            "[\n{\"a\": \"}\\\"{\"},\n{\"b\": [{}]}]\n",
            "\n{\"a\": \"}\\\"{\"}\n{\"b\": [{}]}",
            "\u{feff}\n{\"a\": \"}\\\"{\"}\r\n\r{\"b\": [{}]}",
        ] {
            assert_eq!(split(text).unwrap(), expected, "{text}");
        }
        for empty in ["", " \n", "[]", "[ ]\n"] {
            assert_eq!(split(empty).unwrap(), [], "{empty}");
        }
    }

    #[test]
    fn what_is_no_sequence_of_objects_is_refused_at_its_line() {
        let shown: Vec<String> = [
            "\n3", "[\n3]", "[{},\n]", "[{}\n{}]", "[{}]\n{}", "[{}", "[", "{}\n,{}", "{}\n{\"a",
            "\u{fffd}",
        ]
        .into_iter()
        .map(|text| split(text).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
    line 2: this is neither an array of objects nor an object
    line 2: an object or `]` belongs here
    line 2: an object belongs here, after the comma
    line 2: a comma or `]` belongs here, after an object
    line 2: nothing belongs here, after the array
    line 1: the input ends within the array
    line 1: the input ends within the array
    line 2: an object belongs here
    line 2: the input ends within the object that begins here
    line 1: this is not UTF-8
    ");
        let long = format!("[{{\"a\": \"{}\"}}]", "x".repeat(OBJECT_BYTES_MAX));
        let error = split(&long).unwrap_err();
        assert!(
            matches!(error, SplitError::TooLong { line: 1, .. }),
            "{error}"
        );
    }
}
