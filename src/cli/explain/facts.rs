//! What a decision rests on: ancestors, attributes, context, links.

use std::collections::BTreeSet;

use cedar_policy_core::ast::BinaryOp;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;
use cedar_policy_core::evaluator::Evaluator;
use serde::Serialize;

use crate::analysis::turn::world::World;
use crate::cli::answer::ReadValue;
use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::examine::Examination;
use crate::engine::examine::with_candidates;
use crate::engine::policy::Policy;
use crate::engine::query::QueryError;

/// What was looked at.
#[derive(Debug, Default, Serialize)]
pub struct Facts {
    /// Ancestors of principal and resource that a scope or condition names, or
    /// comes to.
    pub(super) ancestors: Vec<Ancestor>,
    /// What conditions read of entities, with the values.
    pub(super) attributes: Vec<ReadValue>,
    /// What they read of the context.
    pub(super) context: Vec<ReadValue>,
    /// Links whose scope matches.
    pub(super) links: Vec<Linked>,
}

/// A membership, direct or not.
#[derive(Debug, Serialize)]
pub struct Ancestor {
    /// Who.
    pub(super) entity: String,
    /// In what.
    pub(super) ancestor: String,
}

/// A link.
#[derive(Debug, Serialize)]
pub struct Linked {
    /// Its id.
    pub(super) id: String,
    /// The template.
    pub(super) template: String,
}

impl Facts {
    /// Takes down what the candidates look at.
    ///
    /// # Errors
    /// As [`decide`](crate::engine::decide()).
    pub fn new(
        snapshot: &Snapshot,
        view: &View,
        query: &Query,
        examination: &Examination,
    ) -> Result<Self, QueryError> {
        let named = with_candidates(snapshot, view, query, |candidates, evaluator| {
            let mut named = BTreeSet::new();
            for policy in candidates {
                names(policy, &mut named);
                asked_for(policy, evaluator, &mut named);
            }
            named
        })?;
        let mut facts = Self::default();
        if let Ok(named) = named {
            let world = World::new(snapshot, view, query);
            for uid in [&query.principal, &query.resource] {
                for ancestor in world.ancestors(uid) {
                    if named.contains(&**ancestor.uid()) {
                        facts.ancestors.push(Ancestor {
                            entity: uid.to_string(),
                            ancestor: ancestor.uid().to_string(),
                        });
                    }
                }
            }
        }
        for examined in &examination.policies {
            if let Some(template) = &examined.policy.template {
                facts.links.push(Linked {
                    id: examined.policy.id.to_string(),
                    template: template.to_string(),
                });
            }
            for read in examined.seen.iter().flat_map(|seen| &seen.reads) {
                facts.note(&read.expression, &read.value);
            }
        }
        Ok(facts)
    }

    fn note(&mut self, expression: &str, value: &str) {
        let into = if expression.starts_with("context") {
            &mut self.context
        } else {
            &mut self.attributes
        };
        if !into
            .iter()
            .any(|read| read.expression == expression && read.value == value)
        {
            into.push(ReadValue {
                expression: expression.to_owned(),
                value: value.to_owned(),
            });
        }
    }
}

/// What the right side of every `in` of a policy comes to.
fn asked_for(policy: &Policy, evaluator: &Evaluator<'_>, into: &mut BTreeSet<EntityUID>) {
    let Some(condition) = policy.cedar.non_scope_constraints() else {
        return;
    };
    for part in condition.subexpressions() {
        let ExprKind::BinaryApp {
            op: BinaryOp::In,
            arg2,
            ..
        } = part.expr_kind()
        else {
            continue;
        };
        // What fails is told with the condition.
        let Ok(value) = evaluator.interpret(arg2, policy.cedar.env()) else {
            continue;
        };
        match value.value_kind() {
            ValueKind::Set(set) => into.extend(set.iter().filter_map(entity)),
            _ => into.extend(entity(&value)),
        }
    }
}

fn entity(value: &Value) -> Option<EntityUID> {
    match value.value_kind() {
        ValueKind::Lit(Literal::EntityUID(uid)) => Some(EntityUID::clone(uid)),
        _ => None,
    }
}

/// Every entity that a policy names.
fn names(policy: &Policy, into: &mut BTreeSet<EntityUID>) {
    let mut add = |expr: &Expr| {
        for part in expr.subexpressions() {
            if let ExprKind::Lit(Literal::EntityUID(uid)) = part.expr_kind() {
                into.insert(EntityUID::clone(uid));
            }
        }
    };
    let cedar = &policy.cedar;
    add(&cedar.principal_constraint().as_expr());
    add(&cedar.resource_constraint().as_expr());
    if let Some(condition) = cedar.non_scope_constraints() {
        add(condition);
    }
    into.extend(cedar.env().values().cloned());
}
