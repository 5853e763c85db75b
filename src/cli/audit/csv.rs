//! Records as CSV (RFC 4180), for spreadsheets.

use crate::audit::facts::Facts;
use crate::audit::facts::Party;
use crate::audit::read::Line;

use super::source::moment;

/// The first line.
pub const HEADER: &str = "seq,time,kind,decision,cause,principal,action,resource,policies,failed,caller,id,request,trace,policies_revision,directory_revision\r\n";

/// A record as a line.
pub fn row(line: &Line) -> String {
    let facts = Facts::read(&line.text).unwrap_or_default();
    let party =
        |party: &Option<Party<'_>>| party.as_ref().map(ToString::to_string).unwrap_or_default();
    let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or("").to_owned();
    let cells = [
        line.seq.to_string(),
        moment(line.millis),
        line.kind.clone(),
        text(&facts.decision),
        text(&facts.cause),
        party(&facts.principal),
        party(&facts.action),
        party(&facts.resource),
        facts.policies.join(" "),
        facts.failed.join(" "),
        text(&facts.caller),
        text(&facts.id),
        text(&facts.request),
        text(&facts.trace),
        text(&facts.policies_revision),
        text(&facts.directory_revision),
    ];
    let cells = cells.map(|text| cell(&text));
    format!("{}\r\n", cells.join(","))
}

/// A cell. What a spreadsheet would take for a formula begins with an apostrophe,
/// which it takes for text: callers choose their names and ids.
pub fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let safe = if is_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if is_formula || safe.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", safe.replace('"', "\"\""))
    } else {
        safe
    }
}

#[cfg(test)]
mod tests {
    use super::HEADER;
    use super::cell;
    use super::row;
    use crate::audit::read::Line;

    #[test]
    fn cells_are_quoted_and_no_formulas() {
        for (text, expected) in [
            ("", ""),
            ("plain text", "plain text"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("a=1", "a=1"),
        ] {
            assert_eq!(cell(text), expected);
        }
    }

    #[test]
    fn a_row_has_a_cell_for_each_of_the_header() {
        let line = Line {
            seq: 1,
            millis: 0,
            kind: "start".to_owned(),
            text: "{}".to_owned(),
        };
        assert_eq!(row(&line).matches(',').count(), HEADER.matches(',').count());
    }
}
