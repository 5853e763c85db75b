//! Links of templates: grants made at run time, as data.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::EntityUid;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::SlotId;
use serde::Deserialize;
use smol_str::SmolStr;

use super::fault::Fault;

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
        for raw in raw {
            let mut fault = |message: String| faults.push(Fault::of_file(file, message).with_hint(hint));
            let mut link = Self {
                id: raw.link_id,
                template: raw.template_id,
                principal: None,
                resource: None,
                file: Arc::clone(&file_name),
            };
            for (slot, uid) in raw.args {
                let uid = match EntityUid::from_str(&uid) {
                    Ok(uid) => uid.as_ref().clone(),
                    Err(_) => {
                        fault(format!("link `{}`: `{uid}` is not an entity", link.id));
                        continue;
                    }
                };
                match slot.as_str() {
                    "?principal" => link.principal = Some(uid),
                    "?resource" => link.resource = Some(uid),
                    other => fault(format!("link `{}`: `{other}` is not a slot", link.id)),
                }
            }
            links.push(link);
        }
        if faults.is_empty() { Ok(links) } else { Err(faults) }
    }
}

/// A fault at the place where a JSON parser stopped.
pub fn json_fault(file: &str, source: &Arc<str>, error: &serde_json::Error) -> Fault {
    let before: usize = source
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let at = (before + error.column().saturating_sub(1)).min(source.len());
    Fault::at(file, source, at.into(), error.to_string())
}
