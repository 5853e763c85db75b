//! `deodar directory get`: entities by name.

use cedar_policy::EntityUid;
use clap::Args;
use serde_json::json;

use super::ServerArgs;
use super::client;
use super::reference;
use super::shown::entity_json;
use super::shown::entity_text;
use super::shown::uid;
use super::shown::uid_json;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::check::question::entity;
use crate::cli::format::FormatArg;
use crate::cli::output;
use crate::cli::output::FAINT;
use crate::cli::output::NAME;
use crate::cli::output::paint;
use crate::cli::server::block_on;
use crate::cli::server::in_time;
use crate::cli::server::refused;
use crate::proto::v1;

const JSON_HELP: &str = r#"How to write it; JSON is {"revision", "entities": [{"uid", "attrs", "parents", "tags", "version"} or {"uid", "absent": true}]}"#;

/// Show entities
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(JSON_HELP)))]
#[command(after_help = "\
Examples:
  deodar directory get 'Iot::Device::\"press-01\"' 'Org::User::\"anna\"'
  deodar directory get --format json 'Iot::Device::\"press-01\"'

Exit codes: 0 all are there, 1 one is not there, or failed, 2 usage or configuration")]
pub struct GetArgs {
    #[arg(required = true, value_name = "ENTITY", value_parser = entity, help = r#"As in a policy: 'Type::"id"'"#)]
    entities: Vec<EntityUid>,
    /// Read this revision or a later one
    #[arg(long, value_name = "REVISION")]
    at_least: Option<String>,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    server: ServerArgs,
}

/// Shows them.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub fn run(args: &GetArgs) -> Result<ExitCode, Failure> {
    let server = args.server.address()?;
    let request = v1::ReadRequest {
        entities: args.entities.iter().map(reference).collect(),
        at_least: args.at_least.clone().unwrap_or_default(),
        ..v1::ReadRequest::default()
    };
    let answer = block_on(async {
        let answer = client(&server).await?.read(in_time(request)).await;
        answer.map_err(|status| refused(&status))
    })?
    .into_inner();
    let is_whole = answer.entities.iter().all(|read| read.stored.is_some());
    if args.format.is_json() {
        let entities = answer.entities.iter().map(|read| match &read.stored {
            Some(stored) => {
                let mut json = entity_json(stored)?;
                json.insert("version".to_owned(), json!(stored.version));
                Ok(serde_json::Value::Object(json))
            }
            None => Ok(json!({ "uid": uid_json(read.uid.as_ref()), "absent": true })),
        });
        let entities = entities.collect::<Result<Vec<_>, Failure>>()?;
        output::stdout(&output::json(
            &json!({ "revision": answer.revision, "entities": entities }),
        ));
    } else {
        let entities = answer.entities.iter().map(|read| match &read.stored {
            Some(stored) => entity_text(stored),
            None => {
                let name = paint(NAME, &uid(read.uid.as_ref()));
                format!("{name}  {}\n", paint(FAINT, "not there"))
            }
        });
        output::stdout(&entities.collect::<Vec<_>>().join("\n"));
    }
    Ok(if is_whole {
        ExitCode::Yes
    } else {
        ExitCode::Failed
    })
}
