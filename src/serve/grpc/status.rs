//! Faults as gRPC statuses: one exhaustive mapping, with `google.rpc` details.

use prost::Message as _;
use tonic::Code;
use tonic::Status;
use tonic_types::ErrorDetails;
use tonic_types::StatusExt as _;

use crate::engine::json::JsonError;
use crate::pdp::AskError;
use crate::pdp::NotReady;

/// The domain of `google.rpc.ErrorInfo`.
const DOMAIN: &str = "deodar";
/// After so long a caller may ask a server that is not ready again.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

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

    /// A fault of a field that exceeds a limit.
    pub fn too_much(field: impl Into<String>, what: &str, limit: usize, key: &str) -> Self {
        Self::new(
            field,
            format!("exceeds the limit of {limit} {what}"),
            format!("send less, or raise `limits.{key}`"),
        )
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
    NotReady,
    /// There is no such store.
    NoStore(String),
    /// There is no such policy.
    NoPolicy(String),
    /// The deadline passed.
    Late(Status),
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self::Bad(error)
    }
}

impl From<NotReady> for Refusal {
    fn from(NotReady: NotReady) -> Self {
        Self::NotReady
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Bad(error) => bad_request(&error),
            Refusal::NotReady => {
                let mut details = info("NOT_READY");
                details.set_retry_info(Some(RETRY_AFTER));
                let message = format!("{NotReady}; ask deodar.v1.PolicyService/GetStatus why");
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
            Refusal::Late(status) => status,
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

fn info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, [])
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
