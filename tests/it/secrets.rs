//! Secrets that every server of the tests is given, and the search for them in
//! all that it writes.
//!
//! A run of the tests has one random secret. Every server that a test starts,
//! within this process (`support::Running`) or as a process (`cli::serve::Served`),
//! is given it wherever it is given what must not be written: as the key of
//! redaction, as the header for a collector, in the environment, and in the
//! metadata of every call. When the server ends, its whole audit log and all its
//! log lines are searched, in every form in which bytes are written: that comes
//! to every record and every line of the run, whichever tests are run.
//!
//! The tests here give a server secrets in the questions, too, and show that the
//! search finds what is written.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;

use deodar::audit::Audit;
use deodar::config::Config;
use deodar::run::Server;
use parking_lot::Mutex;
use tempfile::TempDir;
use tonic::Request;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::directory::site::fresh;
use crate::kills::random;

mod questions;
mod search;

use search::in_log;
use search::in_text;

/// The secret of this run.
pub(crate) fn secret() -> &'static str {
    static SECRET: OnceLock<String> = OnceLock::new();
    SECRET.get_or_init(made)
}

/// Another secret, in a form that goes through headers and names of files.
fn made() -> String {
    format!("secret-{:016x}{:016x}", random(), random())
}

/// What a process is given besides its settings.
pub(crate) fn variables(folder: &Path) -> Vec<(&'static str, String)> {
    let secret = secret();
    vec![
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            format!("authorization=Bearer%20{secret},x-api-key={secret}"),
        ),
        ("DEODAR_AUDIT__REDACT_KEY_FILE", key_file(folder)),
        // Of no concern to it.
        ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
        ("PASSWORD", secret.to_owned()),
    ]
}

/// The key of redaction in a file.
fn key_file(folder: &Path) -> String {
    let path = folder.join("redact.key");
    fs::write(&path, secret()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Puts a secret where callers put theirs.
pub(crate) fn put(metadata: &mut MetadataMap, secret: &str) {
    metadata.insert("authorization", format!("Bearer {secret}").parse().unwrap());
    metadata.insert("cookie", format!("session={secret}").parse().unwrap());
    metadata.insert("x-api-key", secret.parse().unwrap());
    metadata.insert("baggage", format!("user={secret}").parse().unwrap());
}

/// Puts the secret into each call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent;

impl Interceptor for Sent {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        put(request.metadata_mut(), secret());
        Ok(request)
    }
}

/// What a server within this process was given.
pub(crate) struct Seeds {
    log: PathBuf,
    folder: TempDir,
}

/// Gives a server the secret, and an audit log if it has none.
pub(crate) fn seed(config: &mut Config) -> Seeds {
    listen();
    let folder = fresh();
    let audit = &mut config.audit;
    let log = audit.path.clone();
    let log = log.unwrap_or_else(|| folder.path().join("audit"));
    audit.path = Some(log.clone());
    audit.redact_key_file = Some(key_file(folder.path()).into());
    let otlp = &mut config.telemetry.otlp;
    let targets = [&mut otlp.traces, &mut otlp.metrics, &mut otlp.logs];
    for target in targets.into_iter().flatten() {
        let header = format!("Bearer {}", secret()).parse().unwrap();
        target.headers.insert("authorization", header);
    }
    Seeds { log, folder }
}

impl Seeds {
    /// Searches what this server writes, at its end.
    pub(crate) fn of(self, server: &Server) -> Searched {
        let recording = server.pdp.recording().unwrap();
        Searched {
            audit: recording.log.clone(),
            log: self.log,
            _folder: self.folder,
        }
    }
}

/// A server within this process, whose log is searched when it is dropped.
pub(crate) struct Searched {
    audit: Audit,
    log: PathBuf,
    _folder: TempDir,
}

impl Drop for Searched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // Not on this thread, which may be one of a runtime. A log that was closed
        // has all it will have.
        std::thread::scope(|scope| scope.spawn(|| self.audit.flush_blocking().ok()).join())
            .unwrap();
        let mut found = in_log(&self.log, secret());
        found.extend(LINES.0.lock().iter().cloned());
        is_nothing(&found);
    }
}

/// Fails when a process wrote the secret.
pub(crate) fn search(log: &Path, said: &str) {
    let mut found = in_log(log, secret());
    found.extend(in_text("its log lines", said.as_bytes(), secret()));
    is_nothing(&found);
}

fn is_nothing(found: &[String]) {
    let some: Vec<_> = found.iter().take(10).collect();
    assert!(some.is_empty(), "secrets are written: {some:#?}");
}

/// Log lines of servers within this process: those with the secret are kept.
#[derive(Debug)]
struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

/// Searches every log line of this process from now on.
fn listen() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        tracing_subscriber::fmt()
            .json()
            .with_env_filter(EnvFilter::new("info,deodar=trace"))
            .with_writer(&LINES)
            .init();
    });
}

impl<'a> MakeWriter<'a> for &'static Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Gets whole lines.
impl io::Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().extend(in_text("a log line", line, secret()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
