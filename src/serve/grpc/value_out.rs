//! Cedar values to protobuf values.

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::RestrictedExpr;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;

use crate::proto::v1;
use crate::proto::v1::value::Kind;

/// Writes a value.
///
/// Read again it is the same value. Every value of Cedar 4 can be written; one
/// that a later Cedar might have is written without a kind, which readers refuse.
pub fn write(value: &Value) -> v1::Value {
    v1::Value { kind: kind(value) }
}

/// Writes a reference to an entity.
pub fn write_uid(uid: &EntityUID) -> v1::EntityRef {
    let id: &str = uid.eid().as_ref();
    v1::EntityRef {
        r#type: uid.entity_type().to_string(),
        id: id.to_owned(),
    }
}

fn kind(value: &Value) -> Option<Kind> {
    Some(match value.value_kind() {
        ValueKind::Lit(Literal::Bool(value)) => Kind::Bool(*value),
        ValueKind::Lit(Literal::Long(value)) => Kind::Long(*value),
        ValueKind::Lit(Literal::String(value)) => Kind::String(value.to_string()),
        ValueKind::Lit(Literal::EntityUID(uid)) => Kind::Entity(write_uid(uid)),
        ValueKind::Set(set) => Kind::Set(v1::SetValue {
            elements: set.iter().map(write).collect(),
        }),
        ValueKind::Record(record) => Kind::Record(v1::RecordValue {
            fields: record
                .iter()
                .map(|(name, value)| (name.to_string(), write(value)))
                .collect(),
        }),
        ValueKind::ExtensionValue(value) => {
            // The call that makes the value, with the text as it was once written.
            return extension(&RestrictedExpr::from(value.as_ref().clone()));
        }
    })
}

fn extension(call: &RestrictedExpr) -> Option<Kind> {
    let ExprKind::ExtensionFunctionApp { fn_name, args } = call.expr_kind() else {
        return None;
    };
    let text = |at: usize| match args.get(at)?.expr_kind() {
        ExprKind::Lit(Literal::String(text)) => Some(text.to_string()),
        _ => None,
    };
    Some(match fn_name.to_string().as_str() {
        "ip" => Kind::Ip(text(0)?),
        "decimal" => Kind::Decimal(text(0)?),
        "datetime" => Kind::Datetime(text(0)?),
        "duration" => Kind::Duration(text(0)?),
        // How Cedar writes a time that was computed: so long after 1970.
        "offset" => {
            let ExprKind::ExtensionFunctionApp { args, .. } = args.get(1)?.expr_kind() else {
                return None;
            };
            let ExprKind::Lit(Literal::String(text)) = args.first()?.expr_kind() else {
                return None;
            };
            Kind::DatetimeMillis(text.strip_suffix("ms")?.parse().ok()?)
        }
        _ => return None,
    })
}
