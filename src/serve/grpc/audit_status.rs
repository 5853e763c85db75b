//! Faults of the audit log as gRPC statuses.

use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::status::RETRY_AFTER;
use super::status::info;
use crate::audit::ReadError;

/// The server keeps no audit log. The service is there all the same: an absent
/// one is answered without a word.
pub(super) fn off() -> Status {
    let message =
        "this server keeps no audit log; set `audit.path`, or ask a server that keeps one";
    Status::with_error_details(Code::Unimplemented, message, info("AUDIT_OFF"))
}

/// Why the log cannot be read.
pub(super) fn unreadable(error: &ReadError) -> Status {
    let (code, reason) = match error {
        ReadError::Io { .. } | ReadError::Absent { .. } => (Code::Unavailable, "AUDIT_UNREADABLE"),
        ReadError::Dropped { .. } => (Code::OutOfRange, "AUDIT_DROPPED"),
        ReadError::Damaged(_) => (Code::DataLoss, "AUDIT_DAMAGED"),
    };
    let message = format!("{error}; {}", error.hint());
    Status::with_error_details(code, message, info(reason))
}

/// One tail too many.
pub(super) fn too_many_tails(limit: usize) -> Status {
    let mut details = info("TAILS");
    details.set_retry_info(Some(RETRY_AFTER));
    let message = format!(
        "{limit} tails of the audit log are under way; end some, or raise `audit.tails_max`"
    );
    Status::with_error_details(Code::ResourceExhausted, message, details)
}
