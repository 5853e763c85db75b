//! Decision caches to compare Deodar's with.
//!
//! Both look an answer up by principal, action and resource and give the bare
//! decision: they name none, count none, and look at no context. That is less
//! than Deodar's does, and in their favour.

use std::sync::Arc;
use std::time::Duration;

use cedar_policy_core::ast::EntityUID;
use deodar::engine::Decision;
use deodar::engine::Query;
use deodar::engine::decide;
use deodar::identity::Caller;
use deodar::pdp::Pinned;
use moka::sync::Cache;

/// Asked a question; gives whether it is allowed, and whether that was known.
pub(crate) trait Contender: Sync {
    fn name(&self) -> &'static str;
    fn ask(&self, pinned: &Pinned<'_>, query: &Query) -> (bool, bool);
}

type Key = (Arc<EntityUID>, Arc<EntityUID>, Arc<EntityUID>);

fn key(query: &Query) -> Key {
    (
        Arc::clone(&query.principal),
        Arc::clone(&query.action),
        Arc::clone(&query.resource),
    )
}

fn decided(pinned: &Pinned<'_>, query: &Query) -> Arc<Decision> {
    Arc::new(decide(pinned.snapshot(), pinned.view(), query).unwrap())
}

/// What is measured: the decision cache, as a door asks it.
pub(crate) struct Deodar;

impl Contender for Deodar {
    fn name(&self) -> &'static str {
        "Deodar"
    }

    fn ask(&self, pinned: &Pinned<'_>, query: &Query) -> (bool, bool) {
        let answer = pinned.authorize(&Caller::Local, query).unwrap();
        (answer.decision.is_allow(), answer.cached)
    }
}

/// Any write empties it: an answer is good for the view that it was made on.
/// Nothing is removed for that, so emptying costs nothing here.
pub(crate) struct Emptied(Cache<Key, (u64, Arc<Decision>)>);

impl Emptied {
    pub(crate) fn new(entries: usize) -> Self {
        Self(Cache::new(entries as u64 * 2))
    }
}

impl Contender for Emptied {
    fn name(&self) -> &'static str {
        "emptied by any write"
    }

    fn ask(&self, pinned: &Pinned<'_>, query: &Query) -> (bool, bool) {
        let (key, now) = (key(query), pinned.view().sequence());
        if let Some((made, decision)) = self.0.get(&key)
            && made == now
        {
            return (decision.is_allow(), true);
        }
        let decision = decided(pinned, query);
        let is_allow = decision.is_allow();
        self.0.insert(key, (now, decision));
        (is_allow, false)
    }
}

/// Believes an answer for five seconds.
pub(crate) struct Timed(Cache<Key, Arc<Decision>>);

impl Timed {
    pub(crate) fn new(entries: usize) -> Self {
        let cache = Cache::builder()
            .max_capacity(entries as u64 * 2)
            .time_to_live(Duration::from_secs(5));
        Self(cache.build())
    }
}

impl Contender for Timed {
    fn name(&self) -> &'static str {
        "kept for 5 s"
    }

    fn ask(&self, pinned: &Pinned<'_>, query: &Query) -> (bool, bool) {
        let key = key(query);
        if let Some(decision) = self.0.get(&key) {
            return (decision.is_allow(), true);
        }
        let decision = decided(pinned, query);
        let is_allow = decision.is_allow();
        self.0.insert(key, decision);
        (is_allow, false)
    }
}
