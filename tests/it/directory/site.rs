//! A small site: a directory with the decision point in front of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use cedar_policy_core::ast::EntityUID;
use deodar::directory::Directory;
use deodar::directory::OpenError;
use deodar::directory::Options;
use deodar::directory::error::WriteError;
use deodar::directory::fit::Activation;
use deodar::directory::fit::OnConflict;
use deodar::directory::log::Log;
use deodar::directory::operation::Draft;
use deodar::directory::operation::Membership;
use deodar::directory::operation::Operation;
use deodar::directory::operation::Put;
use deodar::directory::operation::PutLink;
use deodar::directory::revision::Revision;
use deodar::directory::time::Time;
use deodar::engine::Files;
use deodar::engine::Query;
use deodar::engine::Snapshot;
use deodar::engine::compile;
use deodar::identity::Caller;
use deodar::pdp::Answer;
use deodar::pdp::Parts;
use deodar::pdp::Pdp;
use deodar::pdp::Pinned;
use deodar::pdp::Settings;
use deodar::pdp::cache::CacheSettings;
use deodar::pdp::state::Active;
use deodar::pdp::state::Policies;
use deodar::telemetry::Counters;
use serde_json::Value as Json;
use serde_json::json;
use smol_str::SmolStr;
use tokio::runtime::Runtime;

use crate::convert;
use crate::engine_oracle::loaded::core_entity;

/// Late enough that the decision point's own clock never passes an ending.
pub const START: i64 = 4_000_000_000;

pub const SCHEMA: &str = r"
entity Group in [Group] = { level?: Long };
entity User in [Group] = { level?: Long, name?: String, boss?: User } tags String;
entity Doc in [Group] = { level?: Long, owner?: User };
type Context = {
  flag?: Bool, n?: Long, text?: String, more?: String, who?: User, deep?: Set<Set<Long>>,
  rec?: { a?: Long, b?: { c?: Long } }, ip?: ipaddr, spare?: Long
};
action read, write, look appliesTo { principal: [User], resource: [Doc], context: Context };
";

/// `read` is for readers, for those below a boss of rank, and for whom a link lets.
pub const POLICIES: &str = r#"
@id("readers") permit (principal in Group::"readers", action == Action::"read", resource);
@id("rank") permit (principal, action == Action::"read", resource)
when { principal has boss && principal.boss has level && principal.boss.level > 5 };
@id("one") permit (principal, action == Action::"read", resource in ?resource);
@id("both") permit (principal in ?principal, action == Action::"read", resource in ?resource);
@id("own") permit (principal, action == Action::"write", resource)
when { principal has level && principal.level > 5 };
@id("overflow") forbid (principal, action == Action::"write", resource)
when { principal has level && principal.level + 9223372036854775807 < 0 && principal.level == 1 };
"#;

/// How a site is made.
pub struct Plan {
    pub options: Options,
    pub cache: CacheSettings,
    pub policies: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            options: Options::default(),
            cache: CacheSettings {
                stamps: 1 << 16,
                ..CacheSettings::default()
            },
            policies: POLICIES,
        }
    }
}

/// A decision point over a directory.
pub struct Site {
    pub pdp: Arc<Pdp>,
    pub directory: Directory,
    pub runtime: Runtime,
    pub time: Arc<AtomicI64>,
}

impl Site {
    /// In memory.
    pub fn new() -> Self {
        let log = Arc::new(deodar::directory::log::Memory::default());
        Self::on(log, Plan::default()).unwrap()
    }

    /// On a log, with the time at its start unless the plan says otherwise.
    pub fn on(log: Arc<dyn Log>, mut plan: Plan) -> Result<Self, OpenError> {
        let time = Arc::new(AtomicI64::new(START * 1000));
        plan.options.time = Time::Set(Arc::clone(&time));
        let settings = Settings {
            trust_caller_time: true,
            ..Settings::default()
        };
        let pdp = Pdp::new(settings, &plan.cache, Arc::new(Counters::default()));
        let pdp = Arc::new(pdp);
        let published = Arc::clone(&pdp);
        let publish = move |view, changes: &[_]| published.advance(view, changes);
        let site = Self {
            directory: Directory::on(log, plan.options, Box::new(publish))?,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            pdp,
            time,
        };
        site.activate(plan.policies);
        Ok(site)
    }

    /// Puts policies in force.
    pub fn activate(&self, policies: &str) {
        let policies = Arc::new(Policies::new(
            snapshot(policies, ""),
            String::new(),
            UNIX_EPOCH,
        ));
        let (pdp, published) = (Arc::clone(&self.pdp), Arc::clone(&policies));
        let publish = move |view| {
            pdp.state().publish(Active {
                policies: published,
                view,
            });
        };
        let activated = self.directory.activate(Activation {
            snapshot: Arc::clone(&policies.snapshot),
            seed: Vec::new(),
            on_conflict: OnConflict::Reject,
            publish: Box::new(publish),
        });
        activated.unwrap();
    }

    pub fn try_write(&self, operations: Vec<Operation>) -> Result<Revision, WriteError> {
        self.runtime
            .block_on(self.directory.write(draft(operations)))
    }

    pub fn write(&self, operations: impl IntoIterator<Item = Operation>) -> Revision {
        self.try_write(operations.into_iter().collect()).unwrap()
    }

    /// Sets the time, in seconds after the start, and has what ended removed.
    pub fn at(&self, seconds: i64) {
        self.time.store((START + seconds) * 1000, Ordering::Relaxed);
        self.runtime.block_on(self.directory.tick());
    }

    pub fn pin(&self) -> Pinned<'_> {
        self.pdp.pin().unwrap()
    }

    /// The answer now.
    pub fn ask(&self, principal: &str, action: &str, resource: &str) -> Answer {
        ask(&self.pin(), principal, action, resource)
    }

    /// Whether it is allowed now, made anew or not.
    pub fn allows(&self, principal: &str, resource: &str) -> bool {
        self.ask(principal, "read", resource).decision.is_allow()
    }

    /// One counter of the cache, by its labels.
    pub fn counted(&self, labels: &str) -> u64 {
        let text = self.pdp.counters().prometheus();
        let line = text.lines().find(|line| line.contains(labels)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

pub fn ask(pinned: &Pinned<'_>, principal: &str, action: &str, resource: &str) -> Answer {
    let query = question(pinned, principal, action, resource, &json!({}), &[]);
    pinned.authorize(&Caller::Local, &query).unwrap()
}

pub fn question(
    pinned: &Pinned<'_>,
    principal: &str,
    action: &str,
    resource: &str,
    context: &Json,
    carried: &[Json],
) -> Query {
    let parts = Parts {
        principal: uid(principal),
        action: uid(&format!("Action::{action}")),
        resource: uid(resource),
        context: Arc::new(convert::context(context.as_object().unwrap())),
        overlay: carried.iter().cloned().map(core_entity).collect(),
    };
    pinned.query(parts).unwrap()
}

pub fn snapshot(policies: &str, manifest: &str) -> Snapshot {
    let files = [
        ("manifest.toml", format!("name = \"site\"\n{manifest}")),
        ("site.cedarschema", SCHEMA.to_owned()),
        ("site.cedar", policies.to_owned()),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.into_bytes()));
    compile(&Files::new(files)).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

pub fn draft(operations: Vec<Operation>) -> Draft {
    Draft {
        actor: SmolStr::new_static("test"),
        preconditions: Vec::new(),
        operations,
    }
}

/// `Type::id`.
pub fn uid(text: &str) -> Arc<EntityUID> {
    let (kind, id) = text.rsplit_once("::").unwrap();
    let entity = core_entity(json!({"uid": {"type": kind, "id": id}, "attrs": {}, "parents": []}));
    Arc::new(entity.uid().clone())
}

pub fn member(parent: &str, expires: Option<i64>) -> Membership {
    Membership {
        uid: uid(parent),
        expires,
    }
}

/// A whole entity.
pub fn put(name: &str, attributes: &Json, parents: &[&str]) -> Operation {
    let entity = core_entity(json!({
        "uid": {"type": "User", "id": "x"}, "attrs": attributes, "parents": [],
    }));
    let attributes = entity.attrs().map(|(name, value)| {
        let value = cedar_policy_core::ast::Value::try_from(value.clone()).unwrap();
        (name.clone(), value)
    });
    Operation::Put(Put {
        uid: uid(name),
        attributes: attributes.collect(),
        tags: std::collections::BTreeMap::new(),
        parents: parents.iter().map(|parent| member(parent, None)).collect(),
        expires: None,
    })
}

pub fn link(id: &str, principal: Option<&str>, resource: &str, expires: Option<i64>) -> Operation {
    Operation::PutLink(PutLink {
        id: SmolStr::new(id),
        template: SmolStr::new(if principal.is_some() { "both" } else { "one" }),
        principal: principal.map(uid),
        resource: Some(uid(resource)),
        expires,
    })
}

/// A fresh directory, in memory where the system has that.
pub fn fresh() -> tempfile::TempDir {
    tempfile::tempdir_in(Path::new("/dev/shm"))
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// Waits until nothing holds the log any more but so many: threads of a
/// directory that was dropped end soon after.
pub fn wait_until_let_go(log: &std::sync::Weak<impl ?Sized>, held: usize) {
    while log.strong_count() > held {
        std::thread::yield_now();
    }
}
