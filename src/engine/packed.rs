//! Cedar values as bytes: how entities are kept in memory, written to the log
//! and compared in cache keys.
//!
//! A million devices as Cedar's own values take more than a gigabyte; packed,
//! a tenth of it. One value has one encoding, every part is preceded by its
//! length or count, and so different values never have the same bytes:
//!
//! ```text
//! value     = 0 (false) | 1 (true) | 2 long | 3 text | 4 type id | 5 count value* | 6 fields
//!           | 7 function count value*              (an extension value: the call that makes it)
//!           | 255 text                             (an argument of no known kind, as Cedar writes it)
//! fields    = count (text length value)*           (ascending by name; length is that of the value)
//! text      = length utf-8
//! ```
//!
//! Numbers are LEB128, `long` in zigzag. Extension values are kept as the call
//! that makes them, as Cedar's JSON does. What is of no known kind can be told
//! from others, but is not read back.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::Eid;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::InternalName;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::Name;
use cedar_policy_core::ast::RestrictedExpr;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;
use thiserror::Error;

use super::extensions::extensions;
use super::value::Extension;

/// Deeper values are not read: these bytes are not ours.
const DEPTH_MAX: usize = 256;

/// So many types that no schema declares are remembered.
const LEARNED_MAX: usize = 1024;

const FALSE: u8 = 0;
const TRUE: u8 = 1;
const LONG: u8 = 2;
const TEXT: u8 = 3;
const ENTITY: u8 = 4;
const SET: u8 = 5;
const RECORD: u8 = 6;
const CALL: u8 = 7;
const OTHER: u8 = u8::MAX;

/// Bytes that are no packed values: a fault of the store, never of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("packed value is damaged: {0}")]
pub struct Damaged(&'static str);

impl Damaged {
    /// What is wrong with the bytes.
    pub fn new(what: &'static str) -> Self {
        Self(what)
    }
}

/// Writes packed values.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// With room for so many bytes from the start.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// What has been written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What has been written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// A number, in LEB128.
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.bytes.push(number.to_le_bytes()[0]);
    }

    /// A signed number, in zigzag.
    pub fn long(&mut self, long: i64) {
        self.number(((long << 1) ^ (long >> 63)).cast_unsigned());
    }

    /// A text with its length.
    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Raw bytes with their length.
    pub fn blob(&mut self, blob: &[u8]) {
        self.number(blob.len() as u64);
        self.bytes.extend_from_slice(blob);
    }

    /// The uid of an entity.
    pub fn uid(&mut self, uid: &EntityUID) {
        self.entity_type(uid.entity_type());
        self.text(uid.eid().as_ref());
    }

    fn entity_type(&mut self, entity_type: &EntityType) {
        self.name(entity_type.name());
    }

    /// A name with its namespaces, as [`Name`] prints it, but without printing.
    fn name(&mut self, name: &Name) {
        let name: &InternalName = name.as_ref();
        let spaces = || name.namespace_components().map(AsRef::<str>::as_ref);
        let last: &str = name.basename().as_ref();
        let length: usize = spaces().map(|part| part.len() + 2).sum();
        self.number((length + last.len()) as u64);
        for part in spaces() {
            self.bytes.extend_from_slice(part.as_bytes());
            self.bytes.extend_from_slice(b"::");
        }
        self.bytes.extend_from_slice(last.as_bytes());
    }

    /// A value.
    pub fn value(&mut self, value: &Value) {
        match value.value_kind() {
            ValueKind::Lit(literal) => self.literal(literal),
            ValueKind::Set(set) => {
                self.byte(SET);
                self.number(set.len() as u64);
                set.iter().for_each(|element| self.value(element));
            }
            ValueKind::Record(fields) => {
                self.byte(RECORD);
                self.fields(fields.len(), fields.iter());
            }
            ValueKind::ExtensionValue(_) => self.call(RestrictedExpr::from(value.clone()).as_ref()),
        }
    }

    /// Named values, which have to come in ascending order of their names.
    pub fn fields<'a>(
        &mut self,
        count: usize,
        fields: impl Iterator<Item = (&'a SmolStr, &'a Value)>,
    ) {
        self.number(count as u64);
        for (name, value) in fields {
            self.text(name);
            let start = self.bytes.len();
            // Nearly all values are shorter than 128 bytes: one byte is kept
            // free for the length, and more are made room for when needed.
            self.byte(0);
            self.value(value);
            let length = self.bytes.len() - start - 1;
            if let (Ok(short @ 0..0x80), Some(place)) =
                (u8::try_from(length), self.bytes.get_mut(start))
            {
                *place = short;
            } else {
                let mut long = Self::default();
                long.number(length as u64);
                self.bytes.splice(start..=start, long.bytes);
            }
        }
    }

    fn literal(&mut self, literal: &Literal) {
        match literal {
            Literal::Bool(value) => self.byte(if *value { TRUE } else { FALSE }),
            Literal::Long(long) => {
                self.byte(LONG);
                self.long(*long);
            }
            Literal::String(text) => {
                self.byte(TEXT);
                self.text(text);
            }
            Literal::EntityUID(uid) => {
                self.byte(ENTITY);
                self.uid(uid);
            }
        }
    }

    /// An extension value says of itself by which call of which literals, or
    /// of other such calls, it is made.
    fn call(&mut self, expr: &Expr) {
        match expr.expr_kind() {
            ExprKind::Lit(literal) => self.literal(literal),
            ExprKind::ExtensionFunctionApp { fn_name, args } => {
                self.byte(CALL);
                self.name(fn_name);
                self.number(args.len() as u64);
                args.iter().for_each(|argument| self.call(argument));
            }
            // No extension of Cedar 4 has such an argument, a set for example, and
            // reading refuses it. It is written nonetheless: two different values
            // with the same bytes would share a cached decision.
            _ => {
                self.byte(OTHER);
                self.text(&expr.to_string());
            }
        }
    }
}

/// Reads packed values.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader from the start of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What has not been read.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether everything has been read.
    pub fn is_at_end(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Everything has to have been read.
    ///
    /// # Errors
    /// When something is left.
    pub fn end(self) -> Result<(), Damaged> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(Damaged("bytes are left over"))
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or(Damaged("it ends early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A byte.
    ///
    /// # Errors
    /// As all of these: when the bytes are not what is read.
    pub fn byte(&mut self) -> Result<u8, Damaged> {
        let (byte, rest) = self.bytes.split_first().ok_or(Damaged("it ends early"))?;
        self.bytes = rest;
        Ok(*byte)
    }

    /// A number.
    ///
    /// # Errors
    /// When it has more than 64 bits.
    pub fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damaged("a number is too large"))
    }

    /// A signed number.
    ///
    /// # Errors
    /// When it has more than 64 bits.
    pub fn long(&mut self) -> Result<i64, Damaged> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    /// How many items follow, of which each takes at least a byte.
    ///
    /// # Errors
    /// When so many cannot follow.
    pub fn count(&mut self) -> Result<usize, Damaged> {
        usize::try_from(self.number()?)
            .ok()
            .filter(|count| *count <= self.bytes.len())
            .ok_or(Damaged("a count is larger than what follows"))
    }

    /// Raw bytes.
    ///
    /// # Errors
    /// When they end early.
    pub fn blob(&mut self) -> Result<&'a [u8], Damaged> {
        let length = self.count()?;
        self.take(length)
    }

    /// A text.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Damaged> {
        std::str::from_utf8(self.blob()?).map_err(|_| Damaged("a text is not UTF-8"))
    }

    /// The uid of an entity.
    ///
    /// # Errors
    /// When its type is not a name.
    pub fn uid(&mut self, types: &Types) -> Result<EntityUID, Damaged> {
        let entity_type = types.get(self.text()?)?;
        let id = Eid::new(SmolStr::new(self.text()?));
        Ok(EntityUID::from_components(entity_type, id, None))
    }

    /// A value.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn value(&mut self, types: &Types) -> Result<Value, Damaged> {
        self.value_at(types, 0)
    }

    fn value_at(&mut self, types: &Types, depth: usize) -> Result<Value, Damaged> {
        if depth > DEPTH_MAX {
            return Err(Damaged("it is nested too deep"));
        }
        Ok(match self.byte()? {
            FALSE => false.into(),
            TRUE => true.into(),
            LONG => self.long()?.into(),
            TEXT => SmolStr::new(self.text()?).into(),
            ENTITY => Value::new(Arc::new(self.uid(types)?), None),
            SET => {
                let count = self.count()?;
                let elements = (0..count).map(|_| self.value_at(types, depth + 1));
                Value::set(elements.collect::<Result<Vec<_>, _>>()?, None)
            }
            RECORD => {
                let mut record = BTreeMap::new();
                let mut fields = self.fields()?;
                while let Some((name, mut value)) = fields.next()? {
                    record.insert(SmolStr::new(name), value.value_at(types, depth + 1)?);
                    value.end()?;
                }
                *self = fields.rest;
                Value::record_arc(Arc::new(record), None)
            }
            CALL => {
                let function = self.text()?;
                let count = self.count()?;
                let arguments = (0..count).map(|_| self.value_at(types, depth + 1));
                made(function, &arguments.collect::<Result<Vec<_>, _>>()?)?
            }
            _ => return Err(Damaged("a value is of no known kind")),
        })
    }

    /// Passes over fields; the values are not looked at.
    ///
    /// # Errors
    /// When they end early.
    pub fn skip_fields(&mut self) -> Result<(), Damaged> {
        let mut fields = self.fields()?;
        while fields.next()?.is_some() {}
        *self = fields.rest;
        Ok(())
    }

    /// Passes over fields, and looks whether they can be read: cheaper than
    /// reading them, since nothing is made. That the calls of extension values
    /// succeed is not looked at.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn check_fields(&mut self) -> Result<(), Damaged> {
        self.check_fields_at(0)
    }

    fn check_fields_at(&mut self, depth: usize) -> Result<(), Damaged> {
        let mut fields = self.fields()?;
        while let Some((_, mut value)) = fields.next()? {
            value.check_value(depth)?;
            value.end()?;
        }
        *self = fields.rest;
        Ok(())
    }

    fn check_value(&mut self, depth: usize) -> Result<(), Damaged> {
        if depth > DEPTH_MAX {
            return Err(Damaged("it is nested too deep"));
        }
        let mut items = 0;
        match self.byte()? {
            FALSE | TRUE => {}
            LONG => {
                self.long()?;
            }
            TEXT => {
                self.text()?;
            }
            ENTITY => {
                self.text()?;
                self.text()?;
            }
            SET => items = self.count()?,
            RECORD => self.check_fields_at(depth + 1)?,
            CALL => {
                self.text()?;
                items = self.count()?;
            }
            _ => return Err(Damaged("a value is of no known kind")),
        }
        (0..items).try_for_each(|_| self.check_value(depth + 1))
    }

    /// Named values, each of which can be passed over.
    ///
    /// # Errors
    /// When so many cannot follow.
    pub fn fields(&mut self) -> Result<Fields<'a>, Damaged> {
        Ok(Fields {
            left: self.count()?,
            rest: *self,
        })
    }
}

/// Named values one by one.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    left: usize,
    /// What follows the fields, once all of them were passed.
    pub rest: Reader<'a>,
}

impl<'a> Fields<'a> {
    /// How many are left.
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The next name, and a reader of its value.
    ///
    /// # Errors
    /// When it is damaged.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator cannot be asked for its rest after it failed"
    )]
    pub fn next(&mut self) -> Result<Option<(&'a str, Reader<'a>)>, Damaged> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let name = self.rest.text()?;
        let value = Reader::new(self.rest.blob()?);
        Ok(Some((name, value)))
    }
}

fn made(function: &str, arguments: &[Value]) -> Result<Value, Damaged> {
    let constructor = match function {
        "ip" => Some(Extension::Ip),
        "decimal" => Some(Extension::Decimal),
        "datetime" => Some(Extension::Datetime),
        "duration" => Some(Extension::Duration),
        _ => None,
    };
    if let (Some(constructor), [argument]) = (constructor, arguments)
        && let ValueKind::Lit(Literal::String(text)) = argument.value_kind()
    {
        return constructor
            .parse(text)
            .map_err(|_| Damaged("an extension value cannot be made"));
    }
    let name = Name::parse_unqualified_name(function)
        .map_err(|_| Damaged("the name of a function is not a name"))?;
    extensions()
        .func(&name)
        .ok()
        .and_then(|function| function.call(arguments).ok())
        .and_then(|value| Value::try_from(value).ok())
        .ok_or(Damaged("an extension value cannot be made"))
}

/// Entity types by name, so that the common ones are not parsed for each value.
#[derive(Debug, Default, Clone)]
pub struct Types {
    known: FxHashMap<SmolStr, EntityType>,
    learned: Arc<RwLock<FxHashMap<SmolStr, EntityType>>>,
}

impl Types {
    /// Knows these from the start.
    pub fn of(known: impl IntoIterator<Item = EntityType>) -> Self {
        let named = |entity_type: EntityType| (SmolStr::new(entity_type.to_string()), entity_type);
        Self {
            known: known.into_iter().map(named).collect(),
            learned: Arc::default(),
        }
    }

    /// The same uid with the known type of its name, if there is one: uids whose
    /// types share their parts are compared faster.
    pub fn canonical(&self, uid: &EntityUID) -> EntityUID {
        let name = uid.entity_type().to_string();
        match self.known.get(name.as_str()) {
            Some(known) => EntityUID::from_components(known.clone(), uid.eid().clone(), None),
            None => uid.clone(),
        }
    }

    fn get(&self, name: &str) -> Result<EntityType, Damaged> {
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        if let Some(learned) = self.learned.read().get(name) {
            return Ok(learned.clone());
        }
        let parsed = EntityType::from_normalized_str(name)
            .map_err(|_| Damaged("the name of an entity type is not a name"))?;
        let mut learned = self.learned.write();
        if learned.len() < LEARNED_MAX {
            learned.insert(SmolStr::new(name), parsed.clone());
        }
        Ok(parsed)
    }
}
