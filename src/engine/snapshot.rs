//! A compiled policy repository: immutable, and the same for the same bytes.

use std::collections::BTreeMap;
use std::collections::HashMap;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::SlotId;
use rustc_hash::FxHashMap;
use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::access::Access;
use super::access::ContextKeys;
use super::digest::Digest;
use super::fault::Fault;
use super::link::LinkFault;
use super::manifest::Manifest;
use super::named::Named;
use super::named::Probe;
use super::packed::Types;
use super::policy::Policy;
use super::policy::Rules;
use super::policy::Template;
use super::schema::ActionFacts;
use super::schema::Schema;
use super::scope::Actions;
use super::scope::Party;

/// Policies, schema and manifest of one revision, ready for decisions.
#[derive(Debug)]
pub struct Snapshot {
    digest: Digest,
    schema_digest: Digest,
    manifest: Manifest,
    schema: Option<Schema>,
    rules: Rules,
    templates: BTreeMap<SmolStr, Template>,
    warnings: Vec<Fault>,
    projections: FxHashMap<EntityUID, Access>,
    everything: Access,
    context_keys: FxHashMap<EntityUID, ContextKeys>,
    every_key: ContextKeys,
    types: Types,
}

impl Snapshot {
    pub(super) fn new(
        [digest, schema_digest]: [Digest; 2],
        manifest: Manifest,
        schema: Option<Schema>,
        mut policies: Vec<Policy>,
        templates: BTreeMap<SmolStr, Template>,
        warnings: Vec<Fault>,
    ) -> Self {
        let types = Types::of(schema.iter().flat_map(Schema::entity_types).cloned());
        for policy in &mut policies {
            policy.scope.intern(&types);
        }
        let projections: FxHashMap<EntityUID, Access> = schema
            .iter()
            .flat_map(Schema::actions)
            .map(|action| {
                (
                    EntityUID::clone(&action.uid),
                    project(action, &policies, &templates),
                )
            })
            .collect();
        let of_policies = policies.iter().map(|policy| &*policy.access);
        let of_templates = templates.values().map(|template| &*template.access);
        let everything = union(of_policies.chain(of_templates));
        let context_keys = projections
            .iter()
            .map(|(action, access)| (action.clone(), access.context_keys()))
            .collect();
        Self {
            every_key: everything.context_keys(),
            everything,
            context_keys,
            projections,
            types,
            digest,
            schema_digest,
            manifest,
            schema,
            rules: Rules::new(policies),
            templates,
            warnings,
        }
    }

    /// The digest of manifest, schema and policies.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The digest of the schema files alone.
    pub fn schema_digest(&self) -> Digest {
        self.schema_digest
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The schema, when the repository has one.
    pub fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// The static policies.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The templates, by id.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.templates.values()
    }

    /// The template of this id.
    pub fn template(&self, id: &str) -> Option<&Template> {
        self.templates.get(id)
    }

    /// Fills the slots of a template.
    ///
    /// # Errors
    /// When there is no such template, its slots are others, or the id is taken
    /// by a policy or template.
    pub fn link(
        &self,
        id: &SmolStr,
        template: &str,
        slots: HashMap<SlotId, EntityUID>,
    ) -> Result<Policy, LinkFault> {
        if self.rules.get(id).is_some() || self.template(id).is_some() {
            return Err(LinkFault::taken(id));
        }
        let found = self
            .template(template)
            .ok_or_else(|| LinkFault::no_template(id, template))?;
        let mut policy = found
            .link(id, slots)
            .map_err(|reason| LinkFault::misfit(id, template, &reason))?;
        policy.scope.intern(&self.types);
        Ok(policy)
    }

    /// The context keys that can change a decision about this action.
    pub fn context_keys(&self, action: &EntityUID) -> &ContextKeys {
        self.context_keys.get(action).unwrap_or(&self.every_key)
    }

    /// The declared entity types, for reading packed values.
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// What the validator warned of.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// Everything that a decision about this action can read, links included.
    ///
    /// Ancestors of principal, action and resource are read by scopes besides.
    /// An action that no schema declares gets what any policy can read.
    pub fn projection(&self, action: &EntityUID) -> &Access {
        self.projections.get(action).unwrap_or(&self.everything)
    }
}

fn project(
    action: &ActionFacts,
    policies: &[Policy],
    templates: &BTreeMap<SmolStr, Template>,
) -> Access {
    let ancestors: Vec<&Named> = action.ancestors.iter().collect();
    let party = Party::new(Probe::new(&action.uid), &ancestors);
    let of_policies = policies
        .iter()
        .filter(|policy| policy.scope.action.holds(&party))
        .map(|policy| &*policy.access);
    let of_templates = templates
        .values()
        .filter(|template| {
            Actions::new(template.cedar.action_constraint())
                .is_none_or(|actions| actions.holds(&party))
        })
        .map(|template| &*template.access);
    union(of_policies.chain(of_templates))
}

/// Policies share their access paths where they are equal, so that merging
/// costs as many steps as there are different ones.
fn union<'a>(accesses: impl Iterator<Item = &'a Access>) -> Access {
    let mut seen = FxHashSet::default();
    let mut all = Access::default();
    for access in accesses {
        if seen.insert(std::ptr::from_ref(access)) {
            all.merge(access);
        }
    }
    all
}
