//! Places in JSON text, which parsers of whole values do not keep.

use std::ops::Range;
use std::sync::Arc;

use super::fault::Fault;

/// A fault at the place where a JSON parser stopped.
pub fn json_fault(file: &str, source: &Arc<str>, error: &serde_json::Error) -> Fault {
    let before: usize = source
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let at = (before + error.column().saturating_sub(1)).min(source.len());
    Fault::at(file, source, at.into(), error.to_string())
}

/// The byte ranges of the elements of an array, in a text that is valid JSON.
pub fn elements(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut scan = Scan::default();
    let mut current: Option<Range<usize>> = None;
    for (at, byte) in text.bytes().enumerate() {
        let depth = scan.depth;
        let is_element = match scan.step(byte) {
            Token::Blank | Token::Comma | Token::Close => depth > 1,
            Token::Other => depth >= 1,
        };
        if is_element {
            current = Some(current.map_or(at, |span| span.start)..at + 1);
        } else if byte == b',' || byte == b']' {
            spans.extend(current.take());
        }
    }
    spans
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Blank,
    Comma,
    Close,
    Other,
}

/// Where in the nesting of arrays, objects and strings a scan is.
#[derive(Default)]
struct Scan {
    depth: usize,
    is_string: bool,
    is_escaped: bool,
}

impl Scan {
    fn step(&mut self, byte: u8) -> Token {
        if self.is_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_string = false,
                _ => {}
            }
            return Token::Other;
        }
        match byte {
            b'"' => self.is_string = true,
            b'[' | b'{' => self.depth += 1,
            b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                return Token::Close;
            }
            b',' => return Token::Comma,
            _ if byte.is_ascii_whitespace() => return Token::Blank,
            _ => {}
        }
        Token::Other
    }
}

#[cfg(test)]
mod tests {
    use super::elements;

    #[test]
    fn elements_are_found_whole() {
        let text = r#" [ {"a": [1, "]}\\"]} ,2, [ ],
          "x, y" ] "#;
        let found: Vec<_> = elements(text)
            .into_iter()
            .map(|span| text.get(span).unwrap())
            .collect();
        assert_eq!(found, [r#"{"a": [1, "]}\\"]}"#, "2", "[ ]", r#""x, y""#]);
        assert!(elements("[]").is_empty());
    }
}
