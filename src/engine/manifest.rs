//! `manifest.toml`: what a policy repository says of itself.

use std::sync::Arc;

use cedar_policy_core::ast::EntityType;
use serde::Deserialize;
use smol_str::SmolStr;

use super::fault::Fault;

/// What an erroring policy does to the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// An erroring `forbid` denies. Deodar's default: a rule that should have
    /// stopped somebody must not vanish because an attribute is missing.
    #[default]
    Deny,
    /// Erroring policies are skipped, as Cedar's own `Authorizer` does it.
    Cedar,
}

/// What an unknown principal or resource (neither stored nor carried) gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    /// Denied, unless its type is listed as implicit.
    #[default]
    Deny,
    /// Evaluated as an entity without attributes and parents, as Cedar does it.
    Cedar,
}

/// Whether policies have to fit the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validation {
    /// A policy that Cedar's strict validator refuses is a fault.
    #[default]
    Strict,
    /// Policies are not validated: for experiments, and for Cedar's own test
    /// corpus, part of which is not valid on purpose. Always warned of.
    Off,
}

/// The manifest, with defaults filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The name of the repository, for people.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What an erroring policy does.
    pub errors: OnError,
    /// What unknown principals and resources get.
    pub unknown: OnUnknown,
    /// Whether policies have to fit the schema.
    pub validate: Validation,
    /// Types of entities that exist without being stored, such as topics.
    pub implicit_types: Vec<EntityType>,
    /// Attributes by whose values entities can be listed quickly.
    pub indexed: Vec<SmolStr>,
    /// What `deodar lint` makes of its rules here.
    pub lint: LintSettings,
}

/// Levels of lints, by the id of the rule. Which rules there are is not known here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LintSettings {
    /// Rules that are switched off.
    pub allow: Vec<String>,
    /// Rules whose findings are warnings.
    pub warn: Vec<String>,
    /// Rules whose findings are errors.
    pub deny: Vec<String>,
}

impl LintSettings {
    /// Every rule that is named.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let all = [&self.allow, &self.warn, &self.deny];
        all.into_iter().flatten().map(String::as_str)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    name: String,
    description: String,
    errors: OnError,
    unknown: OnUnknown,
    validate: Validation,
    implicit_types: Vec<toml::Spanned<String>>,
    indexed_attributes: Vec<SmolStr>,
    lint: LintSettings,
}

impl Manifest {
    /// Cedar's own semantics in everything, for comparison with Cedar.
    pub fn cedar() -> Self {
        Self {
            errors: OnError::Cedar,
            unknown: OnUnknown::Cedar,
            ..Self::default()
        }
    }

    /// Parses the text of a manifest.
    ///
    /// # Errors
    /// Every fault found, with its place.
    pub fn parse(file: &str, text: &Arc<str>) -> Result<Self, Vec<Fault>> {
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            vec![
                Fault::at(file, text, span.into(), error.message())
                    .with_hint("keys are `name`, `description`, `errors`, `unknown`, `validate`, `implicit_types`, `indexed_attributes`, `lint`"),
            ]
        })?;
        let mut faults = Vec::new();
        let mut implicit_types = Vec::new();
        for name in &raw.implicit_types {
            match EntityType::from_normalized_str(name.get_ref()) {
                Ok(entity_type) => implicit_types.push(entity_type),
                Err(_) => faults.push(
                    Fault::at(
                        file,
                        text,
                        name.span().into(),
                        "not the name of an entity type",
                    )
                    .with_hint("write it as in a policy: `Namespace::Type`"),
                ),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            name: raw.name,
            description: raw.description,
            errors: raw.errors,
            unknown: raw.unknown,
            validate: raw.validate,
            implicit_types,
            indexed: raw.indexed_attributes,
            lint: raw.lint,
        })
    }
}
