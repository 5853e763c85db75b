//! A schema laid out token by token: comments and the author's line breaks stay;
//! indentation, spaces within a line and empty lines are set.

/// Spaces for each level.
const INDENT: usize = 2;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A name, keyword or number, or a text in quotes.
    Word,
    /// Anything else.
    Sign,
    /// `// ..` to the end of the line.
    Comment,
}

/// A token with what stands before it.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    /// Line ends before it.
    breaks: usize,
    /// Its column in the text, from 0.
    column: usize,
    /// Where the first token of its line begins.
    line_column: usize,
}

/// The comments of a text in Cedar, policies or schema, in order of the alphabet.
pub fn comments(text: &str) -> Vec<&str> {
    let tokens = tokens(text).into_iter();
    let comments = tokens.filter(|token| token.kind == Kind::Comment);
    let mut comments: Vec<&str> = comments.map(|token| token.text.trim_end()).collect();
    comments.sort_unstable();
    comments
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut rest = text;
    let (mut breaks, mut column, mut line_column) = (0, 0, 0);
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            match first {
                '\n' => (breaks, column) = (breaks + 1, 0),
                _ => column += 1,
            }
            continue;
        }
        let (kind, length) = token(rest, first);
        let (text, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        if breaks > 0 || tokens.is_empty() {
            line_column = column;
        }
        tokens.push(Token {
            kind,
            text,
            breaks,
            column,
            line_column,
        });
        column = match text.rsplit_once('\n') {
            Some((_, last)) => last.chars().count(),
            None => column + text.chars().count(),
        };
        breaks = 0;
        rest = after;
    }
    tokens
}

/// The kind and length of the token that a text begins with.
fn token(text: &str, first: char) -> (Kind, usize) {
    let up_to = |end: fn(char) -> bool| text.find(end).unwrap_or(text.len());
    if text.starts_with("//") {
        return (Kind::Comment, up_to(|c| c == '\n' || c == '\r'));
    }
    if first == '"' {
        let mut is_escaped = false;
        let end = text.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '"' && !is_escaped;
            is_escaped = *c == '\\' && !is_escaped;
            ends
        });
        return (Kind::Word, end.map_or(text.len(), |(at, _)| at + 1));
    }
    if text.starts_with("::") {
        return (Kind::Sign, 2);
    }
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    if is_name(first) {
        return (Kind::Word, up_to(|c| !(c.is_alphanumeric() || c == '_')));
    }
    (Kind::Sign, first.len_utf8())
}

/// The text in its one form.
pub fn laid_out(text: &str) -> String {
    let mut out = Layout::default();
    for token in tokens(text) {
        out.put(token);
    }
    out.end()
}

#[derive(Default)]
struct Layout<'a> {
    done: String,
    line: String,
    /// Open brackets, and whether each is that of a namespace.
    open: Vec<bool>,
    /// The last tokens that are no comments, the newest first.
    last: [&'a str; 2],
    /// The last token was a comment: nothing may follow on its line.
    after_comment: bool,
    /// A namespace was named, and its bracket comes next.
    in_namespace_head: bool,
    indent: usize,
    line_column: usize,
}

impl<'a> Layout<'a> {
    fn put(&mut self, token: Token<'a>) {
        let is_comment = token.kind == Kind::Comment;
        let is_first = self.done.is_empty() && self.line.is_empty();
        let needs_break = self.after_comment || (!is_comment && self.ends_item());
        if !is_first && (token.breaks > 0 || needs_break) {
            self.break_line(token);
        }
        if self.line.is_empty() {
            self.indent = self.depth_for(token) * INDENT;
            self.line_column = token.line_column;
            self.line = " ".repeat(self.indent);
        } else if is_comment {
            self.pad(token);
        } else if needs_space(self.last[0], token.text) {
            self.line.push(' ');
        }
        self.line.push_str(if is_comment {
            token.text.trim_end()
        } else {
            token.text
        });
        self.after_comment = is_comment;
        if !is_comment {
            self.follow(token.text);
        }
    }

    /// Whether what follows begins a line of its own: a declaration.
    fn ends_item(&self) -> bool {
        match self.last[0] {
            ";" => true,
            "{" | "}" => self.open.iter().all(|is_namespace| *is_namespace) && !self.is_in_tail(),
            _ => false,
        }
    }

    /// After `}` a declaration may go on: `} tags Long;`. Only the bracket that
    /// closes a namespace ends one.
    fn is_in_tail(&self) -> bool {
        self.last[0] == "}" && self.last[1] != NAMESPACE_END
    }

    fn break_line(&mut self, next: Token<'a>) {
        self.done.push_str(self.line.trim_end());
        self.done.push('\n');
        self.line.clear();
        // One empty line stays, but not next to the brackets that it would pad.
        let is_padding = matches!(self.last[0], "{" | "[" | "(" | "<") && !self.after_comment;
        let closes = matches!(next.text, "}" | "]" | ")" | ">");
        if next.breaks > 1 && !is_padding && !closes {
            self.done.push('\n');
        }
    }

    /// How deep a line is that begins with this token.
    fn depth_for(&self, token: Token<'_>) -> usize {
        let depth = self.open.len();
        if matches!(token.text, "}" | "]" | ")" | ">") {
            return depth.saturating_sub(1);
        }
        let begins = match self.last {
            ["" | "{" | "[" | "(" | "<" | ";" | "," | ")", _] | [_, "@"] => true,
            ["}", before] => before == NAMESPACE_END,
            _ => false,
        };
        depth + usize::from(!begins && token.kind != Kind::Comment)
    }

    /// Comments at the end of a line stay where they are, as far as there is room.
    fn pad(&mut self, token: Token<'_>) {
        let width = self.line.chars().count();
        let moved = (token.column + self.indent).saturating_sub(self.line_column);
        let gap = moved.saturating_sub(width).max(1);
        self.line.extend(std::iter::repeat_n(' ', gap));
    }

    fn follow(&mut self, text: &'a str) {
        let mut before = self.last[0];
        match text {
            "{" => self.open.push(std::mem::take(&mut self.in_namespace_head)),
            "[" | "(" | "<" => self.open.push(false),
            "}" | "]" | ")" | ">" if self.open.pop() == Some(true) => before = NAMESPACE_END,
            "namespace" if matches!(before, "" | ";" | ")") || self.last[1] == NAMESPACE_END => {
                self.in_namespace_head = true;
            }
            _ => {}
        }
        self.last = [text, before];
    }

    fn end(mut self) -> String {
        self.done.push_str(self.line.trim_end());
        if !self.done.is_empty() {
            self.done.push('\n');
        }
        self.done
    }
}

/// Stands for what came before the bracket that closes a namespace.
const NAMESPACE_END: &str = "}}";

/// Whether two tokens of a line are apart.
fn needs_space(left: &str, right: &str) -> bool {
    !matches!(
        (left, right),
        ("{", "}")
            | ("::" | "(" | "[" | "<" | "@", _)
            | (
                _,
                "," | ";" | ":" | "::" | "?" | ")" | "]" | ">" | "(" | "<"
            )
    )
}

#[cfg(test)]
mod tests {
    use super::laid_out;

    #[test]
    fn spaces_and_lines_are_set() {
        let ugly = "\n\n// People.\nnamespace   Org{\n\n\n  entity   User in[Role,Group]={\n\"handle\"  :String ,  // its key\n      site?:Iot :: Site,\n\n\n   }tags   Set < Long >;entity Role;\n @doc( \"x\" )\n type T={};\n\n}\nentity E\nin [Org::Role];";
        let expected = "\
// People.
namespace Org {
  entity User in [Role, Group] = {
    \"handle\": String,    // its key
    site?: Iot::Site,
  } tags Set<Long>;
  entity Role;
  @doc(\"x\")
  type T = {};
}
entity E
  in [Org::Role];
";
        assert_eq!(laid_out(ugly), expected);
        assert_eq!(laid_out(expected), expected);
    }

    #[test]
    fn strings_and_comments_are_left_alone() {
        let text = "// a  b\ntype T = { \"a  :b\\\" //\": Long }; //  end\n// last\n";
        assert_eq!(laid_out(text), text);
        assert_eq!(laid_out(""), "");
        assert_eq!(laid_out("  \n"), "");
        assert_eq!(laid_out("// c"), "// c\n");
    }
}
