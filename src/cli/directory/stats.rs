//! `deodar directory stats`: how much there is.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::ServerArgs;
use super::client;
use super::shown::moment;
use super::shown::time;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::format::FormatArg;
use crate::cli::output;
use crate::cli::output::FAINT;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::paint;
use crate::cli::server::block_on;
use crate::cli::server::in_time;
use crate::cli::server::refused;
use crate::proto::v1;

const JSON_HELP: &str = r#"How to write it; JSON is {"revision", "time", "entities": {type: count}, "links": {template: count}, "expiring", "next_expiry"}"#;

/// Show how many entities and links there are
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(JSON_HELP)))]
pub struct StatsArgs {
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    server: ServerArgs,
}

/// Shows it.
///
/// # Errors
/// When the server cannot be reached.
pub fn run(args: &StatsArgs) -> Result<ExitCode, Failure> {
    let server = args.server.address()?;
    let stats = block_on(async {
        let request = in_time(v1::GetStatsRequest::default());
        let stats = client(&server).await?.get_stats(request).await;
        stats.map_err(|status| refused(&status))
    })?
    .into_inner();
    let text = if args.format.is_json() {
        output::json(&json!({
            "revision": stats.revision,
            "time": stats.time.map(|at| moment(Some(&at))),
            "entities": stats.entities,
            "links": stats.links,
            "expiring": stats.expiring,
            "next_expiry": stats.next_expiry.map(|at| time(Some(&at))),
        }))
    } else {
        text(&stats)
    };
    output::stdout(&text);
    Ok(ExitCode::Yes)
}

fn text(stats: &v1::GetStatsResponse) -> String {
    let mut text = String::new();
    for (title, counts) in [("entities", &stats.entities), ("links", &stats.links)] {
        let total: u64 = counts.values().sum();
        let mut counts: Vec<_> = counts.iter().collect();
        counts.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        writeln!(text, "{}  {total}", paint(HEAD, title)).ok();
        let rows: Vec<_> = counts
            .into_iter()
            .map(|(name, count)| [name.clone(), count.to_string()])
            .collect();
        text.push_str(&output::table("  ", [NAME, PLAIN], &rows));
    }
    let expiring = match stats.expiring {
        0 => "0".to_owned(),
        some => format!("{some}, the next at {}", time(stats.next_expiry.as_ref())),
    };
    let revision = match &stats.time {
        None => stats.revision.clone(),
        some => format!("{}, made at {}", stats.revision, moment(some.as_ref())),
    };
    for (title, fact) in [("expiring", expiring), ("revision", revision)] {
        writeln!(text, "{}  {}", paint(HEAD, title), paint(FAINT, &fact)).ok();
    }
    text
}
