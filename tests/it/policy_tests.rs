//! Coverage and mutation of policy tests, on fixtures where the answer is known by
//! hand, on the reference policies, and against compiling the mutants anew.

mod coverage;
mod lcov;
mod mutation;
mod oracle;
mod turn;

use deodar::directory;
use deodar::engine::Files;
use deodar::engine::Snapshot;
use deodar::engine::View;
use deodar::engine::compile;
use deodar::testing;
use deodar::testing::Suite;

/// A repository with its test files.
pub(crate) struct World {
    pub(crate) files: Files,
    pub(crate) snapshot: Snapshot,
    pub(crate) view: View,
    pub(crate) suites: Vec<Suite>,
}

impl World {
    pub(crate) fn new(files: Files) -> Self {
        let snapshot = compile(&files).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let view = directory::load(&snapshot, &files).unwrap();
        let read = testing::read(&files, Some(&snapshot));
        assert!(read.faults.is_empty(), "{:#?}", read.faults);
        Self {
            suites: read.suites,
            files,
            snapshot,
            view,
        }
    }

    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter();
        Self::new(Files::new(files.map(|(path, text)| {
            ((*path).to_owned(), text.as_bytes().to_vec())
        })))
    }

    /// The reference policies.
    pub(crate) fn reference() -> Self {
        let limits = deodar::source::Limits::default();
        let files = deodar::source::read_all(&super::support::reference(), &limits).unwrap();
        Self::new(files)
    }
}

pub(crate) const SCHEMA: &str = r"
entity Group;
entity User in [Group] { level: Long, badge?: { until: datetime } };
entity Doc { owner: User, secret: Bool };
action read, write appliesTo {
  principal: User, resource: Doc, context: { now: datetime, ip?: ipaddr },
};
";

/// Line 2: two clauses. Line 6: no clause. Line 9: two clauses and a constant.
/// Line 16: never matched. Line 20: a template, linked by a case. Line 23: a
/// template that nothing links.
pub(crate) const POLICIES: &str = r#"
@id("owner")
permit (principal, action, resource)
when { resource.owner == principal && principal.level > 2 };

@id("staff")
permit (principal in Group::"staff", action == Action::"read", resource);

@id("secret")
forbid (principal, action, resource)
when { resource.secret && true }
unless {
  principal.level >= 9
};

@id("nobody")
permit (principal == User::"nobody", action, resource)
when { context has ip };

@id("share")
permit (principal == ?principal, action == Action::"read", resource == ?resource);

@id("lend")
permit (principal == ?principal, action == Action::"write", resource)
when { resource.secret };
"#;

pub(crate) const ENTITIES: &str = r#"[
  {"uid": {"type": "User", "id": "ann"}, "attrs": {"level": 5}, "parents": []},
  {"uid": {"type": "User", "id": "bob"}, "attrs": {"level": 1}, "parents": [{"type": "Group", "id": "staff"}]},
  {"uid": {"type": "Group", "id": "staff"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Doc", "id": "plan"}, "attrs": {"owner": {"type": "User", "id": "ann"}, "secret": false}, "parents": []},
  {"uid": {"type": "Doc", "id": "key"}, "attrs": {"owner": {"type": "User", "id": "ann"}, "secret": true}, "parents": []}
]"#;

pub(crate) const CASES: &str = r#"
now: 2026-11-22T12:00:00Z
cases:
  - name: the owner reads
    principal: 'User::"ann"'
    action: 'Action::"read"'
    resource: 'Doc::"plan"'
    decision: allow
  - name: staff read
    principal: 'User::"bob"'
    action: 'Action::"read"'
    resource: 'Doc::"plan"'
    decision: allow
  - name: secrets stay
    principal: 'User::"ann"'
    action: 'Action::"write"'
    resource: 'Doc::"key"'
    decision: deny
  - name: later
    skip: not decided yet
    principal: 'User::"nobody"'
    action: 'Action::"read"'
    resource: 'Doc::"plan"'
    decision: allow
"#;
