//! One entity or link of a file, to the operation that stores it.

use std::collections::BTreeMap;
use std::str::FromStr;

use cedar_policy::EntityUid;
use cedar_policy_core::ast::EntityUID;
use serde::Deserialize;
use serde_json::Map;
use serde_json::Value as Json;

use super::shown::parse_time;
use crate::proto::v1;
use crate::proto::v1::operation::Kind;
use crate::proto::v1::put_entity::Form;
use crate::serve::grpc::value_out::write_uid;

/// Fields beside those of Cedar that this file takes out of an entity.
const OURS: [&str; 3] = ["expires", "temporary_parents", "version"];

/// An entity as Cedar's JSON, with `expires` and `temporary_parents` beside it.
///
/// # Errors
/// What is wrong, if more than the server can tell.
pub fn entity(text: &str) -> Result<Kind, String> {
    // Most have nothing of ours, and are left to the server as they are.
    let may_be_ours = OURS
        .iter()
        .take(2)
        .any(|name| text.contains(&format!("\"{name}\"")));
    if may_be_ours {
        let json = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
        return entity_json(json);
    }
    Ok(Kind::Put(v1::PutEntity {
        form: Some(Form::EntityCedarJson(text.to_owned())),
        ..v1::PutEntity::default()
    }))
}

/// The same, of parsed JSON.
///
/// # Errors
/// What is wrong, if more than the server can tell.
pub fn entity_json(mut json: Map<String, Json>) -> Result<Kind, String> {
    let [expires, temporary, _] = OURS.map(|name| json.remove(name));
    let expires_at = expires.map(|expires| end(&expires)).transpose()?;
    let temporary = match temporary {
        None => Vec::new(),
        Some(Json::Array(parents)) => parents,
        Some(_) => return Err("has `temporary_parents` that are not an array".to_owned()),
    };
    let parent = |parent: Json| {
        let uid = parent.get("uid").and_then(reference);
        let expires = parent.get("expires");
        let (Some(uid), Some(expires)) = (uid, expires) else {
            return Err(
                r#"has temporary parents that are not {"uid": {"type": "..", "id": ".."}, "expires": ".."}"#
                    .to_owned(),
            );
        };
        Ok(v1::TemporaryParent {
            uid: Some(uid),
            expires_at: Some(end(expires)?),
        })
    };
    Ok(Kind::Put(v1::PutEntity {
        temporary_parents: temporary
            .into_iter()
            .map(parent)
            .collect::<Result<_, _>>()?,
        form: Some(Form::EntityCedarJson(Json::Object(json).to_string())),
        expires_at,
    }))
}

fn reference(json: &Json) -> Option<v1::EntityRef> {
    let text = |name| json.get(name).and_then(Json::as_str).map(str::to_owned);
    Some(v1::EntityRef {
        r#type: text("type")?,
        id: text("id")?,
    })
}

fn end(json: &Json) -> Result<prost_types::Timestamp, String> {
    let text = json.as_str().ok_or("has an `expires` that is not text")?;
    parse_time(text).map_err(|error| format!("has a bad `expires`: {error}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    template_id: String,
    link_id: String,
    #[serde(default)]
    args: BTreeMap<String, String>,
    expires: Option<Json>,
}

/// A link as Cedar's command line writes it, with `expires` beside it.
///
/// # Errors
/// What is wrong.
pub fn link(text: &str) -> Result<Kind, String> {
    let raw: Raw = serde_json::from_str(text).map_err(|error| {
        format!(r#"is no link such as {{"template_id": "..", "link_id": "..", "args": {{"?principal": "Type::\"id\""}}}}: {error}"#)
    })?;
    let mut link = v1::Link {
        id: raw.link_id,
        template_id: raw.template_id,
        expires_at: raw.expires.as_ref().map(end).transpose()?,
        ..v1::Link::default()
    };
    for (slot, uid) in raw.args {
        let parsed = EntityUid::from_str(&uid);
        let parsed = parsed.map_err(|_| format!("has `{uid}`, which is not an entity"))?;
        let parsed: &EntityUID = parsed.as_ref();
        match slot.as_str() {
            "?principal" => link.principal = Some(write_uid(parsed)),
            "?resource" => link.resource = Some(write_uid(parsed)),
            _ => {
                return Err(format!(
                    "has `{slot}`, which is not `?principal` or `?resource`"
                ));
            }
        }
    }
    Ok(Kind::PutLink(link))
}

/// Whether the text of an entity can be one at all, as far as can be told without
/// a schema.
///
/// # Errors
/// What is wrong.
pub fn check_entity(text: &str) -> Result<(), String> {
    let hint = r#"write {"uid": {"type": "..", "id": ".."}, "attrs": {}, "parents": []}"#;
    let json: Map<String, Json> =
        serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    let uid = json
        .get("uid")
        .ok_or_else(|| format!("has no `uid`; {hint}"))?;
    let uid = uid.get("__entity").unwrap_or(uid);
    reference(uid).ok_or_else(|| format!("has a bad `uid`; {hint}"))?;
    let known = ["uid", "attrs", "parents", "tags"];
    let mut fields = json.keys().map(String::as_str);
    if let Some(field) = fields.find(|field| !known.contains(field) && !OURS.contains(field)) {
        return Err(format!("has `{field}`, which is not of an entity; {hint}"));
    }
    entity_json(json).map(|_| ())
}
