//! `deodar directory put`, `patch`, `delete`: change entities.

use cedar_policy::EntityUid;
use clap::Args;
use serde_json::Map;
use serde_json::Value as Json;

use super::ServerArgs;
use super::line::entity_json;
use super::print_revision;
use super::reference;
use super::shown::parse_time;
use super::write;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::check::question::JsonText;
use crate::cli::check::question::entity;
use crate::cli::failure::Message;
use crate::cli::format::FormatArg;
use crate::cli::server::block_on;
use crate::proto::v1;
use crate::proto::v1::operation::Kind;
use crate::proto::v1::patch_entity::Expiry;

/// Store entities, in place of those of the same name
///
/// Takes one entity or an array of them as Cedar's JSON, all of which are stored
/// at once or not at all. Beside what Cedar knows, an entity may have
/// `"expires"`: a time, and `"temporary_parents": [{"uid", "expires"}]`.
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(r#"How to write it; JSON is {"revision"}"#)))]
#[command(after_help = "\
Examples:
  deodar directory put '{\"uid\": {\"type\": \"Iot::DeviceGroup\", \"id\": \"test\"}, \"attrs\": {}, \"parents\": []}'
  deodar directory put @device.json
  deodar directory get --format json 'Org::User::\"anna\"' | jq .entities | deodar directory put -")]
pub struct PutArgs {
    /// The entities: Cedar JSON, @FILE, or - for standard input
    #[arg(value_name = "JSON|@FILE|-")]
    entities: JsonText,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    server: ServerArgs,
}

/// Change some attributes, tags and parents of an entity
///
/// Everything else of the entity stays. All changes are made at once or not at
/// all.
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(r#"How to write it; JSON is {"revision"}"#)))]
#[command(after_help = "\
Examples:
  deodar directory patch 'Iot::Zone::\"lu-access\"' remote_operation=true --unset people_network
  deodar directory patch 'Org::User::\"anna\"' 'site={\"type\": \"Iot::Site\", \"id\": \"house-lund\"}'
  deodar directory patch 'Iot::Device::\"press-01\"' --add-parent 'Iot::DeviceGroup::\"quarantined\"'
  deodar directory patch 'Iot::Device::\"door-lobby\"' --tag 'bob=\"2026-12-24T18:00:00Z\"'")]
pub struct PatchArgs {
    #[arg(value_name = "ENTITY", value_parser = entity, help = r#"As in a policy: 'Type::"id"'"#)]
    entity: EntityUid,
    /// Attributes to set, each to a Cedar JSON value; text that is no JSON is a string
    #[arg(value_name = "NAME=JSON", value_parser = assignment)]
    set: Vec<(String, Json)>,
    /// An attribute to remove; may be repeated
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
    /// A tag to set; may be repeated
    #[arg(long, value_name = "NAME=JSON", value_parser = assignment)]
    tag: Vec<(String, Json)>,
    /// A tag to remove; may be repeated
    #[arg(long, value_name = "NAME")]
    unset_tag: Vec<String>,
    /// A parent to add; may be repeated
    #[arg(long, value_name = "ENTITY", value_parser = entity)]
    add_parent: Vec<EntityUid>,
    /// When the added parents end
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "add_parent")]
    parent_expires: Option<prost_types::Timestamp>,
    /// A parent to remove; may be repeated
    #[arg(long, value_name = "ENTITY", value_parser = entity)]
    remove_parent: Vec<EntityUid>,
    /// When the entity is removed, or `never`
    #[arg(long, value_name = "TIME|never", value_parser = expiry)]
    expires: Option<Expiry>,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    server: ServerArgs,
}

/// Remove an entity, and the links that name it
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(r#"How to write it; JSON is {"revision"}"#)))]
#[command(after_help = "\
Examples:
  deodar directory delete 'Iot::Device::\"press-01\"'
  deodar directory delete 'Iot::DeviceGroup::\"test\"' --detach-members")]
pub struct DeleteArgs {
    #[arg(value_name = "ENTITY", value_parser = entity, help = r#"As in a policy: 'Type::"id"'"#)]
    entity: EntityUid,
    /// End the memberships of its members first; without, an entity with members is not removed
    #[arg(long)]
    detach_members: bool,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    server: ServerArgs,
}

fn assignment(text: &str) -> Result<(String, Json), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("not an assignment such as name=true")?;
    // A string needs its quotes only where it could be something else.
    let value = match serde_json::from_str(value) {
        Ok(value) => value,
        Err(error) if value.starts_with(['{', '[', '"']) => {
            return Err(format!("`{value}` is not JSON: {error}"));
        }
        Err(_) => Json::String(value.to_owned()),
    };
    Ok((name.to_owned(), value))
}

fn expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" {
        return Ok(Expiry::NeverExpires(true));
    }
    parse_time(text)
        .map(Expiry::ExpiresAt)
        .map_err(|error| format!("{error}, or `never`"))
}

/// Stores entities.
///
/// # Errors
/// When they are none, or the server refuses.
pub fn put(args: &PutArgs) -> Result<ExitCode, Failure> {
    let server = args.server.address()?;
    let entities = match args.entities.read("put")? {
        Json::Array(entities) => entities,
        one => vec![one],
    };
    let bad = |at: usize, message: &str| {
        let hint = r#"write {"uid": {"type": "..", "id": ".."}, "attrs": {}, "parents": []}"#;
        Failure::Usage(Message::new(format!("entity {} {message}", at + 1), hint))
    };
    let operations = entities.into_iter().enumerate().map(|(at, json)| {
        let Json::Object(json) = json else {
            return Err(bad(at, "is not an object"));
        };
        entity_json(json).map_err(|message| bad(at, &message))
    });
    let operations = operations.collect::<Result<_, _>>()?;
    print_revision(
        &block_on(write(&server, operations))?,
        args.format.is_json(),
    );
    Ok(ExitCode::Yes)
}

/// Changes an entity.
///
/// # Errors
/// When nothing is asked for, or the server refuses.
pub fn patch(args: &PatchArgs) -> Result<ExitCode, Failure> {
    let server = args.server.address()?;
    let operations = args.operations();
    if operations.is_empty() {
        let message = "nothing is asked for";
        let hint = "name an attribute to set, as in `name=true`, or see `--help`";
        return Err(Failure::Usage(Message::new(message, hint)));
    }
    print_revision(
        &block_on(write(&server, operations))?,
        args.format.is_json(),
    );
    Ok(ExitCode::Yes)
}

impl PatchArgs {
    fn operations(&self) -> Vec<Kind> {
        let uid = || Some(reference(&self.entity));
        let mut operations = Vec::new();
        let values = |values: &[(String, Json)]| values.iter().cloned().collect::<Map<_, _>>();
        let has_values = !self.set.is_empty() || !self.tag.is_empty();
        let removes = !self.unset.is_empty() || !self.unset_tag.is_empty();
        if has_values || removes || self.expires.is_some() {
            let json = serde_json::json!({ "attrs": values(&self.set), "tags": values(&self.tag) });
            operations.push(Kind::Patch(v1::PatchEntity {
                uid: uid(),
                unset: self.unset.clone(),
                unset_tags: self.unset_tag.clone(),
                set_cedar_json: if has_values {
                    json.to_string()
                } else {
                    String::new()
                },
                expiry: self.expires,
                ..v1::PatchEntity::default()
            }));
        }
        let remove = self.remove_parent.iter().map(|parent| {
            Kind::RemoveParent(v1::RemoveParent {
                uid: uid(),
                parent: Some(reference(parent)),
            })
        });
        let add = self.add_parent.iter().map(|parent| {
            Kind::AddParent(v1::AddParent {
                uid: uid(),
                parent: Some(reference(parent)),
                expires_at: self.parent_expires,
            })
        });
        operations.extend(remove.chain(add));
        operations
    }
}

/// Removes an entity.
///
/// # Errors
/// When the server refuses.
pub fn delete(args: &DeleteArgs) -> Result<ExitCode, Failure> {
    let server = args.server.address()?;
    let operation = Kind::Delete(v1::DeleteEntity {
        uid: Some(reference(&args.entity)),
        detach_members: args.detach_members,
    });
    print_revision(
        &block_on(write(&server, vec![operation]))?,
        args.format.is_json(),
    );
    Ok(ExitCode::Yes)
}
