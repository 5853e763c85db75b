//! `deodar audit verify`: whether a log is whole.

use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::csv::cell;
use super::source::unreadable;
use crate::audit::fault::Fault;
use crate::audit::fault::What;
use crate::audit::verify;
use crate::audit::verify::Report;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::format::RowsFormat;
use crate::cli::format::RowsFormatArg;
use crate::cli::output;
use crate::cli::output::BAD;
use crate::cli::output::FAINT;
use crate::cli::output::GOOD;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::WARN;
use crate::cli::output::paint;

const JSON_HELP: &str = r#"How to write it; JSON is {"whole", "log", "segments", "records", "bytes", "first_seq", "head": {"seq", "hash"}, "gaps", "lost", "incomplete_bytes", "fault": {"file", "line", "seq", "offset", "what", "hint"}}; CSV is a header and one row"#;

const CSV_HEADER: &str = "whole,segments,records,head_seq,head_hash,gaps,lost,fault_file,fault_line,fault_seq,fault_offset,fault";

/// Check that a log is whole, and name the first fault
///
/// Numbers have no holes, each record has the hash of the one before, and each
/// segment states size and digest of the one before. That nothing was taken from
/// the very end can be told only with the hash of the last record, kept elsewhere.
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(JSON_HELP)))]
#[command(after_help = "\
Examples:
  deodar audit verify --path /var/lib/deodar/audit
  deodar audit verify --path backup/audit --format json | jq -r .head.hash

Exit codes: 0 whole, 1 a fault was found, or the log cannot be read, 2 usage")]
pub struct VerifyArgs {
    /// The directory of the log; it may be in use
    #[arg(long, value_name = "DIR")]
    path: PathBuf,
    #[command(flatten)]
    format: RowsFormatArg,
}

/// Checks it.
///
/// # Errors
/// When there is no log, or it cannot be read.
pub fn run(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let report = verify::verify(&args.path).map_err(|error| unreadable(&error))?;
    let text = match args.format.format() {
        RowsFormat::Human => text(&args.path, &report),
        RowsFormat::Json => output::json(&json(&report)),
        RowsFormat::Csv => row(&report),
    };
    output::stdout(&text);
    Ok(if report.fault.is_none() {
        ExitCode::Yes
    } else {
        ExitCode::Failed
    })
}

fn json(report: &Report) -> serde_json::Value {
    let head = report.head.as_ref();
    let fault = report.fault.as_ref();
    json!({
        "whole": fault.is_none(),
        "log": report.log,
        "segments": report.segments,
        "records": report.records,
        "bytes": report.bytes,
        "first_seq": report.first_seq,
        "head": head.map(|(seq, hash)| json!({"seq": seq, "hash": hash.to_string()})),
        "gaps": report.gaps,
        "lost": report.lost,
        "incomplete_bytes": report.incomplete_bytes,
        "fault": fault.map(|fault| json!({
            "file": fault.file,
            "line": fault.line,
            "seq": fault.seq,
            "offset": fault.offset,
            "what": fault.what.to_string(),
            "hint": hint(fault),
        })),
    })
}

/// RFC 4180; what is not there is empty.
fn row(report: &Report) -> String {
    let head = report.head.as_ref();
    let fault = report.fault.as_ref();
    let of_fault = |part: fn(&Fault) -> String| fault.map(part).unwrap_or_default();
    let cells = [
        fault.is_none().to_string(),
        report.segments.to_string(),
        report.records.to_string(),
        head.map(|(seq, _)| seq.to_string()).unwrap_or_default(),
        head.map(|(_, hash)| hash.to_string()).unwrap_or_default(),
        report.gaps.to_string(),
        report.lost.to_string(),
        of_fault(|fault| fault.file.clone()),
        of_fault(|fault| fault.line.to_string()),
        of_fault(|fault| fault.seq.to_string()),
        of_fault(|fault| fault.offset.to_string()),
        of_fault(|fault| fault.what.to_string()),
    ];
    format!(
        "{CSV_HEADER}\r\n{}\r\n",
        cells.map(|text| cell(&text)).join(",")
    )
}

fn text(path: &Path, report: &Report) -> String {
    let verdict = match &report.fault {
        None => paint(GOOD, "whole"),
        Some(_) => paint(BAD, "damaged"),
    };
    let mut text = format!("{verdict}  {}\n", path.display());
    if let Some(fault) = &report.fault {
        let rows = [
            ["what", &fault.what.to_string()],
            ["file", &fault.file],
            ["line", &fault.line.to_string()],
            ["record", &fault.seq.to_string()],
            ["byte", &fault.offset.to_string()],
        ];
        let rows = rows.map(|row| row.map(str::to_owned));
        text.push_str(&paint(HEAD, "the first fault"));
        text.push('\n');
        text.push_str(&output::table("  ", [FAINT, PLAIN], &rows));
        text.push_str(&paint(HEAD, "read until then"));
        text.push('\n');
    }
    let mut rows = vec![
        ["log", report.log.as_str()].map(str::to_owned),
        ["segments".to_owned(), report.segments.to_string()],
        ["records".to_owned(), records(report)],
        ["bytes".to_owned(), report.bytes.to_string()],
    ];
    if let Some((seq, hash)) = &report.head {
        // It is no head to be kept elsewhere when the log does not end there.
        let title = report.fault.as_ref().map_or("head", |_| "last good");
        rows.push([title.to_owned(), format!("{seq} {hash}")]);
    }
    text.push_str(&output::table("  ", [FAINT, PLAIN], &rows));
    for note in notes(report) {
        writeln!(text, "{} {note}", paint(WARN, "note:")).ok();
    }
    if let Some(fault) = &report.fault {
        writeln!(text, "\n{} {}", paint(NAME, "hint:"), hint(fault)).ok();
    }
    text
}

fn records(report: &Report) -> String {
    match (report.records, &report.head) {
        (0, _) | (_, None) => "0".to_owned(),
        (number, Some((last, _))) => format!("{number}, {} to {last}", report.first_seq),
    }
}

/// What is no fault, and yet worth knowing.
fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    if report.first_seq > 1 && report.fault.is_none() {
        let last = report.first_seq - 1;
        notes.push(format!(
            "records 1 to {last} were dropped, as retention has it"
        ));
    }
    if report.gaps > 0 {
        notes.push(format!(
            "{} of trouble, {} lost: see `deodar audit query --kind gap`",
            output::count(
                usize::try_from(report.gaps).unwrap_or(usize::MAX),
                "gap record tells",
                "gap records tell"
            ),
            output::count(
                usize::try_from(report.lost).unwrap_or(usize::MAX),
                "record was",
                "records were"
            ),
        ));
    }
    if report.incomplete_bytes > 0 {
        notes.push(format!(
            "the last {} bytes are no whole record: it is being written, or the server was killed",
            report.incomplete_bytes
        ));
    }
    notes
}

/// What to do next.
fn hint(fault: &Fault) -> &'static str {
    match fault.what {
        What::Changed | What::Sealed(_) | What::Seq { .. } | What::Foreign | What::StraySegment => {
            "keep the directory as it is, as evidence; compare this place with a copy made before; \
             no crash does this, so look for who could write to the directory"
        }
        What::Missing(_) | What::Beheaded => {
            "look for the file where it may have been moved to, and put it back; retention tells of \
             what it drops, so it was not that"
        }
        What::Packed(_) => {
            "check the disk and its messages, and bring this file back from a copy; its digest is in \
             the segment after it"
        }
        What::Partial | What::TooLong | What::Unreadable(_) | What::NotJson | What::NotASegment => {
            "keep the directory as it is; check the disk and its messages, and compare this place \
             with a copy made before"
        }
    }
}
