//! Where the log is read: files of a directory, or a server.

use std::ops::ControlFlow;
use std::path::Path;
use std::path::PathBuf;

use chrono::DateTime;
use clap::Args;
use tonic::transport::Channel;

use crate::audit::ReadError;
use crate::audit::filter::Filter;
use crate::audit::query;
use crate::audit::query::Order;
use crate::audit::query::PageMax;
use crate::audit::query::Query;
use crate::audit::read::Line;
use crate::cli::Failure;
use crate::cli::directory::ServerArgs;
use crate::cli::failure::Message;
use crate::cli::server::ServerAddress;
use crate::cli::server::block_on;
use crate::cli::server::connect;
use crate::cli::server::in_time;
use crate::cli::server::refused;
use crate::proto::v1;
use crate::proto::v1::audit_service_client::AuditServiceClient;
use crate::serve::grpc::audit_wire::write_filter;

/// Bytes of one answer that are taken.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Records of a page.
const PAGE: usize = 1000;
/// Records that are looked at for a page of files, or a segment.
const PAGE_LOOKED_AT: u64 = 10_000;
/// Bytes of a page of files.
const PAGE_BYTES: usize = 16 << 20;

/// Where the log is.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// Read the files of this directory; otherwise a server is asked
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    path: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Where the log is read.
#[derive(Debug, Clone)]
pub enum Source {
    /// Files of this directory.
    Files(PathBuf),
    /// A server.
    Server(ServerAddress),
}

impl SourceArgs {
    /// Where it is.
    ///
    /// # Errors
    /// Every fault of the configuration, if a server is meant.
    pub fn source(&self) -> Result<Source, Failure> {
        match &self.path {
            Some(path) => Ok(Source::Files(path.clone())),
            None => Ok(Source::Server(self.server.address()?)),
        }
    }
}

/// What is asked for.
#[derive(Debug)]
pub struct Wanted {
    /// Which records.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
    /// The record to start with.
    pub start: Option<u64>,
    /// How many.
    pub limit: Option<usize>,
}

impl Source {
    /// Gives every record that is asked for, page by page, until it is told to stop.
    ///
    /// # Errors
    /// When the log cannot be read; what was read before was given.
    pub fn each_page(
        &self,
        wanted: &Wanted,
        mut take: impl FnMut(Vec<Line>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let mut left = wanted.limit.unwrap_or(usize::MAX);
        match self {
            Self::Files(directory) if wanted.order == Order::Oldest => {
                forwards(directory, wanted, take)
            }
            Self::Files(directory) => {
                // Each page reads its segments from their beginning, so it takes all
                // that it has room for.
                let mut query = Query {
                    filter: wanted.filter.clone(),
                    order: wanted.order,
                    start: wanted.start,
                    through: None,
                    max: PageMax {
                        records: left,
                        bytes: PAGE_BYTES,
                        looked_at: PAGE_LOOKED_AT,
                    },
                };
                while left > 0 {
                    query.max.records = left;
                    let page = query::page(directory, &query);
                    let page = page.map_err(|error| unreadable(&error))?;
                    left -= page.records.len();
                    query.start = page.next;
                    if take(page.records).is_break() || query.start.is_none() {
                        break;
                    }
                }
                Ok(())
            }
            Self::Server(server) => block_on(async {
                let mut client = client(server).await?;
                let mut token = String::new();
                while left > 0 {
                    let request = v1::QueryRequest {
                        filter: Some(write_filter(&wanted.filter)),
                        newest_first: wanted.order == Order::Newest,
                        page_size: u32::try_from(left.min(PAGE)).unwrap_or(u32::MAX),
                        page_token: token,
                        start_seq: wanted.start.unwrap_or(0),
                    };
                    let page = client.query(in_time(request)).await;
                    let page = page.map_err(|status| refused(&status))?.into_inner();
                    left = left.saturating_sub(page.records.len());
                    let lines = page.records.into_iter().map(line).collect();
                    token = page.next_page_token;
                    if take(lines).is_break() || token.is_empty() {
                        break;
                    }
                }
                Ok(())
            }),
        }
    }

    /// All records that are asked for.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn all(&self, wanted: &Wanted) -> Result<Vec<Line>, Failure> {
        let mut all = Vec::new();
        self.each_page(wanted, |page| {
            all.extend(page);
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }
}

/// As [`Source::each_page`], of files, the oldest first: these are read once.
fn forwards(
    directory: &Path,
    wanted: &Wanted,
    mut take: impl FnMut(Vec<Line>) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let mut left = wanted.limit.unwrap_or(usize::MAX);
    let (mut page, mut bytes) = (Vec::new(), 0);
    let read = query::each(directory, &wanted.filter, wanted.start, |line| {
        left -= 1;
        bytes += line.text.len();
        page.push(line);
        if page.len() == PAGE || bytes >= PAGE_BYTES || left == 0 {
            bytes = 0;
            take(std::mem::take(&mut page))?;
        }
        if left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    if !page.is_empty() && take(page).is_break() {
        return Ok(());
    }
    read.map_err(|error| unreadable(&error))
}

/// A client of the server.
///
/// # Errors
/// When it cannot be reached.
pub async fn client(server: &ServerAddress) -> Result<AuditServiceClient<Channel>, Failure> {
    let channel = connect(server).await?;
    Ok(AuditServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
}

/// A record as a server gave it.
pub fn line(record: v1::AuditRecord) -> Line {
    let time = record.time.unwrap_or_default();
    Line {
        seq: record.seq,
        millis: time.seconds * 1000 + i64::from(time.nanos) / 1_000_000,
        kind: record.kind,
        text: record.json,
    }
}

/// Why a log cannot be read.
pub fn unreadable(error: &ReadError) -> Failure {
    Failure::Failed(Message::new(error, error.hint()))
}

/// A time as records have it.
pub fn moment(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis).map_or_else(
        || millis.to_string(),
        |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    )
}
