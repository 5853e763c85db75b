//! Faults of the directory as gRPC statuses.

use tonic::Code;
use tonic::Status;
use tonic_types::ErrorDetails;
use tonic_types::StatusExt as _;

use super::status::RETRY_AFTER;
use super::status::info;
use super::status::info_with;
use crate::directory::error::ReadError;
use crate::directory::error::WriteError;
use crate::directory::error::WriteFault;
use crate::directory::revision::RevisionError;

/// Details travel in a header, and callers take few KiB of those: so many bytes
/// of faults are told, and how many more there are.
const DETAILS_BYTES_MAX: usize = 3 << 10;
/// Characters of one fault.
const FAULT_CHARS_MAX: usize = 400;

/// Why a write was not applied.
pub(super) fn of_write(error: &WriteError) -> Status {
    match error {
        WriteError::Refused(faults) => {
            let (told, mut details) = told("WRITE_REFUSED", faults);
            for fault in told {
                details.add_bad_request_violation(&fault.field, described(fault));
            }
            let message = headline("nothing was written", faults);
            Status::with_error_details(Code::InvalidArgument, message, details)
        }
        WriteError::Precondition(faults) => {
            let (told, mut details) = told("PRECONDITION_FAILED", faults);
            for fault in told {
                let description = described(fault);
                details.add_precondition_failure_violation(
                    "PRECONDITION",
                    &fault.field,
                    description,
                );
            }
            let message = headline("nothing was written, a precondition does not hold", faults);
            Status::with_error_details(Code::FailedPrecondition, message, details)
        }
        WriteError::Busy => {
            let mut details = info("WRITES_WAITING");
            details.set_retry_info(Some(RETRY_AFTER));
            let message = format!(
                "{error}; nothing was written: try again later, or raise `directory.writes_waiting_max` and `directory.writes_waiting_bytes_max`"
            );
            Status::with_error_details(Code::ResourceExhausted, message, details)
        }
        WriteError::Store {
            hint,
            outcome_unknown,
            ..
        } => {
            let (word, outcome) = if *outcome_unknown {
                (
                    "unknown",
                    "it is unknown whether it was written: read it back before trying again",
                )
            } else {
                ("not_written", "nothing was written")
            };
            let details = info_with("STORE_FAILED", "outcome", word.to_owned());
            let message = cut(&format!("{error}; {hint}; {outcome}"));
            Status::with_error_details(Code::Unavailable, message, details)
        }
    }
}

/// Why a revision cannot be had.
pub(super) fn of_revision(field: &str, error: &RevisionError) -> Status {
    let reason = match error {
        RevisionError::Foreign { .. } => "REVISION_FOREIGN",
        RevisionError::Future { .. } => "REVISION_FUTURE",
        RevisionError::Forked { .. } => "REVISION_FORKED",
    };
    unmet(reason, field, &error.to_string(), error.hint())
}

/// Why the log cannot be read.
pub(super) fn of_log(error: &ReadError) -> Status {
    match error {
        ReadError::Trimmed { .. } => unmet(
            "REVISION_TRIMMED",
            "after",
            &error.to_string(),
            error.hint(),
        ),
        ReadError::Store { hint, .. } => {
            let message = cut(&format!("{error}; {hint}"));
            Status::with_error_details(Code::Unavailable, message, info("STORE_FAILED"))
        }
    }
}

/// A page token whose list is no longer held.
pub(super) fn list_gone() -> Status {
    let message = "the list of this `page_token` is no longer held: it was not gone on with for minutes, there were too many newer ones, or the server was started anew; start again without a token";
    Status::with_error_details(Code::Aborted, message, info("LIST_GONE"))
}

/// One watch too many.
pub(super) fn too_many_watches(limit: usize) -> Status {
    let mut details = info("WATCHES");
    details.set_retry_info(Some(RETRY_AFTER));
    let message =
        format!("{limit} watches are under way; end some, or raise `directory.watches_max`");
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

fn unmet(reason: &str, field: &str, message: &str, hint: &str) -> Status {
    let mut details = info(reason);
    details.add_precondition_failure_violation("REVISION", field, format!("{message}; {hint}"));
    let message = format!("`{field}`: {message}; {hint}");
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

/// The faults that there is room for; how many more there are is in the details.
fn told<'a>(reason: &str, faults: &'a [WriteFault]) -> (&'a [WriteFault], ErrorDetails) {
    let mut bytes = 0;
    let fits = faults.iter().take_while(|fault| {
        bytes += fault.field.len() + described(fault).len();
        bytes <= DETAILS_BYTES_MAX
    });
    // One always fits: each is cut.
    let (told, left) = faults
        .split_at_checked(fits.count())
        .unwrap_or((faults, &[]));
    let details = match left.len() {
        0 => info(reason),
        left => info_with(reason, "faults_left_out", left.to_string()),
    };
    (told, details)
}

fn described(fault: &WriteFault) -> String {
    cut(&format!("{}; {}", fault.message, fault.hint))
}

fn headline(what: &str, faults: &[WriteFault]) -> String {
    let first = faults.first().map_or_else(String::new, |fault| {
        let WriteFault { field, .. } = fault;
        format!(": `{field}`: {}", described(fault))
    });
    match faults.len() {
        0 | 1 => format!("{what}{first}"),
        number => format!("{what}, {number} faults, the first{first}"),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(FAULT_CHARS_MAX) {
        Some((at, _)) => format!(
            "{}...",
            text.split_at_checked(at).map_or("", |(start, _)| start)
        ),
        None => text.to_owned(),
    }
}
