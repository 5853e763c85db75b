//! What the directory has, to protobuf; what is asked of it, from protobuf.

use std::sync::Arc;
use std::time::Duration;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use smol_str::SmolStr;
use tokio::time::Instant;

use super::status::Refusal;
use super::status::WireError;
use super::value::Path;
use super::value::Reader;
use super::value_out::write;
use super::value_out::write_uid;
use crate::directory::Directory;
use crate::directory::operation::Membership;
use crate::directory::operation::Operation;
use crate::directory::operation::Patch;
use crate::directory::operation::Put;
use crate::directory::operation::PutLink;
use crate::directory::operation::Second;
use crate::directory::record::Counts;
use crate::directory::record::EntityFilter;
use crate::directory::record::EntityRecord;
use crate::directory::record::LinkFilter;
use crate::directory::record::LinkRecord;
use crate::directory::revision::Revision;
use crate::proto::v1;
use crate::proto::v1::operation::Kind;
use crate::proto::v1::patch_entity::Expiry;
use crate::proto::v1::put_entity::Form;
use crate::serve::deadline::Deadline;

/// How long a revision is waited for without a deadline.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long before a deadline a revision is given up, so that the caller is told
/// why.
const HEAD_START: Duration = Duration::from_millis(20);

/// Waits until the directory is at the revision that a field names, if it names
/// one.
pub(super) async fn reached(
    directory: &Directory,
    field: &'static str,
    text: &str,
    deadline: Option<Deadline>,
) -> Result<Option<Revision>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let revision = revision(field, text)?;
    let until = match deadline {
        Some(Deadline(at)) => at.checked_sub(HEAD_START).unwrap_or(at),
        None => Instant::now() + PATIENCE,
    };
    let reached = directory.wait_for(revision, until).await;
    reached.map_err(|error| Refusal::Revision(field, error))?;
    Ok(Some(revision))
}

fn revision(field: &str, text: &str) -> Result<Revision, WireError> {
    text.parse().map_err(|error| {
        let hint = "give one that a server answered with, as it is";
        WireError::new(field, format!("is bad: {error}"), hint)
    })
}

/// Reads which entities are listed.
pub(super) fn entity_filter(
    reader: &mut Reader<'_>,
    given: v1::EntityFilter,
) -> Result<EntityFilter, WireError> {
    let field = Path::root("entities");
    let attribute = |reader: &mut Reader<'_>, given: v1::AttributeValue| {
        let field = field.name("attribute");
        let name = reader.name(&field.name("name"), given.name)?;
        Ok::<(SmolStr, Value), WireError>((name, reader.one(&field.name("value"), given.value)?))
    };
    Ok(EntityFilter {
        entity_type: (!given.r#type.is_empty())
            .then(|| reader.any_type(&field.name("type"), &given.r#type))
            .transpose()?,
        id_prefix: named(reader, &field.name("id_prefix"), given.id_prefix)?,
        parent: uid(reader, &field.name("parent"), given.parent)?,
        attribute: given
            .attribute
            .map(|given| attribute(reader, given))
            .transpose()?,
    })
}

/// Reads which links are listed.
pub(super) fn link_filter(
    reader: &Reader<'_>,
    given: v1::LinkFilter,
) -> Result<LinkFilter, WireError> {
    let field = Path::root("links");
    Ok(LinkFilter {
        template: named(reader, &field.name("template_id"), given.template_id)?,
        principal: uid(reader, &field.name("principal"), given.principal)?,
        resource: uid(reader, &field.name("resource"), given.resource)?,
    })
}

fn named(
    reader: &Reader<'_>,
    field: &Path<'_>,
    text: String,
) -> Result<Option<SmolStr>, WireError> {
    (!text.is_empty())
        .then(|| reader.name(field, text))
        .transpose()
}

fn uid(
    reader: &Reader<'_>,
    field: &Path<'_>,
    given: Option<v1::EntityRef>,
) -> Result<Option<Arc<EntityUID>>, WireError> {
    given
        .map(|uid| reader.uid_of_any_type(field, Some(uid)))
        .transpose()
}

/// Writes a stored entity.
pub(super) fn stored_entity(record: &EntityRecord) -> v1::StoredEntity {
    let (parents, temporary_parents) = parents(&record.parents);
    v1::StoredEntity {
        entity: Some(v1::Entity {
            uid: Some(write_uid(&record.uid)),
            attributes: values(&record.attributes),
            parents,
            tags: values(&record.tags),
        }),
        temporary_parents,
        expires_at: record.expires.map(timestamp),
        version: record.version,
    }
}

/// Writes a stored link.
pub(super) fn stored_link(record: &LinkRecord) -> v1::StoredLink {
    v1::StoredLink {
        link: Some(link(&record.link)),
        version: record.version,
    }
}

/// Writes how much there is.
pub(super) fn stats(revision: Revision, millis: i64, counts: Counts) -> v1::GetStatsResponse {
    v1::GetStatsResponse {
        revision: revision.to_string(),
        time: (revision.sequence > 0).then(|| of_millis(millis)),
        entities: counts.entities,
        links: counts
            .links
            .into_iter()
            .map(|(template, count)| (template.to_string(), count))
            .collect(),
        expiring: counts.expiring,
        next_expiry: counts.next_expiry.map(timestamp),
    }
}

/// Writes an operation.
pub(super) fn operation(operation: &Operation) -> v1::Operation {
    let kind = match operation {
        Operation::Put(given) => Kind::Put(put(given)),
        Operation::Patch(given) => Kind::Patch(patch(given)),
        Operation::Delete {
            uid,
            detach_members,
        } => Kind::Delete(v1::DeleteEntity {
            uid: Some(write_uid(uid)),
            detach_members: *detach_members,
        }),
        Operation::AddParent { uid, parent } => Kind::AddParent(v1::AddParent {
            uid: Some(write_uid(uid)),
            parent: Some(write_uid(&parent.uid)),
            expires_at: parent.expires.map(timestamp),
        }),
        Operation::RemoveParent { uid, parent } => Kind::RemoveParent(v1::RemoveParent {
            uid: Some(write_uid(uid)),
            parent: Some(write_uid(parent)),
        }),
        Operation::PutLink(given) => Kind::PutLink(link(given)),
        Operation::RemoveLink { id } => Kind::RemoveLink(v1::RemoveLink { id: id.to_string() }),
    };
    v1::Operation { kind: Some(kind) }
}

fn put(put: &Put) -> v1::PutEntity {
    let (parents, temporary_parents) = parents(&put.parents);
    v1::PutEntity {
        form: Some(Form::Entity(v1::Entity {
            uid: Some(write_uid(&put.uid)),
            attributes: values(&put.attributes),
            parents,
            tags: values(&put.tags),
        })),
        temporary_parents,
        expires_at: put.expires.map(timestamp),
    }
}

fn patch(patch: &Patch) -> v1::PatchEntity {
    let names = |names: &std::collections::BTreeSet<SmolStr>| {
        names.iter().map(ToString::to_string).collect()
    };
    v1::PatchEntity {
        uid: Some(write_uid(&patch.uid)),
        set: values(&patch.set),
        unset: names(&patch.unset),
        set_tags: values(&patch.set_tags),
        unset_tags: names(&patch.unset_tags),
        set_cedar_json: String::new(),
        expiry: patch.expires.map(|expires| match expires {
            None => Expiry::NeverExpires(true),
            Some(at) => Expiry::ExpiresAt(timestamp(at)),
        }),
    }
}

fn link(link: &PutLink) -> v1::Link {
    v1::Link {
        id: link.id.to_string(),
        template_id: link.template.to_string(),
        principal: link.principal.as_deref().map(write_uid),
        resource: link.resource.as_deref().map(write_uid),
        expires_at: link.expires.map(timestamp),
    }
}

fn values(
    values: &std::collections::BTreeMap<SmolStr, Value>,
) -> std::collections::BTreeMap<String, v1::Value> {
    let values = values.iter();
    values
        .map(|(name, value)| (name.to_string(), write(value)))
        .collect()
}

fn parents(parents: &[Membership]) -> (Vec<v1::EntityRef>, Vec<v1::TemporaryParent>) {
    let for_good = parents.iter().filter(|parent| parent.expires.is_none());
    let temporary = parents.iter().filter_map(|parent| {
        Some(v1::TemporaryParent {
            uid: Some(write_uid(&parent.uid)),
            expires_at: Some(timestamp(parent.expires?)),
        })
    });
    (
        for_good.map(|parent| write_uid(&parent.uid)).collect(),
        temporary.collect(),
    )
}

fn timestamp(seconds: Second) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

/// Writes a time in milliseconds since 1970.
pub(super) fn of_millis(millis: i64) -> prost_types::Timestamp {
    // Below a second, so it fits.
    let nanos = i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    prost_types::Timestamp {
        seconds: millis.div_euclid(1000),
        nanos,
    }
}
