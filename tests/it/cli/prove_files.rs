//! Invariants files: what is wrong with them and where, and the schema of the format.

use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use crate::cli::assert_shown;
use crate::cli::prove::INVARIANTS;
use crate::cli::prove::POLICIES;
use crate::cli::prove::prove;
use crate::cli::prove::repository;

#[test]
fn faults_of_invariants_files_have_their_place() {
    let place = repository(POLICIES, "");
    let with = |text: &str| {
        place.write("p/invariants.yaml", text);
        prove(&place, "/nowhere", &[])
    };
    let all = [
        "invariants: [\n",
        "invariants: []\n",
        "invariants:\n  - name: a\n    never: x\n    never: y\n",
        "invariants:\n  - name: a\n    nevr: x\n",
        "invariants:\n  - name: a\n    never_errors: [grnt]\n",
        "invariants:\n  - name: a\n  - name: b\n    never_errors: [grant]\n    disjoint: [grant, grant]\n",
        "invariants:\n  - name: a\n    never: |\n      permit (principal, action, resource)\n      when { principal.colour == 1 };\n",
        "invariants:\n  - name: a\n    never: |\n      permit (principal, action,\n        resource) wen { true };\n",
        "invariants:\n  - name: a\n    never: 'permit (principal, action == Action::\"fly\", resource);'\n",
        "invariants:\n  - name: a\n    never: |\n      permit (principal, action, resource) when { false };\n",
        "invariants:\n  - name: a\n    always: |\n      permit (principal, action, resource);\n    assume: principal.level > \"x\"\n",
        "invariants:\n  - name: a\n    never_errors: [grant]\n    assume: 'true'\n    links: any\n    environments: {principals: [Usr], actions: ['Action::\"fly\"']}\n",
        "invariants:\n  - name: a\n    never_errors: [grant]\n  - name: a\n    never_errors: [grant]\n",
        "invariants:\n  - name: a\n    implies: [grant]\n",
        "invariants:\n  - name: a\n    implies: [staff-unlocks, grant]\n",
    ];
    let shown: Vec<String> = all.iter().map(|text| with(text)).collect();
    assert_shown!(shown.join("\n"), @r#"
    exit 4
    --- stderr
      × not an invariants file: unclosed bracket '['
       ╭─[invariants.yaml:1:13]
     1 │ invariants: [
       ·             ─
       ╰────
      help: see docs/invariants-file.schema.json; an invariant has a `name` and what is claimed, such as `never: |`

    error: the policy directory has 1 fault

    exit 4
    --- stderr
      × there is no invariant
       ╭─[invariants.yaml:1:13]
     1 │ invariants: []
       ·             ─
       ╰────
      help: write at least one, or remove the file

    error: the policy directory has 1 fault

    exit 4
    --- stderr
      × not an invariants file: duplicate mapping key: never
       ╭─[invariants.yaml:4:5]
     3 │     never: x
     4 │     never: y
       ·     ─────
       ╰────
      help: see docs/invariants-file.schema.json; an invariant has a `name` and what is claimed, such as `never: |`

    error: the policy directory has 1 fault

    exit 4
    --- stderr
      × not an invariants file: unknown field `nevr`, expected one of name, because, never, always, never_errors, never_applies, implies, disjoint, assume, links, environments
       ╭─[invariants.yaml:3:5]
     2 │   - name: a
     3 │     nevr: x
       ·     ────
       ╰────
      help: see docs/invariants-file.schema.json; an invariant has a `name` and what is claimed, such as `never: |`

    error: the policy directory has 1 fault

    exit 4
    --- stderr
      × there is no policy, template or link `grnt`
       ╭─[invariants.yaml:3:20]
     2 │   - name: a
     3 │     never_errors: [grnt]
       ·                    ────
       ╰────
      help: write its `@id`, or `*` for all of them

    error: the policy directory has 1 fault

    exit 4
    --- stderr
      × an invariant claims one thing, this one 0
       ╭─[invariants.yaml:2:11]
     1 │ invariants:
     2 │   - name: a
       ·           ─
     3 │   - name: b
       ╰────
      help: write one of `never`, `always`, `never_errors`, `never_applies`, `implies` or `disjoint`

      × an invariant claims one thing, this one 2
       ╭─[invariants.yaml:3:11]
     2 │   - name: a
     3 │   - name: b
       ·           ─
     4 │     never_errors: [grant]
       ╰────
      help: write one of `never`, `always`, `never_errors`, `never_applies`, `implies` or `disjoint`

    error: the policy directory has 2 faults

    exit 4
    --- stderr
      × attribute `colour` on entity type `User` not found
       ╭─[invariants.yaml:5:14]
     4 │       permit (principal, action, resource)
     5 │       when { principal.colour == 1 };
       ·              ────────────────
       ╰────
      help: did you mean `level`?

    error: the policy directory has 1 fault

    exit 4
    --- stderr
      × invalid policy condition: wen
       ╭─[invariants.yaml:5:19]
     4 │       permit (principal, action,
     5 │         resource) wen { true };
       ·                   ───
       ╰────
      help: condition must be either `when` or `unless`

    error: the policy directory has 1 fault

    exit 4
    --- stderr
      × unrecognized action `Action::"fly"`
       ╭─[invariants.yaml:3:42]
     2 │   - name: a
     3 │     never: 'permit (principal, action == Action::"fly", resource);'
       ·                                          ─────────────
       ╰────
      help: did you mean `Action::"look"`?

    error: the policy directory has 1 fault

    exit 4
    --- stderr
      × policy is impossible: the policy expression evaluates to false for all valid requests
       ╭─[invariants.yaml:4:7]
     3 │     never: |
     4 │       permit (principal, action, resource) when { false };
       ·       ────────────────────────────────────────────────────
       ╰────
      help: an invariant about nothing always holds; widen it or remove it

    error: the policy directory has 1 fault

    exit 4
    --- stderr
      × unexpected type: expected Long but saw String
       ╭─[invariants.yaml:5:31]
     4 │       permit (principal, action, resource);
     5 │     assume: principal.level > "x"
       ·                               ───
       ╰────
      help: see the schema

    error: the policy directory has 1 fault

    exit 4
    --- stderr
      × `assume` goes with `never` or `always` only
       ╭─[invariants.yaml:4:13]
     3 │     never_errors: [grant]
     4 │     assume: 'true'
       ·             ──────
     5 │     links: any
       ╰────
      help: remove it, or say what is claimed with `never` or `always`

      × `links` goes with `never` or `always` only
       ╭─[invariants.yaml:5:12]
     4 │     assume: 'true'
     5 │     links: any
       ·            ───
     6 │     environments: {principals: [Usr], actions: ['Action::"fly"']}
       ╰────
      help: name the templates or links instead

      × `principals` has the type `Usr`, which the schema does not declare
       ╭─[invariants.yaml:6:33]
     5 │     links: any
     6 │     environments: {principals: [Usr], actions: ['Action::"fly"']}
       ·                                 ───
       ╰────
      help: types are written with their namespace, as in the schema

      × `Action::"fly"` is not an action of the schema
       ╭─[invariants.yaml:6:49]
     5 │     links: any
     6 │     environments: {principals: [Usr], actions: ['Action::"fly"']}
       ·                                                 ───────────────
       ╰────
      help: write it as in a policy: `Namespace::Action::"name"`

    error: the policy directory has 4 faults

    exit 4
    --- stderr
      × two invariants have the name `a`
       ╭─[invariants.yaml:4:11]
     3 │     never_errors: [grant]
     4 │   - name: a
       ·           ─
     5 │     never_errors: [grant]
       ╰────
      help: the other one is at invariants.yaml:2; give one of them another name

    error: the policy directory has 1 fault

    exit 4
    --- stderr
      × two policies are needed, not 1
       ╭─[invariants.yaml:3:14]
     2 │   - name: a
     3 │     implies: [grant]
       ·              ─
       ╰────
      help: write [first-id, second-id]

    error: the policy directory has 1 fault

    exit 4
    --- stderr
      × `grant` is a template, which matches nothing that no link of it matches
       ╭─[invariants.yaml:3:30]
     2 │   - name: a
     3 │     implies: [staff-unlocks, grant]
       ·                              ─────
       ╰────
      help: name a link of it, or a policy

    error: the policy directory has 1 fault
    "#);
}

#[test]
fn the_schema_of_the_format_takes_what_is_good_and_nothing_else() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let schema: Json = serde_json::from_str(&read("docs/invariants-file.schema.json")).unwrap();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("invariants.json", schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let index = compiler.compile("invariants.json", &mut schemas).unwrap();
    let takes = |text: &str| {
        let file: Json = serde_saphyr::from_str(text).unwrap();
        schemas.validate(&file, index).is_ok()
    };
    assert!(takes(&read("policies/invariants.yaml")));
    assert!(takes(INVARIANTS));
    for bad in [
        "invariants: []",
        "invariants: [{name: a}]",
        "invariants: [{name: a, nevr: x}]",
        "invariants: [{name: a, never: x, always: y}]",
        "invariants: [{name: a, disjoint: [x]}]",
        "invariants: [{name: a, never_errors: [x], assume: 'true'}]",
        "invariants: [{name: a, never: x, links: some}]",
        "{invariants: [{name: a, never: x}], accept: [{finding: odd, policies: [a], because: b}]}",
    ] {
        assert!(!takes(bad), "{bad}");
    }
}

#[test]
fn nothing_to_prove_is_no_success() {
    let place = repository(POLICIES, "");
    assert_shown!(prove(&place, "/nowhere", &["--no-reports"]), @r"
    exit 1
    --- stderr
    error: there is no invariant, and no report is wanted: nothing is left to do

    hint: write an `invariants.yaml`, or leave out `--no-reports`
    ");
}

#[test]
fn no_invariant_of_that_name() {
    let place = repository(POLICIES, INVARIANTS);
    assert_shown!(prove(&place, "/nowhere", &["--filter", "x*"]), @r"
    exit 2
    --- stderr
    error: no invariant has a name like `x*`

    hint: `*` stands for any text: `--filter '*quarantine*'`
    ");
}
