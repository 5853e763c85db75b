//! A tail: the audit log from a record on, as it becomes durable and as fast as
//! the caller takes it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tonic::Status;

use super::audit_status::unreadable;
use super::audit_wire::record;
use super::directory_room::Room;
use super::outlet;
use super::outlet::Outlet;
use super::outlet::Over;
use super::outlet::beats;
use crate::audit::ReadError;
use crate::audit::filter::Filter;
use crate::audit::read::Line;
use crate::audit::read::Reader;
use crate::audit::read::Since;
use crate::proto::v1;
use crate::proto::v1::tail_response::Event;
use crate::serve::deadline::Deadline;
use crate::serve::phase::Follower;

/// Records that are looked at at a time.
const LOOKED_AT_MAX: usize = 4096;
/// Bytes of records that are taken from the log at a time.
const READ_BYTES: usize = 1 << 20;
/// How long to wait for a file that is behind what is said to be durable.
const PAUSE: Duration = Duration::from_millis(10);

/// What a caller does when the server leaves.
const LEAVING: &str =
    "the server is leaving; tail another, or this one again, after the last record that came";

/// What a tail answers with.
pub(super) type Sent = outlet::Sent<v1::TailResponse>;

/// Where a tail starts.
#[derive(Debug)]
pub(super) enum Start {
    /// With this record.
    Seq(u64),
    /// Behind this record, when these are sent.
    After(u64, Vec<Line>),
}

/// A tail under way.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) directory: PathBuf,
    pub(super) durable: watch::Receiver<u64>,
    pub(super) filter: Arc<Filter>,
    pub(super) room: Arc<Room>,
    pub(super) interval: Duration,
    pub(super) phase: Follower,
    pub(super) deadline: Option<Deadline>,
    /// The place of the tail among all that there may be.
    pub(super) _seat: OwnedSemaphorePermit,
}

/// Where the log is read.
struct Place {
    reader: Reader,
    looked_at: u64,
}

impl Tail {
    /// Starts it; it ends when what is returned is dropped.
    ///
    /// # Errors
    /// When the log cannot be read from there.
    pub(super) async fn start(self, start: Start) -> Result<mpsc::Receiver<Sent>, Status> {
        let (next, latest) = match start {
            Start::Seq(seq) => (seq, Vec::new()),
            Start::After(seq, latest) => (seq + 1, latest),
        };
        let directory = self.directory.clone();
        let open = move || Reader::open(&directory, Since::Seq(next));
        let reader = self.room.run(open).await?;
        let place = Place {
            reader: reader.map_err(|error| unreadable(&error))?,
            looked_at: next - 1,
        };
        let (outlet, from) = Outlet::new(self.phase.clone(), self.deadline, LEAVING);
        tokio::spawn(async move {
            let Over = self.run(place, latest, outlet).await;
        });
        Ok(from)
    }

    async fn run(
        mut self,
        mut place: Place,
        latest: Vec<Line>,
        mut outlet: Outlet<v1::TailResponse>,
    ) -> Over {
        for line in latest {
            if let Err(over) = outlet.send(message(Event::Record(record(line)))).await {
                return over;
            }
        }
        let mut beats = beats(self.interval);
        let mut is_due = true;
        loop {
            let durable = *self.durable.borrow_and_update();
            if place.looked_at < durable {
                place = match self.catch_up(place, durable, &mut outlet).await {
                    Ok(place) => place,
                    Err(over) => return over,
                };
                continue;
            }
            if std::mem::take(&mut is_due)
                && let Err(over) = outlet
                    .send(message(heartbeat(place.looked_at, durable)))
                    .await
            {
                return over;
            }
            tokio::select! {
                biased;
                over = outlet.over() => return outlet.end(over),
                changed = self.durable.changed() => if changed.is_err() {
                    return outlet.leave();
                },
                _ = beats.tick() => is_due = true,
            }
        }
    }

    async fn catch_up(
        &self,
        place: Place,
        durable: u64,
        outlet: &mut Outlet<v1::TailResponse>,
    ) -> Result<Place, Over> {
        let filter = Arc::clone(&self.filter);
        let before = place.looked_at;
        let read = move || place.read(durable, &filter);
        let (place, found, fault) = match self.room.run(read).await {
            Ok(read) => read,
            Err(lost) => return Err(outlet.end(Status::from(lost))),
        };
        for line in found {
            outlet.send(message(Event::Record(record(line)))).await?;
        }
        if let Some(error) = fault {
            return Err(outlet.end(unreadable(&error)));
        }
        if place.looked_at == before {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(place)
    }
}

impl Place {
    /// Reads on, to what is durable at most; blocks.
    fn read(mut self, durable: u64, filter: &Filter) -> (Self, Vec<Line>, Option<ReadError>) {
        let mut found = Vec::new();
        let mut bytes = 0;
        for _ in 0..LOOKED_AT_MAX {
            if self.looked_at >= durable || bytes >= READ_BYTES {
                break;
            }
            match self.reader.next() {
                None => break,
                Some(Err(error)) => return (self, found, Some(error)),
                Some(Ok(line)) => {
                    self.looked_at = line.seq;
                    if filter.matches(&line) {
                        bytes += line.text.len();
                        found.push(line);
                    }
                }
            }
        }
        (self, found, None)
    }
}

fn heartbeat(looked_at: u64, durable: u64) -> Event {
    // A start ahead of the log has looked at nothing behind it.
    let looked_at = looked_at.min(durable);
    Event::Heartbeat(v1::TailHeartbeat { looked_at, durable })
}

fn message(event: Event) -> v1::TailResponse {
    v1::TailResponse { event: Some(event) }
}
