//! Entities, links and values as people and programs read them.

use std::fmt::Write as _;

use chrono::DateTime;
use chrono::SecondsFormat;
use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;

use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::cli::output;
use crate::cli::output::FAINT;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::paint;
use crate::proto::v1;
use crate::proto::v1::value::Kind;

/// Keys that mean something else in Cedar's JSON.
const RESERVED: [&str; 3] = ["__entity", "__extn", "__expr"];

/// An entity as in a policy.
pub fn uid(uid: Option<&v1::EntityRef>) -> String {
    uid.map_or_else(String::new, |uid| format!("{}::{:?}", uid.r#type, uid.id))
}

/// When something ends, as text.
pub fn time(time: Option<&prost_types::Timestamp>) -> String {
    written(time, SecondsFormat::Secs)
}

/// When something happened, as text.
pub fn moment(time: Option<&prost_types::Timestamp>) -> String {
    written(time, SecondsFormat::Millis)
}

fn written(time: Option<&prost_types::Timestamp>, format: SecondsFormat) -> String {
    let time = time.and_then(|time| {
        let nanos = u32::try_from(time.nanos).ok()?;
        DateTime::from_timestamp(time.seconds, nanos)
    });
    time.map_or_else(
        || "never".to_owned(),
        |time| time.to_rfc3339_opts(format, true),
    )
}

/// Reads a time as RFC 3339 writes it, or a date, in whole seconds.
///
/// # Errors
/// When it is none.
pub fn parse_time(text: &str) -> Result<prost_types::Timestamp, String> {
    let whole = if text.len() == 10 {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    let time = DateTime::parse_from_rfc3339(&whole).ok();
    let time = time.filter(|time| time.timestamp_subsec_nanos() == 0);
    let seconds = time.map(|time| time.timestamp()).ok_or_else(|| {
        format!("`{text}` is not a time in whole seconds such as 2026-11-22T03:12:00Z")
    })?;
    Ok(prost_types::Timestamp { seconds, nanos: 0 })
}

/// A value in Cedar's syntax.
pub fn value(value: &v1::Value) -> String {
    let call = |name: &str, text: &str| format!("{name}({text:?})");
    match &value.kind {
        None => "?".to_owned(),
        Some(Kind::Bool(value)) => value.to_string(),
        Some(Kind::Long(value)) => value.to_string(),
        Some(Kind::String(text)) => format!("{text:?}"),
        Some(Kind::Entity(entity)) => uid(Some(entity)),
        Some(Kind::Set(set)) => {
            let elements: Vec<_> = set.elements.iter().map(self::value).collect();
            format!("[{}]", elements.join(", "))
        }
        Some(Kind::Record(record)) => {
            let fields = record.fields.iter();
            let fields: Vec<_> = fields
                .map(|(name, field)| format!("{name}: {}", self::value(field)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Some(Kind::Ip(text)) => call("ip", text),
        Some(Kind::Decimal(text)) => call("decimal", text),
        Some(Kind::Datetime(text)) => call("datetime", text),
        Some(Kind::Duration(text)) => call("duration", text),
        Some(Kind::DatetimeMillis(millis)) => millis_text(*millis).map_or_else(
            || format!("datetime(\"1970-01-01\").offset(duration(\"{millis}ms\"))"),
            |text| call("datetime", &text),
        ),
    }
}

/// The text of a time that Cedar has a text for.
fn millis_text(millis: i64) -> Option<String> {
    let time = DateTime::from_timestamp_millis(millis)?;
    let text = time.to_rfc3339_opts(SecondsFormat::Millis, true);
    // Of the years 0 to 9999.
    (text.len() == 24).then_some(text)
}

/// A value as Cedar's JSON.
///
/// # Errors
/// The name that Cedar's JSON has no word for.
pub fn value_json(value: &v1::Value) -> Result<Json, String> {
    let call = |name: &str, text: &str| json!({ "__extn": { "fn": name, "arg": text } });
    Ok(match &value.kind {
        None => return Err("a value of a later server".to_owned()),
        Some(Kind::Bool(value)) => json!(value),
        Some(Kind::Long(value)) => json!(value),
        Some(Kind::String(text)) => json!(text),
        Some(Kind::Entity(entity)) => json!({ "__entity": uid_json(Some(entity)) }),
        Some(Kind::Set(set)) => {
            let elements = set.elements.iter().map(value_json);
            Json::Array(elements.collect::<Result<_, _>>()?)
        }
        Some(Kind::Record(record)) => {
            let reserved = RESERVED
                .iter()
                .find(|key| record.fields.contains_key(**key));
            if let Some(key) = reserved {
                return Err(format!("a record with the key `{key}`"));
            }
            Json::Object(fields_json(&record.fields)?)
        }
        Some(Kind::Ip(text)) => call("ip", text),
        Some(Kind::Decimal(text)) => call("decimal", text),
        Some(Kind::Datetime(text)) => call("datetime", text),
        Some(Kind::Duration(text)) => call("duration", text),
        Some(Kind::DatetimeMillis(millis)) => millis_text(*millis).map_or_else(
            || {
                let args = [
                    call("datetime", "1970-01-01"),
                    call("duration", &format!("{millis}ms")),
                ];
                json!({ "__extn": { "fn": "offset", "args": args } })
            },
            |text| call("datetime", &text),
        ),
    })
}

fn fields_json(
    fields: &std::collections::BTreeMap<String, v1::Value>,
) -> Result<Map<String, Json>, String> {
    let fields = fields.iter();
    fields
        .map(|(name, value)| Ok((name.clone(), value_json(value)?)))
        .collect()
}

/// A reference to an entity as Cedar's JSON.
pub fn uid_json(uid: Option<&v1::EntityRef>) -> Json {
    uid.map_or(
        Json::Null,
        |uid| json!({ "type": uid.r#type, "id": uid.id }),
    )
}

/// A stored entity as Cedar's JSON, with what Cedar does not know beside it.
///
/// # Errors
/// When Cedar's JSON has no word for one of its values.
pub fn entity_json(stored: &v1::StoredEntity) -> Result<Map<String, Json>, Failure> {
    let entity = stored.entity.clone().unwrap_or_default();
    let fields = |fields| {
        fields_json(fields).map_err(|what| {
            let uid = uid(entity.uid.as_ref());
            let message = format!("`{uid}` has {what}, which Cedar's JSON has no word for");
            Failure::Failed(Message::new(message, "read it over gRPC"))
        })
    };
    let mut parents: Vec<&v1::EntityRef> = entity.parents.iter().collect();
    parents.sort_by(|a, b| (&a.r#type, &a.id).cmp(&(&b.r#type, &b.id)));
    let parents: Vec<_> = parents.into_iter().map(|uid| uid_json(Some(uid))).collect();
    let mut json = Map::new();
    json.insert("uid".to_owned(), uid_json(entity.uid.as_ref()));
    json.insert(
        "attrs".to_owned(),
        Json::Object(fields(&entity.attributes)?),
    );
    json.insert("parents".to_owned(), Json::Array(parents));
    if !entity.tags.is_empty() {
        json.insert("tags".to_owned(), Json::Object(fields(&entity.tags)?));
    }
    if !stored.temporary_parents.is_empty() {
        let parents = stored.temporary_parents.iter().map(|parent| {
            json!({ "uid": uid_json(parent.uid.as_ref()), "expires": time(parent.expires_at.as_ref()) })
        });
        json.insert("temporary_parents".to_owned(), parents.collect());
    }
    if stored.expires_at.is_some() {
        let expires = time(stored.expires_at.as_ref());
        json.insert("expires".to_owned(), json!(expires));
    }
    Ok(json)
}

/// A link as Cedar's command line writes it, with its end beside it.
pub fn link_json(link: &v1::Link) -> Map<String, Json> {
    let mut args = Map::new();
    for (slot, filled) in [
        ("?principal", &link.principal),
        ("?resource", &link.resource),
    ] {
        if filled.is_some() {
            args.insert(slot.to_owned(), json!(uid(filled.as_ref())));
        }
    }
    let mut json = Map::new();
    json.insert("template_id".to_owned(), json!(link.template_id));
    json.insert("link_id".to_owned(), json!(link.id));
    json.insert("args".to_owned(), Json::Object(args));
    if link.expires_at.is_some() {
        let expires = time(link.expires_at.as_ref());
        json.insert("expires".to_owned(), json!(expires));
    }
    json
}

/// A stored entity for people.
pub fn entity_text(stored: &v1::StoredEntity) -> String {
    let entity = stored.entity.clone().unwrap_or_default();
    let mut text = String::new();
    let mut facts = format!("version {}", stored.version);
    if stored.expires_at.is_some() {
        let expires = time(stored.expires_at.as_ref());
        write!(facts, ", until {expires}").ok();
    }
    let name = uid(entity.uid.as_ref());
    writeln!(text, "{}  {}", paint(NAME, &name), paint(FAINT, &facts)).ok();
    for (title, fields) in [("attributes", &entity.attributes), ("tags", &entity.tags)] {
        if !fields.is_empty() {
            writeln!(text, "  {}", paint(HEAD, title)).ok();
            let rows: Vec<_> = fields
                .iter()
                .map(|(name, field)| [name.clone(), value(field)])
                .collect();
            text.push_str(&output::table("    ", [NAME, PLAIN], &rows));
        }
    }
    if !entity.parents.is_empty() || !stored.temporary_parents.is_empty() {
        writeln!(text, "  {}", paint(HEAD, "parents")).ok();
        let for_good = entity.parents.iter();
        let for_good = for_good.map(|parent| [uid(Some(parent)), String::new()]);
        let temporary = stored.temporary_parents.iter().map(|parent| {
            let until = format!("until {}", time(parent.expires_at.as_ref()));
            [uid(parent.uid.as_ref()), until]
        });
        let rows: Vec<_> = for_good.chain(temporary).collect();
        text.push_str(&output::table("    ", [PLAIN, FAINT], &rows));
    }
    text
}
