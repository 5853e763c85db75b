//! Which policies came into force one after the other, and which two of them
//! somebody wants to compare.

use thiserror::Error;

use super::facts::Facts;
use super::read::Line;

/// Revisions that an error names.
const NAMED_MAX: usize = 10;
/// Characters of each.
const SHORT: usize = 16;

/// A time during which one revision of the policies was in force; restarts
/// within it do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// The revision.
    pub revision: String,
    /// When it came into force, in milliseconds since 1970.
    pub millis: i64,
}

/// What came into force, the newest first.
#[derive(Debug, Clone, Default)]
pub struct Activations {
    runs: Vec<Activation>,
}

/// Two revisions to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// One of them,
    pub before: Activation,
    /// and the other.
    pub after: Activation,
    /// Nothing of what happened before this time is about them, in milliseconds
    /// since 1970.
    pub from: i64,
}

/// Names that do not tell which two revisions are meant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unclear {
    /// Nothing came into force.
    #[error("the log tells of no policies that came into force")]
    Nothing,
    /// There is nothing to compare it with.
    #[error("the log tells of no policies that were in force before `{0}`")]
    First(String),
    /// None is named so.
    #[error("the log has no revision `{name}`")]
    Unknown {
        /// The name that was given.
        name: String,
        /// Some that there are, the newest first.
        known: Vec<String>,
    },
    /// Several begin so.
    #[error("`{name}` is the beginning of several revisions")]
    Ambiguous {
        /// The name that was given.
        name: String,
        /// Some that begin so, the newest first.
        known: Vec<String>,
    },
    /// Both names are of one.
    #[error("both are the revision `{0}`")]
    Same(String),
}

impl Unclear {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Nothing => "name the directory of another log, or look later".to_owned(),
            Self::First(_) => "compare again when other policies came into force: \
                 `deodar audit query --kind activation` shows when"
                .to_owned(),
            Self::Unknown { known, .. } if known.is_empty() => Self::Nothing.hint(),
            Self::Unknown { known, .. } => format!("it has {}", listed(known)),
            Self::Ambiguous { known, .. } => {
                format!("give more of it; there are {}", listed(known))
            }
            Self::Same(_) => "name two, or none for the newest and the one before it".to_owned(),
        }
    }
}

fn listed(revisions: &[String]) -> String {
    let short = |revision: &String| revision.chars().take(SHORT).collect::<String>();
    let quoted = revisions.iter().map(|one| format!("`{}`", short(one)));
    quoted.collect::<Vec<_>>().join(", ")
}

impl Activations {
    /// One that is older than all before it: a record of kind `activation`, or the
    /// oldest decision that there is, whose policies came into force even earlier.
    pub fn add_older(&mut self, line: &Line) {
        let Some(revision) = Facts::read(&line.text).and_then(|facts| facts.policies_revision)
        else {
            return;
        };
        match self.runs.last_mut() {
            Some(run) if run.revision == revision => run.millis = run.millis.min(line.millis),
            _ => self.runs.push(Activation {
                revision: revision.into_owned(),
                millis: line.millis,
            }),
        }
    }

    /// Whether it is known since when the newest one and the one before it are in
    /// force, so that older ones need not be looked for.
    pub fn has_newest_pair(&self) -> bool {
        self.runs.len() > 2
    }

    /// Which two are meant: by no name, the newest and the one before it; by one,
    /// that and the one before it; by two, these. A name is the beginning of a
    /// revision.
    ///
    /// # Errors
    /// When there are no such two.
    pub fn pair(&self, names: &[String]) -> Result<Pair, Unclear> {
        let newest = self.runs.first().ok_or(Unclear::Nothing)?;
        match names {
            [before, after, ..] => {
                let (before, after) = (self.named(before)?, self.named(after)?);
                if before.revision == after.revision {
                    return Err(Unclear::Same(before.revision.clone()));
                }
                // Each may have been in force several times.
                let both = [&before.revision, &after.revision];
                let runs = self.runs.iter().filter(|run| both.contains(&&run.revision));
                let from = runs.map(|run| run.millis).min().unwrap_or(i64::MIN);
                Ok(Pair {
                    before: before.clone(),
                    after: after.clone(),
                    from,
                })
            }
            [after] => self.with_one_before(self.named(after)?),
            [] => self.with_one_before(newest),
        }
    }

    fn with_one_before(&self, after: &Activation) -> Result<Pair, Unclear> {
        let mut older = self.runs.iter().skip_while(|run| *run != after).skip(1);
        let before = older
            .next()
            .ok_or_else(|| Unclear::First(after.revision.clone()))?;
        Ok(Pair {
            before: before.clone(),
            after: after.clone(),
            from: before.millis.min(after.millis),
        })
    }

    /// The newest one of those that a name means.
    fn named(&self, name: &str) -> Result<&Activation, Unclear> {
        let all = self.distinct(|_| true);
        let exact = all.iter().find(|run| run.revision == name);
        let begun = self.distinct(|run| run.revision.starts_with(name));
        match (exact, &begun[..]) {
            (Some(run), _) | (None, [run]) => Ok(run),
            (None, []) => Err(Unclear::Unknown {
                name: name.to_owned(),
                known: some(&all),
            }),
            (None, several) => Err(Unclear::Ambiguous {
                name: name.to_owned(),
                known: some(several),
            }),
        }
    }

    /// The newest run of each revision that is meant.
    fn distinct(&self, is_meant: impl Fn(&Activation) -> bool) -> Vec<&Activation> {
        let mut seen = std::collections::BTreeSet::new();
        let meant = self.runs.iter().filter(|run| is_meant(run));
        meant.filter(|run| seen.insert(&run.revision)).collect()
    }
}

fn some(runs: &[&Activation]) -> Vec<String> {
    let runs = runs.iter().take(NAMED_MAX);
    runs.map(|run| run.revision.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::Activations;
    use super::Unclear;
    use crate::audit::read::Line;

    /// Of these revisions, the oldest first, one a minute.
    fn activations(oldest_first: &[&str]) -> Activations {
        let mut activations = Activations::default();
        for (seq, revision) in (1_u64..9)
            .zip(oldest_first)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            activations.add_older(&Line {
                seq,
                millis: i64::try_from(seq).unwrap() * 60_000,
                kind: "activation".to_owned(),
                text: format!(r#"{{"kind":"activation","revision":"{revision}"}}"#),
            });
        }
        activations
    }

    fn pair(oldest_first: &[&str], names: &[&str]) -> Result<(String, String, i64), Unclear> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let pair = activations(oldest_first).pair(&names)?;
        let from = pair.from / 60_000;
        Ok((pair.before.revision, pair.after.revision, from))
    }

    #[test]
    fn two_are_found() {
        let log = ["aa1", "aa2", "aa2", "b", "aa1", "aa1"];
        for (names, (before, after, from)) in [
            (&[][..], ("b", "aa1", 4)),
            (&["b"], ("aa2", "b", 2)),
            (&["aa2"], ("aa1", "aa2", 1)),
            (&["aa2", "b"], ("aa2", "b", 2)),
            (&["b", "aa2"], ("b", "aa2", 2)),
            (&["b", "aa1"], ("b", "aa1", 1)),
        ] {
            let expected = (before.to_owned(), after.to_owned(), from);
            assert_eq!(pair(&log, names), Ok(expected), "{names:?}");
        }
        // A name that is also the beginning of another one.
        let expected = ("ab".to_owned(), "a".to_owned(), 1);
        assert_eq!(pair(&["ab", "a"], &["a"]), Ok(expected));
    }

    #[test]
    fn what_is_unclear_is_told() {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(pair(&[], &[]), Err(Unclear::Nothing));
        assert_eq!(pair(&["a", "a"], &[]), Err(Unclear::First("a".to_owned())));
        assert_eq!(
            pair(&["a", "b"], &["a", "a"]),
            Err(Unclear::Same("a".to_owned()))
        );
        assert_eq!(
            pair(&["a1", "b", "a2"], &["a"]),
            Err(Unclear::Ambiguous {
                name: "a".to_owned(),
                known: owned(&["a2", "a1"]),
            })
        );
        let unknown = pair(&["a", "b", "a"], &["c"]).unwrap_err();
        assert_eq!(unknown.to_string(), "the log has no revision `c`");
        assert_eq!(unknown.hint(), "it has `a`, `b`");
    }

    #[test]
    fn older_ones_are_needed_until_both_have_begun() {
        assert!(!activations(&["a", "b"]).has_newest_pair());
        assert!(!activations(&["a", "a", "b", "b"]).has_newest_pair());
        assert!(activations(&["c", "a", "b"]).has_newest_pair());
    }
}
