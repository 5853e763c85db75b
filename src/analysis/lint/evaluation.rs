//! What can go wrong while a condition is evaluated, and tests that cannot fail.

use super::finding::Found;
use super::policy::Policy;
use super::policy::span_of;
use super::rule::Check;
use super::rule::Example;
use super::rule::Group;
use super::rule::Level;
use super::rule::Needs;
use super::rule::Rule;
use super::subject::Subject;
use super::types::Typed;
use super::types::Undeclared;
use super::types::path;
use super::walk::untested_reads;
use crate::engine::closest::closest;
use crate::engine::manifest::OnError;
use crate::engine::manifest::Validation;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use smol_str::SmolStr;

/// The rules of this file.
pub const RULES: &[Rule] = &[
    Rule {
        id: "unguarded-attribute",
        group: Group::Correctness,
        level: Level::Error,
        summary: "an attribute or tag that may be missing is read without `has`",
        why: "A permit that cannot be evaluated does not permit, a forbid that cannot be evaluated denies (or, with \
              `errors = \"cedar\"`, vanishes). Strict validation refuses such a policy; this rule is for repositories without a \
              schema, where every attribute may be missing, or with `validate = \"off\"`.",
        bad: Example::with(
            r#"@id("trusted-read")
permit (principal is User, action == Action::"read", resource is Device)
when { context.risk < 3 };"#,
            &[("manifest.toml", "validate = \"off\"\n")],
        ),
        good: Example::with(
            r#"@id("trusted-read")
permit (principal is User, action == Action::"read", resource is Device)
when { context has risk && context.risk < 3 };"#,
            &[("manifest.toml", "validate = \"off\"\n")],
        ),
        is_fixable: false,
        needs: Needs::SchemaIfAny,
        check: Check::All(unguarded),
    },
    Rule {
        id: "unknown-attribute",
        group: Group::Correctness,
        level: Level::Error,
        summary: "`has` asks for an attribute that the schema does not declare",
        why: "It is never true. Cedar refuses to read what is not declared, but takes a test for it, and does not look at what \
              stands behind such a test. Looked at in every kind of request that the policy can be about: what one of them \
              declares is known.",
        bad: Example::new(
            r#"@id("nothing-without-mfa")
forbid (principal, action == Action::"command", resource)
unless { context.session has mfaa && context.session.mfaa };"#,
        ),
        good: Example::new(
            r#"@id("nothing-without-mfa")
forbid (principal, action == Action::"command", resource)
unless { context.session has mfa && context.session.mfa };"#,
        ),
        is_fixable: false,
        needs: Needs::Types,
        check: Check::All(unknown_attribute),
    },
    Rule {
        id: "forbid-can-error",
        group: Group::Security,
        level: Level::Warning,
        summary: "the condition of a forbid can fail to evaluate",
        why: "By default a forbid that fails denies, so everybody is shut out by one device whose site is not stored; with \
              `errors = \"cedar\"` the forbid vanishes, and everybody gets in. Arithmetic fails where it leaves 64 bits, \
              a time where it is moved by a duration from elsewhere, an attribute where the entity that it is read from is not stored.",
        bad: Example::new(
            r#"@id("only-in-europe")
forbid (principal, action == Action::"command", resource)
unless { resource.site.region == "eu" };"#,
        ),
        good: Example::new(
            r#"@id("only-in-europe")
forbid (principal, action == Action::"command", resource)
unless { resource.site has region && resource.site.region == "eu" };"#,
        ),
        is_fixable: false,
        needs: Needs::Types,
        check: Check::All(can_error),
    },
    Rule {
        id: "needless-has",
        group: Group::Style,
        level: Level::Info,
        summary: "`has` asks for what the schema requires",
        why: "The reader believes that the attribute may be missing. Of entities `has` also tells whether they are stored at all, so \
              only records and the context are looked at.",
        bad: Example::new(
            r#"@id("from-the-plant")
permit (principal is User, action == Action::"read", resource is Device)
when { context has session && context.session.ip.isInRange(ip("10.0.0.0/8")) };"#,
        ),
        good: Example::new(
            r#"@id("from-the-plant")
permit (principal is User, action == Action::"read", resource is Device)
when { context.session.ip.isInRange(ip("10.0.0.0/8")) };"#,
        ),
        is_fixable: false,
        needs: Needs::Types,
        check: Check::All(needless_has),
    },
];

const ASK_FIRST: &str = "ask for it with `has` before, and decide what a missing one means";

fn unguarded(subject: &Subject<'_>, found: &mut Found) {
    // What strict validation refuses is a fault of the repository already.
    if subject.schema().is_some() && subject.manifest.validate == Validation::Strict {
        return;
    }
    for (at, policy) in subject.policies.iter().enumerate() {
        found.of = Some(at);
        match subject.types.get(at) {
            Some(typed) => {
                for (span, message) in &typed.unguarded {
                    let message = message
                        .split_once(": ")
                        .map_or(&**message, |(_, text)| text);
                    found.at(policy, span.clone(), message, ASK_FIRST);
                }
            }
            None => without_schema(policy, found),
        }
    }
}

fn without_schema(policy: &Policy, found: &mut Found) {
    let Some(condition) = policy.template.non_scope_constraints() else {
        return;
    };
    untested_reads(condition, &mut |read| {
        let what = match read.expr_kind() {
            ExprKind::GetAttr { attr, .. } => format!("`{attr}` may be missing"),
            _ => "the tag may be missing".to_owned(),
        };
        found.at(policy, span_of(read), what, ASK_FIRST);
    });
}

fn each_typed<'s>(
    subject: &'s Subject<'_>,
) -> impl Iterator<Item = (usize, &'s Policy, &'s Typed)> {
    let all = subject.policies.iter().zip(&subject.types).enumerate();
    all.map(|(at, (policy, typed))| (at, policy, typed))
}

fn can_error(subject: &Subject<'_>, found: &mut Found) {
    let outcome = match subject.manifest.errors {
        OnError::Deny => "if it fails, this forbid denies",
        OnError::Cedar => "if it fails, this forbid does not apply",
    };
    for (at, policy, typed) in each_typed(subject).filter(|(_, policy, _)| !policy.is_permit()) {
        found.of = Some(at);
        for (span, name) in &typed.reads_through_entities {
            found.at(
                policy,
                span.clone(),
                format!("`{name}` is read from an entity that may not be stored; {outcome}"),
                ASK_FIRST,
            );
        }
        for span in &typed.arithmetic {
            found.at(
                policy,
                span.clone(),
                format!("this may not fit 64 bits; {outcome}"),
                "compare without arithmetic, or bound what goes in before",
            );
        }
    }
}

fn needless_has(subject: &Subject<'_>, found: &mut Found) {
    for (at, policy, typed) in each_typed(subject) {
        found.of = Some(at);
        for (span, name) in &typed.needless_tests {
            found.at(
                policy,
                span.clone(),
                format!("the schema requires `{name}`, so this is always true"),
                "leave the test out, or make the attribute optional in the schema",
            );
        }
    }
}

fn unknown_attribute(subject: &Subject<'_>, found: &mut Found) {
    for (at, policy, typed) in each_typed(subject) {
        found.of = Some(at);
        for undeclared in &typed.undeclared_tests {
            let tests = policy.expressions();
            let mut tests = tests.filter(|expr| is_test_of(expr, undeclared));
            let name = undeclared.name.as_str();
            let of = undeclared.of.join(".");
            let meant = closest(name, undeclared.declared.iter().map(SmolStr::as_str));
            let hint = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "declare it in the schema, or leave the test out".to_owned(),
            };
            found.at(
                policy,
                tests.next().map_or_else(|| policy.head(), span_of),
                format!("the schema declares no `{name}` of `{of}`, so this is never true"),
                hint,
            );
        }
    }
}

/// Whether this is where an attribute is tested.
fn is_test_of(expr: &Expr, undeclared: &Undeclared) -> bool {
    let (of, names) = match expr.expr_kind() {
        ExprKind::HasAttr { expr, attr } => (expr, vec![attr]),
        ExprKind::ExtHasAttr { expr, attrs } => (expr, attrs.iter().collect()),
        _ => return false,
    };
    let Some(mut path) = path(of) else {
        return false;
    };
    names.into_iter().any(|name| {
        let is_it = path == undeclared.of && *name == undeclared.name;
        path.push(name.clone());
        is_it
    })
}
