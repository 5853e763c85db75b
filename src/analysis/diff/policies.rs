//! Policies, templates and links, compared by what they say: not by where they
//! are, how they are written, or in which order.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use cedar_policy_core::ast;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::SlotId;
use serde::Serialize;
use smol_str::SmolStr;

use crate::analysis::world::World;
use crate::engine::policy::Policy;
use crate::engine::policy::PolicyInfo;

/// Stack for writing conditions, which nest as deep as the parser lets them.
pub(super) const STACK_BYTES: usize = 64 << 20;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A static policy.
    Policy,
    /// A template.
    Template,
    /// A template with its slots filled.
    Link,
}

impl Kind {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Template => "template",
            Self::Link => "link",
        }
    }
}

/// What happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
    /// It says something else.
    Changed,
    /// It says the same under another id.
    Renamed,
}

impl Change {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Renamed => "renamed",
        }
    }
}

/// One policy that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyChange {
    /// What it is.
    pub kind: Kind,
    /// Its id; of what is gone, the one that it had.
    pub id: SmolStr,
    /// What happened to it.
    pub change: Change,
    /// The id that it had, if it was renamed.
    pub renamed_from: Option<SmolStr>,
    /// What of it is not the same, such as `condition` or `annotation @reason`.
    pub parts: Vec<String>,
    /// Whether that can alter a decision: annotations and names cannot.
    pub decides: bool,
    /// As it was written.
    pub before: Option<Text>,
    /// As it is written.
    pub after: Option<Text>,
}

/// A policy as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Text {
    /// The file, relative to the root of the repository.
    pub file: String,
    /// The line, from 1; 0 for a link.
    pub line: usize,
    /// The text; of a link, what fills its slots.
    pub text: String,
}

/// What differs, in order of kind and id.
pub fn compare(before: World<'_>, after: World<'_>) -> Vec<PolicyChange> {
    stacker::grow(STACK_BYTES, || {
        let mut pairs = Pairs::new(items(before), items(after));
        pairs.pair(|item| (!item.is_nameless).then(|| item.name()));
        // Those without an id are called by their place: what they say comes first.
        pairs.pair(|item| item.is_nameless.then(|| item.meaning()));
        pairs.pair(|item| Some(item.name()));
        pairs.pair(|item| Some(item.meaning()));
        pairs.changes()
    })
}

/// What a static policy or link says that can alter a decision.
pub fn says(policy: &Policy) -> String {
    let body = Body::of(
        policy.effect,
        [
            policy.cedar.principal_constraint().to_string(),
            policy.cedar.action_constraint().to_string(),
            policy.cedar.resource_constraint().to_string(),
        ],
        policy.cedar.non_scope_constraints(),
    );
    body.told()
}

/// What it says, each part as Cedar writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Body(Vec<(&'static str, String)>);

impl Body {
    fn of(
        effect: ast::Effect,
        [principal, action, resource]: [String; 3],
        condition: Option<&ast::Expr>,
    ) -> Self {
        Self(vec![
            ("effect", effect.to_string()),
            ("principal", principal),
            ("action", action),
            ("resource", resource),
            (
                "condition",
                condition.map(ToString::to_string).unwrap_or_default(),
            ),
        ])
    }

    fn told(&self) -> String {
        let parts: Vec<&str> = self.0.iter().map(|(_, text)| text.as_str()).collect();
        parts.join("\n")
    }
}

/// One policy of one side.
struct Item<'a> {
    kind: Kind,
    id: &'a SmolStr,
    /// It has no `@id`, and is called by its place.
    is_nameless: bool,
    annotations: &'a BTreeMap<SmolStr, SmolStr>,
    body: Body,
    text: Text,
}

impl<'a> Item<'a> {
    fn new(kind: Kind, info: &'a PolicyInfo, body: Body, text: Text) -> Self {
        let named = info.annotations.get("id").is_some_and(|id| !id.is_empty());
        Self {
            kind,
            id: &info.id,
            is_nameless: kind != Kind::Link && !named,
            annotations: &info.annotations,
            body,
            text,
        }
    }

    fn name(&self) -> (Kind, String) {
        (self.kind, self.id.to_string())
    }

    fn meaning(&self) -> (Kind, String) {
        (self.kind, self.body.told())
    }
}

fn items(world: World<'_>) -> Vec<Item<'_>> {
    let policies = world.snapshot.rules().iter().map(|policy| {
        let cedar = &policy.cedar;
        let scope = [
            cedar.principal_constraint().to_string(),
            cedar.action_constraint().to_string(),
            cedar.resource_constraint().to_string(),
        ];
        let body = Body::of(policy.effect, scope, cedar.non_scope_constraints());
        Item::new(Kind::Policy, &policy.info, body, written(&policy.info))
    });
    let templates = world.snapshot.templates().map(|template| {
        let cedar = &template.cedar;
        let scope = [
            cedar.principal_constraint().to_string(),
            cedar.action_constraint().to_string(),
            cedar.resource_constraint().to_string(),
        ];
        let body = Body::of(template.info.effect, scope, cedar.non_scope_constraints());
        Item::new(
            Kind::Template,
            &template.info,
            body,
            written(&template.info),
        )
    });
    let links = world.view.links().iter().map(link);
    policies.chain(templates).chain(links).collect()
}

/// A link is what it fills: its template is compared by itself.
fn link(link: &Policy) -> Item<'_> {
    let slot = |slot: SlotId| {
        let filled: Option<&EntityUID> = link.cedar.env().get(&slot);
        filled.map(ToString::to_string).unwrap_or_default()
    };
    let template = link.info.template.clone().unwrap_or_default();
    let parts = vec![
        ("template", template.to_string()),
        ("principal", slot(SlotId::principal())),
        ("resource", slot(SlotId::resource())),
    ];
    let filled = parts.iter().filter(|(_, text)| !text.is_empty());
    let filled: Vec<String> = filled
        .map(|(name, text)| format!("{name}: {text}"))
        .collect();
    let text = Text {
        file: String::new(),
        line: 0,
        text: filled.join("\n"),
    };
    Item::new(Kind::Link, &link.info, Body(parts), text)
}

fn written(info: &PolicyInfo) -> Text {
    Text {
        file: info.file.to_string(),
        line: info.line,
        text: info.text.to_string(),
    }
}

/// Items of both sides, paired off step by step.
struct Pairs<'a> {
    old: Vec<Item<'a>>,
    new: Vec<Item<'a>>,
    paired: Vec<(Item<'a>, Item<'a>)>,
}

impl<'a> Pairs<'a> {
    fn new(old: Vec<Item<'a>>, new: Vec<Item<'a>>) -> Self {
        Self {
            old,
            new,
            paired: Vec::new(),
        }
    }

    /// Pairs those that have the same key, in order.
    fn pair(&mut self, key: impl Fn(&Item<'a>) -> Option<(Kind, String)>) {
        let mut waiting: BTreeMap<(Kind, String), Vec<Item<'a>>> = BTreeMap::new();
        let mut left = Vec::new();
        for item in std::mem::take(&mut self.new).into_iter().rev() {
            match key(&item) {
                Some(key) => waiting.entry(key).or_default().push(item),
                None => left.push(item),
            }
        }
        for old in std::mem::take(&mut self.old) {
            let new = key(&old).and_then(|key| waiting.get_mut(&key)?.pop());
            match new {
                Some(new) => self.paired.push((old, new)),
                None => self.old.push(old),
            }
        }
        left.extend(waiting.into_values().flatten());
        left.sort_by(|a, b| (a.kind, a.id).cmp(&(b.kind, b.id)));
        self.new = left;
    }

    fn changes(self) -> Vec<PolicyChange> {
        let gone = self.old.into_iter().map(|old| PolicyChange {
            kind: old.kind,
            id: old.id.clone(),
            change: Change::Removed,
            renamed_from: None,
            parts: Vec::new(),
            decides: true,
            before: Some(old.text),
            after: None,
        });
        let come = self.new.into_iter().map(|new| PolicyChange {
            kind: new.kind,
            id: new.id.clone(),
            change: Change::Added,
            renamed_from: None,
            parts: Vec::new(),
            decides: true,
            before: None,
            after: Some(new.text),
        });
        let paired = self
            .paired
            .into_iter()
            .filter_map(|(old, new)| changed(old, new));
        let mut changes: Vec<PolicyChange> = gone.chain(come).chain(paired).collect();
        changes.sort_by(|a, b| (a.kind, &a.id, a.change).cmp(&(b.kind, &b.id, b.change)));
        changes
    }
}

/// What of a pair is not the same.
fn changed(old: Item<'_>, new: Item<'_>) -> Option<PolicyChange> {
    let body = old.body.0.iter().zip(&new.body.0);
    let body = body.filter(|(old, new)| old != new);
    let mut parts: Vec<String> = body.map(|((name, _), _)| (*name).to_owned()).collect();
    let decides = !parts.is_empty();
    if old.kind != Kind::Link {
        parts.extend(annotations(old.annotations, new.annotations));
    }
    // What has no id of its own has none to change.
    let is_renamed = old.id != new.id && !(old.is_nameless && new.is_nameless);
    if parts.is_empty() && !is_renamed {
        return None;
    }
    Some(PolicyChange {
        kind: new.kind,
        id: new.id.clone(),
        change: if is_renamed {
            Change::Renamed
        } else {
            Change::Changed
        },
        renamed_from: is_renamed.then(|| old.id.clone()),
        parts,
        decides,
        before: Some(old.text),
        after: Some(new.text),
    })
}

fn annotations(old: &BTreeMap<SmolStr, SmolStr>, new: &BTreeMap<SmolStr, SmolStr>) -> Vec<String> {
    let names: BTreeSet<&SmolStr> = old.keys().chain(new.keys()).collect();
    let names = names.into_iter().filter(|name| *name != "id");
    let changed = names.filter_map(|name| match (old.get(name), new.get(name)) {
        (old, new) if old == new => None,
        (None, _) => Some(format!("annotation @{name} added")),
        (_, None) => Some(format!("annotation @{name} removed")),
        _ => Some(format!("annotation @{name}")),
    });
    changed.collect()
}
