//! The way out of a stream that goes on until the caller goes, the server leaves
//! or the deadline passes: watches of the directory and tails of the audit log.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::OwnedPermit;
use tokio::time::Instant;
use tokio::time::Interval;
use tokio::time::MissedTickBehavior;
use tonic::Status;

use crate::serve::deadline::Deadline;
use crate::serve::deadline::exceeded;
use crate::serve::phase::Follower;
use crate::serve::phase::Phase;

/// Messages that wait for the caller to take them.
const WAITING_MAX: usize = 4;

/// What a stream answers with.
pub(super) type Sent<T> = Result<T, Status>;

/// The caller has gone, or was told why the stream ends.
pub(super) struct Over;

/// The way out of one stream.
pub(super) struct Outlet<T> {
    into: mpsc::Sender<Sent<T>>,
    /// Room for why the stream ends: telling it waits for nobody, so that a
    /// caller who reads nothing keeps nothing of ours.
    last: Option<OwnedPermit<Sent<T>>>,
    ending: Pin<Box<dyn Future<Output = Status> + Send>>,
    leaving: &'static str,
}

impl<T> Outlet<T> {
    /// A way out, and where it comes out: what is sent ends when that is dropped.
    /// `leaving` tells the caller what to do when the server leaves.
    pub(super) fn new(
        phase: Follower,
        deadline: Option<Deadline>,
        leaving: &'static str,
    ) -> (Self, mpsc::Receiver<Sent<T>>) {
        let (into, from) = mpsc::channel(WAITING_MAX + 1);
        let outlet = Self {
            // There is room: nothing was sent yet.
            last: into.clone().try_reserve_owned().ok(),
            into,
            ending: Box::pin(ending(phase, deadline, leaving)),
            leaving,
        };
        (outlet, from)
    }

    /// Sends a message as soon as the caller takes it.
    ///
    /// # Errors
    /// When the stream is over by then.
    pub(super) async fn send(&mut self, message: T) -> Result<(), Over> {
        let why = tokio::select! {
            biased;
            room = self.into.reserve() => {
                return match room {
                    Ok(room) => {
                        room.send(Ok(message));
                        Ok(())
                    }
                    Err(_) => Err(Over),
                };
            }
            status = &mut self.ending => status,
        };
        Err(self.end(why))
    }

    /// Waits until the stream is over; gives why, if the caller is still there to
    /// be told. Not to be asked again after that.
    pub(super) async fn over(&mut self) -> Option<Status> {
        tokio::select! {
            biased;
            () = self.into.closed() => None,
            status = &mut self.ending => Some(status),
        }
    }

    /// Tells why the stream ends, if the caller ever reads it.
    pub(super) fn end(&mut self, why: impl Into<Option<Status>>) -> Over {
        if let (Some(status), Some(last)) = (why.into(), self.last.take()) {
            last.send(Err(status));
        }
        Over
    }

    /// Tells that the server leaves.
    pub(super) fn leave(&mut self) -> Over {
        self.end(Status::unavailable(self.leaving))
    }
}

/// Waits for a reason to end that is not the caller's.
async fn ending(mut phase: Follower, deadline: Option<Deadline>, leaving: &'static str) -> Status {
    let late = async {
        match deadline {
            Some(Deadline(at)) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = phase.wait_for(|phase| *phase == Phase::Draining) => Status::unavailable(leaving),
        () = late => exceeded(),
    }
}

/// Ticks, the first of them after one interval.
pub(super) fn beats(interval: Duration) -> Interval {
    let mut beats = tokio::time::interval_at(Instant::now() + interval, interval);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::Code;
    use tonic::Status;

    use super::Outlet;
    use super::Over;
    use super::WAITING_MAX;
    use crate::serve::deadline::Deadline;
    use crate::serve::phase::phases;

    /// Found: a caller who read nothing kept its stream, and its place among all
    /// streams, past its deadline. Seen to fail when no room is kept for the end.
    #[tokio::test]
    async fn the_end_does_not_wait_for_who_reads_nothing() {
        let (_announcer, phase) = phases();
        let now = tokio::time::Instant::now();
        let (mut outlet, mut from) = Outlet::new(phase, Some(Deadline(now)), "");
        let filled = async {
            let mut sent = 0;
            while let Ok(()) = outlet.send(sent).await {
                sent += 1;
            }
            sent
        };
        let sent = tokio::time::timeout(Duration::from_secs(30), filled).await;
        assert_eq!(sent.unwrap(), WAITING_MAX);
        drop(outlet);
        // Who reads after all is told everything.
        for number in 0..WAITING_MAX {
            assert_eq!(from.recv().await.unwrap().unwrap(), number);
        }
        let status = from.recv().await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(from.recv().await.is_none());
    }

    #[tokio::test]
    async fn the_end_is_told_once() {
        let (_announcer, phase) = phases();
        let (mut outlet, mut from) = Outlet::<()>::new(phase, None, "go elsewhere");
        let Over = outlet.leave();
        let Over = outlet.end(Status::internal("twice"));
        drop(outlet);
        let status = from.recv().await.unwrap().unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "go elsewhere")
        );
        assert!(from.recv().await.is_none());
    }
}
