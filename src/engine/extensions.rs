//! Cedar's extension functions, with constructors that remember what they made.
//!
//! Cedar evaluates `duration("24h")` or `decimal("1.3")` in a condition by
//! parsing the text again every time, some with a regular expression: microseconds
//! for a constant. The same few texts come back in policies and requests, so
//! each thread keeps the last values by text. The answers are Cedar's own; a
//! text that Cedar refuses is not kept.

#![expect(
    clippy::result_large_err,
    reason = "the error is Cedar's, and its functions return it so"
)]

use std::cell::RefCell;
use std::hash::Hash as _;
use std::hash::Hasher as _;
use std::sync::LazyLock;

use cedar_policy_core::ast::Extension;
use cedar_policy_core::ast::ExtensionFunction;
use cedar_policy_core::ast::ExtensionOutputValue;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::Name;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::Unknown;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;
use cedar_policy_core::evaluator::EvaluationError;
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::extensions::datetime;
use cedar_policy_core::extensions::decimal;
use cedar_policy_core::extensions::ipaddr;
use rustc_hash::FxHasher;
use smol_str::SmolStr;

/// How many values a thread keeps.
const KEPT: usize = 512;
/// A longer text is parsed each time: no request may fill the memory.
const TEXT_MAX: usize = 64;

/// A value with the constructor and the text that made it.
struct Made {
    constructor: &'static Name,
    text: SmolStr,
    value: Value,
}

thread_local! {
    /// A place for each hash; a newcomer takes the place of what was there.
    static MADE: RefCell<Vec<Option<Made>>> = const { RefCell::new(Vec::new()) };
}

/// All extension functions, as [`Extensions::all_available`] has them.
pub fn extensions() -> &'static Extensions<'static> {
    static CEDARS: LazyLock<[Extension; 3]> = LazyLock::new(|| {
        [
            ipaddr::extension(),
            decimal::extension(),
            datetime::extension(),
        ]
    });
    static OURS: LazyLock<Vec<Extension>> =
        LazyLock::new(|| CEDARS.iter().filter_map(wrapped).collect());
    static ALL: LazyLock<Option<Extensions<'static>>> = LazyLock::new(|| {
        let is_complete = OURS.len() == CEDARS.len();
        is_complete
            .then(|| Extensions::specific_extensions(&OURS).ok())
            .flatten()
    });
    // A function that a later Cedar has and this file cannot wrap costs speed only.
    ALL.as_ref().unwrap_or_else(|| Extensions::all_available())
}

fn wrapped(extension: &'static Extension) -> Option<Extension> {
    let functions: Option<Vec<_>> = extension.funcs().map(function).collect();
    let overloading = extension.types_with_operator_overloading().cloned();
    Some(Extension::new(
        extension.name().clone(),
        functions?,
        overloading,
    ))
}

fn function(cedar: &'static ExtensionFunction) -> Option<ExtensionFunction> {
    let (name, style) = (cedar.name().clone(), cedar.style());
    let returns = cedar.return_type()?.clone();
    match cedar.arg_types() {
        _ if cedar.is_variadic() => None,
        [text] if cedar.is_single_arg_constructor() => {
            let make = Box::new(move |text: &Value| remembered(cedar, text));
            Some(ExtensionFunction::unary(
                name,
                style,
                make,
                returns,
                text.clone(),
            ))
        }
        [one] => {
            let call = Box::new(move |one: &Value| call(cedar, std::slice::from_ref(one)));
            Some(ExtensionFunction::unary(
                name,
                style,
                call,
                returns,
                one.clone(),
            ))
        }
        [one, two] => {
            let call =
                Box::new(move |one: &Value, two: &Value| call(cedar, &[one.clone(), two.clone()]));
            Some(ExtensionFunction::binary(
                name,
                style,
                call,
                returns,
                (one.clone(), two.clone()),
            ))
        }
        _ => None,
    }
}

fn call(
    cedar: &ExtensionFunction,
    arguments: &[Value],
) -> Result<ExtensionOutputValue, EvaluationError> {
    Ok(match cedar.call(arguments)? {
        PartialValue::Value(value) => ExtensionOutputValue::Known(value),
        // Only partial evaluation makes these; whoever evaluates it gets an error.
        PartialValue::Residual(_) => {
            ExtensionOutputValue::Unknown(Unknown::new_untyped("extension"))
        }
    })
}

/// The value that a constructor makes of a text, made at most once in a while.
fn remembered(
    cedar: &'static ExtensionFunction,
    argument: &Value,
) -> Result<ExtensionOutputValue, EvaluationError> {
    let ValueKind::Lit(Literal::String(text)) = argument.value_kind() else {
        return call(cedar, std::slice::from_ref(argument));
    };
    if text.len() > TEXT_MAX {
        return call(cedar, std::slice::from_ref(argument));
    }
    let mut hasher = FxHasher::default();
    std::ptr::from_ref(cedar).hash(&mut hasher);
    text.hash(&mut hasher);
    let place = usize::try_from(hasher.finish() >> 32).unwrap_or_default() % KEPT;
    MADE.with_borrow_mut(|made| {
        if made.is_empty() {
            made.resize_with(KEPT, || None);
        }
        let place = made.get_mut(place);
        if let Some(Some(made)) = &place
            && std::ptr::eq(made.constructor, cedar.name())
            && made.text == *text
        {
            return Ok(ExtensionOutputValue::Known(made.value.clone()));
        }
        let output = call(cedar, std::slice::from_ref(argument))?;
        if let (Some(place), ExtensionOutputValue::Known(value)) = (place, &output) {
            *place = Some(Made {
                constructor: cedar.name(),
                text: text.clone(),
                value: value.clone(),
            });
        }
        Ok(output)
    })
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use cedar_policy_core::ast::Value;
    use cedar_policy_core::extensions::Extensions;

    use super::extensions;
    use crate::engine::value::Extension;

    #[test]
    fn every_function_of_cedar_is_there() {
        let names = |extensions: &Extensions<'_>| {
            let mut names: Vec<_> = extensions.ext_names().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(extensions()), names(Extensions::all_available()));
        assert!(
            !std::ptr::eq(extensions(), Extensions::all_available()),
            "nothing is remembered"
        );
        let name = cedar_policy_core::ast::Name::from_str("isInRange").unwrap();
        assert!(extensions().func(&name).is_ok());
    }

    #[test]
    fn what_is_remembered_is_what_cedar_makes() {
        let name = "decimal".parse().unwrap();
        for number in 0..2000 {
            // Each twice, so that the second may be remembered.
            for _ in 0..2 {
                let text = format!("{}.5", number % 700);
                let theirs = Extensions::all_available()
                    .func(&name)
                    .unwrap()
                    .call(&[Value::from(text.as_str())]);
                let theirs = Value::try_from(theirs.unwrap()).unwrap();
                assert_eq!(Extension::Decimal.parse(&text).unwrap(), theirs);
            }
        }
        for _ in 0..2 {
            assert!(Extension::Decimal.parse("1.23456").is_err());
            // The same text, another constructor.
            assert!(Extension::Duration.parse("1.5").is_err());
        }
    }
}
