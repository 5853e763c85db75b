//! `deodar test --format junit`, checked by xmllint against the schema of Jenkins, where
//! that is installed, and by a strict parser of XML against the same everywhere: there
//! is no validator of XSD for Rust.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use crate::cli::Place;
use crate::cli::test::GOOD;
use crate::cli::test::assert_ran;
use crate::peer::missing;
use crate::support::root;

/// Element: the attributes that must be there, those that may, and the elements
/// that may be within, in any order. Text may be where none may be within.
type Allowed = (&'static str, Names, Names, Names);

type Names = &'static [&'static str];

const ELEMENTS: &[Allowed] = &[
    (
        "testsuites",
        &[],
        &["name", "time", "tests", "failures", "disabled", "errors"],
        &["testsuite"],
    ),
    (
        "testsuite",
        &["name", "tests"],
        &[
            "failures",
            "errors",
            "time",
            "disabled",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
        ],
        &["properties", "testcase", "system-out", "system-err"],
    ),
    (
        "testcase",
        &["name"],
        &["assertions", "time", "classname", "status"],
        &["skipped", "error", "failure", "system-out", "system-err"],
    ),
    ("skipped", &[], &[], &[]),
    ("error", &[], &["message", "type"], &[]),
    ("failure", &[], &["message", "type"], &[]),
];

#[derive(Debug)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    within: Vec<Self>,
    text: String,
}

/// Parses the XML that a report consists of: no comments, sections or prefixes.
struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn document(text: &str) -> Element {
        assert!(text.chars().all(is_xml), "{text:?}");
        let rest = text
            .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
            .unwrap();
        let mut parser = Parser { rest };
        let root = parser.element();
        assert_eq!(parser.rest, "\n");
        root
    }

    fn take(&mut self, start: &str) -> bool {
        let rest = self.rest.strip_prefix(start);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn until(&mut self, end: impl Fn(char) -> bool) -> String {
        let at = self.rest.find(end).unwrap();
        let (taken, rest) = self.rest.split_at(at);
        self.rest = rest;
        taken.to_owned()
    }

    fn element(&mut self) -> Element {
        assert!(self.take("<"), "{}", self.rest);
        let name = self.until(|char| !char.is_ascii_lowercase() && char != '-');
        let mut element = Element {
            name,
            attributes: BTreeMap::new(),
            within: Vec::new(),
            text: String::new(),
        };
        while self.take(" ") {
            let name = self.until(|char| !char.is_ascii_lowercase());
            assert!(self.take("=\""), "{}", self.rest);
            let value = self.until(|char| char == '"' || char == '<' || char.is_control());
            assert!(self.take("\""), "{}", self.rest);
            let before = element.attributes.insert(name, unescaped(&value));
            assert!(before.is_none());
        }
        if self.take("/>") {
            return element;
        }
        assert!(self.take(">"), "{}", self.rest);
        loop {
            element
                .text
                .push_str(&unescaped(&self.until(|char| char == '<')));
            if self.take(&format!("</{}>", element.name)) {
                return element;
            }
            element.within.push(self.element());
        }
    }
}

/// <https://www.w3.org/TR/xml/#charsets>
fn is_xml(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut unescaped = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').unwrap();
        let char = match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            number => {
                let number = number.strip_prefix('#').unwrap().parse().unwrap();
                char::from_u32(number).filter(|char| is_xml(*char)).unwrap()
            }
        };
        unescaped.push(char);
        unescaped.push_str(rest);
    }
    assert!(!unescaped.contains("]]>") || text.contains("]]&gt;"));
    unescaped
}

fn check(element: &Element) {
    let (_, required, optional, within) = ELEMENTS
        .iter()
        .find(|(name, ..)| *name == element.name)
        .unwrap_or_else(|| panic!("{} is no element", element.name));
    for name in *required {
        assert!(
            element.attributes.contains_key(*name),
            "no {name}: {element:?}"
        );
    }
    for name in element.attributes.keys() {
        let is_known = required.iter().chain(*optional).any(|known| known == name);
        assert!(is_known, "{name} of {element:?}");
    }
    if !within.is_empty() {
        assert_eq!(element.text.trim(), "", "{element:?}");
    }
    for inner in &element.within {
        assert!(within.contains(&inner.name.as_str()), "{inner:?}");
        check(inner);
    }
}

/// Counts of a suite, or of all, are those of the cases within.
fn check_counts(element: &Element) {
    let cases: Vec<&Element> = match element.name.as_str() {
        "testsuites" => element
            .within
            .iter()
            .flat_map(|suite| &suite.within)
            .collect(),
        _ => element.within.iter().collect(),
    };
    let count = |name: &str| {
        let holds = |case: &&&Element| case.within.iter().any(|inner| inner.name == name);
        cases.iter().filter(holds).count().to_string()
    };
    assert_eq!(element.attributes["tests"], cases.len().to_string());
    assert_eq!(element.attributes["failures"], count("failure"));
    assert_eq!(element.attributes["errors"], count("error"));
    if let Some(skipped) = element.attributes.get("skipped") {
        assert_eq!(*skipped, count("skipped"));
    }
}

fn report(shown: &str) -> Element {
    let (_, text) = shown.split_once("--- stdout\n").unwrap();
    let (text, _) = text.split_once("--- stderr\n").unwrap_or((text, ""));
    is_by_the_schema(text).expect("it is valid");
    let root = Parser::document(text);
    assert_eq!(root.name, "testsuites");
    check(&root);
    check_counts(&root);
    root.within.iter().for_each(check_counts);
    root
}

/// What xmllint says against a report.
fn is_by_the_schema(text: &str) -> Result<(), String> {
    let schema = root().join("tests/data/junit-4.xsd");
    let xmllint = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema"])
        .args([&*schema, Path::new("-")])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut xmllint) = xmllint else {
        missing("xmllint is not installed, such as by `apt-get install libxml2-utils`");
        return Ok(());
    };
    let mut stdin = xmllint.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let done = xmllint.wait_with_output().unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    done.status.success().then_some(()).ok_or(told)
}

const ODD: &str = r#"name: "odd <suite> & 'more'"
cases:
  - name: "a \"name\" <of> ]]> \x01\t\uFFFF\n lines & é"
    principal: 'User::"bob"'
    action: 'Action::"read"'
    resource: 'Doc::"plan"'
    now: 2026-11-22
    decision: allow
    advice: ["<&>"]
  - name: broken
    principal: 'User::"bob"'
    action: 'Action::"read"'
    resource: 'Doc::"plan"'
    context: { ip: "<&>" }
    decision: allow
  - name: skipped
    principal: 'User::"bob"'
    action: 'Action::"read"'
    resource: 'Doc::"plan"'
    decision: allow
    skip: "a \"reason\" & <more>"
"#;

#[test]
fn junit() {
    let place = Place::new();
    place.write("policies/docs.test.yaml", GOOD);
    place.write("policies/odd.test.yaml", ODD);
    place.write("policies/worse.test.yaml", "cases: [5, \"<\"]\n");
    let shown = place.run(&["test", "policies", "--format", "junit"]);
    let root = report(&shown);
    assert_ran!(shown, @r#"
    exit 5
    --- stdout
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="deodar" tests="12" failures="1" errors="3" time="[TIME]">
      <testsuite name="documents" package="policies/docs.test.yaml" tests="7" failures="0" errors="0" skipped="0">
        <testcase classname="documents" name="the owner reads the plan"/>
        <testcase classname="documents" name="nobody reads a secret from outside (ip 10.9.9.9)"/>
        <testcase classname="documents" name="nobody reads a secret from outside (ip 192.0.2.1)"/>
        <testcase classname="documents" name="writing: ann write plan"/>
        <testcase classname="documents" name="writing: ann write key"/>
        <testcase classname="documents" name="writing: bob write plan"/>
        <testcase classname="documents" name="writing: bob write key"/>
      </testsuite>
      <testsuite name="odd &lt;suite&gt; &amp; 'more'" package="policies/odd.test.yaml" tests="3" failures="1" errors="1" skipped="1">
        <testcase classname="odd &lt;suite&gt; &amp; 'more'" name="a &quot;name&quot; &lt;of&gt; ]]&gt; �&#9;�&#10; lines &amp; é">
          <failure type="failed" message="decision: expected allow, came deny; advice: expected &lt;&amp;&gt;, came none">policies/odd.test.yaml:3&#10;no policy permits it&#10;nearly owner-reads-and-writes, but for resource.owner == principal at policies/docs.cedar:7&#10;  resource.owner = User::&quot;ann&quot;&#10;nearly staff-read-by-day, but for context.now &lt; principal.badge.until at policies/docs.cedar:15&#10;  context.now = datetime(&quot;2026-11-22&quot;)&#10;  principal.badge.until = datetime(&quot;2026-01-01&quot;)</failure>
        </testcase>
        <testcase classname="odd &lt;suite&gt; &amp; 'more'" name="broken">
          <error type="broken" message="`context.ip` cannot be read: error while evaluating `ipaddr` extension function: invalid IP address: &lt;&amp;&gt;">policies/odd.test.yaml:10&#10;see its type in the schema; an entity is {&quot;type&quot;: &quot;..&quot;, &quot;id&quot;: &quot;..&quot;}, addresses, decimals and times are text</error>
        </testcase>
        <testcase classname="odd &lt;suite&gt; &amp; 'more'" name="skipped">
          <skipped>a &quot;reason&quot; &amp; &lt;more&gt;</skipped>
        </testcase>
      </testsuite>
      <testsuite name="worse" package="policies/worse.test.yaml" tests="2" failures="0" errors="2" skipped="0">
        <testcase classname="worse" name="line 1">
          <error type="broken" message="a case is a number, not an object">policies/worse.test.yaml:1&#10;write `name: value`</error>
        </testcase>
        <testcase classname="worse" name="line 1">
          <error type="broken" message="a case is text, not an object">policies/worse.test.yaml:1&#10;write `name: value`</error>
        </testcase>
      </testsuite>
    </testsuites>
    "#);
    let odd = &root.within[1];
    assert_eq!(odd.attributes["name"], "odd <suite> & 'more'");
    assert_eq!(
        odd.within[0].attributes["name"],
        "a \"name\" <of> ]]> \u{fffd}\t\u{fffd}\n lines & é"
    );
}

#[test]
fn junit_of_nothing() {
    let shown = Place::new().run(&["test", "policies", "--format", "junit"]);
    assert!(shown.starts_with("exit 5\n"), "{shown}");
    let suites = report(&shown).within;
    assert_eq!(suites.len(), 1);
}

/// The schema and the table above say the same of what is wrong.
#[test]
fn the_schema_is_asked() {
    let refused = |text: &str| is_by_the_schema(text).is_err();
    if is_by_the_schema("<testsuites/>").is_ok() && !refused("no XML") {
        return; // There is no xmllint, which was told.
    }
    assert!(refused("<testsuites line=\"1\"/>"));
    assert!(refused("<testsuites><testsuite name=\"a\"/></testsuites>"));
    assert!(refused(
        "<testsuite name=\"a\" tests=\"1\"><testcase name=\"a\"><skipped message=\"b\"/></testcase></testsuite>"
    ));
}

#[test]
fn the_parser_is_strict() {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    let refused = |text: &str| {
        let text = format!("{head}{text}\n");
        std::panic::catch_unwind(|| check(&Parser::document(&text))).is_err()
    };
    assert!(!refused(
        "<testsuites><testsuite name=\"a\" tests=\"0\"/></testsuites>"
    ));
    for text in [
        "<testsuites>",
        "<testsuites></testsuite>",
        "<testsuites><testcase name=\"a\"/></testsuites>",
        "<testsuites><testsuite name=\"a\"/></testsuites>",
        "<testsuites line=\"1\"/>",
        "<testsuites name=\"a\" name=\"b\"/>",
        "<testsuites name=\"a<\"/>",
        "<testsuites name=\"a&b\"/>",
        "<testsuites name=\"&nbsp;\"/>",
        "<testsuites name=\"&#1;\"/>",
        "<testsuites name=\"\u{1}\"/>",
        "<testsuites>text</testsuites>",
        "<testsuites/><testsuites/>",
    ] {
        assert!(refused(text), "{text}");
    }
}
