//! What a case expects, as its file writes it.

use std::collections::BTreeSet;

use super::node::Node;
use super::node::Value;
use super::page::Members;
use super::page::Page;
use super::page::quoted;
use super::suite::Expected;
use super::suite::ExpectedPolicies;
use crate::config::closest::closest;
use crate::engine::Cause;
use crate::engine::link::Link;

/// The members that say what is expected.
pub(super) const EXPECT_KEYS: &[&str] = &[
    "decision",
    "policies",
    "cause",
    "advice",
    "obligations",
    "errors",
];

/// The causes that a test can meet; without an audit log none is `not_recorded`.
const CAUSES: [Cause; 7] = [
    Cause::Forbidden,
    Cause::NoPermit,
    Cause::ForbidFailed,
    Cause::UnknownPrincipal,
    Cause::UnknownAction,
    Cause::UnknownResource,
    Cause::NotApplicable,
];

/// Reads the members that say what is expected. Policies are those of the
/// repository, or of these links.
pub(super) fn read(page: &mut Page<'_>, members: &mut Members, links: &[Link]) -> Option<Expected> {
    let decision = page.required(members, "decision");
    let allow = decision.and_then(|node| decision_of(page, node));
    let cause = match members.take("cause") {
        Some(node) => cause_of(page, node, allow).map(Some),
        None => Some(None),
    };
    let policies = match members.take("policies") {
        Some(node) => policies_of(page, node, links).map(Some),
        None => Some(None),
    };
    let errors = match members.take("errors") {
        Some(node) => ids(page, node, "`errors`", links).map(Some),
        None => Some(None),
    };
    let mut words = |name: &str| match members.take(name) {
        Some(node) => {
            let texts = page.texts(node, &format!("`{name}`"))?;
            Some(Some(texts.into_iter().map(|(text, _)| text).collect()))
        }
        None => Some(None),
    };
    let (advice, obligations) = (words("advice"), words("obligations"));
    Some(Expected {
        allow: allow?,
        cause: cause?,
        policies: policies?,
        errors: errors?,
        advice: advice?,
        obligations: obligations?,
        ..Expected::default()
    })
}

/// `allow` or `deny`.
pub(super) fn decision_of(page: &mut Page<'_>, node: Node) -> Option<bool> {
    let place = node.place.clone();
    match page.text(node, "`decision`")?.as_str() {
        "allow" => Some(true),
        "deny" => Some(false),
        other => {
            let message = format!("`{other}` is not a decision");
            page.fault(&place, message, "write `allow` or `deny`");
            None
        }
    }
}

fn cause_of(page: &mut Page<'_>, node: Node, allow: Option<bool>) -> Option<Cause> {
    let place = node.place.clone();
    let text = page.text(node, "`cause`")?;
    let names = || CAUSES.into_iter().map(Cause::as_str);
    let Some(cause) = CAUSES.into_iter().find(|cause| cause.as_str() == text) else {
        let hint = match closest(&text, names()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are {}", quoted(names())),
        };
        page.fault(&place, format!("`{text}` is not a cause"), hint);
        return None;
    };
    if allow == Some(true) {
        let message = "what is allowed has no cause: that is why something is denied";
        page.fault(&place, message, "leave `cause` out, or expect `deny`");
        return None;
    }
    Some(cause)
}

fn policies_of(page: &mut Page<'_>, node: Node, links: &[Link]) -> Option<ExpectedPolicies> {
    match node.value {
        Value::Map(_) => {
            let mut members = page.members(node, "`policies`", &["include"])?;
            let include = page.required(&mut members, "include")?;
            ids(page, include, "`include`", links).map(ExpectedPolicies::Including)
        }
        _ => ids(page, node, "`policies`", links).map(ExpectedPolicies::Exactly),
    }
}

/// A list of policies and links.
pub(super) fn ids(
    page: &mut Page<'_>,
    node: Node,
    what: &str,
    links: &[Link],
) -> Option<BTreeSet<String>> {
    let texts = page.texts(node, what)?;
    for (id, place) in &texts {
        page.check_policy(id, place, links);
    }
    Some(texts.into_iter().map(|(id, _)| id).collect())
}
