//! What a decision is.

use std::fmt;
use std::sync::Arc;

use super::footprint::Footprint;
use super::policy::PolicyInfo;

/// The answer to one query.
#[derive(Debug)]
pub struct Decision {
    outcome: Outcome,
    /// The policies that made it: all satisfied forbids, else all satisfied
    /// permits, in order of id, static ones before links.
    pub policies: Vec<Arc<PolicyInfo>>,
    /// The policies whose evaluation failed, whatever that did to the answer.
    pub errors: Vec<PolicyError>,
    footprint: Footprint,
}

/// Allow or deny.
#[derive(Debug)]
pub enum Outcome {
    /// Allowed, with the proof that the engine said so.
    Allow(Permit),
    /// Denied, and by what.
    Deny(Cause),
}

/// The proof that a policy permitted something.
///
/// Only the engine can make one, and it can be neither cloned nor copied:
/// "forgot to ask" does not compile. An adapter writes "allow" from a
/// `&Permit` and from nothing else.
///
/// ```compile_fail
/// let forged = deodar::engine::Permit(());
/// ```
///
/// ```compile_fail
/// fn copy(permit: &deodar::engine::Permit) -> deodar::engine::Permit {
///     permit.clone()
/// }
/// ```
///
/// ```compile_fail
/// let made = deodar::engine::Decision::allow(Vec::new(), Vec::new());
/// ```
pub struct Permit(());

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

/// Why a query was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A forbid was satisfied; it is among the policies.
    Forbidden,
    /// No permit was satisfied.
    NoPermit,
    /// A forbid could not be evaluated and might have been satisfied; it is
    /// among the errors.
    ForbidFailed,
    /// The principal is neither stored nor carried by the request.
    UnknownPrincipal,
    /// The schema does not declare the action.
    UnknownAction,
    /// The resource is neither stored nor carried by the request.
    UnknownResource,
    /// The schema does not let this type of principal do this action to this
    /// type of resource.
    NotApplicable,
    /// The audit log did not take the record, so nothing is allowed.
    NotRecorded,
}

impl Cause {
    /// The name used in JSON, metrics and test cases.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::NoPermit => "no_permit",
            Self::ForbidFailed => "forbid_failed",
            Self::UnknownPrincipal => "unknown_principal",
            Self::UnknownAction => "unknown_action",
            Self::UnknownResource => "unknown_resource",
            Self::NotApplicable => "not_applicable",
            Self::NotRecorded => "not_recorded",
        }
    }

    /// One sentence for a person.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Forbidden => "a policy forbids it",
            Self::NoPermit => "no policy permits it",
            Self::ForbidFailed => "a forbid could not be evaluated, so it counts as satisfied",
            Self::UnknownPrincipal => {
                "the principal is not known: neither stored nor carried by the request"
            }
            Self::UnknownAction => "the schema does not declare this action",
            Self::UnknownResource => {
                "the resource is not known: neither stored nor carried by the request"
            }
            Self::NotApplicable => {
                "the schema does not let this type of principal do this to this type of resource"
            }
            Self::NotRecorded => "the audit log has no room for the record, so nothing is allowed",
        }
    }
}

/// A policy whose evaluation failed.
#[derive(Debug, Clone)]
pub struct PolicyError {
    /// The policy.
    pub policy: Arc<PolicyInfo>,
    /// What Cedar's evaluator said.
    pub message: String,
}

impl Decision {
    pub(super) fn allow(policies: Vec<Arc<PolicyInfo>>, errors: Vec<PolicyError>) -> Self {
        Self {
            outcome: Outcome::Allow(Permit(())),
            policies,
            errors,
            footprint: Footprint::default(),
        }
    }

    pub(super) fn deny(
        cause: Cause,
        policies: Vec<Arc<PolicyInfo>>,
        errors: Vec<PolicyError>,
    ) -> Self {
        Self {
            outcome: Outcome::Deny(cause),
            policies,
            errors,
            footprint: Footprint::default(),
        }
    }

    /// The deny of a decision that cannot be recorded.
    pub fn not_recorded() -> Self {
        Self::deny(Cause::NotRecorded, Vec::new(), Vec::new())
    }

    pub(super) fn resting_on(self, footprint: Footprint) -> Self {
        Self {
            footprint: footprint.complete(),
            ..self
        }
    }

    /// The entities that it rests on.
    pub fn footprint(&self) -> &Footprint {
        &self.footprint
    }

    /// Allow or deny.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Whether the answer is allow. For reports; what *lets* something happen
    /// takes the [`Permit`].
    pub fn is_allow(&self) -> bool {
        matches!(self.outcome, Outcome::Allow(_))
    }

    /// Why it was denied; `None` when it was allowed.
    pub fn cause(&self) -> Option<Cause> {
        match &self.outcome {
            Outcome::Allow(_) => None,
            Outcome::Deny(cause) => Some(*cause),
        }
    }

    /// What a person could do about the decision: `@advice` of its policies.
    pub fn advice(&self) -> impl Iterator<Item = &str> {
        let policies = self.policies.iter().map(|policy| &**policy);
        let failed = self.errors.iter().map(|error| &*error.policy);
        policies
            .chain(failed)
            .filter_map(|policy| policy.annotation("advice"))
    }

    /// What the enforcement point must do for the decision to hold, with the
    /// policy that says so.
    pub fn obligations(&self) -> impl Iterator<Item = (&str, &PolicyInfo)> {
        self.policies
            .iter()
            .flat_map(|policy| policy.obligations().map(move |name| (name, &**policy)))
    }
}
