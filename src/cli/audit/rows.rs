//! Records as a table for people.

use serde_json::Map;
use serde_json::Value as Json;

use super::csv;
use super::source::moment;
use crate::audit::facts::Facts;
use crate::audit::facts::Party;
use crate::audit::read::Line;
use crate::cli::format::RowsFormat;
use crate::cli::output;
use crate::cli::output::BAD;
use crate::cli::output::FAINT;
use crate::cli::output::GOOD;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::WARN;
use crate::cli::output::paint;

/// Characters of what a record tells that is no decision.
const DETAIL_CHARS_MAX: usize = 160;
/// A column grows no wider than this; longer cells push the rest of their line.
const WIDTH_MAX: usize = 48;
/// Members that every record has.
const HEAD_MEMBERS: [&str; 6] = ["v", "seq", "time", "prev", "durable", "kind"];

/// Writes records to standard output, a part at a time.
#[derive(Debug)]
pub struct Writer {
    form: RowsFormat,
    widths: [usize; 8],
    /// How many were written.
    pub written: u64,
}

const TITLES: [&str; 8] = [
    "seq",
    "time",
    "decision",
    "principal",
    "action",
    "resource",
    "why",
    "caller",
];

impl Writer {
    /// Writes in this form.
    pub fn new(form: RowsFormat) -> Self {
        Self {
            form,
            widths: [0; 8],
            written: 0,
        }
    }

    /// Writes some more. Columns are as wide as they were, or wider.
    pub fn write(&mut self, lines: &[Line]) {
        let is_first = self.written == 0;
        self.written += lines.len() as u64;
        let text = match self.form {
            RowsFormat::Json => lines.iter().fold(String::new(), |mut text, line| {
                text.push_str(&line.text);
                text.push('\n');
                text
            }),
            RowsFormat::Csv => {
                let header = if is_first { csv::HEADER } else { "" };
                let rows = lines.iter().map(csv::row);
                std::iter::once(header.to_owned()).chain(rows).collect()
            }
            RowsFormat::Human if lines.is_empty() => String::new(),
            RowsFormat::Human => self.table(lines, is_first),
        };
        output::stdout(&text);
    }

    fn table(&mut self, lines: &[Line], is_first: bool) -> String {
        let rows: Vec<[String; 8]> = lines.iter().map(cells).collect();
        let titles = is_first.then(|| TITLES.map(str::to_owned));
        for row in rows.iter().chain(&titles) {
            // What is no decision has one long cell behind the first three.
            let is_decision = !is_detail(row);
            let columns = if is_decision { 8 } else { 3 };
            for (width, cell) in self.widths.iter_mut().zip(row).take(columns) {
                *width = cell.chars().count().min(WIDTH_MAX).max(*width);
            }
        }
        let mut text = String::new();
        if let Some(titles) = titles {
            text.push_str(&self.row(&titles, [HEAD; 8]));
        }
        for row in &rows {
            let style = match row.get(2).map(String::as_str) {
                Some("allow") => GOOD,
                Some("deny") => BAD,
                _ => WARN,
            };
            let styles = [FAINT, PLAIN, style, NAME, PLAIN, NAME, PLAIN, FAINT];
            text.push_str(&self.row(row, styles));
        }
        text
    }

    fn row(&self, row: &[String; 8], styles: [anstyle::Style; 8]) -> String {
        let last = row.iter().rposition(|cell| !cell.is_empty()).unwrap_or(0);
        let mut text = String::new();
        let cells = row.iter().zip(styles).zip(self.widths);
        for (at, ((cell, style), width)) in cells.enumerate().take(last + 1) {
            let style = if is_detail(row) && at == 3 {
                PLAIN
            } else {
                style
            };
            text.push_str(&paint(style, cell));
            if at < last {
                let gap = width.saturating_sub(cell.chars().count()) + 2;
                text.extend(std::iter::repeat_n(' ', gap));
            }
        }
        text.push('\n');
        text
    }
}

/// Whether a row is of something that is no decision.
fn is_detail(row: &[String; 8]) -> bool {
    row.get(4).is_some_and(String::is_empty)
}

fn cells(line: &Line) -> [String; 8] {
    let facts = Facts::read(&line.text).unwrap_or_default();
    let (seq, time) = (line.seq.to_string(), moment(line.millis));
    let none = String::new;
    let (Some(decision), Some(action)) = (&facts.decision, &facts.action) else {
        let kind = line.kind.clone();
        return [
            seq,
            time,
            kind,
            detail(&line.text),
            none(),
            none(),
            none(),
            none(),
        ];
    };
    let party =
        |party: &Option<Party<'_>>| party.as_ref().map(ToString::to_string).unwrap_or_default();
    [
        seq,
        time,
        printable(decision),
        printable(&party(&facts.principal)),
        printable(&action.to_string()),
        printable(&party(&facts.resource)),
        printable(&why(&facts)),
        printable(facts.caller.as_deref().unwrap_or("")),
    ]
}

/// What made a decision.
pub fn why(facts: &Facts<'_>) -> String {
    let policies = facts.policies.join(", ");
    let failed = facts.failed.join(", ");
    let mut parts = Vec::new();
    match (facts.cause.as_deref(), policies.is_empty()) {
        (Some(cause), true) => parts.push(cause.to_owned()),
        (Some(cause), false) => parts.push(format!("{cause}: {policies}")),
        (None, _) => parts.push(policies),
    }
    if !failed.is_empty() {
        parts.push(format!("failed: {failed}"));
    }
    parts.join("; ")
}

/// What a record tells besides what every record has, in one line.
fn detail(line: &str) -> String {
    let members: Map<String, Json> = serde_json::from_str(line).unwrap_or_default();
    let members = members
        .iter()
        .filter(|(name, _)| !HEAD_MEMBERS.contains(&name.as_str()));
    let members = members.map(|(name, value)| match value {
        Json::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    });
    let whole = printable(&members.collect::<Vec<_>>().join(" "));
    match whole.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((at, _)) => format!(
            "{}...",
            whole.split_at_checked(at).map_or("", |(start, _)| start)
        ),
        None => whole,
    }
}

/// Without what would steer a terminal: callers choose what is in a record.
pub fn printable(text: &str) -> String {
    let shown = |symbol: char| {
        if symbol.is_control() {
            '\u{fffd}'
        } else {
            symbol
        }
    };
    text.chars().map(shown).collect()
}
