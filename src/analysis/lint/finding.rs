//! What a rule found.

use std::ops::Range;
use std::sync::Arc;

use smol_str::SmolStr;

use super::policy::Policy;
use super::rule::Level;
use super::rule::Rule;
use super::source::Source;
use super::text_edits::comments;
use crate::engine::Fault;

/// One finding, at its place.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// How much it counts here.
    pub level: Level,
    /// The file.
    pub source: Arc<Source>,
    /// The bytes that are meant.
    pub span: Range<usize>,
    /// The policy, if it is about one.
    pub policy: Option<SmolStr>,
    /// What is found: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// How `--fix` mends it.
    pub edits: Vec<Edit>,
    /// The number of the policy in the subject.
    pub(super) of: Option<usize>,
}

/// A change of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is taken out.
    pub span: Range<usize>,
    /// What comes in its place.
    pub text: String,
}

impl Edit {
    /// Takes something out.
    pub fn remove(span: Range<usize>) -> Self {
        Self {
            span,
            text: String::new(),
        }
    }

    /// Puts something in the place of something.
    pub fn replace(span: Range<usize>, text: impl Into<String>) -> Self {
        Self {
            span,
            text: text.into(),
        }
    }
}

impl Finding {
    /// Leaves the mending to a person where it would take a comment away.
    pub(super) fn keep_comments(&mut self) {
        let mut edits = self.edits.iter();
        if edits.any(|edit| !comments(self.source.slice(&edit.span)).is_empty()) {
            self.edits.clear();
        }
    }

    /// The finding as faults are shown. Counts lines from the start of the file.
    pub fn fault(&self) -> Fault {
        let (file, text) = (&self.source.file, &self.source.text);
        let note = match self.level {
            Level::Info => " (info)",
            Level::Warning | Level::Error => "",
        };
        let message = format!("{}{note}: {}", self.rule.id, self.message);
        let fault = if text.is_empty() {
            Fault::of_file(file, message)
        } else {
            Fault::at(file, text, self.span.clone().into(), message)
        };
        let fault = fault.with_hint(&*self.hint);
        if self.level == Level::Error {
            fault
        } else {
            fault.as_warning()
        }
    }

    /// `file:line:column`.
    pub fn place(&self) -> String {
        if self.source.text.is_empty() {
            return self.source.file.to_string();
        }
        let place = self.source.place(self.span.start);
        format!("{}:{}:{}", self.source.file, place.line, place.column)
    }
}

/// What one rule finds.
#[derive(Debug)]
pub struct Found {
    rule: &'static Rule,
    level: Level,
    /// The number of the policy that is looked at.
    pub(super) of: Option<usize>,
    pub(super) findings: Vec<Finding>,
}

impl Found {
    /// Nothing yet.
    pub fn new(rule: &'static Rule, level: Level) -> Self {
        Self {
            rule,
            level,
            of: None,
            findings: Vec::new(),
        }
    }

    /// Something in a policy.
    pub fn at(
        &mut self,
        policy: &Policy,
        span: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> &mut Finding {
        // Cedar folds some constants together without leaving a place.
        let span = if span.is_empty() { policy.head() } else { span };
        let finding = Finding {
            policy: Some(policy.id.clone()),
            of: self.of,
            ..self.finding(&policy.source, span, message.into(), hint.into())
        };
        self.push(finding)
    }

    /// Something in a file.
    pub fn in_file(
        &mut self,
        source: &Arc<Source>,
        span: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> &mut Finding {
        let finding = self.finding(source, span, message.into(), hint.into());
        self.push(finding)
    }

    fn finding(
        &self,
        source: &Arc<Source>,
        span: Range<usize>,
        message: String,
        hint: String,
    ) -> Finding {
        Finding {
            rule: self.rule,
            level: self.level,
            source: Arc::clone(source),
            span,
            policy: None,
            message,
            hint,
            edits: Vec::new(),
            of: None,
        }
    }

    #[expect(
        clippy::unwrap_used,
        reason = "there is a last one, since one was pushed"
    )]
    fn push(&mut self, finding: Finding) -> &mut Finding {
        self.findings.push(finding);
        self.findings.last_mut().unwrap()
    }
}
