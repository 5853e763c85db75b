//! Policies and schemas brought into one form.
//!
//! Policies are laid out by Cedar's own formatter. Cedar's writer of schemas forgets
//! comments, so schemas are laid out here, token by token (`schema.rs`). Either way
//! the outcome is read again, and kept only if it says the same.

pub mod schema;

use std::sync::Arc;

use cedar_policy::SchemaFragment;
use cedar_policy_core::parser::parse_policyset;
use cedar_policy_formatter::Config;
use cedar_policy_formatter::policies_str_to_pretty;

use super::lint::policy::Policy;
use super::lint::source::Source;
use crate::engine::Fault;
use crate::engine::nesting;
use crate::engine::nesting::Language;

/// Columns, as the reference policies have them.
const WIDTH: usize = 80;
/// Spaces for each level.
const INDENT: isize = 2;

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `*.cedar`
    Policies,
    /// `*.cedarschema`
    Schema,
}

/// Brings a text into the one form; a text that is in it comes back as it is.
///
/// # Errors
/// Where it does not parse; or, when formatting would have changed what it says,
/// that this is a fault of ours.
pub fn format(kind: Kind, file: &str, text: &Arc<str>) -> Result<String, Vec<Fault>> {
    let language = match kind {
        Kind::Policies => Language::Policies,
        Kind::Schema => Language::Schema,
    };
    if let Some(at) = nesting::too_deep(text, language) {
        let fault = Fault::at(file, text, (at, 1).into(), "nested too deep");
        return Err(vec![fault.with_hint("write it flatter")]);
    }
    stacker::grow(nesting::STACK_BYTES, || match kind {
        Kind::Policies => policies(file, text),
        Kind::Schema => of_schema(file, text),
    })
}

fn policies(file: &str, text: &Arc<str>) -> Result<String, Vec<Fault>> {
    if let Err(errors) = parse_policyset(text) {
        let faults = errors.iter().map(|error| {
            let mut fault = Fault::from_cedar(file, text, error);
            let hint = || "is something missing here, or just before?".to_owned();
            fault.hint.get_or_insert_with(hint);
            fault
        });
        return Err(faults.collect());
    }
    let unix = with_line_feeds(text);
    let ours = |what: &str| vec![ours(file, what)];
    let written = Policy::parse_all(&Arc::new(Source::new(file, &unix)))
        .map_err(|error| ours(&error.to_string()))?;
    if written.is_empty() {
        return Ok(only_comments(&unix));
    }
    // One by one: Cedar's formatter looks for the comments of each part of a policy
    // among all tokens that it is given.
    let laid_out: Vec<String> = pieces(&unix, &written)
        .into_iter()
        .map(|piece| laid_out(piece).map_err(|error| ours(&error)))
        .collect::<Result<_, _>>()?;
    let formatted = laid_out.join("\n");
    if says_the_same(text, &formatted) && comments(&unix) == comments(&formatted) {
        Ok(formatted)
    } else {
        Err(ours("the outcome would say something else"))
    }
}

/// Cedar ends a comment at a carriage return, and its formatter does not.
fn with_line_feeds(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// The text of each policy with the comments before it and the one at the end of its
/// last line; the last one has the rest of the file.
fn pieces<'t>(text: &'t str, policies: &[Policy]) -> Vec<&'t str> {
    let mut start = 0;
    let mut pieces = Vec::with_capacity(policies.len());
    for (at, policy) in policies.iter().enumerate() {
        let rest = text.get(policy.span.end..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        let end = if at + 1 == policies.len() {
            text.len()
        } else if line.trim_start().starts_with("//") {
            policy.span.end + line.len()
        } else {
            policy.span.end
        };
        pieces.push(text.get(start..end).unwrap_or_default());
        start = end;
    }
    pieces
}

/// One policy in the one form.
fn laid_out(piece: &str) -> Result<String, String> {
    let config = Config {
        line_width: WIDTH,
        indent_width: INDENT,
    };
    let pretty =
        |text: &str| policies_str_to_pretty(text, &config).map_err(|error| error.to_string());
    let once = pretty(piece)?;
    if once.trim() == piece.trim() {
        return Ok(once);
    }
    // A comment that moves may change where a line is broken, once.
    pretty(&once)
}

fn only_comments(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let text = lines.join("\n");
    let text = text.trim();
    if text.is_empty() {
        String::new()
    } else {
        format!("{text}\n")
    }
}

/// Whether two texts have the same policies in the same order.
fn says_the_same(before: &str, after: &str) -> bool {
    let policies = |text: &str| Policy::parse_all(&Arc::new(Source::new("", text)));
    let (Ok(before), Ok(after)) = (policies(before), policies(after)) else {
        return false;
    };
    before.len() == after.len()
        && before.iter().zip(&after).all(|(a, b)| {
            let (x, y) = (&a.template, &b.template);
            let annotations = |policy: &Policy| {
                let all = policy.annotations.iter();
                all.map(|written| (written.name.clone(), written.value.clone()))
                    .collect::<Vec<_>>()
            };
            x.effect() == y.effect()
                && x.principal_constraint() == y.principal_constraint()
                && x.action_constraint() == y.action_constraint()
                && x.resource_constraint() == y.resource_constraint()
                && x.non_scope_constraints() == y.non_scope_constraints()
                && annotations(a) == annotations(b)
        })
}

/// The comments of a text, in order.
fn comments(text: &str) -> Vec<&str> {
    schema::comments(text)
}

fn of_schema(file: &str, text: &Arc<str>) -> Result<String, Vec<Fault>> {
    let before = match SchemaFragment::from_cedarschema_str(text) {
        Ok((fragment, _)) => fragment,
        Err(error) => return Err(vec![Fault::from_cedar(file, text, &error)]),
    };
    let unix = with_line_feeds(text);
    let formatted = schema::laid_out(&unix);
    let json = |fragment: SchemaFragment| fragment.to_json_value().ok();
    let after = SchemaFragment::from_cedarschema_str(&formatted);
    let after = after.ok().and_then(|(fragment, _)| json(fragment));
    let is_same = after.is_some() && after == json(before);
    if is_same && comments(&unix) == comments(&formatted) {
        Ok(formatted)
    } else {
        Err(vec![ours(file, "the outcome would say something else")])
    }
}

fn ours(file: &str, what: &str) -> Fault {
    Fault::of_file(file, format!("cannot be formatted: {what}"))
        .with_hint("this is a fault of deodar; the file is left as it is, please report it")
}
