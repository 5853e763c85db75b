//! Policies as the solver takes them: static ones. A link has its slots filled, a
//! template has them left open.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast;
use cedar_policy_core::ast::Annotations;
use cedar_policy_core::ast::Effect;
use cedar_policy_core::ast::EntityReference;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::PolicyID;
use cedar_policy_core::ast::PrincipalConstraint;
use cedar_policy_core::ast::PrincipalOrResourceConstraint;
use cedar_policy_core::ast::ResourceConstraint;
use cedar_policy_core::ast::StaticPolicy;
use serde::Deserialize;
use serde::Serialize;

use super::Side;
use crate::engine::policy::PolicyInfo;

/// Which links a claim is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkScope {
    /// Whatever links there are, now or later: those that would break the claim
    /// are there, those that would save it are not.
    #[default]
    Any,
    /// Those of the repository, and no others.
    Repository,
}

/// Where a unit is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A policy without slots.
    Static,
    /// A link of the repository.
    Link,
    /// A template, with its slots open: it matches whatever any link of it does.
    Template,
}

/// A policy, link or template as a static policy.
#[derive(Debug, Clone)]
pub struct Unit {
    /// What people are shown.
    pub info: Arc<PolicyInfo>,
    /// Where it is from.
    pub origin: Origin,
    /// The static policy. Its id is that of the unit.
    pub policy: ast::Policy,
}

impl Unit {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.info.id
    }

    /// Permit or forbid.
    pub fn effect(&self) -> Effect {
        self.info.effect
    }

    /// `policy`, `link`, `template`.
    pub fn kind(&self) -> &'static str {
        match self.origin {
            Origin::Static => "policy",
            Origin::Link => "link",
            Origin::Template => "template",
        }
    }

    /// The effect of a template: what it matches or where it fails shows in a link.
    pub(super) fn open_effect(&self) -> Option<Effect> {
        (self.origin == Origin::Template).then(|| self.effect())
    }

    /// Whether whoever enforces a decision has to do for this one what it has to do
    /// for the other.
    pub(super) fn brings_obligations_of(&self, other: &Self) -> bool {
        let mut wanted = other.info.obligations();
        wanted.all(|wanted| self.info.obligations().any(|own| own == wanted))
    }

    /// What it demands, without its id and annotations: equal texts are equal
    /// policies.
    pub(super) fn meaning(&self) -> String {
        filled(&self.policy, "p", self.effect()).to_string()
    }

    /// A permit of the same scope and condition.
    pub(super) fn as_permit(&self) -> ast::Policy {
        filled(&self.policy, self.id(), Effect::Permit)
    }
}

/// A forbid of the same scope and condition.
pub(super) fn as_forbid(policy: &ast::Policy) -> ast::Policy {
    filled(policy, policy.id().as_ref(), Effect::Forbid)
}

/// Everything that a repository has.
#[derive(Debug)]
pub struct Units {
    /// Policies without slots, by id.
    pub statics: Vec<Unit>,
    /// Links, by id.
    pub links: Vec<Unit>,
    /// Templates with their slots open, by id.
    pub templates: Vec<Unit>,
}

impl Units {
    /// Reads policies, links and templates.
    pub fn of(side: Side<'_>) -> Self {
        let unit = |policy: &crate::engine::policy::Policy, origin| Unit {
            policy: filled(&policy.cedar, &policy.info.id, policy.effect),
            info: Arc::clone(&policy.info),
            origin,
        };
        let statics = side.snapshot.rules().iter();
        let templates = side.snapshot.templates().map(|template| Unit {
            policy: open(&template.cedar, &template.info.id),
            info: Arc::clone(&template.info),
            origin: Origin::Template,
        });
        Self {
            statics: statics.map(|policy| unit(policy, Origin::Static)).collect(),
            links: (side.view.links().iter())
                .map(|link| unit(link, Origin::Link))
                .collect(),
            templates: templates.collect(),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Unit> {
        self.statics
            .iter()
            .chain(&self.links)
            .chain(&self.templates)
    }

    /// The unit of this id.
    pub fn get(&self, id: &str) -> Option<&Unit> {
        self.iter().find(|unit| unit.id() == id)
    }

    /// What is in force if the links are the worst that there can be for a claim:
    /// open templates of the one effect, no links of the other.
    pub(super) fn worst(&self, effect: Effect) -> impl Iterator<Item = &Unit> {
        let templates = self.templates.iter();
        let of_effect = templates.filter(move |unit| unit.effect() == effect);
        self.statics.iter().chain(of_effect)
    }

    /// What is in force in the repository.
    pub(super) fn in_force(&self) -> impl Iterator<Item = &Unit> {
        self.statics.iter().chain(&self.links)
    }

    /// The entities that any of them names: an entity of a counterexample that is
    /// none of these can have any name.
    pub(super) fn named_entities(&self) -> BTreeSet<EntityUID> {
        let mut named = BTreeSet::new();
        for unit in self.iter() {
            entities_of(&unit.policy.condition(), &mut named);
        }
        named
    }
}

/// Adds the entities that an expression names.
pub(super) fn entities_of(expression: &Expr, into: &mut BTreeSet<EntityUID>) {
    let named = expression.subexpressions().filter_map(|inner| {
        let ExprKind::Lit(Literal::EntityUID(uid)) = inner.expr_kind() else {
            return None;
        };
        Some(EntityUID::clone(uid))
    });
    into.extend(named);
}

/// A policy with its slots filled, without annotations.
fn filled(policy: &ast::Policy, id: &str, effect: Effect) -> ast::Policy {
    let parts = (
        policy.principal_constraint(),
        policy.resource_constraint(),
        policy.non_scope_constraints().cloned(),
    );
    policy_of(id, effect, policy.action_constraint().clone(), parts)
}

/// A template as if everybody were linked to everything.
fn open(template: &ast::Template, id: &str) -> ast::Policy {
    let principal = without_slot(template.principal_constraint().as_inner());
    let resource = without_slot(template.resource_constraint().as_inner());
    let parts = (
        PrincipalConstraint::new(principal),
        ResourceConstraint::new(resource),
        template.non_scope_constraints().cloned(),
    );
    let action = template.action_constraint().clone();
    policy_of(id, template.effect(), action, parts)
}

/// A policy that matches what `policy` does where `also` holds.
pub(crate) fn narrowed(policy: &ast::Policy, also: Expr) -> ast::Policy {
    let condition = match policy.non_scope_constraints() {
        Some(condition) => Expr::and(also, condition.clone()),
        None => also,
    };
    let parts = (
        policy.principal_constraint(),
        policy.resource_constraint(),
        Some(condition),
    );
    let id: &str = policy.id().as_ref();
    policy_of(
        id,
        policy.effect(),
        policy.action_constraint().clone(),
        parts,
    )
}

/// An expression that is true where a policy can be evaluated, and fails where it
/// fails.
pub(super) fn does_not_fail(policy: &ast::Policy) -> Expr {
    Expr::or(policy.condition(), Expr::val(true))
}

fn policy_of(
    id: &str,
    effect: Effect,
    action: ast::ActionConstraint,
    (principal, resource, condition): (PrincipalConstraint, ResourceConstraint, Option<Expr>),
) -> ast::Policy {
    let template = ast::Template::new(
        PolicyID::from_string(id),
        None,
        Annotations::new(),
        effect,
        principal,
        action,
        resource,
        condition,
    );
    // No slot is left, so it always is a static policy; were one left, a policy
    // that is no static one would be refused by the compiler of formulas.
    match StaticPolicy::try_from(template.clone()) {
        Ok(policy) => policy.into(),
        Err(_) => ast::Policy::from_when_clause(
            effect,
            template.condition(),
            PolicyID::from_string(id),
            None,
        ),
    }
}

fn without_slot(constraint: &PrincipalOrResourceConstraint) -> PrincipalOrResourceConstraint {
    use PrincipalOrResourceConstraint as Por;
    match constraint {
        Por::In(EntityReference::Slot(_)) | Por::Eq(EntityReference::Slot(_)) => Por::Any,
        Por::IsIn(entity_type, EntityReference::Slot(_)) => Por::Is(Arc::clone(entity_type)),
        other => other.clone(),
    }
}
