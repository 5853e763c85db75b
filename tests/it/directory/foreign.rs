//! Values of extensions that nobody knows: told apart as bytes, and refused when read.

use std::sync::Arc;

use cedar_policy_core::ast::ExtensionValue;
use cedar_policy_core::ast::Name;
use cedar_policy_core::ast::RepresentableExtensionValue;
use cedar_policy_core::ast::RestrictedExpr;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;
use deodar::engine::packed::Reader;
use deodar::engine::packed::Types;
use deodar::engine::packed::Writer;

/// A value that is made from a set of numbers, as none of Cedar's own is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Route(Vec<i64>);

impl ExtensionValue for Route {
    fn typename(&self) -> Name {
        "route".parse().unwrap()
    }

    fn supports_operator_overloading(&self) -> bool {
        false
    }

    fn canonical_repr(&self) -> (Name, Vec<RestrictedExpr>) {
        let stops = self.0.iter().copied().map(RestrictedExpr::val);
        (self.typename(), vec![RestrictedExpr::set(stops)])
    }
}

fn route(stops: &[i64]) -> Value {
    let route = Route(stops.to_vec());
    let (function, arguments) = route.canonical_repr();
    let value = RepresentableExtensionValue::new(Arc::new(route), function, arguments);
    Value::new(ValueKind::ExtensionValue(Arc::new(value)), None)
}

fn packed(value: &Value) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.value(value);
    writer.into_bytes()
}

#[test]
fn different_ones_have_different_bytes() {
    let routes: [&[i64]; 5] = [&[], &[1], &[2], &[1, 2], &[12]];
    for (at, one) in routes.iter().enumerate() {
        assert_eq!(packed(&route(one)), packed(&route(one)));
        for other in &routes[at + 1..] {
            assert_ne!(
                packed(&route(one)),
                packed(&route(other)),
                "{one:?}, {other:?}"
            );
        }
    }
    // Nor can one end run into what follows it.
    let pair = |one: &[i64], two: &[i64]| packed(&Value::set([route(one), route(two)], None));
    assert_ne!(pair(&[1], &[2]), pair(&[1], &[3]));
}

#[test]
fn they_are_refused_when_read() {
    let bytes = packed(&route(&[1]));
    let damaged = Reader::new(&bytes).value(&Types::default()).unwrap_err();
    assert_eq!(
        damaged.to_string(),
        "packed value is damaged: a value is of no known kind"
    );
}
