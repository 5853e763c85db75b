//! Test files, good and bad, as they are read.

use std::fmt::Write as _;

use deodar::engine::Files;
use deodar::engine::Snapshot;
use deodar::engine::compile;
use deodar::testing::Read;
use deodar::testing::read;
use deodar::testing::suite::Case;

const SCHEMA: &str = r"
namespace Org { entity Group; entity User in [Group] { level: Long }; }
entity Doc { owner: Org::User, secret: Bool };
action read, write appliesTo {
  principal: Org::User, resource: Doc, context: { now?: datetime, ip?: ipaddr, net?: { site: String, hops?: Long } },
};
";

const POLICIES: &str = r#"
@id("owner") permit (principal, action, resource) when { resource.owner == principal };
@id("no-secrets") forbid (principal, action, resource) when { resource.secret };
@id("share") permit (principal == ?principal, action, resource == ?resource);
"#;

const LINKS: &str = r#"[{"template_id": "share", "link_id": "share-plan",
  "args": {"?principal": "Org::User::\"bob\"", "?resource": "Doc::\"plan\""}}]"#;

fn files(tests: &[(&str, &str)]) -> Files {
    let policies = [
        ("schema.cedarschema", SCHEMA),
        ("docs.cedar", POLICIES),
        ("links/all.json", LINKS),
    ];
    let all = policies.iter().chain(tests);
    Files::new(all.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())))
}

fn snapshot() -> Snapshot {
    compile(&files(&[])).unwrap()
}

fn read_one(path: &str, text: &str) -> Read {
    read(&files(&[(path, text)]), Some(&snapshot()))
}

fn shown(case: &Case) -> String {
    let question = &case.question;
    let mut text = format!(
        "{} `{}`\n  {} {} {}\n",
        case.line, case.name, question.principal, question.action, question.resource
    );
    if question
        .context
        .as_object()
        .is_some_and(|context| !context.is_empty())
    {
        writeln!(text, "  context {}", question.context).unwrap();
    }
    if question
        .entities
        .as_array()
        .is_some_and(|entities| !entities.is_empty())
    {
        writeln!(text, "  entities {}", question.entities).unwrap();
    }
    for link in &question.links {
        let slots = [&link.principal, &link.resource].map(|uid| {
            uid.as_ref()
                .map_or_else(|| "-".to_owned(), ToString::to_string)
        });
        writeln!(
            text,
            "  link {} of {}: {}",
            link.id,
            link.template,
            slots.join(" ")
        )
        .unwrap();
    }
    if let Some(now) = &question.now {
        writeln!(text, "  now {now}").unwrap();
    }
    let expected = &case.expected;
    let decision = if expected.allow { "allow" } else { "deny" };
    write!(text, "  {decision}").unwrap();
    if let Some(cause) = expected.cause {
        write!(text, " because {}", cause.as_str()).unwrap();
    }
    if let Some(policies) = &expected.policies {
        write!(text, " by {policies:?}").unwrap();
    }
    let sets = [&expected.errors, &expected.advice, &expected.obligations];
    for (name, set) in ["errors", "advice", "obligations"].into_iter().zip(sets) {
        if let Some(set) = set {
            write!(text, " {name} {set:?}").unwrap();
        }
    }
    if let Some(count) = expected.errors_count {
        write!(text, " errors_count {count}").unwrap();
    }
    if let Some(reason) = &case.skip {
        write!(text, " skipped: {reason}").unwrap();
    }
    text + "\n"
}

fn cases(read: &Read) -> String {
    assert!(read.faults.is_empty(), "{:#?}", read.faults);
    read.suites
        .iter()
        .flat_map(|suite| {
            let head = format!("{} ({})\n", suite.name, suite.file);
            std::iter::once(head).chain(suite.cases.iter().map(shown))
        })
        .collect()
}

const GOOD: &str = r#"name: documents
description: who reads and writes
now: 2026-11-22T18:30:00Z
parameters: { who: bob, limit: 3, net: { site: "${not}" } }
fixtures:
  principals:
    bob: 'Org::User::"${who}"'
    eve: { uid: 'Org::User::"eve"', parents: ['Org::Group::"staff"', { type: "Org::Group", id: all }], attrs: { level: 3 } }
  actions: { read: 'Action::"read"' }
  resources:
    plan: 'Doc::"plan"'
    memo: { uid: { type: Doc, id: memo }, attrs: { secret: false }, tags: {} }
  contexts:
    inside: { ip: "10.0.0.1", net: { site: hamburg, hops: 1 } }
  entities:
    secret: { uid: 'Doc::"plan"', attrs: { secret: true } }
  links:
    share-memo: { template: share, principal: eve, resource: memo }
cases:
  - name: plain
    principal: bob
    action: read
    resource: plan
    decision: allow
  - name: with everything
    principal: eve
    action: 'Action::"write"'
    resource: memo
    context: [inside, { net: { hops: "${limit}", site: "${who}:$${x}" } }]
    entities: [secret, { uid: 'Doc::"memo"', attrs: { secret: true } }]
    links: [share-memo, { id: other, template: share, principal: 'Org::User::"ann"', resource: plan }]
    now: 2026-11-22T03:12:00+01:00
    decision: deny
    policies: [no-secrets]
    cause: forbidden
    advice: [ask]
    obligations: []
    errors: [owner, share-plan, share-memo]
    skip: later
  - name: at ${hour}
    principal: bob
    action: read
    resource: plan
    now: "2026-11-22T${hour}:00:00Z"
    decision: deny
    each: [ { hour: "17", decision: allow, policies: { include: [share-plan] } }, { hour: "23" } ]
  - name: level
    principal: { : }
    action: read
    resource: plan
    entities: [ { uid: 'Org::User::"bob"', attrs: { level: "${level}" } } ]
    each:
      - { level: 1, decision: deny }
      - { level: 2, decision: allow, principal: eve }
  - name: rows without parameters
    principal: bob
    action: read
    resource: plan
    each: [ { decision: deny }, { decision: allow } ]
tables:
  - name: matrix
    principals: [bob, 'Org::User::"ann"']
    actions: [read, 'Action::"write"']
    resources: [plan]
    context: inside
    expect:
      - { principal: bob, decision: allow, policies: [share-plan] }
      - { principals: ['Org::User::"ann"'], actions: [read], resource: plan, decision: deny, cause: no_permit }
  - name: nothing
    principals: [eve]
    actions: [read]
    resources: [memo, plan]
    skip: not now
"#;

#[test]
fn a_file_becomes_cases() {
    let text = GOOD.replace("principal: { : }", "principal: bob");
    let text = text.replace("${not}", "hamburg");
    insta::assert_snapshot!(cases(&read_one("tests/docs.test.yaml", &text)), @r#"
    documents (tests/docs.test.yaml)
    20 `plain`
      Org::User::"bob" Action::"read" Doc::"plan"
      now datetime("2026-11-22T18:30:00Z")
      allow
    25 `with everything`
      Org::User::"eve" Action::"write" Doc::"memo"
      context {"ip":"10.0.0.1","net":{"site":"bob:${x}","hops":3}}
      entities [{"uid":{"type":"Doc","id":"memo"},"attrs":{"secret":true}},{"uid":{"type":"Doc","id":"plan"},"attrs":{"secret":true}},{"uid":{"type":"Org::User","id":"eve"},"attrs":{"level":3},"parents":[{"type":"Org::Group","id":"staff"},{"type":"Org::Group","id":"all"}]}]
      link share-memo of share: Org::User::"eve" Doc::"memo"
      link other of share: Org::User::"ann" Doc::"plan"
      now datetime("2026-11-22T03:12:00+0100")
      deny because forbidden by Exactly({"no-secrets"}) errors {"owner", "share-memo", "share-plan"} advice {"ask"} obligations {} skipped: later
    46 `at 17`
      Org::User::"bob" Action::"read" Doc::"plan"
      now datetime("2026-11-22T17:00:00Z")
      allow by Including({"share-plan"})
    46 `at 23`
      Org::User::"bob" Action::"read" Doc::"plan"
      now datetime("2026-11-22T23:00:00Z")
      deny
    53 `level (level 1)`
      Org::User::"bob" Action::"read" Doc::"plan"
      entities [{"uid":{"type":"Org::User","id":"bob"},"attrs":{"level":1}}]
      now datetime("2026-11-22T18:30:00Z")
      deny
    54 `level (level 2)`
      Org::User::"eve" Action::"read" Doc::"plan"
      entities [{"uid":{"type":"Org::User","id":"bob"},"attrs":{"level":2}},{"uid":{"type":"Org::User","id":"eve"},"attrs":{"level":3},"parents":[{"type":"Org::Group","id":"staff"},{"type":"Org::Group","id":"all"}]}]
      now datetime("2026-11-22T18:30:00Z")
      allow
    59 `rows without parameters (row 1)`
      Org::User::"bob" Action::"read" Doc::"plan"
      now datetime("2026-11-22T18:30:00Z")
      deny
    59 `rows without parameters (row 2)`
      Org::User::"bob" Action::"read" Doc::"plan"
      now datetime("2026-11-22T18:30:00Z")
      allow
    67 `matrix: bob read plan`
      Org::User::"bob" Action::"read" Doc::"plan"
      context {"ip":"10.0.0.1","net":{"site":"hamburg","hops":1}}
      now datetime("2026-11-22T18:30:00Z")
      allow by Exactly({"share-plan"})
    67 `matrix: bob Action::"write" plan`
      Org::User::"bob" Action::"write" Doc::"plan"
      context {"ip":"10.0.0.1","net":{"site":"hamburg","hops":1}}
      now datetime("2026-11-22T18:30:00Z")
      allow by Exactly({"share-plan"})
    68 `matrix: Org::User::"ann" read plan`
      Org::User::"ann" Action::"read" Doc::"plan"
      context {"ip":"10.0.0.1","net":{"site":"hamburg","hops":1}}
      now datetime("2026-11-22T18:30:00Z")
      deny because no_permit
    61 `matrix: Org::User::"ann" Action::"write" plan`
      Org::User::"ann" Action::"write" Doc::"plan"
      context {"ip":"10.0.0.1","net":{"site":"hamburg","hops":1}}
      now datetime("2026-11-22T18:30:00Z")
      deny
    69 `nothing: eve read memo`
      Org::User::"eve" Action::"read" Doc::"memo"
      entities [{"uid":{"type":"Doc","id":"memo"},"attrs":{"secret":false},"tags":{}},{"uid":{"type":"Org::User","id":"eve"},"attrs":{"level":3},"parents":[{"type":"Org::Group","id":"staff"},{"type":"Org::Group","id":"all"}]}]
      now datetime("2026-11-22T18:30:00Z")
      deny skipped: not now
    69 `nothing: eve read plan`
      Org::User::"eve" Action::"read" Doc::"plan"
      entities [{"uid":{"type":"Org::User","id":"eve"},"attrs":{"level":3},"parents":[{"type":"Org::Group","id":"staff"},{"type":"Org::Group","id":"all"}]}]
      now datetime("2026-11-22T18:30:00Z")
      deny skipped: not now
    "#);
}

#[test]
fn the_tests_of_cedar_are_read() {
    let text = r#"[
  {"name": "one", "request": {"principal": "Org::User::\"bob\"", "action": "Action::\"read\"",
    "resource": "Doc::\"plan\"", "context": {"ip": "10.0.0.1"}},
   "entities": [{"uid": {"type": "Doc", "id": "plan"}, "attrs": {"secret": true}, "parents": []}],
   "decision": "allow", "reason": ["share-plan"], "num_errors": 0},
  {"request": {"principal": "Org::User::\"bob\"", "action": "Action::\"read\"", "resource": "Doc::\"plan\"", "context": {}},
   "entities": "../entities/e.json", "decision": "deny", "reason": [], "num_errors": 1}
]"#;
    let entities =
        r#"[{"uid": {"__entity": {"type": "Doc", "id": "x"}}, "attrs": {"n": 1}, "parents": []}]"#;
    let files = files(&[("t/a.test.json", text), ("entities/e.json", entities)]);
    insta::assert_snapshot!(cases(&read(&files, Some(&snapshot()))), @r#"
    a (t/a.test.json)
    2 `one`
      Org::User::"bob" Action::"read" Doc::"plan"
      context {"ip":"10.0.0.1"}
      entities [{"uid":{"type":"Doc","id":"plan"},"attrs":{"secret":true},"parents":[]}]
      allow by Including({"share-plan"}) errors_count 0
    6 `test 2`
      Org::User::"bob" Action::"read" Doc::"plan"
      entities [{"uid":{"type":"Doc","id":"x"},"attrs":{"n":1},"parents":[]}]
      deny by Including({}) errors_count 1
    "#);
}

fn faults(path: &str, text: &str) -> String {
    let read = read_one(path, text);
    // What has a fault of its own is no case, and the file has none without.
    let broken = read.suites.iter().map(|suite| suite.broken.len());
    assert!(read.files_left_out == 1 || broken.sum::<usize>() > 0);
    read.faults
        .iter()
        .map(|fault| {
            let hint = fault.hint.as_deref().unwrap_or("NO HINT");
            format!(
                "{}:{} [{}] {}\n    {hint}\n",
                fault.line, fault.column, fault.text, fault.message
            )
        })
        .collect()
}

#[test]
fn faults_of_a_file_are_all_told_with_their_places() {
    insta::assert_snapshot!(faults("a.test.yaml", r#"name: 5
now: yesterday
titel: x
fixtures:
  principals: { bob: 'Org::Usr::"bob"', bob: 'Org::User::"bob"', ann: 'User::"ann"', x: "x" }
  actions: { raed: 'Action::"raed"', write: { uid: 'Action::"write"' } }
  contexts: { inside: 5, none: { a: ~ }, half: { a: 1.5 } }
  entities: { a: {}, b: { uid: x }, c: { uid: { type: Dok, id: a }, parent: [] } }
  links: { share-plan: { template: share }, s: { template: shar }, t: { template: share, principal: 'Org::User::"a"' } }
  things: {}
parameters: { a: [1] }
cases:
  - name: one
    principal: bobb
    action: 'Action::"raed"'
    resource: 'Doc'
    context: insid
    entities: [a, z, { uid: 'Doc::"plan"' }]
    links: [q]
    now: 5
    decision: permit
    policies: [ownr, share, owner, owner]
    cause: policy
    errors: x
    skip: true
  - { name: two, decision: allow, cause: no_permit, principal: 'Org::User::"b"', action: 'Action::"read"', resource: 'Doc::"${b}"' }
  - { name: 'two ${a}', principal: "x ${", skip: , prinzipal: x }
  - name: three
    principal: 'Org::User::"b"'
    action: 'Action::"read"'
    resource: 'Doc::"b"'
    each: [ { decison: allow, decision: allow }, 5, { decision: allow } ]
  - name: three (row 3)
    principal: 'Org::User::"b"'
    action: 'Action::"read"'
    resource: 'Doc::"b"'
    decision: deny
    entities: [ { uid: 'Doc::"plan"' }, { uid: 'Doc::"plan"' } ]
  - text
  - { name: no rows, principal: 'Org::User::"b"', action: 'Action::"read"', resource: 'Doc::"b"', decision: deny, each: [] }
"#), @r#"
    1:7 [5] `name` is a number, not text
        put it in quotation marks
    2:6 [yesterday] `yesterday` is not a time such as 2026-11-22T03:12:00Z or 2026-11-22T04:12:00+01:00
        write it as RFC 3339 does
    3:1 [titel] `titel` is not a member of the file
        there are `name`, `description`, `now`, `parameters`, `fixtures`, `cases` and `tables`
    5:22 ['Org::Usr::"bob"'] the schema does not declare the entity type `Org::Usr`
        did you mean `Org::User`?
    5:41 [bob] `bob` is there twice, first in line 5
        leave one of them out
    5:71 ['User::"ann"'] the schema does not declare the entity type `User`
        did you mean `Org::User`?
    5:89 ["x"] `x` is not an entity
        write it as in a policy: Type::"id"
    6:20 ['Action::"raed"'] the schema does not declare the action `Action::"raed"`
        did you mean `Action::"read"`?
    6:45 [{] the action `write` is an object, not text
        write text
    7:23 [5] a context is a number, not an object
        write `name: value`
    7:34 [a] `a` has no value
        give it one, or leave it out
    7:53 [1.5] `1.5` is not a whole number of 64 bits
        write a decimal as text, "1.5", or as { __extn: { fn: decimal, arg: "1.5" } }
    8:18 [{] an entity has no `uid`
        add `uid: ..`
    8:32 [x] `x` is not an entity
        write it as in a policy, Type::"id", or as { type: .., id: .. }
    8:47 [{] the schema does not declare the entity type `Dok`
        did you mean `Doc`?
    8:69 [parent] `parent` is not a member of an entity
        did you mean `parents`?
    9:24 [{] link `share-plan` has the id of a link of the repository
        give it another `id`
    9:48 [{] link `s` names the template `shar`, which does not exist
        did you mean `share`?
    9:71 [{] link `t` does not fit the template `share`: the following slots were not provided as arguments: ?resource
        fill exactly the slots that the template has
    10:3 [things] `things` is not a member of `fixtures`
        there are `principals`, `actions`, `resources`, `contexts`, `entities` and `links`
    14:16 [bobb] `bobb` is neither a fixture among the principals nor an entity
        did you mean `bob`?
    15:13 ['Action::"raed"'] the schema does not declare the action `Action::"raed"`
        did you mean `Action::"read"`?
    16:15 ['Doc'] `Doc` is neither a fixture among the resources nor an entity
        declare it in `fixtures`, or write an entity as in a policy: Type::"id"
    17:14 [insid] `insid` is not a fixture among the contexts
        did you mean `inside`?
    19:13 [q] `q` is not a fixture among the links
        did you mean `s`?
    20:10 [5] `now` is a number, not text
        put it in quotation marks
    21:15 [permit] `permit` is not a decision
        write `allow` or `deny`
    22:16 [ownr] there is no policy or link `ownr`
        did you mean `owner`?
    22:22 [share] `share` is a template, which decides nothing by itself
        name the link
    22:36 [owner] `owner` is twice in `policies`
        leave one of them out
    23:12 [policy] `policy` is not a cause
        there are `forbidden`, `no_permit`, `forbid_failed`, `unknown_principal`, `unknown_action`, `unknown_resource` and `not_applicable`
    24:13 [x] `errors` is text, not a list
        write `[.., ..]`, or `- ..` a line
    25:11 [true] `skip` does not say why
        write the reason, or leave `skip` out
    26:42 [no_permit] what is allowed has no cause: that is why something is denied
        leave `cause` out, or expect `deny`
    26:118 ['Doc::"${b}"'] there is no parameter `b`
        did you mean `a`?
    27:5 [{] a case has no `decision`
        add `decision: ..`
    27:5 [{] a case has no `action`
        add `action: ..`
    27:5 [{] a case has no `resource`
        add `resource: ..`
    27:13 ['two ${a}'] `a` is a list, which cannot be part of a text
        let it be the whole value
    27:36 ["x ${"] `${` is not closed
        write `${name}`, or `$${` for what is no parameter
    27:44 [skip] `skip` has no value
        give it one, or leave it out
    27:52 [prinzipal] `prinzipal` is not a member of a case
        did you mean `principal`?
    32:15 [decison] the parameter `decison` is used nowhere in the case
        did you mean `decision`?
    32:50 [5] a row of `each` is a number, not an object
        write `name: value`
    38:41 [{] the entity `Doc::"plan"` is there twice
        make one entity of both
    39:5 [text] a case is text, not an object
        write `name: value`
    40:121 [[] `each` has no row
        add one, or leave `each` out
    "#);
}

#[test]
fn faults_of_tables_are_told() {
    insta::assert_snapshot!(faults("a.test.yaml", r#"fixtures:
  principals: { bob: 'Org::User::"bob"', ann: 'Org::User::"ann"' }
  actions: { read: 'Action::"read"' }
tables:
  - name: one
    principals: [bob, ann]
    actions: [read, 'Action::"write"']
    resources: ['Doc::"a"', 'Doc::"b"']
    expect:
      - { principal: bob, decision: allow }
      - { principals: [ann], action: read, decision: allow }
      - { principals: [ann, bob], action: read, resource: 'Doc::"b"', decision: allow }
      - { principal: 'Org::User::"eve"', decision: allow }
      - { principal: bob, principals: [bob], decision: allow }
      - { action: read, resource: 'Doc::"c"' }
      - { actions: [read, 'Action::"read"'], decision: deny, users: bob }
  - { name: two, principals: [], actions: [read], resources: 'Doc::"a"' }
  - { name: three, principals: [bob, 'Org::User::"bob"'], actions: [read], resources: [bob] }
  - { name: four, principals: [bob], actions: [read], resources: ['Doc::"a"'] }
  - { name: four, principals: [bob], actions: [read], resources: ['Doc::"a"'] }
  - { principals: [ 'Org::Device::"bob"' ], actions: [ 'Action::"fly"' ], resources: ['Doc::"a"'] }
"#), @r#"
    12:9 [{] the cell `bob read Doc::"b"` is named twice, first in line 10
        expect one thing of a cell
    13:22 ['Org::User::"eve"'] `Org::User::"eve"` is not among the principals of the table
        the table has `bob` and `ann`
    14:22 [bob] there are both `principal` and `principals`
        leave one of them out
    15:9 [{] an entry of `expect` has no `decision`
        add `decision: ..`
    15:35 ['Doc::"c"'] `Doc::"c"` is not among the resources of the table
        did you mean `Doc::"a"`?
    16:9 [{] the cell `bob read Doc::"a"` is named twice, first in line 10
        expect one thing of a cell
    16:27 ['Action::"read"'] `Action::"read"` is named twice
        leave one of them out
    16:62 [users] `users` is not a member of an entry of `expect`
        there are `principal`, `principals`, `action`, `actions`, `resource`, `resources`, `decision`, `policies`, `cause`, `advice`, `obligations` and `errors`
    17:30 [[] `principals` is empty
        a table has one of each at least
    17:62 ['Doc::"a"'] `resources` is text, not a list
        write `[.., ..]`, or `- ..` a line
    18:38 ['Org::User::"bob"'] `Org::User::"bob"` is twice in `principals`: `bob` is the same
        leave one of them out
    18:88 [bob] `bob` is neither a fixture among the resources nor an entity
        declare it in `fixtures`, or write an entity as in a policy: Type::"id"
    20:3 [- { name: four, principals: [bob], actions: [read], resources: ['Doc::"a"'] }] the name `four: bob read Doc::"a"` is there twice, first in line 19
        give each case a name of its own
    21:5 [{] a table has no `name`
        add `name: ..`
    21:21 ['Org::Device::"bob"'] the schema does not declare the entity type `Org::Device`
        write the type with its namespace, as in the schema
    21:56 ['Action::"fly"'] the schema does not declare the action `Action::"fly"`
        did you mean `Action::"read"`?
    "#);
}

#[test]
fn files_that_cannot_be_used_are_told() {
    let files = [
        ("a.test.yaml", ""),
        ("a.test.yaml", "# nothing\n"),
        ("a.test.yaml", "name: empty\ncases: []\n"),
        ("a.test.yaml", "cases: [\n  - name: x\n"),
        ("a.test.yaml", "cases:\n  - a: 1\n   b: 2\n"),
        ("a.test.yaml", "- 1\n"),
        ("a.test.yaml", "cases: 5\n"),
        ("a.test.json", ""),
        ("a.test.json", "{}"),
        ("a.test.json", "[{\n}"),
        ("a.test.json", "[]"),
        (
            "a.test.json",
            r#"[{"request": {"principal": "x", "action": 5}, "entities": "e.json", "decision": "Allow"}]"#,
        ),
        (
            "a.test.json",
            r#"[{"request": {"principal": "A::\"a\"", "action": "A::\"a\"", "resource": "A::\"a\"", "extra": 1}, "decision": "allow", "decision": "deny", "reason": ["nobody"], "num_errors": -1}]"#,
        ),
    ];
    let shown: String = files
        .iter()
        .map(|(path, text)| format!("{path} {text:?}\n{}", faults(path, text)))
        .collect();
    insta::assert_snapshot!(shown, @r##"
    a.test.yaml ""
    0:0 [] the file has no case
        add `cases` or `tables`, or remove the file
    a.test.yaml "# nothing\n"
    0:0 [] the file has no case
        add `cases` or `tables`, or remove the file
    a.test.yaml "name: empty\ncases: []\n"
    0:0 [] the file has no case
        add `cases` or `tables`, or remove the file
    a.test.yaml "cases: [\n  - name: x\n"
    2:3 [] not YAML: "-" is only valid inside a block
        see the place that is marked, and the lines before it
    a.test.yaml "cases:\n  - a: 1\n   b: 2\n"
    3:4 [] not YAML: while parsing a block collection, did not find expected '-' indicator
        see the place that is marked, and the lines before it
    a.test.yaml "- 1\n"
    1:1 [] the file is a list, not an object
        write `name: value`
    a.test.yaml "cases: 5\n"
    1:8 [5] `cases` is a number, not a list
        write `[.., ..]`, or `- ..` a line
    a.test.json ""
    1:1 [] EOF while parsing a value at line 1 column 0
        write an array of tests, as for `cedar run-tests`
    a.test.json "{}"
    1:1 [] the file is an object, not a list
        write `[.., ..]`, or `- ..` a line
    a.test.json "[{\n}"
    2:1 [] EOF while parsing a list at line 2 column 1
        write an array of tests, as for `cedar run-tests`
    a.test.json "[]"
    0:0 [] the file has no case
        add `cases` or `tables`, or remove the file
    a.test.json "[{\"request\": {\"principal\": \"x\", \"action\": 5}, \"entities\": \"e.json\", \"decision\": \"Allow\"}]"
    1:2 [{"request": {"principal": "x", "action": 5}, "entities": "e.json", "decision": "Allow"}] `x` is not an entity
        write it as in a policy: "Type::\"id\""
    1:2 [{"request": {"principal": "x", "action": 5}, "entities": "e.json", "decision": "Allow"}] `action` is a number, not text
        put it in quotation marks
    1:2 [{"request": {"principal": "x", "action": 5}, "entities": "e.json", "decision": "Allow"}] `request` has no `resource`
        add `resource: ..`
    1:2 [{"request": {"principal": "x", "action": 5}, "entities": "e.json", "decision": "Allow"}] the repository has no `e.json`
        the files of entities are `entities/**.json`; the path is relative to that of the test file
    a.test.json "[{\"request\": {\"principal\": \"A::\\\"a\\\"\", \"action\": \"A::\\\"a\\\"\", \"resource\": \"A::\\\"a\\\"\", \"extra\": 1}, \"decision\": \"allow\", \"decision\": \"deny\", \"reason\": [\"nobody\"], \"num_errors\": -1}]"
    1:2 [{"request": {"principal": "A::\"a\"", "action": "A::\"a\"", "resource": "A::\"a\"", "extra": 1}, "decision": "allow", "decision": "deny", "reason": ["nobody"], "num_errors": -1}] `decision` is there twice, first in line 1
        leave one of them out
    1:2 [{"request": {"principal": "A::\"a\"", "action": "A::\"a\"", "resource": "A::\"a\"", "extra": 1}, "decision": "allow", "decision": "deny", "reason": ["nobody"], "num_errors": -1}] `extra` is not a member of `request`
        there are `principal`, `action`, `resource` and `context`
    1:2 [{"request": {"principal": "A::\"a\"", "action": "A::\"a\"", "resource": "A::\"a\"", "extra": 1}, "decision": "allow", "decision": "deny", "reason": ["nobody"], "num_errors": -1}] there is no policy or link `nobody`
        a policy is named by its `@id`, a link by its `link_id`
    1:2 [{"request": {"principal": "A::\"a\"", "action": "A::\"a\"", "resource": "A::\"a\"", "extra": 1}, "decision": "allow", "decision": "deny", "reason": ["nobody"], "num_errors": -1}] `num_errors` is not a number of errors
        write 0 or more
    "##);
}

#[test]
fn a_bad_file_does_not_hide_a_good_one() {
    let good = GOOD
        .replace("principal: { : }", "principal: bob")
        .replace("${not}", "x");
    let files = files(&[
        ("a.test.yaml", "["),
        ("b.test.yaml", &good),
        ("c.test.yaml", "cases: []"),
    ]);
    let read = read(&files, Some(&snapshot()));
    assert_eq!(read.suites.len(), 1);
    assert_eq!(read.faults.len(), 2);
}

#[test]
fn without_a_snapshot_names_are_not_checked() {
    let text = r#"cases: [{ name: a, principal: 'A::"a"', action: 'B::"b"', resource: 'C::"c"', decision: allow, policies: [whoever] }]"#;
    let files = files(&[("a.test.yaml", text)]);
    assert_eq!(read(&files, None).suites.len(), 1);
    let checked = read(&files, Some(&snapshot()));
    assert_eq!(
        (checked.faults.len(), checked.suites[0].cases.len()),
        (4, 0)
    );
    let broken = &checked.suites[0].broken[0];
    assert_eq!((broken.name.as_str(), broken.line), ("a", 1));
    let hint = broken.fault.hint.as_deref().unwrap_or_default();
    assert!(hint.ends_with("tells what else is wrong (3)"), "{hint}");
    assert!(checked.file_faults.is_empty());
}

#[test]
fn what_is_undeclared_may_be_asked_about_when_that_is_meant() {
    let text = r#"cases: [{ name: a, principal: 'A::"a"', action: 'B::"b"', resource: 'C::"c"', decision: deny, cause: unknown_action }]"#;
    assert_eq!(read_one("a.test.yaml", text).suites.len(), 1);
}

#[test]
fn faults_that_are_left_out_are_counted() {
    let text = format!("cases:\n{}", "  - 5\n".repeat(80));
    let read = read_one("a.test.yaml", &text);
    assert_eq!(read.faults.len(), 51);
    assert_eq!(read.faults[50].message, "30 more faults are left out");
}

/// Seen to fail when a row, or a parameter, keeps the name of another as text.
#[test]
fn parameters_may_use_those_of_the_file() {
    let text = r#"
parameters: { low: "10.0.0.1", net: { ip: "${low}" }, kept: "$${low}" }
cases:
  - name: "${what}"
    principal: 'Org::User::"bob"'
    action: 'Action::"read"'
    resource: 'Doc::"plan"'
    context: "${context}"
    decision: deny
    each:
      - { what: "at ${low}", context: { ip: "${low}" } }
      - { what: "of the net", context: "${net}" }
      - { what: "${kept}", context: { ip: "$${low}" } }
"#;
    let read = read_one("a.test.yaml", text);
    assert!(read.faults.is_empty(), "{:#?}", read.faults);
    let shown: Vec<String> = read.suites[0]
        .cases
        .iter()
        .map(|case| format!("{} {}", case.name, case.question.context))
        .collect();
    assert_eq!(
        shown,
        [
            "at 10.0.0.1 {\"ip\":\"10.0.0.1\"}",
            "of the net {\"ip\":\"10.0.0.1\"}",
            "${low} {\"ip\":\"${low}\"}",
        ]
    );
}

/// What is written once and used often: each of these would fill the memory.
#[test]
fn what_a_file_makes_is_bounded() {
    let mut laughs = "parameters:\n  p0: \"0123456789\"\n".to_owned();
    for number in 1..40 {
        let before = number - 1;
        writeln!(laughs, "  p{number}: \"${{p{before}}}${{p{before}}}\"").unwrap();
    }
    let lists = laughs
        .replace(": \"${", ": [\"${")
        .replace("}${", "}\", \"${")
        .replace("}\"\n", "}\"]\n");
    let rows: String = (0..1500)
        .map(|row| format!("{{ name: n{row} }}, "))
        .collect();
    let rows = format!(
        "cases:\n  - {{ principal: 'Org::User::\"bob\"', action: 'Action::\"read\"', resource: 'Doc::\"plan\"', decision: deny, skip: \"{}\", each: [{rows}] }}\n",
        "x".repeat(100_000)
    );
    for text in [laughs, lists, rows] {
        let shown = faults("a.test.yaml", &text);
        assert!(shown.contains("make more than"), "{shown}");
    }
    let axis = |kind: &str| {
        let items: Vec<String> = (0..36).map(|id| format!("'{kind}::\"{id}\"'")).collect();
        format!("[{}]", items.join(", "))
    };
    let tables: String = (0..6)
        .map(|number| {
            format!("  - {{ name: t{number}, principals: *p, actions: *a, resources: *r }}\n")
        })
        .collect();
    let table = format!(
        "tables:\n  - {{ name: t, principals: &p {}, actions: &a {}, resources: &r {} }}\n{tables}",
        axis("P"),
        axis("A"),
        axis("R")
    );
    let read = read(&files(&[("a.test.yaml", &table)]), None);
    let messages: Vec<&str> = read.faults.iter().map(|fault| &*fault.message).collect();
    assert_eq!(
        messages,
        ["the tables of the file have more than 200000 cells"]
    );
}

#[test]
fn entities_of_cedar_are_told_once() {
    let text = r#"[{"request": {"principal": "Org::User::\"bob\"", "action": "Action::\"read\"", "resource": "Doc::\"plan\""},
  "entities": [{"uid": {"type": "Doc", "id": "plan"}, "attrs": {"secret": true}},
    {"uid": {"type": "Doc", "id": "plan"}, "attrs": {"secret": false}}], "decision": "deny"}]"#;
    let shown = faults("a.test.json", text);
    assert!(
        shown.contains("the entity `Doc::\"plan\"` is there twice"),
        "{shown}"
    );
}

/// What a row lacks is said of the row. Seen to fail when the case is told.
#[test]
fn what_is_missing_in_a_row_is_told_there() {
    let text = "cases:\n  - name: a\n    action: 'Action::\"read\"'\n    resource: 'Doc::\"plan\"'\n    decision: deny\n    each:\n      - { principal: 'Org::User::\"bob\"' }\n      - { now: 2026-11-22 }\n";
    let read = read_one("a.test.yaml", text);
    assert_eq!(read.suites[0].cases.len(), 1);
    let fault = &read.faults[0];
    assert_eq!(
        (fault.line, &*fault.message),
        (8, "a case has no `principal`")
    );
    assert_eq!(read.suites[0].broken[0].name, "a (row 2)");
    let twice = read_one("a.test.yaml", &format!("{text}    each: [{{}}]\n"));
    assert_eq!(
        twice.faults[0].message,
        "`each` is there twice, first in line 6"
    );
    assert!(twice.suites[0].cases.is_empty());
}
