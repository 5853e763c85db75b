//! A compiled policy repository: immutable, and the same for the same bytes.

use std::collections::BTreeMap;

use cedar_policy_core::ast::EntityUID;
use rustc_hash::FxHashMap;
use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::access::Access;
use super::digest::Digest;
use super::fault::Fault;
use super::manifest::Manifest;
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
    manifest: Manifest,
    schema: Option<Schema>,
    rules: Rules,
    templates: BTreeMap<SmolStr, Template>,
    warnings: Vec<Fault>,
    projections: FxHashMap<EntityUID, Access>,
    everything: Access,
}

impl Snapshot {
    pub(super) fn new(
        digest: Digest,
        manifest: Manifest,
        schema: Option<Schema>,
        policies: Vec<Policy>,
        templates: BTreeMap<SmolStr, Template>,
        warnings: Vec<Fault>,
    ) -> Self {
        let projections = schema
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
        Self {
            everything: union(of_policies.chain(of_templates)),
            projections,
            digest,
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
    let party = Party::new(&action.uid, &action.ancestors);
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
