//! A fleet of devices in a directory, with a decision point in front of it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::UNIX_EPOCH;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use deodar::directory::Directory;
use deodar::directory::Options;
use deodar::directory::fit::Activation;
use deodar::directory::fit::OnConflict;
use deodar::directory::operation::Draft;
use deodar::directory::operation::Membership;
use deodar::directory::operation::Operation;
use deodar::directory::operation::Patch;
use deodar::directory::operation::Put;
use deodar::directory::writer::Keep;
use deodar::engine::Files;
use deodar::engine::Query;
use deodar::engine::compile;
use deodar::engine::value::Extension;
use deodar::pdp::Pdp;
use deodar::pdp::Settings;
use deodar::pdp::cache::CacheSettings;
use deodar::pdp::state::Active;
use deodar::pdp::state::Policies;
use deodar::telemetry::Counters;
use smol_str::SmolStr;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const SCHEMA: &str = "
entity Team;
entity User in [Team] { level: Long };
entity Site in [Site];
entity Group in [Group];
entity Device in [Group, Site] { model: String, firmware: Long, locked: Bool, owner: User, addr: ipaddr };
action read, command appliesTo { principal: [User], resource: [Device], context: { reason?: String } };
";

const SITES: usize = 100;
const GROUPS: usize = 1000;
const USERS: usize = 1000;
const TEAMS: usize = 20;
const MOVED: usize = 100_000;

fn policies() -> String {
    let mut text = r#"
@id("owner") permit(principal, action, resource) when { resource.owner == principal && resource.firmware >= 0 };
@id("locked") forbid(principal, action == Action::"command", resource) when { resource.locked };
@id("quarantine") forbid(principal, action, resource in Group::"quarantine");
@id("far") forbid(principal, action == Action::"command", resource) unless { resource.addr.isInRange(ip("10.0.0.0/8")) };
"#
    .to_owned();
    for site in 0..SITES {
        let team = site % TEAMS;
        writeln!(
            text,
            "@id(\"site-{site}\") permit(principal in Team::\"t{team}\", action == Action::\"read\", resource in Site::\"s{site}\") when {{ principal.level > 2 }};"
        )
        .unwrap();
    }
    text
}

pub(crate) fn uid(kind: &str, id: &str) -> Arc<EntityUID> {
    Arc::new(EntityUID::with_eid_and_type(kind, id).unwrap())
}

pub(crate) fn device(number: usize) -> Arc<EntityUID> {
    uid("Device", &format!("dev-{number:07}"))
}

/// One attribute of one device changes.
pub(crate) fn patch(number: usize, firmware: usize) -> Operation {
    patch_to(number, i64::try_from(firmware).unwrap())
}

/// A firmware below zero takes the device from its owner.
pub(crate) fn patch_to(number: usize, firmware: i64) -> Operation {
    Operation::Patch(Patch {
        uid: device(number),
        set: [("firmware".into(), firmware.into())].into(),
        unset: BTreeSet::default(),
        set_tags: BTreeMap::default(),
        unset_tags: BTreeSet::default(),
        expires: None,
    })
}

/// Owners are spread without a pattern.
fn owner(number: usize) -> usize {
    number.wrapping_mul(2_654_435_761) % USERS
}

/// A directory of devices.
pub(crate) struct Fleet {
    pub(crate) pdp: Arc<Pdp>,
    directory: Directory,
    policies: Arc<Policies>,
    runtime: Runtime,
}

impl Fleet {
    pub(crate) fn open(path: Option<&Path>, cache: &CacheSettings) -> Self {
        let text = |text: String| text.into_bytes();
        let files = Files::new([
            ("fleet.cedarschema".to_owned(), text(SCHEMA.to_owned())),
            ("fleet.cedar".to_owned(), text(policies())),
        ]);
        let policies = Arc::new(Policies::new(
            compile(&files).unwrap(),
            "bench".to_owned(),
            UNIX_EPOCH,
        ));
        let counters = Arc::new(Counters::default());
        let pdp = Arc::new(Pdp::new(Settings::default(), cache, counters));
        let options = Options {
            path: path.map(Path::to_path_buf),
            waiting_max: 100_000,
            keep: Keep {
                transactions: 100_000,
                snapshot_every: usize::MAX,
            },
            ..Options::default()
        };
        let published = Arc::clone(&pdp);
        let publish = move |view, changes: &[_]| published.advance(view, changes);
        let directory = Directory::open(options, Box::new(publish)).unwrap();
        let (published, active) = (Arc::clone(&pdp), Arc::clone(&policies));
        directory
            .activate(Activation {
                snapshot: Arc::clone(&policies.snapshot),
                seed: Vec::new(),
                on_conflict: OnConflict::Reject,
                publish: Box::new(move |view| {
                    let policies = active;
                    published.state().publish(Active { policies, view });
                }),
            })
            .unwrap();
        Self {
            pdp,
            directory,
            policies,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    /// Writes everything; gives how many entities.
    pub(crate) fn fill(&self, count: usize) -> usize {
        let put = |uid, attributes: BTreeMap<SmolStr, Value>, parents: Vec<Arc<EntityUID>>| {
            let parents = parents.into_iter();
            Operation::Put(Put {
                uid,
                attributes,
                tags: BTreeMap::new(),
                parents: parents
                    .map(|uid| Membership { uid, expires: None })
                    .collect(),
                expires: None,
            })
        };
        let plain = |kind, id: String| put(uid(kind, &id), BTreeMap::new(), Vec::new());
        let mut entities: Vec<Operation> =
            (0..TEAMS).map(|n| plain("Team", format!("t{n}"))).collect();
        entities.extend((0..SITES).map(|n| plain("Site", format!("s{n}"))));
        entities.push(plain("Group", "root".to_owned()));
        entities.push(plain("Group", "quarantine".to_owned()));
        let below_root = |id: String| {
            put(
                uid("Group", &id),
                BTreeMap::new(),
                vec![uid("Group", "root")],
            )
        };
        entities.push(below_root("fleet".to_owned()));
        entities.extend((0..GROUPS).map(|n| below_root(format!("g{n}"))));
        entities.extend((0..USERS).map(|n| {
            let level = i64::try_from(n % 5).unwrap();
            let team = uid("Team", &format!("t{}", n % TEAMS));
            put(
                uid("User", &format!("u{n}")),
                [("level".into(), level.into())].into(),
                vec![team],
            )
        }));
        let total = entities.len() + count;
        let devices = (0..count).map(|n| {
            let group = if n < MOVED {
                "fleet".to_owned()
            } else {
                format!("g{}", n % GROUPS)
            };
            let address = format!("10.{}.{}.{}", (n >> 16) & 255, (n >> 8) & 255, n & 255);
            let attributes = [
                ("model".into(), format!("model-{}", n % 17).as_str().into()),
                ("firmware".into(), i64::try_from(n % 50).unwrap().into()),
                ("locked".into(), (n % 11 == 0).into()),
                (
                    "owner".into(),
                    Value::new(uid("User", &format!("u{}", owner(n))), None),
                ),
                ("addr".into(), Extension::Ip.parse(&address).unwrap()),
            ];
            let site = uid("Site", &format!("s{}", n % SITES));
            put(
                device(n),
                attributes.into(),
                vec![uid("Group", &group), site],
            )
        });
        let mut all = entities.into_iter().chain(devices).peekable();
        let transactions = std::iter::from_fn(|| {
            let next: Vec<Operation> = all.by_ref().take(1000).collect();
            (!next.is_empty()).then_some(next)
        });
        self.write_at_once(transactions);
        total
    }

    /// Some writes under way at a time; gives how many there were.
    pub(crate) fn write_at_once(&self, drafts: impl Iterator<Item = Vec<Operation>>) -> usize {
        let mut done = 0;
        let mut drafts = drafts.peekable();
        self.runtime.block_on(async {
            while drafts.peek().is_some() {
                let under_way: Vec<_> = drafts
                    .by_ref()
                    .take(256)
                    .scan(0, |operations, next: Vec<Operation>| {
                        *operations += next.len();
                        Some(next)
                    })
                    .map(|operations| tokio::spawn(self.written(operations)))
                    .collect();
                for write in under_way {
                    write.await.unwrap();
                    done += 1;
                }
            }
        });
        done
    }

    fn written(&self, operations: Vec<Operation>) -> impl Future<Output = ()> + Send + use<> {
        let directory = self.directory.clone();
        async move {
            let draft = Draft {
                actor: SmolStr::new_static("bench"),
                preconditions: Vec::new(),
                operations,
            };
            directory.write(draft).await.unwrap();
        }
    }

    /// Writes these many a second whether or not the ones before are done, until
    /// told to stop; gives how many were done, and in how many seconds.
    pub(crate) fn write_open_loop(
        &self,
        per_second: u32,
        stop: &AtomicBool,
        mut next: impl FnMut() -> Vec<Operation>,
    ) -> (u32, f64) {
        self.runtime.block_on(async {
            let mut under_way = JoinSet::new();
            let started = Instant::now();
            let mut begun = 0;
            while !stop.load(Ordering::Relaxed) {
                while f64::from(begun) < started.elapsed().as_secs_f64() * f64::from(per_second) {
                    under_way.spawn(self.written(next()));
                    begun += 1;
                }
                while under_way.try_join_next().is_some() {}
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let left = u32::try_from(under_way.len()).unwrap();
            let took = started.elapsed().as_secs_f64();
            under_way.join_all().await;
            (begun - left, took)
        })
    }

    pub(crate) fn write(&self, operations: Vec<Operation>) {
        self.runtime.block_on(self.written(operations));
    }

    /// Keeps a snapshot, so that the next start begins from it.
    pub(crate) fn snapshot_and_close(self) {
        self.directory.keep_snapshot().unwrap();
    }

    pub(crate) fn firmware_seen(&self, number: usize, firmware: usize) -> bool {
        let record = self.directory.tip().entity(&device(number)).unwrap();
        record.attributes["firmware"] == Value::from(i64::try_from(firmware).unwrap())
    }

    /// Questions about devices all over the fleet, every other one by the owner.
    pub(crate) fn questions(&self, questions: usize, devices: usize) -> Vec<Query> {
        (0..questions)
            .map(|n| {
                let number = n.wrapping_mul(7_368_787) % devices;
                let user = if n % 2 == 0 { owner(number) } else { n % USERS };
                self.question(user, number, if n % 3 == 0 { "command" } else { "read" })
            })
            .collect()
    }

    pub(crate) fn question_of_owner(&self, number: usize) -> Query {
        self.question(owner(number), number, "read")
    }

    fn question(&self, user: usize, number: usize, action: &str) -> Query {
        Query::new(
            &self.policies.snapshot,
            uid("User", &format!("u{user}")),
            uid("Action", action),
            device(number),
            Arc::default(),
            Arc::new([]),
        )
        .unwrap()
    }
}
