//! What is taken out of records before anything is written.
//!
//! Rules name fields (`context.session.ip`, `entities.phone`, `caller`) or all
//! entities of a type, wherever they are in the record (`entity:Org::User`). A name
//! that has a dot itself is quoted: `entities."user.email"`.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use cedar_policy_core::ast::EntityType;
use hmac::Hmac;
use hmac::Mac as _;
use sha2::Sha256;
use smol_str::SmolStr;
use thiserror::Error;

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// It is left out.
    Drop,
    /// `"***"` in its place.
    Mask,
    /// A keyed hash in its place (HMAC-SHA-256, RFC 2104, its first 16 bytes):
    /// equal for equal values, so that records of one person can be found by
    /// who has the key.
    Hash,
}

/// A rule: what it is about, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    target: Target,
    treatment: Treatment,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Caller,
    Entities(EntityType),
    Field(Vec<SmolStr>),
}

/// A text that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a redaction rule; write `context.session.ip=mask`, `entities.phone=drop`, `entities.\"user.email\"=drop`, `caller=hash` or `entity:Org::User=hash`"
)]
pub struct BadRule(String);

impl Rule {
    /// Whether it takes a key.
    pub fn needs_key(&self) -> bool {
        self.treatment == Treatment::Hash
    }
}

impl FromStr for Rule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let bad = || BadRule(text.to_owned());
        let (target, treatment) = text.rsplit_once('=').ok_or_else(bad)?;
        let treatment = match treatment.trim() {
            "drop" => Treatment::Drop,
            "mask" => Treatment::Mask,
            "hash" => Treatment::Hash,
            _ => return Err(bad()),
        };
        let target = target.trim();
        let target = if target == "caller" {
            Target::Caller
        } else if let Some(name) = target.strip_prefix("entity:") {
            Target::Entities(EntityType::from_str(name).map_err(|_| bad())?)
        } else {
            let path = path(target).ok_or_else(bad)?;
            let is_part = matches!(
                path.first().map(SmolStr::as_str),
                Some("context" | "entities")
            );
            if path.len() < 2 || !is_part {
                return Err(bad());
            }
            Target::Field(path)
        };
        Ok(Self { target, treatment })
    }
}

/// The steps of a path: names with dots between them, or any text in quotes, with
/// `\"` and `\\` in it.
fn path(text: &str) -> Option<Vec<SmolStr>> {
    let mut steps = Vec::new();
    let mut rest = text;
    loop {
        let (step, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let (step, after) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
                if step.is_empty() || step.contains('"') {
                    return None;
                }
                (step.to_owned(), after)
            }
        };
        steps.push(SmolStr::from(step));
        if after.is_empty() {
            return Some(steps);
        }
        rest = after.strip_prefix('.')?;
    }
}

/// The text up to the closing quote, and what is behind that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut step = String::new();
    let mut letters = text.chars();
    loop {
        match letters.next()? {
            '"' => return Some((step, letters.as_str())),
            '\\' => step.push(letters.next().filter(|letter| "\"\\".contains(*letter))?),
            letter => step.push(letter),
        }
    }
}

/// A step as [`path`] reads it.
fn quoted(step: &str) -> String {
    let is_plain = |letter: char| !letter.is_whitespace() && !".\"\\".contains(letter);
    if !step.is_empty() && step.chars().all(is_plain) {
        return step.to_owned();
    }
    format!("\"{}\"", step.replace('\\', "\\\\").replace('"', "\\\""))
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Caller => f.write_str("caller")?,
            Target::Entities(entity_type) => write!(f, "entity:{entity_type}")?,
            Target::Field(path) => {
                let steps: Vec<String> = path.iter().map(|step| quoted(step)).collect();
                f.write_str(&steps.join("."))?;
            }
        }
        f.write_str(match self.treatment {
            Treatment::Drop => "=drop",
            Treatment::Mask => "=mask",
            Treatment::Hash => "=hash",
        })
    }
}

/// The key of hashes. It is never printed.
#[derive(Clone, Default)]
pub struct HashKey(Vec<u8>);

impl HashKey {
    /// A key of these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

/// All rules, as they are looked up while a record is written.
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    caller: Option<Treatment>,
    types: HashMap<EntityType, Treatment>,
    fields: Field,
    key: HashKey,
}

/// What becomes of a field and of those below it.
#[derive(Debug, Clone, Default)]
pub struct Field {
    treatment: Option<Treatment>,
    below: BTreeMap<SmolStr, Self>,
}

/// A field that no rule names.
pub static PLAIN: Field = Field {
    treatment: None,
    below: BTreeMap::new(),
};

impl Field {
    /// What becomes of it.
    pub fn treatment(&self) -> Option<Treatment> {
        self.treatment
    }

    /// A field below this one.
    pub fn below(&self, name: &str) -> &Self {
        self.below.get(name).unwrap_or(&PLAIN)
    }
}

impl Redaction {
    /// Rules; of two about the same the later counts.
    pub fn new(rules: &[Rule], key: HashKey) -> Self {
        let mut redaction = Self {
            key,
            ..Self::default()
        };
        for rule in rules {
            match &rule.target {
                Target::Caller => redaction.caller = Some(rule.treatment),
                Target::Entities(entity_type) => {
                    redaction.types.insert(entity_type.clone(), rule.treatment);
                }
                Target::Field(path) => {
                    let field = path.iter().fold(&mut redaction.fields, |field, step| {
                        field.below.entry(step.clone()).or_default()
                    });
                    field.treatment = Some(rule.treatment);
                }
            }
        }
        redaction
    }

    /// What becomes of the caller.
    pub fn caller(&self) -> Option<Treatment> {
        self.caller
    }

    /// What becomes of the ids of a type.
    pub fn of_type(&self, entity_type: &EntityType) -> Option<Treatment> {
        if self.types.is_empty() {
            return None;
        }
        self.types.get(entity_type).copied()
    }

    /// The rules of a part of the record: `context` or `entities`.
    pub fn part(&self, name: &str) -> &Field {
        self.fields.below(name)
    }

    /// Whether texts that policies and Cedar make of values may tell what the
    /// rules take out.
    pub fn hides_texts(&self) -> bool {
        !self.types.is_empty() || !self.fields.below.is_empty()
    }

    /// The keyed hash of a value's text.
    pub fn hash(&self, value: &[u8]) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key.0) else {
            return "***".to_owned();
        };
        mac.update(value);
        let tag = mac.finalize().into_bytes();
        let hex = tag.iter().take(16).map(|byte| format!("{byte:02x}"));
        format!("hmac:{}", hex.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::HashKey;
    use super::Redaction;
    use super::Rule;
    use super::Treatment;

    #[test]
    fn rules_are_read_as_written() {
        for text in [
            "caller=hash",
            "entity:Org::User=drop",
            "context.session.ip=mask",
            "entities.phone=drop",
            "entities.\"user.email\"=drop",
            "context.session.\"a \\\"b\\\\\".ip=mask",
            "context.\"\"=mask",
        ] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "caller",
            "caller=burn",
            "context=mask",
            "context.=mask",
            "principal.id=mask",
            "entity:=mask",
            "entity:a b=mask",
            "context.\"ip=mask",
            "context.\"ip\"x=mask",
            "context.i\"p=mask",
            "context.\"i\\p\"=mask",
            "context.\"ip\".=mask",
        ] {
            bad.parse::<Rule>().unwrap_err();
        }
    }

    #[test]
    fn a_field_is_found_by_its_path() {
        let rules = ["context.session.ip=mask", "context.session=hash"];
        let rules = rules.map(|text| text.parse().unwrap());
        let redaction = Redaction::new(&rules, HashKey::default());
        let session = redaction.part("context").below("session");
        assert_eq!(session.treatment(), Some(Treatment::Hash));
        assert_eq!(session.below("ip").treatment(), Some(Treatment::Mask));
        assert_eq!(session.below("tls").treatment(), None);
        assert_eq!(
            redaction.part("entities").below("session").treatment(),
            None
        );
    }

    /// Seen to fail when quotes are not read.
    #[test]
    fn a_name_with_a_dot_is_one_step() {
        let rules = ["entities.\"user.email\"=mask".parse().unwrap()];
        let redaction = Redaction::new(&rules, HashKey::default());
        let entities = redaction.part("entities");
        let treatment = entities.below("user.email").treatment();
        assert_eq!(treatment, Some(Treatment::Mask));
        assert_eq!(entities.below("user").below("email").treatment(), None);
    }

    /// RFC 4231, test case 2.
    #[test]
    fn hashes_are_hmac_sha_256() {
        let redaction = Redaction::new(&[], HashKey::new(b"Jefe".to_vec()));
        assert_eq!(
            redaction.hash(b"what do ya want for nothing?"),
            "hmac:5bdcc146bf60754e6a042426089575c7"
        );
    }

    #[test]
    fn a_key_is_not_printed() {
        let printed = format!("{:?}", Redaction::new(&[], HashKey::new(b"Jefe".to_vec())));
        assert!(
            !printed.contains("74") && !printed.contains("Jefe"),
            "{printed}"
        );
    }
}
