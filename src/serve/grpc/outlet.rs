//! The way out of a stream that goes on until the caller goes, the server leaves
//! or the deadline passes: watches of the directory and tails of the audit log.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
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
        let (into, from) = mpsc::channel(WAITING_MAX);
        let outlet = Self {
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
        tokio::select! {
            biased;
            room = self.into.reserve() => match room {
                Ok(room) => {
                    room.send(Ok(message));
                    Ok(())
                }
                Err(_) => Err(Over),
            },
            status = &mut self.ending => Err(tell(&self.into, status).await),
        }
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
    pub(super) async fn end(&mut self, why: impl Into<Option<Status>>) -> Over {
        match why.into() {
            Some(status) => tell(&self.into, status).await,
            None => Over,
        }
    }

    /// Tells that the server leaves.
    pub(super) async fn leave(&mut self) -> Over {
        self.end(Status::unavailable(self.leaving)).await
    }
}

async fn tell<T>(into: &mpsc::Sender<Sent<T>>, why: Status) -> Over {
    // Whoever is gone needs no answer.
    into.send(Err(why)).await.ok();
    Over
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
