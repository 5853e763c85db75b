//! Links of templates: grants made at run time, as data.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::EntityUid;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::SlotId;
use serde::Deserialize;
use smol_str::SmolStr;

use super::fault::Fault;
use super::json_text::elements;
use super::json_text::json_fault;

/// A template with its slots filled, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The id of the link, unique among policies, templates and links.
    pub id: SmolStr,
    /// The id of the template.
    pub template: SmolStr,
    /// What fills `?principal`.
    pub principal: Option<EntityUID>,
    /// What fills `?resource`.
    pub resource: Option<EntityUID>,
    /// The file that the link is from, for error messages.
    pub file: Arc<str>,
    /// The text of that file and the link's place in it; empty for a link that
    /// was not read from a file.
    pub source: (Arc<str>, Range<usize>),
}

/// One link as Cedar's command line writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    template_id: SmolStr,
    link_id: SmolStr,
    #[serde(default)]
    args: BTreeMap<String, String>,
}

impl Link {
    /// A fault of this link, at its place if it has one.
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        let (text, span) = &self.source;
        if text.is_empty() {
            Fault::of_file(&self.file, message)
        } else {
            Fault::near(&self.file, text, span.clone(), message)
        }
    }

    /// The slots as Cedar takes them.
    pub fn slots(&self) -> HashMap<SlotId, EntityUID> {
        let slots = [
            (SlotId::principal(), &self.principal),
            (SlotId::resource(), &self.resource),
        ];
        slots
            .into_iter()
            .filter_map(|(slot, uid)| Some((slot, uid.clone()?)))
            .collect()
    }

    /// Parses a file of links: a JSON array of
    /// `{"template_id", "link_id", "args": {"?principal": "T::\"id\"", ...}}`.
    ///
    /// # Errors
    /// Every fault of the file.
    pub fn parse_file(file: &str, text: &str) -> Result<Vec<Self>, Vec<Fault>> {
        let hint = r#"write [{"template_id": "..", "link_id": "..", "args": {"?principal": "Type::\"id\""}}]"#;
        let source: Arc<str> = text.into();
        let raw: Vec<Raw> = serde_json::from_str(text)
            .map_err(|error| vec![json_fault(file, &source, &error).with_hint(hint)])?;
        let file_name: Arc<str> = file.into();
        let mut faults = Vec::new();
        let mut links = Vec::new();
        for (raw, span) in raw.into_iter().zip(elements(text)) {
            let mut link = Self {
                id: raw.link_id,
                template: raw.template_id,
                principal: None,
                resource: None,
                file: Arc::clone(&file_name),
                source: (Arc::clone(&source), span.clone()),
            };
            for (slot, uid) in raw.args {
                let Ok(parsed) = EntityUid::from_str(&uid) else {
                    let message = format!("`{uid}` is not an entity, in link `{}`", link.id);
                    faults.push(link.fault(message).with_hint(hint));
                    continue;
                };
                let uid = parsed.as_ref().clone();
                match slot.as_str() {
                    "?principal" => link.principal = Some(uid),
                    "?resource" => link.resource = Some(uid),
                    other => {
                        let message = format!("`{other}` is not a slot, in link `{}`", link.id);
                        faults.push(link.fault(message).with_hint(hint));
                    }
                }
            }
            links.push(link);
        }
        if faults.is_empty() {
            Ok(links)
        } else {
            Err(faults)
        }
    }
}

/// Why a link cannot be made, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkFault {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl LinkFault {
    /// Something else has the id.
    pub fn taken(id: &str) -> Self {
        Self {
            message: format!("link `{id}` has the id of another link or policy"),
            hint: "give it another `link_id`",
        }
    }

    /// There is no such template.
    pub fn no_template(id: &str, template: &str) -> Self {
        Self {
            message: format!("link `{id}` names the template `{template}`, which does not exist"),
            hint: "a template is a policy with `?principal` or `?resource` in its scope; its `@id` is its name",
        }
    }

    /// The slots are wrong.
    pub fn misfit(id: &str, template: &str, reason: &str) -> Self {
        Self {
            message: format!("link `{id}` does not fit the template `{template}`: {reason}"),
            hint: "fill exactly the slots that the template has",
        }
    }
}
