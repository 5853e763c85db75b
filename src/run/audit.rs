//! The audit log while the server runs: opened before anything is decided, told
//! of starts, stops, policies and the directory, closed after the last answer.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::RunError;
use super::directory_records::DirectoryRecords;
use crate::audit::Audit;
use crate::audit::EventRecord;
use crate::audit::Options;
use crate::audit::decision::Content;
use crate::audit::decision::ENGINE;
use crate::audit::redact::HashKey;
use crate::audit::redact::Redaction;
use crate::config;
use crate::config::fault::Origin;
use crate::config::resolve::Setting;
use crate::directory::Directory;
use crate::directory::time::Time;
use crate::engine::Fault;
use crate::pdp::Pdp;
use crate::pdp::recording::Recording;
use crate::serve::grpc::audit::AuditReading;
use crate::telemetry::events;

/// Faults of a refused revision that are recorded one by one.
const FAULTS_MAX: usize = 20;
/// The shortest key of hashes.
const KEY_BYTES_MIN: usize = 16;
/// How long the log may take to be closed: a disk that hangs must not keep the
/// process.
const CLOSE_GRACE: Duration = Duration::from_secs(10);
/// How long what is left of the directory's transactions may wait for room when
/// the server ends. The next start records the others.
const FOLLOWER_GRACE: Duration = Duration::from_secs(2);

/// The audit log of a server, if it keeps one.
#[derive(Debug)]
pub(super) struct Recorder {
    recording: Option<Recording>,
    follower: Option<Follower>,
}

/// The task that follows the directory.
#[derive(Debug)]
struct Follower {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Opens the log, which reads its newest segment: on a thread of its own.
    pub(super) async fn open(config: &config::Audit) -> Result<Self, RunError> {
        let Some(path) = &config.path else {
            return Ok(Self {
                recording: None,
                follower: None,
            });
        };
        let content = content(config)?;
        let options = Options {
            directory: path.clone(),
            mode: config.mode,
            overflow: config.overflow,
            waiting_records_max: config.waiting_records_max,
            waiting_bytes_max: config.waiting_bytes_max,
            segment_bytes: config.segment_bytes,
            segment_age: config.segment_age,
            keep_age: config.keep_age,
            keep_bytes: config.keep_bytes,
            ..Options::default()
        };
        let log = tokio::task::spawn_blocking(|| Audit::open(options))
            .await
            .map_err(|error| RunError::System(io::Error::other(error)))?
            .map_err(RunError::Audit)?;
        let started = [
            ("version", json!(env!("CARGO_PKG_VERSION"))),
            ("engine", json!(ENGINE)),
            ("pid", json!(std::process::id())),
        ];
        log.note(Time::System.millis(), EventRecord::new("start", started));
        let content = Arc::new(content);
        Ok(Self {
            recording: Some(Recording { log, content }),
            follower: None,
        })
    }

    /// The decision point, with its decisions recorded.
    pub(super) fn record(&self, pdp: Pdp) -> Pdp {
        match &self.recording {
            Some(recording) => pdp.recorded(recording.clone()),
            None => pdp,
        }
    }

    /// What callers may read of the log.
    pub(super) fn reading(&self, config: &config::Audit) -> Option<AuditReading> {
        Some(AuditReading {
            directory: config.path.clone()?,
            durable: self.recording.as_ref()?.log.durable(),
            limits: config.readable?,
        })
    }

    /// Records what the operator set.
    pub(super) fn configured(&self, settings: &[Setting]) {
        let set = settings
            .iter()
            .filter(|setting| setting.origin != Origin::Default);
        let set: BTreeMap<_, _> = set
            .map(|setting| (&setting.key, json!(setting.value.to_string())))
            .collect();
        self.note(EventRecord::new("configuration", [("set", json!(set))]));
    }

    /// Records why the server ends.
    pub(super) fn stopping(&self, why: &str) {
        self.note(EventRecord::new("stop", [("reason", json!(why))]));
    }

    /// Records every transaction of the directory from now on, and those before
    /// that an earlier run did not get to record.
    pub(super) fn follow(&mut self, config: &config::Audit, directory: &Directory) {
        if let (Some(recording), Some(path)) = (&self.recording, &config.path) {
            let records = DirectoryRecords::new(directory.clone(), recording.clone());
            let (stop, stopped) = oneshot::channel();
            let task = tokio::spawn(records.follow(path.clone(), stopped));
            self.follower = Some(Follower { stop, task });
        }
    }

    /// Records what is left, and closes the log: nothing is answered any more.
    pub(super) async fn stop(&mut self) {
        if let Some(Follower { stop, mut task }) = self.follower.take() {
            stop.send(()).ok();
            let ended = tokio::time::timeout(FOLLOWER_GRACE, &mut task).await;
            if ended.is_err() {
                task.abort();
            }
        }
        if let Some(recording) = self.recording.take() {
            close(recording.log, CLOSE_GRACE).await;
        }
    }

    /// Records that the filter of log lines is another from now on.
    pub(super) fn log_level_changed(&self, filter: &str) {
        let fields = [
            ("set", json!({"log.level": filter})),
            ("signal", json!("SIGHUP")),
        ];
        self.note(EventRecord::new("configuration", fields));
    }

    fn note(&self, event: EventRecord) {
        if let Some(recording) = &self.recording {
            recording.log.note(Time::System.millis(), event);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(Follower { task, .. }) = &self.follower {
            task.abort();
        }
    }
}

/// Closes a log, and waits for it so long.
async fn close(log: Audit, grace: Duration) {
    let closed = tokio::task::spawn_blocking(move || log.close());
    if tokio::time::timeout(grace, closed).await.is_err() {
        events::audit_close_hangs(grace);
    }
}

fn content(config: &config::Audit) -> Result<Content, RunError> {
    let key = config.redact_key_file.as_deref().map(key).transpose()?;
    Ok(Content {
        redaction: Redaction::new(&config.redact, key.unwrap_or_default()),
        context_keys: config.context_keys.clone(),
        digests_entities: config.digests_entities,
    })
}

fn key(path: &Path) -> Result<HashKey, RunError> {
    let refused = |reason: String| RunError::RedactKey {
        path: path.to_owned(),
        reason,
    };
    let bytes = fs::read(path).map_err(|error| refused(error.to_string()))?;
    if bytes.len() < KEY_BYTES_MIN {
        return Err(refused(format!("has less than {KEY_BYTES_MIN} bytes")));
    }
    Ok(HashKey::new(bytes))
}

/// Policies came into force.
pub(super) fn activation(revision: &str, policies: usize, took: Duration) -> EventRecord {
    EventRecord::new(
        "activation",
        [
            ("revision", json!(revision)),
            ("policies_count", json!(policies)),
            (
                "took_ms",
                json!(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            ),
        ],
    )
}

/// Policies were refused; what was in force stays.
pub(super) fn rejection(revision: &str, faults: &[Fault], redaction: &Redaction) -> EventRecord {
    let told = faults.iter().take(FAULTS_MAX).map(|fault| {
        let mut told = Map::from_iter([("place".to_owned(), json!(fault.place()))]);
        // Messages name entities, those that are stored and those of the files.
        if !redaction.hides_texts() {
            told.insert("message".to_owned(), json!(fault.message));
        }
        told
    });
    let told: Vec<_> = told.collect();
    EventRecord::new(
        "rejection",
        [
            ("revision", json!(revision)),
            ("faults_count", json!(faults.len())),
            ("faults", json!(told)),
        ],
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::time::Duration;

    use parking_lot::Mutex;

    use super::close;
    use super::rejection;
    use crate::audit::Audit;
    use crate::audit::EventRecord;
    use crate::audit::Options;
    use crate::audit::files::Call;
    use crate::audit::files::Files;
    use crate::audit::redact::HashKey;
    use crate::audit::redact::Redaction;
    use crate::engine::Fault;

    /// Seen to fail when messages are written whatever the rules are.
    #[test]
    fn a_refused_revision_does_not_tell_what_is_redacted() {
        let fault = Fault::of_file("directory", "`Org::User::\"anna\"` has no `level`");
        let told = |rules: &[&str]| {
            let rules: Vec<_> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
            let redaction = Redaction::new(&rules, HashKey::default());
            rejection("", std::slice::from_ref(&fault), &redaction).fields
        };
        assert_eq!(
            told(&["caller=drop"])["faults"][0]["message"],
            fault.message
        );
        for rule in ["entity:Org::User=drop", "entities.level=mask"] {
            let told = told(&[rule]);
            assert_eq!(told["faults"], serde_json::json!([{"place": "directory"}]));
            assert_eq!(told["faults_count"], 1);
        }
    }

    /// Seen to fail (it does not end) when closing is not bounded.
    #[tokio::test]
    async fn a_disk_that_hangs_does_not_keep_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let (shut, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let files = Files::behind(Arc::new(move |_, call| {
            if call == Call::Sync {
                // Until the other end is dropped.
                gate.lock().recv().ok();
            }
            Ok(())
        }));
        let log = Audit::open(Options {
            directory: folder.path().to_owned(),
            files,
            ..Options::default()
        });
        let log = log.unwrap();
        log.note(0, EventRecord::new("start", []));
        let other = log.clone();
        close(log, Duration::from_millis(10)).await;
        assert_eq!(other.counters().durable_seq, 0);
        drop(shut);
        // Waits for the one under way.
        let counting = other.clone();
        other.close();
        assert_eq!(counting.counters().durable_seq, 2);
    }
}
