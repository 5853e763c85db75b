//! Values that have neighbours: numbers and times.

use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::Name;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;

use crate::engine::extensions::extensions;
use crate::engine::value::Extension;
use crate::engine::value::datetime_from_millis;

/// A value with neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Long(i64),
    /// Milliseconds since 1970.
    Datetime(i64),
    /// Milliseconds.
    Duration(i64),
    /// Ten-thousandths.
    Decimal(i64),
}

impl Scalar {
    pub(super) fn of(value: &Value) -> Option<Self> {
        let extension = match value.value_kind() {
            ValueKind::Lit(Literal::Long(long)) => return Some(Self::Long(*long)),
            ValueKind::ExtensionValue(extension) => extension,
            _ => return None,
        };
        match extension.typename().to_string().as_str() {
            "datetime" => {
                let epoch = Extension::Datetime.parse("1970-01-01").ok()?;
                let since = call("durationSince", &[value.clone(), epoch])?;
                Some(Self::Datetime(millis(&since)?))
            }
            "duration" => Some(Self::Duration(millis(value)?)),
            "decimal" => {
                let text = value.to_string();
                ten_thousandths(text.split('"').nth(1)?).map(Self::Decimal)
            }
            _ => None,
        }
    }

    pub(super) fn value(self) -> Option<Value> {
        match self {
            Self::Long(long) => Some(Value::from(long)),
            Self::Datetime(millis) => datetime_from_millis(millis).ok(),
            Self::Duration(millis) => Extension::Duration.parse(&format!("{millis}ms")).ok(),
            Self::Decimal(number) => {
                let sign = if number < 0 { "-" } else { "" };
                let (whole, rest) = (
                    number.unsigned_abs() / 10_000,
                    number.unsigned_abs() % 10_000,
                );
                Extension::Decimal
                    .parse(&format!("{sign}{whole}.{rest:04}"))
                    .ok()
            }
        }
    }

    /// The value so many steps away.
    pub(super) fn off(self, steps: i64) -> Option<Self> {
        Some(match self {
            Self::Long(number) => Self::Long(number.checked_add(steps)?),
            Self::Datetime(number) => Self::Datetime(number.checked_add(steps)?),
            Self::Duration(number) => Self::Duration(number.checked_add(steps)?),
            Self::Decimal(number) => Self::Decimal(number.checked_add(steps)?),
        })
    }

    /// The number without its unit.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Long(number)
            | Self::Datetime(number)
            | Self::Duration(number)
            | Self::Decimal(number) => number,
        }
    }
}

fn millis(duration: &Value) -> Option<i64> {
    match call("toMilliseconds", std::slice::from_ref(duration))?.value_kind() {
        ValueKind::Lit(Literal::Long(millis)) => Some(*millis),
        _ => None,
    }
}

fn ten_thousandths(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    let digits = format!("{whole}{fraction:0<4}");
    digits.parse().ok()
}

fn call(function: &str, arguments: &[Value]) -> Option<Value> {
    let name = Name::parse_unqualified_name(function).ok()?;
    let function = extensions().func(&name).ok()?;
    Value::try_from(function.call(arguments).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::Scalar;
    use crate::engine::value::Extension;

    #[test]
    fn values_are_read_and_written() {
        let parse = |kind: Extension, text: &str| kind.parse(text).unwrap();
        for (value, wanted) in [
            (7.into(), Scalar::Long(7)),
            (
                parse(Extension::Datetime, "1970-01-01T00:00:01Z"),
                Scalar::Datetime(1000),
            ),
            (
                parse(Extension::Duration, "-2m"),
                Scalar::Duration(-120_000),
            ),
            (parse(Extension::Decimal, "-1.5"), Scalar::Decimal(-15_000)),
        ] {
            let scalar = Scalar::of(&value).unwrap();
            assert_eq!(scalar, wanted);
            assert_eq!(Scalar::of(&scalar.value().unwrap()).unwrap(), scalar);
            assert_eq!(scalar.off(3).unwrap().number(), scalar.number() + 3);
        }
        assert_eq!(Scalar::of(&"text".into()), None);
    }
}
