//! Writing to the terminal: colours, tables, faults.

use std::fmt::Write as _;
use std::io::Write as _;

use anstyle::AnsiColor;
use anstyle::Style;
use miette::GraphicalReportHandler;
use miette::GraphicalTheme;

use crate::engine::Fault;

/// Good news.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Bad news.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Neither.
pub const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// Headings.
pub const HEAD: Style = Style::new().bold();
/// Names: keys, ids, expressions.
pub const NAME: Style = AnsiColor::Cyan.on_default();
/// What matters less: places, origins.
pub const FAINT: Style = Style::new().dimmed();
/// Everything else.
pub const PLAIN: Style = Style::new();

/// Text in a style. The stream that it is written to takes the style out again
/// where no terminal shows it.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Writes to standard output.
pub fn stdout(text: &str) {
    // A reader that has gone away, such as `head`, is no reason to complain.
    anstream::stdout().lock().write_all(text.as_bytes()).ok();
}

/// Writes to standard error.
pub fn stderr(text: &str) {
    anstream::stderr().lock().write_all(text.as_bytes()).ok();
}

/// Lines of cells, each column as wide as its widest cell and in its style.
pub fn table<const N: usize>(indent: &str, styles: [Style; N], rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let last = row.iter().rposition(|cell| !cell.is_empty()).unwrap_or(0);
        text.push_str(indent);
        for (at, ((cell, style), width)) in row
            .iter()
            .zip(styles)
            .zip(widths)
            .enumerate()
            .take(last + 1)
        {
            text.push_str(&paint(style, cell));
            if at < last {
                let gap = width - cell.chars().count() + 2;
                text.extend(std::iter::repeat_n(' ', gap));
            }
        }
        text.push('\n');
    }
    text
}

/// Faults of a policy directory, each with its source underlined.
pub fn drawn(faults: &[Fault]) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode()).with_links(false);
    let mut text = String::new();
    for fault in faults {
        if handler.render_report(&mut text, &fault.drawn()).is_err() {
            // A label that does not fit its source cannot be drawn.
            writeln!(text, "{fault}").ok();
        }
        text.push('\n');
    }
    text
}

/// `1 policy`, `2 policies`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Pretty JSON with a line end.
pub fn json(value: &impl serde::Serialize) -> String {
    // Strings, numbers and maps with text keys cannot fail.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
