//! The control line: directory -> files -> snapshot and view -> in force.
//!
//! Slow, may fail, and never touches a request. A revision that cannot be read
//! or compiled is reported (log, counter, status call) and changes nothing. One
//! that only the directory stands against is kept, to be tried again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use super::audit;
use crate::audit::EventRecord;
use crate::directory;
use crate::directory::Directory;
use crate::directory::fit::Activation;
use crate::directory::fit::OnConflict;
use crate::directory::operation::Operation;
use crate::directory::time::Time;
use crate::engine::Fault;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::engine::compile;
use crate::pdp::Pdp;
use crate::pdp::state::Active;
use crate::pdp::state::Policies;
use crate::pdp::state::Rejected;
use crate::source;
use crate::telemetry::events;

/// Takes revisions of a policy directory into force.
#[derive(Debug)]
pub struct Reload {
    pdp: Arc<Pdp>,
    directory: Directory,
    on_conflict: OnConflict,
    root: PathBuf,
    limits: source::Limits,
    /// The files last taken or refused, so that nothing is done twice.
    last: Option<Files>,
    /// What the directory stood against.
    held_back: Option<HeldBack>,
}

/// Good files that the directory stands against: what it stores does not fit, or
/// it cannot be written.
#[derive(Debug)]
struct HeldBack {
    files: Files,
    /// What was said of it.
    faults: Vec<String>,
    /// How long the last attempt took.
    took: Duration,
}

/// How a reload went.
#[derive(Debug)]
pub enum Outcome {
    /// A new revision is in force.
    Activated,
    /// The files are those that were last taken or refused.
    Unchanged,
    /// The revision was refused.
    Rejected(Vec<Fault>),
}

impl Reload {
    /// Nothing is read yet.
    pub fn new(
        pdp: Arc<Pdp>,
        directory: Directory,
        on_conflict: OnConflict,
        root: PathBuf,
        limits: source::Limits,
    ) -> Self {
        Self {
            pdp,
            directory,
            on_conflict,
            root,
            limits,
            last: None,
            held_back: None,
        }
    }

    /// The directory that policies have to fit.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// How long the last attempt took of files that only the directory stands
    /// against; `None` when there are none.
    pub fn held_back(&self) -> Option<Duration> {
        self.held_back.as_ref().map(|held_back| held_back.took)
    }

    /// Reads the directory, and puts it in force if it is new and good.
    ///
    /// Takes as long as reading and compiling take, on this thread.
    pub fn run(&mut self) -> Outcome {
        let started = now();
        let files = match source::read(&self.root, &self.limits) {
            Ok(files) => files,
            Err(error) => {
                (self.last, self.held_back) = (None, None);
                let place = self.root.display().to_string();
                let fault = Fault::of_file(&place, error.to_string()).with_hint(error.hint());
                return self.reject(started, String::new(), vec![fault]);
            }
        };
        if self.last.as_ref() == Some(&files) {
            events::policies_unchanged(&files.policy_digest().short());
            return Outcome::Unchanged;
        }
        self.held_back = None;
        self.take(files, started)
    }

    /// Tries again what the directory stood against, as it was read then. When
    /// the directory has the same against it, nothing is told.
    ///
    /// Takes as long as [`Reload::run`].
    pub fn run_again(&mut self) -> Outcome {
        match &self.held_back {
            Some(held_back) => self.take(held_back.files.clone(), now()),
            None => Outcome::Unchanged,
        }
    }

    fn take(&mut self, files: Files, started: SystemTime) -> Outcome {
        let digest = files.policy_digest();
        let compiled = compile(&files).and_then(|snapshot| {
            let seed = self.seed(&snapshot, &files)?;
            Ok((snapshot, seed))
        });
        let (snapshot, seed) = match compiled {
            Ok(compiled) => compiled,
            Err(faults) => {
                (self.last, self.held_back) = (Some(files), None);
                return self.reject(started, digest.to_string(), faults);
            }
        };
        let activated = self.activate(snapshot, seed, started);
        let took = started.elapsed().unwrap_or_default();
        match activated {
            Ok(policies) => {
                (self.last, self.held_back) = (Some(files), None);
                events::policies_activated(self.pdp.counters(), &digest.short(), policies, took);
                self.note(audit::activation(&digest.to_string(), policies, took));
                Outcome::Activated
            }
            Err(faults) => {
                self.last = None;
                let held_back = HeldBack {
                    files,
                    faults: faults.iter().map(Fault::to_string).collect(),
                    took,
                };
                let before = self.held_back.replace(held_back);
                let now = self.held_back.as_ref().map(|held_back| &held_back.faults);
                if before.as_ref().map(|before| &before.faults) == now {
                    return Outcome::Rejected(faults);
                }
                self.reject(started, digest.to_string(), faults)
            }
        }
    }

    /// The repository's entities and links begin a new directory, once.
    fn seed(&self, snapshot: &Snapshot, files: &Files) -> Result<Vec<Operation>, Vec<Fault>> {
        if self.directory.tip().revision.sequence > 0 {
            return Ok(Vec::new());
        }
        let view = directory::load(snapshot, files)?;
        directory::load::seed(snapshot, &view)
    }

    /// Puts policies in force; gives how many there are.
    fn activate(
        &self,
        snapshot: Snapshot,
        seed: Vec<Operation>,
        started: SystemTime,
    ) -> Result<usize, Vec<Fault>> {
        snapshot.warnings().iter().for_each(events::policy_warning);
        let origin = format!("directory {}", self.root.display());
        let policies = Policies::new(snapshot, origin, started);
        let policies = Arc::new(policies.counted_by(self.pdp.counters().actions()));
        let (pdp, to_publish) = (Arc::clone(&self.pdp), Arc::clone(&policies));
        let activation = Activation {
            snapshot: Arc::clone(&policies.snapshot),
            seed,
            on_conflict: self.on_conflict,
            publish: Box::new(move |view| {
                let policies = to_publish;
                pdp.state().publish(Active { policies, view });
            }),
        };
        match self.directory.activate(activation) {
            Ok(misfits) => {
                if misfits.count > 0 {
                    events::directory_misfits(misfits.count);
                }
                let links = self.directory.tip().links_len();
                Ok(policies.snapshot.rules().len() + links)
            }
            Err(misfits) => Err(misfits.into_faults()),
        }
    }

    fn note(&self, event: EventRecord) {
        if let Some(recording) = self.pdp.recording() {
            recording.log.note(Time::System.millis(), event);
        }
    }

    fn note_rejection(&self, policy_revision: &str, faults: &[Fault]) {
        if let Some(recording) = self.pdp.recording() {
            let redaction = &recording.content.redaction;
            self.note(audit::rejection(policy_revision, faults, redaction));
        }
    }

    fn reject(&self, at: SystemTime, policy_revision: String, faults: Vec<Fault>) -> Outcome {
        let in_force = self.pdp.state().load_full();
        let in_force = in_force
            .as_ref()
            .map(|active| active.snapshot().digest().short());
        self.note_rejection(&policy_revision, &faults);
        let short: String = policy_revision.chars().take(12).collect();
        let took = at.elapsed().unwrap_or_default();
        let counters = self.pdp.counters();
        events::policies_rejected(counters, &short, &faults, in_force.as_deref(), took);
        self.pdp.state().reject(Rejected {
            at,
            policy_revision,
            faults: faults.clone(),
        });
        Outcome::Rejected(faults)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the control line tells the time of changes"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
