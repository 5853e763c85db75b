//! A decision point with its cache over a directory in memory, for the files of
//! a repository.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use deodar::directory;
use deodar::directory::Directory;
use deodar::directory::Options;
use deodar::directory::check::EntityLimits;
use deodar::directory::fit::Activation;
use deodar::directory::fit::OnConflict;
use deodar::engine::Decision;
use deodar::engine::Fault;
use deodar::engine::Files;
use deodar::engine::Query;
use deodar::engine::compile;
use deodar::identity::Caller;
use deodar::pdp::Pdp;
use deodar::pdp::Settings;
use deodar::pdp::cache::CacheSettings;
use deodar::pdp::recording::Recording;
use deodar::pdp::state::Active;
use deodar::pdp::state::Policies;
use deodar::telemetry::Counters;

const LIMITS: EntityLimits = EntityLimits {
    bytes_max: usize::MAX,
    attributes_max: usize::MAX,
    tags_max: usize::MAX,
    parents_max: usize::MAX,
    depth_max: 1000,
    id_bytes_max: usize::MAX,
};

pub(crate) struct Served {
    pub(crate) pdp: Arc<Pdp>,
    _directory: Directory,
}

impl Served {
    /// The files' entities and links are the first transaction of the directory.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub(crate) fn new(files: &Files) -> Result<Self, Vec<Fault>> {
        Self::recorded(files, None)
    }

    /// The same, with decisions recorded.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub(crate) fn recorded(
        files: &Files,
        recording: Option<Recording>,
    ) -> Result<Self, Vec<Fault>> {
        let snapshot = compile(files)?;
        let view = directory::load(&snapshot, files)?;
        let seed = directory::load::seed(&snapshot, &view)?;
        let cache = CacheSettings {
            stamps: 1 << 12,
            ..CacheSettings::default()
        };
        let settings = Settings {
            trust_caller_time: true,
            ..Settings::default()
        };
        let pdp = Pdp::new(settings, &cache, Arc::new(Counters::default()));
        let pdp = Arc::new(match recording {
            Some(recording) => pdp.recorded(recording),
            None => pdp,
        });
        let options = Options {
            limits: LIMITS,
            ..Options::default()
        };
        let published = Arc::clone(&pdp);
        let publish = move |view, changes: &[_]| published.advance(view, changes);
        let directory = Directory::open(options, Box::new(publish)).unwrap();
        let policies = Arc::new(Policies::new(snapshot, String::new(), UNIX_EPOCH));
        let (published, in_force) = (Arc::clone(&pdp), Arc::clone(&policies));
        let activated = directory.activate(Activation {
            snapshot: Arc::clone(&policies.snapshot),
            seed,
            on_conflict: OnConflict::Reject,
            publish: Box::new(move |view| {
                published.state().publish(Active {
                    policies: in_force,
                    view,
                });
            }),
        });
        activated.unwrap_or_else(|misfits| panic!("{misfits:#?}"));
        assert_eq!(pdp.pin().unwrap().view().len(), view.len());
        Ok(Self {
            pdp,
            _directory: directory,
        })
    }

    /// Asks twice: the second answer is the first, from the cache where that may
    /// keep it.
    pub(crate) fn decide(&self, query: &Query) -> Arc<Decision> {
        let pinned = self.pdp.pin().unwrap();
        let [first, second] = [(); 2].map(|()| pinned.authorize(&Caller::Local, query).unwrap());
        let is_kept = first.decision.errors.is_empty();
        assert_eq!(second.cached, is_kept, "{query:?}");
        assert_eq!(second.decision.cause(), first.decision.cause(), "{query:?}");
        assert_eq!(
            second.decision.policies, first.decision.policies,
            "{query:?}"
        );
        assert_eq!(
            second.decision.errors.len(),
            first.decision.errors.len(),
            "{query:?}"
        );
        second.decision
    }
}
