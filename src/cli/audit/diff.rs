//! `deodar audit diff`: what changed in effect between two revisions of the
//! policies.

use std::ops::ControlFlow;

use clap::Args;

use super::diff_csv;
use super::diff_text;
use super::filters::AskedArgs;
use super::source::Source;
use super::source::SourceArgs;
use super::source::Wanted;
use crate::audit::activations::Activations;
use crate::audit::activations::Pair;
use crate::audit::activations::Unclear;
use crate::audit::diff::Diff;
use crate::audit::diff::Limits;
use crate::audit::filter::Filter;
use crate::audit::query::Order;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::cli::format::RowsFormat;
use crate::cli::format::RowsFormatArg;
use crate::cli::output;

/// What is recorded of policies that came into force may be recorded so much later
/// than their first decisions, in milliseconds.
const SLACK: i64 = 60_000;

const JSON_HELP: &str = r#"How to write it; JSON is {"before", "after", "policies": {"top", "others"}, "questions": {"asked_twice", "changed", "by_policies_alone", "top", "others"}, "undecided", "left_out", "policies_left_out", "nameless"}"#;

/// Show what changed in effect between two revisions of the policies
///
/// Which policies decide more or less often, and which questions are answered
/// differently. The directory and the context of a question change, too, so each
/// such answer is shown with what else differs.
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(JSON_HELP)))]
#[command(after_help = "\
Examples:
  what did the last commit change?
    deodar audit diff
  what did this commit change, for the doors?
    deodar audit diff 81d07e --action 'Iot::Action::\"unlock\"'
  these two, whatever was between them:
    deodar audit diff 3f2a9c 81d07e --path /var/lib/deodar/audit --format csv > changed.csv

`deodar audit query --kind activation` shows the revisions. Times are UTC.
Exit codes: 0 done, also when nothing changed, 1 failed, 2 usage or configuration")]
pub struct DiffArgs {
    /// One revision, compared with what was in force before it, or two; by default
    /// the newest. The beginning of a revision is enough
    #[arg(value_name = "REVISION", num_args = 0..=2)]
    revisions: Vec<String>,
    /// So many policies and questions
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    top: usize,
    #[command(flatten)]
    asked: AskedArgs,
    #[command(flatten)]
    format: RowsFormatArg,
    #[command(flatten)]
    source: SourceArgs,
}

/// Shows it.
///
/// # Errors
/// When it is not clear what to compare, or the log or the server cannot be read.
pub fn run(args: &DiffArgs) -> Result<ExitCode, Failure> {
    let source = args.source.source()?;
    let filter = args.asked.filter();
    let pair = pair(&source, &args.revisions, filter.until)?;
    let diff = compare(&source, &pair, filter)?;
    let text = match args.format.format() {
        RowsFormat::Human => diff_text::text(&pair, &diff, args.top),
        RowsFormat::Json => output::json(&diff_text::json(&pair, &diff, args.top)),
        RowsFormat::Csv => diff_csv::rows(&diff, args.top),
    };
    output::stdout(&text);
    Ok(ExitCode::Yes)
}

/// Which two revisions are meant. Names are looked up in the whole log; the newest
/// two are found near its end.
fn pair(source: &Source, names: &[String], until: Option<i64>) -> Result<Pair, Failure> {
    let mut activations = Activations::default();
    let mut wanted = Wanted {
        filter: Filter {
            kinds: vec!["activation".to_owned()],
            until,
            ..Filter::default()
        },
        order: Order::Newest,
        start: None,
        limit: None,
    };
    source.each_page(&wanted, |page| {
        for line in &page {
            activations.add_older(line);
        }
        if names.is_empty() && activations.has_newest_pair() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    if !(names.is_empty() && activations.has_newest_pair()) {
        // What was in force first may have been dropped; decisions tell of it.
        wanted.filter.kinds = vec!["decision".to_owned()];
        (wanted.order, wanted.limit) = (Order::Oldest, Some(1));
        for line in source.all(&wanted)? {
            activations.add_older(&line);
        }
    }
    activations.pair(names).map_err(|problem| unclear(&problem))
}

fn unclear(problem: &Unclear) -> Failure {
    Failure::Failed(Message::new(problem, problem.hint()))
}

fn compare(source: &Source, pair: &Pair, filter: Filter) -> Result<Diff, Failure> {
    let from = pair.from.saturating_sub(SLACK);
    let filter = Filter {
        kinds: vec!["decision".to_owned()],
        from: filter.from.max(Some(from)),
        ..filter
    };
    let (before, after) = (&pair.before.revision, &pair.after.revision);
    let mut diff = Diff::new(before, after, filter.clone(), Limits::default());
    let wanted = Wanted {
        filter,
        order: Order::Oldest,
        start: None,
        limit: None,
    };
    source.each_page(&wanted, |page| {
        for line in &page {
            diff.add(line);
        }
        ControlFlow::Continue(())
    })?;
    Ok(diff)
}
