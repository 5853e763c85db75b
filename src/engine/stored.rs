//! An entity as the view keeps it.

use std::collections::BTreeMap;

use cedar_policy_core::ast::Value;
use smol_str::SmolStr;

use super::named::Named;
use super::packed::Damaged;
use super::packed::Reader;
use super::packed::Types;
use super::packed::Writer;

/// Whole seconds since 1970.
pub type Second = i64;

/// An entity with its name: parents as they are looked up, attributes and tags packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    name: Named,
    /// The sequence number of the transaction that last changed it.
    pub version: u64,
    /// What it is a member of, directly; sorted.
    pub parents: Box<[Named]>,
    /// What of it ends some time.
    pub ends: Option<Box<Ends>>,
    /// Attributes, then tags: two lists of fields.
    body: Box<[u8]>,
}

/// When an entity and its memberships end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ends {
    /// When the entity is removed.
    pub entity: Option<Second>,
    /// When memberships end; those that do not are not listed.
    pub parents: Vec<(Named, Second)>,
}

impl Ends {
    /// The first of them.
    pub fn first(&self) -> Option<Second> {
        let parents = self.parents.iter().map(|(_, second)| *second);
        self.entity.into_iter().chain(parents).min()
    }
}

impl Stored {
    /// Packs an entity.
    pub fn new(
        name: Named,
        version: u64,
        mut parents: Vec<Named>,
        ends: Ends,
        attributes: &BTreeMap<SmolStr, Value>,
        tags: &BTreeMap<SmolStr, Value>,
    ) -> Self {
        parents.sort_unstable();
        let mut body = Writer::default();
        body.fields(attributes.len(), attributes.iter());
        body.fields(tags.len(), tags.iter());
        Self {
            name,
            version,
            parents: parents.into(),
            ends: (ends != Ends::default()).then(|| Box::new(ends)),
            body: body.into_bytes().into(),
        }
    }

    /// An entity whose attributes and tags are packed already.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn of_packed(
        name: Named,
        version: u64,
        mut parents: Vec<Named>,
        ends: Ends,
        packed: &[u8],
    ) -> Result<Self, Damaged> {
        let mut reader = Reader::new(packed);
        reader.check_fields()?;
        reader.check_fields()?;
        reader.end()?;
        parents.sort_unstable();
        Ok(Self {
            name,
            version,
            parents: parents.into(),
            ends: (ends != Ends::default()).then(|| Box::new(ends)),
            body: packed.into(),
        })
    }

    /// The same attributes and tags with other parents.
    #[must_use]
    pub fn with_parents(&self, version: u64, mut parents: Vec<Named>, ends: Ends) -> Self {
        parents.sort_unstable();
        Self {
            name: self.name.clone(),
            version,
            parents: parents.into(),
            ends: (ends != Ends::default()).then(|| Box::new(ends)),
            body: self.body.clone(),
        }
    }

    /// What it is called, shared by all who name it.
    pub fn name(&self) -> &Named {
        &self.name
    }

    /// When the first of what ends, ends.
    pub fn first_end(&self) -> Option<Second> {
        self.ends.as_ref().and_then(|ends| ends.first())
    }

    /// Bytes of attributes and tags.
    pub fn packed_len(&self) -> usize {
        self.body.len()
    }

    /// Attributes and tags, packed: equal for equal ones.
    pub fn packed(&self) -> &[u8] {
        &self.body
    }

    /// The attributes and the tags.
    ///
    /// # Errors
    /// When they are damaged, which is a fault of ours.
    #[expect(clippy::type_complexity, reason = "two lists of the same")]
    pub fn unpack(
        &self,
        types: &Types,
    ) -> Result<(Vec<(SmolStr, Value)>, Vec<(SmolStr, Value)>), Damaged> {
        let mut reader = Reader::new(&self.body);
        let attributes = unpack_fields(&mut reader, types)?;
        let tags = unpack_fields(&mut reader, types)?;
        reader.end()?;
        Ok((attributes, tags))
    }

    /// The packed value of an attribute.
    ///
    /// # Errors
    /// As [`Stored::unpack`].
    pub fn packed_attribute(&self, name: &str) -> Result<Option<&[u8]>, Damaged> {
        let mut fields = Reader::new(&self.body).fields()?;
        while let Some((found, value)) = fields.next()? {
            if found == name {
                return Ok(Some(value.bytes()));
            }
        }
        Ok(None)
    }
}

fn unpack_fields(reader: &mut Reader<'_>, types: &Types) -> Result<Vec<(SmolStr, Value)>, Damaged> {
    let mut fields = reader.fields()?;
    let mut unpacked = Vec::with_capacity(fields.len().min(64));
    while let Some((name, mut value)) = fields.next()? {
        unpacked.push((SmolStr::new(name), value.value(types)?));
        value.end()?;
    }
    *reader = fields.rest;
    Ok(unpacked)
}
