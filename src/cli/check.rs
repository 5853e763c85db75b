//! `deodar check`: ask one question, and be told why.

pub mod local;
pub mod question;
pub mod remote;

use std::path::PathBuf;

use cedar_policy::EntityUid;
use cedar_policy_core::ast::Value;
use clap::Args;

use super::ExitCode;
use super::Failure;
use super::answer::Effect;
use super::args::FileArg;
use super::failure::Message;
use super::format::FormatArg;
use super::output;
use super::server::ServerAddress;
use super::time;
use question::JsonText;
use question::Question;

const JSON_HELP: &str = r#"How to write it; JSON is {"decision": "allow"|"deny", "cause", "sentence", "policies", "advice", "obligations", "errors", "near_misses", "near_misses_left_out", "revisions", "decision_id"}"#;

/// Ask one question, and be told why
///
/// Decides from a policy directory on this machine, or asks a server. Prints
/// allow or deny with the policies that made the decision; for a deny also the
/// near misses: permits that would have applied but for one condition, with
/// the values that it read.
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(JSON_HELP)))]
#[command(after_help = "\
Examples:
  deodar check --policies policies/ --principal 'Iot::Device::\"press-1\"' \\
      --action 'Iot::Action::\"publish\"' --resource 'Iot::Topic::\"plant/press-1/temperature\"'
  deodar check ... --context '{\"session\": {\"ip\": \"10.0.0.1\"}}' --now 2026-11-22T03:12:00Z
  deodar check ... --context @context.json --entities @entities.json
  deodar check --server http://127.0.0.1:8470 ... --format json

Exit codes: 0 allowed, 1 failed, 2 usage or configuration, 3 denied, 4 invalid policies")]
pub struct CheckArgs {
    #[arg(long, value_name = "ENTITY", value_parser = question::entity, help = r#"Who asks, as in a policy: 'Type::"id"'"#)]
    principal: EntityUid,
    #[arg(long, value_name = "ENTITY", value_parser = question::entity, help = r#"To do what: 'Action::"id"'"#)]
    action: EntityUid,
    #[arg(long, value_name = "ENTITY", value_parser = question::entity, help = r#"To what: 'Type::"id"'"#)]
    resource: EntityUid,
    /// The circumstances: a Cedar JSON object, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    context: Option<JsonText>,
    /// Entities to lay over those of the directory: a Cedar JSON array, @FILE, or -
    #[arg(long, value_name = "JSON|@FILE|-")]
    entities: Option<JsonText>,
    /// The time to decide for, where the schema declares `context.now`; by default the clock's
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    now: Option<Value>,
    /// Decide from this policy directory; by default the one that is configured [key: policies.path]
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    policies: Option<PathBuf>,
    /// Ask this server
    #[arg(long, value_name = "URL|unix:PATH")]
    server: Option<ServerAddress>,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    file: FileArg,
}

/// Asks and prints the answer.
///
/// # Errors
/// When the question cannot be asked, or nobody can answer it.
pub fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let config = args.file.resolve()?.config;
    let question = args.question()?;
    let answer = if let Some(server) = &args.server {
        remote::ask(server, question)?
    } else {
        let path = args.policies.as_ref().unwrap_or(&config.policies.path);
        local::ask(path, &config, question)?
    };
    let text = if args.format.is_json() {
        output::json(&answer)
    } else {
        answer.text()
    };
    output::stdout(&text);
    Ok(match answer.decision {
        Effect::Allow => ExitCode::Yes,
        Effect::Deny => ExitCode::Denied,
    })
}

impl CheckArgs {
    fn question(&self) -> Result<Question, Failure> {
        let inputs = [&self.context, &self.entities];
        if inputs
            .iter()
            .all(|input| matches!(input, Some(JsonText::Input)))
        {
            let message = "standard input cannot be both the context and the entities";
            return Err(Failure::Usage(Message::new(
                message,
                "give one of them as @FILE",
            )));
        }
        let read = |name, text: &Option<JsonText>, default| match text {
            Some(text) => text.read(name),
            None => Ok(default),
        };
        Ok(Question {
            principal: self.principal.clone(),
            action: self.action.clone(),
            resource: self.resource.clone(),
            context: read("--context", &self.context, serde_json::json!({}))?,
            entities: read("--entities", &self.entities, serde_json::json!([]))?,
            now: self.now.clone(),
        })
    }
}
