//! The control line: directory -> files -> snapshot and view -> in force.
//!
//! Slow, may fail, and never touches a request. A revision that cannot be read
//! or compiled is reported (log, counter, status call) and changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::directory;
use crate::engine::Fault;
use crate::engine::Files;
use crate::engine::compile;
use crate::pdp::Pdp;
use crate::pdp::state::Active;
use crate::pdp::state::Rejected;
use crate::source;
use crate::telemetry::events;

/// Takes revisions of a policy directory into force.
#[derive(Debug)]
pub struct Reload {
    pdp: Arc<Pdp>,
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
    pub fn new(pdp: Arc<Pdp>, root: PathBuf, limits: source::Limits) -> Self {
        Self {
            pdp,
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
        let compiled = compile(&files).and_then(|snapshot| {
            let view = directory::load(&snapshot, &files)?;
            Ok((snapshot, view))
        });
        self.last = Some(files);
        match compiled {
            Err(faults) => self.reject(started, digest.to_string(), faults),
            Ok((snapshot, view)) => {
                snapshot.warnings().iter().for_each(events::policy_warning);
                let policies = snapshot.rules().len() + view.links().len();
                let origin = format!("directory {}", self.root.display());
                self.pdp
                    .state()
                    .publish(Active::new(snapshot, view, origin, started));
                let took = started.elapsed().unwrap_or_default();
                events::policies_activated(self.pdp.counters(), &digest.short(), policies, took);
                Outcome::Activated
            }
        }
    }

    fn reject(&self, at: SystemTime, policy_revision: String, faults: Vec<Fault>) -> Outcome {
        let in_force = self.pdp.state().load_full();
        let in_force = in_force
            .as_ref()
            .map(|active| active.snapshot.digest().short());
        let short: String = policy_revision.chars().take(12).collect();
        events::policies_rejected(self.pdp.counters(), &short, &faults, in_force.as_deref());
        self.pdp.state().reject(Rejected {
            at,
            policy_revision,
            faults: faults.clone(),
        });
        Outcome::Rejected(faults)
    }
}
