//! Values that make a clause true or false.

use std::net::IpAddr;

use cedar_policy_core::ast::BinaryOp;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::Pattern;
use cedar_policy_core::ast::PatternElem;
use cedar_policy_core::ast::Set;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;

use super::Step;
use super::propose::Look;
use super::scalar::Scalar;
use crate::engine::value::Extension;

/// So many elements of a set are tried.
const ELEMENTS_MAX: usize = 4;

impl Look<'_> {
    /// `a == b`
    pub(super) fn equal(&self, [left, right]: [&Expr; 2], wanted: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        for (unknown, known) in [(left, right), (right, left)] {
            let Some(value) = self.value(known) else {
                continue;
            };
            let value = if wanted { Some(value) } else { other(&value) };
            if let Some(value) = value {
                steps.extend(self.solve(unknown, &value));
            }
        }
        steps
    }

    /// Makes the left side so many units more than the right one.
    pub(super) fn compare(&self, [left, right]: [&Expr; 2], units: i64) -> Vec<Step> {
        let mut steps = Vec::new();
        for (unknown, known, units) in [(left, right, units), (right, left, -units)] {
            let scalar = self.value(known).as_ref().and_then(Scalar::of);
            let wanted = scalar.and_then(|scalar| scalar.off(units)?.value());
            if let Some(value) = wanted {
                steps.extend(self.solve(unknown, &value));
            }
        }
        steps
    }

    /// Makes an expression come to a value: what it reads, or what a difference,
    /// sum or time between is made of.
    fn solve(&self, expr: &Expr, to: &Value) -> Vec<Step> {
        match expr.expr_kind() {
            ExprKind::GetAttr { .. } => self.assign(expr, to),
            ExprKind::ExtensionFunctionApp { fn_name, args } => {
                match (fn_name.to_string().as_str(), &args[..]) {
                    ("durationSince", [later, earlier]) => {
                        self.difference([later, earlier], to, Scalar::Datetime)
                    }
                    ("offset", [time, by]) => self.sum([time, by], to),
                    _ => Vec::new(),
                }
            }
            ExprKind::BinaryApp {
                op: BinaryOp::Add,
                arg1,
                arg2,
            } => self.sum([arg1, arg2], to),
            ExprKind::BinaryApp {
                op: BinaryOp::Sub,
                arg1,
                arg2,
            } => self.difference([arg1, arg2], to, Scalar::Long),
            _ => Vec::new(),
        }
    }

    /// `a - b == to`
    fn difference(
        &self,
        [left, right]: [&Expr; 2],
        to: &Value,
        unit: impl Fn(i64) -> Scalar,
    ) -> Vec<Step> {
        let number = |expr| Some(Scalar::of(&self.value(expr)?)?.number());
        let to = Scalar::of(to).map(Scalar::number);
        let mut steps = Vec::new();
        let mut try_side = |unknown, wanted: Option<i64>| {
            let value = wanted.and_then(|number| unit(number).value());
            if let Some(value) = value {
                steps.extend(self.solve(unknown, &value));
            }
        };
        let subtract = |a: Option<i64>, b: Option<i64>| a?.checked_sub(b?);
        try_side(right, subtract(number(left), to));
        let add = |a: Option<i64>, b: Option<i64>| a?.checked_add(b?);
        try_side(left, add(number(right), to));
        steps
    }

    /// `a + b == to`
    fn sum(&self, sides: [&Expr; 2], to: &Value) -> Vec<Step> {
        let [left, right] = sides;
        let mut steps = Vec::new();
        for (unknown, known) in [(left, right), (right, left)] {
            let scalars = [self.value(known), self.value(unknown)].map(|value| Scalar::of(&value?));
            let ([Some(known), Some(now)], Some(to)) = (scalars, Scalar::of(to)) else {
                continue;
            };
            let missing = to.number().checked_sub(known.number());
            let step = missing.and_then(|number| now.off(number.checked_sub(now.number())?));
            if let Some(value) = step.and_then(Scalar::value) {
                steps.extend(self.solve(unknown, &value));
            }
        }
        steps
    }

    /// `contains`, `containsAll`, `containsAny`
    pub(super) fn elements(&self, op: BinaryOp, [set, of]: [&Expr; 2], wanted: bool) -> Vec<Step> {
        let (Some(set_value), Some(of_value)) = (self.value(set), self.value(of)) else {
            return Vec::new();
        };
        let (Some(have), asked) = (set_of(&set_value), set_of(&of_value)) else {
            return Vec::new();
        };
        let asked: Vec<Value> = match asked {
            Some(asked) if op != BinaryOp::Contains => asked.iter().cloned().collect(),
            _ => vec![of_value],
        };
        let one = op == BinaryOp::ContainsAny;
        let have: Vec<Value> = have.iter().cloned().collect();
        if !wanted {
            let left = have.into_iter().filter(|value| !asked.contains(value));
            return self.assign(set, &Value::set(left, None));
        }
        let added = asked.into_iter().take(if one { 1 } else { usize::MAX });
        let all = have.iter().cloned().chain(added);
        let mut steps = self.assign(set, &Value::set(all, None));
        for element in have.iter().take(ELEMENTS_MAX) {
            let value = if op == BinaryOp::Contains {
                element.clone()
            } else {
                Value::set([element.clone()], None)
            };
            steps.extend(self.assign(of, &value));
        }
        steps
    }

    /// `like`
    pub(super) fn like(&self, text: &Expr, pattern: &Pattern, wanted: bool) -> Vec<Step> {
        if wanted {
            let matching: String = pattern
                .iter()
                .filter_map(|element| match element {
                    PatternElem::Char(letter) => Some(*letter),
                    PatternElem::Wildcard => None,
                })
                .collect();
            return self.solve(text, &Value::from(matching));
        }
        let other = ["", "other"]
            .into_iter()
            .find(|text| !pattern.wildcard_match(text));
        other.map_or_else(Vec::new, |other| self.solve(text, &Value::from(other)))
    }

    /// Functions that tell true from false.
    pub(super) fn function(&self, name: &str, args: &[Expr], wanted: bool) -> Vec<Step> {
        let [left, right] = args else {
            return Vec::new();
        };
        match (name, wanted) {
            ("lessThan", true) | ("greaterThanOrEqual", false) => self.compare([left, right], -1),
            ("lessThan", false) | ("greaterThanOrEqual", true) => self.compare([left, right], 0),
            ("lessThanOrEqual", true) | ("greaterThan", false) => self.compare([left, right], 0),
            ("lessThanOrEqual", false) | ("greaterThan", true) => self.compare([left, right], 1),
            ("isInRange", wanted) => {
                let range = self.value(right);
                let address = range.and_then(|range| address(&range, wanted));
                address.map_or_else(Vec::new, |address| self.solve(left, &address))
            }
            _ => Vec::new(),
        }
    }
}

fn set_of(value: &Value) -> Option<&Set> {
    match value.value_kind() {
        ValueKind::Set(set) => Some(set),
        _ => None,
    }
}

/// The first address of a network, or one outside of it.
fn address(range: &Value, is_inside: bool) -> Option<Value> {
    let text = range.to_string();
    let network = text.split('"').nth(1)?;
    let (first, _) = network.split_once('/').unwrap_or((network, ""));
    let first: IpAddr = first.parse().ok()?;
    let other = match first {
        _ if is_inside => first.to_string(),
        // Addresses for documentation, of which a network is never both.
        IpAddr::V4(_) if first.to_string().starts_with("192.0.2.") => "198.51.100.1".to_owned(),
        IpAddr::V4(_) => "192.0.2.1".to_owned(),
        IpAddr::V6(_) => "2001:db8::1".to_owned(),
    };
    Extension::Ip.parse(&other).ok()
}

/// Another value of the same type.
fn other(value: &Value) -> Option<Value> {
    match value.value_kind() {
        ValueKind::Lit(Literal::Bool(value)) => Some(Value::from(!value)),
        ValueKind::Lit(Literal::String(text)) => Some(Value::from(format!("{text}-other"))),
        _ => Scalar::of(value)?.off(1)?.value(),
    }
}
