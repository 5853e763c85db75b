//! Environments: what the schema lets go together, and formulas of policies for it.

use std::fmt;

use cedar_policy::RequestEnv;
use cedar_policy_core::ast;
use cedar_policy_core::ast::ActionConstraint;
use cedar_policy_core::ast::Effect;
use cedar_policy_core::ast::EntityReference;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::PrincipalOrResourceConstraint;
use cedar_policy_symcc::CompiledPolicy;
use cedar_policy_symcc::CompiledPolicySet;
use cedar_policy_symcc::CompiledSchema;
use cedar_policy_symcc::SymEnv;
use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::never_errors_asserts;

use super::policies::Unit;
use super::policies::does_not_fail;
use super::policies::narrowed;
use super::solver::Solver;
use crate::engine::manifest::OnError;
use crate::engine::schema::Schema;

/// A type of principal, an action and a type of resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Environment {
    /// The type of the principal.
    pub principal: EntityType,
    /// The action.
    pub action: EntityUID,
    /// The type of the resource.
    pub resource: EntityType,
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.principal, self.action, self.resource)
    }
}

impl Environment {
    /// Every environment of the schema, in order of action, principal, resource.
    pub fn all(schema: &Schema) -> Vec<Self> {
        let mut all: Vec<Self> = schema
            .cedar()
            .request_envs()
            .map(|env| Self {
                principal: env.principal().as_ref().clone(),
                action: env.action().as_ref().clone(),
                resource: env.resource().as_ref().clone(),
            })
            .collect();
        all.sort_by_cached_key(|env| {
            (
                env.action.to_string(),
                env.principal.to_string(),
                env.resource.to_string(),
            )
        });
        all.dedup();
        all
    }

    fn request_env(&self) -> RequestEnv {
        RequestEnv::new(
            self.principal.clone().into(),
            self.action.clone().into(),
            self.resource.clone().into(),
        )
    }
}

/// Why there is no formula of what a service allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unserved {
    /// The policies have none.
    NoFormula(String),
    /// The solver does not know what it was asked for it.
    NoAnswer(String),
}

impl Unserved {
    /// In words.
    pub(super) fn reason(self) -> String {
        match self {
            Self::NoFormula(reason) | Self::NoAnswer(reason) => reason,
        }
    }
}

/// Makes formulas. Shared by all threads.
#[derive(Debug)]
pub(super) struct Compiler<'a> {
    schema: &'a Schema,
    symbolic: CompiledSchema,
}

impl<'a> Compiler<'a> {
    /// Prepares a schema.
    ///
    /// # Errors
    /// When it has something that formulas have no word for.
    pub(super) fn new(schema: &'a Schema) -> Result<Self, String> {
        let symbolic = CompiledSchema::new(schema.cedar()).map_err(|error| error.to_string())?;
        Ok(Self { schema, symbolic })
    }

    /// The formulas of one environment.
    pub(super) fn within<'b>(&'b self, environment: &'b Environment) -> Within<'b> {
        Within {
            schema: self.schema,
            symbolic: &self.symbolic,
            environment,
            request_env: environment.request_env(),
        }
    }
}

/// One environment in which policies are turned into formulas.
pub(super) struct Within<'a> {
    schema: &'a Schema,
    symbolic: &'a CompiledSchema,
    pub(super) environment: &'a Environment,
    request_env: RequestEnv,
}

impl Within<'_> {
    fn symbols(&self) -> Result<SymEnv, String> {
        self.symbolic
            .sym_env(&self.request_env)
            .map_err(|error| because(&error))
    }

    /// The formula of when a policy matches.
    pub(super) fn policy(&self, policy: &ast::Policy) -> Result<CompiledPolicy, String> {
        CompiledPolicy::compile_with_custom_symenv(
            &policy.clone().into(),
            &self.request_env,
            self.schema.cedar(),
            self.symbols()?,
        )
        .map_err(|error| because(&error))
    }

    /// The formula of what a set of policies allows.
    pub(super) fn set<'p>(
        &self,
        policies: impl IntoIterator<Item = &'p ast::Policy>,
    ) -> Result<CompiledPolicySet, String> {
        let mut set = ast::PolicySet::new();
        for policy in policies {
            set.add(policy.clone()).map_err(|error| error.to_string())?;
        }
        CompiledPolicySet::compile_with_custom_symenv(
            &set.into(),
            &self.request_env,
            self.schema.cedar(),
            self.symbols()?,
        )
        .map_err(|error| because(&error))
    }

    /// Whether the scope of a policy can match here at all. Cheap, and only ever
    /// wrong by saying yes.
    pub(super) fn concerns(&self, policy: &ast::Policy) -> bool {
        let Environment {
            principal,
            action,
            resource,
        } = self.environment;
        self.action_fits(policy.action_constraint(), action)
            && self.party_fits(policy.principal_constraint().as_inner(), principal)
            && self.party_fits(policy.resource_constraint().as_inner(), resource)
    }

    /// The formula of what the service allows: where a failing forbid denies, each
    /// permit is narrowed to where none of the forbids fails.
    ///
    /// # Errors
    /// When there is no formula, or the solver does not know which forbids can fail.
    pub(super) fn served(
        &self,
        solver: &mut Solver,
        units: &[&Unit],
        on_error: OnError,
    ) -> Result<CompiledPolicySet, Unserved> {
        let mut guard: Option<Expr> = None;
        for unit in units {
            if unit.effect() != Effect::Forbid || on_error == OnError::Cedar {
                continue;
            }
            let compiled = self.policy(&unit.policy).map_err(Unserved::NoFormula)?;
            let asked = solver.is_unsatisfiable(&never_errors_asserts(&compiled));
            if asked.map_err(Unserved::NoAnswer)? {
                continue;
            }
            let whole = does_not_fail(&unit.policy);
            guard = Some(match guard {
                Some(guard) => Expr::and(guard, whole),
                None => whole,
            });
        }
        let Some(guard) = guard else {
            let set = self.set(units.iter().map(|unit| &unit.policy));
            return set.map_err(Unserved::NoFormula);
        };
        let guarded: Vec<ast::Policy> = units
            .iter()
            .map(|unit| match unit.effect() {
                Effect::Permit => narrowed(&unit.policy, guard.clone()),
                Effect::Forbid => unit.policy.clone(),
            })
            .collect();
        self.set(&guarded).map_err(Unserved::NoFormula)
    }

    fn action_fits(&self, constraint: &ActionConstraint, action: &EntityUID) -> bool {
        let is_or_in = |named: &EntityUID| {
            *named == *action
                || self.schema.action(action).is_some_and(|facts| {
                    let mut ancestors = facts.ancestors.iter();
                    ancestors.any(|ancestor| **ancestor.uid() == *named)
                })
        };
        match constraint {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(named) => **named == *action,
            ActionConstraint::In(named) => named.iter().any(|named| is_or_in(named)),
        }
    }

    fn party_fits(&self, constraint: &PrincipalOrResourceConstraint, party: &EntityType) -> bool {
        use PrincipalOrResourceConstraint as Por;
        match constraint {
            Por::Any => true,
            Por::Is(wanted) => **wanted == *party,
            Por::Eq(named) => of_type(named).is_none_or(|named| *named == *party),
            Por::In(named) => self.can_be_in(party, named),
            Por::IsIn(wanted, named) => **wanted == *party && self.can_be_in(party, named),
        }
    }

    fn can_be_in(&self, party: &EntityType, named: &EntityReference) -> bool {
        of_type(named).is_none_or(|above| {
            let declared = self.schema.validator().get_entity_type(above);
            *above == *party || declared.is_none_or(|declared| declared.descendants.contains(party))
        })
    }
}

fn of_type(named: &EntityReference) -> Option<&EntityType> {
    match named {
        EntityReference::EUID(uid) => Some(uid.entity_type()),
        EntityReference::Slot(_) => None,
    }
}

/// Why there is no formula.
fn because(error: &Error) -> String {
    let Error::PolicyNotWellTyped { errs } = error else {
        return error.to_string();
    };
    let first = errs.first().map(ToString::to_string).unwrap_or_default();
    format!("the policies do not fit the schema: {first}")
}
