//! `deodar audit stats`: what the records of a log add up to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value as Json;
use serde_json::json;

use super::csv::cell;
use super::filters::FilterArgs;
use super::rows::printable;
use super::source::moment;
use super::source::unreadable;
use crate::audit::stats;
use crate::audit::stats::Counts;
use crate::audit::stats::Stats;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::format::RowsFormat;
use crate::cli::format::RowsFormatArg;
use crate::cli::output;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::paint;

const JSON_HELP: &str = r#"How to write it; JSON is {"segments", "disk_bytes", "records", "bytes", "first", "last", "kinds", "decisions", "causes", "revisions", "policies", "failed", "denied_principals", "denied_resources", "callers"}; CSV is a row for each name of each list, with its count"#;

/// Show what the records of a log add up to
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(JSON_HELP)))]
#[command(after_help = "\
Examples:
  deodar audit stats --path /var/lib/deodar/audit
  deodar audit stats --path audit --since 03:00 --until 04:00
  deodar audit stats --path audit --revision 3f2a9c

`deodar audit diff` compares two revisions of the policies.")]
pub struct StatsArgs {
    /// The directory of the log; it may be in use
    #[arg(long, value_name = "DIR")]
    path: PathBuf,
    /// So many names of each list
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    top: usize,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    format: RowsFormatArg,
}

/// Shows it.
///
/// # Errors
/// When there is no log, or it cannot be read.
pub fn run(args: &StatsArgs) -> Result<ExitCode, Failure> {
    let stats = stats::stats(&args.path, &args.filters.filter());
    let stats = stats.map_err(|error| unreadable(&error))?;
    let text = match args.format.format() {
        RowsFormat::Human => text(&stats, args.top),
        RowsFormat::Json => output::json(&json(&stats, args.top)),
        RowsFormat::Csv => rows(&stats, args.top),
    };
    output::stdout(&text);
    Ok(ExitCode::Yes)
}

fn lists(stats: &Stats) -> [(&'static str, &Counts); 5] {
    [
        ("policies", &stats.policies),
        ("failed", &stats.failed),
        ("denied_principals", &stats.denied_principals),
        ("denied_resources", &stats.denied_resources),
        ("callers", &stats.callers),
    ]
}

fn json(stats: &Stats, top: usize) -> Json {
    let place = |place: Option<(u64, i64)>| {
        place.map(|(seq, millis)| json!({"seq": seq, "time": moment(millis)}))
    };
    let revisions = stats.revisions.iter().map(|revision| {
        json!({
            "revision": revision.revision,
            "since": moment(revision.since),
            "allow": revision.allowed,
            "deny": revision.denied,
        })
    });
    let mut json = json!({
        "segments": stats.segments,
        "disk_bytes": stats.disk_bytes,
        "records": stats.records,
        "bytes": stats.bytes,
        "first": place(stats.first),
        "last": place(stats.last),
        "kinds": stats.kinds,
        "decisions": {"allow": stats.allowed, "deny": stats.denied},
        "causes": stats.causes,
        "revisions": revisions.collect::<Vec<_>>(),
    });
    for (name, counts) in lists(stats) {
        let (names, others) = counts.top(top);
        let names = names
            .into_iter()
            .map(|(name, count)| json!({"name": name, "count": count}));
        let list = json!({"top": names.collect::<Vec<_>>(), "others": others});
        if let Json::Object(json) = &mut json {
            json.insert(name.to_owned(), list);
        }
    }
    json
}

/// RFC 4180.
fn rows(stats: &Stats, top: usize) -> String {
    let mut text = "list,name,count\r\n".to_owned();
    let mut push = |list: &str, name: &str, count: u64| {
        writeln!(text, "{list},{},{count}\r", cell(name)).ok();
    };
    push("decisions", "allow", stats.allowed);
    push("decisions", "deny", stats.denied);
    for (list, counts) in [("kinds", &stats.kinds), ("causes", &stats.causes)] {
        for (name, count) in counts {
            push(list, name, *count);
        }
    }
    for revision in &stats.revisions {
        push("revisions_allow", &revision.revision, revision.allowed);
        push("revisions_deny", &revision.revision, revision.denied);
    }
    for (list, counts) in lists(stats) {
        let (names, others) = counts.top(top);
        for (name, count) in names {
            push(list, name, count);
        }
        if others > 0 {
            push(list, "(others)", others);
        }
    }
    text
}

fn text(stats: &Stats, top: usize) -> String {
    let mut text = String::new();
    let place = |(seq, millis): (u64, i64)| format!("{seq} at {}", moment(millis));
    let segments = format!("{}, {} bytes on the disk", stats.segments, stats.disk_bytes);
    let records = format!("{}, {} bytes", stats.records, stats.bytes);
    let facts = [
        ("segments", Some(segments)),
        ("records", Some(records)),
        ("first", stats.first.map(place)),
        ("last", stats.last.map(place)),
    ];
    for (title, fact) in facts {
        if let Some(fact) = fact {
            writeln!(text, "{}  {fact}", paint(HEAD, title)).ok();
        }
    }
    let decisions = [("allow", stats.allowed), ("deny", stats.denied)];
    let decisions = decisions.map(|(name, count)| (name.to_owned(), count));
    let decided = decisions.into_iter().filter(|(_, count)| *count > 0);
    for (title, counts) in [
        ("kinds", &stats.kinds),
        ("decisions", &decided.collect()),
        ("denied because", &stats.causes),
    ] {
        push_list(&mut text, title, &sorted(counts), 0);
    }
    if !stats.revisions.is_empty() {
        writeln!(text, "{}", paint(HEAD, "revisions of the policies")).ok();
        let rows = stats.revisions.iter().map(|revision| {
            [
                printable(&revision.revision),
                format!("since {}", moment(revision.since)),
                format!("{} allow", revision.allowed),
                format!("{} deny", revision.denied),
            ]
        });
        let styles = [NAME, PLAIN, PLAIN, PLAIN];
        text.push_str(&output::table("  ", styles, &rows.collect::<Vec<_>>()));
    }
    let titles = [
        "policies that decided",
        "policies that failed",
        "denied principals",
        "denied resources",
        "callers",
    ];
    for (title, (_, counts)) in titles.into_iter().zip(lists(stats)) {
        let (names, others) = counts.top(top);
        let names: Vec<_> = names
            .into_iter()
            .map(|(name, count)| (printable(name), count))
            .collect();
        push_list(&mut text, title, &names, others);
    }
    text
}

fn sorted(counts: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut counts: Vec<_> = counts
        .iter()
        .map(|(name, count)| (printable(name), *count))
        .collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    counts
}

fn push_list(text: &mut String, title: &str, names: &[(String, u64)], others: u64) {
    if names.is_empty() && others == 0 {
        return;
    }
    writeln!(text, "{}", paint(HEAD, title)).ok();
    let mut rows: Vec<_> = names
        .iter()
        .map(|(name, count)| [name.clone(), count.to_string()])
        .collect();
    if others > 0 {
        rows.push(["(others)".to_owned(), others.to_string()]);
    }
    text.push_str(&output::table("  ", [NAME, PLAIN], &rows));
}
