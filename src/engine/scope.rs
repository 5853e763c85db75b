//! Scopes: the `principal`, `action` and `resource` part of a policy.
//!
//! A scope never errors and reads nothing but types and ancestors, so it is
//! matched here, in our own code, and only the `when`/`unless` condition goes
//! to Cedar's evaluator. Identities are compared by a 64-bit *atom* first and
//! by the full uid after, so a collision of atoms costs time, never an answer.

use std::hash::BuildHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::LazyLock;

use cedar_policy_core::ast::ActionConstraint;
use cedar_policy_core::ast::EntityReference;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PrincipalOrResourceConstraint;
use foldhash::fast::RandomState;

use super::named::Named;
use super::named::Probe;
use super::packed::Types;

/// A 64-bit stand-in for an entity uid or an entity type.
///
/// The hash is keyed anew in every process, and what it finds is compared in
/// full: who picks ids cannot make them collide, and gains nothing if they do.
pub type Atom = u64;

static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// The atom of an entity uid.
pub fn uid_atom(uid: &EntityUID) -> Atom {
    let mut hasher = HASHES.build_hasher();
    uid.entity_type().hash(&mut hasher);
    let id: &str = uid.eid().as_ref();
    id.hash(&mut hasher);
    hasher.finish()
}

/// The atom of an entity type. Seeded apart from uids, since both are keys of
/// one map in the index.
pub fn type_atom(entity_type: &EntityType) -> Atom {
    let mut hasher = HASHES.build_hasher();
    hasher.write_u8(1);
    entity_type.hash(&mut hasher);
    hasher.finish()
}

/// An entity named by a policy.
#[derive(Debug, Clone)]
pub struct Target {
    atom: Atom,
    uid: Arc<EntityUID>,
}

impl Target {
    fn new(uid: &Arc<EntityUID>) -> Self {
        Self {
            atom: uid_atom(uid),
            uid: Arc::clone(uid),
        }
    }

    fn is(&self, atom: Atom, uid: &EntityUID) -> bool {
        self.atom == atom && *self.uid == *uid
    }

    fn intern(&mut self, types: &Types) {
        self.uid = Arc::new(types.canonical(&self.uid));
    }
}

/// An entity type named by a policy.
#[derive(Debug, Clone)]
pub struct Kind {
    atom: Atom,
    entity_type: Arc<EntityType>,
}

impl Kind {
    fn new(entity_type: &Arc<EntityType>) -> Self {
        Self {
            atom: type_atom(entity_type),
            entity_type: Arc::clone(entity_type),
        }
    }

    fn is(&self, party: &Party<'_>) -> bool {
        self.atom == party.type_atom && *self.entity_type == *party.uid.entity_type()
    }
}

/// What a policy demands of its principal or resource, slots filled.
#[derive(Debug, Clone)]
pub enum Constraint {
    /// No demand.
    Any,
    /// `== uid`
    Eq(Target),
    /// `in uid`
    In(Target),
    /// `is Type`
    Is(Kind),
    /// `is Type in uid`
    IsIn(Kind, Target),
}

impl Constraint {
    /// Reads Cedar's constraint; `None` when a template slot is still open.
    pub fn new(constraint: &PrincipalOrResourceConstraint) -> Option<Self> {
        use PrincipalOrResourceConstraint as Por;
        Some(match constraint {
            Por::Any => Self::Any,
            Por::Eq(EntityReference::EUID(uid)) => Self::Eq(Target::new(uid)),
            Por::In(EntityReference::EUID(uid)) => Self::In(Target::new(uid)),
            Por::Is(entity_type) => Self::Is(Kind::new(entity_type)),
            Por::IsIn(entity_type, EntityReference::EUID(uid)) => {
                Self::IsIn(Kind::new(entity_type), Target::new(uid))
            }
            _ => return None,
        })
    }

    /// The narrowest thing to look this constraint up by, if it has one.
    pub fn atom(&self) -> Option<Atom> {
        match self {
            Self::Any => None,
            Self::Eq(target) | Self::In(target) | Self::IsIn(_, target) => Some(target.atom),
            Self::Is(kind) => Some(kind.atom),
        }
    }

    /// The only entity that fits, of `== uid`.
    pub fn only(&self) -> Option<&EntityUID> {
        match self {
            Self::Eq(target) => Some(&target.uid),
            Self::Any | Self::In(_) | Self::Is(_) | Self::IsIn(..) => None,
        }
    }

    fn holds(&self, party: &Party<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Eq(target) => target.is(party.atom, party.uid),
            Self::In(target) => party.is_in(target),
            Self::Is(kind) => kind.is(party),
            Self::IsIn(kind, target) => kind.is(party) && party.is_in(target),
        }
    }
}

/// What a policy demands of the action.
#[derive(Debug, Clone)]
pub enum Actions {
    /// No demand.
    Any,
    /// `== uid`
    Eq(Target),
    /// `in [uid, ...]`
    In(Vec<Target>),
}

impl Actions {
    /// Reads Cedar's constraint.
    pub fn new(constraint: &ActionConstraint) -> Option<Self> {
        Some(match constraint {
            ActionConstraint::Any => Self::Any,
            ActionConstraint::Eq(uid) => Self::Eq(Target::new(uid)),
            ActionConstraint::In(uids) => Self::In(uids.iter().map(Target::new).collect()),
            #[expect(
                unreachable_patterns,
                reason = "cedar has a further variant when another crate enables `tolerant-ast`"
            )]
            _ => return None,
        })
    }

    /// The atoms to look this constraint up by; empty means any action.
    pub fn atoms(&self) -> Vec<Atom> {
        match self {
            Self::Any => Vec::new(),
            Self::Eq(target) => vec![target.atom],
            Self::In(targets) => targets.iter().map(|target| target.atom).collect(),
        }
    }

    /// Whether an action fits.
    pub fn holds(&self, party: &Party<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Eq(target) => target.is(party.atom, party.uid),
            Self::In(targets) => targets.iter().any(|target| party.is_in(target)),
        }
    }
}

/// The whole scope of a policy.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The demand on the principal.
    pub principal: Constraint,
    /// The demand on the action.
    pub action: Actions,
    /// The demand on the resource.
    pub resource: Constraint,
}

impl Scope {
    /// Reads the scope of a policy; `None` when a template slot is still open.
    pub fn new(policy: &cedar_policy_core::ast::Policy) -> Option<Self> {
        Some(Self {
            principal: Constraint::new(policy.principal_constraint().as_inner())?,
            action: Actions::new(policy.action_constraint())?,
            resource: Constraint::new(policy.resource_constraint().as_inner())?,
        })
    }

    /// Takes the known types in place of those of the policy's text: uids that
    /// share them are compared faster.
    pub fn intern(&mut self, types: &Types) {
        for constraint in [&mut self.principal, &mut self.resource] {
            match constraint {
                Constraint::Eq(target) | Constraint::In(target) | Constraint::IsIn(_, target) => {
                    target.intern(types);
                }
                Constraint::Any | Constraint::Is(_) => {}
            }
        }
        match &mut self.action {
            Actions::Any => {}
            Actions::Eq(target) => target.intern(types),
            Actions::In(targets) => targets.iter_mut().for_each(|target| target.intern(types)),
        }
    }

    /// The entities that the demands on principal and resource name.
    pub fn named(&self) -> impl Iterator<Item = &Arc<EntityUID>> {
        let constraints = [&self.principal, &self.resource].into_iter();
        constraints.filter_map(|constraint| match constraint {
            Constraint::Eq(target) | Constraint::In(target) | Constraint::IsIn(_, target) => {
                Some(&target.uid)
            }
            Constraint::Any | Constraint::Is(_) => None,
        })
    }

    /// Whether the scope matches, exactly as Cedar's own evaluation of it would.
    pub fn holds(&self, parties: &Parties<'_>) -> bool {
        self.resource.holds(&parties.resource)
            && self.principal.holds(&parties.principal)
            && self.action.holds(&parties.action)
    }
}

/// The ancestors of an entity, direct and indirect: what scopes are matched against.
pub type Ancestors<'a> = [&'a Named];

/// A principal, action or resource as scopes see it.
#[derive(Debug, Clone, Copy)]
pub struct Party<'a> {
    uid: &'a EntityUID,
    atom: Atom,
    type_atom: Atom,
    ancestors: &'a Ancestors<'a>,
}

impl<'a> Party<'a> {
    /// A party with the ancestors (direct and indirect) that its entity has.
    pub fn new(probe: Probe<'a>, ancestors: &'a Ancestors<'a>) -> Self {
        Self {
            uid: probe.uid,
            atom: probe.atom,
            type_atom: type_atom(probe.uid.entity_type()),
            ancestors,
        }
    }

    /// Everything a policy could be looked up by for this party: itself, its
    /// type, its ancestors.
    pub fn atoms(&self) -> impl Iterator<Item = Atom> + '_ {
        [self.atom, self.type_atom]
            .into_iter()
            .chain(self.ancestors.iter().map(|ancestor| ancestor.atom()))
    }

    fn is_in(&self, target: &Target) -> bool {
        target.is(self.atom, self.uid)
            || self
                .ancestors
                .iter()
                .any(|ancestor| target.is(ancestor.atom(), ancestor.uid()))
    }
}

/// The three parties of a query.
#[derive(Debug, Clone, Copy)]
pub struct Parties<'a> {
    /// Who asks.
    pub principal: Party<'a>,
    /// To do what.
    pub action: Party<'a>,
    /// To what.
    pub resource: Party<'a>,
}
