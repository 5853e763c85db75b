//! The questions that costs are measured with.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value as Json;
use serde_json::json;

use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::digest::Digest;
use crate::engine::schema::Schema;
use crate::testing::Case;
use crate::testing::suite::Question;

/// At most so many questions are asked; of more, every so manieth.
pub const QUESTIONS_MAX: usize = 2_000;

/// Where questions are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The tests of the repository.
    Tests,
    /// Its entities: every principal, action and resource that the schema allows
    /// together, with nothing in the context but the time.
    Entities,
}

/// One question, ready to be decided.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The question.
    pub query: Query,
    /// What it is decided on.
    pub view: Cow<'a, View>,
}

/// Questions, in an order that is always the same.
#[derive(Debug)]
pub struct Questions<'a> {
    /// Where they are from.
    pub origin: Origin,
    /// Those that are asked.
    pub asked: Vec<Asked<'a>>,
    /// How many there are besides: more than [`QUESTIONS_MAX`].
    pub left_out: usize,
    /// How many do not fit the policies, for want of a context for example.
    pub misfits: usize,
    /// Of those that are asked.
    pub digest: String,
}

impl<'a> Questions<'a> {
    /// Those of the cases; where there is none, those of the entities, asked at
    /// this time.
    pub fn new(snapshot: &Snapshot, view: &'a View, cases: &[Case], now: &Value) -> Self {
        let cases: Vec<&Question> = cases
            .iter()
            .filter(|case| case.skip.is_none())
            .map(|case| &case.question)
            .collect();
        let mut questions = Self {
            origin: Origin::Tests,
            asked: Vec::new(),
            left_out: 0,
            misfits: 0,
            digest: String::new(),
        };
        if cases.is_empty() {
            questions.origin = Origin::Entities;
            let triples = Triples::new(snapshot, view);
            questions.ask(snapshot, view, triples.count, |number| {
                Some(Cow::Owned(triples.question(number, now)?))
            });
        } else {
            questions.ask(snapshot, view, cases.len(), |number| {
                cases.get(number).copied().map(Cow::Borrowed)
            });
        }
        questions
    }

    fn ask<'q>(
        &mut self,
        snapshot: &Snapshot,
        view: &'a View,
        count: usize,
        question: impl Fn(usize) -> Option<Cow<'q, Question>>,
    ) {
        let taken = count.min(QUESTIONS_MAX);
        self.left_out = count - taken;
        let mut written = String::new();
        for at in 0..taken {
            let Some(question) = question(spread(at, taken, count)) else {
                continue;
            };
            match question.asked(snapshot, view) {
                Ok(asked) => {
                    written.push_str(&self.written(&question));
                    self.asked.push(Asked {
                        query: asked.query,
                        view: asked.view,
                    });
                }
                Err(_) => self.misfits += 1,
            }
        }
        self.digest = Digest::of_files([("questions", written.as_bytes())]).to_string();
    }

    /// A question as it is digested: one line. The time that questions without one
    /// are asked for is that of the measurement, and makes them no others.
    fn written(&self, question: &Question) -> String {
        let links: Vec<Json> = (question.links.iter())
            .map(|link| {
                let slot = |uid: &Option<EntityUID>| uid.as_ref().map(ToString::to_string);
                json!([
                    link.id,
                    link.template,
                    slot(&link.principal),
                    slot(&link.resource)
                ])
            })
            .collect();
        let now = match self.origin {
            Origin::Tests => question.now.as_ref().map(ToString::to_string),
            Origin::Entities => None,
        };
        let written = json!([
            question.principal.to_string(),
            question.action.to_string(),
            question.resource.to_string(),
            question.context,
            question.entities,
            question.is_alone,
            links,
            now,
        ]);
        format!("{written}\n")
    }
}

/// The number of the `at`th of `taken` that are spread over `count`.
pub(super) fn spread(at: usize, taken: usize, count: usize) -> usize {
    // In 128 bits, which no product of two numbers of this machine exceeds.
    let number = at as u128 * count as u128 / (taken as u128).max(1);
    usize::try_from(number).unwrap_or(count)
}

/// Every principal, action and resource that the schema allows together.
struct Triples {
    blocks: Vec<Block>,
    count: usize,
}

/// Those of one action and one pair of types.
struct Block {
    action: Arc<EntityUID>,
    principals: Arc<[Arc<EntityUID>]>,
    resources: Arc<[Arc<EntityUID>]>,
}

impl Block {
    fn count(&self) -> usize {
        self.principals.len().saturating_mul(self.resources.len())
    }
}

impl Triples {
    fn new(snapshot: &Snapshot, view: &View) -> Self {
        let mut by_type: BTreeMap<EntityType, Vec<Arc<EntityUID>>> = BTreeMap::new();
        for (named, _) in view.iter() {
            let uid = Arc::clone(named.uid());
            by_type
                .entry(uid.entity_type().clone())
                .or_default()
                .push(uid);
        }
        let by_type: BTreeMap<EntityType, Arc<[_]>> = by_type
            .into_iter()
            .map(|(entity_type, mut uids)| {
                uids.sort();
                (entity_type, uids.into())
            })
            .collect();
        let mut actions: Vec<_> = snapshot
            .schema()
            .into_iter()
            .flat_map(Schema::actions)
            .collect();
        actions.sort_by(|a, b| a.uid.cmp(&b.uid));
        let mut blocks = Vec::new();
        for action in actions {
            for principal in &action.principals {
                for resource in &action.resources {
                    if let (Some(principals), Some(resources)) =
                        (by_type.get(principal), by_type.get(resource))
                    {
                        blocks.push(Block {
                            action: Arc::clone(&action.uid),
                            principals: Arc::clone(principals),
                            resources: Arc::clone(resources),
                        });
                    }
                }
            }
        }
        let count = blocks
            .iter()
            .map(Block::count)
            .fold(0, usize::saturating_add);
        Self { blocks, count }
    }

    fn question(&self, mut number: usize, now: &Value) -> Option<Question> {
        let block = self.blocks.iter().find(|block| {
            let is_in = number < block.count();
            if !is_in {
                number -= block.count();
            }
            is_in
        })?;
        let principal = block.principals.get(number / block.resources.len())?;
        let resource = block.resources.get(number % block.resources.len())?;
        Some(Question {
            principal: Arc::clone(principal),
            action: Arc::clone(&block.action),
            resource: Arc::clone(resource),
            context: Arc::new(json!({})),
            is_alone: false,
            entities: json!([]),
            links: Vec::new(),
            now: Some(now.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn what_is_taken_is_spread_over_all() {
        let taken = |taken, count| {
            (0..taken)
                .map(|at| spread(at, taken, count))
                .collect::<Vec<_>>()
        };
        assert_eq!(taken(4, 4), [0, 1, 2, 3]);
        assert_eq!(taken(3, 10), [0, 3, 6]);
        assert_eq!(
            spread(1_999, 2_000, usize::MAX),
            usize::MAX / 2_000 * 1_999 + 1_614
        );
    }
}
