//! How much of the machine calls to the directory take at a time.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use super::status::Refusal;
use crate::directory::error::WriteError;

/// Waiting writes are weighed in units of so many bytes.
const UNIT: usize = 1024;

/// The room that there is.
#[derive(Debug)]
pub(super) struct Room {
    writes: Arc<Semaphore>,
    writes_max: u32,
    threads: Arc<Semaphore>,
}

impl Room {
    /// Room for writes of so many bytes together.
    pub(super) fn new(writes_bytes_max: usize) -> Self {
        let writes_max = u32::try_from(writes_bytes_max / UNIT).unwrap_or(u32::MAX);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            writes: Arc::new(Semaphore::new(writes_max as usize)),
            writes_max,
            threads: Arc::new(Semaphore::new(threads)),
        }
    }

    /// Takes the place of a write of so many bytes, until what is returned is
    /// dropped. One that is larger than all the room there is goes alone.
    ///
    /// # Errors
    /// [`WriteError::Busy`] when the writes that wait leave no room for it.
    pub(super) fn of_write(&self, bytes: usize) -> Result<OwnedSemaphorePermit, WriteError> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        Arc::clone(&self.writes)
            .try_acquire_many_owned(units.min(self.writes_max))
            .map_err(|_| WriteError::Busy)
    }

    /// Does work that may take milliseconds on a thread where no decision waits
    /// behind it; as many at a time as there are cores. Work that has begun goes
    /// on to its end, and keeps its place until then, also when nobody waits for
    /// it any more.
    ///
    /// # Errors
    /// [`Refusal::Lost`] when the work panicked, or the server ends.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let seat = Arc::clone(&self.threads).acquire_owned().await;
        let seat = seat.map_err(|_| Refusal::Lost)?;
        let seated = move || {
            let _seat = seat;
            work()
        };
        let done = tokio::task::spawn_blocking(seated).await;
        done.map_err(|_| Refusal::Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::Room;
    use crate::directory::error::WriteError;

    #[test]
    fn writes_wait_up_to_so_many_bytes() {
        let room = Room::new(4096);
        let first = room.of_write(2049).unwrap();
        assert_eq!(room.of_write(1025).unwrap_err(), WriteError::Busy);
        let second = room.of_write(1024).unwrap();
        assert_eq!(room.of_write(1).unwrap_err(), WriteError::Busy);
        drop((first, second));
        // Larger than all of it: alone.
        let large = room.of_write(usize::MAX).unwrap();
        assert_eq!(room.of_write(1).unwrap_err(), WriteError::Busy);
        drop(large);
        drop(room.of_write(4096).unwrap());
    }

    /// Seen to fail when the place belongs to who waits, not to the work.
    #[tokio::test]
    async fn work_keeps_its_place_when_its_caller_goes() {
        let room = Room::new(0);
        let all = room.threads.available_permits();
        let (began, has_begun) = tokio::sync::oneshot::channel();
        let (let_end, may_end) = std::sync::mpsc::channel::<()>();
        let work = move || {
            began.send(()).unwrap();
            may_end.recv().unwrap_err();
        };
        let mut call = Box::pin(room.run(work));
        tokio::select! {
            _ = &mut call => panic!("it ended"),
            begun = has_begun => begun.unwrap(),
        }
        drop(call);
        assert_eq!(room.threads.available_permits(), all - 1);
        drop(let_end);
        // The work ends, and so does its place.
        let all = u32::try_from(all).unwrap();
        drop(room.threads.acquire_many(all).await.unwrap());
    }

    #[tokio::test]
    async fn lost_work_is_told() {
        let room = Room::new(0);
        assert_eq!(room.run(|| 7).await.unwrap(), 7);
        let lost = room.run(|| std::panic::resume_unwind(Box::new(()))).await;
        let lost: Result<(), _> = lost;
        assert!(matches!(lost, Err(super::Refusal::Lost)));
    }
}
