//! The answer to one question as `deodar check` shows it, wherever it is from.

use std::fmt::Write as _;

use serde::Serialize;

use super::output;
use super::output::BAD;
use super::output::FAINT;
use super::output::GOOD;
use super::output::HEAD;
use super::output::NAME;
use super::output::PLAIN;
use super::output::paint;
use crate::engine::Cause;

/// An answer. Its JSON is stable: fields are added, never changed or removed.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// Allow or deny.
    pub decision: Effect,
    /// Why it was denied, by name, such as `no_permit`; null when allowed.
    pub cause: Option<String>,
    /// The same as a sentence.
    pub sentence: String,
    /// The policies that made the decision.
    pub policies: Vec<PolicyRef>,
    /// What a person could do about it.
    pub advice: Vec<String>,
    /// What the enforcement point must do.
    pub obligations: Vec<Obligation>,
    /// Policies whose evaluation failed.
    pub errors: Vec<PolicyError>,
    /// Permits that would have applied but for one condition; none when
    /// allowed.
    pub near_misses: Vec<NearMiss>,
    /// How many more of them there were.
    pub near_misses_left_out: usize,
    /// What was in force.
    pub revisions: Revisions,
    /// The name of the decision in the server's logs; null for a local one.
    pub decision_id: Option<String>,
}

/// Allow or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Allowed.
    Allow,
    /// Denied.
    Deny,
}

/// A policy, by what people know it by.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyRef {
    /// `@id`, or file and position.
    pub id: String,
    /// `permit` or `forbid`.
    pub effect: String,
    /// `@title`
    pub title: Option<String>,
    /// `@reason`
    pub reason: Option<String>,
    /// Relative to the policy directory.
    pub file: String,
    /// Where it starts.
    pub line: usize,
    /// The template, when it is a link of one.
    pub template: Option<String>,
}

/// Something that must be done for the decision to hold.
#[derive(Debug, Serialize)]
pub struct Obligation {
    /// What.
    pub name: String,
    /// The policy that demands it.
    pub policy: String,
}

/// A policy that failed to evaluate.
#[derive(Debug, Serialize)]
pub struct PolicyError {
    /// The policy.
    pub policy: PolicyRef,
    /// Cedar's message.
    pub message: String,
}

/// A permit that would have applied but for one condition.
#[derive(Debug, Serialize)]
pub struct NearMiss {
    /// The permit.
    pub policy: PolicyRef,
    /// The condition that did not hold, as written.
    pub condition: String,
    /// Its line.
    pub line: usize,
    /// What it read.
    pub values: Vec<ReadValue>,
    /// Why it could not be evaluated, if so.
    pub error: Option<String>,
}

/// One thing that a condition read.
#[derive(Debug, Clone, Serialize)]
pub struct ReadValue {
    /// Such as `principal.firmware.version`.
    pub expression: String,
    /// Its value in Cedar syntax.
    pub value: String,
}

/// What was in force.
#[derive(Debug, Serialize)]
pub struct Revisions {
    /// Of the policies.
    pub policy: String,
    /// Of entities and links.
    pub directory: String,
}

/// A cause, or that there is none, as a sentence.
pub fn sentence(cause: Option<Cause>) -> &'static str {
    cause.map_or("a policy permits it, and none forbids it", Cause::sentence)
}

/// Texts without repetition, in order: policies may share their advice.
pub fn once(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for text in texts {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

impl Answer {
    /// The answer for a person.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let verdict = match self.decision {
            Effect::Allow => paint(GOOD, "ALLOW"),
            Effect::Deny => paint(BAD, "DENY"),
        };
        writeln!(text, "{verdict}  {}", self.sentence).ok();
        section(&mut text, "policies", &self.policies, |text, policy| {
            policy.write(text);
            if let Some(reason) = &policy.reason {
                writeln!(text, "    {reason}").ok();
            }
        });
        section(&mut text, "advice", &self.advice, |text, advice| {
            writeln!(text, "  {advice}").ok();
        });
        section(
            &mut text,
            "obligations",
            &self.obligations,
            |text, obligation| {
                let policy = paint(FAINT, &format!("({})", obligation.policy));
                writeln!(text, "  {}  {policy}", paint(NAME, &obligation.name)).ok();
            },
        );
        section(&mut text, "errors", &self.errors, |text, error| {
            error.policy.write(text);
            writeln!(text, "    {}", error.message).ok();
        });
        section(&mut text, "near misses", &self.near_misses, |text, miss| {
            miss.write(text);
        });
        if self.near_misses_left_out > 0 {
            writeln!(text, "  and {} more", self.near_misses_left_out).ok();
        }
        let short = |revision: &str| revision.chars().take(12).collect::<String>();
        let (policy, directory) = (
            short(&self.revisions.policy),
            short(&self.revisions.directory),
        );
        let revision = paint(FAINT, &format!("policies {policy}, directory {directory}"));
        writeln!(text, "\n{}  {revision}", paint(HEAD, "revision")).ok();
        if let Some(id) = &self.decision_id {
            writeln!(text, "{}  {}", paint(HEAD, "decision"), paint(FAINT, id)).ok();
        }
        text
    }
}

impl PolicyRef {
    fn write(&self, text: &mut String) {
        let of = self
            .template
            .as_ref()
            .map_or_else(String::new, |template| format!(", link of {template}"));
        let facts = paint(
            FAINT,
            &format!("{}:{} ({}{of})", self.file, self.line, self.effect),
        );
        writeln!(text, "  {}  {facts}", paint(NAME, &self.id)).ok();
        if let Some(title) = &self.title {
            writeln!(text, "    {title}").ok();
        }
    }
}

impl NearMiss {
    fn write(&self, text: &mut String) {
        self.policy.write(text);
        let place = paint(FAINT, &format!("{}:{}", self.policy.file, self.line));
        let what = if self.error.is_some() {
            "failed"
        } else {
            "does not hold"
        };
        writeln!(text, "    {what}: {}  {place}", self.condition).ok();
        if let Some(error) = &self.error {
            writeln!(text, "    {error}").ok();
        }
        let rows: Vec<_> = self
            .values
            .iter()
            .map(|read| [read.expression.clone(), "=".to_owned(), read.value.clone()])
            .collect();
        text.push_str(&output::table("      ", [NAME, FAINT, PLAIN], &rows));
    }
}

fn section<T>(text: &mut String, title: &str, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    if items.is_empty() {
        return;
    }
    writeln!(text, "\n{}", paint(HEAD, title)).ok();
    for item in items {
        write(text, item);
    }
}
