//! An invariants file as it is written, and what it means.

use std::str::FromStr as _;
use std::sync::Arc;

use cedar_policy::EntityUid;
use cedar_policy_core::ast;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::parser::parse_policy;
use cedar_policy_core::validator::ValidationMode;
use cedar_policy_core::validator::Validator;
use miette::Diagnostic;
use serde::Deserialize;
use serde_saphyr::Location;
use serde_saphyr::Spanned;

use super::Accepted;
use super::Claim;
use super::Demands;
use super::Filter;
use super::Invariant;
use super::Policies;
use super::place::Source;
use crate::analysis::symbolic::LinkScope;
use crate::analysis::symbolic::findings::Kind;
use crate::analysis::symbolic::policies::narrowed;
use crate::engine::Fault;
use crate::engine::Snapshot;
use crate::engine::nesting;
use crate::engine::nesting::Language;
use crate::engine::query::entity_type;
use crate::engine::schema::Schema;

const KINDS: &str = "`never`, `always`, `never_errors`, `never_applies`, `implies` or `disjoint`";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(rename = "description")]
    _description: Option<String>,
    invariants: Spanned<Vec<Spanned<RawInvariant>>>,
    #[serde(default)]
    accept: Vec<RawAccepted>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAccepted {
    finding: Spanned<Kind>,
    policies: Vec<Spanned<String>>,
    because: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInvariant {
    name: Spanned<String>,
    because: Option<String>,
    never: Option<Spanned<String>>,
    always: Option<Spanned<String>>,
    never_errors: Option<Vec<Spanned<String>>>,
    never_applies: Option<Vec<Spanned<String>>>,
    implies: Option<Spanned<Vec<Spanned<String>>>>,
    disjoint: Option<Spanned<Vec<Spanned<String>>>>,
    assume: Option<Spanned<String>>,
    links: Option<Spanned<LinkScope>>,
    environments: Option<RawFilter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawFilter {
    principals: Vec<Spanned<String>>,
    actions: Vec<Spanned<String>>,
    resources: Vec<Spanned<String>>,
}

/// Reads one file: what of it is good, with the faults of the rest.
///
/// # Errors
/// When it cannot be read at all.
pub(super) fn parse(
    file: &str,
    content: &[u8],
    snapshot: &Snapshot,
    links: &[&str],
) -> Result<Demands, Vec<Fault>> {
    let text = std::str::from_utf8(content)
        .map_err(|error| vec![Fault::not_utf8(file, content, error.valid_up_to())])?;
    let source = Source {
        file,
        text: text.into(),
    };
    let Some(schema) = snapshot.schema() else {
        let fault = Fault::of_file(file, "invariants need a schema, and there is none");
        return Err(vec![fault.with_hint("add a `*.cedarschema` file")]);
    };
    let options = serde_saphyr::options! { with_snippet: false };
    let raw: RawFile = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| vec![yaml_fault(&source, &error)])?;
    let mut reader = Reader {
        source,
        snapshot,
        schema,
        links,
        faults: Vec::new(),
    };
    if raw.invariants.value.is_empty() {
        let fault = (reader.source)
            .fault(raw.invariants.referenced, "there is no invariant")
            .with_hint("write at least one, or remove the file");
        reader.faults.push(fault);
    }
    let written = raw.invariants.value.len();
    let invariants: Vec<Invariant> = raw
        .invariants
        .value
        .into_iter()
        .filter_map(|raw| reader.invariant(raw))
        .collect();
    let accepted = raw.accept.into_iter();
    let accepted = accepted.filter_map(|raw| reader.accepted(raw)).collect();
    Ok(Demands {
        left_out: written - invariants.len(),
        invariants,
        accepted,
        faults: reader.faults,
    })
}

fn yaml_fault(source: &Source<'_>, error: &serde_saphyr::Error) -> Fault {
    let words = error.to_string();
    // The parser ends its message with the place, which a fault has anyway.
    let first = words.lines().next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first);
    let message = message.split(" at line ").next().unwrap_or(message);
    // What its programmer could do about it is nothing for the author of the file.
    let message = message.split(", set ").next().unwrap_or(message);
    let message = format!("not an invariants file: {message}");
    let fault = match error.location() {
        Some(at) => source.fault(at, message),
        None => Fault::of_file(source.file, message),
    };
    fault.with_hint("see docs/invariants-file.schema.json; an invariant has a `name` and what is claimed, such as `never: |`")
}

struct Reader<'a> {
    source: Source<'a>,
    snapshot: &'a Snapshot,
    schema: &'a Schema,
    links: &'a [&'a str],
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn invariant(&mut self, raw: Spanned<RawInvariant>) -> Option<Invariant> {
        let before = self.faults.len();
        let raw = raw.value;
        let at = raw.name.referenced;
        let claim = self.claim(&raw);
        let within = raw.environments.map(|filter| self.filter(&filter));
        if raw.name.value.trim().is_empty() {
            self.fault(
                at,
                "an invariant has no name",
                "say in a sentence what must hold",
            );
        }
        let claim = claim.filter(|_| self.faults.len() == before)?;
        Some(Invariant {
            name: raw.name.value,
            because: raw.because,
            file: self.source.file.into(),
            line: usize::try_from(at.line()).unwrap_or(0),
            text: Arc::clone(&self.source.text),
            span: self.source.span(at),
            claim,
            links: raw.links.map(|links| links.value).unwrap_or_default(),
            within: within.unwrap_or_default(),
        })
    }

    fn accepted(&mut self, raw: RawAccepted) -> Option<Accepted> {
        let known: Vec<Option<String>> = raw.policies.iter().map(|id| self.policy(id)).collect();
        Some(Accepted {
            kind: raw.finding.value,
            policies: known.into_iter().collect::<Option<Vec<String>>>()?,
            because: raw.because,
            file: self.source.file.into(),
            line: usize::try_from(raw.finding.referenced.line()).unwrap_or(0),
        })
    }

    fn claim(&mut self, raw: &RawInvariant) -> Option<Claim> {
        let mut claims = Vec::new();
        let mut takes_assumption = false;
        if let Some(text) = &raw.never {
            takes_assumption = true;
            claims.push(
                self.matcher(text, raw.assume.as_ref())
                    .map(|matcher| Claim::Never(Box::new(matcher))),
            );
        }
        if let Some(text) = &raw.always {
            takes_assumption = true;
            claims.push(
                self.matcher(text, raw.assume.as_ref())
                    .map(|matcher| Claim::Always(Box::new(matcher))),
            );
        }
        if let Some(ids) = &raw.never_errors {
            claims.push(self.policies(ids).map(Claim::NeverErrors));
        }
        if let Some(ids) = &raw.never_applies {
            claims.push(self.policies(ids).map(Claim::NeverApplies));
        }
        if let Some(ids) = &raw.implies {
            claims.push(self.implication(ids));
        }
        if let Some(ids) = &raw.disjoint {
            claims.push(self.pair(ids).map(|(a, b)| Claim::Disjoint(a, b)));
        }
        let at = raw.name.referenced;
        if let Some(assume) = &raw.assume
            && !takes_assumption
        {
            self.fault(
                assume.referenced,
                "`assume` goes with `never` or `always` only",
                "remove it, or say what is claimed with `never` or `always`",
            );
        }
        if let Some(links) = &raw.links
            && !takes_assumption
        {
            self.fault(
                links.referenced,
                "`links` goes with `never` or `always` only",
                "name the templates or links instead",
            );
        }
        if claims.len() != 1 {
            let message = format!("an invariant claims one thing, this one {}", claims.len());
            self.fault(at, message, &format!("write one of {KINDS}"));
            return None;
        }
        claims.pop().flatten()
    }

    /// The policy that says what a claim is about.
    fn matcher(
        &mut self,
        text: &Spanned<String>,
        assume: Option<&Spanned<String>>,
    ) -> Option<ast::Policy> {
        self.is_shallow(text)?;
        let id = Some(ast::PolicyID::from_string("the policy of the invariant"));
        let parsed = match parse_policy(id, &text.value) {
            Ok(parsed) => parsed,
            Err(errors) => {
                for error in errors.iter() {
                    self.cedar_fault(text, error, "write one Cedar policy: `permit (principal, action, resource) when { .. };`");
                }
                return None;
            }
        };
        let matcher = ast::Policy::from(parsed);
        self.is_valid(&matcher, text)?;
        let Some(assume) = assume else {
            return Some(matcher);
        };
        self.is_shallow(assume)?;
        let assumed = match assume.value.parse::<ast::Expr>() {
            Ok(assumed) => assumed,
            Err(errors) => {
                for error in errors.iter() {
                    self.cedar_fault(
                        assume,
                        error,
                        "write a Cedar condition: `resource has site`",
                    );
                }
                return None;
            }
        };
        let narrowed = narrowed(&matcher, assumed);
        self.is_valid(&narrowed, assume)?;
        Some(narrowed)
    }

    fn is_shallow(&mut self, text: &Spanned<String>) -> Option<()> {
        let Some(at) = nesting::too_deep(&text.value, Language::Policies) else {
            return Some(());
        };
        let fault = (self.source)
            .fault_within(text.referenced, &text.value, at..at + 1, "nested too deep")
            .with_hint("write it flatter");
        self.faults.push(fault);
        None
    }

    fn is_valid(&mut self, policy: &ast::Policy, text: &Spanned<String>) -> Option<()> {
        let set = ast::PolicySet::singleton(policy.clone());
        let validator = Validator::new(self.schema.validator().clone());
        let result = validator.validate(&set, ValidationMode::Strict);
        let result = cedar_policy::ValidationResult::from(result);
        let before = self.faults.len();
        for error in result.validation_errors() {
            self.cedar_fault(text, error, "see the schema");
        }
        if self.faults.len() > before {
            return None;
        }
        // What can match nothing would hold for ever.
        for warning in result.validation_warnings() {
            if matches!(
                warning,
                cedar_policy::ValidationWarning::ImpossiblePolicy(_)
            ) {
                self.cedar_fault(
                    text,
                    warning,
                    "an invariant about nothing always holds; widen it or remove it",
                );
            }
        }
        (self.faults.len() == before).then_some(())
    }

    fn cedar_fault(&mut self, text: &Spanned<String>, error: &dyn Diagnostic, hint: &str) {
        let label = error.labels().and_then(|mut labels| labels.next());
        let message = match label.as_ref().and_then(|label| label.label()) {
            Some(label) => format!("{error}: {label}"),
            None => error.to_string(),
        };
        let message = message.replacen("for policy `the policy of the invariant`, ", "", 1);
        let fault = match label {
            Some(label) => {
                let range = label.offset()..label.offset() + label.len();
                (self.source).fault_within(text.referenced, &text.value, range, message)
            }
            None => self.source.fault(text.referenced, message),
        };
        let hint = error
            .help()
            .map_or_else(|| hint.to_owned(), |help| help.to_string());
        self.faults.push(fault.with_hint(hint));
    }

    fn policies(&mut self, ids: &[Spanned<String>]) -> Option<Policies> {
        if ids.iter().any(|id| id.value == "*") {
            return Some(Policies::All);
        }
        let known: Vec<Option<String>> = ids.iter().map(|id| self.policy(id)).collect();
        known
            .into_iter()
            .collect::<Option<Vec<String>>>()
            .map(Policies::These)
    }

    fn pair(&mut self, ids: &Spanned<Vec<Spanned<String>>>) -> Option<(String, String)> {
        let [one, other] = ids.value.as_slice() else {
            self.fault(
                ids.referenced,
                format!("two policies are needed, not {}", ids.value.len()),
                "write [first-id, second-id]",
            );
            return None;
        };
        let (one, other) = (self.policy(one), self.policy(other));
        one.zip(other)
    }

    /// Two policies of which the second is no template: that matches nothing until it
    /// is linked, and then what its link does.
    fn implication(&mut self, ids: &Spanned<Vec<Spanned<String>>>) -> Option<Claim> {
        let (narrow, wide) = self.pair(ids)?;
        if self.snapshot.template(&wide).is_none() {
            return Some(Claim::Implies(narrow, wide));
        }
        let at = ids.value.get(1).map_or(ids.referenced, |id| id.referenced);
        let message =
            format!("`{wide}` is a template, which matches nothing that no link of it matches");
        self.fault(at, message, "name a link of it, or a policy");
        None
    }

    fn policy(&mut self, id: &Spanned<String>) -> Option<String> {
        let name = id.value.as_str();
        let is_known = self.snapshot.rules().get(name).is_some()
            || self.snapshot.template(name).is_some()
            || self.links.contains(&name);
        if is_known {
            return Some(name.to_owned());
        }
        let message = format!("there is no policy, template or link `{name}`");
        let hint = "write its `@id`, or `*` for all of them";
        self.fault(id.referenced, message, hint);
        None
    }

    fn filter(&mut self, raw: &RawFilter) -> Filter {
        let mut types = |names: &[Spanned<String>], field: &str| -> Vec<EntityType> {
            let found = names.iter().map(|name| {
                entity_type(self.snapshot, &field, &name.value)
                    .map_err(|error| (name.referenced, error.to_string(), error.hint()))
            });
            let (good, bad): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
            for (at, message, hint) in bad.into_iter().filter_map(Result::err) {
                self.fault(at, message, &hint);
            }
            good.into_iter().filter_map(Result::ok).collect()
        };
        let principals = types(&raw.principals, "principals");
        let resources = types(&raw.resources, "resources");
        let actions = raw.actions.iter().flat_map(|name| self.actions(name));
        Filter {
            actions: actions.collect(),
            principals,
            resources,
        }
    }

    /// An action, and those that are in it: a group by itself is in no environment.
    fn actions(&mut self, name: &Spanned<String>) -> Vec<EntityUID> {
        let found = EntityUid::from_str(&name.value)
            .ok()
            .map(|uid| uid.as_ref().clone())
            .filter(|uid| self.schema.action(uid).is_some());
        let Some(found) = found else {
            let message = format!("`{}` is not an action of the schema", name.value);
            let hint = "write it as in a policy: `Namespace::Action::\"name\"`";
            self.fault(name.referenced, message, hint);
            return Vec::new();
        };
        let members = self.schema.actions().filter(|facts| {
            let mut above = facts.ancestors.iter();
            above.any(|above| **above.uid() == found)
        });
        let mut all: Vec<EntityUID> = members.map(|facts| facts.entity.uid().clone()).collect();
        all.push(found);
        all
    }

    fn fault(&mut self, at: Location, message: impl Into<String>, hint: &str) {
        let fault = self.source.fault(at, message).with_hint(hint);
        self.faults.push(fault);
    }
}
