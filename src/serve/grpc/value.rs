//! Protobuf values to Cedar values, within limits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cedar_policy_core::ast::Eid;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use smol_str::SmolStr;

use super::status::WireError;
use crate::engine::Snapshot;
use crate::engine::query::entity_type;
use crate::engine::value::Extension;
use crate::engine::value::ExtensionError;
use crate::engine::value::datetime_from_millis;
use crate::pdp::AskError;
use crate::proto::v1;
use crate::proto::v1::value::Kind;
use crate::serve::limits::Limits;

/// Reads values of one request, counting what they cost.
#[derive(Debug)]
pub struct Reader<'a> {
    snapshot: &'a Snapshot,
    limits: &'a Limits,
    values: usize,
}

impl<'a> Reader<'a> {
    /// A reader for one request.
    pub fn new(snapshot: &'a Snapshot, limits: &'a Limits) -> Self {
        Self {
            snapshot,
            limits,
            values: 0,
        }
    }

    /// A reader for the rest of a request of which so many values were read.
    pub fn after(snapshot: &'a Snapshot, limits: &'a Limits, values: usize) -> Self {
        Self {
            values,
            ..Self::new(snapshot, limits)
        }
    }

    /// How many values were read.
    pub fn values(&self) -> usize {
        self.values
    }

    /// Reads a required entity.
    ///
    /// # Errors
    /// When it is missing, incomplete or of an unknown type.
    pub fn uid(
        &self,
        field: &Path<'_>,
        entity: Option<v1::EntityRef>,
    ) -> Result<Arc<EntityUID>, WireError> {
        let Some(entity) = entity else {
            return Err(WireError::new(
                field.to_string(),
                "is missing",
                "it is required",
            ));
        };
        self.named(&entity.r#type, &field.name("type"))?;
        self.short(&entity.id, &field.name("id"))?;
        let entity_type = entity_type(self.snapshot, field, &entity.r#type)
            .map_err(|error| WireError::from(AskError::from(error)))?;
        let id = Eid::new(SmolStr::from(entity.id));
        Ok(Arc::new(EntityUID::from_components(entity_type, id, None)))
    }

    /// Reads a required entity whose type need not be declared: what is stored
    /// may be of a type that the schema had before.
    ///
    /// # Errors
    /// When it is missing, incomplete or no name.
    pub fn uid_of_any_type(
        &self,
        field: &Path<'_>,
        entity: Option<v1::EntityRef>,
    ) -> Result<Arc<EntityUID>, WireError> {
        let Some(entity) = entity else {
            return Err(WireError::new(
                field.to_string(),
                "is missing",
                "it is required",
            ));
        };
        self.short(&entity.id, &field.name("id"))?;
        let entity_type = self.any_type(&field.name("type"), &entity.r#type)?;
        let id = Eid::new(SmolStr::from(entity.id));
        Ok(Arc::new(EntityUID::from_components(entity_type, id, None)))
    }

    /// Reads the name of a type, declared or not.
    ///
    /// # Errors
    /// When it is empty, too long or no name.
    pub fn any_type(&self, field: &Path<'_>, name: &str) -> Result<EntityType, WireError> {
        self.named(name, field)?;
        let declared = self.snapshot.schema().and_then(|schema| {
            let declared = schema.entity_type(name);
            declared.cloned()
        });
        declared.map_or_else(
            || {
                EntityType::from_normalized_str(name).map_err(|_| {
                    let message = format!("is `{name}`, which is not the name of a type");
                    WireError::new(
                        field.to_string(),
                        message,
                        "write one such as `Iot::Device`",
                    )
                })
            },
            Ok,
        )
    }

    /// Reads a name, such as the id of a link.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn name(&self, field: &Path<'_>, name: String) -> Result<SmolStr, WireError> {
        self.named(&name, field)?;
        Ok(name.into())
    }

    /// Reads a value by itself.
    ///
    /// # Errors
    /// What is wrong with it, by its path.
    pub fn one(&mut self, field: &Path<'_>, value: Option<v1::Value>) -> Result<Value, WireError> {
        self.value(field, value.unwrap_or_default(), 1)
    }

    /// Reads values by name.
    ///
    /// # Errors
    /// The first bad value, by its path.
    pub fn fields(
        &mut self,
        field: &Path<'_>,
        fields: BTreeMap<String, v1::Value>,
        depth: usize,
    ) -> Result<BTreeMap<SmolStr, Value>, WireError> {
        fields
            .into_iter()
            .map(|(name, value)| {
                self.named(&name, &field.name("(name)"))?;
                let value = self.value(&field.name(&name), value, depth)?;
                Ok((SmolStr::from(name), value))
            })
            .collect()
    }

    fn value(
        &mut self,
        field: &Path<'_>,
        value: v1::Value,
        depth: usize,
    ) -> Result<Value, WireError> {
        self.values += 1;
        if self.values > self.limits.values_max {
            return Err(WireError::too_much(
                field.to_string(),
                "values",
                self.limits.values_max,
                "values_max",
            ));
        }
        if depth > self.limits.depth_max {
            return Err(WireError::too_much(
                field.to_string(),
                "levels",
                self.limits.depth_max,
                "depth_max",
            ));
        }
        let Some(kind) = value.kind else {
            return Err(WireError::new(
                field.to_string(),
                "has no value",
                "set one of its kinds",
            ));
        };
        let bad = |error: ExtensionError| {
            WireError::new(
                field.to_string(),
                format!("is bad: {error}"),
                "see Cedar's extension types",
            )
        };
        let extension = |extension: Extension, text: &str| {
            self.short(text, field)?;
            extension.parse(text).map_err(bad)
        };
        Ok(match kind {
            Kind::Bool(value) => value.into(),
            Kind::Long(value) => value.into(),
            Kind::String(value) => SmolStr::from(value).into(),
            Kind::Entity(entity) => Value::new(self.uid(field, Some(entity))?, None),
            Kind::Set(set) => {
                let elements = set.elements.into_iter().enumerate();
                let elements =
                    elements.map(|(at, element)| self.value(&field.index(at), element, depth + 1));
                Value::set(elements.collect::<Result<Vec<_>, _>>()?, None)
            }
            Kind::Record(record) => Value::record_arc(
                Arc::new(self.fields(field, record.fields, depth + 1)?),
                None,
            ),
            Kind::Ip(text) => extension(Extension::Ip, &text)?,
            Kind::Decimal(text) => extension(Extension::Decimal, &text)?,
            Kind::Datetime(text) => extension(Extension::Datetime, &text)?,
            Kind::Duration(text) => extension(Extension::Duration, &text)?,
            Kind::DatetimeMillis(millis) => datetime_from_millis(millis).map_err(bad)?,
        })
    }

    /// A name must be there and within the limit.
    fn named(&self, name: &str, field: &Path<'_>) -> Result<(), WireError> {
        if name.is_empty() {
            return Err(WireError::new(
                field.to_string(),
                "is empty",
                "it is required",
            ));
        }
        self.short(name, field)
    }

    fn short(&self, text: &str, field: &Path<'_>) -> Result<(), WireError> {
        if text.len() > self.limits.id_bytes_max {
            let limit = self.limits.id_bytes_max;
            return Err(WireError::too_much(
                field.to_string(),
                "bytes",
                limit,
                "id_bytes_max",
            ));
        }
        Ok(())
    }
}

/// Where in a request something is: written out only when it is at fault.
#[derive(Debug, Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Self>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// A field of the request itself.
    pub fn root(name: &'a str) -> Self {
        Self {
            parent: None,
            step: Step::Name(name),
        }
    }

    /// A field below this one.
    #[must_use]
    pub fn name(&'a self, name: &'a str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Name(name),
        }
    }

    /// An element of this one.
    #[must_use]
    pub fn index(&'a self, at: usize) -> Self {
        Self {
            parent: Some(self),
            step: Step::Index(at),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match (self.step, self.parent) {
            (Step::Name(name), None) => f.write_str(name),
            (Step::Name(name), Some(_)) => write!(f, ".{name}"),
            (Step::Index(at), _) => write!(f, "[{at}]"),
        }
    }
}
