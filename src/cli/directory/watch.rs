//! `deodar directory watch`: changes as they happen.

use clap::Args;
use serde_json::Value as Json;
use serde_json::json;
use tonic::Request;

use super::ServerArgs;
use super::client;
use super::shown::entity_json;
use super::shown::link_json;
use super::shown::moment;
use super::shown::time;
use super::shown::uid;
use super::shown::uid_json;
use super::shown::value;
use super::shown::value_json;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::cli::format::FormatArg;
use crate::cli::output;
use crate::cli::output::FAINT;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::paint;
use crate::cli::server::block_on;
use crate::cli::server::refused;
use crate::proto::v1;
use crate::proto::v1::operation::Kind;
use crate::proto::v1::patch_entity::Expiry;
use crate::proto::v1::put_entity::Form;
use crate::proto::v1::watch_response::Event;

const JSON_HELP: &str = r#"How to write it; as JSON, each transaction is a line {"revision", "time", "actor", "continues", "operations": [{"put": ..} or {"patch": ..} or ..]}"#;

/// Show changes as they happen, until stopped
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(JSON_HELP)))]
#[command(after_help = "\
Examples:
  deodar directory watch
  deodar directory watch --after REVISION --format json | jq -c .operations[]")]
pub struct WatchArgs {
    /// Begin after this revision; by default with what happens from now on
    #[arg(long, value_name = "REVISION")]
    after: Option<String>,
    /// End after so many transactions
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    server: ServerArgs,
}

/// Watches.
///
/// # Errors
/// When the server cannot be reached, refuses, or ends the watch.
pub fn run(args: &WatchArgs) -> Result<ExitCode, Failure> {
    let server = args.server.address()?;
    block_on(async {
        let request = v1::WatchRequest {
            after: args.after.clone().unwrap_or_default(),
            ..v1::WatchRequest::default()
        };
        let stream = client(&server).await?.watch(Request::new(request)).await;
        let mut stream = stream.map_err(|status| refused(&status))?.into_inner();
        let mut left = args.count;
        while left != Some(0) {
            let message = stream.message().await.map_err(|status| refused(&status))?;
            let Some(message) = message else {
                let hint = "watch again after the last revision that was shown";
                let message = Message::new("the server ended the watch", hint);
                return Err(Failure::Failed(message));
            };
            match message.event {
                Some(Event::Transaction(transaction)) => {
                    output::stdout(&shown(&transaction, args.format.is_json())?);
                    if !transaction.continues {
                        left = left.map(|left| left.saturating_sub(1));
                    }
                }
                Some(Event::Heartbeat(_)) | None => {}
            }
        }
        Ok(ExitCode::Yes)
    })
}

fn shown(transaction: &v1::Transaction, json: bool) -> Result<String, Failure> {
    if json {
        let operations = transaction.operations.iter().map(operation_json);
        let operations = operations.collect::<Result<Vec<_>, _>>()?;
        let json = json!({
            "revision": transaction.revision,
            "time": moment(transaction.time.as_ref()),
            "actor": transaction.actor,
            "continues": transaction.continues,
            "operations": operations,
        });
        return Ok(format!("{json}\n"));
    }
    let when = moment(transaction.time.as_ref());
    let facts = paint(FAINT, &format!("{when}  {}", transaction.actor));
    let revision = paint(HEAD, &transaction.revision);
    let rows: Vec<_> = transaction.operations.iter().map(row).collect();
    let rows = output::table("  ", [PLAIN, NAME, PLAIN], &rows);
    Ok(format!("{revision}  {facts}\n{rows}"))
}

/// What an operation does, to what, how.
fn row(operation: &v1::Operation) -> [String; 3] {
    let until = |at: Option<&prost_types::Timestamp>| {
        at.map_or_else(String::new, |at| format!(" until {}", time(Some(at))))
    };
    let (what, whom, how) = match &operation.kind {
        None => ("?", String::new(), String::new()),
        Some(Kind::Put(put)) => {
            let whom = match &put.form {
                Some(Form::Entity(entity)) => uid(entity.uid.as_ref()),
                _ => String::new(),
            };
            ("put", whom, until(put.expires_at.as_ref()))
        }
        Some(Kind::Patch(patch)) => ("patch", uid(patch.uid.as_ref()), changes(patch)),
        Some(Kind::Delete(delete)) => ("delete", uid(delete.uid.as_ref()), String::new()),
        Some(Kind::AddParent(add)) => {
            let parent = uid(add.parent.as_ref());
            let how = format!("to {parent}{}", until(add.expires_at.as_ref()));
            ("add", uid(add.uid.as_ref()), how)
        }
        Some(Kind::RemoveParent(remove)) => {
            let how = format!("from {}", uid(remove.parent.as_ref()));
            ("remove", uid(remove.uid.as_ref()), how)
        }
        Some(Kind::PutLink(link)) => {
            let filled = [&link.principal, &link.resource];
            let filled: Vec<_> = filled.iter().map(|slot| uid(slot.as_ref())).collect();
            let (template, until) = (&link.template_id, until(link.expires_at.as_ref()));
            let how = format!("{template} {}{until}", filled.join(" "));
            ("link", link.id.clone(), how)
        }
        Some(Kind::RemoveLink(remove)) => ("unlink", remove.id.clone(), String::new()),
    };
    [what.to_owned(), whom, how.trim().to_owned()]
}

fn changes(patch: &v1::PatchEntity) -> String {
    let set = patch.set.iter();
    let set = set.map(|(name, to)| format!("{name} = {}", value(to)));
    let unset = patch.unset.iter().map(|name| format!("no {name}"));
    let tags = patch.set_tags.iter();
    let tags = tags.map(|(name, to)| format!("tag {name} = {}", value(to)));
    let no_tags = patch.unset_tags.iter().map(|name| format!("no tag {name}"));
    let until = match &patch.expiry {
        None | Some(Expiry::NeverExpires(false)) => None,
        Some(Expiry::NeverExpires(true)) => Some("for good".to_owned()),
        Some(Expiry::ExpiresAt(at)) => Some(format!("until {}", time(Some(at)))),
    };
    let all = set.chain(unset).chain(tags).chain(no_tags).chain(until);
    all.collect::<Vec<_>>().join(", ")
}

fn operation_json(operation: &v1::Operation) -> Result<Json, Failure> {
    Ok(match &operation.kind {
        None => Json::Null,
        Some(Kind::Put(put)) => {
            let entity = match &put.form {
                Some(Form::Entity(entity)) => Some(entity.clone()),
                _ => None,
            };
            let json = entity_json(&v1::StoredEntity {
                entity,
                temporary_parents: put.temporary_parents.clone(),
                expires_at: put.expires_at,
                version: 0,
            })?;
            json!({ "put": json })
        }
        Some(Kind::Patch(patch)) => {
            let values = |values: &std::collections::BTreeMap<String, v1::Value>| {
                let values = values.iter();
                values
                    .map(|(name, value)| Ok((name.clone(), value_json(value)?)))
                    .collect::<Result<serde_json::Map<_, _>, String>>()
                    .map_err(|what| {
                        let message = format!("{what} cannot be written as JSON");
                        Failure::Failed(Message::new(message, "watch without `--format json`"))
                    })
            };
            let expires = patch.expiry.as_ref().map(|expiry| match expiry {
                Expiry::ExpiresAt(at) => time(Some(at)),
                Expiry::NeverExpires(_) => time(None),
            });
            json!({ "patch": {
                "uid": uid_json(patch.uid.as_ref()),
                "attrs": values(&patch.set)?,
                "unset": patch.unset,
                "tags": values(&patch.set_tags)?,
                "unset_tags": patch.unset_tags,
                "expires": expires,
            } })
        }
        Some(Kind::Delete(delete)) => json!({ "delete": uid_json(delete.uid.as_ref()) }),
        Some(Kind::AddParent(add)) => {
            let expires = add.expires_at.map(|at| time(Some(&at)));
            let (uid, parent) = (uid_json(add.uid.as_ref()), uid_json(add.parent.as_ref()));
            json!({ "add_parent": { "uid": uid, "parent": parent, "expires": expires } })
        }
        Some(Kind::RemoveParent(remove)) => {
            let (uid, parent) = (
                uid_json(remove.uid.as_ref()),
                uid_json(remove.parent.as_ref()),
            );
            json!({ "remove_parent": { "uid": uid, "parent": parent } })
        }
        Some(Kind::PutLink(link)) => json!({ "put_link": link_json(link) }),
        Some(Kind::RemoveLink(remove)) => json!({ "remove_link": remove.id }),
    })
}
