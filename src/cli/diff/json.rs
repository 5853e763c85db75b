//! The report of a comparison for programs.

use serde_json::Value as Json;
use serde_json::json;

use super::side::Side;

/// What a side is.
pub fn side(side: &Side) -> Json {
    let repository = &side.repository;
    json!({
        "name": side.name,
        "commit": side.commit,
        "policy_revision": repository.files.policy_digest().to_string(),
        "directory_revision": repository.files.data_digest().to_string(),
    })
}
