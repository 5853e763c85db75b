//! A policy as it is written: scope, clauses and annotations with their places.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use cedar_policy_core::ast::Effect;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprBuilder;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::PolicyID;
use cedar_policy_core::ast::Template;
use cedar_policy_core::parser::Loc;
use cedar_policy_core::parser::cst;
use cedar_policy_core::parser::err::ParseErrors;
use cedar_policy_core::parser::text_to_cst::parse_policies;
use smol_str::SmolStr;

use super::source::Source;
use super::walk::with_polarity;

/// A policy or template of one file.
#[derive(Debug)]
pub struct Policy {
    /// Where it is.
    pub source: Arc<Source>,
    /// `@id`, or made from file and position as the engine makes it.
    pub id: SmolStr,
    /// Whether it has an `@id`.
    pub is_named: bool,
    /// Cedar's own, with places.
    pub template: Template,
    /// Its annotations, in order of their names.
    pub annotations: Vec<Written>,
    /// What the scope demands of principal and resource, as conditions.
    pub demands: [Expr; 2],
    /// `when` and `unless`, in order of the text.
    pub clauses: Vec<Clause>,
    /// From its first annotation to its semicolon.
    pub span: Range<usize>,
    /// `permit` or `forbid`.
    pub effect_span: Range<usize>,
    /// The rules that `@allow` switches off.
    pub allows: BTreeSet<String>,
}

/// An annotation.
#[derive(Debug)]
pub struct Written {
    /// Its name.
    pub name: SmolStr,
    /// Its value; empty when it has none.
    pub value: SmolStr,
    /// All of it, from the `@` on.
    pub span: Range<usize>,
}

/// Which clause it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyword {
    /// `when { .. }`
    When,
    /// `unless { .. }`
    Unless,
}

/// A clause.
#[derive(Debug)]
pub struct Clause {
    /// Which it is.
    pub keyword: Keyword,
    /// What is between the braces.
    pub body: Expr,
    /// All of it, from the keyword to the brace.
    pub span: Range<usize>,
    /// The keyword alone.
    pub keyword_span: Range<usize>,
}

impl Policy {
    /// Every policy and template of a text, in order.
    ///
    /// # Errors
    /// What Cedar says of the text.
    pub fn parse_all(source: &Arc<Source>) -> Result<Vec<Self>, Box<ParseErrors>> {
        let tree = parse_policies(&source.text)?;
        let mut policies = Vec::new();
        for (ordinal, (id, node)) in tree.with_generated_policyids()?.enumerate() {
            let template = node.to_policy_template(id)?;
            if let Some(tree) = &node.node {
                policies.extend(Self::new(source, &template, tree, ordinal));
            }
        }
        Ok(policies)
    }

    fn new(
        source: &Arc<Source>,
        template: &Template,
        tree: &cst::Policy,
        ordinal: usize,
    ) -> Option<Self> {
        let tree = body(tree)?;
        let annotations: Vec<Written> = template
            .annotations()
            .map(|(name, annotation)| Written {
                name: name.as_ref().into(),
                value: annotation.val.clone(),
                span: span(annotation.loc.as_ref()),
            })
            .collect();
        let value = |wanted: &str| {
            let found = annotations.iter().find(|written| written.name == wanted);
            found.map(|written| written.value.clone())
        };
        let id = value("id").filter(|id| !id.is_empty());
        let allows = value("allow").unwrap_or_default();
        let clauses = tree
            .conds
            .iter()
            .filter_map(|node| Clause::new(node.node.as_ref()?, node.loc()))
            .collect();
        let is_named = id.is_some();
        let id = id.unwrap_or_else(|| format!("{}#{ordinal}", source.file).into());
        Some(Self {
            source: Arc::clone(source),
            template: template.new_id(PolicyID::from_smolstr(id.clone())),
            id,
            is_named,
            demands: [
                template.principal_constraint().as_expr(),
                template.resource_constraint().as_expr(),
            ],
            clauses,
            span: span(template.loc()),
            effect_span: span(tree.effect.loc()),
            allows: listed(&allows).map(str::to_owned).collect(),
            annotations,
        })
    }

    /// An annotation that is present and not empty.
    pub fn annotation(&self, name: &str) -> Option<&Written> {
        self.written(name).filter(|found| !found.value.is_empty())
    }

    /// An annotation, be it empty.
    pub fn written(&self, name: &str) -> Option<&Written> {
        self.annotations.iter().find(|found| found.name == name)
    }

    /// Whether it is a permit.
    pub fn is_permit(&self) -> bool {
        self.template.effect() == Effect::Permit
    }

    /// `permit` or `forbid`.
    pub fn effect(&self) -> &'static str {
        match self.template.effect() {
            Effect::Permit => "permit",
            Effect::Forbid => "forbid",
        }
    }

    /// Whether it has a slot.
    pub fn is_template(&self) -> bool {
        self.template.slots().next().is_some()
    }

    /// From `permit` to the end of the scope, or of the line: what is underlined when
    /// all of the policy is meant.
    pub fn head(&self) -> Range<usize> {
        self.effect_span.clone()
    }

    /// Every expression of its clauses.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.clauses
            .iter()
            .flat_map(|clause| clause.body.subexpressions())
    }

    /// Visits every part of its conditions with whether the policy is more likely to apply
    /// when the part does not hold.
    pub fn with_polarity<'p>(&'p self, visit: &mut dyn FnMut(&'p Expr, bool)) {
        for clause in &self.clauses {
            with_polarity(&clause.body, clause.keyword == Keyword::Unless, visit);
        }
    }

    /// What has to hold, one after the other: the parts of `&&` in `when`, with
    /// whether it is negated; an `unless` is one, negated.
    pub fn conjuncts(&self) -> Vec<Conjunct<'_>> {
        let mut all = Vec::new();
        for clause in &self.clauses {
            match clause.keyword {
                Keyword::When => split(&clause.body, false, &mut all),
                Keyword::Unless => split(&clause.body, true, &mut all),
            }
        }
        all
    }
}

/// One thing that has to hold, or has to not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conjunct<'a> {
    /// What.
    pub expr: &'a Expr,
    /// It must not hold.
    pub is_negated: bool,
}

fn split<'a>(expr: &'a Expr, is_negated: bool, into: &mut Vec<Conjunct<'a>>) {
    match (expr.expr_kind(), is_negated) {
        (ExprKind::And { left, right }, false) => {
            split(left, false, into);
            split(right, false, into);
        }
        // No `||` in `unless` is taken apart: `!(a || b)` reads as one thing.
        (ExprKind::UnaryApp { op, arg }, _) if *op == cedar_policy_core::ast::UnaryOp::Not => {
            split(arg, !is_negated, into);
        }
        _ => into.push(Conjunct { expr, is_negated }),
    }
}

impl Clause {
    fn new(tree: &cst::Cond, loc: Option<&Loc>) -> Option<Self> {
        let keyword = match tree.cond.node.as_ref()? {
            cst::Ident::When => Keyword::When,
            cst::Ident::Unless => Keyword::Unless,
            _ => return None,
        };
        let body = tree.expr.as_ref()?;
        Some(Self {
            keyword,
            // What did not parse was refused with its policy.
            body: body.to_expr::<ExprBuilder<()>>().ok()?,
            span: span(loc),
            keyword_span: span(tree.cond.loc()),
        })
    }
}

fn body(tree: &cst::Policy) -> Option<&cst::PolicyImpl> {
    match tree {
        cst::Policy::Policy(tree) => Some(tree),
        #[expect(
            unreachable_patterns,
            reason = "cedar has a further variant when another crate enables `tolerant-ast`"
        )]
        _ => None,
    }
}

/// The byte range of a place; empty where there is none.
pub fn span(loc: Option<&Loc>) -> Range<usize> {
    loc.map_or(0..0, |loc| loc.start()..loc.end())
}

/// The byte range of an expression.
pub fn span_of<T>(expr: &Expr<T>) -> Range<usize> {
    span(expr.source_loc())
}

/// The items of a list with commas.
pub fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}
