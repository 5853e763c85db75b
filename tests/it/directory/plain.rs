//! What a directory does, said once more as plainly as can be: maps, and no
//! index, no sharing, no log. Written from the documentation of operations.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;
use deodar::directory::check::EntityLimits;
use deodar::directory::operation::Draft;
use deodar::directory::operation::Operation;
use deodar::directory::operation::Patch;
use deodar::directory::operation::Precondition;
use deodar::directory::operation::Put;
use deodar::directory::operation::PutLink;
use smol_str::SmolStr;

/// Type and id.
pub type Uid = (String, String);

pub const OPERATIONS_MAX: usize = 6;

pub const LIMITS: EntityLimits = EntityLimits {
    bytes_max: 10_000,
    attributes_max: 2,
    tags_max: 1,
    parents_max: 2,
    depth_max: 3,
    id_bytes_max: 6,
};

pub fn key(uid: &EntityUID) -> Uid {
    let id: &str = uid.eid().as_ref();
    (uid.entity_type().to_string(), id.to_owned())
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thing {
    pub version: u64,
    pub attributes: BTreeMap<SmolStr, Value>,
    pub tags: BTreeMap<SmolStr, Value>,
    pub parents: BTreeMap<Uid, Option<i64>>,
    pub expires: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Applied,
    TooMany,
    Precondition(Vec<usize>),
    /// At this operation, which left this behind.
    Refused(usize, Plain),
}

/// Everything that ends, in the order in which it is removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    Thing(Uid),
    Membership(Uid, Uid),
    Link(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plain {
    pub sequence: u64,
    pub things: BTreeMap<Uid, Thing>,
    /// With the transaction that put each.
    pub links: BTreeMap<String, (PutLink, u64)>,
}

impl Plain {
    pub fn write(&mut self, draft: &Draft) -> Verdict {
        if draft.operations.len() > OPERATIONS_MAX {
            return Verdict::TooMany;
        }
        let broken = draft.preconditions.iter().enumerate();
        let broken: Vec<usize> = broken
            .filter(|(_, precondition)| !self.holds(precondition))
            .map(|(at, _)| at)
            .collect();
        if !broken.is_empty() {
            return Verdict::Precondition(broken);
        }
        let mut trial = self.clone();
        trial.sequence += 1;
        for (at, operation) in draft.operations.iter().enumerate() {
            if trial.step(operation).is_none() {
                return Verdict::Refused(at, trial);
            }
        }
        *self = trial;
        Verdict::Applied
    }

    /// Removes what has ended, each by a transaction of its own.
    pub fn pass(&mut self, now: i64) {
        loop {
            let due: Vec<_> = self
                .endings()
                .into_iter()
                .filter(|end| end.0 <= now)
                .collect();
            if due.is_empty() {
                return;
            }
            for (_, ending) in due {
                let mut trial = self.clone();
                trial.sequence += 1;
                if trial.end(&ending).is_some() {
                    *self = trial;
                }
            }
        }
    }

    pub fn endings(&self) -> BTreeSet<(i64, Ending)> {
        let mut all = BTreeSet::new();
        for (uid, thing) in &self.things {
            all.extend(thing.expires.map(|end| (end, Ending::Thing(uid.clone()))));
            for (parent, end) in &thing.parents {
                let ending = || Ending::Membership(uid.clone(), parent.clone());
                all.extend(end.map(|end| (end, ending())));
            }
        }
        for (id, (link, _)) in &self.links {
            all.extend(link.expires.map(|end| (end, Ending::Link(id.clone()))));
        }
        all
    }

    pub fn members(&self, of: &Uid) -> Vec<Uid> {
        let things = self.things.iter();
        let members = things.filter(|(_, thing)| thing.parents.contains_key(of));
        members.map(|(uid, _)| uid.clone()).collect()
    }

    fn end(&mut self, ending: &Ending) -> Option<()> {
        match ending {
            Ending::Thing(uid) => self.delete(uid, true),
            Ending::Membership(uid, parent) => self.leave(uid, parent),
            Ending::Link(id) => self.links.remove(id).map(|_| ()),
        }
    }

    fn holds(&self, precondition: &Precondition) -> bool {
        match precondition {
            Precondition::Present(uid) => self.things.contains_key(&key(uid)),
            Precondition::Absent(uid) => !self.things.contains_key(&key(uid)),
            Precondition::Version(uid, version) => self
                .things
                .get(&key(uid))
                .is_some_and(|thing| thing.version == *version),
            Precondition::LinkPresent(id) => self.links.contains_key(id.as_str()),
            Precondition::LinkAbsent(id) => !self.links.contains_key(id.as_str()),
        }
    }

    /// `None` when it cannot be; what is left behind is of no use then.
    fn step(&mut self, operation: &Operation) -> Option<()> {
        match operation {
            Operation::Put(put) => self.put(put),
            Operation::Patch(patch) => self.patch(patch),
            Operation::Delete {
                uid,
                detach_members,
            } => self.delete(&key(uid), *detach_members),
            Operation::AddParent { uid, parent } => {
                let (uid, above) = (key(uid), key(&parent.uid));
                let thing = self.changed(&uid)?;
                thing.parents.insert(above.clone(), parent.expires);
                (above.1.len() <= LIMITS.id_bytes_max).then_some(())?;
                self.check(&uid)?;
                self.check_height(&uid)
            }
            Operation::RemoveParent { uid, parent } => self.leave(&key(uid), &key(parent)),
            Operation::PutLink(link) => self.put_link(link),
            Operation::RemoveLink { id } => self.links.remove(id.as_str()).map(|_| ()),
        }
    }

    fn changed(&mut self, uid: &Uid) -> Option<&mut Thing> {
        let version = self.sequence;
        let thing = self.things.get_mut(uid)?;
        thing.version = version;
        Some(thing)
    }

    fn put(&mut self, put: &Put) -> Option<()> {
        let uid = key(&put.uid);
        let parents = put.parents.iter();
        let parents: BTreeMap<_, _> = parents
            .map(|parent| (key(&parent.uid), parent.expires))
            .collect();
        let is_each_once = parents.len() == put.parents.len();
        let ids = parents
            .keys()
            .chain([&uid])
            .all(|(_, id)| id.len() <= LIMITS.id_bytes_max);
        self.things.insert(
            uid.clone(),
            Thing {
                version: self.sequence,
                attributes: put.attributes.clone(),
                tags: put.tags.clone(),
                parents,
                expires: put.expires,
            },
        );
        (is_each_once && ids).then_some(())?;
        self.check(&uid)?;
        self.check_height(&uid)
    }

    fn patch(&mut self, patch: &Patch) -> Option<()> {
        let uid = key(&patch.uid);
        let thing = self.changed(&uid)?;
        for name in &patch.unset {
            thing.attributes.remove(name);
        }
        for name in &patch.unset_tags {
            thing.tags.remove(name);
        }
        thing.attributes.extend(patch.set.clone());
        thing.tags.extend(patch.set_tags.clone());
        if let Some(expires) = patch.expires {
            thing.expires = expires;
        }
        self.check(&uid)
    }

    fn delete(&mut self, uid: &Uid, detach: bool) -> Option<()> {
        let members = self.members(uid);
        self.things.remove(uid)?;
        (detach || members.is_empty()).then_some(())?;
        for member in members {
            self.leave(&member, uid)?;
        }
        let names = |link: &PutLink| {
            let named = [&link.principal, &link.resource].into_iter().flatten();
            named.map(|uid| key(uid)).any(|named| named == *uid)
        };
        self.links.retain(|_, (link, _)| !names(link));
        Some(())
    }

    fn leave(&mut self, uid: &Uid, parent: &Uid) -> Option<()> {
        self.changed(uid)?.parents.remove(parent).map(|_| ())
    }

    fn put_link(&mut self, link: &PutLink) -> Option<()> {
        let slots = (link.principal.is_some(), link.resource.is_some());
        let fits = match link.template.as_str() {
            "one" => slots == (false, true),
            "both" => slots == (true, true),
            _ => false,
        };
        let id_fits = (1..=LIMITS.id_bytes_max).contains(&link.id.len());
        let is_taken = ["readers", "one", "both"].contains(&link.id.as_str());
        let mut named = [&link.principal, &link.resource].into_iter().flatten();
        let is_there = named.all(|uid| self.things.contains_key(&key(uid)));
        let row = (link.clone(), self.sequence);
        self.links.insert(link.id.to_string(), row);
        (fits && id_fits && !is_taken && is_there).then_some(())
    }

    /// The schema of the site, and the limits.
    fn check(&self, uid: &Uid) -> Option<()> {
        let thing = self.things.get(uid)?;
        let fits = |name: &SmolStr, value: &Value| {
            let kind = match value.value_kind() {
                ValueKind::Lit(Literal::Long(_)) => "long",
                ValueKind::Lit(Literal::String(_)) => "text",
                ValueKind::Lit(Literal::EntityUID(uid)) if key(uid).0 == "User" => "user",
                _ => "other",
            };
            matches!(
                (uid.0.as_str(), name.as_str(), kind),
                (_, "level", "long")
                    | ("User", "name", "text")
                    | ("User", "boss", "user")
                    | ("Doc", "owner", "user")
            )
        };
        let is_text =
            |value: &Value| matches!(value.value_kind(), ValueKind::Lit(Literal::String(_)));
        let is_right = ["Group", "User", "Doc"].contains(&uid.0.as_str())
            && thing
                .attributes
                .iter()
                .all(|(name, value)| fits(name, value))
            && thing.tags.values().all(is_text)
            && (uid.0 == "User" || thing.tags.is_empty())
            && thing.parents.keys().all(|(kind, _)| kind == "Group")
            && thing.attributes.len() <= LIMITS.attributes_max
            && thing.tags.len() <= LIMITS.tags_max
            && thing.parents.len() <= LIMITS.parents_max;
        is_right.then_some(())?;
        (!self.is_above(uid, uid, 20)).then_some(())
    }

    fn is_above(&self, above: &Uid, below: &Uid, steps: usize) -> bool {
        let parents = self
            .things
            .get(below)
            .into_iter()
            .flat_map(|thing| thing.parents.keys());
        let mut parents = parents.into_iter();
        steps > 0 && parents.any(|at| at == above || self.is_above(above, at, steps - 1))
    }

    fn check_height(&self, uid: &Uid) -> Option<()> {
        (self.height(uid) <= LIMITS.depth_max).then_some(())
    }

    fn height(&self, uid: &Uid) -> usize {
        let parents = self
            .things
            .get(uid)
            .into_iter()
            .flat_map(|thing| thing.parents.keys());
        parents
            .map(|parent| 1 + self.height(parent))
            .max()
            .unwrap_or(0)
    }
}
