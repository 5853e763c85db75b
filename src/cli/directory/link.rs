//! `deodar directory link`: grants made at run time.

use cedar_policy::EntityUid;
use clap::Args;
use clap::Subcommand;
use serde_json::json;

use super::ServerArgs;
use super::pages::Pages;
use super::print_revision;
use super::reference;
use super::shown::link_json;
use super::shown::parse_time;
use super::shown::time;
use super::shown::uid;
use super::write;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::check::question::entity;
use crate::cli::format::FormatArg;
use crate::cli::output;
use crate::cli::output::FAINT;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::server::block_on;
use crate::proto::v1;
use crate::proto::v1::list_request::Filter;
use crate::proto::v1::operation::Kind;

const LIST_JSON_HELP: &str = r#"How to write it; JSON is {"revision", "links": [{"template_id", "link_id", "args", "expires"}]}"#;

/// Add, remove and list links of templates
///
/// A link fills the slots of a policy template: a grant made at run time, such
/// as "Bob may open this door".
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deodar directory link add bob-opens-lobby --template share-device-until \\
      --principal 'Org::User::\"bob\"' --resource 'Iot::Device::\"door-lobby\"'
  deodar directory link list --principal 'Org::User::\"bob\"'
  deodar directory link remove bob-opens-lobby")]
pub struct LinkArgs {
    /// What to do.
    #[command(subcommand)]
    verb: LinkVerb,
}

/// What can be done with links.
#[derive(Debug, Subcommand)]
enum LinkVerb {
    /// Add a link, in place of the one of the same id
    #[command(mut_arg("format", |arg| arg.help(r#"How to write it; JSON is {"revision"}"#)))]
    Add {
        /// Unique among links, policies and templates
        id: String,
        /// The id of the template
        #[arg(long, value_name = "ID")]
        template: String,
        /// What fills `?principal`, if the template has that slot
        #[arg(long, value_name = "ENTITY", value_parser = entity)]
        principal: Option<EntityUid>,
        /// What fills `?resource`, if the template has that slot
        #[arg(long, value_name = "ENTITY", value_parser = entity)]
        resource: Option<EntityUid>,
        /// When the link is removed; by default never
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        expires: Option<prost_types::Timestamp>,
        #[command(flatten)]
        format: FormatArg,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Remove a link
    #[command(mut_arg("format", |arg| arg.help(r#"How to write it; JSON is {"revision"}"#)))]
    Remove {
        /// The id of the link
        id: String,
        #[command(flatten)]
        format: FormatArg,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List links
    #[command(mut_arg("format", |arg| arg.help(LIST_JSON_HELP)))]
    List {
        /// Only of this template
        #[arg(long, value_name = "ID")]
        template: Option<String>,
        /// Only with this principal
        #[arg(long, value_name = "ENTITY", value_parser = entity)]
        principal: Option<EntityUid>,
        /// Only with this resource
        #[arg(long, value_name = "ENTITY", value_parser = entity)]
        resource: Option<EntityUid>,
        #[command(flatten)]
        format: FormatArg,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// Does it.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub fn run(args: &LinkArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        LinkVerb::Add {
            id,
            template,
            principal,
            resource,
            expires,
            format,
            server,
        } => {
            let link = v1::Link {
                id: id.clone(),
                template_id: template.clone(),
                principal: principal.as_ref().map(reference),
                resource: resource.as_ref().map(reference),
                expires_at: *expires,
            };
            let server = server.address()?;
            let written = block_on(write(&server, vec![Kind::PutLink(link)]))?;
            print_revision(&written, format.is_json());
        }
        LinkVerb::Remove { id, format, server } => {
            let remove = Kind::RemoveLink(v1::RemoveLink { id: id.clone() });
            let server = server.address()?;
            print_revision(&block_on(write(&server, vec![remove]))?, format.is_json());
        }
        LinkVerb::List {
            template,
            principal,
            resource,
            format,
            server,
        } => {
            let filter = v1::LinkFilter {
                template_id: template.clone().unwrap_or_default(),
                principal: principal.as_ref().map(reference),
                resource: resource.as_ref().map(reference),
            };
            list(server, filter, format.is_json())?;
        }
    }
    Ok(ExitCode::Yes)
}

fn list(server: &ServerArgs, filter: v1::LinkFilter, json: bool) -> Result<(), Failure> {
    let server = server.address()?;
    let (revision, links) = block_on(async {
        let mut pages = Pages::new(&server, Filter::Links(filter)).await?;
        let mut revision = String::new();
        let mut links: Vec<v1::Link> = Vec::new();
        while let Some(page) = pages.next().await? {
            revision = page.revision;
            links.extend(page.links.into_iter().filter_map(|stored| stored.link));
        }
        Ok((revision, links))
    })?;
    if json {
        let links: Vec<_> = links.iter().map(link_json).collect();
        let all = json!({ "revision": revision, "links": links });
        output::stdout(&output::json(&all));
        return Ok(());
    }
    let rows: Vec<_> = links
        .iter()
        .map(|link| {
            let until = match &link.expires_at {
                None => String::new(),
                some => format!("until {}", time(some.as_ref())),
            };
            [
                link.id.clone(),
                link.template_id.clone(),
                uid(link.principal.as_ref()),
                uid(link.resource.as_ref()),
                until,
            ]
        })
        .collect();
    let styles = [NAME, PLAIN, PLAIN, PLAIN, FAINT];
    output::stdout(&output::table("", styles, &rows));
    Ok(())
}
