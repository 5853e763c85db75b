//! Talking to a server.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use tonic::transport::Channel;
use tonic::transport::Endpoint;

use super::Failure;
use super::failure::Message;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// `http://HOST:PORT`
    Url(Uri),
    /// `unix:PATH`
    Unix(PathBuf),
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(uri) => uri.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let uri = Uri::from_str(text).ok();
        uri.filter(|uri| matches!(uri.scheme_str(), Some("http")) && uri.host().is_some())
            .map(Self::Url)
            .ok_or_else(|| {
                "not a server such as http://127.0.0.1:8470 or unix:/run/deodar.sock".to_owned()
            })
    }
}

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs what talks to a server to its end.
///
/// # Errors
/// Its own, or that the system gives no runtime.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(Message::new(error, "check the limits of the system")))?;
    runtime.block_on(work)
}

/// A request that is given up when the server takes too long.
pub fn in_time<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}

/// Connects.
///
/// # Errors
/// When the server cannot be reached.
pub async fn connect(server: &ServerAddress) -> Result<Channel, Failure> {
    let unreachable = |error: &dyn fmt::Display| {
        let message = format!("cannot reach the server `{server}`: {error}");
        Failure::Failed(Message::new(message, "is `deodar serve` running there?"))
    };
    let endpoint =
        Endpoint::from_shared(server.to_string()).map_err(|error| unreachable(&error))?;
    let connected = endpoint.connect_timeout(PATIENCE).connect().await;
    connected.map_err(|error| unreachable(&deepest(&error)))
}

/// What tonic says first is "transport error"; the cause is what helps.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

/// Why a server did not do what it was asked: what it says, with its hint.
pub fn refused(status: &Status) -> Failure {
    let message = Message::new(status.message(), "");
    match status.code() {
        Code::InvalidArgument => Failure::Usage(message),
        // The first is what tonic's client makes of a time-out of its own.
        Code::Cancelled | Code::DeadlineExceeded => Failure::Failed(Message::new(
            format!("the server did not answer within {PATIENCE:?}"),
            "ask its `/readyz` why; it may be waiting for a disk",
        )),
        code => Failure::Failed(Message::new(format!("{code:?}: {}", status.message()), "")),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::refused;
    use crate::cli::failure::Failure;

    #[test]
    fn a_server_that_takes_too_long_is_told_as_such() {
        for status in [
            Status::cancelled("Timeout expired"),
            Status::deadline_exceeded(""),
        ] {
            let Failure::Failed(message) = refused(&status) else {
                panic!("{status}");
            };
            let told = format!("{message:?}");
            assert!(told.contains("did not answer within 10s"), "{told}");
            assert!(told.contains("/readyz"), "{told}");
        }
    }
}
