//! How far apart two times are, by Cedar's own functions.

use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::Name;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;

use crate::engine::extensions::extensions;
use crate::engine::value::Extension;

/// The milliseconds from a `datetime` to one that is written as `datetime("..")`
/// takes it; negative when it has passed, `None` when it is no time.
pub fn millis_until(from: &Value, text: &str) -> Option<i64> {
    let until = Extension::Datetime.parse(text).ok()?;
    let duration = call("durationSince", &[until, from.clone()])?;
    match call("toMilliseconds", &[duration])?.value_kind() {
        ValueKind::Lit(Literal::Long(millis)) => Some(*millis),
        _ => None,
    }
}

fn call(function: &str, arguments: &[Value]) -> Option<Value> {
    let name = Name::parse_unqualified_name(function).ok()?;
    let value = extensions().func(&name).ok()?.call(arguments).ok()?;
    Value::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::millis_until;
    use crate::engine::value::Extension;

    #[test]
    fn times_are_compared() {
        let now = Extension::Datetime.parse("2026-11-22T03:12:00Z").unwrap();
        assert_eq!(millis_until(&now, "2026-11-22T03:12:01Z"), Some(1000));
        assert_eq!(millis_until(&now, "2026-11-22T03:11:59Z"), Some(-1000));
        assert_eq!(millis_until(&now, "tomorrow"), None);
    }
}
