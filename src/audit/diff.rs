//! What changed in effect between two revisions of the policies.
//!
//! Decisions are told apart by the revision that made them. What the policies did
//! not change may differ, too: the directory, the context, and who asks for what.
//! So each answer that differs is given with what else does.

use std::collections::HashMap;

use super::circumstances::Circumstances;
use super::facts::Facts;
use super::facts::Party;
use super::filter::Filter;
use super::filter::Outcome;
use super::read::Line;

/// How much is kept. What finds no room is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Different questions.
    pub questions: usize,
    /// Bytes of these and of what is told of them, roughly.
    pub bytes: usize,
    /// Different policies.
    pub policies: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            questions: 200_000,
            bytes: 256 << 20,
            policies: 1 << 17,
        }
    }
}

/// One of the two revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// A number for each revision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Both {
    /// Under the one before,
    pub before: u64,
    /// and under the one after.
    pub after: u64,
}

impl Both {
    fn of(&mut self, side: Side) -> &mut u64 {
        match side {
            Side::Before => &mut self.before,
            Side::After => &mut self.after,
        }
    }

    /// The numbers in so many decisions, as the difference of the two shares in
    /// decisions times decisions: 0 when the share is the same.
    fn moved(self, decisions: Self) -> u128 {
        // No decisions are a share of nothing.
        let before = u128::from(self.before) * u128::from(decisions.after.max(1));
        let after = u128::from(self.after) * u128::from(decisions.before.max(1));
        before.abs_diff(after)
    }
}

/// Decisions of one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decided {
    /// To allow,
    pub allowed: u64,
    /// and to deny.
    pub denied: u64,
    /// The first one: number and time in milliseconds since 1970.
    pub first: Option<(u64, i64)>,
    /// The last one.
    pub last: Option<(u64, i64)>,
}

impl Decided {
    /// How many there are.
    pub fn all(&self) -> u64 {
        self.allowed + self.denied
    }
}

/// What a policy did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effect {
    /// Decisions that it determined.
    pub decided: Both,
    /// Decisions in which it could not be evaluated.
    pub failed: Both,
}

/// Who wanted to do what to what.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// Who,
    pub principal: String,
    /// what,
    pub action: String,
    /// to what.
    pub resource: String,
}

impl Question {
    /// Bytes that it takes, roughly.
    fn weight(&self) -> usize {
        let names = [&self.principal, &self.action, &self.resource];
        size_of::<(Self, Asked)>() + names.map(String::len).iter().sum::<usize>()
    }
}

/// One decision, for many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The number of its record.
    pub seq: u64,
    /// Why it was denied.
    pub cause: Option<String>,
    /// The policies that determined it.
    pub policies: Vec<String>,
    /// What it was made on.
    pub circumstances: Circumstances,
}

impl Sample {
    fn weight(&self) -> usize {
        let texts = self.policies.iter().chain(&self.cause);
        let texts: usize = texts.map(|text| text.len() + size_of::<String>()).sum();
        size_of::<Self>() + self.circumstances.weight() + texts
    }
}

/// How a question was answered under one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answered {
    /// So often with allow,
    pub allowed: u64,
    /// and so often with deny.
    pub denied: u64,
    allow: Option<Box<Sample>>,
    deny: Option<Box<Sample>>,
}

impl Answered {
    fn count(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Allow => self.allowed,
            Outcome::Deny => self.denied,
        }
    }

    fn sample(&self, outcome: Outcome) -> Option<&Sample> {
        match outcome {
            Outcome::Allow => self.allow.as_deref(),
            Outcome::Deny => self.deny.as_deref(),
        }
    }
}

/// How a question was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    before: Answered,
    after: Answered,
}

/// A question that was answered differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<'a> {
    /// What was asked.
    pub question: &'a Question,
    /// How it was answered before,
    pub before: &'a Answered,
    /// and after.
    pub after: &'a Answered,
    /// The answer that was replaced,
    pub from: Outcome,
    /// and by which.
    pub to: Outcome,
    /// The last decision of those that were replaced,
    pub last: &'a Sample,
    /// and the first of those that replace it.
    pub first: &'a Sample,
}

impl Changed<'_> {
    /// What else differs between the two decisions; policies alone do not explain
    /// what changed then.
    pub fn also_differing(&self) -> Vec<String> {
        self.last.circumstances.differing(&self.first.circumstances)
    }

    /// Something was taken out of one of the two records, so that more may differ.
    pub fn is_redacted(&self) -> bool {
        self.last.circumstances.is_redacted || self.first.circumstances.is_redacted
    }

    fn asked(&self) -> u64 {
        let sides = [self.before, self.after];
        sides.map(|side| side.allowed + side.denied).iter().sum()
    }
}

/// What changed in effect.
#[derive(Debug)]
pub struct Diff {
    revisions: [String; 2],
    filter: Filter,
    limits: Limits,
    /// Decisions of the revision before.
    pub before: Decided,
    /// Decisions of the revision after.
    pub after: Decided,
    policies: HashMap<String, Effect>,
    questions: HashMap<Question, Asked>,
    bytes: usize,
    /// Decisions of which the question found no room.
    pub left_out: u64,
    /// Times that a policy determined or failed, and found no room.
    pub policies_left_out: u64,
    /// Decisions that name nobody, as redaction has it: their questions cannot be
    /// told from each other.
    pub nameless: u64,
}

impl Diff {
    /// Between these revisions, of the decisions that a filter selects.
    pub fn new(before: &str, after: &str, filter: Filter, limits: Limits) -> Self {
        Self {
            revisions: [before, after].map(str::to_owned),
            filter,
            limits,
            before: Decided::default(),
            after: Decided::default(),
            policies: HashMap::new(),
            questions: HashMap::new(),
            bytes: 0,
            left_out: 0,
            policies_left_out: 0,
            nameless: 0,
        }
    }

    /// Takes a record, if it is a decision that is asked for. In order of the log.
    pub fn add(&mut self, line: &Line) {
        let is_meant = line.kind == "decision"
            && self.may_be_of_either(&line.text)
            && self.filter.matches(line);
        let Some(facts) = is_meant.then(|| Facts::read(&line.text)).flatten() else {
            return;
        };
        let revision = facts.policies_revision.as_deref();
        let [before, after] = &self.revisions;
        let side = match revision {
            Some(revision) if revision == before => Side::Before,
            Some(revision) if revision == after => Side::After,
            _ => return,
        };
        let outcome = match facts.decision.as_deref() {
            Some("allow") => Outcome::Allow,
            _ => Outcome::Deny,
        };
        self.decided(side, outcome, (line.seq, line.millis));
        for policy in &facts.policies {
            self.policy(policy, |effect| &mut effect.decided, side);
        }
        for policy in &facts.failed {
            self.policy(policy, |effect| &mut effect.failed, side);
        }
        let parties = [&facts.principal, &facts.action, &facts.resource];
        let [Some(principal), Some(action), Some(resource)] =
            parties.map(|party| named(party.as_ref()))
        else {
            self.nameless += 1;
            return;
        };
        let question = Question {
            principal,
            action,
            resource,
        };
        self.answer(question, (side, outcome), line, &facts);
    }

    /// `false` when neither revision is in the line, so that it need not be read.
    fn may_be_of_either(&self, line: &str) -> bool {
        let mut revisions = self.revisions.iter();
        // With an escape in the line a text may be written in another way.
        revisions.any(|revision| line.contains(revision.as_str())) || line.contains('\\')
    }

    fn decided(&mut self, side: Side, outcome: Outcome, place: (u64, i64)) {
        let decided = match side {
            Side::Before => &mut self.before,
            Side::After => &mut self.after,
        };
        match outcome {
            Outcome::Allow => decided.allowed += 1,
            Outcome::Deny => decided.denied += 1,
        }
        decided.first.get_or_insert(place);
        decided.last = Some(place);
    }

    fn policy(&mut self, name: &str, part: impl Fn(&mut Effect) -> &mut Both, side: Side) {
        if let Some(effect) = self.policies.get_mut(name) {
            *part(effect).of(side) += 1;
        } else if self.policies.len() < self.limits.policies {
            let mut effect = Effect::default();
            *part(&mut effect).of(side) += 1;
            self.policies.insert(name.to_owned(), effect);
        } else {
            self.policies_left_out += 1;
        }
    }

    fn answer(
        &mut self,
        question: Question,
        (side, outcome): (Side, Outcome),
        line: &Line,
        facts: &Facts<'_>,
    ) {
        let known = self.questions.get(&question);
        let answered = known.map(|asked| asked.of(side));
        let sample = answered.and_then(|answered| answered.sample(outcome));
        // Of many the two that are nearest to the change: less else differs there.
        let is_wanted = sample.is_none() || side == Side::Before;
        let new = is_wanted.then(|| made(line.seq, &line.text, facts));
        let freed = sample.map_or(0, Sample::weight);
        let used = new.as_ref().map_or(freed, Sample::weight) + self.bytes - freed;
        let used = used + known.map_or_else(|| question.weight(), |_| 0);
        let has_room = used <= self.limits.bytes
            && (known.is_some() || self.questions.len() < self.limits.questions);
        if !has_room && sample.is_none() {
            self.left_out += 1;
            return;
        }
        let asked = self.questions.entry(question).or_default();
        let (count, sample) = asked.of_mut(side).of_mut(outcome);
        *count += 1;
        if let Some(new) = new
            && has_room
        {
            self.bytes = used;
            *sample = Some(Box::new(new));
        }
    }

    /// The policies whose share of the decisions changed, most first.
    pub fn policies(&self) -> Vec<(&str, Effect)> {
        let decisions = Both {
            before: self.before.all(),
            after: self.after.all(),
        };
        let moved = |effect: &Effect| {
            let moved = [effect.decided, effect.failed].map(|both| both.moved(decisions));
            moved.iter().sum::<u128>()
        };
        let policies = self
            .policies
            .iter()
            .map(|(name, effect)| (name.as_str(), *effect));
        let mut changed: Vec<_> = policies.filter(|(_, effect)| moved(effect) > 0).collect();
        changed.sort_by(|a, b| moved(&b.1).cmp(&moved(&a.1)).then(a.0.cmp(b.0)));
        changed
    }

    /// How many questions were asked under both revisions.
    pub fn asked_twice(&self) -> usize {
        let both = self.questions.values();
        both.filter(|asked| !asked.before.is_empty() && !asked.after.is_empty())
            .count()
    }

    /// How many questions were answered both ways under both revisions: policies
    /// are not the reason.
    pub fn undecided(&self) -> usize {
        let both = self.questions.values();
        both.filter(|asked| asked.before.is_both() && asked.after.is_both())
            .count()
    }

    /// The questions that were asked under both revisions and answered differently:
    /// in a way that the other revision never gave. The most frequent first.
    pub fn questions(&self) -> Vec<Changed<'_>> {
        let mut changed: Vec<_> = self
            .questions
            .iter()
            .filter_map(|(question, asked)| asked.changed(question))
            .collect();
        changed.sort_by(|a, b| {
            let most = b.asked().cmp(&a.asked());
            most.then_with(|| a.question.cmp(b.question))
        });
        changed
    }
}

impl Answered {
    fn of_mut(&mut self, outcome: Outcome) -> (&mut u64, &mut Option<Box<Sample>>) {
        match outcome {
            Outcome::Allow => (&mut self.allowed, &mut self.allow),
            Outcome::Deny => (&mut self.denied, &mut self.deny),
        }
    }

    fn is_empty(&self) -> bool {
        self.allowed + self.denied == 0
    }

    fn is_both(&self) -> bool {
        self.allowed > 0 && self.denied > 0
    }
}

impl Asked {
    fn of(&self, side: Side) -> &Answered {
        match side {
            Side::Before => &self.before,
            Side::After => &self.after,
        }
    }

    fn of_mut(&mut self, side: Side) -> &mut Answered {
        match side {
            Side::Before => &mut self.before,
            Side::After => &mut self.after,
        }
    }

    fn changed<'a>(&'a self, question: &'a Question) -> Option<Changed<'a>> {
        let ways = [
            (Outcome::Allow, Outcome::Deny),
            (Outcome::Deny, Outcome::Allow),
        ];
        let (from, to) = ways.into_iter().find(|(from, to)| {
            let is_there = self.before.count(*from) > 0 && self.after.count(*to) > 0;
            let is_new = self.before.count(*to) == 0;
            let is_gone = self.after.count(*from) == 0;
            is_there && (is_new || is_gone)
        })?;
        Some(Changed {
            question,
            before: &self.before,
            after: &self.after,
            from,
            to,
            last: self.before.sample(from)?,
            first: self.after.sample(to)?,
        })
    }
}

fn named(party: Option<&Party<'_>>) -> Option<String> {
    let party = party?;
    party.id.is_some().then(|| party.to_string())
}

fn made(seq: u64, line: &str, facts: &Facts<'_>) -> Sample {
    let directory = facts.directory_revision.as_deref().unwrap_or("");
    Sample {
        seq,
        cause: facts.cause.as_deref().map(str::to_owned),
        policies: facts.policies.iter().map(ToString::to_string).collect(),
        circumstances: Circumstances::read(line, directory),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Diff;
    use super::Limits;
    use crate::audit::filter::Filter;
    use crate::audit::read::Line;

    fn line(seq: u64, question: u64, pad: usize) -> Line {
        let revision = ["aa", "bb"][usize::from(seq.is_multiple_of(3))];
        let outcome = ["allow", "deny"][usize::from(seq % 5 < 2)];
        let record = json!({
            "kind": "decision", "decision": outcome, "policies": ["x".repeat(pad)],
            "principal": {"type": "User", "id": format!("u{question}")},
            "action": {"type": "Action", "id": "a"}, "resource": {"type": "Doc", "id": "d"},
            "revisions": {"policies": revision, "directory": "d-1"},
            "context": {"k".repeat(pad): 1},
        });
        Line {
            seq,
            millis: 0,
            kind: "decision".to_owned(),
            text: record.to_string(),
        }
    }

    /// Seen to fail when a larger sample takes the place of a smaller one without
    /// being weighed.
    #[test]
    fn what_is_kept_has_a_limit() {
        let limits = Limits {
            bytes: 100_000,
            ..Limits::default()
        };
        let mut diff = Diff::new("aa", "bb", Filter::default(), limits);
        for seq in 1..3000_u64 {
            let pad = usize::try_from(seq).unwrap() * 7919 % 2000;
            diff.add(&line(seq, seq % 400, pad));
            assert!(diff.bytes <= limits.bytes, "{seq}: {}", diff.bytes);
        }
        let weigh = |sample: &Option<Box<super::Sample>>| {
            let sample = sample.as_ref();
            sample.map_or(0, |sample| sample.weight())
        };
        let kept = diff.questions.iter().map(|(question, asked)| {
            let sides = [&asked.before, &asked.after];
            let samples = sides.map(|side| weigh(&side.allow) + weigh(&side.deny));
            question.weight() + samples.iter().sum::<usize>()
        });
        assert_eq!(kept.sum::<usize>(), diff.bytes);
        let told = diff.questions.values().map(|asked| {
            let sides = [&asked.before, &asked.after];
            sides
                .map(|side| side.allowed + side.denied)
                .iter()
                .sum::<u64>()
        });
        let all = diff.before.all() + diff.after.all();
        assert_eq!((all, told.sum::<u64>() + diff.left_out), (2999, 2999));
        assert!(diff.left_out > 0 && diff.questions.len() > 10);
    }

    #[test]
    fn policies_have_a_limit() {
        let limits = Limits {
            policies: 2,
            ..Limits::default()
        };
        let mut diff = Diff::new("aa", "bb", Filter::default(), limits);
        for (seq, pad) in [(1, 1), (2, 2), (3, 3), (4, 3), (5, 1)] {
            diff.add(&line(seq, 0, pad));
        }
        assert_eq!((diff.policies.len(), diff.policies_left_out), (2, 2));
    }
}
