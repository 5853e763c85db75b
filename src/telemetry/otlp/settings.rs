//! What the `OTEL_*` variables say. Nothing is exported without an endpoint.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Uri;

use super::tls::Identity;
use super::tls::Tls;
use super::variables::instead_of;

/// No time is longer.
const DAY_MILLIS: u64 = 24 * 3600 * 1000;

/// Where a signal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How.
    pub protocol: Protocol,
    /// Where.
    pub url: Uri,
    /// What is sent along; the values are never shown.
    pub headers: HeaderMap,
    /// How long one try to send a batch may take.
    pub timeout: Duration,
    /// Whether batches are compressed.
    pub gzip: bool,
    /// TLS, if the URL asks for it.
    pub tls: Option<Tls>,
}

/// How spans, or log lines, are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batches {
    /// So many wait at the most.
    pub queue_max: usize,
    /// So many are sent together at the most.
    pub batch_max: usize,
    /// For so long one waits for others.
    pub delay: Duration,
    /// How long a batch may take with all its tries.
    pub timeout: Duration,
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
    /// How spans are put together.
    pub spans: Batches,
    /// How log lines are.
    pub lines: Batches,
    /// Metrics are sent so often.
    pub interval: Duration,
    /// How long sending them may take with all tries.
    pub measure_timeout: Duration,
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
            .is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let mut target = |signal| if is_off { None } else { r.target(signal) };
        let (traces, metrics, logs) = (target("TRACES"), target("METRICS"), target("LOGS"));
        r.ignored();
        Self {
            traces,
            metrics,
            logs,
            resource: r.resource(),
            sampler: r.sampler(),
            spans: r.batches("BSP", 5000),
            lines: r.batches("BLRP", 1000),
            interval: r
                .millis("OTEL_METRIC_EXPORT_INTERVAL", 60_000)
                .max(Duration::from_millis(100)),
            measure_timeout: r.time_out("OTEL_METRIC_EXPORT_TIMEOUT", 30_000),
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
        let warning = format!("`{name}` {why}");
        // Three signals may read one variable.
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
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

    fn millis(&mut self, name: &str, default: u64) -> Duration {
        Duration::from_millis(self.number(name, default).min(DAY_MILLIS))
    }

    /// A time to give up after. There has to be one: zero is as if it were not set.
    fn time_out(&mut self, name: &str, default: u64) -> Duration {
        let read = self.millis(name, default);
        if read.is_zero() {
            self.warn(name, &format!("must not be 0, {default} is taken"));
            return Duration::from_millis(default);
        }
        read
    }

    fn batches(&mut self, of: &str, delay: u64) -> Batches {
        let name = |end: &str| format!("OTEL_{of}_{end}");
        let queue_max = self.number(&name("MAX_QUEUE_SIZE"), 2048).clamp(1, 1 << 20);
        let batch_max = self.number(&name("MAX_EXPORT_BATCH_SIZE"), 512);
        Batches {
            batch_max: usize::try_from(batch_max.clamp(1, queue_max)).unwrap_or(512),
            queue_max: usize::try_from(queue_max).unwrap_or(2048),
            delay: self.millis(&name("SCHEDULE_DELAY"), delay),
            timeout: self.time_out(&name("EXPORT_TIMEOUT"), 30_000),
        }
    }

    /// Tells which variables are set and not followed.
    fn ignored(&mut self) {
        let names = self.variables.keys();
        let names = names.filter(|name| self.get(name).is_some());
        let told = names.filter_map(|name| Some((name, instead_of(name)?)));
        let told: Vec<_> = told
            .map(|(name, instead)| format!("`{name}` is not followed: {instead}"))
            .collect();
        self.warnings.extend(told);
    }

    /// A variable of one signal, or else that of all; with its name.
    fn named(&self, signal: &str, name: &str) -> Option<(String, &'a str)> {
        let names = [
            format!("OTEL_EXPORTER_OTLP_{signal}_{name}"),
            format!("OTEL_EXPORTER_OTLP_{name}"),
        ];
        names.into_iter().find_map(|name| {
            let text = self.get(&name)?;
            Some((name, text))
        })
    }

    /// What [`Self::named`] says, without the name.
    fn of(&self, signal: &str, name: &str) -> Option<&'a str> {
        self.named(signal, name).map(|(_, text)| text)
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
        let Some((url, is_tls)) = url.parse::<Uri>().ok().and_then(|url| {
            let is_tls = match url.scheme_str() {
                Some("http") => false,
                Some("https") => true,
                _ => return None,
            };
            url.authority().is_some().then_some((url, is_tls))
        }) else {
            let why = "is no `http://` or `https://` URL, nothing is exported";
            self.warn(&own.replace(&format!("{signal}_"), ""), why);
            return None;
        };
        Some(Target {
            protocol,
            url,
            tls: if is_tls {
                Some(self.tls(signal)?)
            } else {
                None
            },
            headers: self.headers(signal),
            timeout: {
                let named = self.named(signal, "TIMEOUT");
                let default = Duration::from_secs(10);
                named.map_or(default, |(name, _)| self.time_out(&name, 10_000))
            },
            gzip: self.gzip(signal),
        })
    }

    /// The files of TLS; `None` when only one of two that belong together is named.
    fn tls(&mut self, signal: &str) -> Option<Tls> {
        let file = |name| self.of(signal, name).map(PathBuf::from);
        let identity = match (file("CLIENT_CERTIFICATE"), file("CLIENT_KEY")) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (None, None) => None,
            _ => {
                let why = "and `OTEL_EXPORTER_OTLP_CLIENT_KEY` go together, nothing is exported: set both";
                self.warn("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", why);
                return None;
            }
        };
        Some(Tls {
            authorities: file("CERTIFICATE"),
            identity,
        })
    }

    fn headers(&mut self, signal: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let text = self.of(signal, "HEADERS").unwrap_or_default();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let read = pair.split_once('=').and_then(|(name, value)| {
                let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                let value = HeaderValue::from_str(&decoded(value.trim())).ok()?;
                Some((name, value))
            });
            match read {
                Some((name, mut value)) => {
                    value.set_sensitive(true);
                    headers.append(name, value);
                }
                // The value may be a secret, and where it begins is not known.
                None => self.warn(
                    "OTEL_EXPORTER_OTLP_HEADERS",
                    "has one that is no `name=value` of HTTP, it is not sent",
                ),
            }
        }
        headers
    }

    fn gzip(&mut self, signal: &str) -> bool {
        match self.named(signal, "COMPRESSION") {
            Some((_, "gzip")) => true,
            None | Some((_, "none")) => false,
            Some((name, _)) => {
                let why = "is neither `gzip` nor `none`, nothing is compressed";
                self.warn(&name, why);
                false
            }
        }
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
    use std::time::Duration;

    use super::Batches;
    use super::Identity;
    use super::Protocol;
    use super::Settings;
    use super::Target;
    use super::Tls;

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
        assert_eq!(traces.headers["x-key"], "a b");
        assert!(!format!("{traces:?}").contains("a b"), "values are secret");
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
    fn spans_and_log_lines_have_their_own_batches() {
        let settings = read(&[
            ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
            ("OTEL_BSP_SCHEDULE_DELAY", "7"),
            ("OTEL_BSP_EXPORT_TIMEOUT", "18446744073709551615"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "20"),
            ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "5"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "0"),
            ("OTEL_BLRP_EXPORT_TIMEOUT", "9"),
        ]);
        let millis = Duration::from_millis;
        let spans = Batches {
            queue_max: 10,
            batch_max: 10,
            delay: millis(7),
            timeout: Duration::from_hours(24),
        };
        let lines = Batches {
            queue_max: 20,
            batch_max: 5,
            delay: millis(0),
            timeout: millis(9),
        };
        assert_eq!((settings.spans, settings.lines), (spans, lines));
        assert_eq!(read(&[]).lines.delay, millis(1000));
    }

    #[test]
    fn https_is_tls_with_the_files_that_are_named() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://all:4318");
        let key = ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "key");
        let settings = read(&[
            all,
            key,
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "all.pem"),
            ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "logs.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "own.pem"),
        ]);
        let of = |authority: &str| Tls {
            authorities: Some(authority.into()),
            identity: Some(Identity {
                certificate: "own.pem".into(),
                key: "key".into(),
            }),
        };
        let tls = |target: Option<Target>| target.unwrap().tls.unwrap();
        assert_eq!(tls(settings.traces), of("all.pem"));
        assert_eq!(tls(settings.logs), of("logs.pem"));
        assert_eq!(settings.warnings, [""; 0]);
        // A key alone is a mistake, and must not be a connection without it.
        let settings = read(&[all, key]);
        assert_eq!((settings.traces, settings.warnings.len()), (None, 1));
    }

    #[test]
    fn what_cannot_be_followed_is_told_and_starts_all_the_same() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "all:4318"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
            ("OTEL_PROPAGATORS", "b3"),
            ("OTEL_SPAN_EVENT_COUNT_LIMIT", "1"),
            ("OTEL_LOG_LEVEL", " "),
        ]);
        assert_eq!(settings.warnings.len(), 5, "{:?}", settings.warnings);
        assert!(settings.traces.is_none() && settings.sampler.by_parent);
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://all:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret, a b=c, d=%00, e=f,"),
        ]);
        assert_eq!(settings.warnings.len(), 3, "{:?}", settings.warnings);
        assert!(!settings.warnings.concat().contains("secret"));
        let traces = settings.traces.unwrap();
        assert_eq!(traces.timeout, Duration::from_secs(10));
        assert_eq!((traces.headers.len(), traces.gzip), (1, false));
    }
}
