//! Invariants: what policies must always be, from `invariants.yaml` and
//! `*.invariants.yaml`.
//!
//! ```yaml
//! description: what must never happen
//! invariants:
//!   - name: only operators command machines
//!     because: IEC 62443-3-3 SR 2.1
//!     never: |
//!       permit (principal is Org::User, action == Iot::Action::"command", resource)
//!       unless { principal in Org::Role::"operator" };
//! ```
//!
//! The format is told by docs/invariants-file.schema.json.

mod place;
mod raw;

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use miette::SourceSpan;

use crate::analysis::symbolic::Environment;
use crate::analysis::symbolic::LinkScope;
use crate::analysis::symbolic::findings::Kind;
use crate::engine::Fault;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::engine::files::Role;

/// One invariant.
#[derive(Debug, Clone)]
pub struct Invariant {
    /// What it says, unique within its file.
    pub name: String,
    /// Why it has to hold.
    pub because: Option<String>,
    /// The path of its file, relative to the root of the repository.
    pub file: Arc<str>,
    /// Its line there, from 1.
    pub line: usize,
    /// The text of the file.
    text: Arc<str>,
    /// The place of its name in that text.
    span: SourceSpan,
    /// What is claimed.
    pub claim: Claim,
    /// Which links it is about.
    pub links: LinkScope,
    /// Where it is claimed.
    pub within: Filter,
}

/// Findings that are known and accepted.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// What was found.
    pub kind: Kind,
    /// Of which policies, links or templates.
    pub policies: Vec<String>,
    /// Why that is accepted.
    pub because: String,
    /// The path of the file, relative to the root of the repository.
    pub file: Arc<str>,
    /// The line there, from 1.
    pub line: usize,
}

/// What the invariants files of a repository say.
#[derive(Debug, Default)]
pub struct Demands {
    /// In order of file and place.
    pub invariants: Vec<Invariant>,
    /// In order of file and place.
    pub accepted: Vec<Accepted>,
    /// What is wrong with the others, and with the files.
    pub faults: Vec<Fault>,
    /// How many invariants are left out for their faults, as far as they can be
    /// counted: those of a file that cannot be read are not among them.
    pub left_out: usize,
}

/// What is claimed of policies.
#[derive(Debug, Clone)]
pub enum Claim {
    /// Nothing that this policy matches is allowed.
    Never(Box<ast::Policy>),
    /// Everything that this policy matches is allowed.
    Always(Box<ast::Policy>),
    /// These policies never fail to evaluate.
    NeverErrors(Policies),
    /// These policies never match.
    NeverApplies(Policies),
    /// What the first matches, the second matches.
    Implies(String, String),
    /// Nothing is matched by both.
    Disjoint(String, String),
}

impl Claim {
    /// The key that it is written under.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Never(_) => "never",
            Self::Always(_) => "always",
            Self::NeverErrors(_) => "never_errors",
            Self::NeverApplies(_) => "never_applies",
            Self::Implies(..) => "implies",
            Self::Disjoint(..) => "disjoint",
        }
    }
}

/// Policies, links and templates by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policies {
    /// Every policy and template.
    All,
    /// These.
    These(Vec<String>),
}

/// Environments that a claim is limited to. An empty list is no limit.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Types of principals.
    pub principals: Vec<EntityType>,
    /// Actions.
    pub actions: Vec<EntityUID>,
    /// Types of resources.
    pub resources: Vec<EntityType>,
}

impl Filter {
    /// Whether the claim is made of this environment.
    pub fn has(&self, environment: &Environment) -> bool {
        fn lets<T: PartialEq>(list: &[T], item: &T) -> bool {
            list.is_empty() || list.contains(item)
        }
        lets(&self.principals, &environment.principal)
            && lets(&self.actions, &environment.action)
            && lets(&self.resources, &environment.resource)
    }
}

/// Reads every invariants file of a repository: what is good of them, and every fault
/// of the rest. An invariant with a fault is left out, the others of its file are not.
pub fn read(files: &Files, snapshot: &Snapshot, links: &[&str]) -> Demands {
    let mut demands = Demands::default();
    for (file, content) in files.with_role(Role::Invariants) {
        match raw::parse(file, content, snapshot, links) {
            Ok(found) => {
                demands.invariants.extend(found.invariants);
                demands.accepted.extend(found.accepted);
                demands.faults.extend(found.faults);
                demands.left_out += found.left_out;
            }
            Err(found) => demands.faults.extend(found),
        }
    }
    let mut places: BTreeMap<&str, &Invariant> = BTreeMap::new();
    for invariant in &demands.invariants {
        if let Some(first) = places.insert(&invariant.name, invariant) {
            let message = format!("two invariants have the name `{}`", invariant.name);
            let fault = Fault::at(&invariant.file, &invariant.text, invariant.span, message);
            demands.faults.push(fault.with_hint(format!(
                "the other one is at {}:{}; give one of them another name",
                first.file, first.line
            )));
        }
    }
    demands
}
