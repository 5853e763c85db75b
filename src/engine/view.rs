//! Entities and links as decisions see them: one revision of the directory.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::entities::Entities;
use cedar_policy_core::entities::NoEntitiesSchema;
use cedar_policy_core::entities::TCComputation;
use cedar_policy_core::extensions::Extensions;
use rustc_hash::FxHashMap;

use super::digest::Digest;
use super::fault::Fault;
use super::link::Link;
use super::policy::Policy;
use super::policy::Rules;
use super::scope::Ancestors;
use super::scope::uid_atom;
use super::snapshot::Snapshot;

/// An immutable set of entities and links.
#[derive(Debug)]
pub struct View {
    revision: Digest,
    entities: Entities,
    stored: FxHashMap<EntityUID, Stored>,
    links: Rules,
}

/// An entity and its ancestors with their atoms.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) entity: Arc<Entity>,
    pub(super) ancestors: Box<Ancestors>,
}

impl View {
    /// A view of entities whose ancestors are closed, as Cedar's own loading
    /// leaves them, and of links into the templates of `snapshot`.
    ///
    /// # Errors
    /// Every link that names no template, fills the wrong slots, or has the id
    /// of something else.
    pub fn new(
        snapshot: &Snapshot,
        revision: Digest,
        entities: Entities,
        links: &[Link],
    ) -> Result<Self, Vec<Fault>> {
        let links = compile_links(snapshot, links)?;
        let entities: Vec<Arc<Entity>> = entities.into_iter().map(Arc::new).collect();
        let stored = entities
            .iter()
            .map(|entity| {
                let ancestors = entity.ancestors().map(|uid| (uid_atom(uid), uid.clone()));
                let stored = Stored {
                    entity: Arc::clone(entity),
                    ancestors: ancestors.collect(),
                };
                (entity.uid().clone(), stored)
            })
            .collect();
        Ok(Self {
            revision,
            entities: closed(entities)
                .map_err(|message| vec![Fault::of_file("entities", message)])?,
            stored,
            links: Rules::new(links),
        })
    }

    /// The digest of the files that the view was made of.
    pub fn revision(&self) -> Digest {
        self.revision
    }

    /// How many entities are stored, those that the schema makes of its actions
    /// not counted.
    pub fn len(&self) -> usize {
        let is_data = |uid: &&EntityUID| !uid.is_action();
        self.stored.keys().filter(is_data).count()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The linked templates.
    pub fn links(&self) -> &Rules {
        &self.links
    }

    /// Whether an entity of this uid is stored.
    pub fn knows(&self, uid: &EntityUID) -> bool {
        self.stored.contains_key(uid)
    }

    /// All stored entities as Cedar's evaluator takes them.
    pub fn entities(&self) -> &Entities {
        &self.entities
    }

    pub(super) fn stored(&self, uid: &EntityUID) -> Option<&Stored> {
        self.stored.get(uid)
    }

    /// The ancestors of a stored entity; none for one that is not stored.
    pub(super) fn ancestors(&self, uid: &EntityUID) -> &Ancestors {
        self.stored.get(uid).map_or(&[], |stored| &stored.ancestors)
    }
}

/// Entities whose ancestors are closed already, as Cedar's evaluator takes them.
pub(super) fn closed(entities: impl IntoIterator<Item = Arc<Entity>>) -> Result<Entities, String> {
    Entities::new()
        .add_entities(
            entities,
            None::<&NoEntitiesSchema>,
            TCComputation::AssumeAlreadyComputed,
            Extensions::all_available(),
        )
        .map_err(|error| error.to_string())
}

fn compile_links(snapshot: &Snapshot, links: &[Link]) -> Result<Vec<Policy>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut policies = Vec::with_capacity(links.len());
    let mut taken = HashSet::new();
    for link in links {
        let mut fault = |message: String, hint: &str| {
            faults.push(link.fault(message).with_hint(hint));
        };
        let id = &link.id;
        if snapshot.rules().get(id).is_some()
            || snapshot.template(id).is_some()
            || !taken.insert(id)
        {
            fault(
                format!("link `{id}` has the id of another link or policy"),
                "give it another `link_id`",
            );
            continue;
        }
        let Some(template) = snapshot.template(&link.template) else {
            fault(
                format!(
                    "link `{id}` names the template `{}`, which does not exist",
                    link.template
                ),
                "a template is a policy with `?principal` or `?resource` in its scope; its `@id` is its name",
            );
            continue;
        };
        match template.link(id, link.slots()) {
            Ok(policy) => policies.push(policy),
            Err(message) => fault(
                format!(
                    "link `{id}` does not fit the template `{}`: {message}",
                    link.template
                ),
                "fill exactly the slots that the template has",
            ),
        }
    }
    if faults.is_empty() {
        Ok(policies)
    } else {
        Err(faults)
    }
}
