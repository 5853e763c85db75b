//! What went wrong since the last `gap` record, as the next one tells it.

use serde_json::Value;
use serde_json::json;

use super::line::rfc3339;
use super::queue::Loss;
use super::record::EventRecord;

/// What went wrong since the last `gap` record.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    loss: Loss,
    is_queue: bool,
    too_large: u64,
    disk_errors: u64,
    disk_error: Option<String>,
    late_millis: u64,
}

impl Trouble {
    pub(super) fn is_none(&self) -> bool {
        self.loss.is_none()
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
    }

    /// A record was durable this much after it was submitted.
    pub(super) fn late(&mut self, millis: i64, late_millis: u64) {
        self.loss.at(millis);
        self.late_millis = self.late_millis.max(late_millis);
    }

    /// The record of it, with what was lost, refused, and why.
    pub(super) fn take(&mut self) -> Option<(EventRecord, Loss, String)> {
        let told = std::mem::take(self);
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
            ("late_ms", json!(told.late_millis)),
        ];
        Some((EventRecord::new("gap", fields), told.loss, why.join(", ")))
    }
}
