//! The ways in which a policy is changed.

use serde::Serialize;

/// A way to change a policy. Its name is the first word of an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operator {
    /// `permit` becomes `forbid`, and the other way round.
    Effect,
    /// The policy is left out.
    Remove,
    /// A constraint of the scope is left out, or `==` becomes `in`.
    Scope,
    /// An action is taken from a list of the scope.
    ActionList,
    /// A `when` or `unless` is left out.
    DropCondition,
    /// `when` becomes `unless`, and the other way round.
    NegateCondition,
    /// One side of `&&` becomes `true`, or one of `||` `false`.
    DropClause,
    /// A clause is negated.
    Negate,
    /// `&&` becomes `||`, and the other way round.
    Connective,
    /// A comparison becomes its neighbour or its contrary.
    Compare,
    /// A whole number is one more, or one less.
    Integer,
    /// A duration or datetime is a minute off, a decimal a tenth, an address in
    /// the neighbouring network.
    Constant,
    /// A text is another.
    Text,
    /// `true` becomes `false`, and the other way round.
    Bool,
    /// A set lacks one of its elements.
    Set,
    /// `containsAll` becomes `containsAny`, and the other way round.
    Contains,
    /// A pattern matches everything.
    Like,
    /// The branches of an `if` change places.
    Branches,
}

impl Operator {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Effect,
        Self::Remove,
        Self::Scope,
        Self::ActionList,
        Self::DropCondition,
        Self::NegateCondition,
        Self::DropClause,
        Self::Negate,
        Self::Connective,
        Self::Compare,
        Self::Integer,
        Self::Constant,
        Self::Text,
        Self::Bool,
        Self::Set,
        Self::Contains,
        Self::Like,
        Self::Branches,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Effect => "effect",
            Self::Remove => "remove",
            Self::Scope => "scope",
            Self::ActionList => "action-list",
            Self::DropCondition => "drop-condition",
            Self::NegateCondition => "negate-condition",
            Self::DropClause => "drop-clause",
            Self::Negate => "negate",
            Self::Connective => "connective",
            Self::Compare => "compare",
            Self::Integer => "integer",
            Self::Constant => "constant",
            Self::Text => "text",
            Self::Bool => "bool",
            Self::Set => "set",
            Self::Contains => "contains",
            Self::Like => "like",
            Self::Branches => "branches",
        }
    }

    /// The operator of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operator| operator.name() == name)
    }

    /// What a test would have to ask to notice the change.
    pub fn needs(self) -> &'static str {
        match self {
            Self::Effect | Self::Remove => "ask something that this policy alone decides",
            Self::Scope => "ask something that lies just outside the scope of this policy",
            Self::ActionList => "ask for the action that was taken from the list",
            Self::DropCondition | Self::NegateCondition => {
                "ask something that all else allows for and this condition decides"
            }
            Self::DropClause | Self::Negate => {
                "ask something that all other clauses hold for and this one decides"
            }
            Self::Connective => "ask something for which one side holds and the other does not",
            Self::Compare => "ask with both sides equal, and with one a little off",
            Self::Integer => "ask with a number right at the limit",
            Self::Constant => "ask with a value right at the limit, and one just beyond it",
            Self::Text => "ask with this very text",
            Self::Bool => "ask something that this constant decides",
            Self::Set => "ask with the element that was taken from the set",
            Self::Contains => "ask with some of the elements, but not all",
            Self::Like => "ask with a text that does not match the pattern",
            Self::Branches => "ask once for each branch",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Operator;

    #[test]
    fn names_are_those_of_json() {
        for operator in Operator::ALL {
            let json = serde_json::to_value(operator).unwrap();
            assert_eq!(json, operator.name());
            assert_eq!(Operator::of_name(operator.name()), Some(operator));
        }
    }
}
