//! What the `OTEL_*` variables say. Nothing is exported without an endpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Uri;

/// Where a signal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How.
    pub protocol: Protocol,
    /// Where.
    pub url: Uri,
    /// What is sent along, lower-case names.
    pub headers: Vec<(String, String)>,
    /// How long a batch may take.
    pub timeout: Duration,
    /// Whether batches are compressed.
    pub gzip: bool,
}

/// How batches are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `grpc`
    Grpc,
    /// `http/protobuf`
    Http,
}

/// Which calls are traced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether a caller whose trace is gone on with decides.
    pub by_parent: bool,
    /// The share of all others, from 0 to 1.
    pub ratio: f64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Spans, if they are exported.
    pub traces: Option<Target>,
    /// Metrics, if they are.
    pub metrics: Option<Target>,
    /// Log lines, if they are.
    pub logs: Option<Target>,
    /// What is said of this process.
    pub resource: Vec<(String, String)>,
    /// Which calls are traced.
    pub sampler: Sampler,
    /// So many spans, and so many log lines, wait at the most.
    pub queue_max: usize,
    /// So many are sent together.
    pub batch_max: usize,
    /// What waits is sent after so long.
    pub delay: Duration,
    /// Metrics are sent so often.
    pub interval: Duration,
    /// Variables that could not be followed, and why.
    pub warnings: Vec<String>,
}

struct Reader<'a> {
    variables: &'a BTreeMap<String, String>,
    warnings: Vec<String>,
}

impl Settings {
    /// Reads the variables.
    pub fn read(variables: &BTreeMap<String, String>) -> Self {
        let mut reader = Reader {
            variables,
            warnings: Vec::new(),
        };
        let r = &mut reader;
        let is_off = r
            .get("OTEL_SDK_DISABLED")
            .is_some_and(|text| text == "true");
        let mut target = |signal| if is_off { None } else { r.target(signal) };
        let (traces, metrics, logs) = (target("TRACES"), target("METRICS"), target("LOGS"));
        let queue_max = r.number("OTEL_BSP_MAX_QUEUE_SIZE", 2048).clamp(1, 1 << 20);
        let batch_max = r.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512);
        Self {
            traces,
            metrics,
            logs,
            resource: r.resource(),
            sampler: r.sampler(),
            batch_max: usize::try_from(batch_max.clamp(1, queue_max)).unwrap_or(512),
            queue_max: usize::try_from(queue_max).unwrap_or(2048),
            delay: Duration::from_millis(r.number("OTEL_BSP_SCHEDULE_DELAY", 5000)),
            interval: Duration::from_millis(
                r.number("OTEL_METRIC_EXPORT_INTERVAL", 60_000).max(100),
            ),
            warnings: reader.warnings,
        }
    }
}

impl<'a> Reader<'a> {
    /// A variable that is set; an empty one is not.
    fn get(&self, name: &str) -> Option<&'a str> {
        let text = self.variables.get(name)?.trim();
        (!text.is_empty()).then_some(text)
    }

    fn warn(&mut self, name: &str, why: &str) {
        self.warnings.push(format!("`{name}` {why}"));
    }

    fn number(&mut self, name: &str, default: u64) -> u64 {
        let Some(text) = self.get(name) else {
            return default;
        };
        text.parse().unwrap_or_else(|_| {
            self.warn(name, &format!("is no whole number, {default} is taken"));
            default
        })
    }

    /// A variable of one signal, or else that of all.
    fn of(&self, signal: &str, name: &str) -> Option<&'a str> {
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_{name}");
        self.get(&own)
            .or_else(|| self.get(&format!("OTEL_EXPORTER_OTLP_{name}")))
    }

    fn target(&mut self, signal: &str) -> Option<Target> {
        let exporter = format!("OTEL_{signal}_EXPORTER");
        match self.get(&exporter) {
            None | Some("otlp") => {}
            Some("none") => return None,
            Some(_) => {
                self.warn(
                    &exporter,
                    "is neither `otlp` nor `none`, nothing is exported",
                );
                return None;
            }
        }
        let protocol = match self.of(signal, "PROTOCOL") {
            Some("grpc") => Protocol::Grpc,
            None | Some("http/protobuf") => Protocol::Http,
            Some(_) => {
                let why = "is neither `grpc` nor `http/protobuf`, nothing is exported";
                self.warn("OTEL_EXPORTER_OTLP_PROTOCOL", why);
                return None;
            }
        };
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
        let url = match (self.get(&own), self.get("OTEL_EXPORTER_OTLP_ENDPOINT")) {
            (Some(own), _) => own.to_owned(),
            (None, Some(all)) if protocol == Protocol::Grpc => all.to_owned(),
            (None, Some(all)) => {
                let signal = signal.to_ascii_lowercase();
                format!("{}/v1/{signal}", all.trim_end_matches('/'))
            }
            (None, None) => return None,
        };
        let Some(url) = url
            .parse::<Uri>()
            .ok()
            .filter(|url| url.scheme_str() == Some("http") && url.authority().is_some())
        else {
            let why = "is no `http://` URL, nothing is exported; for TLS send to a collector on this machine";
            self.warn(&own.replace(&format!("{signal}_"), ""), why);
            return None;
        };
        let timeout = self
            .of(signal, "TIMEOUT")
            .and_then(|text| text.parse().ok());
        Some(Target {
            protocol,
            url,
            headers: pairs(self.of(signal, "HEADERS").unwrap_or_default())
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
            timeout: Duration::from_millis(timeout.unwrap_or(10_000)),
            gzip: self.of(signal, "COMPRESSION") == Some("gzip"),
        })
    }

    fn resource(&self) -> Vec<(String, String)> {
        let attributes = self.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let mut resource: BTreeMap<_, _> = pairs(attributes).collect();
        if let Some(name) = self.get("OTEL_SERVICE_NAME") {
            resource.insert("service.name".to_owned(), name.to_owned());
        }
        for (key, value) in [
            ("service.name", "deodar"),
            ("service.version", env!("CARGO_PKG_VERSION")),
        ] {
            resource
                .entry(key.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        resource.into_iter().collect()
    }

    fn sampler(&mut self) -> Sampler {
        let name = self.get("OTEL_TRACES_SAMPLER");
        let name = name.unwrap_or("parentbased_always_on");
        let (by_parent, own) = match name.strip_prefix("parentbased_") {
            Some(own) => (true, own),
            None => (false, name),
        };
        let ratio = match own {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => {
                let text = self.get("OTEL_TRACES_SAMPLER_ARG").unwrap_or("1");
                let ratio = text
                    .parse()
                    .ok()
                    .filter(|ratio| (0.0..=1.0).contains(ratio));
                ratio.unwrap_or_else(|| {
                    self.warn("OTEL_TRACES_SAMPLER_ARG", "is not from 0 to 1, 1 is taken");
                    1.0
                })
            }
            _ => {
                self.warn("OTEL_TRACES_SAMPLER", "is not known, every call is traced");
                1.0
            }
        };
        Sampler { by_parent, ratio }
    }
}

/// `key=value` with commas between them, percent-encoded.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split(',').filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        Some((key.trim().to_owned(), decoded(value.trim())))
    })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let hex = after.get(..2);
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::Protocol;
    use super::Settings;

    fn read(variables: &[(&str, &str)]) -> Settings {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings::read(&variables.iter().map(owned).collect())
    }

    #[test]
    fn without_an_endpoint_nothing_is_exported() {
        for variables in [
            &[][..],
            &[("OTEL_TRACES_EXPORTER", "otlp")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[
                ("OTEL_SDK_DISABLED", "true"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ],
        ] {
            let settings = read(variables);
            let targets = [settings.traces, settings.metrics, settings.logs];
            assert!(targets.iter().all(Option::is_none), "{variables:?}");
        }
    }

    #[test]
    fn a_signal_has_its_own_or_that_of_all() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4317"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "X-Key=a%20b,y=1"),
            ("OTEL_RESOURCE_ATTRIBUTES", "site=a,service.name=other"),
            ("OTEL_SERVICE_NAME", "pdp"),
        ]);
        let traces = settings.traces.unwrap();
        assert_eq!(traces.url, "http://all:4318/v1/traces");
        assert_eq!(traces.headers[0], ("x-key".into(), "a b".into()));
        let logs = settings.logs.unwrap();
        assert_eq!(
            (logs.protocol, logs.url.port_u16()),
            (Protocol::Grpc, Some(4317))
        );
        assert_eq!(settings.metrics, None);
        assert_eq!(settings.resource[0], ("service.name".into(), "pdp".into()));
        assert_eq!(settings.warnings, [""; 0]);
    }

    #[test]
    fn what_cannot_be_followed_is_told_and_starts_all_the_same() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://all:4318"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
        ]);
        assert_eq!(settings.warnings.len(), 5, "{:?}", settings.warnings);
        assert!(settings.traces.is_none() && settings.sampler.by_parent);
    }
}
