//! Everything that is measured, of the parts that a server is made of.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::phase::Follower;
use super::readiness::Readiness;
use crate::directory::Directory;
use crate::pdp::Pdp;
use crate::pdp::cache::Cache;
use crate::telemetry;
use crate::telemetry::metrics::Family;
use crate::telemetry::metrics::Point;
use crate::telemetry::metrics::Value;
use crate::telemetry::metrics::table;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The decision point.
    pub pdp: Arc<Pdp>,
    /// The directory.
    pub directory: Directory,
    /// The phase of the server.
    pub phase: Follower,
}

impl Measured {
    /// Whether questions are answered, and if not, why.
    pub fn readiness(&self) -> Readiness {
        Readiness {
            pdp: Arc::clone(&self.pdp),
            phase: self.phase.clone(),
        }
    }

    /// Every metric of the table, with its values now.
    pub fn families(&self) -> Vec<Family> {
        let mut families = telemetry::families(self.pdp.counters(), self.directory.counters());
        let is_ready = self.readiness().reasons().is_empty();
        let tip = self.directory.tip();
        let (entries, bytes) = self.pdp.cache().map_or((0, 0), Cache::size);
        let gauges = [
            (&table::READY, u64::from(is_ready)),
            (&table::CACHE_ENTRIES, entries),
            (&table::CACHE_SIZE, bytes),
            (&table::DIRECTORY_SEQUENCE, tip.revision.sequence),
            (&table::DIRECTORY_ENTITIES, tip.entities_len() as u64),
            (&table::DIRECTORY_LINKS, tip.links_len() as u64),
        ];
        families.extend(gauges.map(|(metric, value)| Family::count(metric, value)));
        families.extend(self.policies());
        families.extend(self.audit());
        let version = Value::Count(1);
        families.push(Family::of(&table::BUILD).with([env!("CARGO_PKG_VERSION")], version));
        let place = |family: &Family| {
            let same = |metric: &&telemetry::metrics::Metric| metric.name == family.metric.name;
            table::METRICS.iter().position(same)
        };
        families.sort_by_key(place);
        families
    }

    fn audit(&self) -> Vec<Family> {
        let recording = self.pdp.recording();
        let counters = recording.map(|recording| recording.log.counters());
        let counters = counters.unwrap_or_default();
        let missing = Family::of(&table::AUDIT_MISSING)
            .with(["lost"], Value::Count(counters.lost))
            .with(["refused"], Value::Count(counters.refused));
        let oldest = counters.oldest.unwrap_or_default().as_secs_f64();
        vec![
            Family::count(&table::AUDIT_RECORDS, counters.records),
            missing,
            Family::count(&table::AUDIT_WAITING, counters.waiting_records as u64),
            Family::count(&table::AUDIT_WAITING_BYTES, counters.waiting_bytes as u64),
            Family::of(&table::AUDIT_OLDEST).with([], Value::Number(oldest)),
            Family::count(&table::AUDIT_LATE, counters.late),
            Family::count(&table::AUDIT_DISK_ERRORS, counters.disk_errors),
        ]
    }

    fn policies(&self) -> [Family; 2] {
        let mut info = Family::of(&table::POLICIES);
        let mut since = Family::of(&table::POLICIES_SINCE);
        if let Some(active) = self.pdp.state().load_full() {
            info.points.push(Point {
                labels: vec![Cow::Owned(active.policies.revision.clone())],
                value: Value::Count(1),
            });
            let seconds = active.policies.since.duration_since(UNIX_EPOCH);
            let seconds = seconds.unwrap_or_default().as_secs_f64();
            since = since.with([], Value::Number(seconds));
        }
        [info, since]
    }
}
