//! The control line: directory -> files -> snapshot and view -> in force.
//!
//! Slow, may fail, and never touches a request. A revision that cannot be read
//! or compiled is reported (log, counter, status call) and changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
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
        }
    }

    /// Reads the directory, and puts it in force if it is new and good.
    ///
    /// Takes as long as reading and compiling take, on this thread.
    #[expect(
        clippy::disallowed_methods,
        reason = "the control line tells the time of changes"
    )]
    pub fn run(&mut self) -> Outcome {
        let started = SystemTime::now();
        let files = match source::read(&self.root, &self.limits) {
            Ok(files) => files,
            Err(error) => {
                self.last = None;
                let place = self.root.display().to_string();
                let fault = Fault::of_file(&place, error.to_string()).with_hint(error.hint());
                return self.reject(started, String::new(), vec![fault]);
            }
        };
        let digest = files.policy_digest();
        if self.last.as_ref() == Some(&files) {
            events::policies_unchanged(&digest.short());
            return Outcome::Unchanged;
        }
        let activated = compile(&files).and_then(|snapshot| {
            let seed = self.seed(&snapshot, &files)?;
            self.activate(snapshot, seed, started)
        });
        self.last = Some(files);
        match activated {
            Err(faults) => self.reject(started, digest.to_string(), faults),
            Ok(policies) => {
                let took = started.elapsed().unwrap_or_default();
                events::policies_activated(self.pdp.counters(), &digest.short(), policies, took);
                self.note(audit::activation(&digest.to_string(), policies, took));
                Outcome::Activated
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
