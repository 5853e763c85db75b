//! What is said of this process with every batch.

use uuid::Uuid;

use super::message::KeyValue;
use super::message::LogRecord;
use super::message::Logs;
use super::message::Metric;
use super::message::Metrics;
use super::message::Resource;
use super::message::ResourceLogs;
use super::message::ResourceMetrics;
use super::message::ResourceSpans;
use super::message::Scope;
use super::message::ScopeLogs;
use super::message::ScopeMetrics;
use super::message::ScopeSpans;
use super::message::Span;
use super::message::Traces;
use super::message::text;
use super::settings::Settings;

/// Tells this process from others of the same service.
const INSTANCE: &str = "service.instance.id";

/// What is said of this process with every batch.
#[derive(Debug)]
pub(super) struct About {
    resource: Vec<KeyValue>,
}

impl About {
    /// What the settings say, and which process it is.
    pub(super) fn of(settings: &Settings) -> Self {
        let given = settings.resource.iter();
        let mut resource: Vec<_> = given.map(|(key, value)| text(key, value)).collect();
        if resource.iter().all(|attribute| attribute.key != INSTANCE) {
            resource.push(text(INSTANCE, Uuid::new_v4().to_string()));
        }
        Self { resource }
    }

    fn resource(&self) -> Resource {
        Resource {
            attributes: self.resource.clone(),
        }
    }

    fn scope() -> Scope {
        Scope {
            name: "deodar".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Spans as they are sent.
    pub(super) fn traces(&self, spans: Vec<Span>) -> Traces {
        let scope = Some(Self::scope());
        Traces {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource()),
                scope_spans: vec![ScopeSpans { scope, spans }],
            }],
        }
    }

    /// Log records as they are sent.
    pub(super) fn logs(&self, log_records: Vec<LogRecord>) -> Logs {
        let scope = Some(Self::scope());
        Logs {
            resource_logs: vec![ResourceLogs {
                resource: Some(self.resource()),
                scope_logs: vec![ScopeLogs { scope, log_records }],
            }],
        }
    }

    /// Metrics as they are sent.
    pub(super) fn metrics(&self, metrics: Vec<Metric>) -> Metrics {
        let scope = Some(Self::scope());
        Metrics {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource()),
                scope_metrics: vec![ScopeMetrics { scope, metrics }],
            }],
        }
    }
}
