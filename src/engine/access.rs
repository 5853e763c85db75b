//! What a policy can read: the access paths of its condition.
//!
//! Cedar has no loops and takes no element out of a set, so every entity and
//! every context key that a condition can touch is reached from a variable, a
//! slot or a literal by a finite chain of attributes. The chain is found by
//! walking the expression once. What no chain names cannot change the answer:
//! that is what the decision cache and the entity slice rest on, and what the
//! property test `projection_is_all_that_is_read` checks.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast::BinaryOp;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::SlotId;
use cedar_policy_core::ast::Var;
use smol_str::SmolStr;

/// Where a chain of attributes starts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// The `principal` variable.
    Principal,
    /// The `action` variable.
    Action,
    /// The `resource` variable.
    Resource,
    /// The `context` variable.
    Context,
    /// `?principal` of a template.
    PrincipalSlot,
    /// `?resource` of a template.
    ResourceSlot,
    /// An entity named in the condition.
    Entity(Arc<EntityUID>),
}

/// What is read of one value.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reads {
    /// The value itself is used: compared, tested, counted, passed on.
    pub value: bool,
    /// Its ancestors are used (`in`).
    pub ancestors: bool,
    /// Its tags are used.
    pub tags: Option<Box<Self>>,
    /// Attributes or record fields that are read or tested for.
    pub attributes: BTreeMap<SmolStr, Self>,
}

impl Reads {
    /// Whether evaluating this needs the entity behind a value, not only its uid.
    pub fn needs_entity(&self) -> bool {
        self.ancestors || self.tags.is_some() || !self.attributes.is_empty()
    }

    /// Whether evaluating this may need further entities, that the attributes or
    /// tags of this one name.
    pub fn leads_on(&self) -> bool {
        self.attributes.values().any(Self::needs_entity)
            || self.tags.as_deref().is_some_and(Self::needs_entity)
    }

    fn merge(&mut self, other: &Self) {
        self.value |= other.value;
        self.ancestors |= other.ancestors;
        if let Some(tags) = &other.tags {
            self.tags.get_or_insert_default().merge(tags);
        }
        for (name, reads) in &other.attributes {
            self.attributes
                .entry(name.clone())
                .or_default()
                .merge(reads);
        }
    }
}

/// Everything that a condition, or several, can read.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    roots: BTreeMap<Root, Reads>,
}

/// The context keys that can change an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextKeys {
    /// The context is used as a whole somewhere.
    All,
    /// Only these.
    Only(BTreeSet<SmolStr>),
}

impl Access {
    /// The access paths of one condition.
    pub fn of(condition: &Expr) -> Self {
        let mut walk = Walk::default();
        walk.use_value(condition);
        walk.access
    }

    /// Adds what `other` reads.
    pub fn merge(&mut self, other: &Self) {
        for (root, reads) in &other.roots {
            self.roots.entry(root.clone()).or_default().merge(reads);
        }
    }

    /// What is read from each starting point.
    pub fn roots(&self) -> impl Iterator<Item = (&Root, &Reads)> {
        self.roots.iter()
    }

    /// The context keys that are read or tested for.
    pub fn context_keys(&self) -> ContextKeys {
        match self.roots.get(&Root::Context) {
            None => ContextKeys::Only(BTreeSet::new()),
            Some(reads) if reads.value => ContextKeys::All,
            Some(reads) => ContextKeys::Only(reads.attributes.keys().cloned().collect()),
        }
    }

    /// Whether `context.<key>` can change an answer.
    pub fn reads_context(&self, key: &str) -> bool {
        self.roots
            .get(&Root::Context)
            .is_some_and(|reads| reads.value || reads.attributes.contains_key(key))
    }

    fn at(&mut self, path: &Path) -> &mut Reads {
        let mut reads = self.roots.entry(path.root.clone()).or_default();
        for step in &path.steps {
            reads = match step {
                Step::Attribute(name) => reads.attributes.entry(name.clone()).or_default(),
                Step::Tag => reads.tags.get_or_insert_default(),
            };
        }
        reads
    }
}

/// A chain of attributes from a root.
#[derive(Debug, Clone)]
struct Path {
    root: Root,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Attribute(SmolStr),
    Tag,
}

impl Path {
    fn then(&self, step: Step) -> Self {
        let mut path = self.clone();
        path.steps.push(step);
        path
    }
}

/// What an expression may evaluate to, by where it comes from: the paths that
/// lead to it and, if it is a literal record, what its fields are. A value
/// that is computed has neither.
#[derive(Debug, Clone, Default)]
struct Origin {
    paths: Vec<Path>,
    fields: BTreeMap<SmolStr, Self>,
}

impl Origin {
    fn root(root: Root) -> Self {
        Self {
            paths: vec![Path {
                root,
                steps: Vec::new(),
            }],
            fields: BTreeMap::new(),
        }
    }

    fn join(&mut self, other: Self) {
        self.paths.extend(other.paths);
        for (name, origin) in other.fields {
            self.fields.entry(name).or_default().join(origin);
        }
    }
}

#[derive(Default)]
struct Walk {
    access: Access,
}

impl Walk {
    /// Records what evaluating `expr` reads, and says where its value is from.
    fn origin(&mut self, expr: &Expr) -> Origin {
        match expr.expr_kind() {
            ExprKind::Lit(Literal::EntityUID(uid)) => Origin::root(Root::Entity(Arc::clone(uid))),
            ExprKind::Var(Var::Principal) => Origin::root(Root::Principal),
            ExprKind::Var(Var::Action) => Origin::root(Root::Action),
            ExprKind::Var(Var::Resource) => Origin::root(Root::Resource),
            ExprKind::Var(Var::Context) => Origin::root(Root::Context),
            ExprKind::Slot(slot) if *slot == SlotId::principal() => {
                Origin::root(Root::PrincipalSlot)
            }
            ExprKind::Slot(_) => Origin::root(Root::ResourceSlot),
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => {
                self.use_value(test_expr);
                let mut origin = self.origin(then_expr);
                origin.join(self.origin(else_expr));
                origin
            }
            ExprKind::GetAttr { expr, attr } => {
                let origin = self.origin(expr);
                self.attribute(origin, attr)
            }
            ExprKind::HasAttr { expr, attr } => {
                let origin = self.origin(expr);
                self.attribute(origin, attr);
                Origin::default()
            }
            ExprKind::ExtHasAttr { expr, attrs } => {
                let mut origin = self.origin(expr);
                for attr in attrs {
                    origin = self.attribute(origin, attr);
                }
                Origin::default()
            }
            ExprKind::Record(fields) => Origin {
                paths: Vec::new(),
                fields: fields
                    .iter()
                    .map(|(name, value)| (name.clone(), self.origin(value)))
                    .collect(),
            },
            _ => self.computed(expr),
        }
    }

    /// Operators, whose operands are used by value; `in` and tags read more.
    fn computed(&mut self, expr: &Expr) -> Origin {
        match expr.expr_kind() {
            ExprKind::BinaryApp { op, arg1, arg2 } => return self.binary(*op, arg1, arg2),
            ExprKind::And { left, right } | ExprKind::Or { left, right } => {
                self.use_value(left);
                self.use_value(right);
            }
            ExprKind::UnaryApp { arg: expr, .. }
            | ExprKind::Like { expr, .. }
            | ExprKind::Is { expr, .. } => self.use_value(expr),
            ExprKind::ExtensionFunctionApp { args: parts, .. } | ExprKind::Set(parts) => {
                parts.iter().for_each(|part| self.use_value(part));
            }
            _ => {}
        }
        Origin::default()
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr) -> Origin {
        self.use_value(right);
        let mut origin = self.origin(left);
        match op {
            BinaryOp::In => {
                for path in &origin.paths {
                    self.access.at(path).ancestors = true;
                }
                self.mark(&origin);
                Origin::default()
            }
            BinaryOp::GetTag | BinaryOp::HasTag => {
                origin.fields.clear();
                for path in &mut origin.paths {
                    *path = path.then(Step::Tag);
                    self.access.at(path);
                }
                if op == BinaryOp::GetTag {
                    origin
                } else {
                    Origin::default()
                }
            }
            _ => {
                self.mark(&origin);
                Origin::default()
            }
        }
    }

    fn attribute(&mut self, mut origin: Origin, name: &SmolStr) -> Origin {
        let mut reached = origin.fields.remove(name).unwrap_or_default();
        for path in &origin.paths {
            let path = path.then(Step::Attribute(name.clone()));
            self.access.at(&path);
            reached.paths.push(path);
        }
        reached
    }

    fn use_value(&mut self, expr: &Expr) {
        let origin = self.origin(expr);
        self.mark(&origin);
    }

    fn mark(&mut self, origin: &Origin) {
        for path in &origin.paths {
            self.access.at(path).value = true;
        }
        origin.fields.values().for_each(|field| self.mark(field));
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::Access;
    use super::ContextKeys;
    use super::Reads;
    use super::Root;

    fn access(condition: &str) -> Access {
        let expr = cedar_policy::Expression::from_str(condition).unwrap();
        Access::of(expr.as_ref())
    }

    fn keys(condition: &str) -> Vec<String> {
        match access(condition).context_keys() {
            ContextKeys::All => vec!["*".to_owned()],
            ContextKeys::Only(keys) => keys.iter().map(ToString::to_string).collect(),
        }
    }

    fn reads(condition: &str, root: &Root) -> Reads {
        access(condition)
            .roots
            .get(root)
            .cloned()
            .unwrap_or_default()
    }

    #[test]
    fn context_keys_are_found_wherever_they_are_read() {
        assert_eq!(keys("context.a == 1 && context has b"), ["a", "b"]);
        assert_eq!(keys("context has a.b.c"), ["a"]);
        assert_eq!(keys("{x: context}.x.a == 1"), ["a"]);
        assert_eq!(keys("(if principal.p then context else resource).a"), ["a"]);
        assert_eq!(keys("context == {a: 1}"), ["*"]);
        assert_eq!(keys("[context].contains(principal)"), ["*"]);
        assert_eq!(keys("{x: context} == resource"), ["*"]);
        assert_eq!(keys("principal.getTag(context.tag) == 1"), ["tag"]);
    }

    #[test]
    fn chains_through_entities_are_followed() {
        let principal = reads(r#"principal.site.owner in Team::"t""#, &Root::Principal);
        let owner = &principal.attributes["site"].attributes["owner"];
        assert!(owner.ancestors && owner.value && owner.needs_entity());
        assert!(principal.attributes["site"].needs_entity());
        assert!(!principal.value);
        let tags = reads(r#"resource.getTag("x").a"#, &Root::Resource)
            .tags
            .unwrap();
        assert!(tags.attributes.contains_key("a"));
        assert!(reads(r#"resource.hasTag("x")"#, &Root::Resource).needs_entity());
        assert!(!reads("principal == resource", &Root::Resource).needs_entity());
    }
}
