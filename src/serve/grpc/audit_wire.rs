//! Audit filters and records: protobuf to and from ours.

use super::directory_wire::of_millis;
use super::status::WireError;
use crate::audit::filter::Filter;
use crate::audit::filter::Outcome;
use crate::audit::filter::PartyFilter;
use crate::audit::read::Line;
use crate::proto::v1;

/// Bytes of one text to look for.
const TEXT_BYTES_MAX: usize = 4096;
/// Kinds to look for.
const KINDS_MAX: usize = 100;

/// Reads a filter.
///
/// # Errors
/// The field that does not say what it should.
pub(super) fn filter(given: Option<v1::AuditFilter>) -> Result<Filter, WireError> {
    let given = given.unwrap_or_default();
    if given.kinds.len() > KINDS_MAX {
        let message = format!("has more than {KINDS_MAX} kinds");
        return Err(WireError::new("filter.kinds", message, "send fewer"));
    }
    let decision = match given.decision() {
        v1::Decision::Allow => Some(Outcome::Allow),
        v1::Decision::Deny => Some(Outcome::Deny),
        v1::Decision::Unspecified if given.decision == 0 => None,
        v1::Decision::Unspecified => {
            let hint = "send DECISION_ALLOW, DECISION_DENY, or nothing";
            return Err(WireError::new("filter.decision", "is no decision", hint));
        }
    };
    Ok(Filter {
        kinds: given.kinds,
        from: time("filter.from", given.from)?,
        until: time("filter.until", given.until)?,
        decision,
        cause: text("filter.cause", given.cause)?,
        principal: party("filter.principal", &given.principal)?,
        action: party("filter.action", &given.action)?,
        resource: party("filter.resource", &given.resource)?,
        policy: text("filter.policy", given.policy)?,
        policies_revision: text("filter.policies_revision", given.policies_revision)?,
        directory_revision: text("filter.directory_revision", given.directory_revision)?,
        caller: text("filter.caller", given.caller)?,
        trace: text("filter.trace", given.trace)?,
        request: text("filter.request", given.request)?,
        id: text("filter.id", given.id)?,
    })
}

fn text(field: &str, given: String) -> Result<Option<String>, WireError> {
    if given.len() > TEXT_BYTES_MAX {
        let message = format!("is longer than {TEXT_BYTES_MAX} bytes");
        return Err(WireError::new(field, message, "send less"));
    }
    Ok(Some(given).filter(|given| !given.is_empty()))
}

fn party(field: &str, given: &str) -> Result<Option<PartyFilter>, WireError> {
    if given.is_empty() {
        return Ok(None);
    }
    if given.len() > TEXT_BYTES_MAX {
        let message = format!("is longer than {TEXT_BYTES_MAX} bytes");
        return Err(WireError::new(field, message, "send less"));
    }
    given.parse().map(Some).map_err(|_| {
        let hint = r#"write it as in a policy: `Type::"id"`, or `Type` for all of that type"#;
        WireError::new(field, "names no entity and no type", hint)
    })
}

fn time(field: &str, given: Option<prost_types::Timestamp>) -> Result<Option<i64>, WireError> {
    let Some(given) = given else {
        return Ok(None);
    };
    let nanos = i64::from(given.nanos);
    let millis = given.seconds.checked_mul(1000);
    let millis = millis.and_then(|millis| millis.checked_add(nanos / 1_000_000));
    let millis = millis.filter(|_| (0..1_000_000_000).contains(&nanos));
    let hint = "send seconds since 1970, and nanoseconds below a second";
    millis
        .map(Some)
        .ok_or_else(|| WireError::new(field, "is no time", hint))
}

/// Writes a record.
pub(super) fn record(line: Line) -> v1::AuditRecord {
    v1::AuditRecord {
        seq: line.seq,
        time: Some(of_millis(line.millis)),
        kind: line.kind,
        json: line.text,
    }
}

/// Writes a filter, for a client.
pub fn write_filter(filter: &Filter) -> v1::AuditFilter {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let party =
        |party: &Option<PartyFilter>| party.as_ref().map(ToString::to_string).unwrap_or_default();
    let decision = match filter.decision {
        None => v1::Decision::Unspecified,
        Some(Outcome::Allow) => v1::Decision::Allow,
        Some(Outcome::Deny) => v1::Decision::Deny,
    };
    v1::AuditFilter {
        kinds: filter.kinds.clone(),
        from: filter.from.map(of_millis),
        until: filter.until.map(of_millis),
        decision: decision.into(),
        cause: text(&filter.cause),
        principal: party(&filter.principal),
        action: party(&filter.action),
        resource: party(&filter.resource),
        policy: text(&filter.policy),
        policies_revision: text(&filter.policies_revision),
        directory_revision: text(&filter.directory_revision),
        caller: text(&filter.caller),
        trace: text(&filter.trace),
        request: text(&filter.request),
        id: text(&filter.id),
    }
}
