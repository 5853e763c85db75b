//! `deodar audit query`: records that filters select.

use std::ops::ControlFlow;

use clap::Args;

use super::filters::FilterArgs;
use super::rows::Writer;
use super::source::SourceArgs;
use super::source::Wanted;
use crate::audit::query::Order;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::format::RowsFormatArg;
use crate::cli::output;

/// What `--format` is for records.
pub(super) const FORMAT_HELP: &str = "How to write it; JSON is the lines of the log as they are";

/// Show the records that filters select
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(FORMAT_HELP)))]
#[command(after_help = "\
Examples:
  deodar audit query --since 03:10 --until 03:15 --resource 'Iot::Device::\"press-01\"' --decision deny
  deodar audit query --since 7d --principal Org::User --resource 'Iot::Device::\"door-bob\"' --format csv > asked.csv
  deodar audit query --policy no-unsigned-firmware --reverse --limit 20
  deodar audit query --trace 4bf92f3577b34da6a3ce929d0e0e4736 --format json | jq .context
  deodar audit query --kind activation --kind rejection --since yesterday

Times are UTC. `deodar audit show SEQ` shows one record whole, and what to do next.
Exit codes: 0 done, also when nothing was found, 1 failed, 2 usage or configuration")]
pub struct QueryArgs {
    #[command(flatten)]
    filters: FilterArgs,
    /// At most so many
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// The newest first
    #[arg(long)]
    reverse: bool,
    #[command(flatten)]
    format: RowsFormatArg,
    #[command(flatten)]
    source: SourceArgs,
}

/// Shows them.
///
/// # Errors
/// When the log or the server cannot be read.
pub fn run(args: &QueryArgs) -> Result<ExitCode, Failure> {
    let wanted = Wanted {
        filter: args.filters.filter(),
        order: if args.reverse {
            Order::Newest
        } else {
            Order::Oldest
        },
        start: None,
        limit: args.limit,
    };
    let mut writer = Writer::new(args.format.format());
    let source = args.source.source()?;
    let read = source.each_page(&wanted, |page| {
        if !page.is_empty() {
            writer.write(&page);
        }
        ControlFlow::Continue(())
    });
    if writer.written == 0 {
        // A header without rows.
        writer.write(&[]);
        if read.is_ok() {
            output::stderr("no record matches\n");
        }
    }
    read.map(|()| ExitCode::Yes)
}
