//! `deodar audit tail`: the latest records, and those that follow.

use std::path::Path;
use std::thread;
use std::time::Duration;

use clap::Args;
use tonic::Request;

use super::filters::FilterArgs;
use super::query::FORMAT_HELP;
use super::rows::Writer;
use super::source::Source;
use super::source::SourceArgs;
use super::source::Wanted;
use super::source::client;
use super::source::line;
use super::source::unreadable;
use crate::audit::filter::Filter;
use crate::audit::query::Order;
use crate::audit::read::Reader;
use crate::audit::read::Since;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::cli::format::RowsFormatArg;
use crate::cli::server::ServerAddress;
use crate::cli::server::block_on;
use crate::cli::server::refused;
use crate::proto::v1;
use crate::proto::v1::tail_request::Start;
use crate::proto::v1::tail_response::Event;
use crate::serve::grpc::audit_wire::write_filter;

/// How often files are looked at for more.
const PAUSE: Duration = Duration::from_millis(200);

/// Show the latest records, and those that follow
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(FORMAT_HELP)))]
#[command(after_help = "\
Examples:
  deodar audit tail
  deodar audit tail --follow --decision deny
  deodar audit tail -n 100 --kind activation --format json | jq .revision
  deodar audit tail --path /var/lib/deodar/audit --follow --format csv")]
pub struct TailArgs {
    /// So many of the latest records
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 10)]
    number: u32,
    /// Go on with what is recorded from now on, until stopped
    #[arg(short, long)]
    follow: bool,
    /// End after so many records
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    format: RowsFormatArg,
    #[command(flatten)]
    source: SourceArgs,
}

/// Shows them.
///
/// # Errors
/// When the log or the server cannot be read, or the server ends.
pub fn run(args: &TailArgs) -> Result<ExitCode, Failure> {
    let filter = args.filters.filter();
    let mut writer = Writer::new(args.format.format());
    match (args.source.source()?, args.follow) {
        (Source::Server(server), true) => follow_server(&server, args, &filter, &mut writer)?,
        (source, is_followed) => {
            let mut wanted = Wanted {
                filter: Filter::default(),
                order: Order::Newest,
                start: None,
                limit: Some(1),
            };
            // What is written from here on is for following.
            let head = source.all(&wanted)?.first().map_or(0, |line| line.seq);
            wanted.filter = filter;
            wanted.start = Some(head).filter(|head| *head > 0);
            wanted.limit = Some(args.number as usize);
            let mut latest = source.all(&wanted)?;
            latest.reverse();
            latest.truncate(usize::try_from(args.count.unwrap_or(u64::MAX)).unwrap_or(usize::MAX));
            if !latest.is_empty() {
                writer.write(&latest);
            }
            if let (Source::Files(directory), true) = (&source, is_followed) {
                follow_files(directory, head + 1, args, &wanted.filter, &mut writer)?;
            }
        }
    }
    Ok(ExitCode::Yes)
}

fn is_done(args: &TailArgs, writer: &Writer) -> bool {
    args.count.is_some_and(|count| writer.written >= count)
}

fn follow_files(
    directory: &Path,
    next: u64,
    args: &TailArgs,
    filter: &Filter,
    writer: &mut Writer,
) -> Result<(), Failure> {
    let reader = Reader::open(directory, Since::Seq(next));
    let mut reader = reader.map_err(|error| unreadable(&error))?;
    while !is_done(args, writer) {
        match reader.next() {
            Some(Ok(line)) if filter.matches(&line) => writer.write(&[line]),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(unreadable(&error)),
            None => thread::sleep(PAUSE),
        }
    }
    Ok(())
}

fn follow_server(
    server: &ServerAddress,
    args: &TailArgs,
    filter: &Filter,
    writer: &mut Writer,
) -> Result<(), Failure> {
    block_on(async {
        let request = v1::TailRequest {
            filter: Some(write_filter(filter)),
            start: Some(Start::Last(args.number)),
            heartbeat_interval: None,
        };
        let stream = client(server).await?.tail(Request::new(request)).await;
        let mut stream = stream.map_err(|status| refused(&status))?.into_inner();
        while !is_done(args, writer) {
            let message = stream.message().await.map_err(|status| refused(&status))?;
            let Some(message) = message else {
                let hint = "tail again, or read the files with `--path`";
                let message = Message::new("the server ended the tail", hint);
                return Err(Failure::Failed(message));
            };
            if let Some(Event::Record(record)) = message.event {
                writer.write(&[line(record)]);
            }
        }
        Ok(())
    })
}
