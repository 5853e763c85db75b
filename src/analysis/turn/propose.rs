//! Steps that the conditions in the way ask for.

use std::sync::Arc;

use cedar_policy_core::ast::BinaryOp;
use cedar_policy_core::ast::Effect;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::SlotEnv;
use cedar_policy_core::ast::UnaryOp;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;
use cedar_policy_core::ast::Var;
use cedar_policy_core::evaluator::Evaluator;
use smol_str::SmolStr;

use super::Spot;
use super::Step;
use super::sample::sample;
use super::scope;
use super::world::Place;
use super::world::World;
use crate::engine::Snapshot;
use crate::engine::examine::with_candidates;
use crate::engine::manifest::OnError;
use crate::engine::policy::Policy;

/// The steps that may lead to an allow, or to a deny. First those of conditions,
/// then those of scopes.
pub(super) fn proposals(snapshot: &Snapshot, world: &World, allow: bool) -> Vec<Step> {
    let looked = with_candidates(
        snapshot,
        &world.view,
        &world.query,
        |candidates, evaluator| {
            let look = |policy: &Policy| Look {
                snapshot,
                world,
                evaluator,
                env: policy.cedar.env().clone(),
            };
            // A forbid that fails denies, or is as if it were not there.
            let fails_closed = snapshot.manifest().errors == OnError::Deny;
            let forbids = |came: Option<bool>| came.unwrap_or(fails_closed);
            of_candidates(candidates, allow, &look, &forbids)
        },
    );
    let Ok(Ok((mut steps, is_open))) = looked else {
        return Vec::new();
    };
    if !is_open {
        let wanted = if allow {
            Effect::Permit
        } else {
            Effect::Forbid
        };
        let all = snapshot.rules().iter().chain(world.view.links().iter());
        for policy in all.filter(|policy| policy.effect == wanted) {
            steps.extend(scope::into_scope(snapshot, world, policy));
        }
    }
    steps
}

/// The steps, and whether a forbid has to be undone before all else.
fn of_candidates<'a>(
    candidates: &[&Policy],
    allow: bool,
    look: &dyn Fn(&Policy) -> Look<'a>,
    forbids: &dyn Fn(Option<bool>) -> bool,
) -> (Vec<Step>, bool) {
    let state = |policy: &Policy| match policy.cedar.non_scope_constraints() {
        None => Some(true),
        Some(condition) => look(policy).truth(condition),
    };
    let make = |policy: &Policy, wanted: bool| {
        let condition = policy.cedar.non_scope_constraints();
        condition.map_or_else(Vec::new, |condition| look(policy).make(condition, wanted))
    };
    let of = |effect| {
        candidates
            .iter()
            .filter(move |policy| policy.effect == effect)
    };
    let mut steps = Vec::new();
    if allow {
        // All that forbid have to go, so one after the other will do.
        if let Some(forbid) = of(Effect::Forbid).find(|policy| forbids(state(policy))) {
            steps.extend(make(forbid, false));
            steps.extend(scope::out_of_scope(look(forbid).world, forbid));
            return (steps, true);
        }
        for permit in of(Effect::Permit).filter(|policy| state(policy) != Some(true)) {
            steps.extend(make(permit, true));
        }
        return (steps, false);
    }
    if let Some(permit) = of(Effect::Permit).find(|policy| state(policy) == Some(true)) {
        steps.extend(make(permit, false));
        steps.extend(scope::out_of_scope(look(permit).world, permit));
    }
    for forbid in of(Effect::Forbid) {
        steps.extend(make(forbid, true));
    }
    (steps, false)
}

/// A policy in a world.
pub(super) struct Look<'a> {
    snapshot: &'a Snapshot,
    world: &'a World,
    evaluator: &'a Evaluator<'a>,
    env: SlotEnv,
}

impl Look<'_> {
    pub(super) fn value(&self, expr: &Expr) -> Option<Value> {
        self.evaluator.interpret(expr, &self.env).ok()
    }

    fn truth(&self, expr: &Expr) -> Option<bool> {
        match self.value(expr)?.value_kind() {
            ValueKind::Lit(Literal::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    fn entity(&self, expr: &Expr) -> Option<Arc<EntityUID>> {
        entity(&self.value(expr)?)
    }

    /// Steps that may make a condition what is wanted.
    fn make(&self, expr: &Expr, wanted: bool) -> Vec<Step> {
        let both = |left: &Expr, right: &Expr| {
            let mut steps = self.make(left, wanted);
            steps.extend(self.make(right, wanted));
            steps
        };
        match expr.expr_kind() {
            ExprKind::And { left, right } => match (wanted, self.truth(left)) {
                (true, Some(true)) => self.make(right, true),
                (true, _) | (false, None) => self.make(left, wanted),
                (false, Some(_)) => both(left, right),
            },
            ExprKind::Or { left, right } => match (wanted, self.truth(left)) {
                (false, Some(false)) => self.make(right, false),
                (false, _) | (true, None) => self.make(left, wanted),
                (true, Some(_)) => both(left, right),
            },
            ExprKind::UnaryApp {
                op: UnaryOp::Not,
                arg,
            } => self.make(arg, !wanted),
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => {
                let test = self.truth(test_expr);
                let branch = if test == Some(true) {
                    then_expr
                } else {
                    else_expr
                };
                let mut steps = self.make(branch, wanted);
                steps.extend(self.make(test_expr, test != Some(true)));
                steps
            }
            _ => self.clause(expr, wanted),
        }
    }

    fn clause(&self, expr: &Expr, wanted: bool) -> Vec<Step> {
        match expr.expr_kind() {
            ExprKind::BinaryApp { op, arg1, arg2 } => self.binary(*op, [arg1, arg2], wanted),
            ExprKind::HasAttr { expr, attr } => {
                self.presence(expr, std::slice::from_ref(attr), wanted)
            }
            ExprKind::ExtHasAttr { expr, attrs } => {
                let attrs: Vec<SmolStr> = attrs.iter().cloned().collect();
                self.presence(expr, &attrs, wanted)
            }
            ExprKind::Like { expr, pattern } => self.like(expr, pattern, wanted),
            ExprKind::ExtensionFunctionApp { fn_name, args } => {
                self.function(&fn_name.to_string(), args, wanted)
            }
            ExprKind::GetAttr { .. } => self.assign(expr, &Value::from(wanted)),
            _ => Vec::new(),
        }
    }

    /// An expression that reads one place, made to be a value.
    pub(super) fn assign(&self, expr: &Expr, value: &Value) -> Vec<Step> {
        self.place(expr)
            .map(|place| Step {
                spot: Spot::Value(place),
                to: Some(value.clone()),
            })
            .into_iter()
            .collect()
    }

    /// The place that a chain of attributes reads, which may hold nothing yet.
    fn place(&self, expr: &Expr) -> Option<Place> {
        let ExprKind::GetAttr { expr, attr } = expr.expr_kind() else {
            return None;
        };
        self.base(expr).map(|base| base.then(attr))
    }

    /// Where the attributes of what an expression reads are.
    fn base(&self, expr: &Expr) -> Option<Place> {
        if matches!(expr.expr_kind(), ExprKind::Var(Var::Context)) {
            return Some(Place::Context(Vec::new()));
        }
        let uid = match expr.expr_kind() {
            ExprKind::Var(Var::Principal) => Arc::clone(&self.world.query.principal),
            ExprKind::Var(Var::Resource) => Arc::clone(&self.world.query.resource),
            ExprKind::Lit(Literal::EntityUID(uid)) => Arc::clone(uid),
            ExprKind::Slot(slot) => Arc::new(self.env.get(slot).cloned()?),
            ExprKind::GetAttr { .. } => {
                let place = self.place(expr)?;
                let value = self.world.get(self.snapshot, &place);
                match value.as_ref().and_then(entity) {
                    Some(uid) => uid,
                    None => return Some(place),
                }
            }
            _ => return None,
        };
        Some(Place::Attribute(uid, Vec::new()))
    }

    /// `has`: the first of the chain that is missing gets a value, or the last
    /// goes.
    fn presence(&self, expr: &Expr, attrs: &[SmolStr], wanted: bool) -> Vec<Step> {
        let Some(mut place) = self.base(expr) else {
            return Vec::new();
        };
        for attr in attrs {
            place = match self
                .world
                .get(self.snapshot, &place)
                .as_ref()
                .and_then(entity)
            {
                Some(uid) if !place.path().is_empty() => Place::Attribute(uid, vec![attr.clone()]),
                _ => place.then(attr),
            };
            if self.world.get(self.snapshot, &place).is_none() {
                break;
            }
        }
        let to = wanted.then(|| sample(self.snapshot, self.world, &place));
        match to {
            Some(None) => Vec::new(),
            to => vec![Step {
                spot: Spot::Value(place),
                to: to.flatten(),
            }],
        }
    }

    /// `a in b`
    fn membership(&self, [low, high]: [&Expr; 2], wanted: bool) -> Vec<Step> {
        let (Some(uid), Some(high_value)) = (self.entity(low), self.value(high)) else {
            return Vec::new();
        };
        let places: Vec<Arc<EntityUID>> = match high_value.value_kind() {
            ValueKind::Set(set) => set.iter().filter_map(entity).collect(),
            _ => entity(&high_value).into_iter().collect(),
        };
        let mut steps = Vec::new();
        if !wanted {
            for place in &places {
                steps.extend(scope::leave(self.world, &uid, place));
            }
            return steps;
        }
        let above = self.world.ancestors(&uid).into_iter();
        for candidate in
            std::iter::once(Arc::clone(&uid)).chain(above.map(|named| Arc::clone(named.uid())))
        {
            // The schema refuses those of another type.
            steps.extend(self.assign(high, &Value::from(EntityUID::clone(&candidate))));
        }
        for place in places {
            steps.extend(self.assign(low, &Value::from(EntityUID::clone(&place))));
            steps.push(Step {
                spot: Spot::Parent(Arc::clone(&uid), place, true),
                to: None,
            });
        }
        steps
    }

    fn binary(&self, op: BinaryOp, sides: [&Expr; 2], wanted: bool) -> Vec<Step> {
        match op {
            BinaryOp::Eq => self.equal(sides, wanted),
            BinaryOp::Less if wanted => self.compare(sides, -1),
            BinaryOp::Less => self.compare(sides, 0),
            BinaryOp::LessEq if wanted => self.compare(sides, 0),
            BinaryOp::LessEq => self.compare(sides, 1),
            BinaryOp::In => self.membership(sides, wanted),
            BinaryOp::Contains | BinaryOp::ContainsAll | BinaryOp::ContainsAny => {
                self.elements(op, sides, wanted)
            }
            _ => Vec::new(),
        }
    }
}

/// The entity that a value is.
fn entity(value: &Value) -> Option<Arc<EntityUID>> {
    match value.value_kind() {
        ValueKind::Lit(Literal::EntityUID(uid)) => Some(Arc::clone(uid)),
        _ => None,
    }
}
