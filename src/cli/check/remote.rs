//! Asking a server.

use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;

use super::question::Question;
use crate::cli::Failure;
use crate::cli::answer::Answer;
use crate::cli::failure::Message;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// `http://HOST:PORT` or `https://HOST:PORT`
    Url(Uri),
    /// `unix:PATH`
    Unix(PathBuf),
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let uri = Uri::from_str(text).ok();
        uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
            .map(Self::Url)
            .ok_or_else(|| {
                "not a server such as http://127.0.0.1:8470 or unix:/run/deodar.sock".to_owned()
            })
    }
}

/// Asks the server.
///
/// # Errors
/// Always, until there is a client.
pub fn ask(_server: &ServerAddress, _question: &Question) -> Result<Answer, Failure> {
    Err(Failure::Failed(Message::new(
        "asking a server is not built yet",
        "decide locally with `--policies DIR`",
    )))
}
