//! `deodar audit show`: one record as people read it, and what to do next.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Map;
use serde_json::Value as Json;
use uuid::Uuid;

use super::rows::printable;
use super::source::Source;
use super::source::SourceArgs;
use super::source::Wanted;
use super::source::moment;
use crate::audit::facts::Facts;
use crate::audit::facts::Party;
use crate::audit::filter::Filter;
use crate::audit::query::Order;
use crate::audit::read::Line;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::cli::format::FormatArg;
use crate::cli::output;
use crate::cli::output::BAD;
use crate::cli::output::FAINT;
use crate::cli::output::GOOD;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::WARN;
use crate::cli::output::paint;

/// The id of a decision tells its time; it is recorded within this of it, in
/// milliseconds.
const ID_SLACK: i64 = 10 * 60_000;

/// Show one record, and what to do next
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help("How to write it; JSON is the line of the log")))]
#[command(after_help = "\
Examples:
  deodar audit show 184467
  deodar audit show 019a3c1e-77aa-7bc1-8f00-5a1c2d3e4f50 --path /var/lib/deodar/audit

Exit codes: 0 shown, 1 there is none, or failed, 2 usage or configuration")]
pub struct ShowArgs {
    /// The number of the record, or the id of the decision
    #[arg(value_name = "ID|SEQ")]
    name: String,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    source: SourceArgs,
}

/// Shows it.
///
/// # Errors
/// When there is none, or the log or the server cannot be read.
pub fn run(args: &ShowArgs) -> Result<ExitCode, Failure> {
    let source = args.source.source()?;
    let Some(line) = find(&source, &args.name)? else {
        let message = format!("there is no record `{}`", args.name);
        let hint = "a number is the `seq` of a record, everything else the `id` of a decision; \
                    old records may have been dropped: see `deodar audit stats`";
        return Err(Failure::Failed(Message::new(message, hint)));
    };
    output::stdout(&if args.format.is_json() {
        format!("{}\n", line.text)
    } else {
        text(&line)
    });
    Ok(ExitCode::Yes)
}

fn find(source: &Source, name: &str) -> Result<Option<Line>, Failure> {
    let mut wanted = Wanted {
        filter: Filter::default(),
        order: Order::Oldest,
        start: None,
        limit: Some(1),
    };
    if let Ok(seq) = name.parse::<u64>() {
        wanted.start = Some(seq.max(1));
        let found = source.all(&wanted)?.into_iter().next();
        return Ok(found.filter(|line| line.seq == seq));
    }
    wanted.filter.id = Some(name.to_lowercase());
    if let Some(millis) = time_of(name) {
        wanted.filter.from = Some(millis - ID_SLACK);
        wanted.filter.until = Some(millis + ID_SLACK);
        if let Some(line) = source.all(&wanted)?.into_iter().next() {
            return Ok(Some(line));
        }
        (wanted.filter.from, wanted.filter.until) = (None, None);
    }
    Ok(source.all(&wanted)?.into_iter().next())
}

/// When a decision of this id was made.
fn time_of(id: &str) -> Option<i64> {
    let (seconds, nanos) = Uuid::try_parse(id).ok()?.get_timestamp()?.to_unix();
    let millis = i64::try_from(seconds).ok()?.checked_mul(1000)?;
    Some(millis + i64::from(nanos) / 1_000_000)
}

fn text(line: &Line) -> String {
    let facts = Facts::read(&line.text).unwrap_or_default();
    let members: Map<String, Json> = serde_json::from_str(&line.text).unwrap_or_default();
    let style = match facts.decision.as_deref() {
        Some("allow") => GOOD,
        Some("deny") => BAD,
        _ => WARN,
    };
    let word = facts.decision.as_deref().unwrap_or(&line.kind);
    let place = format!("record {} at {}", line.seq, moment(line.millis));
    let sentence = sentence(&facts);
    let mut text = format!(
        "{}  {sentence}{}\n",
        paint(style, &printable(word)),
        paint(FAINT, &place)
    );
    let told = [
        "v", "seq", "time", "kind", "decision", "context", "entities",
    ];
    let parties = [
        ("principal", &facts.principal),
        ("action", &facts.action),
        ("resource", &facts.resource),
    ];
    let mut rows: Vec<[String; 2]> = Vec::new();
    for (name, party) in parties {
        if let Some(party) = party {
            rows.push([name.to_owned(), printable(&party.to_string())]);
        }
    }
    for (name, value) in &members {
        let is_party = rows.iter().take(3).any(|row| row.first() == Some(name));
        if !told.contains(&name.as_str()) && !is_party {
            rows.push([printable(name), shown(value)]);
        }
    }
    text.push_str(&output::table("  ", [NAME, PLAIN], &rows));
    for name in ["context", "entities"] {
        if let Some(value) = members.get(name) {
            writeln!(text, "{}", paint(HEAD, name)).ok();
            for line in output::json(value).lines() {
                writeln!(text, "  {}", printable(line)).ok();
            }
        }
    }
    let next = next(&facts, &members);
    if !next.is_empty() {
        writeln!(text, "{}", paint(HEAD, "what to do next")).ok();
        for step in next {
            writeln!(text, "  {}", printable(&step)).ok();
        }
    }
    text
}

fn shown(value: &Json) -> String {
    printable(&match value {
        Json::String(text) => text.clone(),
        Json::Array(items) if items.iter().all(Json::is_string) => {
            let items = items.iter().filter_map(Json::as_str);
            items.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    })
}

/// Why, in words.
fn sentence(facts: &Facts<'_>) -> String {
    let Some(decision) = facts.decision.as_deref() else {
        return String::new();
    };
    let policies = printable(&facts.policies.join("`, `"));
    let failed = printable(&facts.failed.join("`, `"));
    let why = match (decision, facts.cause.as_deref()) {
        ("allow", _) => format!("permitted by `{policies}`"),
        (_, Some("forbidden")) => format!("forbidden by `{policies}`"),
        (_, Some("no_permit")) => "no policy permits it".to_owned(),
        (_, Some("forbid_failed")) => {
            format!("`{failed}` forbids, or not: it could not be evaluated")
        }
        (_, Some("unknown_principal")) => "the principal is not known".to_owned(),
        (_, Some("unknown_action")) => "the action is not in the schema".to_owned(),
        (_, Some("unknown_resource")) => "the resource is not known".to_owned(),
        (_, Some("not_applicable")) => "the schema has no such question".to_owned(),
        (_, Some("not_recorded")) => "the decision could not be recorded".to_owned(),
        (_, cause) => printable(cause.unwrap_or("")),
    };
    format!("{why}  ")
}

/// What helps from here on.
fn next(facts: &Facts<'_>, members: &Map<String, Json>) -> Vec<String> {
    let mut steps = Vec::new();
    let (Some(principal), Some(action), Some(resource)) =
        (&facts.principal, &facts.action, &facts.resource)
    else {
        return steps;
    };
    let step = match facts.cause.as_deref() {
        Some("unknown_principal") => Some(look_up(principal)),
        Some("unknown_resource") => Some(look_up(resource)),
        Some("unknown_action" | "not_applicable") => {
            Some("see which actions the schema declares, and for which types".to_owned())
        }
        Some("forbid_failed") => {
            Some("mend the policy: `errors` says what it could not read".to_owned())
        }
        Some("not_recorded") => {
            Some("see the health of the server: its audit log failed".to_owned())
        }
        _ => None,
    };
    steps.extend(step);
    let is_redacted = members.contains_key("redacted");
    if !is_redacted && facts.cause.as_deref() != Some("not_recorded") {
        steps.push("ask again, now, and be told which conditions hold:".to_owned());
        let mut command = format!(
            "  deodar check --principal {} --action {} --resource {}",
            quoted(&principal.to_string()),
            quoted(&action.to_string()),
            quoted(&resource.to_string()),
        );
        for name in ["context", "entities"] {
            let value = members
                .get(name)
                .filter(|value| *value != &Json::Object(Map::new()));
            if let Some(value) = value {
                write!(command, " --{name} {}", quoted(&value.to_string())).ok();
            }
        }
        steps.push(command);
    }
    let query =
        |about: &str, argument: String| format!("{about}:\n  deodar audit query {argument}");
    if let Some(trace) = &facts.trace {
        steps.extend(
            query("see all of its trace", format!("--trace {}", quoted(trace)))
                .lines()
                .map(str::to_owned),
        );
    }
    if let Some(revision) = &facts.policies_revision {
        let argument = format!("--kind activation --revision {}", quoted(revision));
        steps.extend(
            query("see when these policies came into force", argument)
                .lines()
                .map(str::to_owned),
        );
    }
    steps
}

fn look_up(party: &Party<'_>) -> String {
    format!(
        "see whether it is there now: deodar directory get {}",
        quoted(&party.to_string())
    )
}

/// For a shell.
fn quoted(text: &str) -> String {
    let is_plain = |symbol: char| symbol.is_ascii_alphanumeric() || "-_.:/".contains(symbol);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
