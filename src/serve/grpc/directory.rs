//! `deodar.v1.DirectoryService`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Extensions;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::authorization::compressed_above;
use super::by::caller;
use super::directory_draft::Drafting;
use super::directory_lists::Filter;
use super::directory_lists::Lists;
use super::directory_lists::token;
use super::directory_room::Room;
use super::directory_watch::Sent;
use super::directory_watch::Watch;
use super::directory_wire::entity_filter;
use super::directory_wire::link_filter;
use super::directory_wire::reached;
use super::directory_wire::stats;
use super::directory_wire::stored_entity;
use super::directory_wire::stored_link;
use super::status::Refusal;
use super::status::WireError;
use super::value::Path;
use super::value::Reader;
use super::wire::store;
use crate::directory::Directory;
use crate::directory::Tip;
use crate::directory::operation::Draft;
use crate::directory::record::Cursor;
use crate::engine::Snapshot;
use crate::pdp::Pdp;
use crate::proto::v1;
use crate::proto::v1::directory_service_server::DirectoryService;
use crate::proto::v1::list_request;
use crate::serve::deadline::Deadline;
use crate::serve::limits::DirectoryLimits;
use crate::serve::limits::Limits;
use crate::serve::phase::Follower;

const PAGE_DEFAULT: usize = 100;
/// Bytes of entities or links in one answer: callers take 4 MiB unless told
/// otherwise.
const ANSWER_BYTES_MAX: usize = 3 << 20;
/// Writes of so many bytes, and reads of so many names, are read where no
/// decision waits for it.
const LONG_WRITE_BYTES: usize = 64 << 10;
const LONG_READ_NAMES: usize = 64;
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(5);
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);
const HEARTBEAT_MAX: Duration = Duration::from_mins(5);

/// The service.
#[derive(Debug, Clone)]
pub struct Directories {
    directory: Directory,
    pdp: Arc<Pdp>,
    phase: Follower,
    limits: Limits,
    directory_limits: DirectoryLimits,
    compress_above_bytes: usize,
    lists: Arc<Lists>,
    watches: Arc<Semaphore>,
    room: Arc<Room>,
}

/// Limits of the service.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Of every request.
    pub limits: Limits,
    /// Of requests to the directory.
    pub directory: DirectoryLimits,
    /// Answers at least so long are compressed; zero is never.
    pub compress_above_bytes: usize,
}

impl Directories {
    /// The service over a directory, for entities of the types that the policies
    /// in force declare. Watches end with the phase.
    pub fn new(directory: Directory, pdp: Arc<Pdp>, phase: Follower, bounds: Bounds) -> Self {
        let watches_max = bounds.directory.watches_max.min(Semaphore::MAX_PERMITS);
        Self {
            directory,
            pdp,
            phase,
            limits: bounds.limits,
            directory_limits: bounds.directory,
            compress_above_bytes: bounds.compress_above_bytes,
            lists: Arc::default(),
            watches: Arc::new(Semaphore::new(watches_max)),
            room: Arc::new(Room::new(bounds.directory.writes_waiting_bytes_max)),
        }
    }

    async fn written(
        &self,
        extensions: &Extensions,
        request: v1::WriteRequest,
    ) -> Result<v1::WriteResponse, Refusal> {
        store(&request.store)?;
        self.lists.sweep(Instant::now());
        let bytes = request.encoded_len();
        // Until it is applied: what waits has its size in memory, also when the
        // caller has gone. So the room goes wherever the write goes.
        let room = self.room.of_write(bytes).map_err(Refusal::Write)?;
        let actor = caller(extensions).to_string();
        let (draft, room) = if bytes < LONG_WRITE_BYTES {
            (self.draft(actor, request), room)
        } else {
            let service = self.clone();
            let draft = move || (service.draft(actor, request), room);
            self.room.run(draft).await?
        };
        let revision = self.directory.write_in(draft?, Some(room)).await;
        Ok(v1::WriteResponse {
            revision: revision.map_err(Refusal::Write)?.to_string(),
        })
    }

    fn draft(&self, actor: String, request: v1::WriteRequest) -> Result<Draft, Refusal> {
        let pinned = self.pdp.pin()?;
        let drafting = Drafting {
            snapshot: pinned.snapshot(),
            limits: &self.limits,
            directory: &self.directory_limits,
        };
        drafting.draft(actor.into(), request)
    }

    async fn found(
        &self,
        extensions: &Extensions,
        request: v1::ReadRequest,
    ) -> Result<v1::ReadResponse, Refusal> {
        store(&request.store)?;
        let limit = self.directory_limits.page_max;
        let names = request.entities.len() + request.links.len();
        if names > limit {
            let error = WireError::beyond("entities", "names", limit, "directory.page_max");
            return Err(error.into());
        }
        let deadline = extensions.get().copied();
        reached(&self.directory, "at_least", &request.at_least, deadline).await?;
        if names < LONG_READ_NAMES {
            return self.read(request);
        }
        let service = self.clone();
        self.room.run(move || service.read(request)).await?
    }

    /// Reads what is named, all at one revision.
    fn read(&self, request: v1::ReadRequest) -> Result<v1::ReadResponse, Refusal> {
        let tip = self.directory.tip();
        let pinned = self.pdp.pin()?;
        let reader = Reader::new(pinned.snapshot(), &self.limits);
        let root = Path::root("entities");
        let mut answer = v1::ReadResponse {
            revision: tip.revision.to_string(),
            ..v1::ReadResponse::default()
        };
        let mut bytes = 0;
        for (at, asked) in request.entities.into_iter().enumerate() {
            let field = root.index(at);
            let uid = reader.uid_of_any_type(&field, Some(asked.clone()))?;
            let stored = tip.entity(&uid).as_ref().map(stored_entity);
            if stored.is_none() {
                // Of a type that nobody declares: rather a typo than an absent entity.
                reader.uid(&field, Some(asked.clone()))?;
            }
            let entity = v1::ReadEntity {
                uid: Some(asked),
                stored,
            };
            bytes += entity.encoded_len();
            if bytes > ANSWER_BYTES_MAX && at > 0 {
                let message = format!("have more than {ANSWER_BYTES_MAX} bytes together");
                return Err(WireError::new("entities", message, "read fewer at a time").into());
            }
            answer.entities.push(entity);
        }
        let links = request.links.into_iter().map(|id| v1::ReadLink {
            stored: tip.link(&id).as_ref().map(stored_link),
            id,
        });
        answer.links = links.collect();
        Ok(answer)
    }

    async fn listed(
        &self,
        extensions: &Extensions,
        request: v1::ListRequest,
    ) -> Result<v1::ListResponse, Refusal> {
        store(&request.store)?;
        let size = match request.page_size as usize {
            0 => PAGE_DEFAULT.min(self.directory_limits.page_max),
            size => size.min(self.directory_limits.page_max),
        };
        let filter = filter(self.pdp.pin()?.snapshot(), &self.limits, request.filter)?;
        let (id, tip, after) = if request.page_token.is_empty() {
            let deadline = extensions.get().copied();
            reached(&self.directory, "at_least", &request.at_least, deadline).await?;
            (None, self.directory.tip(), None)
        } else {
            let now = Instant::now();
            let place = self.lists.place(&request.page_token, &filter, now)?;
            (Some(place.id), place.tip, Some(place.after))
        };
        // A page can look at a hundred times as much as it shows.
        let (looked_at, wanted) = (Arc::clone(&tip), filter.clone());
        let look = move || page(&looked_at, &wanted, after.as_ref(), size);
        let (mut answer, next) = self.room.run(look).await?;
        match (next, id) {
            (Some(next), id) => {
                let hold = || self.lists.hold(tip, filter, Instant::now());
                answer.next_page_token = token(id.unwrap_or_else(hold), &next);
            }
            (None, Some(id)) => self.lists.end(id),
            (None, None) => {}
        }
        Ok(answer)
    }

    async fn watched(
        &self,
        extensions: &Extensions,
        request: v1::WatchRequest,
    ) -> Result<ReceiverStream<Sent>, Refusal> {
        store(&request.store)?;
        let interval = heartbeat_interval(request.heartbeat_interval)?;
        let limit = self.directory_limits.watches_max;
        let seat = Arc::clone(&self.watches).try_acquire_owned();
        let seat = seat.map_err(|_| Refusal::Watches(limit))?;
        let deadline: Option<Deadline> = extensions.get().copied();
        let after = reached(&self.directory, "after", &request.after, deadline).await?;
        if let Some(after) = after {
            // Told at once when it is no longer kept, not on the stream.
            let (directory, sequence) = (self.directory.clone(), after.sequence);
            let read = tokio::task::spawn_blocking(move || directory.transactions(sequence, 1, 0));
            if let Ok(read) = read.await {
                read.map_err(Refusal::Log)?;
            }
        }
        let watch = Watch {
            sent: after.unwrap_or_else(|| self.directory.tip().revision),
            directory: self.directory.clone(),
            interval,
            phase: self.phase.clone(),
            deadline,
            _seat: seat,
        };
        Ok(ReceiverStream::new(watch.start()))
    }
}

fn filter(
    snapshot: &Snapshot,
    limits: &Limits,
    given: Option<list_request::Filter>,
) -> Result<Filter, WireError> {
    let mut reader = Reader::new(snapshot, limits);
    match given {
        Some(list_request::Filter::Entities(given)) => {
            Ok(Filter::Entities(entity_filter(&mut reader, given)?))
        }
        Some(list_request::Filter::Links(given)) => Ok(Filter::Links(link_filter(&reader, given)?)),
        None => {
            let hint = "set `entities` or `links`, which may be empty";
            Err(WireError::new("filter", "is missing", hint))
        }
    }
}

/// A page, and the place that the next one begins after if there is one.
fn page(
    tip: &Tip,
    filter: &Filter,
    after: Option<&Cursor>,
    size: usize,
) -> (v1::ListResponse, Option<Cursor>) {
    let mut answer = v1::ListResponse {
        revision: tip.revision.to_string(),
        ..v1::ListResponse::default()
    };
    let next = match filter {
        Filter::Entities(filter) => {
            let page = tip.entities(filter, after, size);
            let cut = fill(&mut answer.entities, &page.items, stored_entity);
            let last = cut.map(|record| Cursor::Entity(Arc::clone(&record.uid)));
            last.or_else(|| page.last.filter(|_| page.has_more))
        }
        Filter::Links(filter) => {
            let page = tip.links(filter, after, size);
            let cut = fill(&mut answer.links, &page.items, stored_link);
            let last = cut.map(|record| Cursor::Link(record.link.id.clone()));
            last.or_else(|| page.last.filter(|_| page.has_more))
        }
    };
    (answer, next)
}

/// Writes what there is room for, one at least; the last that was written if
/// there was no room for all.
fn fill<'a, T, M: prost::Message>(
    into: &mut Vec<M>,
    items: &'a [T],
    write: impl Fn(&T) -> M,
) -> Option<&'a T> {
    let mut bytes = 0;
    let mut last = None;
    for item in items {
        let message = write(item);
        bytes += message.encoded_len();
        if bytes > ANSWER_BYTES_MAX && last.is_some() {
            return last;
        }
        into.push(message);
        last = Some(item);
    }
    None
}

pub(super) fn heartbeat_interval(
    given: Option<prost_types::Duration>,
) -> Result<Duration, WireError> {
    let Some(given) = given else {
        return Ok(HEARTBEAT_DEFAULT);
    };
    let interval = Duration::try_from(given).ok();
    let interval = interval.filter(|interval| (HEARTBEAT_MIN..=HEARTBEAT_MAX).contains(interval));
    interval.ok_or_else(|| {
        WireError::new(
            "heartbeat_interval",
            "is out of bounds",
            "ask for 100 ms to 5 min, or leave it out for 5 s",
        )
    })
}

#[tonic::async_trait]
impl DirectoryService for Directories {
    async fn write(
        &self,
        request: Request<v1::WriteRequest>,
    ) -> Result<Response<v1::WriteResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let written = self.written(&extensions, message).await?;
        let mut response = Response::new(written);
        response.disable_compression();
        Ok(response)
    }

    async fn read(
        &self,
        request: Request<v1::ReadRequest>,
    ) -> Result<Response<v1::ReadResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let found = self.found(&extensions, message).await?;
        Ok(compressed_above(
            self.compress_above_bytes,
            &metadata,
            found,
        ))
    }

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let listed = self.listed(&extensions, message).await?;
        Ok(compressed_above(
            self.compress_above_bytes,
            &metadata,
            listed,
        ))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Sent> + Send>>;

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (_, extensions, message) = request.into_parts();
        let stream = self.watched(&extensions, message).await?;
        let mut response = Response::new(Box::pin(stream) as Self::WatchStream);
        response.disable_compression();
        Ok(response)
    }

    async fn get_stats(
        &self,
        request: Request<v1::GetStatsRequest>,
    ) -> Result<Response<v1::GetStatsResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        store(&message.store)?;
        let tip = self.directory.tip();
        let count = move || stats(tip.revision, tip.millis(), tip.counts());
        let stats = self.room.run(count).await?;
        Ok(compressed_above(
            self.compress_above_bytes,
            &metadata,
            stats,
        ))
    }
}
