//! One compiled policy or template.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use cedar_policy_core::ast;
use cedar_policy_core::ast::Effect;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::PolicyID;
use cedar_policy_core::ast::SlotId;
use smol_str::SmolStr;

use super::access::Access;
use super::depth::depth;
use super::fault::Lines;
use super::index::Index;
use super::keep;
use super::nesting;
use super::scope::Parties;
use super::scope::Scope;
use super::strip::Pool;

/// A condition of so many levels fits on the stack of any thread.
const SHALLOW_MAX: usize = 32;
/// What Cedar's evaluator takes for a level in an unoptimised build, at the most.
const LEVEL_BYTES: usize = 20 << 10;
/// What it wants to be left, and some more.
const SPARE_BYTES: usize = 160 << 10;

/// What people are shown of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInfo {
    /// The id: `@id`, or made from file and position; of a link, its own.
    pub id: SmolStr,
    /// The template, when this is a link of one.
    pub template: Option<SmolStr>,
    /// Permit or forbid.
    pub effect: Effect,
    /// All annotations of the policy text.
    pub annotations: BTreeMap<SmolStr, SmolStr>,
    /// The file, relative to the root of the repository.
    pub file: Arc<str>,
    /// The first line of the policy, from 1.
    pub line: usize,
    /// The text of the policy.
    pub text: SmolStr,
    /// How long callers may keep an answer that it made: `@cache_ttl`.
    pub keep_for: Option<Duration>,
    /// All of this as answers name it.
    pub written: Written,
}

/// A policy as answers name it, kept by who writes them since the first decision
/// that it made.
///
/// It is no part of what it was made of: a copy, which may be changed, begins
/// without it, and two are never different.
#[derive(Debug, Default)]
pub struct Written(OnceLock<Box<[u8]>>);

impl Written {
    /// What was written before, or else now.
    pub fn once(&self, write: impl FnOnce() -> Vec<u8>) -> &[u8] {
        self.0.get_or_init(|| write().into())
    }
}

impl Clone for Written {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Written {}

impl PolicyInfo {
    /// An annotation that is present and not empty.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations
            .get(name)
            .map(SmolStr::as_str)
            .filter(|text| !text.is_empty())
    }

    /// What the enforcement point must do for this decision to hold:
    /// `@obligation("log-access, step-up-mfa")`.
    pub fn obligations(&self) -> impl Iterator<Item = &str> {
        self.annotation("obligation")
            .into_iter()
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .filter(|obligation| !obligation.is_empty())
    }

    /// Reads id, annotations and place of a policy text. `ordinal` counts the
    /// policies of the file, for those without `@id`.
    pub fn new(template: &ast::Template, file: &Arc<str>, lines: &Lines, ordinal: usize) -> Self {
        let annotations: BTreeMap<_, _> = template
            .annotations()
            .map(|(key, value)| (SmolStr::from(key.as_ref()), value.val.clone()))
            .collect();
        let id = annotations
            .get("id")
            .filter(|id| !id.is_empty())
            .cloned()
            .unwrap_or_else(|| format!("{file}#{ordinal}").into());
        let (start, text) = template.loc().map_or((0, ""), |loc| {
            (loc.start(), loc.snippet().unwrap_or_default())
        });
        Self {
            id,
            template: None,
            effect: template.effect(),
            keep_for: annotations
                .get("cache_ttl")
                .and_then(|text| keep::parse(text)),
            annotations,
            file: Arc::clone(file),
            line: lines.line(start),
            text: text.into(),
            written: Written::default(),
        }
    }
}

/// A policy ready for decisions: static, or a template with its slots filled.
#[derive(Debug)]
pub struct Policy {
    /// What people are shown.
    pub info: Arc<PolicyInfo>,
    /// Permit or forbid, here as well: a decision asks it of every candidate.
    pub effect: Effect,
    /// Its scope, with slots filled.
    pub scope: Scope,
    /// Its condition without source locations; `None` when it has none.
    pub condition: Option<Arc<Expr>>,
    /// What its condition can read.
    pub access: Arc<Access>,
    /// Cedar's own policy, with source locations, for errors and explanations.
    pub cedar: ast::Policy,
    /// Levels of its condition.
    pub levels: usize,
}

impl Policy {
    /// Does what goes down into the condition. Cedar gives up where a thread has no
    /// stack left, so what may not fit gets a stack of its own: what comes out must not
    /// depend on the thread.
    pub(crate) fn on_its_stack<R>(&self, work: impl FnOnce() -> R) -> R {
        if self.levels <= SHALLOW_MAX {
            return work();
        }
        let room = self.levels * LEVEL_BYTES + SPARE_BYTES;
        stacker::maybe_grow(room, nesting::STACK_BYTES, work)
    }
}

/// A policy template, to be linked by the directory's data.
#[derive(Debug)]
pub struct Template {
    /// What people are shown.
    pub info: Arc<PolicyInfo>,
    /// Cedar's own template, with source locations.
    pub cedar: Arc<ast::Template>,
    /// What its condition can read, by slot where it reads through one.
    pub access: Arc<Access>,
    condition: Option<Arc<Expr>>,
    levels: usize,
}

impl Template {
    /// Compiles a template, or a static policy before its one link.
    pub fn new(cedar: Arc<ast::Template>, info: PolicyInfo, pool: &mut Pool) -> Self {
        let condition = cedar.non_scope_constraints();
        Self {
            info: Arc::new(info),
            access: Arc::new(condition.map(Access::of).unwrap_or_default()),
            condition: condition.map(|condition| pool.strip(condition)),
            levels: condition.map_or(0, depth),
            cedar,
        }
    }

    /// Fills the slots.
    ///
    /// # Errors
    /// When a slot is missing or superfluous, as Cedar words it.
    pub fn link(&self, id: &SmolStr, slots: HashMap<SlotId, EntityUID>) -> Result<Policy, String> {
        let id = PolicyID::from_smolstr(id.clone());
        let cedar = ast::Template::link(Arc::clone(&self.cedar), id.clone(), slots)
            .map_err(|error| error.to_string())?;
        let info = PolicyInfo {
            id: id.into_smolstr(),
            template: Some(self.info.id.clone()),
            ..PolicyInfo::clone(&self.info)
        };
        self.policy(cedar, Arc::new(info))
            .ok_or_else(|| "a slot is not filled".to_owned())
    }

    /// The policy of a template without slots.
    pub fn as_static(&self, cedar: ast::Policy) -> Option<Policy> {
        self.policy(cedar, Arc::clone(&self.info))
    }

    fn policy(&self, cedar: ast::Policy, info: Arc<PolicyInfo>) -> Option<Policy> {
        Some(Policy {
            effect: info.effect,
            info,
            scope: Scope::new(&cedar)?,
            condition: self.condition.clone(),
            access: Arc::clone(&self.access),
            levels: self.levels,
            cedar,
        })
    }
}

/// Policies with their index.
#[derive(Debug, Default)]
pub struct Rules {
    policies: Vec<Policy>,
    index: Index,
}

impl Rules {
    /// Sorts by id, so that the same policies always have the same numbers, and
    /// indexes.
    pub fn new(mut policies: Vec<Policy>) -> Self {
        policies.sort_by(|a, b| a.info.id.cmp(&b.info.id));
        Self {
            index: Index::new(policies.iter().map(|policy| &policy.scope)),
            policies,
        }
    }

    /// All policies, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter()
    }

    /// The policy of this id.
    pub fn get(&self, id: &str) -> Option<&Policy> {
        let at = self
            .policies
            .binary_search_by(|policy| policy.info.id.as_str().cmp(id))
            .ok()?;
        self.policies.get(at)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Appends the policies whose scope matches, in order of id.
    pub fn matching<'a>(&'a self, parties: &Parties<'_>, into: &mut Vec<&'a Policy>) {
        if self.policies.is_empty() {
            return;
        }
        let mut numbers = Vec::with_capacity(16);
        self.index.candidates(parties, &mut numbers);
        into.extend(
            numbers
                .iter()
                .filter_map(|number| self.policies.get(*number as usize))
                .filter(|policy| policy.scope.holds(parties)),
        );
    }
}
