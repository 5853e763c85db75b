//! Everything that is measured, of the parts that a server is made of.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::phase::Follower;
use super::phase::Phase;
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
    /// Every metric of the table, with its values now.
    pub fn families(&self) -> Vec<Family> {
        let mut families = telemetry::families(self.pdp.counters(), self.directory.counters());
        let is_ready = *self.phase.borrow() == Phase::Ready && self.pdp.in_force().is_ok();
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
        let version = Value::Count(1);
        families.push(Family::of(&table::BUILD).with([env!("CARGO_PKG_VERSION")], version));
        let place = |family: &Family| {
            let same = |metric: &&telemetry::metrics::Metric| metric.name == family.metric.name;
            table::METRICS.iter().position(same)
        };
        families.sort_by_key(place);
        families
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
