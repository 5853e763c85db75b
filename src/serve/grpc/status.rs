//! Faults as gRPC statuses: one exhaustive mapping, with `google.rpc` details.

use prost::Message as _;
use tonic::Code;
use tonic::Status;
use tonic_types::ErrorDetails;
use tonic_types::StatusExt as _;

use super::directory_status;
use crate::directory::error::ReadError;
use crate::directory::error::WriteError;
use crate::directory::revision::RevisionError;
use crate::engine::json::JsonError;
use crate::pdp::AskError;
use crate::pdp::NotReady;
use crate::pdp::recording::NotRecorded;

/// The domain of `google.rpc.ErrorInfo`.
const DOMAIN: &str = "deodar";
/// After so long a caller may ask a server that is not ready again.
pub(super) const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

/// A request that does not say what it should: the caller has to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {message}")]
pub struct WireError {
    /// The field, as a path from the request.
    pub field: String,
    /// What is wrong, to be read after the field.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl WireError {
    /// A fault of a field.
    pub fn new(
        field: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// A fault of a field that exceeds a limit, which is a key of `[limits]`.
    pub fn too_much(field: impl Into<String>, what: &str, limit: usize, key: &str) -> Self {
        Self::beyond(field, what, limit, &format!("limits.{key}"))
    }

    /// A fault of a field that exceeds a limit, which is this key.
    pub fn beyond(field: impl Into<String>, what: &str, limit: usize, key: &str) -> Self {
        Self::new(
            field,
            format!("exceeds the limit of {limit} {what}"),
            format!("send less, or raise `{key}`"),
        )
    }
}

impl WireError {
    /// What records say of it. Messages about values quote them, and values that no
    /// policy reads are in no record.
    fn told(&self) -> String {
        let is_value = |of: &str| self.field.starts_with(of);
        if is_value("context") || is_value("entities") {
            format!("`{}` is bad", self.field)
        } else {
            self.to_string()
        }
    }
}

/// A message that begins with its field says it only once.
fn after_field(field: &str, message: &str) -> String {
    let rest = message.strip_prefix(&format!("`{field}` "));
    rest.unwrap_or(message).to_owned()
}

impl From<AskError> for WireError {
    fn from(error: AskError) -> Self {
        let message = after_field(error.field(), &error.to_string());
        Self::new(error.field(), message, error.hint())
    }
}

impl From<JsonError> for WireError {
    fn from(error: JsonError) -> Self {
        let message = after_field(error.field(), &error.to_string());
        Self::new(error.field(), message, error.hint())
    }
}

/// Why a question has no answer.
#[derive(Debug)]
pub enum Refusal {
    /// The caller has to mend the request.
    Bad(WireError),
    /// No policies are in force.
    NotReady(NotReady),
    /// There is no such store.
    NoStore(String),
    /// There is no such policy.
    NoPolicy(String),
    /// The message is not one.
    Undecoded(Status),
    /// The deadline passed.
    Late(Status),
    /// Nothing was written.
    Write(WriteError),
    /// The revision in this field cannot be had.
    Revision(&'static str, RevisionError),
    /// The log cannot be read.
    Log(ReadError),
    /// The list of a page token is no longer held.
    ListGone,
    /// So many watches are under way.
    Watches(usize),
    /// The work for it broke off.
    Lost,
    /// The audit log did not take its record.
    NotRecorded(NotRecorded),
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self::Bad(error)
    }
}

impl From<NotReady> for Refusal {
    fn from(not_ready: NotReady) -> Self {
        Self::NotReady(not_ready)
    }
}

impl From<NotRecorded> for Refusal {
    fn from(not_recorded: NotRecorded) -> Self {
        Self::NotRecorded(not_recorded)
    }
}

impl Refusal {
    /// Why, in a word and in a sentence, for records.
    pub(super) fn told(&self) -> (&'static str, String) {
        match self {
            Self::Bad(error) => ("BAD_REQUEST", error.told()),
            Self::NotReady(not_ready) => ("NOT_READY", not_ready.to_string()),
            Self::NoStore(store) => ("STORE_NOT_FOUND", format!("there is no store `{store}`")),
            Self::Undecoded(status) => ("UNDECODED", status.message().to_owned()),
            Self::Late(status) => ("DEADLINE_EXCEEDED", status.message().to_owned()),
            Self::Revision(field, error) => ("REVISION", format!("`{field}`: {error}")),
            _ => ("OTHER", String::new()),
        }
    }

    /// Whether the caller's message is to blame, and nothing else.
    pub(super) fn is_of_question(&self) -> bool {
        matches!(self, Self::Bad(_) | Self::NoStore(_))
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Bad(error) => bad_request(&error),
            Refusal::NotReady(not_ready) => {
                let mut details = info("NOT_READY");
                details.set_retry_info(Some(RETRY_AFTER));
                let message = format!("{not_ready}; ask deodar.v1.PolicyService/GetStatus why");
                Self::with_error_details(Code::Unavailable, message, details)
            }
            Refusal::NoStore(store) => {
                let message = format!("there is no store `{store}`; leave it empty for `default`");
                Self::with_error_details(Code::NotFound, message, info("STORE_NOT_FOUND"))
            }
            Refusal::NoPolicy(id) => {
                let message = format!("there is no policy `{id}`; see ListPolicies");
                Self::with_error_details(Code::NotFound, message, info("POLICY_NOT_FOUND"))
            }
            Refusal::Undecoded(status) | Refusal::Late(status) => status,
            Refusal::Write(error) => directory_status::of_write(&error),
            Refusal::Revision(field, error) => directory_status::of_revision(field, &error),
            Refusal::Log(error) => directory_status::of_log(&error),
            Refusal::ListGone => directory_status::list_gone(),
            Refusal::Watches(limit) => directory_status::too_many_watches(limit),
            Refusal::NotRecorded(not_recorded) => {
                let mut details = info("NOT_RECORDED");
                details.set_retry_info(Some(RETRY_AFTER));
                let message = format!("{not_recorded}; look at the log of the server");
                Self::with_error_details(Code::Unavailable, message, details)
            }
            Refusal::Lost => Self::with_error_details(
                Code::Internal,
                "the answer was lost; report this with the log of the server: it is a fault of deodar",
                info("LOST"),
            ),
        }
    }
}

fn bad_request(error: &WireError) -> Status {
    let mut details = info("BAD_REQUEST");
    let description = format!("{}; {}", error.message, error.hint);
    details.add_bad_request_violation(&error.field, description);
    let message = format!("{error}; {}", error.hint);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

pub(super) fn info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, [])
}

/// The reason with one more thing that programs may want to know.
pub(super) fn info_with(reason: &str, name: &str, text: String) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, [(name.to_owned(), text)])
}

/// A refusal as a message, for one item of a batch or a stream.
pub fn as_message(refusal: Refusal) -> tonic_types::Status {
    let status = Status::from(refusal);
    tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}
