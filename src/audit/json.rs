//! Cedar values as JSON text, redacted on the way.
//!
//! Values are written as Cedar's JSON with its escapes (`__entity`, `__extn`), so
//! that what is read back is the same value whatever the schema.

use std::io::Write as _;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::InternalName;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::Name;
use cedar_policy_core::ast::RestrictedExpr;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;
use smol_str::SmolStr;

use super::redact::Field;
use super::redact::Redaction;
use super::redact::Treatment;

/// In the place of what is masked.
const MASK: &str = "***";

/// JSON text that is being written.
#[derive(Debug)]
pub struct JsonText<'a> {
    bytes: &'a mut Vec<u8>,
    redaction: &'a Redaction,
    /// Whether a rule took something out.
    pub is_redacted: bool,
}

impl<'a> JsonText<'a> {
    /// Appends to these bytes.
    pub fn new(bytes: &'a mut Vec<u8>, redaction: &'a Redaction) -> Self {
        Self {
            bytes,
            redaction,
            is_redacted: false,
        }
    }

    /// The rules.
    pub fn redaction(&self) -> &'a Redaction {
        self.redaction
    }

    /// Text that is JSON already.
    pub fn raw(&mut self, json: &str) {
        self.bytes.extend_from_slice(json.as_bytes());
    }

    /// What prints as JSON: numbers, and names that need no escapes.
    pub fn print(&mut self, json: std::fmt::Arguments<'_>) {
        // Writing to a vector does not fail.
        self.bytes.write_fmt(json).ok();
    }

    /// A name with its namespaces. Printing would do, but it is half of the time
    /// that a record takes.
    fn name(&mut self, name: &Name) {
        let name: &InternalName = name.as_ref();
        for part in name.namespace_components() {
            self.raw(part.as_ref());
            self.raw("::");
        }
        self.raw(name.basename().as_ref());
    }

    /// A string.
    pub fn text(&mut self, text: &str) {
        // Neither does this.
        serde_json::to_writer(&mut *self.bytes, text).ok();
    }

    /// A string in the place of a redacted one; nothing when it is dropped.
    fn stand_in(&mut self, treatment: Treatment, value: &[u8]) -> bool {
        self.is_redacted = true;
        match treatment {
            Treatment::Drop => return false,
            Treatment::Mask => self.text(MASK),
            Treatment::Hash => {
                let hash = self.redaction.hash(value);
                self.text(&hash);
            }
        }
        true
    }

    /// A name with a treatment.
    pub fn treated(&mut self, treatment: Option<Treatment>, text: &str) {
        match treatment {
            None => self.text(text),
            Some(treatment) => {
                if !self.stand_in(treatment, text.as_bytes()) {
                    self.raw("null");
                }
            }
        }
    }

    /// `{"type":..,"id":..}`; without the id when a rule drops it.
    pub fn uid(&mut self, uid: &EntityUID) {
        let id: &str = uid.eid().as_ref();
        self.raw("{\"type\":\"");
        self.name(uid.entity_type().name());
        self.raw("\"");
        match self.redaction.of_type(uid.entity_type()) {
            None => {
                self.raw(",\"id\":");
                self.text(id);
            }
            Some(Treatment::Drop) => self.is_redacted = true,
            Some(treatment) => {
                self.raw(",\"id\":");
                self.stand_in(treatment, id.as_bytes());
            }
        }
        self.raw("}");
    }

    /// An object of values.
    pub fn fields<'v>(
        &mut self,
        fields: impl Iterator<Item = (&'v SmolStr, &'v Value)>,
        rules: &Field,
    ) {
        self.raw("{");
        let mut is_first = true;
        for (name, value) in fields {
            let rules = rules.below(name);
            if rules.treatment() == Some(Treatment::Drop) {
                self.is_redacted = true;
                continue;
            }
            if !std::mem::take(&mut is_first) {
                self.raw(",");
            }
            self.text(name);
            self.raw(":");
            self.value(value, rules);
        }
        self.raw("}");
    }

    /// A value.
    pub fn value(&mut self, value: &Value, rules: &Field) {
        if let Some(treatment) = rules.treatment() {
            let mut plain = Vec::new();
            JsonText::new(&mut plain, &Redaction::default()).plain(value, rules);
            self.stand_in(treatment, &plain);
            return;
        }
        self.plain(value, rules);
    }

    fn plain(&mut self, value: &Value, rules: &Field) {
        match value.value_kind() {
            ValueKind::Lit(Literal::Bool(value)) => self.print(format_args!("{value}")),
            ValueKind::Lit(Literal::Long(value)) => self.print(format_args!("{value}")),
            ValueKind::Lit(Literal::String(value)) => self.text(value),
            ValueKind::Lit(Literal::EntityUID(uid)) => {
                self.raw("{\"__entity\":");
                self.uid(uid);
                self.raw("}");
            }
            ValueKind::Set(set) => {
                self.raw("[");
                for (at, element) in set.iter().enumerate() {
                    if at > 0 {
                        self.raw(",");
                    }
                    // A rule about a set is about its elements.
                    self.plain(element, rules);
                }
                self.raw("]");
            }
            ValueKind::Record(record) => self.fields(record.iter(), rules),
            ValueKind::ExtensionValue(value) => {
                self.call(&RestrictedExpr::from(value.as_ref().clone()));
            }
        }
    }

    /// The call that makes an extension value.
    fn call(&mut self, call: &RestrictedExpr) {
        let ExprKind::ExtensionFunctionApp { fn_name, args } = call.expr_kind() else {
            return self.text(&call.to_string());
        };
        self.raw("{\"__extn\":{\"fn\":\"");
        self.name(fn_name);
        if let [argument] = &args[..] {
            self.raw("\",\"arg\":");
            self.argument(argument);
            return self.raw("}}");
        }
        self.raw("\",\"args\":[");
        for (at, argument) in args.iter().enumerate() {
            if at > 0 {
                self.raw(",");
            }
            self.argument(argument);
        }
        self.raw("]}}");
    }

    fn argument(&mut self, argument: &Expr) {
        match argument.expr_kind() {
            ExprKind::Lit(Literal::String(text)) => self.text(text),
            ExprKind::Lit(Literal::Long(number)) => self.print(format_args!("{number}")),
            ExprKind::ExtensionFunctionApp { .. } => match RestrictedExpr::new(argument.clone()) {
                Ok(call) => self.call(&call),
                Err(_) => self.text(&argument.to_string()),
            },
            _ => self.text(&argument.to_string()),
        }
    }
}
