//! What the repository has that a test file may name.

use std::collections::BTreeSet;
use std::str;

use cedar_policy_core::ast::EntityUID;

use super::node::Place;
use super::page::Page;
use crate::config::closest::closest;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::engine::files::Role;
use crate::engine::link::Link;

/// The policies, links and schema of the repository that the tests are for.
#[derive(Debug)]
pub(super) struct Known<'a> {
    /// Without one nothing is checked.
    pub(super) snapshot: Option<&'a Snapshot>,
    /// All files, for tests that name one.
    pub(super) files: &'a Files,
    links: BTreeSet<String>,
}

impl<'a> Known<'a> {
    /// What is known of these files, and of what they compile to.
    pub(super) fn new(files: &'a Files, snapshot: Option<&'a Snapshot>) -> Self {
        let texts = files
            .with_role(Role::Links)
            .filter_map(|(file, content)| Some((file, str::from_utf8(content).ok()?)));
        // What is wrong with a link is told by who loads it.
        let links = texts
            .filter_map(|(file, text)| Link::parse_file(file, text).ok())
            .flatten();
        Self {
            snapshot,
            files,
            links: links.map(|link| link.id.to_string()).collect(),
        }
    }

    /// Whether the repository has a link of this id.
    pub(super) fn has_link(&self, id: &str) -> bool {
        self.links.contains(id)
    }
}

impl Page<'_> {
    /// Notes a policy that is neither in the repository nor a link of the case.
    pub(super) fn check_policy(&mut self, id: &str, place: &Place, links: &[Link]) {
        let Some(snapshot) = self.known.snapshot else {
            return;
        };
        let is_known = snapshot.rules().get(id).is_some()
            || self.known.has_link(id)
            || links.iter().any(|link| link.id == id);
        if is_known {
            return;
        }
        if snapshot.template(id).is_some() {
            let message = format!("`{id}` is a template, which decides nothing by itself");
            self.fault(place, message, "name the link");
            return;
        }
        let policies = snapshot
            .rules()
            .iter()
            .map(|policy| policy.info.id.as_str());
        let here = links.iter().map(|link| link.id.as_str());
        let all = policies
            .chain(here)
            .chain(self.known.links.iter().map(String::as_str));
        let hint = closest(id, all).map_or_else(
            || "a policy is named by its `@id`, a link by its `link_id`".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        self.fault(place, format!("there is no policy or link `{id}`"), hint);
    }

    /// Notes an entity whose type the schema does not declare.
    pub(super) fn check_type(&mut self, uid: &EntityUID, place: &Place) {
        let Some(schema) = self.known.snapshot.and_then(Snapshot::schema) else {
            return;
        };
        let name = uid.entity_type().to_string();
        if schema.entity_type(&name).is_some() || schema.action(uid).is_some() {
            return;
        }
        let last = |name: &str| name.rsplit("::").next().unwrap_or_default().to_lowercase();
        let meant = schema
            .type_names()
            .filter(|known| last(known) == last(&name))
            .min()
            .or_else(|| closest(&name, schema.type_names()));
        let hint = meant.map_or_else(
            || "write the type with its namespace, as in the schema".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        let message = format!("the schema does not declare the entity type `{name}`");
        self.fault(place, message, hint);
    }

    /// Notes an action that the schema does not declare.
    pub(super) fn check_action(&mut self, uid: &EntityUID, place: &Place) {
        let Some(schema) = self.known.snapshot.and_then(Snapshot::schema) else {
            return;
        };
        if schema.action(uid).is_some() {
            return;
        }
        let written = uid.to_string();
        let actions: Vec<String> = schema
            .actions()
            .map(|action| action.uid.to_string())
            .collect();
        let hint = closest(&written, actions.iter().map(String::as_str)).map_or_else(
            || "to ask about an undeclared action, name it in the case itself, with `cause: unknown_action`".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        let message = format!("the schema does not declare the action `{written}`");
        self.fault(place, message, hint);
    }
}
