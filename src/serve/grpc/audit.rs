//! `deodar.v1.AuditService`.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Extensions;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::audit_status::off;
use super::audit_status::too_many_tails;
use super::audit_status::unreadable;
use super::audit_tail::Sent;
use super::audit_tail::Start;
use super::audit_tail::Tail;
use super::audit_wire::filter;
use super::audit_wire::record;
use super::authorization::compressed_above;
use super::directory::heartbeat_interval;
use super::directory_room::Room;
use super::status::Refusal;
use super::status::WireError;
use crate::audit::ReadError;
use crate::audit::query;
use crate::audit::query::Order;
use crate::audit::query::Page;
use crate::audit::query::PageMax;
use crate::audit::query::Query;
use crate::proto::v1;
use crate::proto::v1::audit_service_server::AuditService;
use crate::proto::v1::tail_request;
use crate::serve::limits::AuditLimits;
use crate::serve::phase::Follower;

/// Records of a page when nothing is said.
const PAGE_DEFAULT: usize = 100;
/// Bytes of records in one answer: callers take 4 MiB unless told otherwise.
const ANSWER_BYTES_MAX: usize = 3 << 20;

/// An audit log that may be read.
#[derive(Debug, Clone)]
pub struct AuditReading {
    /// Where it is.
    pub directory: PathBuf,
    /// The last record that is durable, from `Audit::durable`.
    pub durable: watch::Receiver<u64>,
    /// What callers may ask for.
    pub limits: AuditLimits,
}

/// The service.
#[derive(Debug, Clone)]
pub(super) struct AuditLog {
    reading: Option<AuditReading>,
    phase: Follower,
    compress_above_bytes: usize,
    tails: Arc<Semaphore>,
    room: Arc<Room>,
}

impl AuditLog {
    /// The service over a log, if one is kept. Tails end with the phase.
    pub(super) fn new(
        reading: Option<AuditReading>,
        phase: Follower,
        compress_above_bytes: usize,
    ) -> Self {
        let limits = reading.as_ref().map(|reading| reading.limits);
        let tails_max = limits.unwrap_or_default().tails_max;
        Self {
            reading,
            phase,
            compress_above_bytes,
            tails: Arc::new(Semaphore::new(tails_max.min(Semaphore::MAX_PERMITS))),
            room: Arc::new(Room::new(0)),
        }
    }

    fn reading(&self) -> Result<&AuditReading, Status> {
        self.reading.as_ref().ok_or_else(off)
    }

    async fn queried(&self, request: v1::QueryRequest) -> Result<v1::QueryResponse, Status> {
        let reading = self.reading()?;
        let size = match request.page_size as usize {
            0 => PAGE_DEFAULT,
            size => size,
        };
        let start = start(&request).map_err(Refusal::from)?;
        let query = Query {
            filter: filter(request.filter).map_err(Refusal::from)?,
            order: if request.newest_first {
                Order::Newest
            } else {
                Order::Oldest
            },
            start,
            through: Some(*reading.durable.borrow()),
            max: PageMax {
                records: size.min(reading.limits.page_max),
                bytes: ANSWER_BYTES_MAX,
                looked_at: reading.limits.looked_at_max,
            },
        };
        let page = self.page(reading, query).await?;
        Ok(v1::QueryResponse {
            records: page.records.into_iter().map(record).collect(),
            next_page_token: page.next.map(|seq| seq.to_string()).unwrap_or_default(),
            looked_at: page.looked_at,
        })
    }

    async fn page(&self, reading: &AuditReading, query: Query) -> Result<Page, Status> {
        let directory = reading.directory.clone();
        let read = move || query::page(&directory, &query);
        let page = self.room.run(read).await?;
        page.map_err(|error: ReadError| unreadable(&error))
    }

    async fn tailed(
        &self,
        extensions: &Extensions,
        request: v1::TailRequest,
    ) -> Result<ReceiverStream<Sent>, Status> {
        let reading = self.reading()?;
        let interval = heartbeat_interval(request.heartbeat_interval).map_err(Refusal::from)?;
        let filter = filter(request.filter).map_err(Refusal::from)?;
        let seat = Arc::clone(&self.tails).try_acquire_owned();
        let seat = seat.map_err(|_| too_many_tails(reading.limits.tails_max))?;
        let durable = *reading.durable.borrow();
        let start = match request.start {
            Some(tail_request::Start::StartSeq(seq)) => Start::Seq(seq.max(1)),
            Some(tail_request::Start::Last(last)) if last > 0 => {
                let query = Query {
                    filter: filter.clone(),
                    order: Order::Newest,
                    start: None,
                    through: Some(durable),
                    max: PageMax {
                        records: (last as usize).min(reading.limits.page_max),
                        bytes: ANSWER_BYTES_MAX,
                        looked_at: reading.limits.looked_at_max,
                    },
                };
                let mut latest = self.page(reading, query).await?.records;
                latest.reverse();
                Start::After(durable, latest)
            }
            _ => Start::After(durable, Vec::new()),
        };
        let tail = Tail {
            directory: reading.directory.clone(),
            durable: reading.durable.clone(),
            filter: Arc::new(filter),
            room: Arc::clone(&self.room),
            interval,
            phase: self.phase.clone(),
            deadline: extensions.get().copied(),
            _seat: seat,
        };
        Ok(ReceiverStream::new(tail.start(start).await?))
    }
}

fn start(request: &v1::QueryRequest) -> Result<Option<u64>, WireError> {
    if request.page_token.is_empty() {
        return Ok(Some(request.start_seq).filter(|seq| *seq > 0));
    }
    request.page_token.parse().map(Some).map_err(|_| {
        let hint = "start again without a token";
        WireError::new("page_token", "is not a page token", hint)
    })
}

#[tonic::async_trait]
impl AuditService for AuditLog {
    async fn query(
        &self,
        request: Request<v1::QueryRequest>,
    ) -> Result<Response<v1::QueryResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let found = self.queried(message).await?;
        Ok(compressed_above(
            self.compress_above_bytes,
            &metadata,
            found,
        ))
    }

    type TailStream = Pin<Box<dyn Stream<Item = Sent> + Send>>;

    async fn tail(
        &self,
        request: Request<v1::TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let (_, extensions, message) = request.into_parts();
        let stream = self.tailed(&extensions, message).await?;
        let mut response = Response::new(Box::pin(stream) as Self::TailStream);
        response.disable_compression();
        Ok(response)
    }
}
