//! What Cedar's type checker tells of a policy, over all kinds of request that the
//! schema allows.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

use cedar_policy_core::ast::BinaryOp;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::UnaryOp;
use cedar_policy_core::validator::ValidationError;
use cedar_policy_core::validator::ValidationMode;
use cedar_policy_core::validator::typecheck::PolicyCheck;
use cedar_policy_core::validator::typecheck::Typechecker;
use cedar_policy_core::validator::types::BoolType;
use cedar_policy_core::validator::types::Type;
use miette::Diagnostic as _;

use super::policy::Policy;
use super::policy::span_of;
use super::walk::untested_reads;
use crate::engine::nesting;
use crate::engine::schema::Schema;
use crate::parallel::in_parallel;

/// More kinds of request than this are not looked at: a bare `action` in a large
/// schema has thousands, and they say the same again and again.
const REQUESTS_MAX: usize = 64;
/// So many policies a thread takes at a time.
const AT_ONCE: usize = 64;

/// What is known of one policy. Places are byte ranges of its text.
#[derive(Debug, Default)]
pub struct Typed {
    /// No kind of request can satisfy it.
    pub is_impossible: bool,
    /// Tests with `has` for what is always there: what is tested, and the attribute.
    pub needless_tests: Vec<(Range<usize>, String)>,
    /// Attributes that are read through an entity that may not be stored.
    pub reads_through_entities: Vec<(Range<usize>, String)>,
    /// Sums, differences, products: what may leave the range of `Long`.
    pub arithmetic: Vec<Range<usize>>,
    /// Optional attributes that are read without `has`; the validator refuses them,
    /// where it is asked.
    pub unguarded: Vec<(Range<usize>, String)>,
}

/// What is gathered over the kinds of request, by place.
#[derive(Default)]
struct Gathered {
    /// Whether a test is needless in every request that gets to it.
    tests: BTreeMap<(usize, usize), (bool, String)>,
    reads: BTreeMap<(usize, usize), String>,
    arithmetic: BTreeSet<(usize, usize)>,
    unguarded: BTreeMap<(usize, usize), String>,
}

/// Looks at every policy.
pub fn typed(schema: &Schema, policies: &[Policy]) -> Vec<Typed> {
    let policies: Vec<&[Policy]> = policies.chunks(AT_ONCE).collect();
    let typed = in_parallel(&policies, |policies| {
        let checker = Typechecker::new(schema.validator(), ValidationMode::Strict);
        let of_policy = |policy| of_policy(&checker, policy);
        stacker::grow(nesting::STACK_BYTES, || -> Vec<Typed> {
            policies.iter().map(of_policy).collect()
        })
    });
    typed.into_iter().flatten().collect()
}

fn of_policy(checker: &Typechecker<'_>, policy: &Policy) -> Typed {
    let mut gathered = Gathered::default();
    let mut is_impossible = true;
    for (at, (_, check)) in checker
        .typecheck_by_request_env(&policy.template)
        .enumerate()
    {
        match check {
            PolicyCheck::Success(expr) => {
                is_impossible = false;
                if at < REQUESTS_MAX {
                    gathered.look_at(&expr);
                }
            }
            PolicyCheck::Irrelevant(errors, _) => gathered.note(&errors),
            PolicyCheck::Fail(errors) => {
                is_impossible = false;
                gathered.note(&errors);
            }
        }
    }
    let places = |(start, end): (usize, usize)| start..end;
    let named = |found: BTreeMap<(usize, usize), String>| {
        let found = found.into_iter();
        found.map(|(at, name)| (places(at), name)).collect()
    };
    let needless = gathered.tests.into_iter();
    Typed {
        is_impossible,
        needless_tests: needless
            .filter(|(_, (is_needless, _))| *is_needless)
            .map(|(at, (_, name))| (places(at), name))
            .collect(),
        reads_through_entities: named(gathered.reads),
        arithmetic: gathered.arithmetic.into_iter().map(places).collect(),
        unguarded: named(gathered.unguarded),
    }
}

impl Gathered {
    fn look_at(&mut self, expr: &Expr<Option<Type>>) {
        for part in expr.subexpressions() {
            let span = span_of(part);
            let at = (span.start, span.end);
            match part.expr_kind() {
                // An entity that is not stored has no attribute, so only what a
                // record has is certain.
                ExprKind::HasAttr { expr, attr } if !span.is_empty() => {
                    let is_record = matches!(expr.data(), Some(Type::Record { .. }));
                    let is_true = matches!(part.data(), Some(Type::Bool(BoolType::True)));
                    let entry = self
                        .tests
                        .entry(at)
                        .or_insert_with(|| (true, attr.to_string()));
                    entry.0 &= is_record && is_true && is_declared(expr, attr);
                }
                ExprKind::BinaryApp {
                    op: BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul,
                    ..
                }
                | ExprKind::UnaryApp {
                    op: UnaryOp::Neg, ..
                } => {
                    self.arithmetic.insert(at);
                }
                _ => {}
            }
        }
        untested_reads(expr, &mut |read| {
            if let ExprKind::GetAttr { expr, attr } = read.expr_kind()
                && matches!(expr.data(), Some(Type::Entity(_)))
                && !matches!(expr.expr_kind(), ExprKind::Var(_))
            {
                let span = span_of(read);
                self.reads.insert((span.start, span.end), attr.to_string());
            }
        });
    }

    fn note(&mut self, errors: &[ValidationError]) {
        for error in errors {
            if !matches!(error, ValidationError::UnsafeOptionalAttributeAccess(_)) {
                continue;
            }
            let label = error.labels().and_then(|mut labels| labels.next());
            if let Some(label) = label {
                let at = (label.offset(), label.offset() + label.len());
                self.unguarded.insert(at, error.to_string());
            }
        }
    }
}

/// What was tested before is known to be there too, so the type of the test alone
/// does not tell.
fn is_declared(record: &Expr<Option<Type>>, name: &str) -> bool {
    match record.data() {
        Some(Type::Record { attrs, .. }) => attrs
            .get_attr(name)
            .is_some_and(|attribute| attribute.is_required),
        _ => false,
    }
}
