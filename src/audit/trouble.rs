//! What went wrong since the last `gap` record, as the next one tells it.

use serde_json::Value;
use serde_json::json;

use std::time::Duration;

use tokio::time::Instant;

use super::line::rfc3339;
use super::queue::Loss;
use super::record::EventRecord;

/// How long a disk may be late before it is told again.
const LATE_EVERY: Duration = Duration::from_secs(10);

/// What went wrong since the last `gap` record.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    loss: Loss,
    is_queue: bool,
    too_large: u64,
    disk_errors: u64,
    disk_error: Option<String>,
    is_disk_ended: bool,
    late_syncs: u64,
    late_millis: u64,
    /// When a gap was told last.
    told: Option<Instant>,
}

impl Trouble {
    /// When the next `gap` record is due, if there is something to tell. That the
    /// disk is late again and again is told together: nothing is missing.
    pub(super) fn due(&self) -> Option<Instant> {
        let is_only_late =
            !self.is_queue && !self.is_disk_ended && self.too_large == 0 && self.disk_errors == 0;
        let since = self.told.filter(|_| is_only_late);
        let due = since.map_or_else(Instant::now, |told| told + LATE_EVERY);
        (!self.loss.is_none()).then_some(due)
    }

    /// There was no room.
    pub(super) fn add(&mut self, loss: &Loss) {
        let Some((from, to)) = loss.span else { return };
        self.loss.at(from);
        self.loss.at(to);
        self.loss.lost += loss.lost;
        self.loss.refused += loss.refused;
        self.is_queue = true;
    }

    /// A record was over the limit of a line.
    pub(super) fn too_large(&mut self, millis: i64) {
        self.loss.at(millis);
        self.loss.lost += 1;
        self.too_large += 1;
    }

    /// A call to the disk failed.
    pub(super) fn disk(&mut self, millis: i64, error: String) {
        self.loss.at(millis);
        self.disk_errors += 1;
        self.disk_error = Some(error);
    }

    /// The disk works again.
    pub(super) fn disk_ended(&mut self, millis: i64) {
        self.loss.at(millis);
        self.is_disk_ended = true;
    }

    /// A record was durable this much after it was submitted.
    pub(super) fn late(&mut self, millis: i64, late_millis: u64) {
        self.loss.at(millis);
        self.late_syncs += 1;
        self.late_millis = self.late_millis.max(late_millis);
    }

    /// The record of it, with what was lost, refused, and why.
    pub(super) fn take(&mut self) -> Option<(EventRecord, Loss, String)> {
        let told = std::mem::take(self);
        self.told = Some(Instant::now());
        let (from, to) = told.loss.span?;
        let causes = [
            (told.is_queue, "queue"),
            (told.disk_errors > 0, "disk"),
            (told.too_large > 0, "size"),
            (told.late_millis > 0, "late"),
        ];
        let why = causes.iter().filter(|(is_so, _)| *is_so);
        let why: Vec<&str> = why.map(|(_, cause)| *cause).collect();
        let fields = [
            ("lost", json!(told.loss.lost)),
            ("refused", json!(told.loss.refused)),
            ("from", Value::from(rfc3339(from))),
            ("to", Value::from(rfc3339(to))),
            ("why", json!(why)),
            ("disk_errors", json!(told.disk_errors)),
            ("disk_error", json!(told.disk_error)),
            ("late_syncs", json!(told.late_syncs)),
            ("late_ms", json!(told.late_millis)),
        ];
        Some((EventRecord::new("gap", fields), told.loss, why.join(", ")))
    }
}
