//! What a server counts of itself.

use serde::Deserialize;
use serde::Serialize;

/// The text of `/metrics`.
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// All series of a name together whose labels have all of these.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> u64 {
        let series = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (of, value) = rest.rsplit_once(' ')?;
            let is_meant = of.is_empty() || of.starts_with('{');
            let has_all = labels.iter().all(|label| of.contains(label));
            (is_meant && has_all).then(|| value.parse::<f64>().ok())?
        });
        series.sum::<f64>() as u64
    }
}

/// What became of the records and the spans of decisions.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) decisions: u64,
    /// Records that are not on the disk yet.
    pub(crate) waiting: u64,
    /// Records that were lost, or refused.
    pub(crate) missing: u64,
    /// Syncs that were later than the window.
    pub(crate) late: u64,
    /// Spans that a collector took.
    pub(crate) spans_sent: u64,
    /// Spans that were dropped since the queue was full.
    pub(crate) spans_full: u64,
    /// Spans that were dropped since they could not be sent.
    pub(crate) spans_failed: u64,
}

impl Counted {
    /// Reads it.
    pub(crate) fn of(metrics: &Metrics) -> Self {
        let dropped = |cause: &str| {
            let labels = [r#"signal="traces""#, cause];
            metrics.sum("deodar_telemetry_dropped_total", &labels)
        };
        let sent = [r#"signal="traces""#];
        Self {
            decisions: metrics.sum("deodar_decisions_total", &[]),
            waiting: metrics.sum("deodar_audit_records_waiting", &[]),
            missing: metrics.sum("deodar_audit_missing_total", &[]),
            late: metrics.sum("deodar_audit_late_syncs_total", &[]),
            spans_sent: metrics.sum("deodar_telemetry_exported_total", &sent),
            spans_full: dropped(r#"cause="queue_full""#),
            spans_failed: dropped(r#"cause="send_failed""#),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn series_of_one_name_are_summed() {
        let text = "# TYPE a_total counter\na_total{x=\"1\",y=\"2\"} 3\na_total{x=\"2\",y=\"2\"} 4\na_total_more 9\nb 5";
        let metrics = Metrics(text.to_owned());
        assert_eq!(metrics.sum("a_total", &[]), 7);
        assert_eq!(metrics.sum("a_total", &["y=\"2\"", "x=\"1\""]), 3);
        assert_eq!((metrics.sum("b", &[]), metrics.sum("c", &[])), (5, 0));
    }
}
