//! Durations of calls, by method and status code.

use std::time::Duration;

use super::Family;
use super::Value;
use super::histogram::Exemplar;
use super::histogram::Histogram;
use super::histogram::OF_CALLS;
use super::table;

/// Every method that is served; a test compares them with the protos. What is
/// asked for besides is `_OTHER`, so that callers cannot make up series.
pub static METHODS: &[&str] = &[
    "deodar.v1.AuthorizationService/Authorize",
    "deodar.v1.AuthorizationService/BatchAuthorize",
    "deodar.v1.AuthorizationService/StreamAuthorize",
    "deodar.v1.DirectoryService/Write",
    "deodar.v1.DirectoryService/Read",
    "deodar.v1.DirectoryService/List",
    "deodar.v1.DirectoryService/Watch",
    "deodar.v1.DirectoryService/GetStats",
    "deodar.v1.AuditService/Query",
    "deodar.v1.AuditService/Tail",
    "deodar.v1.PolicyService/GetStatus",
    "deodar.v1.PolicyService/ListPolicies",
    "deodar.v1.PolicyService/GetPolicy",
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "_OTHER",
];

/// Every status code of gRPC, at the place of its number.
pub static CODES: &[&str] = &[
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A method that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method(usize);

impl Method {
    /// The method of a path.
    pub fn of(path: &str) -> Self {
        let name = path.strip_prefix('/').unwrap_or_default();
        let found = METHODS.iter().position(|known| *known == name);
        Self(found.unwrap_or(METHODS.len() - 1))
    }

    /// Its name: `package.Service/Method`.
    pub fn name(self) -> &'static str {
        METHODS.get(self.0).copied().unwrap_or("_OTHER")
    }

    /// Whether its answer may go on after it has begun.
    pub fn is_streaming(self) -> bool {
        let name = self.name();
        let streams = ["StreamAuthorize", "Watch", "Tail", "ServerReflectionInfo"];
        streams.iter().any(|stream| name.ends_with(stream))
    }
}

/// The name of a status code.
pub fn code_name(code: usize) -> &'static str {
    CODES.get(code).copied().unwrap_or("UNKNOWN")
}

/// How long calls took.
#[derive(Debug)]
pub struct Calls {
    /// By method, then by code.
    histograms: Vec<Histogram>,
}

impl Default for Calls {
    fn default() -> Self {
        let places = 0..METHODS.len() * CODES.len();
        Self {
            histograms: places.map(|_| Histogram::new(OF_CALLS)).collect(),
        }
    }
}

impl Calls {
    /// A call has ended.
    pub fn ended(&self, method: Method, code: usize, took: Duration, traced: Option<Exemplar>) {
        let place = method.0 * CODES.len() + code.min(CODES.len() - 1);
        if let Some(histogram) = self.histograms.get(place) {
            histogram.observe(took);
            if let Some(exemplar) = traced {
                histogram.exemplify(exemplar);
            }
        }
    }

    /// Methods and codes that occurred.
    pub(in crate::telemetry) fn family(&self) -> Family {
        let mut family = Family::of(&table::CALL_DURATION);
        let methods = METHODS.iter().zip(self.histograms.chunks(CODES.len()));
        for (method, histograms) in methods {
            for (code, histogram) in CODES.iter().zip(histograms) {
                let spread = histogram.read();
                if spread.count() > 0 {
                    family = family.with([*method, "grpc", *code], Value::Spread(spread));
                }
            }
        }
        family
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::METHODS;
    use super::Method;
    use crate::proto::DESCRIPTORS;

    #[test]
    fn every_served_method_is_counted_by_name() {
        let files = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        let mut methods = 0;
        for file in &files.file {
            for service in &file.service {
                for method in &service.method {
                    let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                    assert!(METHODS.contains(&&*name), "add `{name}` to `METHODS`");
                    let known = Method::of(&format!("/{name}"));
                    assert_eq!(known.is_streaming(), method.server_streaming(), "{name}");
                    methods += 1;
                }
            }
        }
        assert_eq!(methods + 5, METHODS.len());
    }

    #[test]
    fn what_is_not_served_is_other() {
        for path in ["", "/", "/a/b", "_OTHER", "//"] {
            assert_eq!(Method::of(path).name(), "_OTHER", "{path}");
        }
    }
}
