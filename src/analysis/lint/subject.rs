//! What is linted: the files of a repository, and whatever else is known of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast::Value;

use super::policy::Policy;
use super::rule::Needs;
use super::scopes::Resolved;
use super::scopes::Scope;
use super::scopes::scope_of;
use super::source::Source;
use super::tested::named_by_position;
use super::tested::named_in_tests;
use super::types::Typed;
use super::types::typed;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::files::Role;
use crate::engine::link::Link;
use crate::engine::manifest::Manifest;
use crate::engine::manifest::Validation;
use crate::engine::nesting;
use crate::engine::nesting::Language;
use crate::engine::schema::Schema;

/// A repository as rules see it.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Every policy and template that parses, in order of file and place.
    pub policies: Vec<Policy>,
    /// The scope of each policy.
    pub scopes: Vec<Scope>,
    /// What the types of each policy tell; empty when they are not known.
    pub types: Vec<Typed>,
    /// The files of policies.
    pub sources: Vec<Arc<Source>>,
    /// The manifest, or what stands in for it.
    pub manifest: Manifest,
    /// Its text.
    pub manifest_source: Option<Arc<Source>>,
    /// The links, as they are written.
    pub links: Vec<Link>,
    /// What it compiles to, as far as it does.
    pub compiled: Compiled<'a>,
    /// Whether it has files of a schema.
    has_schema_files: bool,
    /// The ids of policies without `@id` that tests and invariants name.
    pub named_by_position: BTreeSet<String>,
    /// The ids of the policies that tests name; `None` when there is no test.
    pub tested: Option<BTreeSet<String>>,
    /// The time, as a `datetime`.
    pub now: Value,
}

/// What a repository compiles to, as far as it does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compiled<'a> {
    /// All of it.
    pub snapshot: Option<&'a Snapshot>,
    /// Its schema, which may be sound where a policy is not.
    pub schema: Option<&'a Schema>,
    /// Its entities, if they fit.
    pub view: Option<&'a View>,
}

/// The policies of a repository as they are written.
#[derive(Debug)]
pub struct Texts {
    sources: Vec<Arc<Source>>,
    policies: Vec<Policy>,
}

impl Texts {
    /// Parses the policies of a repository that can be parsed, with their places.
    pub fn new(files: &Files) -> Self {
        let sources: Vec<Arc<Source>> = files
            .with_role(Role::Policies)
            .filter_map(|(file, content)| readable(file, content))
            .collect();
        let policies = sources
            .iter()
            .filter_map(|source| Policy::parse_all(source).ok())
            .flatten()
            .collect();
        Self { sources, policies }
    }
}

impl<'a> Subject<'a> {
    /// A repository, its policies as they are written, and what it compiles to.
    pub fn new(files: &Files, texts: Texts, compiled: Compiled<'a>, now: Value) -> Self {
        let Texts { sources, policies } = texts;
        let (manifest, manifest_source) = manifest(files);
        let schema = compiled.schema;
        let mut actions = Resolved::default();
        let scopes = policies
            .iter()
            .map(|policy| scope_of(&policy.template, schema, &mut actions))
            .collect();
        let links = links(files);
        let mut subject = Self {
            types: Vec::new(),
            tested: named_in_tests(files, &policies, &links),
            links,
            policies,
            scopes,
            sources,
            manifest,
            manifest_source,
            compiled,
            has_schema_files: files.with_role(Role::Schema).next().is_some(),
            named_by_position: named_by_position(files),
            now,
        };
        if let Some(schema) = subject.schema() {
            subject.types = typed(schema, &subject.policies);
        }
        subject
    }

    /// The schema, if there is one that compiles.
    pub fn schema(&self) -> Option<&'a Schema> {
        self.compiled.schema
    }

    /// Its entities, if they fit.
    pub fn view(&self) -> Option<&'a View> {
        self.compiled.view
    }

    /// Why a rule that needs this cannot be run; `None` when it can.
    pub fn lacks(&self, needs: Needs) -> Option<&'static str> {
        const BROKEN: &str = "the repository does not compile";
        const NO_SCHEMA: &str = "the schema does not compile";
        let is_broken = self.compiled.snapshot.is_none();
        match needs {
            Needs::Schema | Needs::SchemaIfAny
                if self.has_schema_files && self.schema().is_none() =>
            {
                Some(NO_SCHEMA)
            }
            Needs::Schema if self.schema().is_none() => Some("there is no schema"),
            Needs::Compiled | Needs::Types | Needs::Data if is_broken => Some(BROKEN),
            Needs::Types
                if self.schema().is_none() || self.manifest.validate != Validation::Strict =>
            {
                Some("the policies are not checked against a schema")
            }
            Needs::Data if self.view().is_none() => Some("there are no entities that fit"),
            Needs::Tests if self.tested.is_none() => Some("there are no tests"),
            _ => None,
        }
    }
}

fn readable(file: &str, content: &[u8]) -> Option<Arc<Source>> {
    let text = std::str::from_utf8(content).ok()?;
    let is_shallow = nesting::too_deep(text, Language::Policies).is_none();
    is_shallow.then(|| Arc::new(Source::new(file, text)))
}

fn manifest(files: &Files) -> (Manifest, Option<Arc<Source>>) {
    let Some((file, content)) = files.with_role(Role::Manifest).next() else {
        return (Manifest::default(), None);
    };
    let source = Source::new(file, &String::from_utf8_lossy(content));
    let manifest = Manifest::parse(file, &source.text).unwrap_or_default();
    (manifest, Some(Arc::new(source)))
}

fn links(files: &Files) -> Vec<Link> {
    files
        .with_role(Role::Links)
        .filter_map(|(file, content)| {
            Link::parse_file(file, std::str::from_utf8(content).ok()?).ok()
        })
        .flatten()
        .collect()
}
