//! The standard variables of OpenTelemetry: which are followed, and which are not.
//!
//! The page `docs/operations.md` is written from these tables.

/// A variable that is followed.
#[derive(Debug)]
pub struct Followed {
    /// Its name; `{SIGNAL}` stands for `TRACES`, `METRICS` and `LOGS`.
    pub name: &'static str,
    /// What is taken when it is not set.
    pub default: &'static str,
    /// What it says.
    pub what: &'static str,
}

/// Variables that are not followed.
#[derive(Debug)]
pub struct Ignored {
    /// How their names begin, or a whole name.
    pub start: &'static str,
    /// What is done instead.
    pub instead: &'static str,
}

const fn followed(name: &'static str, default: &'static str, what: &'static str) -> Followed {
    Followed {
        name,
        default,
        what,
    }
}

const fn ignored(start: &'static str, instead: &'static str) -> Ignored {
    Ignored { start, instead }
}

/// Every variable that is followed.
#[rustfmt::skip]
pub static FOLLOWED: &[Followed] = &[
    followed("OTEL_SDK_DISABLED", "false", "`true`: nothing is exported."),
    followed("OTEL_SERVICE_NAME", "deodar", "`service.name`."),
    followed("OTEL_RESOURCE_ATTRIBUTES", "", "What is said of this process: `key=value`, with commas. `service.instance.id` is made up at every start unless it is here."),
    followed("OTEL_{SIGNAL}_EXPORTER", "otlp", "`otlp` or `none`."),
    followed("OTEL_EXPORTER_OTLP_ENDPOINT", "", "Where everything goes: an `http://` or `https://` URL; over HTTP `/v1/traces` and so on is added. Nothing is exported without."),
    followed("OTEL_EXPORTER_OTLP_{SIGNAL}_ENDPOINT", "", "Where one signal goes; over HTTP the whole URL."),
    followed("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "`grpc` or `http/protobuf`. This one and all below may be set for one signal as well, as in `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`."),
    followed("OTEL_EXPORTER_OTLP_HEADERS", "", "What is sent along, such as a key: `name=value`, with commas, percent-encoded."),
    followed("OTEL_EXPORTER_OTLP_COMPRESSION", "none", "`gzip` or `none`."),
    followed("OTEL_EXPORTER_OTLP_TIMEOUT", "10000", "How long one try to send a batch may take, in milliseconds."),
    followed("OTEL_EXPORTER_OTLP_CERTIFICATE", "", "A PEM file with the authorities that the collector's certificate is believed by, in place of the system's."),
    followed("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "", "A PEM file with the certificate that is shown to the collector."),
    followed("OTEL_EXPORTER_OTLP_CLIENT_KEY", "", "A PEM file with its key."),
    followed("OTEL_TRACES_SAMPLER", "parentbased_always_on", "Which calls are traced: `always_on`, `always_off`, `traceidratio`, or one of them after `parentbased_`."),
    followed("OTEL_TRACES_SAMPLER_ARG", "1", "The share that `traceidratio` takes, from 0 to 1."),
    followed("OTEL_BSP_MAX_QUEUE_SIZE", "2048", "So many spans wait at the most."),
    followed("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512", "So many are sent together at the most."),
    followed("OTEL_BSP_SCHEDULE_DELAY", "5000", "For so many milliseconds a span waits for others."),
    followed("OTEL_BSP_EXPORT_TIMEOUT", "30000", "How long a batch may take with all its tries, in milliseconds."),
    followed("OTEL_BLRP_MAX_QUEUE_SIZE", "2048", "So many log lines wait at the most."),
    followed("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "512", "So many are sent together at the most."),
    followed("OTEL_BLRP_SCHEDULE_DELAY", "1000", "For so many milliseconds a log line waits for others."),
    followed("OTEL_BLRP_EXPORT_TIMEOUT", "30000", "As `OTEL_BSP_EXPORT_TIMEOUT`."),
    followed("OTEL_METRIC_EXPORT_INTERVAL", "60000", "Metrics are sent once in so many milliseconds; at least 100."),
    followed("OTEL_METRIC_EXPORT_TIMEOUT", "30000", "As `OTEL_BSP_EXPORT_TIMEOUT`."),
];

/// Standard variables that are not followed: setting one is told by a warning.
#[rustfmt::skip]
pub static IGNORED: &[Ignored] = &[
    ignored("OTEL_PROPAGATORS", "`traceparent` and `tracestate` are read, `baggage` is not"),
    ignored("OTEL_LOG_LEVEL", "see `log.level`"),
    ignored("OTEL_ATTRIBUTE_", "texts have at most 4096 bytes"),
    ignored("OTEL_SPAN_", "a span has at most 128 events and 128 parts"),
    ignored("OTEL_EVENT_", "attributes are few"),
    ignored("OTEL_LINK_", "there is at most one link"),
    ignored("OTEL_LOGRECORD_", "texts have at most 4096 bytes"),
    ignored("OTEL_METRICS_EXEMPLAR_FILTER", "traced calls are exemplars"),
    ignored("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "counts are cumulative"),
    ignored("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "buckets are fixed"),
    ignored("OTEL_EXPORTER_OTLP_INSECURE", "the scheme of the URL tells"),
    ignored("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "the scheme of the URL tells"),
    ignored("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "the scheme of the URL tells"),
    ignored("OTEL_EXPORTER_OTLP_LOGS_INSECURE", "the scheme of the URL tells"),
    ignored("OTEL_EXPORTER_PROMETHEUS_", "see `server.http`"),
    ignored("OTEL_EXPORTER_ZIPKIN_", "there is OTLP only"),
    ignored("OTEL_CONFIG_FILE", "there is no such file"),
    ignored("OTEL_EXPERIMENTAL_CONFIG_FILE", "there is no such file"),
];

/// What is done instead of following a variable that is not followed.
pub(super) fn instead_of(name: &str) -> Option<&'static str> {
    let found = IGNORED.iter().find(|ignored| {
        let start = ignored.start;
        name == start || (start.ends_with('_') && name.starts_with(start))
    });
    found.map(|ignored| ignored.instead)
}

#[cfg(test)]
mod tests {
    use super::FOLLOWED;
    use super::instead_of;

    #[test]
    fn what_is_followed_is_not_ignored() {
        for followed in FOLLOWED {
            for signal in ["TRACES", "METRICS", "LOGS"] {
                let name = followed.name.replace("{SIGNAL}", signal);
                assert_eq!(instead_of(&name), None, "{name}");
            }
        }
        assert_eq!(instead_of("OTEL_SPAN"), None);
        assert!(instead_of("OTEL_SPAN_LINK_COUNT_LIMIT").is_some());
        assert_eq!(instead_of("OTEL_PROPAGATORS_MORE"), None);
    }
}
