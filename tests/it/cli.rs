//! The real binary, as people run it: what it prints and how it exits.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

mod audit;
mod audit_diff;
mod bench;
mod check;
mod command;
mod config;
mod diff;
mod diff_gaps;
mod diff_git;
mod diff_schema;
mod diff_solver;
mod directory;
mod explain;
mod fmt;
mod init;
mod isolation;
mod lint;
mod lint_findings;
mod lint_fix;
mod lint_rules;
mod prove;
mod prove_cases;
mod prove_files;
mod prove_oracle;
mod prove_reference;
mod prove_reports;
mod replay;
mod replay_logs;
pub(crate) mod serve;
mod test;
mod test_faults;
mod test_junit;
mod test_schema;
mod test_tap;
mod test_watch;
mod test_worth;
mod validate;

const SCHEMA: &str = r"
entity Group;
entity User in [Group] { level: Long, badge?: { until: datetime } };
entity Doc { owner: User, secret: Bool };
action read, write appliesTo {
  principal: User, resource: Doc, context: { now: datetime, ip?: ipaddr, purpose?: String },
};
action ping appliesTo { principal: User, resource: Doc };
";

const POLICIES: &str = r#"
@id("owner-reads-and-writes")
@title("Owners read and write what they own")
@reason("The document is theirs.")
@obligation("log-access, watermark")
permit (principal, action, resource)
when { resource.owner == principal };

@id("staff-read-by-day")
@title("Staff with a badge read")
permit (principal in Group::"staff", action == Action::"read", resource)
when
{
  principal.level > 2 &&
  principal has badge && context.now < principal.badge.until
};

@id("no-secrets-from-outside")
@title("Secrets stay inside")
@advice("Connect to the network of the office.")
forbid (principal, action, resource)
when { resource.secret && !(context has ip && context.ip.isInRange(ip("10.0.0.0/8"))) }
unless { action == Action::"ping" };

@id("share")
@title("A document is shared with somebody")
permit (principal == ?principal, action == Action::"read", resource == ?resource);
"#;

const ENTITIES: &str = r#"[
  {"uid": {"type": "User", "id": "ann"}, "attrs": {"level": 5}, "parents": []},
  {"uid": {"type": "User", "id": "bob"}, "attrs": {"level": 3, "badge": {"until": "2026-01-01"}}, "parents": [{"type": "Group", "id": "staff"}]},
  {"uid": {"type": "Group", "id": "staff"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Doc", "id": "plan"}, "attrs": {"owner": {"type": "User", "id": "ann"}, "secret": false}, "parents": []},
  {"uid": {"type": "Doc", "id": "key"}, "attrs": {"owner": {"type": "User", "id": "ann"}, "secret": true}, "parents": []}
]"#;

const LINKS: &str = r#"[{"template_id": "share", "link_id": "share-key-with-bob",
  "args": {"?principal": "User::\"bob\"", "?resource": "Doc::\"key\""}}]"#;

/// A working directory with a policy repository in `policies/`.
pub(crate) struct Place(pub(crate) TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("policies/manifest.toml", "name = \"test\"\n");
        place.write("policies/schema.cedarschema", SCHEMA);
        place.write("policies/docs.cedar", POLICIES);
        place.write("policies/entities/all.json", ENTITIES);
        place.write("policies/links/all.json", LINKS);
        place
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or_else(|| Path::new("/"))).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        self.run_with(arguments, &[], "")
    }

    /// Runs the binary here, with nothing of this process's environment, and
    /// shows all that it did.
    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)], input: &str) -> String {
        let mut child = Command::new(env!("CARGO_BIN_EXE_deodar"))
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads no input may have ended by now.
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let done = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = done
            .status
            .code()
            .map_or_else(|| "killed".to_owned(), |code| code.to_string());
        let (stdout, stderr) = (text(done.stdout), text(done.stderr));
        let shown = format!(
            "exit {code}\n{}{}",
            part("stdout", &stdout),
            part("stderr", &stderr)
        );
        shown.replace(&*self.0.path().to_string_lossy(), "[DIR]")
    }
}

fn part(name: &str, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("--- {name}\n{text}")
    }
}

/// Snapshots with digests, which change with every byte of the fixture, hidden.
macro_rules! assert_shown {
    ($shown:expr, @$snapshot:literal) => {
        insta::with_settings!({filters => vec![
            (r"\b[0-9a-f]{64}\b", "[DIGEST]"),
            (r"\b(policies|directory|revision) [0-9a-f]{12}\b", "$1 [REVISION]"),
        ]}, { insta::assert_snapshot!($shown, @$snapshot) });
    };
}
pub(crate) use assert_shown;
