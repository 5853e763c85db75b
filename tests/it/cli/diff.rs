//! `deodar diff`, of directories, revisions that git has, and a running server.

use std::fs;
use std::process::Command;

use serde_json::Value as Json;

use crate::cli::Place;
use crate::cli::replay::recorded;

pub(super) const TESTS: &str = r#"
fixtures:
  principals:
    bob: 'User::"bob"'
  actions:
    read: 'Action::"read"'
  resources:
    plan: 'Doc::"plan"'
cases:
  - name: staff with a badge read by day
    principal: bob
    action: read
    resource: plan
    context: { now: "2025-06-01T12:00:00Z" }
    decision: allow
"#;

/// Snapshots without commits.
macro_rules! assert_diff {
    ($shown:expr, @$snapshot:literal) => {
        insta::with_settings!({filters => vec![
            (r"\b[0-9a-f]{64}\b", "[DIGEST]"),
            (r"\b[0-9a-f]{40}\b", "[COMMIT]"),
            (r"\bcommit [0-9a-f]{12}\b", "commit [COMMIT]"),
            (r"\(`[0-9a-f]{12}`\)", "(`[COMMIT]`)"),
        ]}, { insta::assert_snapshot!($shown, @$snapshot) });
    };
}

/// Runs git here, as somebody, whatever the machine has configured.
pub(super) fn git(place: &Place, arguments: &[&str]) {
    let done = Command::new("git")
        .arg("-C")
        .arg(place.0.path())
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
        .args([
            "-c",
            "init.defaultBranch=main",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// As people run it: where to find git is all that it needs of the environment.
pub(super) fn run(place: &Place, arguments: &[&str]) -> String {
    let path = std::env::var_os("PATH").unwrap();
    let arguments = [
        &["diff", "--no-solver", "--now", "2025-06-01T12:00:00Z"],
        arguments,
    ]
    .concat();
    place.run_with(&arguments, &[("PATH", path.to_str().unwrap())], "")
}

fn policies() -> String {
    let text = super::POLICIES
        .replace("principal.level > 2", "principal.level > 4")
        .replace("Owners read and write what they own", "Owners do");
    let ping = r#"permit (principal == User::"bob", action == Action::"ping", resource);"#;
    format!("{text}\n@id(\"bob-pings\")\n{ping}\n")
}

/// A repository with two revisions, and a third one under work.
pub(super) fn versioned() -> Place {
    let place = Place::new();
    place.write("policies/docs.test.yaml", TESTS);
    git(&place, &["init", "-q"]);
    git(&place, &["add", "."]);
    git(&place, &["commit", "-qm", "one"]);
    git(&place, &["branch", "released"]);
    place.write("policies/docs.cedar", &policies());
    git(&place, &["add", "."]);
    git(&place, &["commit", "-qm", "two"]);
    place.write("policies/links/all.json", "[]");
    place
}

#[test]
fn two_revisions() {
    let place = versioned();
    assert_diff!(run(&place, &["released", "HEAD"]), @r#"
    exit 0
    --- stdout
    before  released  commit [COMMIT], 4 policies, 5 entities, 1 link
    after   HEAD      commit [COMMIT], 5 policies, 5 entities, 1 link

    policies
      added policy bob-pings    docs.cedar:29
      changed policy owner-reads-and-writes  annotation @title  docs.cedar:2
          - @title("Owners read and write what they own")
          + @title("Owners do")
      changed policy staff-read-by-day  condition  docs.cedar:9
          -   principal.level > 2 &&
          +   principal.level > 4 &&

    test cases: 1 decided by both, 0 gained, 1 lost, 0 by other policies
      lost 1 User Action::"read"  staff-read-by-day no longer permits
          staff with a badge read by day (docs.test.yaml:10)  User::"bob"  Doc::"plan"  allow: staff-read-by-day → deny: no_permit

    all entities: 12 triples, of which the change can alter 4; 4 decided by both, 2 gained, 1 lost
      gained 2 User Action::"ping"  bob-pings now permits
          User::"bob"  Doc::"key"   {}  deny: no_permit → allow: bob-pings
          User::"bob"  Doc::"plan"  {}  deny: no_permit → allow: bob-pings
      lost 1 User Action::"read"  staff-read-by-day no longer permits
          User::"bob"  Doc::"plan"  {"now":"2025-06-01T12:00:00Z"}  allow: staff-read-by-day → deny: no_permit

    every request: not looked at, as asked for

    1 principal gains, 1 loses
    "#);
    // Named in another way they are the same.
    let whole = run(&place, &["HEAD~1:policies", "main:policies/"]);
    let verdict = |shown: &str| shown.lines().last().unwrap().to_owned();
    assert_eq!(
        verdict(&whole),
        verdict(&run(&place, &["released", "HEAD"]))
    );
    assert_diff!(run(&place, &["HEAD", "HEAD"]), @r#"
    exit 0
    --- stdout
    before  HEAD  commit [COMMIT], 5 policies, 5 entities, 1 link
    after   HEAD  commit [COMMIT], 5 policies, 5 entities, 1 link

    test cases: 1 decided by both, 0 gained, 0 lost, 0 by other policies

    all entities: 12 triples, of which the change can alter 0; 0 decided by both, 0 gained, 0 lost

    every request: not looked at, as asked for

    nothing differs
    "#);
}

#[test]
fn a_revision_and_the_work_tree() {
    let place = versioned();
    let shown = run(&place, &["HEAD"]);
    assert_diff!(shown, @r#"
    exit 0
    --- stdout
    before  HEAD      commit [COMMIT], 5 policies, 5 entities, 1 link
    after   policies  5 policies, 5 entities, 0 links

    policies
      removed link share-key-with-bob    

    test cases: 1 decided by both, 0 gained, 0 lost, 0 by other policies

    all entities: 12 triples, of which the change can alter 1; 1 decided by both, 0 gained, 0 lost

    every request: not looked at, as asked for

    of what was asked, nobody gains or loses access; not asked: every possible request (`--no-solver`)
    "#);
    assert_eq!(run(&place, &["HEAD", "policies"]), shown);
}

#[test]
fn a_comment_for_a_pull_request() {
    let place = versioned();
    assert_diff!(run(&place, &["released", "HEAD", "--format", "markdown"]), @r#"
    exit 0
    --- stdout
    ### Access: 1 principal gains, 1 loses

    From `released` (`[COMMIT]`) to `HEAD` (`[COMMIT]`).

    * gaining: `User::"bob"`
    * losing: `User::"bob"`

    |  | over | principals | action | by | decisions | such as |
    | --- | --- | --- | --- | --- | --- | --- |
    | 🟢 gained | all entities | `User` | `Action::"ping"` | `bob-pings` now permits | 2 | `User::"bob"` on `Doc::"key"` |
    | 🔴 lost | all entities | `User` | `Action::"read"` | `staff-read-by-day` no longer permits | 1 | `User::"bob"` on `Doc::"plan"` |
    | 🔴 lost | test cases | `User` | `Action::"read"` | `staff-read-by-day` no longer permits | 1 | `User::"bob"` on `Doc::"plan"` (`staff with a badge read by day`) |

    Decided by both: 1 test case and 4 of 12 triples of entities; the change cannot alter the others.

    Every request: not looked at, as asked for.

    <details>
    <summary>3 changes of policies</summary>

    **added** policy `bob-pings`

    ```diff
    +@id("bob-pings")
    +permit (principal == User::"bob", action == Action::"ping", resource);
    ```

    **changed** policy `owner-reads-and-writes`: `annotation @title`

    ```diff
     @id("owner-reads-and-writes")
    -@title("Owners read and write what they own")
    +@title("Owners do")
     @reason("The document is theirs.")
     @obligation("log-access, watermark")
     permit (principal, action, resource)
     when { resource.owner == principal };
    ```

    **changed** policy `staff-read-by-day`: `condition`

    ```diff
     @id("staff-read-by-day")
     @title("Staff with a badge read")
     permit (principal in Group::"staff", action == Action::"read", resource)
     when
     {
    -  principal.level > 2 &&
    +  principal.level > 4 &&
       principal has badge && context.now < principal.badge.until
     };
    ```


    </details>
    "#);
}

#[test]
fn json() {
    let place = versioned();
    let shown = run(
        &place,
        &["released", "HEAD", "--format", "json", "--fail-on", "lost"],
    );
    let json: Json =
        serde_json::from_str(shown.strip_prefix("exit 6\n--- stdout\n").unwrap()).unwrap();
    assert_eq!(
        json["losing"]["principals"],
        serde_json::json!(["User::\"bob\""])
    );
    assert_eq!(json["cases"]["lost"], 1);
    let before = &json["before"];
    assert_eq!(
        (&before["name"], before["commit"].as_str().unwrap().len()),
        (&"released".into(), 40)
    );
    assert_eq!(json["policies"]["count"], 3);
    assert_eq!(json["policies"]["items"][0]["change"], "added");
    assert_eq!(json["solver"]["asked"], false);
    let gained = run(&place, &["HEAD", "policies", "--fail-on", "gained"]);
    assert!(gained.starts_with("exit 0"), "{gained}");
}

#[test]
fn recorded_questions_are_decided_by_both() {
    let place = versioned();
    recorded(&place);
    let shown = run(&place, &["released", "HEAD", "--audit", "audit"]);
    let (_, told) = shown.split_once("recorded questions").unwrap();
    assert_diff!(told, @r#"
      decisions                      8
      the same                       4
      same decision, other policies  1
      deny → allow                   0
      allow → deny                   1
      not decided again              1  (a rule of redaction took something out)
      not decided again              1  (carried entities were only digested)
      gaps in the log                1  (each tells of decisions that were never recorded)
    lost 1 User  staff-read-by-day no longer permits
      record 4  2026-11-22T03:00:00.002Z  User::"bob"  Action::"read"  Doc::"plan"  allow: staff-read-by-day → deny: no_permit

    every request: not looked at, as asked for

    not asked: 1 recorded question not decided again

    1 principal gains, 1 loses
    "#);
}

#[test]
fn what_is_no_revision() {
    let place = versioned();
    assert_diff!(run(&place, &["relaesed"]), @r#"
    exit 1
    --- stderr
    error: there is no revision `relaesed`

    hint: did you mean `released`?
    "#);
    assert_diff!(run(&place, &["--", "-n"]), @r#"
    exit 1
    --- stderr
    error: there is no revision `-n`

    hint: see `git log --oneline`; what others pushed comes with `git fetch`, and a shallow clone has only its last commits
    "#);
    assert_diff!(run(&place, &["0123abc"]), @r#"
    exit 1
    --- stderr
    error: there is no revision `0123abc`

    hint: see `git log --oneline`; what others pushed comes with `git fetch`, and a shallow clone has only its last commits
    "#);
    assert_diff!(run(&place, &["HEAD:nowhere"]), @r#"
    exit 1
    --- stderr
    error: the revision `HEAD` has no directory `nowhere`

    hint: name the directory, from the top of the repository: `HEAD:policies`
    "#);
    assert_diff!(run(&Place::new(), &["main"]), @r#"
    exit 1
    --- stderr
    error: `main` is neither a directory nor a revision: `policies` is in no git repository

    hint: run it in a clone of the policies, or give directories instead of revisions
    "#);
    // Without git.
    let shown = versioned().run_with(&["diff", "main"], &[("PATH", "/nowhere")], "");
    assert!(
        shown.starts_with("exit 1") && shown.contains("cannot run `git`"),
        "{shown}"
    );
}

#[test]
fn a_side_that_does_not_compile() {
    let place = versioned();
    place.write(
        "policies/worse.cedar",
        "permit (principal, action resource);\n",
    );
    assert_diff!(run(&place, &["HEAD"]), @r#"
    exit 4
    --- stderr
    `policies` does not compile:

      × unexpected token `resource`: expected `!=`, `)`, `,`, `:`, `<`, `<=`, `==`, `>`, `>=`, `in`, or `is`
       ╭─[worse.cedar:1:27]
     1 │ permit (principal, action resource);
       ·                           ────────
       ╰────
      help: is something missing here, or just before?

    error: the policy directory has 1 fault
    "#);
}

/// What a symbolic link leads to counts, as it does in the work tree.
#[test]
fn symbolic_links_of_a_revision_are_followed() {
    let place = versioned();
    let more = r#"@id("all-ping") permit (principal, action == Action::"ping", resource);"#;
    place.write("policies/more/ping.txt", more);
    let link = place.0.path().join("policies/ping.cedar");
    std::os::unix::fs::symlink("more/ping.txt", &link).unwrap();
    git(&place, &["add", "."]);
    git(&place, &["commit", "-qm", "three"]);
    let shown = run(&place, &["HEAD~1", "HEAD"]);
    assert!(
        shown.starts_with("exit 0") && shown.contains("added policy all-ping    ping.cedar:1"),
        "{shown}"
    );
    let same = run(&place, &["HEAD", "policies"]);
    assert!(same.ends_with("\nnothing differs\n"), "{same}");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("../../ping.txt", &link).unwrap();
    git(&place, &["commit", "-qam", "four"]);
    assert_diff!(run(&place, &["HEAD~1", "HEAD"]), @r#"
    exit 1
    --- stderr
    error: `ping.cedar` leads out of the policy directory, to `../../ping.txt`

    hint: copy the file into the directory: links that lead out are refused, since they bring in what nobody reviewed
    "#);
}

/// A name that is Markdown stays a name.
#[test]
fn no_name_breaks_the_comment() {
    let place = versioned();
    let entities = super::ENTITIES.replace("bob", "b`o|b");
    place.write("policies/entities/all.json", &entities);
    let links = super::LINKS.replace("bob", "b`o|b");
    place.write("policies/links/all.json", &links);
    let shown = run(&place, &["released", "policies", "--format", "markdown"]);
    assert!(shown.contains(r#"``User::"b`o\|b"``"#), "{shown}");
    for line in shown.lines().filter(|line| line.starts_with("| ")) {
        let bars = line.replace("\\|", "").matches('|').count();
        assert!(matches!(bars, 5 | 8), "{line}");
    }
}

#[test]
fn a_test_file_with_a_fault_is_told() {
    let place = versioned();
    fs::write(place.0.path().join("policies/bad.test.yaml"), "cases: [").unwrap();
    let shown = run(&place, &["HEAD"]);
    assert!(
        shown.contains("note: `policies`: left out the tests of bad.test.yaml"),
        "{shown}"
    );
    let failed = run(&place, &["HEAD", "--fail-on", "any"]);
    assert!(
        failed.starts_with("exit 1")
            && failed.contains("nobody gains or loses access; not asked: tests with 1 fault")
            && failed.contains("warning: `--fail-on` found nothing, but not everything was asked"),
        "{failed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_server_and_a_directory() {
    let place = versioned();
    let config = crate::support::config(&place.0.path().join("policies"));
    let running = crate::support::Running::start(config).await;
    let address = running.server.grpc.first().unwrap();
    let url = format!("http://{address}");
    let shown = |place: &Place| {
        let shown = run(place, &[&url, "policies"]);
        shown.replace(&url, "[SERVER]")
    };
    let same = shown(&place);
    assert!(
        same.starts_with("exit 0")
            && same.ends_with(
                "of what was asked, nobody gains or loses access; not asked: the entities and links \
                 of the server\n"
            ),
        "{same}"
    );
    assert!(
        same.contains("its policies, schema and manifest are those of the other side"),
        "{same}"
    );
    // The policies are the same, and what they mean is not.
    let manifest = "name = \"test\"\nerrors = \"cedar\"\n";
    place.write("policies/manifest.toml", manifest);
    let arguments = [&url, "policies", "--format", "json", "--fail-on", "any"];
    let unlike = run(&place, &arguments);
    let json = unlike.strip_prefix("exit 1\n--- stdout\n").unwrap();
    let json = json.split("--- stderr").next().unwrap();
    let json: Json = serde_json::from_str(json).unwrap();
    assert_ne!(
        json["before"]["policy_revision"],
        json["after"]["policy_revision"]
    );
    assert_eq!(json["before"]["directory_revision"], Json::Null);
    let notes = json["notes"].to_string();
    assert!(
        notes.contains("schema, manifest, entities and links are taken")
            && notes.contains("its policies are alike and its revision is another"),
        "{notes}"
    );
    assert_eq!(
        json["not_asked"],
        serde_json::json!(["the schema, manifest, entities and links of the server"])
    );
    place.write("policies/manifest.toml", "name = \"test\"\n");
    place.write("policies/docs.cedar", super::POLICIES);
    let changed = shown(&place);
    assert!(
        changed.contains("changed policy staff-read-by-day  condition"),
        "{changed}"
    );
    // What it serves is read with the schema of the other side, if that goes.
    let schema = super::SCHEMA.replace("level: Long", "level: String");
    let entities = super::ENTITIES.replace("\"level\": 5", "\"level\": \"5\"");
    let entities = entities.replace("\"level\": 3", "\"level\": \"3\"");
    place.write("other/schema.cedarschema", &schema);
    place.write("other/docs.cedar", "permit (principal, action, resource);");
    place.write("other/entities/all.json", &entities);
    let misfit = run(&place, &[&url, "other"]);
    assert!(
        misfit.starts_with("exit 4")
            && misfit.contains(&format!(
                "what `{url}/` serves does not compile with the schema"
            ))
            && misfit.contains("of `other`, which are taken for its own"),
        "{misfit}"
    );
    let replayed = place.run(&["replay", "other", "--policies", &url]);
    assert!(
        replayed.starts_with("exit 2") && replayed.contains("is a server"),
        "{replayed}"
    );
    assert_diff!(run(&place, &[&url, &url]).replace(&url, "[SERVER]"), @r#"
    exit 2
    --- stderr
    error: two servers cannot be compared: neither tells its schema

    hint: give a directory or a revision for one of them
    "#);
}
