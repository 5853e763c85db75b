//! A question as the command line asks it.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use cedar_policy::EntityUid;
use cedar_policy_core::ast::Value;
use serde_json::Value as Json;

use crate::cli::Failure;
use crate::cli::failure::Message;

/// A question, read but not yet checked against a schema.
#[derive(Debug)]
pub struct Question {
    /// Who asks.
    pub principal: EntityUid,
    /// To do what.
    pub action: EntityUid,
    /// To what.
    pub resource: EntityUid,
    /// Cedar JSON.
    pub context: Json,
    /// Cedar JSON.
    pub entities: Json,
    /// The `datetime` to decide for, unless it is the clock's.
    pub now: Option<Value>,
}

/// JSON on the command line, or where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonText {
    /// The text itself.
    Text(String),
    /// `@FILE`
    File(PathBuf),
    /// `-`
    Input,
}

impl FromStr for JsonText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match (text, text.strip_prefix('@')) {
            ("-", _) => Self::Input,
            (_, Some(path)) => Self::File(path.into()),
            (text, None) => Self::Text(text.to_owned()),
        })
    }
}

impl JsonText {
    /// Reads and parses it, for the flag of this name.
    ///
    /// # Errors
    /// When the file cannot be read, or is not JSON.
    pub fn read(&self, flag: &str) -> Result<Json, Failure> {
        let (text, origin) = match self {
            Self::Text(text) => (text.clone(), String::new()),
            Self::File(path) => {
                let text = fs::read_to_string(path).map_err(|error| {
                    let message = format!("cannot read `{}` for `{flag}`: {error}", path.display());
                    Failure::Failed(Message::new(
                        message,
                        "check that the file exists, is UTF-8 and may be read",
                    ))
                })?;
                (text, format!(" in `{}`", path.display()))
            }
            Self::Input => {
                let text = io::read_to_string(io::stdin()).map_err(|error| {
                    let message = format!("cannot read standard input for `{flag}`: {error}");
                    Failure::Failed(Message::new(message, "pipe UTF-8 into the command"))
                })?;
                (text, " on standard input".to_owned())
            }
        };
        serde_json::from_str(&text).map_err(|error| {
            let message = format!("`{flag}`{origin} is not JSON: {error}");
            Failure::Usage(Message::new(
                message,
                "write JSON, in single quotes for the shell, or @FILE to read a file",
            ))
        })
    }
}

/// An entity as in a policy.
///
/// # Errors
/// When it is none, with what a shell may have done to it.
pub fn entity(text: &str) -> Result<EntityUid, String> {
    EntityUid::from_str(text).map_err(|_| {
        if text.contains('"') {
            r#"not an entity such as Type::"id""#.to_owned()
        } else {
            r#"not an entity such as Type::"id"; the double quotes belong to it: write 'Type::"id"' in single quotes"#.to_owned()
        }
    })
}
