//! Deciding as if one policy were another: for mutation and what-if.
//!
//! Nothing is compiled anew but that one policy, so thousands of replacements can
//! be tried a second.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy_core::ast;
use cedar_policy_core::ast::PolicyID;
use cedar_policy_core::parser::parse_policyset;
use smol_str::SmolStr;
use thiserror::Error;

use super::decide::Ground;
use super::decide::judge;
use super::decision::Decision;
use super::fault::Lines;
use super::footprint::Footprint;
use super::policy::Policy;
use super::policy::PolicyInfo;
use super::policy::Template;
use super::query::Query;
use super::query::QueryError;
use super::snapshot::Snapshot;
use super::strip::Pool;
use super::view::View;

/// What stands in the place of a policy, or of all links of a template.
#[derive(Debug)]
pub struct Replacement {
    id: SmolStr,
    by: By,
}

#[derive(Debug)]
enum By {
    Nothing,
    Policy(Box<Policy>),
    /// With its links to the slots of the view that it was made for, by id.
    Template(Box<Template>, BTreeMap<SmolStr, Policy>),
}

/// A text that cannot replace a policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplaceError {
    /// There is no policy or template of this id.
    #[error("there is no policy or template `{0}`")]
    NoPolicy(SmolStr),
    /// The text is not one policy, as Cedar words it.
    #[error("not the text of one policy: {0}")]
    Text(String),
    /// The slots of the template are others.
    #[error("the link `{0}` does not fit: {1}")]
    Slots(SmolStr, String),
}

impl Replacement {
    /// Leaves out the policy, or all links of the template, of this id.
    pub fn nothing(id: &str) -> Self {
        Self {
            id: id.into(),
            by: By::Nothing,
        }
    }

    /// Puts a text in the place of the policy or template of this id; the links of
    /// the view are made anew. What people are shown stays: the id above all.
    ///
    /// # Errors
    /// When there is nothing to replace, or it cannot be replaced by that.
    pub fn text(
        snapshot: &Snapshot,
        view: &View,
        id: &str,
        text: &str,
    ) -> Result<Self, ReplaceError> {
        let id = SmolStr::from(id);
        let set = parse_policyset(text).map_err(|error| ReplaceError::Text(error.to_string()))?;
        let mut templates = set.all_templates();
        let (Some(parsed), None) = (templates.next(), templates.next()) else {
            return Err(ReplaceError::Text("there is not exactly one".to_owned()));
        };
        let named = parsed.new_id(PolicyID::from_smolstr(id.clone()));
        let by = if let Some(replaced) = snapshot.rules().get(&id) {
            let template = template(&named, &replaced.info, text);
            let none = HashMap::new();
            let cedar = ast::Template::link(
                Arc::clone(&template.cedar),
                PolicyID::from_smolstr(id.clone()),
                none,
            )
            .map_err(|error| ReplaceError::Text(error.to_string()))?;
            let mut policy = template
                .as_static(cedar)
                .ok_or_else(|| ReplaceError::Text("it has slots".to_owned()))?;
            policy.scope.intern(snapshot.types());
            By::Policy(Box::new(policy))
        } else if let Some(replaced) = snapshot.template(&id) {
            let template = template(&named, &replaced.info, text);
            let mut linked = BTreeMap::new();
            for link in links_of(view, &id) {
                let policy = relink(&template, link, snapshot)?;
                linked.insert(link.info.id.clone(), policy);
            }
            By::Template(Box::new(template), linked)
        } else {
            return Err(ReplaceError::NoPolicy(id));
        };
        Ok(Self { id, by })
    }

    /// The policies that take part in deciding on a view, with the links of the
    /// template that only this view has.
    fn others(&self, snapshot: &Snapshot, view: &View) -> Vec<Policy> {
        let By::Template(template, linked) = &self.by else {
            return Vec::new();
        };
        links_of(view, &self.id)
            .filter(|link| !linked.contains_key(&link.info.id))
            .filter_map(|link| relink(template, link, snapshot).ok())
            .collect()
    }

    fn replaces(&self, policy: &Policy) -> bool {
        policy.info.template.as_ref().unwrap_or(&policy.info.id) == &self.id
    }
}

/// Decides as [`decide`](super::decide()) would with the replacement in place;
/// `None` when the replaced policy and what replaces it have no part in it.
///
/// # Errors
/// As [`decide`](super::decide()).
pub fn decide_replaced(
    snapshot: &Snapshot,
    view: &View,
    query: &Query,
    replacement: &Replacement,
) -> Result<Option<Decision>, QueryError> {
    let others = replacement.others(snapshot, view);
    let mut takes_part = false;
    let ground = Ground::edited(
        snapshot,
        view,
        query,
        &mut Footprint::default(),
        |parties, candidates| {
            let before = candidates.len();
            candidates.retain(|policy| !replacement.replaces(policy));
            takes_part = candidates.len() < before;
            let policies: Vec<&Policy> = match &replacement.by {
                By::Nothing => Vec::new(),
                By::Policy(policy) => vec![policy],
                By::Template(_, linked) => {
                    let linked = links_of(view, &replacement.id)
                        .filter_map(|link| linked.get(&link.info.id));
                    linked.chain(&others).collect()
                }
            };
            let matching = policies
                .into_iter()
                .filter(|policy| policy.scope.holds(parties));
            let kept = candidates.len();
            candidates.extend(matching);
            takes_part |= candidates.len() > kept;
            candidates.sort_by_key(|policy| (policy.info.template.is_some(), &policy.info.id));
        },
    )?;
    let Ok(ground) = ground else {
        return Ok(None);
    };
    Ok(takes_part.then(|| judge(&ground, snapshot, query)))
}

fn links_of<'a>(view: &'a View, template: &'a str) -> impl Iterator<Item = &'a Policy> {
    let links = view.links().iter();
    links.filter(move |link| link.info.template.as_deref() == Some(template))
}

fn template(cedar: &ast::Template, replaced: &PolicyInfo, text: &str) -> Template {
    let read = PolicyInfo::new(cedar, &replaced.file, &Lines::new(text), 0);
    let info = PolicyInfo {
        effect: read.effect,
        text: read.text,
        ..PolicyInfo::clone(replaced)
    };
    Template::new(Arc::new(cedar.clone()), info, &mut Pool::default())
}

fn relink(template: &Template, link: &Policy, snapshot: &Snapshot) -> Result<Policy, ReplaceError> {
    let id = &link.info.id;
    // What stands in the place of the template may leave a slot out.
    let wanted: Vec<_> = template.cedar.slots().map(|slot| slot.id).collect();
    let slots = link.cedar.env().clone().into_iter();
    let slots = slots.filter(|(slot, _)| wanted.contains(slot)).collect();
    let mut policy = template
        .link(id, slots)
        .map_err(|reason| ReplaceError::Slots(id.clone(), reason))?;
    policy.scope.intern(snapshot.types());
    Ok(policy)
}
