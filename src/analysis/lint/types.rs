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
use cedar_policy_core::validator::ValidatorSchema;
use cedar_policy_core::validator::typecheck::PolicyCheck;
use cedar_policy_core::validator::typecheck::Typechecker;
use cedar_policy_core::validator::types::BoolType;
use cedar_policy_core::validator::types::EntityKind;
use cedar_policy_core::validator::types::OpenTag;
use cedar_policy_core::validator::types::Type;
use miette::Diagnostic as _;
use smol_str::SmolStr;

use super::policy::Policy;
use super::policy::span_of;
use super::walk::untested_reads;
use crate::engine::nesting;
use crate::engine::schema::Schema;
use crate::parallel::in_parallel;

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
    /// Attributes that are tested with `has`, and that nothing declares.
    pub undeclared_tests: Vec<Undeclared>,
    /// Sums, differences, products, and times that are moved: what may leave the range
    /// of `Long`.
    pub arithmetic: Vec<Range<usize>>,
    /// Optional attributes that are read without `has`; the validator refuses them,
    /// where it is asked.
    pub unguarded: Vec<(Range<usize>, String)>,
}

/// A test with `has` for an attribute that is declared in no kind of request.
#[derive(Debug)]
pub struct Undeclared {
    /// What is tested, from the variable on.
    pub of: Vec<SmolStr>,
    /// The attribute.
    pub name: SmolStr,
    /// The attributes that are declared instead, of all kinds of request.
    pub declared: BTreeSet<SmolStr>,
}

/// What is gathered over the kinds of request, by place.
#[derive(Default)]
struct Gathered {
    /// What can go wrong is asked of forbids alone.
    is_forbid: bool,
    /// By what is tested and the attribute: the attributes that are declared, `None`
    /// where the attribute is one of them. Not by place: where a test is never true,
    /// Cedar gives it the place of the `&&` around it.
    undeclared: BTreeMap<(Vec<SmolStr>, SmolStr), Option<BTreeSet<SmolStr>>>,
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
        let of_policy = |policy| of_policy(&checker, schema.validator(), policy);
        stacker::grow(nesting::STACK_BYTES, || -> Vec<Typed> {
            policies.iter().map(of_policy).collect()
        })
    });
    typed.into_iter().flatten().collect()
}

fn of_policy(checker: &Typechecker<'_>, schema: &ValidatorSchema, policy: &Policy) -> Typed {
    let mut gathered = Gathered {
        is_forbid: !policy.is_permit(),
        ..Gathered::default()
    };
    let mut is_impossible = true;
    for (_, check) in checker.typecheck_by_request_env(&policy.template) {
        match check {
            PolicyCheck::Success(expr) => {
                is_impossible = false;
                gathered.look_at(&expr);
                gathered.look_for_undeclared(&expr, schema);
            }
            PolicyCheck::Irrelevant(errors, expr) => {
                gathered.note(&errors);
                gathered.look_for_undeclared(&expr, schema);
            }
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
        undeclared_tests: gathered
            .undeclared
            .into_iter()
            .filter_map(|((of, name), declared)| {
                declared.map(|declared| Undeclared { of, name, declared })
            })
            .collect(),
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
                _ if self.is_forbid && may_overflow(part) => {
                    self.arithmetic.insert(at);
                }
                _ => {}
            }
        }
        if !self.is_forbid {
            return;
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

    fn look_for_undeclared(&mut self, expr: &Expr<Option<Type>>, schema: &ValidatorSchema) {
        for part in expr.subexpressions() {
            let (of, names) = match part.expr_kind() {
                ExprKind::HasAttr { expr, attr } => (expr, vec![attr]),
                ExprKind::ExtHasAttr { expr, attrs } => (expr, attrs.iter().collect()),
                _ => continue,
            };
            let (Some(mut path), Some(of)) = (path(of), of.data()) else {
                continue;
            };
            let mut of = of.clone();
            for name in names {
                if !is_closed(&of) {
                    break;
                }
                let attributes = of.all_attributes(schema);
                let known = attributes.get_attr(name);
                let entry = self
                    .undeclared
                    .entry((path.clone(), name.clone()))
                    .or_insert_with(|| Some(BTreeSet::new()));
                let Some(known) = known else {
                    if let Some(declared) = entry {
                        declared.extend(attributes.keys().cloned());
                    }
                    break;
                };
                *entry = None;
                of = Type::clone(&known.attr_type);
                path.push(name.clone());
            }
        }
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

/// Whether everything that a value of this type can have is declared.
fn is_closed(of: &Type) -> bool {
    match of {
        Type::Record {
            open_attributes, ..
        } => *open_attributes == OpenTag::ClosedAttributes,
        Type::Entity(kind) => matches!(kind, EntityKind::Entity(_)),
        _ => false,
    }
}

/// A variable and the attributes that are read from it, `None` for anything else.
pub fn path<T>(expr: &Expr<T>) -> Option<Vec<SmolStr>> {
    match expr.expr_kind() {
        ExprKind::Var(var) => Some(vec![SmolStr::new(var.to_string())]),
        ExprKind::GetAttr { expr, attr } => {
            let mut path = path(expr)?;
            path.push(attr.clone());
            Some(path)
        }
        _ => None,
    }
}

/// Whether an operation can leave 64 bits. Times are written with four digits for the
/// year, so only a duration that comes with the request or an entity moves one too far,
/// and the time between two times always fits.
fn may_overflow<T>(expr: &Expr<T>) -> bool {
    match expr.expr_kind() {
        ExprKind::BinaryApp { op, .. } => {
            matches!(op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul)
        }
        ExprKind::UnaryApp { op, .. } => matches!(op, UnaryOp::Neg),
        ExprKind::ExtensionFunctionApp { fn_name, args } => {
            let is_literal = |duration: &Expr<T>| {
                matches!(duration.expr_kind(), ExprKind::ExtensionFunctionApp { .. })
            };
            fn_name.to_string() == "offset" && args.get(1).is_some_and(|by| !is_literal(by))
        }
        _ => false,
    }
}
