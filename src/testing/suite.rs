//! Suites of cases, ready to be asked: fixtures looked up, tables and parameters
//! written out.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use serde_json::Value as Json;

use crate::engine::Cause;
use crate::engine::Decision;
use crate::engine::Fault;
use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::json::JsonLimits;
use crate::engine::json::context_from_json;
use crate::engine::json::entities_from_json;
use crate::engine::link::Link;

/// What a test file may hold: it is its author's own, so there is no other limit
/// than that of the file.
const LIMITS: JsonLimits = JsonLimits {
    depth_max: 128,
    values_max: usize::MAX,
    entities_max: usize::MAX,
};

/// The cases of one file.
#[derive(Debug, Clone)]
pub struct Suite {
    /// The path of the file, relative to the root of the repository.
    pub file: Arc<str>,
    /// What it calls itself; else the name of the file.
    pub name: String,
    /// In order of the file; a cell of a table is a case.
    pub cases: Vec<Case>,
    /// The cases that cannot be asked, in order of the file.
    pub broken: Vec<Broken>,
}

/// A case that cannot be read: it names what there is not, or is written in the
/// wrong way. Of a table whose lists have a fault, all cells are one.
#[derive(Debug, Clone)]
pub struct Broken {
    /// As that of a [`Case`], as far as it is known.
    pub name: String,
    /// Where it is in the file, from 1.
    pub line: usize,
    /// The first thing that is wrong with it.
    pub fault: Box<Fault>,
    /// It stands for several cases, whose names are not known.
    pub is_of_many: bool,
}

/// One question with the answer that is expected.
#[derive(Debug, Clone)]
pub struct Case {
    /// The path of the file, relative to the root of the repository.
    pub file: Arc<str>,
    /// Unique within its suite. That of a cell is the name of its table and what
    /// the cell is about.
    pub name: String,
    /// Where it is in the file, from 1.
    pub line: usize,
    /// The question.
    pub question: Question,
    /// The answer.
    pub expected: Expected,
    /// Why it is not asked, if it is not.
    pub skip: Option<String>,
}

/// A question, before there are policies to ask it of.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asks.
    pub principal: Arc<EntityUID>,
    /// To do what.
    pub action: Arc<EntityUID>,
    /// To what.
    pub resource: Arc<EntityUID>,
    /// Cedar JSON: an object. The cells of a table share it.
    pub context: Arc<Json>,
    /// Cedar JSON: an array of entities that overlay those of the repository.
    pub entities: Json,
    /// Whether there are no other entities than these.
    pub is_alone: bool,
    /// Links in force besides those of the repository.
    pub links: Vec<Link>,
    /// The `datetime` for `context.now`, where the schema declares it and the
    /// context does not have it.
    pub now: Option<Value>,
}

/// What a decision has to be. What is `None` is not looked at, but for this: a deny
/// without a cause is one that policies came to.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Allow or deny.
    pub allow: bool,
    /// Whether a deny without a cause may be that of a principal or resource that
    /// is nowhere. Such a case asks no policy, so it passes whatever they say.
    pub may_be_unknown: bool,
    /// Why it is denied.
    pub cause: Option<Cause>,
    /// The ids of the determining policies.
    pub policies: Option<ExpectedPolicies>,
    /// The ids of the policies that fail to evaluate, exactly.
    pub errors: Option<BTreeSet<String>>,
    /// How many policies fail to evaluate.
    pub errors_count: Option<usize>,
    /// The advice, exactly.
    pub advice: Option<BTreeSet<String>>,
    /// The obligations, exactly.
    pub obligations: Option<BTreeSet<String>>,
}

/// The ids of determining policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedPolicies {
    /// These and no others.
    Exactly(BTreeSet<String>),
    /// These, perhaps among others.
    Including(BTreeSet<String>),
}

/// One thing that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What: `decision`, `cause`, `policies`, `errors`, `advice`, `obligations`,
    /// `errors_count`.
    pub what: &'static str,
    /// What was expected, for people.
    pub expected: String,
    /// What came.
    pub came: String,
    /// What to do about it, where that can be told.
    pub hint: Option<String>,
}

/// A question for certain policies, with what is known besides.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The question.
    pub query: Query,
    /// The entities and links of the repository, and the links of the case.
    /// Without the entities where the case has all that there are.
    pub view: Cow<'a, View>,
}

impl Case {
    /// The question of this case for these policies.
    ///
    /// # Errors
    /// When it does not fit them, at the place of the case.
    pub fn asked<'a>(&self, snapshot: &Snapshot, view: &'a View) -> Result<Asked<'a>, Box<Fault>> {
        self.question
            .asked(snapshot, view)
            .map_err(|(message, hint)| Box::new(self.fault(&message, hint)))
    }

    /// A fault of this case, at its place.
    pub fn fault(&self, message: &str, hint: String) -> Fault {
        let mut fault =
            Fault::of_file(&self.file, format!("`{}`: {message}", self.name)).with_hint(hint);
        fault.line = self.line;
        fault.column = 1;
        fault
    }
}

impl Question {
    /// The question for these policies.
    ///
    /// # Errors
    /// When it does not fit them: what is wrong, and what to do about it.
    pub fn asked<'a>(
        &self,
        snapshot: &Snapshot,
        view: &'a View,
    ) -> Result<Asked<'a>, (String, String)> {
        let mut context =
            context_from_json(snapshot, &self.action, Json::clone(&self.context), &LIMITS)
                .map_err(|error| (error.to_string(), error.hint()))?;
        let action = snapshot
            .schema()
            .and_then(|schema| schema.action(&self.action));
        if let Some(now) = &self.now
            && action.is_some_and(|action| action.takes_now)
            && !context.contains_key("now")
        {
            context.insert("now".into(), now.clone());
        }
        let overlay = entities_from_json(snapshot, self.entities.clone(), &LIMITS)
            .map_err(|error| (error.to_string(), error.hint()))?;
        let query = Query::new(
            snapshot,
            Arc::clone(&self.principal),
            Arc::clone(&self.action),
            Arc::clone(&self.resource),
            Arc::new(context),
            overlay.into(),
        )
        .map_err(|error| (error.to_string(), error.hint()))?;
        let mut view = if self.is_alone {
            let mut alone = View::empty(Arc::clone(view.revision()));
            alone.links_mut().clone_from(view.links());
            Cow::Owned(alone)
        } else {
            Cow::Borrowed(view)
        };
        for link in &self.links {
            let policy = snapshot
                .link(&link.id, &link.template, link.slots())
                .map_err(|fault| (fault.message, fault.hint.to_owned()))?;
            view.to_mut().links_mut().put(Arc::new(policy));
        }
        Ok(Asked { query, view })
    }
}

impl Expected {
    /// What is not as expected, in the order of the members.
    pub fn compare(&self, decision: &Decision) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut note = |what, expected: String, came: String| {
            differences.push(Difference {
                what,
                expected,
                came,
                hint: None,
            });
        };
        if self.allow != decision.is_allow() {
            note("decision", word(self.allow), word(decision.is_allow()));
        }
        if let Some(cause) = self.cause
            && decision.cause() != Some(cause)
        {
            let came = decision.cause().map_or("none", Cause::as_str);
            note("cause", cause.as_str().to_owned(), came.to_owned());
        }
        let policies: BTreeSet<String> = decision
            .policies
            .iter()
            .map(|info| info.id.to_string())
            .collect();
        match &self.policies {
            Some(ExpectedPolicies::Exactly(wanted)) if *wanted != policies => {
                note("policies", list(wanted), list(&policies));
            }
            Some(ExpectedPolicies::Including(wanted)) if !wanted.is_subset(&policies) => {
                let wanted = format!("{} among them", list(wanted));
                note("policies", wanted, list(&policies));
            }
            _ => {}
        }
        let failed = decision.errors.iter();
        let obligations = decision.obligations();
        let sets: [(_, _, BTreeSet<String>); 3] = [
            (
                "errors",
                &self.errors,
                failed.map(|error| error.policy.id.to_string()).collect(),
            ),
            (
                "advice",
                &self.advice,
                decision.advice().map(str::to_owned).collect(),
            ),
            (
                "obligations",
                &self.obligations,
                obligations.map(|(name, _)| name.to_owned()).collect(),
            ),
        ];
        for (what, wanted, came) in sets {
            if let Some(wanted) = wanted
                && *wanted != came
            {
                note(what, list(wanted), list(&came));
            }
        }
        if let Some(wanted) = self.errors_count
            && wanted != decision.errors.len()
        {
            note(
                "errors_count",
                wanted.to_string(),
                decision.errors.len().to_string(),
            );
        }
        differences.extend(self.unknown(decision));
        differences
    }

    /// That no policy was asked, where nothing says that this is meant.
    fn unknown(&self, decision: &Decision) -> Option<Difference> {
        let cause = decision.cause()?;
        let is_unknown = matches!(cause, Cause::UnknownPrincipal | Cause::UnknownResource);
        if self.allow || self.cause.is_some() || self.may_be_unknown || !is_unknown {
            return None;
        }
        let cause = cause.as_str();
        Some(Difference {
            what: "cause",
            expected: "a deny by policies".to_owned(),
            came: cause.to_owned(),
            hint: Some(format!(
                "mend the name or carry the entity; if it is meant to be nowhere, write `cause: {cause}`"
            )),
        })
    }
}

fn word(allow: bool) -> String {
    if allow { "allow" } else { "deny" }.to_owned()
}

fn list(items: &BTreeSet<String>) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    items.join(", ")
}
