//! `deodar fmt`, as people run it; and that it says the same about everything that
//! Cedar's corpus and the reference policies have.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;

use deodar::analysis::format::Kind;
use deodar::analysis::format::format;
use proptest::prelude::ProptestConfig;
use proptest::proptest;

use super::Place;
use crate::cli::assert_shown;
use crate::support::reference;

const UGLY: &str =
    "// Pings.\n@id(\"a\") permit(principal,action==Action::\"ping\",resource)when{true};// end\n";

fn place() -> Place {
    let place = Place::new();
    place.run(&["fmt", "policies"]);
    place
}

#[test]
fn files_are_formatted_and_stay_so() {
    let place = place();
    assert_shown!(place.run(&["fmt", "policies", "--check"]), @r"exit 0");
    place.write("policies/ugly.cedar", UGLY);
    place.write("policies/more.cedarschema", "entity   Room{};   // last\n");
    assert_shown!(place.run(&["fmt", "policies", "--check"]), @r"
    exit 6
    --- stdout
    more.cedarschema
    ugly.cedar
    ");
    assert_shown!(place.run(&["fmt", "policies"]), @r"exit 0");
    assert_shown!(place.run(&["fmt", "policies", "--check"]), @r"exit 0");
    let text = |file: &str| fs::read_to_string(place.0.path().join("policies").join(file)).unwrap();
    insta::assert_snapshot!(text("ugly.cedar"), @r#"
    // Pings.
    @id("a")
    permit (
      principal,
      action == Action::"ping",
      resource
    )
    when { true }; // end
    "#);
    insta::assert_snapshot!(text("more.cedarschema"), @r"entity Room {};    // last");
}

#[test]
fn what_does_not_parse_is_told_and_the_rest_is_formatted() {
    let place = place();
    place.write(
        "policies/broken.cedar",
        "permit (principal, action resource);\n",
    );
    place.write("policies/broken.cedarschema", "entity ;\n");
    place.write("policies/ugly.cedar", UGLY);
    assert_shown!(place.run(&["fmt", "policies"]), @r"
    exit 4
    --- stderr
      × unexpected token `resource`: expected `!=`, `)`, `,`, `:`, `<`, `<=`, `==`, `>`, `>=`, `in`, or `is`
       ╭─[broken.cedar:1:27]
     1 │ permit (principal, action resource);
       ·                           ────────
       ╰────
      help: is something missing here, or just before?

      × error parsing schema: unexpected token `;`: expected identifier
       ╭─[broken.cedarschema:1:8]
     1 │ entity ;
       ·        ─
       ╰────

    error: 2 faults; files with faults are left as they are
    ");
    let text = |file: &str| fs::read_to_string(place.0.path().join("policies").join(file)).unwrap();
    assert_eq!(
        text("broken.cedar"),
        "permit (principal, action resource);\n"
    );
    assert_ne!(text("ugly.cedar"), UGLY);
    assert_shown!(place.run(&["fmt", "policies", "--check", "--format", "json"]), @r#"
    exit 4
    --- stdout
    {
      "changed": [],
      "unchanged": 3,
      "faults": [
        {
          "file": "broken.cedar",
          "line": 1,
          "column": 27,
          "text": "resource",
          "message": "unexpected token `resource`: expected `!=`, `)`, `,`, `:`, `<`, `<=`, `==`, `>`, `>=`, `in`, or `is`",
          "hint": "is something missing here, or just before?",
          "is_warning": false
        },
        {
          "file": "broken.cedarschema",
          "line": 1,
          "column": 8,
          "text": ";",
          "message": "error parsing schema: unexpected token `;`: expected identifier",
          "hint": null,
          "is_warning": false
        }
      ]
    }
    "#);
}

#[test]
fn standard_input_goes_to_standard_output() {
    let place = place();
    let run = |arguments: &[&str], input| place.run_with(arguments, &[], input);
    assert_shown!(run(&["fmt", "-"], UGLY), @r#"
    exit 0
    --- stdout
    // Pings.
    @id("a")
    permit (
      principal,
      action == Action::"ping",
      resource
    )
    when { true }; // end
    "#);
    assert_shown!(run(&["fmt", "-", "--schema"], "entity  A ;entity B;"), @r"
    exit 0
    --- stdout
    entity A;
    entity B;
    ");
    assert_eq!(run(&["fmt", "-", "--check"], UGLY), "exit 6\n");
    assert_eq!(run(&["fmt", "-", "--check"], "// nothing\n"), "exit 0\n");
    assert!(run(&["fmt", "-"], "permit").starts_with("exit 4\n"));
}

#[test]
fn permissions_and_links_stay() {
    let place = place();
    let folder = place.0.path().join("policies");
    place.write("policies/real/ugly.cedar", UGLY);
    let real = folder.join("real/ugly.cedar");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real/ugly.cedar", folder.join("linked.cedar")).unwrap();
    let shown = place.run(&["fmt", "policies/linked.cedar"]);
    assert_eq!(shown, "exit 0\n");
    assert!(
        fs::symlink_metadata(folder.join("linked.cedar"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(
        fs::metadata(&real).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert_ne!(fs::read_to_string(&real).unwrap(), UGLY);
    let left: Vec<_> = fs::read_dir(folder.join("real")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn what_is_no_policy_is_not_touched() {
    let place = place();
    assert_shown!(place.run(&["fmt", "policies/manifest.toml"]), @r"
    exit 2
    --- stderr
    error: `policies/manifest.toml` is neither policies nor a schema

    hint: name a directory, or files that end with `.cedar` or `.cedarschema`
    ");
    assert_shown!(place.run(&["fmt", "policies/nowhere.cedar"]), @r"
    exit 1
    --- stderr
    error: cannot read the policy directory `policies/nowhere.cedar`: No such file or directory (os error 2)

    hint: give a directory of policies with `--policies` or the key `policies.path`
    ");
}

/// What comes out, which stays as it is.
fn steady(kind: Kind, name: &str, text: &str) -> String {
    let once =
        format(kind, name, &text.into()).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
    let twice = format(kind, name, &once.as_str().into()).unwrap();
    assert_eq!(once, twice, "{name}");
    once
}

#[test]
fn reference_policies_are_formatted() {
    let mut seen = 0;
    for folder in ["policies", "templates", "schema"] {
        for entry in fs::read_dir(reference().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let kind = if folder == "schema" {
                Kind::Schema
            } else {
                Kind::Policies
            };
            let name = path.display().to_string();
            let formatted = format(kind, &name, &text.as_str().into()).unwrap();
            assert!(formatted == text, "{name}: run `deodar fmt policies`");
            seen += 1;
        }
    }
    assert!(seen > 10);
}

#[test]
fn comments_stay_wherever_they_are() {
    // One after every token.
    let tokens = "@id ( \"a\" ) permit ( principal , action in [ Action::\"a\" , Action::\"b\" ] , resource ) when { context . a && ! ( 1 < 2 ) || [ 3 ] . contains ( 3 ) } unless { if true then false else { a : 1 } has a } ;";
    for at in 0..tokens.split(' ').count() {
        let mut text = String::new();
        for (number, token) in tokens.split(' ').enumerate() {
            text.push_str(token);
            text.push_str(if number == at { " // here\n" } else { " " });
        }
        let formatted = steady(Kind::Policies, "p", &text);
        assert_eq!(formatted.matches("// here").count(), 1, "{formatted}");
    }
    let tokens = "namespace N { entity A , B in [ C ] = { \"a\" ? : Set < Long > , b : { c : Bool } } tags String ; @doc ( \"x\" ) entity C enum [ \"c\" ] ; action a in [ g ] appliesTo { principal : A , resource : [ B ] , context : { } } ; action g ; type T = Long ; } entity D ;";
    for at in 0..tokens.split(' ').count() {
        let mut text = String::new();
        for (number, token) in tokens.split(' ').enumerate() {
            text.push_str(token);
            text.push_str(if number == at { " // here\n\n\n" } else { " " });
        }
        let formatted = steady(Kind::Schema, "s", &text);
        assert_eq!(formatted.matches("// here").count(), 1, "{formatted}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    // Whatever the spaces, a schema comes out in one form per choice of line breaks.
    #[test]
    fn spaces_make_no_difference(gaps in proptest::collection::vec(0..4usize, 60)) {
        let tokens = "namespace N { entity A , B in [ C ] = { \"a\" ? : Set < Long > , b : { c : Bool } } tags String ; entity C ; } entity D ;";
        let spaced = |wide: bool| -> String {
            let tokens = tokens.split(' ').zip(&gaps);
            tokens.map(|(token, gap)| match gap {
                0 => format!("{token}\n"),
                gap if wide => format!("{token}{}", " ".repeat(*gap)),
                _ => format!("{token} "),
            }).collect()
        };
        let formatted = |text: String| format(Kind::Schema, "s", &text.as_str().into()).unwrap();
        let (narrow, wide) = (formatted(spaced(false)), formatted(spaced(true)));
        proptest::prop_assert_eq!(&narrow, &wide);
        proptest::prop_assert_eq!(&formatted(narrow.clone()), &narrow);
    }
}

/// One policy after the other gives what Cedar's formatter makes of the whole file.
#[test]
fn policies_are_laid_out_one_by_one_as_together() {
    let config = cedar_policy_formatter::Config {
        line_width: 80,
        indent_width: 2,
    };
    let together = |text: &str| {
        let once = cedar_policy_formatter::policies_str_to_pretty(text, &config).unwrap();
        cedar_policy_formatter::policies_str_to_pretty(&once, &config).unwrap()
    };
    let mut texts = vec![
        "permit(principal,action,resource);permit(principal,action,resource); // end\nforbid(principal,action,resource)when{1<2}; // last\n// rest\n\n// of the file\n".to_owned(),
        "// a\n\n// b\n@id(\"; // no\") // c\npermit(principal,action,resource)\n; // d\n\n\n// e\nforbid(principal // f\n,action,resource) when { \"a\n\n//\" == \"b\" } // g\n;\n// h".to_owned(),
        "permit(principal,action,resource);\n// between\npermit(principal,action,resource);".to_owned(),
    ];
    for folder in ["policies", "templates"] {
        let mut whole = String::new();
        for entry in fs::read_dir(reference().join(folder)).unwrap() {
            whole += &fs::read_to_string(entry.unwrap().path()).unwrap();
        }
        // Not as it is to be.
        texts.push(whole.replace("\n  ", "\n       ").replace(" == ", "=="));
        texts.push(whole);
    }
    for text in texts {
        assert_eq!(steady(Kind::Policies, "p", &text), together(&text));
    }
}

/// A carriage return ends a comment, as it does for Cedar.
#[test]
fn what_comes_after_a_carriage_return_is_no_comment() {
    let place = place();
    let run = |arguments: &[&str], input| place.run_with(arguments, &[], input);
    let text = "// a\rpermit(principal,action,resource);";
    assert_eq!(run(&["fmt", "-", "--check"], text), "exit 6\n");
    assert_shown!(run(&["fmt", "-"], text), @r"
    exit 0
    --- stdout
    // a
    permit (principal, action, resource);
    ");
    assert_shown!(run(&["fmt", "-", "--schema"], "// a\rentity  A;"), @r"
    exit 0
    --- stdout
    // a
    entity A;
    ");
    // What it ends is a comment of its own line.
    let two = "permit(principal,action,resource); // x\rforbid(principal,action,resource);";
    assert_shown!(run(&["fmt", "-"], two), @r"
    exit 0
    --- stdout
    permit (principal, action, resource); // x

    forbid (principal, action, resource);
    ");
    // Within a string, Cedar takes none.
    let inside = "permit(principal,action,resource) when { \"a\rb\" == \"a\" };";
    assert!(run(&["fmt", "-"], inside).starts_with("exit 4\n"));
}
