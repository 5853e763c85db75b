//! `@survives`: what a policy says of mutants that no case kills.
//!
//! An explanation names one mutant by its operator and the change, as a report of
//! it shows them: the lines as they are, and as the mutant has them.
//!
//! ```text
//! @survives("scope `principal is User,` -> `principal,`: only people have a site")
//! ```
//!
//! So it says nothing of other changes, nor of this one once its lines are others.
//! Several are separated by `;`; how much space there is between words does not
//! matter.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use smol_str::SmolStr;

use super::Mutant;
use super::operator::Operator;
use crate::engine::policy::PolicyInfo;

/// The annotation that explains survivors.
const ANNOTATION: &str = "survives";

/// Why an explanation explains nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// It begins with the name of no operator.
    Operator,
    /// It names an operator, but no change.
    Change,
    /// No mutant of this name survives: the policy is another now, or a case kills
    /// it.
    Survivor,
    /// It gives no reason.
    Reason,
}

/// The explanations of one policy.
#[derive(Debug)]
pub struct Explanations {
    all: Vec<Explanation>,
}

#[derive(Debug)]
struct Explanation {
    name: String,
    reason: String,
    is_used: bool,
}

impl Explanations {
    /// Those of a policy whose mutants have these names.
    pub fn of(info: &PolicyInfo, names: &[String]) -> Self {
        let text = info.annotations.get(ANNOTATION).map_or("", SmolStr::as_str);
        Self {
            all: read(text, names),
        }
    }

    /// The reason why the mutant of this name may live, if one is given.
    pub fn of_survivor(&mut self, name: &str) -> Option<String> {
        let mut all = self.all.iter_mut();
        let found = all.find(|explanation| explanation.name == name)?;
        if !says_something(&found.reason) {
            return None;
        }
        found.is_used = true;
        Some(found.reason.clone())
    }

    /// What is before the colon of each that explains nothing, and why it does not.
    pub fn idle(self) -> impl Iterator<Item = (String, Idle)> {
        let unused = self.all.into_iter();
        let unused = unused.filter(|explanation| !explanation.is_used);
        unused.map(|explanation| {
            let operator = explanation.name.split(' ').next().unwrap_or_default();
            let why = if Operator::of_name(operator).is_none() {
                Idle::Operator
            } else if !explanation.name.contains('`') {
                Idle::Change
            } else if !says_something(&explanation.reason) {
                Idle::Reason
            } else {
                Idle::Survivor
            };
            (explanation.name, why)
        })
    }
}

/// The names of all mutants of a policy, in their order. Each is another.
pub fn names(mutants: &[Mutant]) -> Vec<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let names = mutants.iter().map(|mutant| {
        let mut name = name(mutant);
        let before = times.entry(name.clone()).or_default();
        *before += 1;
        // The same change of another line with the same words.
        if *before > 1 {
            write!(name, " #{before}").ok();
        }
        name
    });
    names.collect()
}

/// The annotation that has what a policy explains already, and a place for why the
/// mutant of this name may live.
pub fn annotation(info: &PolicyInfo, name: &str) -> String {
    let mut text = match info.annotations.get(ANNOTATION) {
        Some(already) if !already.trim().is_empty() => format!("{}; ", one_line(already)),
        _ => String::new(),
    };
    write!(text, "{name}: ..").ok();
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' | '\\' => escaped.extend(['\\', letter]),
            _ if letter.is_control() => {
                write!(escaped, "\\u{{{:x}}}", u32::from(letter)).ok();
            }
            _ => escaped.push(letter),
        }
    }
    format!("@{ANNOTATION}(\"{escaped}\")")
}

fn name(mutant: &Mutant) -> String {
    let operator = mutant.operator.name();
    let [before, after] = [&mutant.before, &mutant.after].map(|lines| one_line(&lines.join(" ")));
    if after.is_empty() {
        format!("{operator} `{before}`")
    } else {
        format!("{operator} `{before}` -> `{after}`")
    }
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// The place that a report leaves for a reason is none.
fn says_something(reason: &str) -> bool {
    reason.contains(char::is_alphanumeric)
}

/// `name: reason; name: reason`
fn read(text: &str, names: &[String]) -> Vec<Explanation> {
    let text = one_line(text);
    let mut rest = text.as_str();
    let mut all = Vec::new();
    loop {
        rest = rest.trim_start_matches([';', ' ']);
        if rest.is_empty() {
            return all;
        }
        let length = name_length(rest, names);
        let (name, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        let after = after.strip_prefix(':').unwrap_or(after);
        let (reason, next) = after.split_once(';').unwrap_or((after, ""));
        all.push(Explanation {
            name: name.trim().to_owned(),
            reason: reason.trim().to_owned(),
            is_used: false,
        });
        rest = next;
    }
}

/// A policy may have any sign in its texts, so a name that a mutant has is taken as
/// a whole; another ends at the first colon outside of backticks.
fn name_length(text: &str, names: &[String]) -> usize {
    let known = names.iter().filter(|name| {
        let after = text.strip_prefix(name.as_str());
        after.is_some_and(|after| after.starts_with(':'))
    });
    if let Some(length) = known.map(String::len).max() {
        return length;
    }
    let mut is_quoted = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '`' => is_quoted = !is_quoted,
            ':' | ';' if !is_quoted => return at,
            _ => {}
        }
    }
    text.find([':', ';']).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::Mutant;
    use super::Operator;
    use super::names;
    use super::read;

    fn mutant(before: &[&str], after: &[&str]) -> Mutant {
        let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect();
        Mutant {
            operator: Operator::Text,
            line: 1,
            before: lines(before),
            after: lines(after),
            text: None,
        }
    }

    #[test]
    fn each_mutant_has_a_name_of_its_own() {
        let mutants = [
            mutant(&["a  b", "  c"], &["d"]),
            mutant(&["a b c"], &["d"]),
            mutant(&["a b c"], &[]),
        ];
        assert_eq!(
            names(&mutants),
            [
                "text `a b c` -> `d`",
                "text `a b c` -> `d` #2",
                "text `a b c`"
            ]
        );
    }

    #[test]
    fn explanations_are_told_apart() {
        let known = names(&[mutant(&["x == \"`: ;\""], &["x == \"`: ;_\";"])]);
        let text = format!(
            "scope `A::B` -> `C`:one,\n  two ;; {}: three; old: four; none; text `open: five",
            known[0].replace(' ', "\n ")
        );
        let shown: Vec<_> = read(&text, &known)
            .into_iter()
            .map(|explanation| format!("{} = {}", explanation.name, explanation.reason))
            .collect();
        assert_eq!(
            shown,
            [
                "scope `A::B` -> `C` = one, two".to_owned(),
                format!("{} = three", known[0]),
                "old = four".to_owned(),
                "none = ".to_owned(),
                "text `open = five".to_owned(),
            ]
        );
    }
}
